"""The middle student as it ships and scores: what was trained of it, and SlowFast's fast pathway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import BundleError, ConfigError
from w2svqa.core.extras import require
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Chunk, ClipSpec, Tokens
from w2svqa.networks.checkpoints import read_tensors
from w2svqa.students.llava.checkpoint import load_motion, write_motion
from w2svqa.students.llava.config import LlavaConfig, Span
from w2svqa.students.llava.motion import MotionEncoder
from w2svqa.students.llava.pictures import key_picture
from w2svqa.students.tower import TowerConfig, TowerModel, load_tower, make_tower

WEIGHTS: Final = "weights.safetensors"
MOTION: Final = "motion.safetensors"

_SECONDS: Final = 8  # encoded at once
_PAIRS: Final = 1024  # judged at once


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerCard:
    """What the card of a bundle says of a middle student.

    Attributes:
        config: its size and the checkpoint of its tower.
        network: of the tower, by which it can be made without its weights.
        mean: of pixels 0-1, per channel.
        deviation: the same.
        side: height and width in pixels of key frames.
        motion_side: height and width in pixels of motion frames.
        span: which frames of a second make a motion feature.
        is_trained: the bundle has all weights of the tower; otherwise they are the checkpoint's.
    """

    config: TowerConfig
    network: object
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int
    motion_side: int
    span: Span
    is_trained: bool


class TowerStudent:
    """Compares two videos by one quality each.

    Satisfies :class:`w2svqa.core.protocols.Student`. It gives no reasons.

    Args:
        model: on its device.
        motion: what makes motion features; ``None`` for a student that sees key frames alone.
        card: what it looks at.
        name: what it is called in results.
    """

    antisymmetric = True

    def __init__(self, model: TowerModel, motion: MotionEncoder | None, card: TowerCard, *, name: str) -> None:
        self.model = model.eval()
        self.name = name
        self.device = next(model.parameters()).device
        self._motion, self._side = motion, card.side
        size = (card.motion_side, card.motion_side)
        self.clip_spec = ClipSpec() if motion is None else ClipSpec(motion_size=size, motion_format="rgb")

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Return one token per chunk, float32 ``(chunks, token)``.

        Raises:
            ValueError: there are no chunks.
        """
        tokens, waiting = list[Tokens](), list[Chunk]()
        for chunk in chunks:
            waiting.append(chunk)
            if len(waiting) == _SECONDS:
                tokens.append(self._encoded(waiting))
                waiting = []
        if waiting:
            tokens.append(self._encoded(waiting))
        if not tokens:
            raise ValueError("a video needs at least one second to be encoded")
        return np.concatenate(tokens)

    def _encoded(self, chunks: Sequence[Chunk]) -> Tokens:
        frames = torch.from_numpy(np.stack([key_picture(chunk.key_frame, self._side) for chunk in chunks]))
        features = np.zeros((len(chunks), self.model.config.motion), np.float32)
        if self._motion is not None:
            features = self._motion.features([chunk.motion for chunk in chunks])
        with torch.inference_mode():
            tokens = self.model.second_tokens(frames.to(self.device), torch.from_numpy(features).to(self.device))
        found: Tokens = tokens.cpu().numpy()
        return found

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first videos cannot be paired with {len(second)} second videos")
        logits = np.empty((len(first), len(LEVELS)))
        for start in range(0, len(first), _PAIRS):
            piece = slice(start, start + _PAIRS)
            with torch.inference_mode():
                found = self.model.compare(self._on_device(first[piece]), self._on_device(second[piece]))
            logits[piece] = found.double().cpu().numpy()
        return logits

    def _on_device(self, videos: Sequence[Tokens]) -> list[Tensor]:
        return [torch.tensor(np.asarray(video)).to(self.device) for video in videos]


def write_tower(
    folder: Path, state: Mapping[str, Tensor], motion: MotionEncoder | None, card: TowerCard
) -> dict[str, object]:
    """Write the networks of a middle student into the folder of a bundle, and return what its card says of them.

    Args:
        folder: of the bundle.
        state: the trained weights, by their names in the model.
        motion: SlowFast; ``None`` for a student that sees key frames alone.
        card: what it looks at.
    """
    saver = require("safetensors.torch", extra="train")
    saver.save_file({name: value.cpu().contiguous() for name, value in state.items()}, folder / WEIGHTS)
    if motion is not None:
        write_motion(folder / MOTION, {}, motion.network.state_dict())
    return {"student": "tower", "tower": to_mapping(card)}


def load_student(folder: Path, card: Mapping[str, Any]) -> TowerStudent:
    """Load the student of a bundle whose card and files have been checked.

    Raises:
        BundleError: an entry of the card is missing or of no use, or the weights do not fit it.
        ConfigError: its tower was not trained, and the checkpoint that it is of is not there.
        MissingExtraError: transformers is not installed.
    """
    again = "export the bundle again"
    try:
        own = from_mapping(TowerCard, card["tower"])
    except (KeyError, ConfigError) as error:
        raise BundleError(f"its card has no valid 'tower': {error}", path=folder, remedy=again) from None
    network = own.network if isinstance(own.network, dict) else {}
    tower = make_tower(network, own.mean, own.deviation) if own.is_trained else load_tower(own.config.checkpoint)
    model = TowerModel(own.config, tower)
    state = read_tensors(folder / WEIGHTS)
    if unknown := sorted(state.keys() - model.state_dict().keys()):
        raise BundleError(
            f"holds {len(unknown)} weights that its network has not, {unknown[0]} for one", path=folder, remedy=again
        )
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BundleError(f"its weights do not fit: {error}", path=folder, remedy=again) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    motion = load_motion(folder, LlavaConfig(motion_span=own.span)).to(device) if own.config.motion else None
    return TowerStudent(model.to(device), motion, own, name=str(card.get("name")))
