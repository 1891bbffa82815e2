"""A bundle of a LLaVA student: what was trained goes in, the rest comes from the checkpoint, and nothing is guessed."""

from __future__ import annotations

import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from llava_cases import CPU, plain_logits, tiny_student, videos, write_bundle
from torch import Tensor

from w2svqa.core.errors import BundleError, ConfigError, MissingExtraError, MissingInputError, W2SVQAError
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import CARD, Bundle, load_bundle, write_card
from w2svqa.students.llava import bundle as module
from w2svqa.students.llava.bundle import Changed, Judging
from w2svqa.students.llava.checkpoint import MOTION
from w2svqa.students.llava.runtime import LlavaStudent
from w2svqa.video.encode import write_lossless

pytestmark = pytest.mark.llm

LINEAR = "model.multi_modal_projector.linear_1.weight"
QUERY = "model.language_model.layers.0.self_attn.q_proj.weight"


def names(student: LlavaStudent) -> dict[str, Tensor]:
    return dict(student.model.backbone.named_parameters())


def trained() -> tuple[LlavaStudent, Changed]:
    """A student some of whose weights differ from the checkpoint's, one of them by a low-rank update."""
    student = tiny_student()
    random = torch.Generator().manual_seed(0)
    [tower] = [name for name in names(student) if name.endswith("layers.0.mlp.fc1.weight") and "vision" in name]
    rows, columns = names(student)[QUERY].shape
    down, up = torch.randn(2, columns, generator=random), torch.randn(rows, 2, generator=random)
    with torch.no_grad():
        for name in (tower, LINEAR):
            names(student)[name].add_(torch.randn(names(student)[name].shape, generator=random) * 0.3)
        names(student)[QUERY].add_(0.5 * up @ down)
        student.model.motion_projector.get_parameter("0.bias").add_(1.0)
    changed = Changed(
        weights={name: names(student)[name] for name in (tower, LINEAR)}, updates={QUERY: (down, up)}, scale=0.5
    )
    return student, changed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    student, changed = trained()
    return write_bundle(tmp_path_factory.mktemp("llava") / "whole", student, changed=changed)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "bundle")


def edit_card(folder: Path, **entries: object) -> None:
    card = json.loads((folder / CARD).read_text())
    card = {key: value for key, value in (card | entries).items() if value is not None}
    (folder / CARD).write_text(json.dumps(card))


def load(folder: Path, **options: str) -> tuple[Bundle, LlavaStudent]:
    bundle = load_bundle(folder, CPU | options)
    assert isinstance(bundle.student, LlavaStudent)
    return bundle, bundle.student


@pytest.mark.parametrize("shard", ["4GB", "3KB"])
def test_a_bundle_gives_the_trained_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: str) -> None:
    monkeypatch.setattr(module, "SHARD_SIZE", shard)
    student, changed = trained()
    bundle, loaded = load(write_bundle(tmp_path / "bundle", student, changed=changed))
    assert len(bundle.card["weights"]) == (1 if shard == "4GB" else 2)
    assert set(bundle.card["weights"]) <= set(bundle.card["files"])
    for name, weight in names(student).items():
        assert torch.allclose(names(loaded)[name], weight, atol=1e-6), name
    first, second = videos(student.model, (2, 3))
    assert np.abs(loaded.judge([first], [second]) - plain_logits(student.model, [first], [second])).max() < 1e-4
    assert np.abs(plain_logits(tiny_student().model, [first], [second]) - loaded.judge([first], [second])).max() > 0.05
    biases = [each.model.motion_projector.get_parameter("0.bias") for each in (loaded, student)]
    assert torch.equal(*biases)
    assert [anchor.shape for anchor in bundle.anchors] == [(seconds, 5, loaded.model.hidden) for seconds in (2, 3, 1)]
    assert not any(anchor.flags.writeable for anchor in bundle.anchors)


def test_a_student_that_changed_nothing_has_no_weights(tmp_path: Path) -> None:
    bundle, _ = load(write_bundle(tmp_path / "bundle", tiny_student()))
    assert set(bundle.card["files"]) == {"anchors.npz", MOTION}


