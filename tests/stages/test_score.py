from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from brightness_student import BrightnessStudent, BuggyStudent, CostlyStudent, CrashingStudent, brightness_bundle

from w2svqa.core.errors import BundleError, ConfigError, MediaError, MissingInputError, W2SVQAError
from w2svqa.core.records import Chunk, MediaInfo, Score, Tokens
from w2svqa.stages import score as module
from w2svqa.stages.score import Scorer
from w2svqa.video.ahead import reading_ahead
from w2svqa.video.encode import write_lossless

FPS = 4


def write_clip(path: Path, levels: Iterable[int]) -> Path:
    """Write a grey clip: each level for one second."""
    frames = (np.full((32, 48, 3), level, np.uint8) for level in levels for _ in range(FPS))
    write_lossless(path, frames, fps=Fraction(FPS))
    return path


@pytest.fixture
def scorer() -> Scorer:
    return Scorer(brightness_bundle())


class FakeClip:
    """A clip of as many tiny chunks as asked for, which notes how far it was read."""

    info = MediaInfo(
        path="fake",
        width=2,
        height=2,
        fps=1.0,
        duration=None,
        codec="none",
        pixel_format="none",
        bit_rate=None,
        rotation=0,
        pixel_aspect=Fraction(1),
        interlaced=False,
        transfer="sdr",
        is_still=False,
    )
    notes: tuple[str, ...] = ()
    problem: str | None = None

    def __init__(self, count: int | None, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.started = 0
        self.was_closed = False

    def chunks(self) -> Iterator[Chunk]:
        try:
            for index in itertools.count() if self.count is None else range(self.count):
                self.started += 1
                picture = np.full((2, 2, 3), index % 256, np.uint8)
                yield Chunk(
                    index=index,
                    start=float(index),
                    key_frame=picture,
                    motion=np.zeros((0, 0, 0), np.uint8),
                    motion_times=np.zeros(0),
                )
            if self.error is not None:
                raise self.error
        finally:
            self.was_closed = True


def test_brighter_clip_scores_higher(tmp_path: Path, scorer: Scorer) -> None:
    dark = scorer.score(write_clip(tmp_path / "dark.mkv", [40, 60]))
    bright = scorer.score(write_clip(tmp_path / "bright.mkv", [200, 220]))
    assert dark.value is not None
    assert bright.value is not None
    assert dark.value < bright.value


def test_row_says_all_there_is(tmp_path: Path, scorer: Scorer) -> None:
    path = write_clip(tmp_path / "clip.mkv", [60, 100, 90])
    row = scorer.score(path)
    assert (row.path, row.status, row.message, row.student) == (str(path), "ok", None, "brightness-1")
    assert row.value is not None
    assert row.low is not None
    assert row.high is not None
    assert 0 <= row.low <= row.value <= row.high <= 100
    assert len(row.seconds) == 3
    assert row.seconds[0] < row.seconds[2] < row.seconds[1]
    assert [(reason.distortion, reason.seconds) for reason in row.reasons] == [("darkness", ())]


def test_one_bad_second_of_a_good_clip_has_its_reason(tmp_path: Path, scorer: Scorer) -> None:
    row = scorer.score(write_clip(tmp_path / "clip.mkv", [200, 210, 20, 200, 190, 220]))
    [reason] = row.reasons
    assert (reason.distortion, reason.seconds) == ("darkness", (2,))
    assert reason.severity == pytest.approx(1 - 20 / 255, abs=0.01)


def test_student_that_gives_no_reasons_scores_all_the_same(tmp_path: Path) -> None:
    class Silent(BrightnessStudent):
        diagnose_seconds = None  # type: ignore[assignment]  # what a student without a diagnosis lacks

    row = Scorer(brightness_bundle(Silent())).score(write_clip(tmp_path / "clip.mkv", [20]))
    assert row.value is not None
    assert row.reasons == ()


def test_second_scores_as_the_clip_that_it_is(tmp_path: Path, scorer: Scorer) -> None:
    both = scorer.score(write_clip(tmp_path / "both.mkv", [60, 180]))
    alone = scorer.score(write_clip(tmp_path / "alone.mkv", [180]))
    assert both.seconds[1] == alone.value == alone.seconds[0]


def test_raw_has_no_ties_beyond_the_ends(tmp_path: Path) -> None:
    bundle = brightness_bundle()
    narrow = {**bundle.scale_mapping, "latent_zero": -0.1, "latent_hundred": 0.1}
    scorer = Scorer(replace(bundle, scale_mapping=narrow))
    light = scorer.score(write_clip(tmp_path / "light.mkv", [230]))
    white = scorer.score(write_clip(tmp_path / "white.mkv", [250]))
    assert light.value == white.value == 100
    assert light.raw is not None
    assert white.raw is not None
    assert 100 < light.raw < white.raw


@pytest.mark.parametrize("workers", [1, 4])
def test_same_file_scores_the_same_alone_and_in_a_batch(tmp_path: Path, scorer: Scorer, workers: int) -> None:
    paths = [write_clip(tmp_path / f"{level}.mkv", [level, 255 - level]) for level in (10, 80, 150)]
    alone = [scorer.score(path) for path in paths]
    rows = dict(scorer.score_many([*paths, paths[0]], workers=workers))
    assert [rows[index] for index in sorted(rows)] == [*alone, alone[0]]


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_file_is_one_row_and_the_rest_goes_on(tmp_path: Path, scorer: Scorer, workers: int) -> None:
    good = write_clip(tmp_path / "good.mkv", [100])
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    rows = dict(scorer.score_many([tmp_path / "missing.mp4", text, good], workers=workers))
    assert [rows[index].status for index in range(3)] == ["error", "error", "ok"]
    for index in (0, 1):
        assert rows[index].value is None
        assert rows[index].message
        assert str(tmp_path) not in str(rows[index].message)


def test_bad_file_alone_raises(tmp_path: Path, scorer: Scorer) -> None:
    with pytest.raises(MissingInputError, match=r"missing\.mp4"):
        scorer.score(tmp_path / "missing.mp4")


def test_rows_come_as_they_are_finished(tmp_path: Path, scorer: Scorer) -> None:
    def paths() -> Iterator[Path]:
        yield write_clip(tmp_path / "first.mkv", [100])
        pytest.fail("the second path was asked for before the first row was handed over")

    index, row = next(iter(scorer.score_many(paths())))
    assert (index, row.status) == (0, "ok")


def test_fault_of_the_program_is_no_row(tmp_path: Path) -> None:
    scorer = Scorer(brightness_bundle(BuggyStudent()))
    with pytest.raises(KeyError, match="a bug"):
        list(scorer.score_many([write_clip(tmp_path / "clip.mkv", [100])]))


def test_fault_of_the_program_in_a_worker_is_no_row_either(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{level}.mkv", [level]) for level in (10, 20)]
    with pytest.raises(W2SVQAError, match="a bug"):
        list(Scorer(brightness_bundle(BuggyStudent())).score_many(paths, workers=2))


def test_file_that_kills_its_worker_is_one_row(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{level}.mkv", [level]) for level in (100, 0, 200)]
    rows = dict(Scorer(brightness_bundle(CrashingStudent())).score_many(paths, workers=2))
    assert [rows[index].status for index in range(3)] == ["ok", "error", "ok"]
    assert "died" in str(rows[1].message)


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_trouble_of_the_machine_is_a_row(tmp_path: Path, error: Exception) -> None:
    class Starved(BrightnessStudent):
        def encode(self, chunks: Iterable[Chunk]) -> Tokens:
            list(chunks)
            raise error

    [(_, row)] = Scorer(brightness_bundle(Starved())).score_many([write_clip(tmp_path / "clip.mkv", [100])])
    assert row.status == "error"
    assert row.message
    assert "\n" not in row.message


def test_partly_decoded_file_is_scored_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = FakeClip(2)
    clip.problem, clip.notes = "ends after 2 of 9 seconds", ("interlaced",)
    monkeypatch.setattr(module, "open_clip", lambda *_: clip)
    row = Scorer(brightness_bundle()).score("cut.mp4")
    message = "ends after 2 of 9 seconds (copy it again to have all of it scored)"
    assert (row.status, row.message, row.notes[0]) == ("partial", message, "interlaced")
    assert row.value is not None
    verdict = Scorer(brightness_bundle()).compare("cut.mp4", "cut.mp4")
    assert verdict.status == "partial"
    assert verdict.notes[0] == "cut.mp4: interlaced"


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_below_one_are_refused(scorer: Scorer, workers: int) -> None:
    with pytest.raises(ConfigError, match="workers"):
        scorer.score_many([], workers=workers)


def test_comparison_mirrors(tmp_path: Path, scorer: Scorer) -> None:
    dark, bright = write_clip(tmp_path / "dark.mkv", [20]), write_clip(tmp_path / "bright.mkv", [240])
    forward, backward = scorer.compare(dark, bright), scorer.compare(bright, dark)
    assert (forward.level, backward.level) == ("superior", "inferior")
    assert sum(forward.probabilities) == pytest.approx(1)
    assert forward.probabilities == pytest.approx(backward.probabilities[::-1])
    assert forward.preference == pytest.approx(1 - backward.preference)
    assert forward.preference > 0.5


def test_equal_videos_are_similar(tmp_path: Path, scorer: Scorer) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [100])
    verdict = scorer.compare(clip, clip)
    assert verdict.level == "similar"
    assert verdict.preference == pytest.approx(0.5)


def test_a_costly_student_scores_seconds_only_where_they_are_wanted(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [20, 200, 220])
    bundle = brightness_bundle(CostlyStudent())
    plain = Scorer(bundle).score(clip)
    assert plain.seconds == ()
    timed = Scorer(bundle, each_second=True).score(clip)
    assert len(timed.seconds) == 3
    assert (timed.value, timed.low, timed.high) == (plain.value, plain.low, plain.high)
    assert Scorer(brightness_bundle(), each_second=False).score(clip).seconds == ()
    dark = write_clip(tmp_path / "dark.mkv", [20])
    assert [reason.distortion for reason in Scorer(bundle).score(dark).reasons] == ["darkness"]


def test_what_a_costly_student_leaves_out_is_noted(tmp_path: Path) -> None:
    short, long = write_clip(tmp_path / "short.mkv", [90]), write_clip(tmp_path / "long.mkv", [90, 90, 90])
    scorer = Scorer(brightness_bundle(CostlyStudent()))
    assert "long" in scorer.score(long).notes
    assert "long" not in scorer.score(short).notes
    assert scorer.compare(short, long).notes == (f"{long}: long",)


def test_one_order_keeps_a_liking_for_the_second_place_and_both_do_not(tmp_path: Path) -> None:
    clip, other = write_clip(tmp_path / "clip.mkv", [128]), write_clip(tmp_path / "other.mkv", [90])
    fair = Scorer(brightness_bundle()).score(clip).raw
    one = Scorer(brightness_bundle(CostlyStudent(bias=1.0)))
    assert fair is not None
    assert (one.score(clip).raw or 0) > fair + 5
    both = Scorer(brightness_bundle(CostlyStudent(bias=1.0, both_orders=True))).score(clip).raw
    assert both == pytest.approx(fair, abs=2)
    # two files are always compared in both orders
    forward, backward = one.compare(clip, other), one.compare(other, clip)
    assert forward.probabilities == pytest.approx(backward.probabilities[::-1])


def test_unknown_student_names_the_remedy() -> None:
    with pytest.raises(BundleError, match="compact"):
        Scorer.load("no/such/student")


def test_bundle_with_a_bad_scale_is_refused() -> None:
    bundle = brightness_bundle()
    bad = replace(bundle, scale_mapping={"latent_zero": 0.0})
    with pytest.raises(BundleError, match="scale"):
        Scorer(bad)


def test_module_functions_load_a_student_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(name: object = None, options: object = None) -> object:
        assert options is None
        loads.append(name)
        return brightness_bundle()

    monkeypatch.setattr(module, "load_bundle", load)
    module.default_scorer.cache_clear()
    clip = write_clip(tmp_path / "clip.mkv", [100])
    try:
        assert isinstance(module.score(clip, student="fake"), Score)
        assert module.compare(clip, clip, student=Path("fake")).level == "similar"
    finally:
        module.default_scorer.cache_clear()
    assert loads == ["fake"]


def test_reading_ahead_keeps_the_order() -> None:
    with reading_ahead(FakeClip(50)) as chunks:
        assert [chunk.index for chunk in chunks] == list(range(50))


def test_reading_ahead_is_bounded() -> None:
    clip = FakeClip(None)
    with reading_ahead(clip) as chunks:
        for _ in range(3):
            next(chunks)
        # one in each hand and one that waits, whatever time the decoder was given
        assert clip.started <= 6
    assert clip.was_closed


def test_reading_ahead_passes_the_decoders_error_on() -> None:
    with reading_ahead(FakeClip(2, MediaError("broken"))) as chunks:
        assert [next(chunks).index, next(chunks).index] == [0, 1]
        with pytest.raises(MediaError, match="broken"):
            next(chunks)


def take_and_interrupt(clip: FakeClip, count: int) -> None:
    with reading_ahead(clip) as chunks:
        for _ in range(count):
            next(chunks)
        raise KeyboardInterrupt


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_leaving_early_stops_the_thread(taken: int) -> None:
    before = threading.active_count()
    clip = FakeClip(None)
    with pytest.raises(KeyboardInterrupt):
        take_and_interrupt(clip, taken)
    assert threading.active_count() == before
    assert clip.was_closed


def test_interrupt_while_the_thread_starts_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    before = threading.active_count()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_and_interrupt(FakeClip(None), 0)
    assert threading.active_count() == before


def test_closing_a_batch_stops_its_workers(tmp_path: Path, scorer: Scorer) -> None:
    import multiprocessing

    paths = [write_clip(tmp_path / f"{level}.mkv", [level]) for level in (10, 20, 30)]
    rows = scorer.score_many(paths, workers=2)
    next(rows)
    rows.close()
    assert multiprocessing.active_children() == []


def test_error_that_a_worker_cannot_start_with_is_raised(tmp_path: Path) -> None:
    scorer = Scorer(brightness_bundle())
    scorer._source = module._Source(student=tmp_path / "gone")
    with pytest.raises(W2SVQAError, match="gone"):
        list(scorer.score_many([write_clip(tmp_path / "clip.mkv", [100])], workers=2))
