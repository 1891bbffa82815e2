"""From a released checkpoint to its score: the whole chain against one written by its description alone.

That chain knows nothing of this package but the made-up checkpoint and prompt: frames through the released names, one
whole sequence per anchor, the whole vocabulary at place -3, probabilities from raw exponentials, PyTorch's Adam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from released_folder import SIDE, released_checkpoint, source_model
from torch import Tensor
from torch.nn import functional

from w2svqa.core.protocols import Student
from w2svqa.core.records import ClipSpec, Tokens
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.students.llava.checkpoint import load_llava
from w2svqa.students.llava.config import released_config
from w2svqa.students.llava.convert import convert_released
from w2svqa.students.llava.model import LlavaModel

pytestmark = pytest.mark.llm

ANCHORS = 5
WORTH = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass
class Judged:
    """The model as a student, or logits given by hand."""

    model: LlavaModel | None = None
    table: NDArray[np.float64] | None = None
    name: str = "judged"
    antisymmetric: bool = False
    clip_spec: ClipSpec = field(default_factory=ClipSpec)

    def encode(self, chunks: Any) -> Tokens:  # noqa: ANN401
        raise NotImplementedError

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        pairs = zip(first, second, strict=True)
        if self.table is not None:
            return np.stack([self.table[int(one[0, 0]), int(two[0, 0])] for one, two in pairs])
        model = self.model
        assert model is not None
        embeds = (model.pair_embeds(torch.from_numpy(one), torch.from_numpy(two)) for one, two in pairs)
        return np.concatenate([model.level_logits(each[None]).double().numpy() for each in embeds])


def released_score(test: NDArray[np.float64], among: NDArray[np.float64]) -> float:
    """The released arithmetic on logits inferior to superior.

    Args:
        test: ``(A, 5)``, of the scored video after each anchor.
        among: ``(A, A, 5)``, of anchor j after anchor i; only i < j is looked at.
    """

    def worth(logits: NDArray[np.float64]) -> float:
        shares = np.exp(logits) / np.exp(logits).sum()
        return float(shares @ WORTH)

    matrix = np.full((ANCHORS + 1, ANCHORS + 1), 0.5)
    for i in range(ANCHORS):
        for j in range(i + 1, ANCHORS):
            matrix[j, i] = worth(among[i, j])
            matrix[i, j] = 1 - matrix[j, i]
        matrix[ANCHORS, i] = worth(test[i] / 5)
        matrix[i, ANCHORS] = 1 - matrix[ANCHORS, i]
    wins = torch.tensor(matrix, dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        places = torch.rand(ANCHORS + 1, requires_grad=True)
    optimizer = torch.optim.Adam([places], lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        chances = torch.sigmoid(places[:, None] - places).clamp(min=1e-6)
        loss = (places**2).sum() / 2 - (wins * chances.log()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = places.detach().numpy()
    return float((100 * (found - found.min()) / (found.max() - found.min()))[-1])


def compatible(student: Student, anchors: Sequence[Tokens]) -> AnchoredJudge:
    scale = Scale(anchor_positions=tuple(np.linspace(-2, 2, len(anchors))), latent_zero=-3, latent_hundred=3)
    return AnchoredJudge(student, anchors, replace(scale, form="released"))


@pytest.mark.parametrize("seed", range(4))
def test_synthetic_logits_get_the_released_scores(seed: int) -> None:
    """Logits that mostly, but not always, agree with a ranking; the scored video is the last."""
    random = np.random.default_rng(seed)
    quality = np.append(np.linspace(-2, 2, ANCHORS), random.uniform(-3, 3))
    table = random.normal(0, 0.7, (ANCHORS + 1, ANCHORS + 1, 5))
    table += (quality[None, :, None] - quality[:, None, None]) * np.linspace(-2, 2, 5)
    videos = [np.full((1, 1), number, np.float32) for number in range(ANCHORS + 1)]
    found = compatible(Judged(table=table), videos[:-1]).score(videos[-1:])
    assert found.value[0] == pytest.approx(released_score(table[:-1, -1], table), abs=2e-3)  # theirs is in 32 bits


def test_the_default_form_corrects_what_the_released_one_ties() -> None:
    """Two videos far above the best anchor: both are 100 there, and different here."""
    quality = np.array([-2, -1, 0, 1, 2, 5, 7.0])
    table = (quality[None, :, None] - quality[:, None, None]) * np.linspace(-2, 2, 5)
    videos = [np.full((1, 1), number, np.float32) for number in range(7)]
    old = compatible(Judged(table=table), videos[:ANCHORS])
    new = AnchoredJudge(old.student, old.anchors, replace(old.scale, form="anchored"))
    assert old.score(videos[ANCHORS:]).value.tolist() == [100.0, 100.0]
    better, best = new.score(videos[ANCHORS:]).raw
    assert better < best


def frames(seconds: int, seed: int) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    dark = random.integers(40, 256)
    pixels = random.integers(0, dark, (seconds, SIDE, SIDE, 3), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(random.standard_normal((seconds, 256)).astype(np.float32))


def released_logits(model: LlavaModel, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Any:  # noqa: ANN401
    """The five logits as the released code computes them."""
    backbone = model.backbone
    tower, projector = backbone.model.vision_tower, backbone.model.multi_modal_projector
    pieces = []
    for number, (pixels, features) in enumerate((first, second)):
        words = torch.tensor(model.prompt.parts[number])
        pictures = (pixels.permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.5
        last = tower(pictures, output_hidden_states=True).hidden_states[-1]
        grid = projector(last).reshape(len(pixels), 4, 4, -1).permute(0, 3, 1, 2)
        pooled = functional.interpolate(grid, size=[2, 2], mode="bilinear").permute(0, 2, 3, 1)
        clips = [features[min(clip, len(features) - 1)] for clip in range(max(8, min(10, len(features))))]
        pieces += [
            backbone.get_input_embeddings()(words),
            pooled.reshape(-1, model.hidden),
            backbone.model.image_newline[None],
            model.motion_projector(torch.stack(clips)),
        ]
    tail = torch.tensor((*model.prompt.parts[2], *model.prompt.closing))
    pieces.append(backbone.get_input_embeddings()(tail))
    return backbone(inputs_embeds=torch.cat(pieces)[None]).logits[0, -3, list(model.prompt.levels)].double().numpy()


def test_a_converted_checkpoint_scores_as_the_released_code_does(tmp_path: Path) -> None:
    source = source_model()
    made = convert_released(released_checkpoint(tmp_path / "released", source), tmp_path / "ours")
    model = load_llava(made.folder, released_config(SIDE)).requires_grad_(False)
    seen = [frames(seconds, seed) for seed, seconds in enumerate((3, 9, 2, 12, 1, 4))]
    tokens = [model.second_tokens(*video).numpy() for video in seen]
    found = compatible(Judged(model=model), tokens[:-1]).score(tokens[-1:]).value[0]
    among = np.array([[released_logits(source, one, two) for two in seen[:-1]] for one in seen[:-1]])
    test = np.array([released_logits(source, anchor, seen[-1]) for anchor in seen[:-1]])
    assert 1 < found < 99  # not an end of the scale, where anything would agree
    assert found == pytest.approx(released_score(test, among), abs=2e-3)
