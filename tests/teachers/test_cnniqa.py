from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from teacher_fixtures import state_dict, texture, write_cnniqa
from torch.nn import functional

from w2svqa.core.errors import InputError, MissingInputError
from w2svqa.teachers.cnniqa import FILE, Cnniqa, normalised_patches
from w2svqa.teachers.frames import luma


def test_patches_are_normalised_by_the_equation() -> None:
    grey = luma(texture(70, 100))
    patches = normalised_patches(grey)
    assert patches.shape == (2 * 3, 32, 32)
    picture = grey[32:64, 64:96] / 255
    mean = ndimage.uniform_filter(picture, 3, mode="nearest")
    deviation = np.sqrt(np.maximum(ndimage.uniform_filter(picture**2, 3, mode="nearest") - mean**2, 0))
    np.testing.assert_allclose(patches[5], (picture - mean) / (deviation + 1), atol=1e-4)


def test_the_network_agrees_with_torch(tmp_path: Path) -> None:
    state = state_dict()
    frame = texture(64 + 5, 320)  # 20 patches: more than are taken at once
    with torch.no_grad():
        patches = torch.from_numpy(normalised_patches(luma(frame)))[:, None]
        responses = functional.conv2d(patches, state["conv1.weight"], state["conv1.bias"])
        pooled = torch.cat([responses.amax((2, 3)), responses.amin((2, 3))], dim=1)
        hidden = functional.relu(functional.linear(pooled, state["fc1.weight"], state["fc1.bias"]))
        hidden = functional.relu(functional.linear(hidden, state["fc2.weight"], state["fc2.bias"]))
        expected = functional.linear(hidden, state["fc3.weight"], state["fc3.bias"]).mean()
    found = Cnniqa.load(write_cnniqa(tmp_path)).score_frame(frame)
    assert found == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_it_is_the_mean_over_whole_patches(tmp_path: Path) -> None:
    cnniqa = Cnniqa.load(write_cnniqa(tmp_path))
    frame = texture(63, 95)
    parts = [cnniqa.score_frame(frame[:32, start : start + 32]) for start in (0, 32)]
    assert cnniqa.score_frame(frame) == pytest.approx(np.mean(parts), rel=1e-5, abs=1e-6)


def test_damaged_and_other_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=FILE):
        Cnniqa.load(tmp_path)
    path = write_cnniqa(tmp_path) / FILE
    content = path.read_bytes()
    for bad in (b"", b"no network", content[:1000], content[:-2000]):
        path.write_bytes(bad)
        with pytest.raises(InputError, match="no state dict that can be loaded safely"):
            Cnniqa.load(tmp_path)
    state = state_dict()
    others = [
        ({**state, "fc3.bias": torch.zeros(2)}, r"fc3\.bias has the shape \(2,\) instead of \(1,\)"),
        ({**state, "fc3.bias": torch.full((1,), torch.nan)}, "not finite"),
        ({**state, "more": torch.zeros(1)}, "1 keys not known: more"),
        ({"conv1.bias": torch.zeros(1)}, "7 keys missing: conv1.weight, fc1.weight, fc1.bias, .*, fc3.bias"),
        ([1, 2], "holds no state dict"),
        ({**state, "fc3.bias": ["text"]}, "fc3.bias is no array of numbers"),
    ]
    for other, message in others:
        torch.save(other, path)
        with pytest.raises(InputError, match=message):
            Cnniqa.load(tmp_path)


class Trap:
    """What a hostile file would do on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]  # pickle takes any callable


def test_a_file_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Trap()}, tmp_path / FILE)
    with pytest.raises(InputError, match="loaded safely"):
        Cnniqa.load(tmp_path)
    assert not (tmp_path / "sprung").exists()
