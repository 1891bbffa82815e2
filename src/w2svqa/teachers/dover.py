"""DOVER and DOVER-Mobile: how well a video is made, and how pleasant it is, looked at apart and put together.

The technical view has fragments at native resolution, which lose what the picture shows; the aesthetic view has the
whole picture made small, which loses fine distortions. A network of its own scores each.

Source: H. Wu et al., "Exploring Video Quality Assessment on User Generated Contents from Aesthetic and Technical
Perspectives", ICCV 2023 (arXiv 2211.04894), sections 3.2 and 3.3. From the reference implementation come the sizes of
the views, the keys of the networks and the constants of the fusion (``dover.yml``, ``dover-mobile.yml``,
``dover_datasets.py``, ``evaluate_one_video.py``, ``evaluate_a_set_of_videos.py``).

Departures:

- Frames and fragments are drawn from a generator of the option ``seed``, the same for every video; the reference draws
  from the global one, and the same video gets another score each time.
- Views are known by name. The reference keeps them in a list whose order differs between its scripts; its ONNX script
  applies each view's constants to the other.
- Pictures are made small as by torchvision 0.14, which the reference names: bilinear without a low-pass. Since 0.17
  torchvision puts a low-pass before it unless told otherwise, so that the same checkpoint sees smoother pictures.
- Frames smaller than the grid of fragments are cut all over, see :func:`w2svqa.teachers.fragments.enlarged`.
- Each frame is decoded, cut and made small once, then dropped; clips go through the networks ``batch`` at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.core.random import generator
from w2svqa.networks.checkpoints import fill, find_checkpoint, fitting_checkpoint, read_checkpoint
from w2svqa.teachers.base import BaseTeacher, at_least_one
from w2svqa.teachers.fragments import (
    FragmentGrid,
    Frame,
    Indices,
    cut,
    draw_shares,
    each_once,
    normalised,
    temporal_fragments,
)
from w2svqa.teachers.frames import in_batches

if TYPE_CHECKING:
    from torch import nn

ARITHMETIC = 1
FUSED = "fused"
TECHNICAL = "technical"
AESTHETIC = "aesthetic"
SIDE = 224
"""Height and width of the pictures of both views, in pixels."""

_GRID = FragmentGrid(rows=7, columns=7, size=32, aligned=32)
_IGNORED = r".*\.relative_position_index"
_IGNORED_MOBILE = r"(technical|aesthetic)_backbone\.head\.(weight|bias)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """How a view is sampled, and what becomes of its score.

    Attributes:
        parts: equal parts of the video that a run of frames is drawn from.
        length: frames of such a run, every other frame.
        clips: that the frames are handed to the network in.
        mean: of its score over many videos, as the reference gives it.
        deviation: likewise.
        weight: in the fused score.
    """

    parts: int
    length: int
    clips: int
    mean: float
    deviation: float
    weight: float

    def standardised(self, score: float) -> float:
        """Return a score in standard deviations from the mean."""
        return (score - self.mean) / self.deviation


VIEWS = {
    TECHNICAL: ViewFacts(parts=3, length=32, clips=3, mean=0.1107, deviation=0.07355, weight=0.6104),
    AESTHETIC: ViewFacts(parts=32, length=1, clips=1, mean=-0.08285, deviation=0.03774, weight=0.3896),
}
_INTERVAL = 2


class Dover(BaseTeacher):
    """DOVER: Swin-T on three clips of fragments, ConvNeXt-T on 32 small pictures. 0 to 1, higher is better.

    The score is that of the reference's scripts: each view's in standard deviations, the weighted sum of both if
    ``view`` is ``"fused"``, and the logistic function of that. 0.5 is where the reference puts the mean.

    Args:
        network: with the four parts of :meth:`build`, filled.
        version: changes with the parameters and the arithmetic.
        view: ``"fused"``, ``"technical"`` or ``"aesthetic"``; only what it needs is computed.
        seed: what frames and fragments are drawn with.
        batch: clips of a view that go through its network together; rounding alone depends on it.
        device: where the network is, such as ``"cpu"``.

    Raises:
        ConfigError: there is no such view, or ``batch`` is less than 1.
    """

    name = "dover"
    higher_is_better = True
    range = (0.0, 1.0)
    needs_motion = True
    files = ("DOVER.pth",)
    modules = (("torch", "train"),)
    uses_device = True
    batch = 3
    options: ClassVar[dict[str, int | float | str | bool]] = {"view": FUSED, "seed": 0, "batch": batch}
    ignored: ClassVar[str] = _IGNORED
    """Regular expression of the keys of the official checkpoint that are not needed."""

    def __init__(
        self,
        network: nn.ModuleDict,
        version: str,
        *,
        view: str = FUSED,
        seed: int = 0,
        batch: int = batch,
        device: str = "cpu",
    ) -> None:
        super().__init__(version)
        self._network = network
        self._views = _needed(view, self.name)
        self._seed = seed
        self._batch = at_least_one(batch, "batch", self.name)
        self._device = device

    @staticmethod
    def build() -> nn.ModuleDict:
        """Return the network, not filled: ``technical_backbone``, ``technical_head`` and likewise ``aesthetic``."""
        from w2svqa.teachers.networks.convnext_video import FEATURES_TINY, convnext_video_tiny
        from w2svqa.teachers.networks.video_swin import DOVER_TECHNICAL, QualityHead, VideoSwin

        return _assembled(
            {TECHNICAL: VideoSwin(DOVER_TECHNICAL), AESTHETIC: convnext_video_tiny()},
            {view: QualityHead(FEATURES_TINY, 64) for view in VIEWS},
        )

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        view: str = FUSED,
        seed: int = 0,
        batch: int = batch,
        device: str = "cpu",
    ) -> Self:
        """Return the teacher with the official checkpoint.

        Args:
            parameters: the checkpoint, or the folder with it.
            view: see the class.
            seed: see the class.
            batch: see the class.
            device: see the class.

        Raises:
            ConfigError: an option has no such value, or nothing is named.
            MissingInputError: the checkpoint is not there.
            InputError: it is damaged, or belongs to another network; what is missing and what is too much is listed.
            MissingExtraError: PyTorch is not installed.
        """
        _needed(view, cls.name)  # before the effort
        require("torch", extra="train")
        checkpoint = read_checkpoint(find_checkpoint(parameters, cls.files, cls.name))
        network = cls.build()
        fill(network, checkpoint.state, checkpoint.path, ignored=cls.ignored)
        version = checkpoint.version(ARITHMETIC)
        return cls(network.to(device), version, view=view, seed=seed, batch=batch, device=device)

    @classmethod
    def identify(
        cls,
        parameters: StrPath | None,
        *,
        view: str = FUSED,
        seed: int = 0,
        batch: int = batch,
        device: str = "cpu",
    ) -> str:
        """Return the version that :meth:`load` would give, from the file alone; arguments and errors are the same."""
        del seed, device  # as good as any
        _needed(view, cls.name)
        at_least_one(batch, "batch", cls.name)
        path = find_checkpoint(parameters, cls.files, cls.name)
        return fitting_checkpoint(path, cls.build, ignored=cls.ignored).version(ARITHMETIC)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video or a still, 0 to 1; see the class.

        Raises:
            InputError: the video cannot be decoded.
        """
        del reference  # not needed
        return fused(self.raw_scores(video))

    def raw_scores(self, video: Video) -> dict[str, float]:
        """Return what the networks say of each view that is needed, in their own terms; higher is better.

        Raises:
            InputError: the video cannot be decoded.
        """
        pictures = views_of(video, self._views, self._seed)
        return {view: self._judged(view, clips) for view, clips in pictures.items()}

    def _judged(self, view: str, clips: Frame) -> float:
        torch = require("torch", extra="train")
        backbone, head = self._network[f"{view}_backbone"], self._network[f"{view}_head"]
        values: list[float] = []
        with torch.inference_mode():
            for together in in_batches(clips, self._batch):
                batch = torch.from_numpy(np.stack([normalised(clip) for clip in together])).to(self._device)
                values += [float(head(maps[None]).mean()) for maps in backbone(batch)]
        return math.fsum(values) / len(values)


