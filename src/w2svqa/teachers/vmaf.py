"""VMAF: how a distorted version looks beside its untouched source, by FFmpeg's filter ``libvmaf``.

Source: Z. Li, A. Aaron, I. Katsavounidis, A. Moorthy, M. Manohara, "Toward a Practical Perceptual Video Quality
Metric", Netflix Technology Blog, 2016; model ``vmaf_v0.6.1`` of Netflix/vmaf (1080p, viewed from three picture
heights).
"""

from __future__ import annotations

import json
import math
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, W2SVQAError
from w2svqa.teachers.ffmpeg import ffmpeg_with_filter, pipe_to_ffmpeg

Frame = NDArray[np.uint8]
Frames = Sequence[Frame] | NDArray[np.uint8]
"""Frames of one size, uint8 ``(height, width, 3)``, RGB 0-255; or all in one array ``(frames, height, width, 3)``."""

MODEL = "vmaf_v0.6.1"
LEAST_SIZE = 32
"""Least height and width in pixels. libvmaf crashes up to 16 and was seen to work from 17 on; this keeps a distance."""

_FILTER = "libvmaf"
_REFERENCE = "reference.yuv"


class VmafReference:
    """A video to compare distorted versions of itself with; 0 to 100, higher is better.

    The reference is written once, as raw YUV 4:2:0 into a temporary folder (1.5 bytes per pixel and frame) that goes
    when the block ends; each version is piped to FFmpeg. Both are converted by the same scaler, BT.601 limited range;
    libvmaf looks at luma alone. Odd sizes lose their last row or column. Untouched frames score 100, but about 97 where
    there is no motion: in the first frame and in stills.

    Args:
        frames: of the source, at least one, each at least 32x32.
        fps: frames per second; it sets time stamps only, VMAF does not depend on it.

    Raises:
        InputError: the frames are too small, too few, differ in size or are no such pictures.
        MissingExtraError: imageio-ffmpeg is not installed.
        W2SVQAError: there is no FFmpeg with libvmaf, or it failed.

    Example:
        >>> grey = np.full((2, 48, 64, 3), 128, np.uint8)
        >>> with VmafReference(grey) as reference:
        ...     reference.score(grey) > 90
        True
    """

    def __init__(self, frames: Frames, fps: float = 25) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise InputError(f"{fps} frames per second is no rate", remedy="give a number above 0")
        self._height, self._width = _size(frames)
        self._frames: Frames | None = frames
        self._count = len(frames)
        self._fps = fps
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        if self._frames is None:
            raise InputError("this VMAF reference was closed", remedy="make another one")
        executable = ffmpeg_with_filter(_FILTER)
        self._folder = tempfile.TemporaryDirectory(prefix="w2svqa-vmaf-")
        try:
            target = ["-pix_fmt", "yuv420p", "-f", "rawvideo", _REFERENCE]
            pictures = self._pictures(self._frames)
            pipe_to_ffmpeg(executable, [*self._input("rgb24", "pipe:0"), *target], pictures, self._folder.name)
        except BaseException:
            self._close()
            raise
        self._frames = None  # from here on only the file is needed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def score(self, frames: Frames) -> float:
        """Return VMAF of a version, 0 to 100: the mean over its frames.

        Args:
            frames: as many as the reference has, of its size.

        Raises:
            InputError: number or size of the frames differ from the reference.
            W2SVQAError: FFmpeg failed, or the ``with`` block is not entered.
        """
        if self._folder is None:
            raise W2SVQAError("the VMAF reference is not open", remedy="use it inside its `with` block")
        size = _size(frames)
        if (len(frames), *size) != (self._count, self._height, self._width):
            raise InputError(
                f"{len(frames)} frames of {size[1]}x{size[0]} cannot be compared with a reference of {self._count} of "
                f"{self._width}x{self._height}",
                remedy="give one frame of the same size for each of the reference",
            )
        log = f"{secrets.token_hex(8)}.json"
        # Relative names only, in the folder itself: a path would need escaping in the language of filters.
        measure = f"{_FILTER}=model=version={MODEL}:n_threads=1:log_fmt=json:log_path={log}"
        arguments = [*self._input("rgb24", "pipe:0"), *self._input("yuv420p", _REFERENCE)]
        arguments += [
            "-filter_complex_threads",
            "1",
            "-filter_complex",
            f"[0:v]format=yuv420p[seen];[seen][1:v]{measure}",
        ]
        arguments += ["-f", "null", "-"]
        pipe_to_ffmpeg(ffmpeg_with_filter(_FILTER), arguments, self._pictures(frames), self._folder.name)
        return _mean_of_log(Path(self._folder.name, log), self._count)

    def _input(self, pixel_format: str, name: str) -> list[str]:
        size = f"{self._width // 2 * 2}x{self._height // 2 * 2}"
        described = ["-f", "rawvideo", "-pix_fmt", pixel_format, "-video_size", size, "-framerate", f"{self._fps:.6g}"]
        return [*described, "-i", name]

    def _pictures(self, frames: Frames) -> Iterator[bytes]:
        for frame in frames:
            yield frame[: self._height // 2 * 2, : self._width // 2 * 2].tobytes()


def _size(frames: Frames) -> tuple[int, int]:
    """Return height and width of all frames.

    Raises:
        InputError: there are none, they differ, or they are no pictures that libvmaf can compare.
    """
    if len(frames) == 0:
        raise InputError("VMAF was given no frames", remedy="give at least one")
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(
                f"VMAF was given a frame of {frame.dtype} {frame.shape}",
                remedy="give RGB frames: uint8 (height, width, 3)",
            )
    sizes = sorted({(int(frame.shape[0]), int(frame.shape[1])) for frame in frames})
    shown = ", ".join(f"{width}x{height}" for height, width in sizes)
    if len(sizes) > 1:
        raise InputError(f"VMAF was given frames of several sizes: {shown}", remedy="give frames of one size")
    if min(sizes[0]) < LEAST_SIZE:
        raise InputError(
            f"frames of {shown} are too small for VMAF", remedy=f"it needs at least {LEAST_SIZE}x{LEAST_SIZE} pixels"
        )
    return sizes[0]


def vmaf_of_frames(path: Path) -> list[float]:
    """Return VMAF of each frame from libvmaf's log in JSON, 0 to 100 each; the log is deleted.

    Raises:
        W2SVQAError: it is not there, or holds something else.
    """
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))["frames"]
        return [float(frame["metrics"]["vmaf"]) for frame in measured]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise W2SVQAError(
            f"libvmaf left no log that can be read ({type(error).__name__})", remedy="update imageio-ffmpeg"
        ) from None
    finally:
        path.unlink(missing_ok=True)


def _mean_of_log(path: Path, count: int) -> float:
    """Return the mean of VMAF over the ``count`` frames of libvmaf's log."""
    values = vmaf_of_frames(path)
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise W2SVQAError(f"libvmaf measured {len(values)} of {count} frames", remedy="update imageio-ffmpeg")
    return math.fsum(values) / count
