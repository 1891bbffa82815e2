"""``pyiqa:NAME``: any picture metric of the package pyiqa, averaged over the key frames.

pyiqa comes with its own licence and many packages, and fetches its parameters itself on first use; it is an extra of
its own. Direction, range and the need for a reference are read from its own description of the metric.

Source: C. Chen, J. Mo, "IQA-PyTorch: PyTorch Toolbox for Image Quality Assessment", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.conversion import near_name
from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.teachers.base import required
from w2svqa.teachers.outside import OutsideTeacher
from w2svqa.video.resize import resize_rgb

Frame = NDArray[np.uint8]

ARITHMETIC = 1
_SEED = 0  # some metrics cut random crops
_OF_SETS = ("fid", "inception_score", "msswd")  # they compare sets of pictures, not one with another


class Metric(Protocol):
    """A metric of pyiqa."""

    lower_better: bool
    metric_mode: str
    score_range: str | None

    def __call__(self, *pictures: Any) -> Any:  # noqa: ANN401 (tensors of a package that need not be installed)
        """Return a tensor with one score."""


class PyiqaTeacher(OutsideTeacher):
    """A metric of pyiqa: the mean over key frames; direction and range are the metric's own.

    Random draws inside a metric start from the same seed for every frame, and leave the global generator alone.

    Args:
        name: ``pyiqa:NAME``.
        metric: ready to use.
        release: pyiqa's version.
        device: where it computes.
    """

    modules = (("pyiqa", "pyiqa"), ("torch", "train"))
    uses_device = True

    def __init__(self, name: str, metric: Metric, *, release: str, device: str) -> None:
        super().__init__(
            name,
            f"{ARITHMETIC}+pyiqa-{release}",
            higher_is_better=not metric.lower_better,
            scale=scale_of(metric.score_range),
            needs_reference=metric.metric_mode == "FR",
        )
        self._metric = metric
        self._device = device
        self._torch = require("torch", extra="train")

    @classmethod
    def load(cls, parameters: StrPath | None, *, argument: str, device: str = "cpu") -> PyiqaTeacher:
        """Return the metric that pyiqa calls ``argument``; pyiqa may fetch its parameters over the network.

        Raises:
            ConfigError: pyiqa has no such metric, or cannot make it.
            MissingExtraError: pyiqa is not installed.
        """
        del parameters  # pyiqa keeps its own
        torch = require("torch", extra="train")
        package = require("pyiqa", extra="pyiqa")
        _check_known(package, argument)
        try:
            metric = package.create_metric(argument, device=torch.device(device))
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"pyiqa cannot make {argument!r}: {error}", remedy="see whether `pyiqa` alone can, and its cache folder"
            ) from None
        return cls(f"pyiqa:{argument}", metric, release=str(package.__version__), device=device)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the mean over the key frames, one per second; with a reference, frames are brought to its size.

        Raises:
            InputError: there is no reference and it needs one, their lengths differ, or the metric fails on a frame.
        """
        source = required(reference, self.name) if self.needs_reference else None
        values = [self._judge(*pictures, path=video.info.path) for pictures in _key_frames(video, source)]
        return math.fsum(values) / len(values)

    def _judge(self, *pictures: Frame, path: str) -> float:
        torch = self._torch
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(_SEED)
            try:
                return float(self._metric(*(self._tensor(picture) for picture in pictures)))
            except (RuntimeError, ValueError, AssertionError) as error:  # pyiqa checks its input by assertions
                raise InputError(
                    f"{self.name} fails on a frame of {pictures[0].shape[1]}x{pictures[0].shape[0]}: {error}",
                    path=path,
                    remedy="it may need larger pictures; leave this video out",
                ) from None

    def _tensor(self, picture: Frame) -> Any:  # noqa: ANN401 (a tensor of a package that need not be installed)
        """Return float32 ``(1, 3, height, width)``, RGB 0-1."""
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
        return self._torch.from_numpy(planes)[None].to(self._device)


def scale_of(text: str | None) -> tuple[float, float]:
    """Return the range that pyiqa states, such as ``"0, 1"``; ``~`` marks an end that is but usual, so none.

    Example:
        >>> scale_of("0, 1"), scale_of("0, ~100"), scale_of(None)
        ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    ends = [-math.inf, math.inf]
    for place, part in enumerate((text or "").split(",")[:2]):
        try:
            ends[place] = float(part)
        except ValueError:
            continue
    return (ends[0], ends[1]) if ends[0] < ends[1] else (-math.inf, math.inf)


def _check_known(package: ModuleType, name: str) -> None:
    known = list(package.list_models())
    if name not in known:
        near = near_name(name, known)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"pyiqa has no metric {name!r}", remedy=f"{hint}`pyiqa --list_models` prints all {len(known)}"
        )
    if name.startswith(_OF_SETS):
        raise ConfigError(f"pyiqa's {name!r} judges sets of pictures", remedy="choose a metric of single pictures")


def _key_frames(video: Video, reference: Video | None) -> Iterator[tuple[Frame, ...]]:
    if reference is None:
        yield from ((chunk.key_frame,) for chunk in video.chunks())
        return
    for seen, known in zip_longest(video.chunks(), reference.chunks()):
        if seen is None or known is None:
            raise InputError(
                "lasts a second more or less than its reference",
                path=video.info.path,
                remedy="compare versions of the same length",
            )
        size = known.key_frame.shape[:2]
        frame = seen.key_frame
        fitting = frame if frame.shape[:2] == size else resize_rgb(frame, size, method="bicubic")
        yield fitting, known.key_frame