class DoverMobile(Dover):
    """DOVER-Mobile: a small ConvNeXt V2 for each view; samples, range and fusion are those of :class:`Dover`.

    The reference has no fusion constants of its own for it and uses those of DOVER.
    """

    name = "dover-mobile"
    files = ("DOVER-Mobile.pth",)
    ignored = _IGNORED_MOBILE

    @staticmethod
    def build() -> nn.ModuleDict:
        """Return the network, not filled: ``technical_backbone``, ``technical_head`` and likewise ``aesthetic``."""
        from w2svqa.teachers.networks.convnext_video import FEATURES_FEMTO, convnext_video_femto
        from w2svqa.teachers.networks.video_swin import QualityHead

        return _assembled(
            {view: convnext_video_femto() for view in VIEWS}, {view: QualityHead(FEATURES_FEMTO, 32) for view in VIEWS}
        )


def fused(scores: dict[str, float]) -> float:
    """Return the score of one view or the fused score of both, 0 to 1.

    Args:
        scores: raw, by view; at least one.

    Source: ``fuse_results`` of ``evaluate_a_set_of_videos.py``: ``overall`` for both, otherwise the view's own.

    Example:
        >>> fused({"technical": 0.1107, "aesthetic": -0.08285}), round(fused({"technical": 0.1107 + 0.07355}), 4)
        (0.5, 0.7311)
    """
    weights = {view: VIEWS[view].weight if len(scores) > 1 else 1.0 for view in scores}
    total = math.fsum(weights[view] * VIEWS[view].standardised(score) for view, score in scores.items())
    return 0.5 * (1 + math.tanh(total / 2))  # the logistic function, that cannot overflow


