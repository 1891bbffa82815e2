"""Streaming simulators: a video is encoded as a service would, at falling quality.

H.264 and H.265 are the paper's; VP9 and AV1 are for evaluation alone, codecs that no student has seen.
All encode 4:2:0 with 8 bits and on one thread: with more, some encoders give other bits on another machine.

Source: arXiv 2505.03631, section 4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from w2svqa.core.errors import InputError, StrPath
from w2svqa.video.encode import transcode

H264_PRESET: Final = "fast"
"""Preset of x264, as in the paper."""

H265_PRESET: Final = "medium"
"""Preset of x265. The paper takes ``veryslow``, which takes many times as long; the CRF means about the same."""

VP9_SPEED: Final = 4
"""``cpu-used`` of libvpx: 0 (slow) to 5 in its mode "good"."""

AV1_PRESET: Final = 8
"""Preset of SVT-AV1: 0 (slow) to 13."""

H265_LEAST_SIDE: Final = 72
"""Pixels. Up to 64, x265 4 reads and even writes outside its buffers: other bits each time, or a crash."""

AV1_LEAST_SIDE: Final = 64
"""Pixels. Below, SVT-AV1 leaves its usual rate control, and the same CRF means something else."""

STREAMING_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "h264": (".mp4", ".mkv", ".mov", ".m4v"),
    "h265": (".mp4", ".mkv", ".mov"),
    "vp9": (".webm", ".mp4", ".mkv"),
    "av1": (".webm", ".mp4", ".mkv"),
}
"""Kind -> suffixes of the containers that hold it so that players, and this package, read it back."""

_ENCODERS: Final = {"h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}


def check_streaming_target(kind: str, target: StrPath) -> None:
    """Check that the suffix of ``target`` names a container for the codec ``kind``.

    Raises:
        InputError: it does not.

    Example:
        >>> check_streaming_target("vp9", "clip.webm")
        >>> check_streaming_target("h264", "clip.webm")
        Traceback (most recent call last):
        w2svqa.core.errors.InputError: clip.webm: a '.webm' file cannot hold h264 (choose one of .mp4, .mkv, .mov, .m4v)
    """
    suffix = Path(target).suffix.lower()
    if suffix not in STREAMING_SUFFIXES[kind]:
        raise InputError(
            f"a {suffix!r} file cannot hold {kind}",
            path=target,
            remedy=f"choose one of {', '.join(STREAMING_SUFFIXES[kind])}",
        )


def encode_h264(source: StrPath, target: StrPath, crf: float, max_seconds: float | None = None) -> None:
    """Encode with x264 at a constant rate factor, 4:2:0, 8 bits.

    Args:
        source: any file that can be scored.
        target: with a suffix in :data:`STREAMING_SUFFIXES`; written atomically.
        crf: 0 (lossless) to 51 (worst).
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: the suffix of the target names no container for it.
        MediaError: the source cannot be read.
        StoreError: the target cannot be written.
    """
    options = {"crf": f"{crf:g}", "preset": H264_PRESET, "threads": "1"}
    _encode(source, target, "h264", options, max_seconds)


def encode_h265(
    source: StrPath, target: StrPath, crf: float, max_seconds: float | None = None, *, preset: str = H265_PRESET
) -> None:
    """Encode with x265 at a constant rate factor, 4:2:0, 8 bits.

    Args:
        source: any file that can be scored, of at least :data:`H265_LEAST_SIDE` pixels on each side.
        target: with a suffix in :data:`STREAMING_SUFFIXES`; written atomically.
        crf: 0 (best) to 51 (worst).
        max_seconds: stop after so much of the source; ``None`` for all of it.
        preset: of x265, ``ultrafast`` to ``placebo``; the paper's is ``veryslow``.

    Raises:
        InputError: the suffix of the target names no container for it.
        MediaError: the source cannot be read, or is too small.
        StoreError: the target cannot be written.
    """
    parameters = "pools=none:frame-threads=1:log-level=error"
    options = {"crf": f"{crf:g}", "preset": preset, "x265-params": parameters, "threads": "1"}
    _encode(source, target, "h265", options, max_seconds, least_side=H265_LEAST_SIDE)


def encode_vp9(source: StrPath, target: StrPath, crf: float, max_seconds: float | None = None) -> None:
    """Encode with libvpx at constant quality, 4:2:0, 8 bits; not part of the paper.

    Args:
        source: any file that can be scored.
        target: with a suffix in :data:`STREAMING_SUFFIXES`; written atomically.
        crf: 0 (best) to 63 (worst).
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: the suffix of the target names no container for it.
        MediaError: the source cannot be read.
        StoreError: the target cannot be written.
    """
    options = {"crf": f"{crf:g}", "b": "0", "deadline": "good", "cpu-used": str(VP9_SPEED), "row-mt": "0"}
    _encode(source, target, "vp9", options | {"threads": "1"}, max_seconds)


def encode_av1(source: StrPath, target: StrPath, crf: float, max_seconds: float | None = None) -> None:
    """Encode with SVT-AV1 at a constant rate factor, 4:2:0, 8 bits; not part of the paper.

    Args:
        source: any file that can be scored, of at least :data:`AV1_LEAST_SIDE` pixels on each side.
        target: with a suffix in :data:`STREAMING_SUFFIXES`; written atomically.
        crf: 1 (best) to 63 (worst).
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        InputError: the suffix of the target names no container for it.
        MediaError: the source cannot be read, or is too small.
        StoreError: the target cannot be written.
    """
    # SVT-AV1 prints its settings on stderr, and only its own variable can stop it (1: errors alone)
    os.environ.setdefault("SVT_LOG", "1")
    options = {"crf": f"{crf:g}", "preset": str(AV1_PRESET), "svtav1-params": "lp=1"}
    with _same_priority():
        _encode(source, target, "av1", options, max_seconds, least_side=AV1_LEAST_SIDE)


@contextmanager
def _same_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does where it may: it makes the calling thread a real-time one, before which others wait."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def _encode(
    source: StrPath,
    target: StrPath,
    kind: str,
    options: Mapping[str, str],
    max_seconds: float | None,
    *,
    least_side: int = 1,
) -> None:
    check_streaming_target(kind, target)
    transcode(
        source,
        target,
        codec=_ENCODERS[kind],
        options=options,
        max_seconds=max_seconds,
        pixel_format="yuv420p",
        least_side=least_side,
    )
