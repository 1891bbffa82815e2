"""The Hugging Face hub: names of repositories, and the files of one as a folder on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from w2svqa.core.errors import MissingExtraError, MissingInputError
from w2svqa.core.extras import require

PREFIX: Final = "hf://"
"""Begins an address that is meant to be on the hub."""

# as the hub has it: one owner, one name, neither begins with a dot; @ begins a branch, tag or commit
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)


def hub_name(text: str) -> str | None:
    """Return ``OWNER/NAME`` or ``OWNER/NAME@REVISION`` where ``text`` names a repository, else ``None``.

    Example:
        >>> hub_name("hf://owner/student"), hub_name("owner/student@v2"), hub_name("./runs/student"), hub_name("clip")
        ('owner/student', 'owner/student@v2', None, None)
    """
    name = text.removeprefix(PREFIX)
    return name if _NAME.fullmatch(name) else None


def fetch_snapshot(repository: str, patterns: Sequence[str], *, address: str | None = None) -> Path:
    """Return a folder with the files of a repository that match; what is in the hub's cache is not fetched again.

    Args:
        repository: ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.
        patterns: of file names, such as ``"*.json"``.
        address: what the user wrote, for messages; the repository unless given.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        MissingInputError: there is no such repository, or it is neither in the cache nor within reach.
    """
    named = address or repository
    try:
        hub = require("huggingface_hub", extra="llm")
        errors = require("huggingface_hub.errors", extra="llm")
    except MissingExtraError as error:
        raise MissingExtraError(f"to fetch it from the hub, {error.problem}", path=named, remedy=error.remedy) from None
    owner_and_name, _, revision = repository.partition("@")
    options = {"revision": revision} if revision else {}
    try:
        return Path(hub.snapshot_download(owner_and_name, allow_patterns=list(patterns), **options))
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise MissingInputError(
            f"cannot be fetched: {error}", path=named, remedy="check the name, or fetch it by hand and name the folder"
        ) from None
