"""FAST-VQA-B, FAST-VQA-M and FasterVQA: a video transformer on fragments at native resolution.

A fragment is a patch of 32 x 32 pixels as it was filmed; 7 x 7 of them (4 x 4 for M), from all over the frame, make the
picture that the network sees. So it sees fine distortions, and the cost does not grow with the resolution.

Source: H. Wu et al., "FAST-VQA: Efficient End-to-end Video Quality Assessment with Fragment Sampling", ECCV 2022
(arXiv 2207.02595), and "Neighbourhood Representative Sampling for Efficient End-to-end Video Quality Assessment", TPAMI
2023 (arXiv 2210.05357: FasterVQA). From the reference implementation come sizes, keys and constants
(``options/fast/{fast-b,fast-m,f3dvqa-b}.yml``, ``vqa.py``, ``fastvqa/datasets/fusion_datasets.py``).

Departures:

- Places of fragments and starts of runs are drawn from a generator of the option ``seed``, the same for every video;
  the reference draws from the global one, and the same video gets another score each time.
- Every other frame is taken, as the option files say and the networks were trained. The reference's ``vqa.py`` passes
  the interval on for none of the three, and samples for FasterVQA as for FAST-VQA; its evaluation does as here.
- The clips of FAST-VQA start in the middle of their part of the video (``SampleFrames`` in its test phase, as in the
  first release and in ``vqa.py``); the latest evaluation code draws their starts.
- Frames smaller than the grid are cut all over, see :func:`w2svqa.teachers.fragments.enlarged`.
- Each frame is decoded and cut once, then dropped; clips go through the network ``batch`` at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from w2svqa.core.errors import StrPath
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.core.random import generator
from w2svqa.networks.checkpoints import fill, find_checkpoint, fitting_checkpoint, read_checkpoint
from w2svqa.teachers.base import BaseTeacher, at_least_one
from w2svqa.teachers.fragments import FragmentGrid, Indices, collect, normalised, spread_clips, temporal_fragments
from w2svqa.teachers.frames import in_batches

if TYPE_CHECKING:
    from w2svqa.teachers.networks.video_swin import FastVqaNetwork

ARITHMETIC = 1
INTERVAL = 2
"""Every other frame is taken."""


class FastVqa(BaseTeacher):
    """FAST-VQA-B: four clips of 32 frames, 7 x 7 fragments. 0 to 1, higher is better.

    The score is that of the reference's ``vqa.py``: the logistic function of the network's output in standard
    deviations from a mean, both constants of the release. About 0.5 is a video of middling quality on the web. The
    output itself, unbounded, is :meth:`raw_score`; :meth:`rescaled` leads from it to the score and keeps the order.

    Args:
        network: filled, in evaluation mode.
        version: changes with the parameters and the arithmetic.
        seed: what the places of fragments (and starts, for FasterVQA) are drawn with.
        clips: the output is the mean over so many.
        batch: clips that go through the network together; rounding alone depends on it.
        device: where the network is, such as ``"cpu"``.

    Attributes:
        grid: how frames are cut.
        length: frames per clip.
        mean: of outputs, as released.
        deviation: of outputs, as released.

    Raises:
        ConfigError: there are no clips, or ``batch`` is less than 1.
    """

    name = "fast-vqa"
    higher_is_better = True
    range = (0.0, 1.0)
    needs_motion = True
    files = ("FAST_VQA_B_1_4.pth", "FAST_VQA_B_1*4.pth")
    modules = (("torch", "train"),)
    uses_device = True
    batch = 4
    options: ClassVar[dict[str, int | float | str | bool]] = {"seed": 0, "clips": 4, "batch": batch}

    grid: ClassVar[FragmentGrid] = FragmentGrid(rows=7, columns=7, size=32, aligned=32)
    length: ClassVar[int] = 32
    mean: ClassVar[float] = -0.110198185
    deviation: ClassVar[float] = 0.04178565

    def __init__(
        self,
        network: FastVqaNetwork,
        version: str,
        *,
        seed: int = 0,
        clips: int | None = None,
        batch: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(version)
        self._network = network
        self._seed = seed
        self._clips, self._batch = self._counted("clips", clips), self._counted("batch", batch)
        self._device = device

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        seed: int = 0,
        clips: int | None = None,
        batch: int | None = None,
        device: str = "cpu",
    ) -> Self:
        """Return the teacher with the official checkpoint.

        Args:
            parameters: the checkpoint, or the folder with it.
            seed: see the class.
            clips: see the class; ``None`` for the number of the release.
            batch: see the class; ``None`` for as many as the release has clips.
            device: see the class.

        Raises:
            ConfigError: nothing is named, or an option has no meaning.
            MissingInputError: the checkpoint is not there.
            InputError: it is damaged, or belongs to another network; what is missing and what is too much is listed.
            MissingExtraError: PyTorch is not installed.
        """
        network, version = cls._ready(parameters, cls.build(), device)
        return cls(network, version, seed=seed, clips=clips, batch=batch, device=device)

    @classmethod
    def identify(
        cls,
        parameters: StrPath | None,
        *,
        seed: int = 0,
        clips: int | None = None,
        batch: int | None = None,
        device: str = "cpu",
    ) -> str:
        """Return the version that :meth:`load` would give, from the file alone; arguments and errors are the same."""
        del seed, device  # as good as any
        return cls._identified(parameters, cls.build, clips=clips, batch=batch)

    @staticmethod
    def build() -> FastVqaNetwork:
        """Return the network, not filled.

        Raises:
            MissingExtraError: PyTorch is not installed.
        """
        require("torch", extra="train")
        from w2svqa.teachers.networks.video_swin import FAST_VQA, FastVqaNetwork

        return FastVqaNetwork(FAST_VQA)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video or a still, 0 to 1; see the class. Short ones go round, a still stands still.

        Raises:
            InputError: the video cannot be decoded.
        """
        del reference  # not needed
        return self.rescaled(self.raw_score(video))

    def raw_score(self, video: Video) -> float:
        """Return the network's output, the mean over all places and clips: unbounded, higher is better.

        Raises:
            InputError: the video cannot be decoded.
        """
        torch = require("torch", extra="train")
        numbers = self.frames_of(video.count())
        fragments = collect(video, numbers.ravel().tolist(), self.grid, generator(self._seed, "fragments"))
        values: list[float] = []
        with torch.inference_mode():
            for together in in_batches(fragments.reshape(*numbers.shape, *fragments.shape[1:]), self._batch):
                batch = torch.from_numpy(np.stack([normalised(clip) for clip in together])).to(self._device)
                values += self._network(batch).tolist()
        return math.fsum(values) / len(values)

    def frames_of(self, count: int) -> Indices:
        """Return the frame numbers of each clip, int64 ``(clips, length)``, for a video of ``count`` frames."""
        return spread_clips(count, clips=self._clips, length=self.length, interval=INTERVAL)

    @classmethod
    def rescaled(cls, raw: float) -> float:
        """Return the score, 0 to 1, of an output of the network.

        Example:
            >>> FastVqa.rescaled(FastVqa.mean)
            0.5
        """
        return 0.5 * (1 + math.tanh((raw - cls.mean) / cls.deviation / 2))  # the logistic function, cannot overflow

    @classmethod
    def _identified(cls, parameters: StrPath | None, build: Callable[[], FastVqaNetwork], **counts: int | None) -> str:
        from w2svqa.teachers.networks.video_swin import IGNORED

        for option, value in counts.items():
            cls._counted(option, value)
        path = find_checkpoint(parameters, cls.files, cls.name)
        return fitting_checkpoint(path, build, ignored=IGNORED).version(ARITHMETIC)

    @classmethod
    def _counted(cls, option: str, value: int | None) -> int:
        return at_least_one(int(cls.options[option]) if value is None else value, option, cls.name)

    @classmethod
    def _ready(cls, parameters: StrPath | None, network: FastVqaNetwork, device: str) -> tuple[FastVqaNetwork, str]:
        from w2svqa.teachers.networks.video_swin import IGNORED

        checkpoint = read_checkpoint(find_checkpoint(parameters, cls.files, cls.name))
        fill(network, checkpoint.state, checkpoint.path, ignored=IGNORED)
        return network.to(device), checkpoint.version(ARITHMETIC)


