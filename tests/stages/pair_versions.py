"""Rows of the distort stage that need no files, for the tests of pairs."""

from __future__ import annotations

from w2svqa.core.rows import Split, VersionRow

KINDS = {"blur": 5, "noise": 5, "h264": 4}
UNTOUCHED = "none"


def version(
    clip: str,
    kind: str,
    level: int,
    *,
    primary: bool = True,
    split: Split = "train",
    is_still: bool = False,
    vmaf: float | None = None,
) -> VersionRow:
    return VersionRow(
        version_id=f"{clip}-{kind}-{level}",
        clip_id=clip,
        kind=kind,
        level=level,
        severity=level / KINDS[kind] if level else 0.0,
        primary=primary,
        split=split,
        is_still=is_still,
        vmaf=vmaf,
        views=f"crops/{clip}.npz",
        row=0,
        stored=level == 0,
        seconds=2,
    )
