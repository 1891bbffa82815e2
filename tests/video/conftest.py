"""Small media, made by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Encode = Callable[..., Path]


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """A function that encodes RGB pictures at given time stamps (milliseconds) into a file in ``tmp_path``."""

    def make(
        name: str,
        pictures: Sequence[Picture],
        stamps: Sequence[int] | None = None,
        *,
        codec: str = "ffv1",
        pixel_format: str = "bgr0",
        options: Mapping[str, str] | None = None,
        rate: int = 10,
        prepare: Callable[[VideoStream], None] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
            assert isinstance(stream, VideoStream)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = Fraction(1, 1000)
            if prepare is not None:
                prepare(stream)
            for index, picture in enumerate(pictures):
                frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format, threads=1)
                frame.pts = round(1000 * index / rate) if stamps is None else stamps[index]
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
