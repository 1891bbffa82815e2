"""Which commit of a git checkout code comes from, read from git's own files."""

from __future__ import annotations

import re
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def commit_of(package: Path) -> str | None:
    """Return the commit that is checked out where ``package`` lies as ``src/NAME``; ``None`` if there is no checkout.

    Only that layout counts: a package in the site-packages of an environment inside somebody's checkout is no part of
    it. Changes that are not committed are not seen.

    Args:
        package: folder of the package.

    Source: gitrepository-layout(5), of linked work trees too.
    """
    if package.parent.name != "src":
        return None
    folder = _git_folder(package.parents[1] / ".git")
    head = None if folder is None else _text(folder / "HEAD")
    if folder is None or head is None:
        return None
    if not head.startswith("ref: "):
        return head if _HASH.fullmatch(head) else None
    return _resolve(folder, head.removeprefix("ref: "))


def _git_folder(path: Path) -> Path | None:
    """The folder itself, or the one that the file of a linked work tree names."""
    if path.is_dir():
        return path
    text = _text(path)
    return path.parent / text.removeprefix("gitdir: ") if text and text.startswith("gitdir: ") else None


def _resolve(folder: Path, reference: str) -> str | None:
    common = _text(folder / "commondir")
    shared = folder / common if common else folder
    for place in (folder, shared):
        found = _text(place / reference)
        if found and _HASH.fullmatch(found):
            return found
    for line in (_text(shared / "packed-refs") or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference and _HASH.fullmatch(commit):
            return commit
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
