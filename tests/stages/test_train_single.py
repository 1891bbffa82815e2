"""Students for single videos learn a teacher's scores, resume to the same weights, and change what they may alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from second_pool import LLAVA, SIDES, SecondPool
from train_pool import KilledError, silent, stop_at

import single_student
from w2svqa.core.errors import ConfigError, InputError, StoreError, W2SVQAError
from w2svqa.stages import train_single as module
from w2svqa.stages.family_llava import LlavaFamily
from w2svqa.stages.single_scores import file_scores, seconds_scores, write_scores
from w2svqa.stages.train_checkpoint import CHECKPOINT
from w2svqa.stages.train_single import ScoredVideo, SingleConfig, places_at, to_hundred, train_single
from w2svqa.stages.train_strong import LlavaRates, LlavaTraining
from w2svqa.stages.train_weights import changing
from w2svqa.students.llava.checkpoint import RANDOM_TINY, load_motion
from w2svqa.students.llava.lora import LoraConfig
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent
from w2svqa.students.llava.single import SingleLoss
from w2svqa.teachers.scores import named_scores
from w2svqa.video.scene import write_scene

pytestmark = pytest.mark.llm

CONFIG = SingleConfig(model=LLAVA, batch=4, steps=6, checkpoint_steps=3, learning_rate=1e-3)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SecondPool:
    return SecondPool(tmp_path_factory.mktemp("seconds"), SIDES["llava"])


@pytest.fixture(scope="module")
def dozen(pool: SecondPool) -> list[ScoredVideo]:
    """Twelve videos of one to three seconds; their scores have nothing to do with what else is known of them."""
    random = np.random.default_rng(3)
    return [
        ScoredVideo(name=row.version_id, path=pool.folder / row.views, row=row.row, score=score)
        for row, score in zip(pool.versions[:12], random.permutation(12) * 100 / 11, strict=True)
    ]


def trained(videos: list[ScoredVideo], folder: Path, config: SingleConfig = CONFIG) -> LlavaModel:
    return train_single(videos, config, folder, seed=0, progress=silent)


def untrained(model: LlavaTraining) -> LlavaModel:
    return LlavaFamily(model).build((), seed=0, precision="fp32")


def assert_equal(one: LlavaModel, other: LlavaModel) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "steps"), [("cross_entropy", 90), ("l1", 150), ("mse", 150)])
def test_a_dozen_scores_are_learned_by_heart(
    dozen: list[ScoredVideo], tmp_path: Path, loss: SingleLoss, steps: int
) -> None:
    model = replace(LLAVA, rates=LlavaRates(vision_tower=1.0))
    config = replace(CONFIG, model=model, loss=loss, batch=12, steps=steps, learning_rate=1e-2)
    seen = [video.seconds() for video in dozen]
    before, after = untrained(model).eval(), trained(dozen, tmp_path, config)
    far, near = (
        np.abs([said - video.score for said, video in zip(seconds_scores(student, seen), dozen, strict=True)])
        for student in (before, after)
    )
    assert far.mean() > 20
    assert near.max() < 10


@pytest.mark.parametrize("last", [2, 5])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    dozen: list[ScoredVideo], tmp_path: Path, last: int
) -> None:
    config = replace(CONFIG, model=replace(LLAVA, lora=LoraConfig(rank=2, alpha=2, dropout=0.5)))
    whole = trained(dozen, tmp_path / "whole", config)
    with pytest.raises(KilledError):
        train_single(dozen, config, tmp_path / "killed", seed=0, progress=stop_at(last))
    torch.manual_seed(last)
    assert_equal(trained(dozen, tmp_path / "killed", config), whole)
    assert_equal(trained(dozen, tmp_path / "whole", config), whole)  # only read


def test_what_is_frozen_is_bit_identical_and_is_not_saved(dozen: list[ScoredVideo], tmp_path: Path) -> None:
    config = replace(CONFIG, model=replace(LLAVA, rates=LlavaRates(vision_tower=0)), weight_decay=0.1)
    before = untrained(config.model).state_dict()
    after = trained(dozen, tmp_path, config)
    moving = changing(after).keys()
    assert {name for name, value in before.items() if not torch.equal(value, after.state_dict()[name])} == moving
    parts = {name.rpartition("projector")[0] for name in moving}
    assert parts == {"backbone.model.multi_modal_", "motion_"}
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["model"].keys() == moving


def test_parts_have_their_share_of_the_rate(
    dozen: list[ScoredVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[float]] = []
    take = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *options: Any) -> object:  # noqa: ANN401 (passed on)
        rates.append([group["lr"] for group in self.param_groups])
        return take(self, *options)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    trained(dozen, tmp_path, replace(CONFIG, steps=2, warm_up=0.0))
    assert [row[0] / row[1] for row in rates] == pytest.approx([0.2, 0.2])
    assert rates[0][1] > rates[1][1] > 0


@pytest.mark.parametrize("batch", [1, 3, 4, 9])
def test_each_video_is_seen_once_before_any_is_seen_again(batch: int) -> None:
    seen = [place for step in range(12) for place in places_at(step, 4, batch, seed=1)]
    assert len(seen) == 12 * batch
    rounds = [seen[start : start + 4] for start in range(0, len(seen) - 3, 4)]
    assert all(sorted(each) == [0, 1, 2, 3] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_a_finished_student_scores_files_into_a_table_that_evaluation_reads(
    dozen: list[ScoredVideo], tmp_path: Path
) -> None:
    model = trained(dozen, tmp_path / "training", replace(CONFIG, steps=1))
    student = LlavaStudent(model, load_motion(RANDOM_TINY, model.config), name="single")
    files = [tmp_path / "a.mkv", tmp_path / "b.mkv"]
    for seed, file in enumerate(files):
        write_scene(file, seed=seed, height=40, width=48, seconds=2, fps=5)
    scores = file_scores(student, files)
    assert all(0 <= score <= 100 for score in scores.values())
    assert len(set(scores.values())) == 2
    hurried = LlavaStudent(
        model, load_motion(RANDOM_TINY, model.config), name="1 s", options=LlavaOptions(most_seconds=1)
    )
    assert file_scores(hurried, files[:1]) != {str(files[0]): pytest.approx(scores[str(files[0])])}
    write_scores(tmp_path / "single.csv", scores)
    assert named_scores(tmp_path / "single.csv")[0] == pytest.approx(scores)
    with pytest.raises(InputError, match=r"none\.mkv"):
        file_scores(student, [tmp_path / "none.mkv"])


@pytest.mark.parametrize("score", [-0.1, 100.1, float("nan"), float("inf")])
def test_scores_beyond_the_scale_are_refused(dozen: list[ScoredVideo], tmp_path: Path, score: float) -> None:
    with pytest.raises(InputError, match=rf"{dozen[1].name} is {score:g}, none of 0-100"):
        trained([dozen[0], replace(dozen[1], score=score)], tmp_path)


@pytest.mark.parametrize("places", [[], [0], [0, 0]])
def test_fewer_than_two_videos_are_refused(dozen: list[ScoredVideo], tmp_path: Path, places: list[int]) -> None:
    with pytest.raises(InputError, match=f"{len(places)} videos"):
        trained([dozen[place] for place in places], tmp_path)


def test_missing_seconds_are_named_before_anything_is_loaded(
    dozen: list[ScoredVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, "LlavaFamily")
    with pytest.raises(StoreError, match=rf"gone\.npz.*{dozen[1].name}"):
        trained([dozen[0], replace(dozen[1], path=tmp_path / "gone.npz")], tmp_path)


def test_another_training_does_not_go_on_from_a_checkpoint(dozen: list[ScoredVideo], tmp_path: Path) -> None:
    trained(dozen, tmp_path, replace(CONFIG, steps=1))
    for videos, config in ((dozen, replace(CONFIG, steps=2)), (dozen[1:], replace(CONFIG, steps=1))):
        with pytest.raises(ConfigError, match="of other videos, scores, settings"):
            trained(videos, tmp_path, config)


def test_a_loss_that_is_no_number_names_its_videos(dozen: list[ScoredVideo], tmp_path: Path) -> None:
    with pytest.raises(W2SVQAError, match=r"step \d+, whose batch held .*-noise-\d.*: the logits are not finite"):
        trained(dozen, tmp_path, replace(CONFIG, learning_rate=1e30, clip_norm=1e30, warm_up=0.0, steps=20))


def test_memory_that_is_full_is_told_with_its_knobs(
    dozen: list[ScoredVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(LlavaModel, "level_logits", full)
    with pytest.raises(
        W2SVQAError, match=r"step 1, whose batch held .*: the memory of the GPU is full: tried"
    ) as caught:
        trained(dozen, tmp_path)
    assert "batch" in str(caught.value.remedy)


def test_brain_floats_come_out_as_a_model_that_scores(dozen: list[ScoredVideo], tmp_path: Path) -> None:
    model = trained(dozen, tmp_path, replace(CONFIG, precision="bf16", steps=2))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    scores = seconds_scores(model, [video.seconds() for video in dozen[:2]])
    assert scores[0] != scores[1]


@pytest.mark.parametrize("change", [{"batch": 0}, {"steps": 0}, {"checkpoint_steps": 0}])
def test_settings_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        replace(CONFIG, **change)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6, unique=True), st.booleans())
def test_a_teachers_scale_reaches_from_0_to_100_in_its_order(values: list[float], higher: bool) -> None:
    scores = to_hundred(values, higher_is_better=higher)
    assert (min(scores), max(scores)) == (0, 100)
    order = np.argsort(values) if higher else np.argsort(values)[::-1]
    assert (np.diff(np.array(scores)[order]) >= 0).all()


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [1.0, float("nan")]])
def test_scores_that_make_no_scale_are_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="make no scale"):
        to_hundred(values)


@pytest.mark.slow
def test_the_benchmark_lays_students_beside_their_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["single_student.py", "--scenes", "3", "--steps", "1"])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    single_student.main()
    lines = capsys.readouterr().out.splitlines()
    assert any("mean nothing" in line for line in lines)
    found = json.loads(lines[-1])
    [row] = found["rows"]
    assert (row["teacher"], found["small"]) == ("cpbd", False)
    assert row["teacher_in"] > 0.5
    assert all(-1 <= row[name] <= 1 for name in ("student_in", "teacher_out", "student_out"))
