"""ConvNeXt over space and time: the same numbers as the reference implementation, and what follows from its make-up."""

from __future__ import annotations

from pathlib import Path

import dover_cases as cases
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.teachers.networks.convnext_video import (
    FEATURES_FEMTO,
    FEATURES_TINY,
    UNUSED_KEYS,
    Block,
    ChannelNorm,
    ConvNextVideo,
    ResponseNorm,
    convnext_video_femto,
    convnext_video_tiny,
)

GOLDENS = Path(__file__).parent / "goldens" / "dover.npz"
BUILDERS = {"dover": convnext_video_tiny, "dover-mobile": convnext_video_femto}


def filled_backbone(model: str, view: str = "aesthetic") -> ConvNextVideo:
    backbone = BUILDERS[model]()
    shapes = {f"{view}_backbone.{key}": tuple(value.shape) for key, value in backbone.state_dict().items()}
    state = {key.partition(".")[2]: torch.from_numpy(value) for key, value in cases.state_of(shapes)}
    backbone.load_state_dict(state)
    return backbone.eval()


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("model", BUILDERS)
def test_every_stage_equals_the_reference(model: str) -> None:
    backbone = filled_backbone(model)
    seen: dict[str, Tensor] = {}
    parts = [f"{kind}.{number}" for kind in ("downsample_layers", "stages") for number in range(4)]
    for part in parts:
        backbone.get_submodule(part).register_forward_hook(
            lambda _module, _inputs, output, part=part: seen.update({part: output[0]})
        )
    clip = torch.from_numpy(cases.clip(0, cases.CLIP_SHAPES[model, "aesthetic"]))
    with torch.inference_mode():
        seen["features"] = backbone(clip[None])[0]
    with np.load(GOLDENS) as goldens:
        for part in [*parts, "features"]:
            expected = goldens[f"{model}/aesthetic/{part}"]
            assert relative(cases.sample_of(seen[part].contiguous().numpy()), expected) < 1e-4, part


@pytest.mark.parametrize(("model", "channels"), [("dover", FEATURES_TINY), ("dover-mobile", FEATURES_FEMTO)])
def test_features_have_half_the_frames_and_a_32nd_of_the_sides(model: str, channels: int) -> None:
    with torch.inference_mode():
        features = BUILDERS[model]()(torch.zeros(2, 3, 4, 64, 96))
    assert features.shape == (2, channels, 2, 2, 3)


def test_clips_of_a_batch_do_not_touch_each_other() -> None:
    backbone = filled_backbone("dover-mobile")
    clips = torch.from_numpy(np.stack([cases.clip(number, (3, 4, 64, 64)) for number in range(2)]))
    with torch.inference_mode():
        together = backbone(clips)
        apart = torch.cat([backbone(clip[None]) for clip in clips])
    assert relative(together.numpy(), apart.numpy()) < 1e-5


def test_only_blocks_of_three_frames_pass_something_on_in_time() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 8, 6, 9, 9)
    changed = features.clone()
    changed[:, :, 2] += 1
    for frames, reached in [(1, {2}), (3, {1, 2, 3})]:
        block = Block(8, frames, response_norm=False)
        nn.init.ones_(block.get_parameter("gamma"))
        with torch.inference_mode():
            difference = (block(changed) - block(features)).abs().amax(dim=(0, 1, 3, 4))
        assert {number for number, value in enumerate(difference.tolist()) if value > 1e-6} == reached


def test_second_block_of_each_stage_sees_three_frames() -> None:
    for backbone in (convnext_video_tiny(), convnext_video_femto()):
        for stage in backbone.stages:
            frames = [kernel.kernel_size[0] for kernel in stage.modules() if isinstance(kernel, nn.Conv3d)]
            assert frames == [(1, 3, 1)[number % 3] for number in range(len(frames))]


def test_channel_norm_is_that_of_each_place() -> None:
    torch.manual_seed(0)
    normalised = ChannelNorm(16)(3 + 5 * torch.randn(1, 16, 2, 3, 4))
    assert torch.allclose(normalised.mean(dim=1), torch.zeros(1, 2, 3, 4), atol=1e-5)
    assert torch.allclose(normalised.std(dim=1, correction=0), torch.ones(1, 2, 3, 4), atol=1e-3)


def test_response_norm_takes_columns_apart() -> None:
    norm = ResponseNorm(4)
    nn.init.ones_(norm.gamma)
    torch.manual_seed(0)
    features = torch.rand(1, 2, 3, 5, 4)
    changed = features.clone()
    changed[:, 0, 0, 2, 1] *= 10
    difference = (norm(changed) - norm(features)).abs().amax(dim=(0, 4))
    assert difference[:, :, 2].min() > 1e-3  # every frame and row of that column
    assert difference[:, :, [0, 1, 3, 4]].max() == 0


def test_response_norm_without_gain_and_shift_changes_nothing() -> None:
    features = torch.rand(1, 2, 3, 5, 4)
    assert torch.equal(ResponseNorm(4)(features), features)


def test_unused_keys_are_not_built() -> None:
    assert not set(UNUSED_KEYS) & set(convnext_video_femto().state_dict())