def test_what_it_is_called_tells_what_changes_its_scores(folder: Path) -> None:
    assert load(folder)[1].name == "tiny"
    assert load(folder, batch_tokens="100", orders="one", most_seconds="60")[1].name == "tiny"
    student = load(folder, orders="both", most_seconds="9")[1]
    assert student.name == "tiny (both orders, 9 seconds)"
    assert student.both_orders
    assert student.most_seconds == 9


def test_the_card_says_how_it_judges(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", tiny_student(), judging=Judging(orders="both", most_seconds=5))
    bundle, student = load(folder)
    assert bundle.card["judging"] == {"orders": "both", "most_seconds": 5}
    assert (student.both_orders, student.most_seconds, student.name) == (True, 5, "tiny")
    assert load(folder, orders="one")[1].name == "tiny (one order)"


def test_the_anchors_prefixes_are_kept_in_a_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "prefixes.safetensors"
    bundle, student = load(folder, prefix_file=str(path))
    assert len(student.prefixes) == len(bundle.anchors)
    video = videos(student.model, (4,))
    logits = student.judge(bundle.anchors, video * 3)
    again, second = load(folder, prefix_file=str(path))
    assert (second.judge(again.anchors, video * 3) == logits).all()
    with pytest.raises(ConfigError, match="made by another student"):
        load(folder, prefix_file=str(path), dtype="bfloat16")


def refused(folder: Path, **options: str) -> str:
    with pytest.raises(W2SVQAError) as caught:
        load(folder, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"llava": None}, "no 'llava'"),
        ({"llava": {"layout": "other"}}, "no valid 'llava'"),
        ({"base": {"checkpoint": "random-tiny"}}, "no valid 'base'"),
        ({"base": {"checkpoint": "random-tiny", "identity": "other"}}, "was trained from another checkpoint"),
        ({"judging": {"orders": "three"}}, "no valid 'judging'"),
        ({"weights": None}, "lists weights that it has no hash of"),
        ({"weights": ["../weights.safetensors"]}, "lists weights that it has no hash of"),
        ({"weights": [[]]}, "lists weights that it has no hash of"),
        ({"lora_scale": "much"}, "has no number 'lora_scale'"),
    ],
)
def test_cards_that_cannot_be_used(folder: Path, entries: dict[str, object], expected: str) -> None:
    edit_card(folder, **entries)
    assert expected in refused(folder)


@pytest.mark.parametrize(
    ("weights", "updates", "expected"),
    [
        ({"model.unheard_of.weight": (2, 2)}, {}, "which the checkpoint has not"),
        ({LINEAR: (3, 3)}, {}, "is (3, 3), the checkpoint's"),
        ({}, {QUERY: ((2, 5), (32, 2))}, "is (32, 5), the checkpoint's"),
        ({}, {QUERY: ((2, 32), (32, 3))}, "does not fit its other half"),
    ],
)
def test_weights_that_do_not_fit(
    tmp_path: Path,
    weights: dict[str, tuple[int, ...]],
    updates: dict[str, tuple[tuple[int, int], tuple[int, int]]],
    expected: str,
) -> None:
    changed = Changed(
        weights={name: torch.zeros(shape) for name, shape in weights.items()},
        updates={name: (torch.zeros(down), torch.zeros(up)) for name, (down, up) in updates.items()},
    )
    assert expected in refused(write_bundle(tmp_path / "bundle", tiny_student(), changed=changed))


def test_a_damaged_file_with_a_right_hash(folder: Path) -> None:
    for name in ("weights.safetensors", MOTION):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:20])
        write_card(folder, json.loads((folder / CARD).read_text()))
        assert name in refused(folder)
        (folder / name).write_bytes(content)


def test_a_checkpoint_that_is_elsewhere(folder: Path, tmp_path: Path) -> None:
    edit_card(folder, base={"checkpoint": str(tmp_path / "gone"), "identity": "random-tiny-0"})
    with pytest.raises(MissingInputError, match="no such folder"):
        load(folder)
    assert load(folder, checkpoint="random-tiny")[1].name == "tiny"


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_without_what_quantizes(folder: Path, monkeypatch: pytest.MonkeyPatch, bits: str) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"'bitsandbytes'.*pip install 'w2svqa\[quantize\]'"):
        load(folder, quantize=bits)


