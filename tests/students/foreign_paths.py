"""Looks for paths of the machine in a file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def foreign_paths(path: Path) -> list[bytes]:
    """Absolute paths of source files, as stack traces have them, and that of this checkout."""
    content = path.read_bytes()
    return re.findall(rb"[/\\\\][\x20-\x7e]*\.py\b", content) + re.findall(re.escape(str(ROOT).encode()), content)
