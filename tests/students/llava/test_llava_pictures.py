"""Preparation of pictures and clips: the image processor of SigLIP to the value, motion clips by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.siglip import image_processing_pil_siglip as reference

from w2svqa.students.llava import tiny
from w2svqa.students.llava.motion import MotionEncoder
from w2svqa.students.llava.pictures import key_picture, motion_clip, normalised

pytestmark = pytest.mark.llm


def frames(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder() -> MotionEncoder:
    return MotionEncoder(tiny.tiny_slowfast(0))


@pytest.mark.parametrize("size", [(240, 426), (1080, 1920), (384, 384)])
def test_key_frames_are_those_of_the_image_processor(size: tuple[int, int]) -> None:
    # landscape: portrait pictures go through Pillow 13 in another order, see video/pillow_resize.py
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    processor = reference.SiglipImageProcessorPil(size={"height": 384, "width": 384})
    expected = processor(images=[frame], return_tensors="np")["pixel_values"]
    found = normalised(torch.from_numpy(key_picture(frame, 384))[None], torch.float32).numpy()
    assert found.shape == (1, 3, 384, 384)
    assert np.abs(found - expected).max() < 1e-6


def test_normalised_pixels_run_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(1, 1, 2, 3)
    assert normalised(pixels, torch.bfloat16)[0, 0, 0].tolist() == [-1.0, 1.0]


def test_a_released_clip_is_32_frames_the_last_one_repeated() -> None:
    seen = frames(24)
    clip = motion_clip(seen, "released")
    assert clip.shape == (1, 3, 32, 32, 32)
    assert torch.equal(clip[0, :, 23:], clip[0, :, 23:24].expand(-1, 9, -1, -1))
    assert torch.allclose(clip[0, 1, 5], torch.from_numpy(seen[5, :, :, 1] / 255 - 0.45).float() / 0.225, atol=1e-5)
    assert torch.equal(motion_clip(frames(60), "released"), motion_clip(frames(60)[:32], "released"))


def test_all_frames_of_a_second_count() -> None:
    assert motion_clip(frames(50), "second").shape[2] == 50
    with pytest.raises(ValueError, match="motion frames"):
        motion_clip(frames(0), "second")
    with pytest.raises(ValueError, match="motion frames"):
        motion_clip(frames(2)[..., 0], "second")


def test_stills_have_zero_motion_and_moving_seconds_have_not(encoder: MotionEncoder) -> None:
    found = encoder.features([frames(0), frames(8), frames(8, seed=1)])
    assert found.shape == (3, 256)
    assert found.dtype == np.float32
    assert not found[0].any()
    assert np.abs(found[1] - found[2]).max() > 1e-3
    assert np.array_equal(found[1:2], encoder.features([frames(8)]))


def test_a_feature_is_the_mean_over_time_and_places(encoder: MotionEncoder) -> None:
    seen = frames(40, side=64)
    maps = encoder.network.fast_maps(motion_clip(seen, "second"))
    assert maps.shape == (1, 256, 40, 2, 2)
    assert np.allclose(encoder.features([seen])[0], maps.detach().mean(dim=(2, 3, 4))[0], atol=1e-6)


def test_spans_and_weights_have_versions_of_their_own() -> None:
    network = tiny.tiny_slowfast(0)
    versions = {
        MotionEncoder(network, span=span, version=version).version
        for span in ("second", "released")
        for version in "ab"
    }
    assert len(versions) == 4
