"""The network of Q-Align against the reference implementation: keys, activations, and laws of its structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import q_align_cases as cases
import torch
from numpy.typing import NDArray
from q_align_folder import configuration, goldens
from torch import Tensor

from w2svqa.teachers.networks.mplug_owl2 import LanguageShape, MplugOwl2, Shape
from w2svqa.teachers.networks.mplug_owl2_vision import AbstractorShape, VisionShape
from w2svqa.teachers.q_align import frame_numbers, prepared

SMALL = Shape(
    language=LanguageShape(**{key: value for key, value in configuration().items() if key in LanguageShape.__slots__}),
    vision=VisionShape(**cases.CONFIGURATION["visual_config"]["visual_model"]),
    abstractor=AbstractorShape(
        **{
            key: value
            for key, value in cases.CONFIGURATION["visual_config"]["visual_abstractor"].items()
            if key in AbstractorShape.__slots__
        }
    ),
)


@pytest.fixture(scope="module")
def reference() -> Mapping[str, NDArray[Any]]:
    return goldens()


@pytest.fixture(scope="module")
def network() -> MplugOwl2:
    made = MplugOwl2(SMALL).eval()
    shapes = {key: tuple(value.shape) for key, value in made.state_dict().items()}
    made.load_state_dict({key: torch.from_numpy(value) for key, value in cases.state_of(shapes)})
    return made.requires_grad_(False)


def shapes_of(network: MplugOwl2) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def test_the_real_network_has_the_keys_and_shapes_of_the_reference(reference: Mapping[str, NDArray[Any]]) -> None:
    with torch.device("meta"):
        network = MplugOwl2(Shape())
    assert len(network.state_dict()) == int(reference["count"])
    assert cases.digest_of(shapes_of(network)) == str(reference["keys"])
    assert sum(value.numel() for value in network.parameters()) == int(reference["parameters"]) == 8_197_859_328
    assert sum(value.numel() for value in network.state_dict().values()) == int(reference["total"]) == 8_204_550_144


def test_the_small_network_has_the_keys_of_the_reference(
    network: MplugOwl2, reference: Mapping[str, NDArray[Any]]
) -> None:
    assert cases.digest_of(shapes_of(network)) == str(reference["small/keys"])


def watched(network: MplugOwl2) -> dict[str, NDArray[Any]]:
    """Return a table that fills with what the parts put out, and give them hooks for it."""
    seen: dict[str, NDArray[Any]] = {}
    parts = {
        "vision": network.model.vision_model,
        "abstractor": network.model.visual_abstractor,
        "layer": network.model.layers[0],
        "attention": network.model.layers[1].get_submodule("self_attn"),
    }
    for name, part in parts.items():

        def keep(_module: object, _inputs: object, output: Tensor, name: str = name) -> None:
            seen[name] = output.numpy().copy()

        part.register_forward_hook(keep)
    return seen


@pytest.mark.parametrize("video", range(len(cases.VIDEOS)))
def test_activations_and_logits_are_those_of_the_reference(video: int, reference: Mapping[str, NDArray[Any]]) -> None:
    network = MplugOwl2(SMALL).eval().requires_grad_(False)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in cases.state_of(shapes_of(network))})
    count, _, _, fps = cases.VIDEOS[video]
    frames = cases.frames(video)
    seen = watched(network)
    prompt = reference["prompt/video"].tolist()
    place = prompt.index(-200)
    pictures = torch.stack([prepared(frames[number], 56) for number in frame_numbers(count, fps, None, 60)])
    tokens = network.see(pictures).flatten(0, 1)
    before, after = torch.tensor(prompt[:place]), torch.tensor(prompt[place + 1 :])
    logits = network(before, tokens, after, reference["words"][:, 1].tolist())
    for part, values in {**seen, "logits": logits.numpy()}.items():
        expected = reference[f"{video}/{part}"]
        assert expected.std() > 0.01
        error = np.abs(cases.sample_of(values) - expected).max() / np.abs(expected).max()
        assert error < 1e-4, (part, error)


def test_a_later_word_changes_nothing_before_it(network: MplugOwl2) -> None:
    before, after = torch.tensor([1, 5, 9]), torch.tensor([7, 8, 11])
    seen = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    states = network.model(before, seen, after)
    changed = network.model(before, seen, torch.tensor([7, 8, 12]))
    torch.testing.assert_close(states[:-1], changed[:-1])
    assert not torch.allclose(states[-1], changed[-1])


def test_only_pictures_go_through_the_weights_for_pictures(network: MplugOwl2) -> None:
    before, after = torch.tensor([1, 5]), torch.tensor([7])
    seen = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    other = MplugOwl2(SMALL)
    other.load_state_dict(network.state_dict())
    for key, value in other.state_dict().items():
        if ".multiway.1." in key:
            value.mul_(1.5)
    states, changed = (each.model(before, seen, after) for each in (network, other))
    torch.testing.assert_close(states[:2], changed[:2])
    assert (states[2:] - changed[2:]).abs().amax(dim=1).min() > 1e-3
    texts = [each.model(before, seen[:0], after) for each in (network, other)]
    torch.testing.assert_close(*texts)


def test_pictures_are_told_apart_by_their_order(network: MplugOwl2) -> None:
    words, before, after = [3, 4, 5], torch.tensor([1, 5]), torch.tensor([7])
    seen = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    logits = network(before, seen, after, words)
    assert logits.dtype == torch.float32
    assert logits.shape == (3,)
    assert not torch.allclose(logits, network(before, seen.flip(0), after, words), atol=1e-3)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Shape(vision=VisionShape(hidden_size=512)), "hidden_size 1024 is not the vision transformer's 512"),
        (lambda: LanguageShape(hidden_size=4100), "hidden_size 4100 is no multiple of twice num_attention_heads 64"),
        (lambda: VisionShape(image_size=450), "image_size 450 is no multiple of patch_size 14"),
        (lambda: AbstractorShape(hidden_size=1030), "hidden_size 1030 is no multiple of num_attention_heads 16"),
    ],
)
def test_impossible_sizes_are_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_weights_of_16_bits_stay_so() -> None:
    network = MplugOwl2(SMALL).to(torch.bfloat16).requires_grad_(False)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in cases.state_of(shapes_of(network))})
    seen = network.see(torch.zeros(2, 3, 56, 56, dtype=torch.bfloat16))
    assert seen.dtype == torch.bfloat16
    assert seen.shape == (2, 6, 64)
    logits = network(torch.tensor([1]), seen.flatten(0, 1), torch.tensor([2]), [3, 4])
    assert logits.dtype == torch.float32
