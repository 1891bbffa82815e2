"""Optional dependencies: imported where they are used, with an error that names the pip line."""

from __future__ import annotations

import importlib
from types import ModuleType

from w2svqa.core.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import ``module``, which the optional dependency group ``extra`` brings.

    Args:
        module: dotted module name, such as ``"pyarrow.parquet"``.
        extra: the group in ``pyproject.toml`` that installs it, such as ``"train"``.

    Raises:
        MissingExtraError: the top-level package is not installed. A package that is there but fails to import raises
            its own error, so that a broken installation is never mistaken for a missing one.

    Example:
        >>> require("json", extra="train").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise MissingExtraError(
            f"this needs the package {package!r}, which is not installed", remedy=f"pip install 'w2svqa[{extra}]'"
        ) from None
