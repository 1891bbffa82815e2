"""Coding single pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from w2svqa.video.image import jpeg_bytes
from w2svqa.video.scene import scene_frames


def test_a_jpeg_shows_the_picture_and_is_smaller_the_coarser_it_is() -> None:
    [picture] = scene_frames(width=161, height=97, frames=1)
    sizes, errors = [], []
    for scale in (2, 8, 31):
        data = jpeg_bytes(picture, scale=scale)
        assert data == jpeg_bytes(picture, scale=scale)
        with Image.open(io.BytesIO(data)) as shown:
            decoded = np.asarray(shown.convert("RGB")).astype(float)
        assert decoded.shape == picture.shape
        sizes.append(len(data))
        errors.append(float(np.abs(decoded - picture).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] < 4


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not uint8 \(4, 4\)"):
        jpeg_bytes(np.zeros((4, 4), np.uint8))
