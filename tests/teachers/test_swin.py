"""Swin-B: the activations and keys of torchvision's model inside the official MinimalisticVQA; windows and shifts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import minimalistic_inputs as given
import numpy as np
import pytest
import torch
from filled import filled_state
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork
from w2svqa.teachers.networks.swin import Swin, SwinShape, relative_positions

GOLDENS = Path(__file__).parent / "goldens" / "minimalistic.npz"
CLOSE = 1e-4
Network = TypeVar("Network", bound=nn.Module)
TINY = SwinShape(width=8, depths=(2, 2), heads=(1, 2), window=3)


@pytest.fixture(scope="module")
def goldens() -> Iterator[dict[str, NDArray[np.float32]]]:
    with np.load(GOLDENS) as stored:
        yield dict(stored)


def made(network: Network) -> Network:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict(
        {key: torch.from_numpy(value) for key, value in filled_state(shapes, scale=given.WEIGHTS).items()}
    )
    return network.eval()


@pytest.mark.parametrize(("name", "motion"), [("vii", 0), ("ix", 256)])
def test_keys_and_shapes_are_the_official_ones(name: str, motion: int, goldens: dict[str, NDArray[np.float32]]) -> None:
    with torch.device("meta"):
        network = MinimalisticNetwork(motion)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    # The index tables, which the official files hold as well, are not needed.
    tables = [key for key in shapes if key.endswith("relative_position_bias_table")]
    shapes |= {key.replace("bias_table", "index"): (7**4,) for key in tables}
    assert len(shapes) == goldens[f"{name}_keys"]
    assert given.digest_of(shapes) == str(goldens[f"{name}_digest"])


def test_activations_are_the_official_ones(goldens: dict[str, NDArray[np.float32]]) -> None:
    with torch.device("meta"):
        network = MinimalisticNetwork()
    network.to_empty(device="cpu")
    made(network)
    after: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=f"vii_layer{number}_0": after.update({name: output}))
        for number, layer in enumerate(network.feature_extraction.features)
    ]
    with torch.inference_mode():
        features = network.feature_extraction(torch.from_numpy(given.pictures(4, 136, 200)))
        outputs = network.rate(features)
    assert len(after) == len(hooks) == 8
    for name, values in (after | {"vii_features_0": features}).items():
        assert given.difference(given.sampled(values.numpy()), goldens[name]) < CLOSE, name
    assert given.difference(outputs.numpy(), goldens["vii_outputs"]) < CLOSE
    assert goldens["vii_outputs"].std() >= 0.1


def test_judgements_with_motion_are_the_official_ones(goldens: dict[str, NDArray[np.float32]]) -> None:
    with torch.device("meta"):
        network = MinimalisticNetwork(256)
    made(network.to_empty(device="cpu"))
    with torch.inference_mode():
        outputs = network(torch.from_numpy(given.pictures(4, 136, 200)), torch.from_numpy(given.motion_features(4)))
    assert given.difference(outputs.numpy(), goldens["ix_outputs"]) < CLOSE
    assert goldens["ix_outputs"].std() >= 0.1


def test_a_picture_is_judged_alike_alone_and_beside_others() -> None:
    network, batch = made(Swin(TINY)), torch.from_numpy(given.pictures(3, 44, 60))
    with torch.inference_mode():
        together = network(batch)
        alone = torch.cat([network(batch[number : number + 1]) for number in range(3)])
    assert together.shape == (3, TINY.features)
    assert torch.allclose(together, alone, atol=1e-5)
    assert float(together.std(dim=0).mean()) > 0.1


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 100), (13, 37)])
def test_any_size_of_at_least_a_patch(height: int, width: int) -> None:
    with torch.inference_mode():
        features = made(Swin(TINY))(torch.from_numpy(given.pictures(1, height, width)))
    assert features.shape == (1, 16)
    assert bool(features.isfinite().all())


def test_shifted_windows_let_far_tokens_meet() -> None:
    network = made(Swin(SwinShape(width=8, depths=(1,), heads=(1,), window=3)))
    shifted = made(Swin(SwinShape(width=8, depths=(2,), heads=(1,), window=3)))
    picture = torch.from_numpy(given.pictures(1, 24, 24))
    changed = picture.clone()
    changed[:, :, 8:12, 8:12] += 1  # the last token of the first window of 3 by 3
    touched = []
    for swin in (network, shifted):
        with torch.inference_mode():
            differs = (swin.features(picture) - swin.features(changed)).abs().amax(dim=3)[0] > 1e-6
        touched.append(differs.nonzero().max().item())
    assert touched == [2, 3]  # and not 5, which the shift brings beside token 0


def test_positions_count_from_the_lower_right_neighbour() -> None:
    table = relative_positions(7)
    assert table.shape == (49, 49)
    assert torch.equal(table.diagonal(), torch.full((49,), 84))
    assert torch.equal(table + table.T, torch.full((49, 49), 168))
    assert len(set(table.flatten().tolist())) == 13**2
