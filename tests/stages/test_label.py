"""The label stage: every teacher's scores of a clip and its versions, whatever fails, and what is made of them."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, InputError, MediaError
from w2svqa.core.protocols import Video
from w2svqa.core.rows import ClipRow, ScoreRow, Split, VersionRow
from w2svqa.stages import label
from w2svqa.stages.label import (
    LabelConfig,
    Labelled,
    TeacherConfig,
    choose_tested,
    judge_teachers,
    kinds_tested,
    label_clip,
    teacher_versions,
)
from w2svqa.teachers.admission import AdmissionConfig
from w2svqa.video.decode import open_clip
from w2svqa.video.scene import write_scene

KINDS = ("blur", "darkening", "h264")
SMALL_TEST = AdmissionConfig(least_contents=2, resamples=20)
CONFIG = LabelConfig(teachers=(TeacherConfig(name="sharp"),), test_primaries=2, admission=SMALL_TEST)


@dataclass
class Sharpness:
    """Mean absolute difference of neighbouring pixels of the key frames; falls with blur."""

    name: str = "sharp"
    version: str = "1"
    higher_is_better: bool = True
    range: tuple[float, float] = (0, 255)
    needs_reference: bool = False
    needs_motion: bool = False
    seen: int = 0

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        values = [sharpness(chunk.key_frame) for chunk in video.chunks()]
        self.seen = len(values)
        return float(np.mean(values))


class Moody(Sharpness):
    """Fails on blurred pictures, in one of two ways."""

    def __init__(self, name: str, *, nan: bool) -> None:
        super().__init__(name=name)
        self.nan = nan

    def score(self, video: Video, reference: Video | None = None) -> float:
        value = super().score(video, reference)
        if value > LIMIT:
            return value
        if self.nan:
            return math.nan
        raise InputError("too smooth", remedy="leave it out")


LIMIT = 4.0


def sharpness(frame: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    return float(np.abs(np.diff(frame.astype(np.float64), axis=1)).mean())


def clip_row(
    path: Path, *, name: str = "0123456789abcdef", primary: bool = True, split: Split = "train", is_still: bool = False
) -> ClipRow:
    return ClipRow(
        clip_id=name,
        path=str(path),
        name=path.name,
        source=name,
        license="CC0",
        primary=primary,
        split=split,
        width=96,
        height=80,
        fps=None if is_still else 6,
        duration=None if is_still else 2,
        codec="ffv1",
        is_still=is_still,
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> ClipRow:
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    write_scene(path, seed=1, height=80, width=96, seconds=2, fps=6)
    return clip_row(path)


@pytest.fixture(autouse=True)
def teachers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = {
        "sharp": Sharpness(),
        "shy": Moody("shy", nan=False),
        "lost": Moody("lost", nan=True),
        "smooth": Sharpness(name="smooth", higher_is_better=False),
    }
    label._load.cache_clear()
    monkeypatch.setattr(label, "load_teacher", lambda name, _: known[name])
    yield
    label._load.cache_clear()


def config(*names: str) -> LabelConfig:
    return replace(CONFIG, teachers=tuple(TeacherConfig(name=name) for name in names))


def labelled(clip: ClipRow, using: LabelConfig = CONFIG, *, tested: bool = False, seed: int = 0) -> Labelled:
    return label_clip(clip, using, tested=frozenset({clip.clip_id} if tested else ()), kinds=KINDS, seed=seed)


@pytest.mark.parametrize("seconds", [1, 2, 9])
def test_an_untested_clip_is_scored_untouched_on_its_first_key_frames(scene: ClipRow, seconds: int) -> None:
    with open_clip(scene.path) as source:
        expected = [sharpness(chunk.key_frame) for chunk in source.chunks()][:seconds]
    found = labelled(scene, replace(CONFIG, seconds=seconds))
    assert not found.tested
    assert found.failures == ()
    (row,) = found.scores
    assert (row.version_id, row.clip_id, row.teacher) == (f"{scene.clip_id}-none-0", scene.clip_id, "sharp")
    assert row.value == pytest.approx(np.mean(expected))


def test_a_tested_clip_is_scored_at_every_level_of_the_kinds_that_vmaf_knows(scene: ClipRow) -> None:
    found = labelled(scene, config("sharp", "smooth"), tested=True)
    assert found.tested
    # blur of 0.1 pixels changes nothing and is no version
    names = ["none-0", *(f"blur-{level}" for level in range(2, 6)), *(f"h264-{level}" for level in range(1, 5))]
    expected = [(f"{scene.clip_id}-{name}", teacher) for name in names for teacher in ("sharp", "smooth")]
    assert [(row.version_id, row.teacher) for row in found.scores] == expected
    blurred = [row.value for row in found.scores if "-blur-" in row.version_id and row.teacher == "sharp"]
    assert blurred == sorted(blurred, reverse=True)
    assert found.scores[0] == labelled(scene).scores[0]


def test_the_same_seed_gives_the_same_scores(scene: ClipRow) -> None:
    one, two, other = (
        label_clip(scene, CONFIG, tested=frozenset({scene.clip_id}), kinds=("noise",), seed=seed) for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


def test_a_teacher_that_fails_has_no_row_and_the_others_go_on(scene: ClipRow) -> None:
    found = labelled(scene, config("shy", "lost", "sharp"), tested=True)
    by_teacher = {
        teacher: {row.version_id for row in found.scores if row.teacher == teacher}
        for teacher in ("sharp", "shy", "lost")
    }
    failed = {row.version_id for row in found.scores if row.teacher == "sharp" and row.value <= LIMIT}
    assert failed
    assert by_teacher["shy"] == by_teacher["lost"] == by_teacher["sharp"] - failed != set()
    assert all(math.isfinite(row.value) for row in found.scores)
    shy, lost = found.failures
    assert shy.startswith(f"scene.mkv: shy: {scene.clip_id}-blur-")
    assert "too smooth" in shy
    assert f"and {len(failed) - 1} more" in shy
    assert "the score is nan" in lost


def test_an_encoder_that_refuses_the_clip_leaves_the_other_scores(tmp_path: Path) -> None:
    write_scene(tmp_path / "small.mkv", seed=1, height=64, width=64, seconds=1, fps=6)
    clip = clip_row(tmp_path / "small.mkv")
    found = label_clip(clip, CONFIG, tested=frozenset({clip.clip_id}), kinds=("blur", "h265"), seed=0)
    assert any("-blur-" in row.version_id for row in found.scores)
    assert not any("-h265-" in row.version_id for row in found.scores)
    (failure,) = found.failures
    assert failure.startswith("small.mkv: versions:")
    assert "too small" in failure


@pytest.mark.parametrize("tested", [False, True])
def test_a_clip_that_cannot_be_decoded_is_an_error(tmp_path: Path, tested: bool) -> None:
    (tmp_path / "broken.mkv").write_bytes(b"nothing")
    with pytest.raises(MediaError, match=r"broken\.mkv"):
        labelled(clip_row(tmp_path / "broken.mkv"), tested=tested)


def test_the_work_and_what_it_returns_travel_between_processes(scene: ClipRow) -> None:
    work = partial(label_clip, config=CONFIG, tested=frozenset({"x"}), kinds=KINDS, seed=0)
    assert pickle.loads(pickle.dumps(work))(scene) == pickle.loads(pickle.dumps(work(scene)))
    found = labelled(scene)
    assert from_mapping(Labelled, json.loads(json.dumps(to_mapping(found)))) == found


def test_teachers_are_loaded_once_per_process(scene: ClipRow, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, parameters: Path | None) -> Sharpness:
        loaded.append(f"{name} of {parameters}")
        return Sharpness(version=f"7 of {name}")

    monkeypatch.setattr(label, "load_teacher", load)
    using = replace(CONFIG, teachers=(TeacherConfig(name="sharp", parameters="somewhere"),))
    labelled(scene, using)
    labelled(scene, using)
    assert loaded == ["sharp of somewhere"]
    assert teacher_versions(using) == {"sharp": "7 of sharp"}


def test_kinds_that_vmaf_cannot_judge_are_left_out() -> None:
    assert kinds_tested(("resizing", "jitter", "darkening", "h265")) == ("resizing", "h265")


# --- who takes part ---------------------------------------------------------------------------------------------------


def pool(videos: int, stills: int) -> list[ClipRow]:
    return [
        clip_row(Path(f"{number}.mkv"), name=f"c{number}", is_still=number >= videos)
        for number in range(videos + stills)
    ]


@pytest.mark.parametrize(
    ("videos", "stills", "expected"),
    [(20, 20, (4, 4)), (2, 20, (2, 6)), (20, 1, (7, 1)), (2, 3, (2, 3)), (0, 0, (0, 0))],
)
def test_videos_and_photographs_share_the_places(videos: int, stills: int, expected: tuple[int, int]) -> None:
    clips = pool(videos, stills)
    chosen = choose_tested(clips, replace(CONFIG, test_primaries=8), seed=0)
    still = {clip.clip_id for clip in clips if clip.is_still}
    assert (len(chosen - still), len(chosen & still)) == expected


def test_only_training_primaries_take_part_and_the_seed_decides() -> None:
    clips = pool(12, 12)
    barred = [
        replace(clip, primary=False) if number % 4 == 0 else replace(clip, split="anchor") if number % 4 == 1 else clip
        for number, clip in enumerate(clips)
    ]
    using = replace(CONFIG, test_primaries=8)
    chosen = choose_tested(barred, using, seed=0)
    assert chosen <= {clip.clip_id for number, clip in enumerate(clips) if number % 4 > 1}
    assert len(chosen) == 8
    assert choose_tested(barred[::-1], using, seed=0) == chosen
    assert len({choose_tested(barred, using, seed=seed) for seed in range(5)}) > 1


def test_one_more_clip_displaces_one_at_most() -> None:
    clips, using = pool(20, 0), replace(CONFIG, test_primaries=8)
    for number in range(20):
        before = choose_tested(clips[:number] + clips[number + 1 :], using, seed=0)
        assert len(before - choose_tested(clips, using, seed=0)) <= 1


# --- what is made of the scores ---------------------------------------------------------------------------------------


def version(clip: str, kind: str, lvl: int) -> VersionRow:
    return VersionRow(
        version_id=f"{clip}-{kind}-{lvl}",
        clip_id=clip,
        kind=kind,
        level=lvl,
        severity=lvl / 4,
        primary=True,
        split="train",
        is_still=False,
        vmaf=100.0 - 20 * lvl,
        views="",
        row=0,
        stored=False,
        seconds=1,
    )


VERSIONS = [
    version(f"c{number}", kind, lvl)
    for number in range(8)
    for kind, levels in {"none": [0], "blur": [1, 2, 3, 4], "h264": [1, 2, 3, 4]}.items()
    for lvl in levels
]


def scores(teacher: str, sign: int) -> list[ScoreRow]:
    random = np.random.default_rng(0)
    return [
        ScoreRow(
            version_id=row.version_id,
            clip_id=row.clip_id,
            teacher=teacher,
            value=sign * (3 - row.level + 0.1 * float(random.normal())),
        )
        for row in VERSIONS
    ]


def test_good_teachers_label_clips_and_bad_ones_are_heard_no_further() -> None:
    table = scores("sharp", 1) + scores("smooth", 1) + scores("shy", -1)
    found = judge_teachers(table, VERSIONS, config("sharp", "smooth", "shy"), kinds=KINDS, seed=0)
    assert [(record.teacher, record.admitted) for record in found.admissions] == [
        ("sharp", True),
        ("smooth", False),  # it declares that lower is better
        ("shy", False),
    ]
    assert [fit.teacher for fit in found.calibration.fits] == ["sharp"]
    assert set(found.labels) == {f"c{number}" for number in range(8)}
    for each in found.labels.values():
        assert each.teachers == 1
        assert each.mean == pytest.approx(100, abs=10)
        assert each.variance == pytest.approx(found.calibration.fits[0].deviation ** 2)
    assert [line.partition(":")[0] for line in found.lines] == ["sharp", "smooth", "shy", "sharp"]
    facts = json.loads(json.dumps(found.facts, allow_nan=False))
    assert facts["labelled_clips"] == 8
    assert [record["teacher"] for record in facts["admissions"]] == ["sharp", "smooth", "shy"]


def test_an_admitted_teacher_without_vmaf_cannot_be_used_and_says_so() -> None:
    unmeasured = [replace(row, vmaf=None) for row in VERSIONS]
    found = judge_teachers(scores("sharp", 1), unmeasured, CONFIG, kinds=KINDS, seed=0)
    assert found.admissions[0].admitted
    assert found.labels == {}
    assert found.lines[-1].startswith("sharp: not used: sharp scored 0 versions")


def test_empty_tables_refuse_every_teacher() -> None:
    found = judge_teachers([], [], CONFIG, kinds=KINDS, seed=0)
    assert not found.admissions[0].admitted
    assert found.labels == {}
    nobody = judge_teachers([], [], LabelConfig(), kinds=KINDS, seed=0)
    assert (nobody.admissions, nobody.labels, nobody.lines) == ((), {}, ())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"teachers": [{"name": "niqe"}, {"name": "niqe"}]}, "named twice"),
        ({"seconds": 0}, "seconds"),
        ({"test_primaries": 3}, "admission needs 8"),
    ],
)
def test_configurations_that_cannot_be_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(LabelConfig, wrong)


@pytest.mark.parametrize("kind", ["fog", "darkening", "vp9"])
def test_a_kind_that_teachers_cannot_be_calibrated_on_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"calibration_kinds {kind} must be of resizing, blur"):
        LabelConfig(calibration_kinds=("blur", kind))
