"""A folder with a small checkpoint of Q-Align, as the official ones are laid out."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import q_align_cases as cases
import safetensors.torch
import torch
from numpy.typing import NDArray

from w2svqa.teachers.networks.mplug_owl2 import MplugOwl2
from w2svqa.teachers.q_align import read_shape

GOLDENS = Path(__file__).with_name("goldens") / "q_align.npz"


def goldens() -> Mapping[str, NDArray[Any]]:
    """Return what the reference implementation computed; see benchmarks/goldens/make_q_align.py."""
    with np.load(GOLDENS) as file:
        return {key: file[key] for key in file.files}


def configuration(**changes: object) -> dict[str, Any]:
    """Return the content of ``config.json``, changed at its top level."""
    return copy.deepcopy(cases.CONFIGURATION) | changes


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights that belong to the ``config.json`` of a folder."""
    network = MplugOwl2(read_shape(folder / "config.json"))
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    return {key: torch.from_numpy(value) for key, value in cases.state_of(shapes)}


def write_shards(folder: Path, state: Mapping[str, torch.Tensor], *, kind: str = "bin", parts: int = 2) -> list[Path]:
    """Write weights as the hub has them: ``parts`` files and an index."""
    stem = "pytorch_model" if kind == "bin" else "model"
    names = [f"{stem}-{part + 1:05}-of-{parts:05}.{kind}" for part in range(parts)]
    keys = list(state)
    table: dict[str, str] = {}
    for part, name in enumerate(names):
        piece = {key: state[key].clone() for key in keys[part::parts]}
        if kind == "bin":
            torch.save(piece, folder / name)
        else:
            safetensors.torch.save_file(piece, folder / name)
        table |= dict.fromkeys(piece, name)
    index = {"metadata": {"total_size": 0}, "weight_map": table}
    (folder / f"{stem}.{kind}.index.json").write_text(json.dumps(index))
    return [folder / name for name in names]


def write_folder(folder: Path, *, kind: str = "bin", **changes: object) -> Path:
    """Write a whole checkpoint and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration(**changes)))
    (folder / "tokenizer.model").write_bytes(goldens()["tokenizer"].tobytes())
    write_shards(folder, weights(folder), kind=kind)
    return folder


class Hub:
    """Stands for huggingface_hub: gives files of a folder, and keeps what was asked for."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._cache = folder, cache
        self.given: list[str] = []

    def snapshot_download(self, repository: str, *, allow_patterns: list[str]) -> str:
        if repository != "q-future/one-align":
            raise OSError("no such repository")
        self._cache.mkdir(exist_ok=True)
        for pattern in allow_patterns:
            for path in self._folder.glob(pattern):
                (self._cache / path.name).write_bytes(path.read_bytes())
                self.given.append(path.name)
        return str(self._cache)
