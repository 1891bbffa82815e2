"""Every frame of a video in RGB, one at a time: for the simulators, which write all of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError, StrPath
from w2svqa.video.colour import FrameConverter
from w2svqa.video.facts import facts_of
from w2svqa.video.orient import orientation_of, square_size
from w2svqa.video.reader import FrameReader
from w2svqa.video.sample import DEFAULT_RATE


def nominal_rate(path: StrPath) -> Fraction:
    """Return the average frame rate as declared, or 25 where the file does not say.

    Raises:
        InputError: the file cannot be read as a video or image.
    """
    reader = FrameReader(path)
    try:
        return Fraction(facts_of(reader.source).fps or DEFAULT_RATE).limit_denominator(1001)
    finally:
        reader.close()


def read_frames(path: StrPath) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames in the order shown: upright, with square pixels, 8-bit RGB, SDR, as key frames are.

    Time stamps are left behind: of a video with a varying frame rate each frame comes once.

    Yields:
        uint8 ``(height, width, 3)``, RGB 0-255.

    Raises:
        InputError: the file cannot be read as a video or image, or none of its frames can be decoded.
    """
    reader = FrameReader(path)
    converter = FrameConverter()
    count = 0
    try:
        facts = facts_of(reader.source)
        turned = facts.turned
        for frame in reader.frames():
            # of the first frame alone, see VideoFile.frames_at
            turned = turned or orientation_of(frame)
            size = square_size(frame.width, frame.height, facts.aspect)
            yield turned.apply(converter.rgb(frame, *size))
            count += 1
    finally:
        reader.close()
    if not count:
        raise MediaError("no frame of it can be decoded", path=path, remedy="copy it again")
