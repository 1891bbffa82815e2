"""SlowFast R50: the activations and keys of PyTorchVideo's model; the fast pathway alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import minimalistic_inputs as given
import numpy as np
import pytest
import torch
from filled import filled_state
from numpy.typing import NDArray

from w2svqa.networks.slowfast import SlowFast, SlowFastShape, pooled, slow_frames

GOLDENS = Path(__file__).parent / "goldens" / "minimalistic.npz"
CLOSE = 1e-4
TINY = SlowFastShape(width=8, reduction=2, depths=(1, 1, 1, 1))
# What the official checkpoint holds besides.
CLASSIFIER = {"blocks.6.proj.weight": (400, 2304), "blocks.6.proj.bias": (400,)}


@pytest.fixture(scope="module")
def goldens() -> Iterator[dict[str, NDArray[np.float32]]]:
    with np.load(GOLDENS) as stored:
        yield dict(stored)


@cache
def network(shape: SlowFastShape | None = None) -> SlowFast:
    """Return a filled network; tests only read it."""
    with torch.device("meta"):
        built = SlowFast(shape) if shape else SlowFast()
    built.to_empty(device="cpu")
    own = built.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if value.is_floating_point()}
    counts = {key: torch.zeros((), dtype=torch.int64) for key in own if key not in shapes}
    state = {key: torch.from_numpy(value) for key, value in filled_state(shapes, scale=given.MOTION_WEIGHTS).items()}
    built.load_state_dict(state | counts)
    return built.eval()


def test_keys_and_shapes_are_the_official_ones(goldens: dict[str, NDArray[np.float32]]) -> None:
    shapes = {key: tuple(value.shape) for key, value in network().state_dict().items()} | CLASSIFIER
    assert len(shapes) == goldens["slowfast_keys"]
    assert given.digest_of(shapes) == str(goldens["slowfast_digest"])


@pytest.mark.parametrize(("name", "count", "side"), [("small", 4, 64), ("full", 1, 224)])
def test_activations_are_the_official_ones(
    name: str, count: int, side: int, goldens: dict[str, NDArray[np.float32]]
) -> None:
    with torch.inference_mode():
        after = network().maps(torch.from_numpy(given.clips(count, side)))
    assert len(after) == 5
    for number, both in enumerate(after):
        for way, values in enumerate(both):
            golden = goldens[f"slowfast_{name}_{number}_{way}"]
            assert given.difference(given.sampled(values.numpy()), golden) < CLOSE, (number, way)
    if name == "full":
        slow, fast = after[-1]
        assert given.difference(pooled(slow, 8).numpy(), goldens["slowfast_slow"]) < CLOSE
        assert given.difference(pooled(fast, 32).numpy(), goldens["slowfast_fast"]) < CLOSE


def test_outputs_vary_over_clips() -> None:
    with torch.inference_mode():
        fast = network().fast_features(torch.from_numpy(given.clips(4, 64)))
    assert fast.shape == (4, 256)
    assert float(fast.std(dim=0).mean()) >= 0.1


def test_the_fast_pathway_alone_gives_what_it_gives_beside_the_slow_one() -> None:
    clips = torch.from_numpy(given.clips(2, 48))
    with torch.inference_mode():
        slow, fast = network(TINY)(clips)
        alone = network(TINY).fast_features(clips)
    assert slow.shape == (2, 256)
    assert torch.equal(fast, alone)


def test_without_the_slow_pathway_little_is_left() -> None:
    small = SlowFast(TINY).eval()
    small.load_state_dict(network(TINY).state_dict())
    clips = torch.from_numpy(given.clips(1, 48))
    with torch.inference_mode():
        before = small.fast_features(clips)
        small.drop_slow()
        assert torch.equal(small.fast_features(clips), before)
    left = {key for key in small.state_dict() if "multipathway_blocks.0" in key or "fusion" in key}
    assert left == set()


def test_slow_frames_run_from_the_first_to_the_last() -> None:
    numbers = torch.arange(64).reshape(1, 1, 64, 1, 1)
    assert slow_frames(numbers).flatten()[[0, 1, -1]].tolist() == [0, 4, 63]
    assert slow_frames(numbers[:, :, :2]).flatten().tolist() == [0]


def test_pooling_weights_places_by_the_windows_that_hold_them() -> None:
    maps = torch.zeros(1, 1, 1, 8, 7)
    maps[..., 0, 0] = 1.0  # in one of the two windows
    assert pooled(maps, 1).item() == pytest.approx(1 / 49 / 2)
    assert pooled(torch.ones(1, 2, 3, 2, 2), 32).tolist() == [[1.0, 1.0]]