class FastVqaM(FastVqa):
    """FAST-VQA-M, the mobile one: four clips of 16 frames, 4 x 4 fragments, small windows. 0 to 1, higher is better.

    Everything else as :class:`FastVqa`. Option ``adaptive``: whether windows of attention shrink with the input, here
    from 4 to 2 tokens along each axis. The reference does so since release 3.1.0, that of the constants of the score;
    but the checkpoint is older, and its network was trained with windows of 4. Default: as the reference is now.
    """

    name = "fast-vqa-m"
    files = ("FAST_VQA_M_1_4.pth", "FAST_VQA_M_1*4.pth")
    options: ClassVar[dict[str, int | float | str | bool]] = {
        "seed": 0,
        "clips": 4,
        "batch": 4,
        "adaptive": True,
    }

    grid = FragmentGrid(rows=4, columns=4, size=32, aligned=8)
    length = 16
    mean = 0.023889644
    deviation = 0.030781006

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        seed: int = 0,
        clips: int | None = None,
        batch: int | None = None,
        adaptive: bool = True,
        device: str = "cpu",
    ) -> Self:
        """Return the teacher with the official checkpoint; see :meth:`FastVqa.load`, and the class for ``adaptive``."""
        network, version = cls._ready(parameters, cls.build(adaptive=adaptive), device)
        return cls(network, version, seed=seed, clips=clips, batch=batch, device=device)

    @classmethod
    def identify(
        cls,
        parameters: StrPath | None,
        *,
        seed: int = 0,
        clips: int | None = None,
        batch: int | None = None,
        adaptive: bool = True,
        device: str = "cpu",
    ) -> str:
        """Return the version that :meth:`load` would give, from the file alone; arguments and errors are the same."""
        del seed, device  # as good as any
        return cls._identified(parameters, partial(cls.build, adaptive=adaptive), clips=clips, batch=batch)

    @staticmethod
    def build(*, adaptive: bool = True) -> FastVqaNetwork:
        """Return the network, not filled; see :meth:`FastVqa.build`."""
        require("torch", extra="train")
        from w2svqa.teachers.networks.video_swin import FAST_VQA_M, FastVqaNetwork

        return FastVqaNetwork(replace(FAST_VQA_M, adaptive=adaptive))


class FasterVqa(FastVqa):
    """FasterVQA: one clip of eight runs of four frames from all over the video. 0 to 1, higher is better.

    The network is that of :class:`FastVqa` with other weights. With more than one clip each has runs of its own.
    """

    name = "faster-vqa"
    files = ("FAST_VQA_3D_1_1.pth", "FAST_VQA_3D_1*1.pth")
    batch = 1
    options: ClassVar[dict[str, int | float | str | bool]] = {"seed": 0, "clips": 1, "batch": batch}

    grid = FragmentGrid(rows=7, columns=7, size=32, aligned=8)
    runs: ClassVar[int] = 8
    mean = 0.14759505
    deviation = 0.03613452

    def frames_of(self, count: int) -> Indices:
        """Return the frame numbers of each clip, int64 ``(clips, 32)``, for a video of ``count`` frames."""
        random, each = generator(self._seed, "frames"), self.length // self.runs
        numbers = [
            temporal_fragments(count, fragments=self.runs, length=each, interval=INTERVAL, random=random)
            for _ in range(self._clips)
        ]
        indices: Indices = np.stack(numbers).reshape(self._clips, self.length)
        return indices
