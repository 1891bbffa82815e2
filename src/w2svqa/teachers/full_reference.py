"""Full-reference teachers: VMAF, SSIM, PSNR and XPSNR of a whole video beside its untouched source, by FFmpeg.

All four see the same pictures: both videos as RGB of 8 bits (HDR tone-mapped, upright, square pixels, as everywhere in
this package), converted to YUV 4:2:0 (BT.601, limited range) by one scaler, and judged on luma alone. The video is
brought to the size of the reference by bicubic scaling; odd sizes lose their last row or column. Frames are compared by
number, so both need as many, give or take one: the last frame of the longer one is then left out.

Source: VMAF as in :mod:`w2svqa.teachers.vmaf`. SSIM: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image
Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13(4), 2004; FFmpeg's filter ``ssim``
takes blocks of 8x8 pixels that overlap by half instead of Gaussian windows. XPSNR: C. R. Helmrich, M. Siekmann,
S. Becker, S. Bosse, D. Marpe, T. Wiegand, "XPSNR: A Low-Complexity Extension of the Perceptually Weighted Peak
Signal-to-Noise Ratio for High-Resolution Video Quality Assessment", ICASSP 2020; FFmpeg's filter ``xpsnr``.
"""

from __future__ import annotations

import math
import re
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, StrPath, W2SVQAError
from w2svqa.core.protocols import Video
from w2svqa.teachers.base import BaseTeacher, required
from w2svqa.teachers.ffmpeg import ffmpeg_with_filter, pipe_to_ffmpeg
from w2svqa.teachers.vmaf import LEAST_SIZE, MODEL, vmaf_of_frames
from w2svqa.video.resize import resize_rgb

Frame = NDArray[np.uint8]

MOST_DECIBELS = 60.0
"""Identical videos have an infinite PSNR. 60 dB is a mean squared error of 0.065: a luma step in one pixel of 15."""

_LOG = "log"
_DEFAULT_RATE = 25.0
_MOST_DIFFERENCE = 1  # frames: encoders and containers drop or repeat one at the end


class FullReferenceTeacher(BaseTeacher):
    """What all teachers share that compare a video with its untouched source, frame by frame.

    Memory holds a few frames, however long the videos.
    """

    higher_is_better = True
    needs_reference = True
    needs_motion = True
    needs_parameters = False
    modules = (("imageio_ffmpeg", "train"),)

    filter: ClassVar[str]
    """FFmpeg's name of the filter."""
    reference_first: ClassVar[bool] = False
    """Which of the two inputs the filter takes for the untouched one; of no matter where it is symmetric."""

    @classmethod
    def load(cls, parameters: StrPath | None) -> FullReferenceTeacher:
        """Return the teacher; it has no parameters, and any folder that is named is left alone."""
        del parameters
        return cls(cls.arithmetic())

    @classmethod
    def arithmetic(cls) -> str:
        """Return the version."""
        return "1"

    @classmethod
    def check(cls) -> None:
        """Raise what keeps the teacher from running here: see :meth:`score`."""
        ffmpeg_with_filter(cls.filter)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video beside its source, pooled over all frames.

        Raises:
            InputError: there is no reference, one of the two cannot be decoded, they differ in length by more than one
                frame, or the reference has fewer than 32 rows or columns.
            MissingExtraError: imageio-ffmpeg is not installed.
            W2SVQAError: there is no FFmpeg with this filter, or it failed.
        """
        source = required(reference, self.name)
        count = _common_count(video, source)
        executable = ffmpeg_with_filter(self.filter)
        indices = range(count)
        known = source.frames_at(indices)
        first = next(known)
        height, width = _even_size(first, self.name)
        rate = f"{source.info.fps or _DEFAULT_RATE:.6g}"
        form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{2 * height}", "-framerate", rate]
        arguments = [*form, "-i", "pipe:0", *self._graph(height, width), "-f", "null", "-"]
        pictures = _stacked(video.frames_at(indices), chain([first], known), first.shape[:2])
        with tempfile.TemporaryDirectory(prefix=f"w2svqa-{self.name}-") as folder:
            pipe_to_ffmpeg(executable, arguments, pictures, folder)
            values = self._frames_of(Path(folder, _LOG))
        if len(values) != count or any(math.isnan(value) for value in values):
            raise W2SVQAError(f"{self.filter} measured {len(values)} of {count} frames", remedy="update imageio-ffmpeg")
        return self._pooled(values)

    def _graph(self, height: int, width: int) -> list[str]:
        """Both pictures come as one, the video above its reference: so one pipe carries them, in step."""
        halves = ["[seen]", "[known]"]
        graph = [
            "[0:v]split[top][bottom]",
            f"[top]crop={width}:{height}:0:0,format=yuv420p{halves[0]}",
            f"[bottom]crop={width}:{height}:0:{height},format=yuv420p{halves[1]}",
            "".join(halves[::-1] if self.reference_first else halves) + self._measure(),
        ]
        return ["-filter_complex_threads", "1", "-filter_complex", ";".join(graph)]

    def _measure(self) -> str:
        return f"{self.filter}=stats_file={_LOG}"

    @abstractmethod
    def _frames_of(self, log: Path) -> list[float]:
        """Return the filter's value of each frame."""

    @abstractmethod
    def _pooled(self, values: Sequence[float]) -> float:
        """Return the score of the video from those of its frames."""


