"""The backbone against its reference implementation, and laws of its windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dover_cases as shared
import fast_vqa_cases as cases
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from w2svqa.teachers.fast_vqa import FasterVqa, FastVqa, FastVqaM
from w2svqa.teachers.networks.swin_windows import Size, layout_of, merged, parted, resized_window
from w2svqa.teachers.networks.video_swin import FAST_VQA, FAST_VQA_M, FastVqaNetwork, SwinSettings, VideoSwin

GOLDEN = np.load(Path(__file__).parent / "goldens" / "fast_vqa.npz")
CLASSES = {"fast-vqa": FastVqa, "fast-vqa-m": FastVqaM, "faster-vqa": FasterVqa}
CPU = torch.device("cpu")
TINY = SwinSettings(depths=(2, 1), heads=(1, 2), width=8, fragment_bias=(True, False))


def _filled(network: FastVqaNetwork) -> FastVqaNetwork:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(value) for key, value in shared.state_of(shapes)})
    return network.eval()


def _difference(ours: torch.Tensor, golden: str, wanted: int = 250) -> float:
    """Return the greatest difference of the samples relative to the greatest value."""
    theirs = GOLDEN[golden]
    return float(np.abs(shared.sample_of(ours.numpy(), wanted) - theirs).max() / np.abs(theirs).max())


def _keeping(seen: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    """Return a hook that keeps what a part gives the first time, for the first clip."""

    def hook(_part: torch.nn.Module, _inputs: object, output: torch.Tensor | list[torch.Tensor]) -> None:
        seen.setdefault(name, output if isinstance(output, torch.Tensor) else output[0])

    return hook


@pytest.mark.parametrize("name", cases.MODELS)
def test_keys_and_shapes_are_those_of_the_official_model(name: str) -> None:
    shapes = {key: tuple(value.shape) for key, value in CLASSES[name].build().state_dict().items()}
    count, tables = GOLDEN[f"{name}/counts"]
    assert len(shapes) == count
    assert tables == 12  # one index table per block, not needed
    assert shared.digest_of(shapes) == str(GOLDEN[f"{name}/keys"])


@pytest.mark.parametrize("case", cases.FORWARDS)
def test_activations_and_outputs_are_those_of_the_official_model(case: str) -> None:
    _, shape, clips, adaptive = cases.FORWARDS[case]
    settings = FAST_VQA if case == "base" else replace(FAST_VQA_M, adaptive=adaptive)
    network = _filled(FastVqaNetwork(settings))
    seen: dict[str, torch.Tensor] = {}
    watched = {name: part for name, part in network.fragments_backbone.named_modules() if f"{case}/{name}" in GOLDEN}
    assert len(watched) == 8  # patch embedding, four stages, two blocks within, norm
    for name, part in watched.items():
        part.register_forward_hook(_keeping(seen, name))
    network.vqa_head.register_forward_hook(_keeping(seen, "quality"))
    with torch.inference_mode():
        means = [float(network(torch.from_numpy(shared.clip(number, shape))[None])[0]) for number in range(clips)]
    seen["quality"] = seen["quality"][0]
    for name, output in seen.items():
        # Stages and the embedding give channels first there, everything else channels last.
        first = name == "patch_embed" or (name.startswith("layers") and "blocks" not in name)
        assert _difference(output.permute(3, 0, 1, 2) if first else output, f"{case}/{name}") < 1e-4, name
    assert np.allclose(means, GOLDEN[f"{case}/means"], rtol=1e-4, atol=1e-5)
    assert clips == 1 or np.std(means) >= 0.1


def test_clips_do_not_touch_each_other() -> None:
    backbone = VideoSwin(TINY).eval()
    clips = torch.randn(2, 3, 8, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both = backbone(clips)
        assert both.shape == (2, 16, 4, 8, 8)
        assert torch.equal(both[1], backbone(clips[1:])[0])


def test_clips_together_equal_clips_one_by_one_to_the_last_bit() -> None:
    # gated, shifted, two windows in time
    backbone = _filled(FastVqaNetwork(replace(TINY, adaptive=False))).fragments_backbone
    clips = torch.randn(2, 3, 32, 96, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        one_by_one = torch.cat([backbone(clip[None]) for clip in clips])
        assert torch.equal(backbone(clips), one_by_one)


def test_groups_of_windows_give_what_all_windows_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    network = _filled(FastVqaNetwork(TINY))
    clips = torch.randn(1, 3, 8, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        at_once = network(clips)
        monkeypatch.setattr("w2svqa.teachers.networks.video_swin._BIASES_AT_ONCE", 1)
        assert torch.allclose(network(clips), at_once, rtol=1e-5)


def test_kept_differences_serve_training_after_inference() -> None:
    network = FastVqaNetwork(TINY)
    clips = torch.zeros(1, 3, 4, 72, 72)
    with torch.inference_mode():
        network(clips)
    network(clips).sum().backward()
    table = network.get_parameter("fragments_backbone.layers.0.blocks.0.attn.fragment_position_bias_table")
    assert table.grad is not None


@pytest.mark.parametrize("size", [(2, 224, 224), (32, 31, 224), (64, 224, 224)])
def test_inputs_without_a_window_are_refused(size: Size) -> None:
    with pytest.raises(ValueError, match="has no window"):
        resized_window(FAST_VQA.window, size, FAST_VQA.base_size)


def test_bias_across_fragments_grows_with_their_distance() -> None:
    size, window = (1, 14, 14), (1, 7, 7)
    layout = layout_of(size, window, None, (0, 0, 0), CPU)
    within, change = torch.zeros(1, 1, 49, 49), torch.ones(1, 1, 49, 49)
    bias = layout.biased(within, change, 0, 4)
    # The window of the upper left covers cells 0 to 3 of 7 along each axis, two tokens to a cell.
    assert bias.shape == (4, 1, 49, 49)
    assert bias[0, 0, 0, [0, 1, 2, 6, 48]].tolist() == [0, 0, 1, 3, 6]


def test_masked_tokens_are_those_the_shift_brought_together() -> None:
    layout = layout_of((1, 1, 8), (1, 1, 4), None, (0, 0, 2), CPU)
    assert layout.mask is not None
    assert layout.mask[0].sum() == 0
    assert layout.mask[1].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]


extents = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(st.tuples(extents, extents, extents), st.tuples(*[st.integers(1, 4)] * 3), st.booleans())
def test_merging_undoes_parting(size: Size, window: Size, shifted: bool) -> None:
    half = (window[0] // 2, window[1] // 2, window[2] // 2) if shifted else (0, 0, 0)
    layout = layout_of(size, window, None, half, CPU)
    tokens = torch.arange(2 * size[0] * size[1] * size[2]).float().view(*size, 2)
    windows = parted(tokens, layout)
    assert windows.shape[1:] == (len(layout.index), 2)
    assert len(windows) % len(layout.distance) == 0
    assert layout.mask is None or len(layout.mask) == len(windows)
    assert torch.equal(merged(windows, layout), tokens)