def test_a_language_model_that_was_trained_is_not_quantized(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "quantization", lambda *_: {"quantization_config": "of no matter here"})
    assert "cannot be quantized (leave quantize out)" in refused(folder, quantize="8bit")


def test_without_transformers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'w2svqa\[llm\]'"):
        load(folder)


def test_a_device_that_is_none(folder: Path) -> None:
    assert "cannot be used" in refused(folder, device="nowhere")


def test_anchors_need_three_axes(folder: Path) -> None:
    arrays = dict(np.load(folder / "anchors.npz"))
    np.savez(
        folder / "anchors.npz", **{name: value[..., 0] if value.ndim == 3 else value for name, value in arrays.items()}
    )
    write_card(folder, json.loads((folder / CARD).read_text()))
    with pytest.raises(BundleError, match="not float32 of 3 axes, seconds first"):
        load(folder)


# ---- scoring -----------------------------------------------------------------------------------------------------


def clip(path: Path, seconds: int, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    frames = (random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(4 * seconds))
    write_lossless(path, frames, fps=Fraction(4))
    return path


def test_a_file_is_scored(folder: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mkv", 3)
    score = Scorer.load(folder, options=CPU).score(path)
    assert (score.status, score.student, score.reasons, score.seconds) == ("ok", "tiny", (), ())
    assert score.value is not None
    assert score.low is not None
    assert score.high is not None
    assert score.low <= score.value <= score.high
    timed = Scorer.load(folder, each_second=True, options=CPU).score(path)
    assert len(timed.seconds) == 3
    assert len(set(timed.seconds)) > 1 or timed.raw is None
    assert timed.raw == pytest.approx(score.raw, abs=1e-3)


def test_seconds_are_scored_where_the_option_says_so(folder: Path, tmp_path: Path) -> None:
    options = CPU | {"each_second": "true"}
    path = clip(tmp_path / "clip.mkv", 2)
    assert len(Scorer.load(folder, options=options).score(path).seconds) == 2
    assert Scorer.load(folder, each_second=False, options=options).score(path).seconds == ()


def test_a_long_file_is_flagged(folder: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mkv", 3)
    scorer = Scorer.load(folder, options=CPU | {"most_seconds": "2"})
    note = "compared by 2 of its 3 seconds, evenly spaced: the frame budget"
    assert note in scorer.score(path).notes
    assert scorer.compare(path, clip(tmp_path / "short.mkv", 1)).notes == (f"{path}: {note}",)
    assert scorer.encode(path).shape[0] == 3


def test_exchanging_two_files_mirrors_the_verdict(folder: Path, tmp_path: Path) -> None:
    scorer = Scorer.load(folder, options=CPU)
    one, two = clip(tmp_path / "one.mkv", 1), clip(tmp_path / "two.mkv", 2, seed=1)
    verdict, other = scorer.compare(one, two), scorer.compare(two, one)
    assert verdict.probabilities == pytest.approx(other.probabilities[::-1], abs=1e-6)
    assert scorer.compare(one, one).preference == pytest.approx(0.5, abs=1e-6)


@pytest.mark.slow
def test_workers_load_the_student_with_its_options(folder: Path, tmp_path: Path) -> None:
    paths = [clip(tmp_path / f"{number}.mkv", 2, seed=number) for number in range(3)]
    scorer = Scorer.load(folder, each_second=True, options=CPU | {"most_seconds": "1"})
    alone = dict(scorer.score_many(paths))
    assert all(len(row.seconds) == 2 and row.student == "tiny (1 seconds)" for row in alone.values())
    together = dict(scorer.score_many(paths, workers=2))
    for index, row in alone.items():
        assert together[index].raw == pytest.approx(row.raw, abs=1e-3)
        assert together[index].notes == row.notes
