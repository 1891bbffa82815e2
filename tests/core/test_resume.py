"""Maps that go on: what is finished is kept at once, what is missing is made, what failed is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from w2svqa.core.errors import MediaError, StoreError
from w2svqa.core.executor import SerialExecutor
from w2svqa.core.journal import Journal
from w2svqa.core.resume import Kept, map_resumed


class KilledError(Exception):
    """Stands for a kill."""


@dataclass
class Squares:
    """Squares numbers, some of which it refuses, and remembers what it was asked."""

    refused: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)

    def __call__(self, number: int) -> int:
        self.asked.append(number)
        if number in self.refused:
            raise MediaError(f"{number} is refused", path=f"{number}.mp4", remedy="ask again")
        return number * number


def slow_square(number: int) -> int:
    """For other processes."""
    return number * number


def quiet(*_: object) -> None:
    """Listen to no progress."""


def integer(value: object) -> int:
    assert isinstance(value, str)
    return int(value)


def kept_in(folder: Path, fingerprint: str = "squares") -> Kept[int, int]:
    return Kept(
        path=folder / "journal.jsonl",
        fingerprint=fingerprint,
        key=lambda number: f"key {number}",
        name=lambda number: f"number {number}",
        encode=str,
        decode=integer,
    )


def stop_after(count: int) -> Callable[[int, int, str], None]:
    def progress(done: int, _: int, name: str) -> None:
        if done >= count:
            raise KilledError(name)

    return progress


def keys(*numbers: int) -> dict[str, int]:
    return {f"key {number}": number * number for number in numbers}


def test_all_results_come_back_by_key_in_the_order_of_the_items(tmp_path: Path) -> None:
    made, failed = map_resumed(Squares(), [3, 1, 2], kept_in(tmp_path), workers=1, progress=quiet)
    assert list(made.items()) == list(keys(3, 1, 2).items())
    assert failed == {}


def test_a_second_call_makes_nothing_and_returns_the_same(tmp_path: Path) -> None:
    first = map_resumed(Squares(), [3, 1, 2], kept_in(tmp_path), workers=1, progress=quiet)
    again = Squares()
    assert map_resumed(again, [3, 1, 2], kept_in(tmp_path), workers=1, progress=quiet) == first
    assert again.asked == []


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4])
def test_killed_after_any_item_the_next_call_makes_the_others(tmp_path: Path, killed_at: int) -> None:
    before, after = Squares(), Squares()
    with pytest.raises(KilledError, match=f"number {killed_at}"):
        map_resumed(before, [1, 2, 3, 4], kept_in(tmp_path), workers=1, progress=stop_after(killed_at))
    made, _ = map_resumed(after, [1, 2, 3, 4], kept_in(tmp_path), workers=1, progress=quiet)
    assert before.asked == list(range(1, killed_at + 1))  # the one at which it was killed was kept before
    assert after.asked == list(range(killed_at + 1, 5))
    assert made == keys(1, 2, 3, 4)


def test_each_result_is_on_the_disk_before_its_progress_is_told(tmp_path: Path) -> None:
    stored: list[int] = []

    def count(*_: object) -> None:
        stored.append(len((tmp_path / "journal.jsonl").read_bytes().splitlines()) - 1)

    map_resumed(Squares(), [1, 2, 3], kept_in(tmp_path), workers=1, progress=count)
    assert stored == [1, 2, 3]


def test_what_failed_is_named_and_tried_again_by_the_next_call(tmp_path: Path) -> None:
    made, failed = map_resumed(Squares(refused={2}), [1, 2, 3], kept_in(tmp_path), workers=1, progress=quiet)
    assert made == keys(1, 3)
    assert list(failed) == ["key 2"]
    assert "2.mp4: 2 is refused" in failed["key 2"]
    again = Squares()
    assert map_resumed(again, [1, 2, 3], kept_in(tmp_path), workers=1, progress=quiet) == (keys(1, 2, 3), {})
    assert again.asked == [2]


def test_items_that_came_later_are_the_only_ones_made(tmp_path: Path) -> None:
    map_resumed(Squares(), [1, 2], kept_in(tmp_path), workers=1, progress=quiet)
    work = Squares()
    made, _ = map_resumed(work, [0, 1, 2, 5], kept_in(tmp_path), workers=1, progress=quiet)
    assert work.asked == [0, 5]
    assert made == keys(0, 1, 2, 5)


def test_results_of_earlier_items_are_returned_too(tmp_path: Path) -> None:
    map_resumed(Squares(), [1, 2], kept_in(tmp_path), workers=1, progress=quiet)
    made, _ = map_resumed(Squares(), [2], kept_in(tmp_path), workers=1, progress=quiet)
    assert made == keys(1, 2)


def test_a_result_that_no_longer_answers_its_item_is_made_anew_and_kept(tmp_path: Path) -> None:
    map_resumed(lambda number: -number, [1, 2, 3], kept_in(tmp_path), workers=1, progress=quiet)
    kept = replace(kept_in(tmp_path), holds=lambda number, result: number != 2 or result == 4)
    for expected in ([2], []):
        work = Squares()
        made, _ = map_resumed(work, [1, 2, 3], kept, workers=1, progress=quiet)
        assert work.asked == expected
        assert made == {"key 1": -1, "key 2": 4, "key 3": -3}


def test_progress_counts_what_was_there_and_what_failed(tmp_path: Path) -> None:
    map_resumed(Squares(), [2, 4], kept_in(tmp_path), workers=1, progress=quiet)
    told: list[tuple[int, int, str]] = []
    work = Squares(refused={3})
    map_resumed(work, [1, 2, 3, 4, 5], kept_in(tmp_path), workers=1, progress=lambda *facts: told.append(facts))
    assert told == [(3, 5, "number 1"), (4, 5, "number 3"), (5, 5, "number 5")]


def test_a_journal_of_another_fingerprint_is_refused_before_any_work(tmp_path: Path) -> None:
    map_resumed(Squares(), [1], kept_in(tmp_path), workers=1, progress=quiet)
    work = Squares()
    with pytest.raises(StoreError, match="another configuration"):
        map_resumed(work, [1, 2], kept_in(tmp_path, "cubes"), workers=1, progress=quiet)
    assert work.asked == []
    assert map_resumed(work, [1], kept_in(tmp_path), workers=1, progress=quiet) == (keys(1), {})


def test_results_are_kept_as_the_plain_values_they_are_encoded_to(tmp_path: Path) -> None:
    map_resumed(Squares(), [7], kept_in(tmp_path), workers=1, progress=quiet)
    with Journal(tmp_path / "journal.jsonl", fingerprint="squares") as journal:
        assert dict(journal.finished) == {"key 7": "49"}


def test_several_processes_make_the_same(tmp_path: Path) -> None:
    map_resumed(slow_square, [1], kept_in(tmp_path), workers=1, progress=quiet)
    told: list[int] = []
    made, failed = map_resumed(
        slow_square, [1, 2, 3], kept_in(tmp_path), workers=2, progress=lambda done, *_: told.append(done)
    )
    assert (made, failed, told) == (keys(1, 2, 3), {}, [2, 3])


def test_no_items_are_no_work(tmp_path: Path) -> None:
    assert map_resumed(Squares(), [], kept_in(tmp_path), workers=2, progress=quiet) == ({}, {})


def test_an_error_that_has_a_result_is_kept_like_any_other(tmp_path: Path) -> None:
    kept = replace(kept_in(tmp_path), failure=lambda error: -1 if "2 is" in error.problem else None)
    work = Squares(refused={2, 3})
    assert map_resumed(work, [1, 2, 3], kept, progress=quiet) == (
        {"key 1": 1, "key 2": -1},
        {"key 3": "3.mp4: 3 is refused (ask again)"},
    )
    again = Squares()
    assert map_resumed(again, [1, 2, 3], kept, progress=quiet)[0] == {"key 1": 1, "key 2": -1, "key 3": 9}
    assert again.asked == [3]


def test_an_executor_of_the_callers_does_the_work(tmp_path: Path) -> None:
    ready: list[str] = []
    executor = SerialExecutor(initializer=ready.append, initargs=("ready",))
    made, _ = map_resumed(Squares(), [4], kept_in(tmp_path), progress=quiet, executor=executor)
    assert (made, ready) == (keys(4), ["ready"])
