"""Two ways to score a video with the strong student, counted and timed on any model: the released code's, and ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from w2svqa.core.records import Tokens
from w2svqa.students.llava.checkpoint import RANDOM_TINY, load_motion
from w2svqa.students.llava.config import MOTION_WIDTH
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent

Video = tuple[Tensor, Tensor]
"""Key frames uint8 (S, side, side, 3) and motion features (S, 256): decoding and SlowFast are the same in both ways."""


def made_up_videos(count: int, seconds: int, side: int) -> list[Video]:
    """Return videos of random pictures and motion."""
    random = torch.Generator().manual_seed(0)
    return [
        (
            torch.randint(0, 256, (seconds, side, side, 3), dtype=torch.uint8, generator=random),
            torch.randn(seconds, MOTION_WIDTH, generator=random),
        )
        for _ in range(count)
    ]


def released_way(model: LlavaModel, anchors: Sequence[Video], video: Video) -> Tensor:
    """Score as the released code does: both videos encoded for each anchor, logits of all words at all places."""
    rows = []
    backbone: Any = model.backbone
    closing = list(model.prompt.closing)
    for anchor in anchors:
        embeds = model.pair_embeds(model.second_tokens(*anchor), model.second_tokens(*video))
        end = backbone.get_input_embeddings()(torch.tensor(closing, device=model.device)).to(embeds)
        states = backbone.model.language_model(
            inputs_embeds=torch.cat([embeds, end])[None], use_cache=False
        ).last_hidden_state
        logits = backbone.lm_head(states).float()
        rows.append(logits[0, -1 - len(closing), list(model.prompt.levels)])
    return torch.stack(rows)


def our_way(
    model: LlavaModel, anchors: Sequence[Video], options: LlavaOptions | None = None
) -> Callable[[Video], Tensor]:
    """Return what scores a video by cached anchors; the anchors are encoded and read before that."""
    student = LlavaStudent(model, load_motion(RANDOM_TINY, model.config), name="benchmark", options=options)

    def encoded(video: Video) -> Tokens:
        with torch.inference_mode():
            tokens: Tokens = model.second_tokens(*video).float().cpu().numpy()
        return tokens

    tokens = [encoded(anchor) for anchor in anchors]
    for anchor in tokens:
        anchor.setflags(write=False)  # as a bundle's: known again without being looked at
    student.keep(tokens)

    def score(video: Video) -> Tensor:
        return torch.from_numpy(student.judge(tokens, [encoded(video)] * len(tokens)))

    return score


@dataclass(slots=True)
class Counted:
    """What went through a model.

    Attributes:
        frames: key frames through the vision tower.
        tokens: through the language model.
        rows: of logits of the whole vocabulary.
    """

    frames: int = 0
    tokens: int = 0
    rows: int = 0


@contextmanager
def counting(model: LlavaModel) -> Iterator[Counted]:
    """Count by hooks what goes through a model."""
    counted = Counted()
    parts: Any = model.backbone.model
    tower = getattr(parts.vision_tower, "vision_model", parts.vision_tower)

    def frames(_module: object, _arguments: object, named: dict[str, Tensor]) -> None:
        counted.frames += len(named["inputs_embeds"])

    def tokens(_module: object, _arguments: object, named: dict[str, Tensor]) -> None:
        counted.tokens += named["inputs_embeds"].shape[0] * named["inputs_embeds"].shape[1]

    def rows(_module: object, _arguments: object, output: Tensor) -> None:
        counted.rows += output.shape[:-1].numel()

    hooks = [
        tower.encoder.register_forward_pre_hook(frames, with_kwargs=True),
        parts.language_model.register_forward_pre_hook(tokens, with_kwargs=True),
        model.backbone.lm_head.register_forward_hook(rows),
    ]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def seconds_per_call(action: Callable[[], object], *, times: int, device: torch.device) -> float:
    """Return the mean wall time of an action after one unmeasured call, with the device's work done."""
    action()
    _wait(device)
    start = time.perf_counter()
    for _ in range(times):
        action()
    _wait(device)
    return (time.perf_counter() - start) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_step(model: LlavaModel, first: Video, second: Video) -> Callable[[], float]:
    """Return one step of training as the paper's script has it, on one pair; it gives the loss.

    The vision tower and both projectors are trained by AdamW, the language model is frozen, and its activations are
    computed again on the way back.
    """
    backbone: Any = model.backbone
    model.requires_grad_(False)
    trained = [backbone.model.vision_tower, backbone.model.multi_modal_projector, model.motion_projector]
    weights = [weight.requires_grad_() for part in trained for weight in part.parameters()]
    model.train()
    backbone.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(weights, lr=1e-5)
    label = torch.tensor([3], device=model.device)

    def step() -> float:
        embeds = model.pair_embeds(model.second_tokens(*first), model.second_tokens(*second))
        loss = functional.cross_entropy(model.level_logits(embeds[None]), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return float(loss.detach())

    return step
