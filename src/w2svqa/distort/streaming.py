"""Streaming simulators: a video is encoded as a service would, at falling quality.

Source: arXiv 2505.03631, section 4.
"""

from __future__ import annotations

from w2svqa.core.errors import StrPath
from w2svqa.video.encode import transcode

H264_PRESET = "fast"
"""Preset of x264, as in the paper."""


def encode_h264(source: StrPath, target: StrPath, crf: float, max_seconds: float | None = None) -> None:
    """Encode with x264 at a constant rate factor, 4:2:0, 8 bits.

    Args:
        source: any file that can be scored.
        target: ``.mp4`` or ``.mkv``; written atomically.
        crf: 0 (lossless) to 51 (worst).
        max_seconds: stop after so much of the source; ``None`` for all of it.

    Raises:
        MediaError: the source cannot be read.
        StoreError: the target cannot be written.
    """
    # one thread: x264 gives other bits with another number of threads
    options = {"crf": f"{crf:g}", "preset": H264_PRESET, "threads": "1"}
    transcode(source, target, codec="libx264", options=options, max_seconds=max_seconds)