class Vmaf(FullReferenceTeacher):
    """VMAF, model ``vmaf_v0.6.1``, 0 to 100: the mean over frames. Stills and first frames reach about 97 at most."""

    name = "vmaf"
    range = (0.0, 100.0)
    filter = "libvmaf"

    @classmethod
    def arithmetic(cls) -> str:
        """Return the version, with the model's name."""
        return f"2+{MODEL}"

    def _measure(self) -> str:
        return f"libvmaf=model=version={MODEL}:n_threads=1:log_fmt=json:log_path={_LOG}"

    def _frames_of(self, log: Path) -> list[float]:
        return vmaf_of_frames(log)

    def _pooled(self, values: Sequence[float]) -> float:
        return math.fsum(values) / len(values)


class Ssim(FullReferenceTeacher):
    """SSIM of luma, at most 1 (no difference), seldom below 0: the mean over frames."""

    name = "ssim"
    range = (-1.0, 1.0)
    filter = "ssim"

    def _frames_of(self, log: Path) -> list[float]:
        return _numbers(log, r"^n:\d+ Y:(\S+)")

    def _pooled(self, values: Sequence[float]) -> float:
        return math.fsum(values) / len(values)


class Psnr(FullReferenceTeacher):
    """PSNR of luma in decibels, from the mean squared error over all frames; cut to 0 to :data:`MOST_DECIBELS`."""

    name = "psnr"
    range = (0.0, MOST_DECIBELS)
    filter = "psnr"

    def _frames_of(self, log: Path) -> list[float]:
        return _numbers(log, r"^n:\d+ .*psnr_y:(\S+)")

    def _pooled(self, values: Sequence[float]) -> float:
        return _decibels(values, per_decade=10)


class Xpsnr(FullReferenceTeacher):
    """XPSNR of luma in decibels, pooled over frames as the paper does; cut to 0 to :data:`MOST_DECIBELS`."""

    name = "xpsnr"
    range = (0.0, MOST_DECIBELS)
    filter = "xpsnr"
    reference_first = True

    def _frames_of(self, log: Path) -> list[float]:
        return _numbers(log, r"^n: *\d+ +XPSNR y: *(\S+)")

    def _pooled(self, values: Sequence[float]) -> float:
        # ICASSP 2020: the mean of the root of the weighted error, not of the error
        return _decibels(values, per_decade=20)


def _common_count(video: Video, reference: Video) -> int:
    seen, known = video.count(), reference.count()
    if abs(seen - known) > _MOST_DIFFERENCE:
        raise InputError(
            f"has {seen} frames and its reference {known}",
            path=video.info.path,
            remedy="a frame-by-frame comparison needs as many: leave out versions with another frame rate or length",
        )
    return min(seen, known)


def _even_size(frame: Frame, name: str) -> tuple[int, int]:
    height, width = frame.shape[:2]
    if min(height, width) < LEAST_SIZE:
        raise InputError(
            f"a reference of {width}x{height} is too small for {name}",
            remedy=f"it needs at least {LEAST_SIZE}x{LEAST_SIZE} pixels",
        )
    return height // 2 * 2, width // 2 * 2


def _stacked(seen: Iterator[Frame], known: Iterator[Frame], size: tuple[int, int]) -> Iterator[bytes]:
    """Yield each frame of the video, then that of the reference: one picture of double height."""
    height, width = (side // 2 * 2 for side in size)
    for pair in zip(seen, known, strict=True):
        for frame in pair:
            fitting = frame if frame.shape[:2] == size else resize_rgb(frame, size, method="bicubic")
            yield fitting[:height, :width].tobytes()


def _numbers(log: Path, pattern: str) -> list[float]:
    """Return the first group of the pattern in each line that has it.

    Raises:
        W2SVQAError: the log is not there, or holds no numbers there.
    """
    try:
        return [float(found) for found in re.findall(pattern, log.read_text(encoding="utf-8"), re.MULTILINE)]
    except (OSError, ValueError) as error:
        raise W2SVQAError(f"FFmpeg left no log that can be read: {error}", remedy="update imageio-ffmpeg") from None


def _decibels(values: Sequence[float], *, per_decade: float) -> float:
    """Return the level of the mean of what the levels of the frames stand for; none for infinite ones."""
    mean = math.fsum(10 ** (-value / per_decade) for value in values) / len(values)
    if mean <= 0:
        return MOST_DECIBELS
    return min(max(-per_decade * math.log10(mean), 0.0), MOST_DECIBELS)