def frames_of(view: str, count: int, random: np.random.Generator) -> Indices:
    """Return the frame numbers of a view, int64 ``(clips, frames)``; short videos go round.

    Args:
        view: ``"technical"``: three runs of 32 frames; ``"aesthetic"``: 32 frames, one from each part of the video.
        count: frames of the video, at least 1.
        random: where the starts are drawn from.

    Example:
        >>> frames_of("aesthetic", 40, generator(0))[0, :5].tolist()
        [0, 1, 2, 3, 4]
        >>> frames_of("technical", 10, generator(0))[1, :6].tolist()
        [3, 5, 7, 9, 1, 3]
    """
    facts = VIEWS[view]
    numbers = temporal_fragments(count, fragments=facts.parts, length=facts.length, interval=_INTERVAL, random=random)
    return numbers.reshape(facts.clips, -1)


def views_of(video: Video, wanted: Sequence[str], seed: int) -> dict[str, Frame]:
    """Return the pictures of views, uint8 ``(clips, frames, 224, 224, 3)`` each; the video is decoded once.

    Args:
        video: of any size and length.
        wanted: views.
        seed: what frames and fragments are drawn with.

    Raises:
        InputError: the video cannot be decoded.
    """
    count = video.count()
    numbers = {view: frames_of(view, count, generator(seed, "dover", view, "frames")) for view in wanted}
    views = {view: np.empty((*numbers[view].shape, SIDE, SIDE, 3), np.uint8) for view in wanted}
    places = [(view, position) for view in wanted for position in range(numbers[view].size)]
    shares = draw_shares(_GRID, VIEWS[TECHNICAL].parts * VIEWS[TECHNICAL].length, generator(seed, "dover", "fragments"))
    for frame, positions in each_once(video, np.concatenate([numbers[view].ravel() for view in wanted]).tolist()):
        small = squeezed(frame) if any(places[position][0] == AESTHETIC for position in positions) else None
        for view, place in (places[position] for position in positions):
            picture = small if view == AESTHETIC else cut(frame, _GRID, shares[place // _GRID.aligned])
            views[view].reshape(-1, SIDE, SIDE, 3)[place] = picture
    return views


def squeezed(frame: Frame) -> Frame:
    """Return the whole frame as a square, uint8 ``(224, 224, 3)``, bilinear without a low-pass, rounded.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB.

    Source: ``get_resized_video``; torchvision 0.14 for tensors.
    """
    torch = require("torch", extra="train")
    planes = torch.from_numpy(np.array(frame, np.float32, order="C")).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(planes, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    result: NDArray[np.uint8] = small[0].round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return result


def _needed(view: str, teacher: str) -> tuple[str, ...]:
    if view == FUSED:
        return tuple(VIEWS)
    if view not in VIEWS:
        raise ConfigError(
            f"the teacher {teacher!r} has no view {view!r}", remedy=f"known views: {FUSED}, {', '.join(VIEWS)}"
        )
    return (view,)


def _assembled(backbones: dict[str, nn.Module], heads: dict[str, nn.Module]) -> nn.ModuleDict:
    torch = require("torch", extra="train")
    parts = {f"{view}_backbone": backbone for view, backbone in backbones.items()}
    modules: nn.ModuleDict = torch.nn.ModuleDict(parts | {f"{view}_head": head for view, head in heads.items()})
    return modules
