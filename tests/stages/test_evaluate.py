"""Evaluations as a whole: figures, differences, what is missing, what is refused, and nothing decoded twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import rated, scored, write_table
from label_fakes import FakePool

from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.evaluation_rows import AgreementRow, DifferenceRow, JoinedRow
from w2svqa.core.files import hold, sha256_file
from w2svqa.core.store import read_artifact
from w2svqa.stages.benchmark_table import BENCHMARKS
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluate import EvaluateConfig, Evaluation, evaluate
from w2svqa.stages.evaluation_models import rated_set
from w2svqa.stages.pool_teachers import PoolTeacher
from w2svqa.stages.ratings import read_ratings
from w2svqa.students.bundle import CARD

pytest.importorskip("scipy")
pytest.importorskip("pyarrow")

QUICK = EvaluateConfig(resamples=50)


def row(evaluation: Evaluation, model: str, measure: str = "srcc", **told: str) -> AgreementRow:
    asked = {"facet": "", "part": "", "benchmark": "mine"} | told
    [found] = [
        each
        for each in evaluation.figures
        if (each.model, each.measure) == (model, measure)
        and all(getattr(each, key) == value for key, value in asked.items())
    ]
    return found


def test_tables_hold_what_was_found(tmp_path: Path) -> None:
    models = [scored(tmp_path, "good", 0.3), scored(tmp_path, "weaker", 1.5)]
    evaluation = evaluate([rated(tmp_path)], models, tmp_path / "out", QUICK)
    joined = read_artifact(tmp_path / "out" / "joined", JoinedRow).rows
    figures = read_artifact(tmp_path / "out" / "figures", AgreementRow)
    differences = read_artifact(tmp_path / "out" / "differences", DifferenceRow).rows
    assert len(joined) == 80
    assert figures.rows == list(evaluation.figures)
    assert figures.manifest.extra["models"] == ["good", "weaker"]
    good, weaker = row(evaluation, "good"), row(evaluation, "weaker")
    assert (good.n, good.expected, good.contents) == (40, 40, 20)
    assert good.value is not None
    assert weaker.value is not None
    assert good.value > weaker.value
    assert [(each.measure, each.first, each.second) for each in differences] == [
        ("srcc", "good", "weaker"),
        ("plcc", "good", "weaker"),
    ]
    assert differences[0].value == pytest.approx(good.value - weaker.value)
    assert differences[0].p is not None
    assert differences[0].p < 0.05


def test_parts_have_figures_of_their_own(tmp_path: Path) -> None:
    evaluation = evaluate([rated(tmp_path)], [scored(tmp_path, "good", 0.3)], None, QUICK)
    assert row(evaluation, "good", facet="distortion", part="blur").n == 20
    # two videos of a content are too few
    assert not [each for each in evaluation.figures if each.facet == "content"]


def test_a_model_that_misses_videos_is_compared_on_those_of_both(tmp_path: Path) -> None:
    gaps = {f"v{number}": "" for number in range(10)} | {"v11": "nan", "v12": "inf"}
    models = [scored(tmp_path, "whole", 0.5), scored(tmp_path, "holed", 0.5, changed=gaps)]
    evaluation = evaluate([rated(tmp_path)], models, None, QUICK)
    assert (row(evaluation, "holed").n, row(evaluation, "holed").expected) == (28, 40)
    assert {each.n for each in evaluation.differences} == {28}
    missing = [each for each in evaluation.joined if each.score is None]
    assert len(missing) == 12
    assert {each.message for each in missing} == {"the table has no number for it"}


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the score in row 4 is no number: 'bad'"):
        evaluate([rated(tmp_path)], [scored(tmp_path, "m", 1, changed={"v3": "bad"})], None, QUICK)


def test_wrong_direction_is_told_and_not_turned(tmp_path: Path) -> None:
    models = [scored(tmp_path, "distance", 0.3, sign=-1)]
    evaluation = evaluate([rated(tmp_path)], models, None, QUICK)
    found = row(evaluation, "distance").value
    assert found is not None
    assert found < -0.8
    assert any("scores fall where ratings rise" in note for note in evaluation.notes)
    declared = evaluate([rated(tmp_path)], [replace(models[0], higher_is_better=False)], None, QUICK)
    assert row(declared, "distance").value == pytest.approx(-found)
    assert declared.joined[0].score == evaluation.joined[0].score  # stored as they were
    assert not any("fall" in note for note in declared.notes)


def test_differential_ratings_are_of_the_other_direction(tmp_path: Path) -> None:
    mine = Benchmark(name="mine", higher_is_better=False)
    evaluation = evaluate([rated(tmp_path, benchmark=mine)], [scored(tmp_path, "distance", 0.3, sign=-1)], None, QUICK)
    found = row(evaluation, "distance").value
    assert found is not None
    assert found > 0.8


def test_too_few_videos_have_no_figure_but_a_reason(tmp_path: Path) -> None:
    evaluation = evaluate([rated(tmp_path, 2)], [scored(tmp_path, "m", 0.1, 2)], tmp_path / "out", QUICK)
    assert row(evaluation, "m").message == "2 videos have a score and a rating, a correlation takes 3"
    assert len(evaluation.empty) == 1
    assert evaluation.differences == []


def test_constant_scores_have_no_figure_but_a_reason(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(40)]
    write_table(tmp_path / "flat.csv", names, score=[0.5] * 40)
    flat = replace(scored(tmp_path, "m", 1), name="flat", paths=(str(tmp_path / "flat.csv"),))
    evaluation = evaluate([rated(tmp_path)], [flat, scored(tmp_path, "m", 1)], None, QUICK)
    assert row(evaluation, "flat").message == "the model gives all 40 videos the same score"
    assert evaluation.differences == []


def test_overall_is_of_whole_groups_only(tmp_path: Path) -> None:
    sets = [rated(tmp_path, benchmark=replace(each, videos=40)) for each in BENCHMARKS if each.group == "OOD"]
    models = [scored(tmp_path, "m", 1.0)]
    whole = evaluate(sets, models, None, QUICK)
    found = row(whole, "m", benchmark="OOD-overall")
    assert (found.n, found.contents) == (200, 100)
    assert found.value == pytest.approx(row(whole, "m", benchmark="kvq").value)
    part = evaluate(sets[1:], models, None, QUICK)
    assert not [each for each in part.figures if each.benchmark.endswith("overall")]


def test_a_model_of_several_tables_takes_the_one_that_fits(tmp_path: Path) -> None:
    one, other = scored(tmp_path, "one", 0.5), tmp_path / "other.csv"
    write_table(other, ["x1", "x2", "x3", "x4"], score=[1, 2, 3, 4])
    second = write_table(tmp_path / "second.csv", ["x1.mp4", "x2.mp4", "x3.mp4", "x4.mp4"], mos=[1, 2, 4, 3])
    sets = [rated(tmp_path), rated_set(read_ratings(second, Benchmark(name="second")), None)]
    both = replace(one, name="both", paths=(*one.paths, str(other)))
    evaluation = evaluate(sets, [both, one], None, QUICK)
    assert row(evaluation, "both", benchmark="second").n == 4
    assert row(evaluation, "both").n == 40
    assert "second: one has no score of its videos" in evaluation.notes


def test_a_table_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "else.csv", ["x", "y", "z"], score=[1, 2, 3])
    table = replace(scored(tmp_path, "m", 1), paths=(str(tmp_path / "else.csv"),))
    with pytest.raises(InputError, match=r"scores no video of mine, such as v0\.mp4"):
        evaluate([rated(tmp_path)], [table], None, QUICK)


def test_names_must_differ_and_be_there(tmp_path: Path) -> None:
    model = scored(tmp_path, "m", 1)
    with pytest.raises(ConfigError, match="two of the models are called m"):
        evaluate([rated(tmp_path)], [model, model], None, QUICK)
    with pytest.raises(ConfigError, match="there is no benchmark"):
        evaluate([], [model], None, QUICK)
    with pytest.raises(ConfigError, match="keep their scores in a folder"):
        evaluate([rated(tmp_path)], [PoolTeacher(name="cpbd")], None, QUICK)
    with pytest.raises(ConfigError, match="there are no videos to score"):
        evaluate([rated(tmp_path)], [PoolTeacher(name="cpbd")], tmp_path / "out", QUICK)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path / "out"), pytest.raises(StoreError, match="held by process"):
        evaluate([rated(tmp_path)], [scored(tmp_path, "m", 1)], tmp_path / "out", QUICK)


def test_files_are_scored_once_whatever_is_asked_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = FakePool(tmp_path, monkeypatch)
    for number in range(4):
        pool.clip(f"v{number}.mkv", 40 + 40 * number)
    (pool.folder / "v4.mkv").write_bytes(b"no video")
    found = rated(tmp_path, 6, videos=pool.folder)
    assert any("1 ratings without videos: v5.mp4" in note for note in found.notes)
    teacher = PoolTeacher(name="grey")
    first = evaluate([found], [teacher], pool.output, QUICK)
    assert row(first, "grey").n == 4
    assert {each.video: each.message is None for each in first.joined} == {f"v{n}.mp4": n < 4 for n in range(6)}
    assert any("1 videos could not be scored: v4.mp4" in note for note in first.notes)
    assert pool.asked() == [f"grey v{number}" for number in range(4)]
    (pool.folder / "v0.mkv").rename(pool.folder / "renamed.mkv")
    write_table(tmp_path / "again.csv", ["renamed", "v1", "v2", "v3"], mos=[4, 3, 2, 1])
    other = rated_set(read_ratings(tmp_path / "again.csv", Benchmark(name="again")), pool.folder)
    second = evaluate([other], [teacher], pool.output, QUICK)
    assert pool.asked() == []
    assert row(second, "grey", benchmark="again").value == pytest.approx(-1)


def test_copies_of_a_video_have_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = FakePool(tmp_path, monkeypatch)
    for number, level in enumerate((40, 80, 120, 40)):
        pool.clip(f"v{number}.mkv", level)
    evaluation = evaluate([rated(tmp_path, 4, videos=pool.folder)], [PoolTeacher(name="grey")], pool.output, QUICK)
    assert [each.score for each in evaluation.joined] == [40, 80, 120, 40]
    assert len(pool.asked()) == 3


def test_a_student_is_not_evaluated_on_what_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = FakePool(tmp_path, monkeypatch)
    clips = [pool.clip(f"v{number}.mkv", 40 + number) for number in range(3)]
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    card = {"data": {"clips": [{"sha256_16": sha256_file(clips[1])[:16]}]}}
    (bundle / CARD).write_text(json.dumps(card))
    student = PoolTeacher(name=f"student:{bundle}")
    with pytest.raises(ConfigError, match=r"was trained on 1 of the videos: .*v1\.mkv"):
        evaluate([rated(tmp_path, 3, videos=pool.folder)], [student], pool.output, QUICK)


def test_a_folder_without_the_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "x.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 40 videos of mine is here, such as v0\.mp4"):
        rated(tmp_path, videos=tmp_path / "videos")
    with pytest.raises(InputError, match="no such file or folder"):
        rated(tmp_path, videos=tmp_path / "nowhere")
