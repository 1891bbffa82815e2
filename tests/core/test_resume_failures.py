"""Maps that go on, where something fails: no stale result stays, and a full disk is nobody's fault but the disk's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from w2svqa.core.errors import MediaError, UnwritableError
from w2svqa.core.resume import Kept, map_resumed


def kept_in(folder: Path) -> Kept[int, int]:
    return Kept(
        path=folder / "journal.jsonl",
        fingerprint="numbers",
        key=str,
        name=str,
        encode=str,
        decode=lambda text: int(str(text)),
    )


def refuse(number: int) -> int:
    raise MediaError(f"{number} is refused", path="clip.mp4", remedy="leave it out")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_map_and_keeps_what_was_made(tmp_path: Path, workers: int) -> None:
    with pytest.raises(UnwritableError, match="no space"):
        map_resumed(fill_up, [1, 2, 3], kept_in(tmp_path), workers=workers, progress=lambda *_: None)
    made, failed = map_resumed(refuse, [1, 2, 3], kept_in(tmp_path), workers=1, progress=lambda *_: None)
    assert "2" not in made
    assert set(made) | set(failed) == {"1", "2", "3"}


def fill_up(number: int) -> int:
    if number == 2:
        raise UnwritableError("no space left", path="crops.npz", remedy="free some space")
    return number


def test_a_result_that_no_longer_holds_is_gone_when_making_it_anew_fails(tmp_path: Path) -> None:
    map_resumed(fill_up, [1, 3], kept_in(tmp_path), workers=1, progress=lambda *_: None)
    kept = replace(kept_in(tmp_path), holds=lambda number, result: number != 3)  # noqa: ARG005 (the names are the interface)
    made, failed = map_resumed(refuse, [1, 3], kept, workers=1, progress=lambda *_: None)
    assert list(made) == ["1"]
    assert list(failed) == ["3"]
