"""Checkpoints: found, read without running what is in them, and checked key by key."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.networks.checkpoints import fill, find_checkpoint, read_checkpoint

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


class Harmful:
    """Unpickled, it would make a folder."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._place),)


def _saved(folder: Path, content: object, name: str = "network.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def test_file_and_folder_lead_to_the_checkpoint(tmp_path: Path) -> None:
    path = _saved(tmp_path, STATE, "second.pth")
    assert find_checkpoint(path, ["first.pth"], "teacher") == path
    assert find_checkpoint(tmp_path, ["first.pth", "second.pth"], "teacher") == path
    _saved(tmp_path, STATE, "first.pth")
    assert find_checkpoint(str(tmp_path), ["first.pth", "second.pth"], "teacher").name == "first.pth"


def test_what_is_not_there_is_named_with_the_usual_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no such file.*first\.pth, second\.pth"):
        find_checkpoint(tmp_path / "none", ["first.pth", "second.pth"], "teacher")
    with pytest.raises(MissingInputError, match=r"holds none of first\.pth"):
        find_checkpoint(tmp_path, ["first.pth"], "teacher")
    with pytest.raises(ConfigError, match="'teacher' has no parameters"):
        find_checkpoint(None, ["first.pth"], "teacher")
    with pytest.raises(ConfigError, match="hf://OWNER/NAME/FILE"):
        find_checkpoint("hf://owner/name", ["first.pth"], "teacher")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_weights_are_unwrapped(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = {f"{prefix}{key}": value for key, value in STATE.items()}
    read = read_checkpoint(_saved(tmp_path, state if wrapper is None else {wrapper: state, "epoch": 3}))
    assert set(read.state) == set(STATE)
    assert torch.equal(read.state["weight"], STATE["weight"])


def test_version_names_arithmetic_and_file(tmp_path: Path) -> None:
    path = _saved(tmp_path, STATE)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    read = read_checkpoint(path)
    assert (read.sha256, read.path) == (digest, path)
    assert read.version(3) == f"3+{digest[:12]}"


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
def test_numbers_of_numpy_beside_the_weights_are_no_code(tmp_path: Path, package: bytes) -> None:
    path = _saved(tmp_path, {"state_dict": STATE, "validation_results": (np.float64(0.9), 1000, np.float32(1))})
    renamed = tmp_path / "renamed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(renamed, "w") as target:
        contents = {name: source.read(name) for name in source.namelist()}
        pickled = next(name for name in contents if name.endswith("data.pkl"))
        both = contents[pickled].replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        assert b"numpy.core.multiarray" in both
        contents[pickled] = both.replace(b"numpy.core.multiarray", package + b".multiarray")
        for name, content in contents.items():
            target.writestr(name, content)
    assert set(read_checkpoint(renamed).state) == set(STATE)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    path = _saved(tmp_path, {"state_dict": STATE, "extra": Harmful(tmp_path / "made")})
    with pytest.raises(InputError, match="could run code"):
        read_checkpoint(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken", b"\x80\x02garbage"])
@pytest.mark.parametrize("name", ["network.pth", "network.safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"is no (PyTorch|safetensors) file|could run code"):
        read_checkpoint(tmp_path / name)


def test_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, {"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="is no PyTorch file"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[torch.ones(1)], {}, {"state_dict": {}}, {"weight": 3}, torch.ones(2)])
def test_files_without_weights_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match="holds no state dict"):
        read_checkpoint(_saved(tmp_path, content))


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.pth")


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "network.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "network.safetensors").state["weight"], STATE["weight"])


def test_fill_loads_all_and_leaves_evaluation_mode() -> None:
    network = nn.Linear(3, 2)
    fill(
        network,
        {**STATE, "weight": torch.full((2, 3), 0.5).half(), "old.index": torch.zeros(1)},
        "a.pth",
        ignored="old.*",
    )
    assert not network.training
    assert network.weight.dtype == torch.float32
    assert network.weight.tolist() == [[0.5] * 3] * 2


def test_every_key_that_does_not_fit_is_listed() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    state = {
        "0.weight": torch.ones(3, 2),
        "0.bias": torch.zeros(2),
        "head.one": torch.ones(1),
        "head.two": torch.ones(1),
    }
    with pytest.raises(InputError) as caught:
        fill(network, state, "a.pth")
    message = str(caught.value)
    assert message.startswith("a.pth: is no checkpoint of this network")
    assert "2 keys missing: 1.weight, 1.bias" in message
    assert "2 keys not known: head.one, head.two" in message
    assert "1 key of another shape: 0.weight ((3, 2) instead of (2, 3))" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_key(value: float) -> None:
    with pytest.raises(InputError, match=r"not finite: bias"):
        fill(nn.Linear(3, 2), {**STATE, "bias": torch.tensor([0.0, value])}, "a.pth")


def test_refused_state_changes_nothing() -> None:
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    with pytest.raises(InputError):
        fill(network, {"weight": torch.ones(2, 3)}, "a.pth")
    assert torch.equal(network.weight, before)
