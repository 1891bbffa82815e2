"""Labelling a pool: what is scored, what is kept, and what one bad video costs."""

from __future__ import annotations

import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from label_fakes import FakePool

from w2svqa.core.errors import ConfigError, StoreError, UnwritableError
from w2svqa.core.files import hold
from w2svqa.core.inputs import expand_inputs
from w2svqa.core.rows import TeacherScoreRow, VideoRow
from w2svqa.core.store import read_artifact
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.stages.pool_scores import SCORES, VIDEOS, LabelledPool, LabelPoolConfig, label_pool
from w2svqa.stages.pool_teachers import PoolTeacher

GREY = PoolTeacher(name="grey")


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePool:
    return FakePool(tmp_path, monkeypatch)


def run(pool: FakePool, *teachers: PoolTeacher, **options: object) -> LabelledPool:
    config = LabelPoolConfig(teachers=teachers or (GREY,))
    return label_pool(expand_inputs([str(pool.folder)]), pool.output, replace(config, **options))  # type: ignore[arg-type]  # of the configuration


def values(labelled: LabelledPool, teacher: str = "grey") -> dict[str, float | None]:
    names = {row.clip_id: Path(row.path).stem for row in labelled.videos}
    return {
        names[row.clip_id]: None if row.value is None else round(row.value)
        for row in labelled.scores
        if row.teacher == teacher
    }


def reasons(labelled: LabelledPool) -> dict[str, str | None]:
    names = {row.clip_id: Path(row.path).stem for row in labelled.videos}
    return {names[row.clip_id]: row.message for row in labelled.scores if row.value is None}


def test_all_is_scored_once_and_stands_in_two_tables(pool: FakePool) -> None:
    for level in (10, 200, 90):
        pool.clip(f"v{level}.mkv", level)
    told: list[tuple[str, int, int]] = []
    config = LabelPoolConfig(teachers=(GREY,), workers=2)
    labelled = label_pool(
        expand_inputs([str(pool.folder)]), pool.output, config, progress=lambda *facts: told.append(facts[:3])
    )
    assert values(labelled) == {"v10": 10, "v200": 200, "v90": 90}
    assert labelled.failed == 0
    assert pool.asked() == ["grey v10", "grey v200", "grey v90"]
    assert [each for each in told if each[0] == "grey"] == [("grey", done, 3) for done in (1, 2, 3, 3)]
    videos = read_artifact(pool.output / VIDEOS, VideoRow, kind=VIDEOS)
    scores = read_artifact(pool.output / SCORES, TeacherScoreRow, kind=SCORES)
    assert (tuple(videos.rows), tuple(scores.rows)) == (labelled.videos, labelled.scores)
    assert all(row.clip_id == row.sha256[:16] for row in videos.rows)
    assert scores.manifest.extra["teachers"] == {
        "grey": {"version": "1", "higher_is_better": True, "range": [0.0, 255.0], "ok": 3, "failed": 0}
    }
    # a second call scores nothing and writes nothing
    tables = [path for folder in (VIDEOS, SCORES) for path in sorted((pool.output / folder).iterdir())]
    stamps = [path.stat().st_mtime_ns for path in tables]
    again = run(pool)
    assert (again.scores, again.labels[0].computed) == (labelled.scores, 0)
    assert pool.asked() == []
    assert [path.stat().st_mtime_ns for path in tables] == stamps


def test_what_is_new_is_scored_and_nothing_else(pool: FakePool) -> None:
    pool.clip("a.mkv", 10)
    pool.clip("b.mkv", 20)
    run(pool)
    pool.asked()
    pool.clip("c.mkv", 30)  # another video
    assert values(run(pool)) == {"a": 10, "b": 20, "c": 30}
    assert pool.asked() == ["grey c"]
    pool.clip("b.mkv", 200)  # a changed one
    assert values(run(pool)) == {"a": 10, "b": 200, "c": 30}
    assert pool.asked() == ["grey b"]
    shutil.copy(pool.folder / "a.mkv", pool.folder / "z.mkv")  # the same content
    labelled = run(pool)
    assert values(labelled) == {"a": 10, "b": 200, "c": 30}
    assert labelled.pool.repeated == {str(pool.folder / "z.mkv"): str(pool.folder / "a.mkv")}
    assert pool.asked() == []


