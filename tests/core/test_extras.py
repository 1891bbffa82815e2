"""Optional dependencies: missing is not the same as broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.core.errors import MissingExtraError
from w2svqa.core.extras import require


def test_a_missing_package_names_the_pip_line() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require("package_that_nobody_has.part", extra="train")
    assert str(caught.value) == (
        "this needs the package 'package_that_nobody_has', which is not installed (pip install 'w2svqa[train]')"
    )


def test_a_broken_package_raises_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package_of_ours.py").write_text("import package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="package_that_nobody_has") as caught:
        require("broken_package_of_ours", extra="train")
    assert not isinstance(caught.value, MissingExtraError)


def test_every_extra_that_code_names_is_declared() -> None:
    import re
    import tomllib

    root = Path(__file__).parents[2]
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {
        extra
        for path in (root / "src").rglob("*.py")
        for extra in re.findall(r'extra="(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert named <= declared.keys()
    assert "train" in named