def test_another_version_or_option_of_a_teacher_is_another_teacher(pool: FakePool, tmp_path: Path) -> None:
    pool.clip("a.mkv", 10)
    version = tmp_path / "version"
    asked = []
    for text, shift in (("1", 0.0), ("2", 0.0), ("2", 5.0), ("1", 0.0)):
        version.write_text(text)
        labelled = run(pool, PoolTeacher(name="grey", parameters=str(version), options={"shift": shift}))
        asked.append((labelled.scores[0].version, values(labelled)["a"], len(pool.asked())))
    # options at their default are not told apart from none, and what was scored before is still there
    assert asked == [("1", 10, 1), ("2", 10, 1), ("2 shift=5.0", 15, 1), ("1", 10, 0)]


def test_one_bad_video_is_a_row_with_its_reason_and_the_rest_goes_on(
    pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("crash", "fail", "good", "hang", "inf", "nan", "refuse", "well")
    for level, name in enumerate(names):
        pool.clip(f"{name}.mkv", 20 * level)
    (pool.folder / "text.mp4").write_text("no video")
    (pool.folder / "gone.mp4").symlink_to("nowhere")
    labelled = run(pool, workers=2, time_out=4.0)
    assert values(labelled) == {
        "good": 40,
        "well": 140,
        **dict.fromkeys(("crash", "fail", "hang", "inf", "nan", "refuse", "text", "gone")),
    }
    told = {name: str(message) for name, message in reasons(labelled).items()}
    assert told["crash"].startswith("the worker process died twice")
    assert told["fail"].startswith("ValueError: division by cucumber (at label_fakes.py:")
    assert told["hang"] == "no answer within 4 s: its process was stopped (allow more time, or leave it out)"
    assert (told["inf"], told["nan"]) == ("the score is inf", "the score is nan")
    assert told["refuse"] == "too dark to judge (switch on the light)"
    assert "points to nothing" in told["gone"]
    assert "text.mp4" not in told["text"]
    rows = {Path(row.path).stem: row for row in labelled.videos}
    assert (rows["gone"].sha256, len(rows["gone"].clip_id)) == ("", 16)
    # failures are kept too, until they are to be tried again
    pool.asked()
    assert run(pool).scores == labelled.scores
    assert pool.asked() == []
    monkeypatch.setenv("FAKE_TEACHER_IS_WELL", "1")
    assert values(run(pool, retry_failed=True, workers=2)) == {
        **{name: 20 * level for level, name in enumerate(names)},
        "text": None,
        "gone": None,
    }
    assert len(pool.asked()) == len(names) - 2


def test_a_process_with_a_broken_gpu_is_replaced(pool: FakePool) -> None:
    pool.clip("spoil.mkv", 10)
    pool.clip("z.mkv", 20)
    assert values(run(pool)) == {"spoil": 1, "z": 20}


def test_a_full_disk_ends_the_run_and_what_was_scored_stays(pool: FakePool) -> None:
    pool.clip("a.mkv", 10)
    pool.clip("full.mkv", 20)
    with pytest.raises(UnwritableError, match="No space left"):
        run(pool)
    assert pool.asked() == ["grey a", "grey full"]
    (pool.folder / "full.mkv").unlink()
    assert values(run(pool)) == {"a": 10}
    assert pool.asked() == []


def test_references_come_from_the_manifest(pool: FakePool) -> None:
    pool.clip("clean.mkv", 100)
    pool.clip("noisy.mkv", 130)
    pool.clip("lost.mkv", 50)
    manifest = pool.folder / "manifest.csv"
    manifest.write_text("clip,reference\nnoisy.mkv,clean.mkv\nlost.mkv,../nowhere.mkv\n")
    teachers = (GREY, PoolTeacher(name="contrast"))
    labelled = run(pool, *teachers, manifest=PoolManifest(path=str(manifest)))
    assert values(labelled, "grey") == {"clean": 100, "noisy": 130, "lost": 50}
    assert values(labelled, "contrast") == {"clean": None, "noisy": 30, "lost": None}
    told = reasons(labelled)
    assert "there is none (name the source of each video in the column 'reference'" in str(told["clean"])
    assert "nowhere.mkv: cannot be read: No such file" in str(told["lost"])
    pool.asked()
    # another reference is another score; the teacher without reference is not asked again
    pool.clip("clean.mkv", 110)
    assert values(run(pool, *teachers, manifest=PoolManifest(path=str(manifest))), "contrast")["noisy"] == 20
    assert pool.asked() == ["contrast noisy", "grey clean"]


def test_teachers_that_cannot_run_are_told_before_any_work(pool: FakePool) -> None:
    pool.clip("a.mkv", 10)
    missing = PoolTeacher(name="niqe")
    with pytest.raises(ConfigError) as caught:
        run(pool, GREY, missing, PoolTeacher(name="broken"), PoolTeacher(name="gray"))
    text = str(caught.value)
    assert text.startswith("3 of the teachers cannot run: ")
    assert "the teacher 'niqe' has no parameters" in text
    assert re.search(r"the teacher 'broken' \(\S+\) cannot be imported: AttributeError", text)
    assert "unknown teacher 'gray' (did you mean 'grey'?" in text
    with pytest.raises(ConfigError, match="no option light"):
        run(pool, PoolTeacher(name="grey", options={"light": 1}))
    assert pool.asked() == []
    labelled = run(pool, GREY, missing, skip_unavailable=True)
    assert values(labelled) == {"a": 10}
    assert list(labelled.unavailable) == ["niqe"]
    with pytest.raises(ConfigError, match="cannot run"):
        run(pool, missing, skip_unavailable=True)


def test_a_teacher_whose_version_is_known_is_loaded_only_to_score(pool: FakePool) -> None:
    pool.clip("a.mkv", 10)
    assert values(run(pool, PoolTeacher(name="heavy")), "heavy") == {"a": 10}
    assert pool.asked() == ["heavy a", "heavy loaded"]
    # nothing is left to score, whatever the batch
    labelled = run(pool, PoolTeacher(name="heavy", options={"batch": 8}))
    assert (labelled.scores[0].version, labelled.scores[0].value, pool.asked()) == ("1", 10, [])


@pytest.mark.parametrize(
    ("parameters", "problem"), [("bad", "1 key not finite"), ("changed", "were changed meanwhile")]
)
def test_what_loading_alone_shows_is_told_then(pool: FakePool, parameters: str, problem: str) -> None:
    pool.clip("a.mkv", 10)
    faulty = PoolTeacher(name="heavy", parameters=parameters)
    with pytest.raises(ConfigError, match=f"1 of the teachers cannot run: heavy: .*{problem}"):
        run(pool, faulty, GREY)
    labelled = run(pool, faulty, GREY, skip_unavailable=True)
    assert problem in labelled.unavailable["heavy"]
    assert values(labelled) == {"a": 10}
    with pytest.raises(ConfigError, match="cannot run"):
        run(pool, faulty, skip_unavailable=True)


def test_a_teacher_on_devices_has_one_process_on_each(pool: FakePool) -> None:
    for level in range(6):
        pool.clip(f"{level}.mkv", 30 * level)
    run(pool, PoolTeacher(name="placed"), devices=("gpu:0", "gpu:1"), workers=5)
    devices, processes, threads = zip(*(line.split() for line in pool.asked()), strict=True)
    assert set(devices) == {"gpu:0", "gpu:1"}
    assert len(set(zip(devices, processes, strict=True))) == 2
    assert "OMP_NUM_THREADS" in os.environ or set(threads) == {str(max(1, len(os.sched_getaffinity(0)) // 2))}


def test_a_teacher_that_goes_by_names_is_asked_again_where_the_name_changed(pool: FakePool) -> None:
    pool.clip("b.mkv", 10)
    teacher = PoolTeacher(name="table:a+c")
    first = run(pool, teacher)
    assert (values(first, "table:a+c"), first.labels[0].notes) == ({"b": None}, ("0 joined",))
    (pool.folder / "b.mkv").rename(pool.folder / "a.mkv")
    second = run(pool, teacher)
    assert (values(second, "table:a+c"), second.labels[0].notes) == ({"a": 5}, ("1 joined",))


def test_a_held_folder_is_refused(pool: FakePool) -> None:
    pool.clip("a.mkv", 10)
    with hold(pool.output), pytest.raises(StoreError, match="held by process"):
        run(pool)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"teachers": ()}, "no teacher is named"),
        ({"teachers": (GREY, GREY)}, "named twice: grey"),
        ({"workers": 0}, "0 workers"),
        ({"devices": ()}, "0 devices"),
        ({"time_out": 0.0}, "time-out of 0"),
        ({"time_out": math.inf}, "time-out of inf"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        replace(LabelPoolConfig(teachers=(GREY,)), **options)  # type: ignore[arg-type]  # of the configuration


def test_no_video_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no video"):
        label_pool([], tmp_path / "output", LabelPoolConfig(teachers=(GREY,)))
