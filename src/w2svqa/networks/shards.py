"""Folders of a large language model's weights, split over several files: checked as a whole, loaded piece by piece.

The layout is that of the Hugging Face hub: an index names the files (``pytorch_model.bin.index.json`` or
``model.safetensors.index.json``, with a ``weight_map`` from key to file), or one file has it all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2svqa.core.errors import ConfigError, InputError, MissingInputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import sha256_file
from w2svqa.core.hub import fetch_snapshot
from w2svqa.networks.checkpoints import DIGEST_DIGITS, HUB, damaged, finite, matched, read_tensors, refuse_broken

if TYPE_CHECKING:
    from torch import Tensor, dtype, nn

INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""Names of the index, the better kind first: it maps faster and cannot hold code."""

SINGLES = ("model.safetensors", "pytorch_model.bin")
"""Names of the one file where there is no index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """The weights of a folder.

    Attributes:
        folder: where they are.
        sha256: of the SHA-256 of each file, weights and others that were named, in the order of their names; hex.
        state: tensors by key, mapped: their values stay on disk until they are used.
    """

    folder: Path
    sha256: str
    state: dict[str, Tensor]

    def version(self, arithmetic: int) -> str:
        """Return ``"<arithmetic>+<start of the SHA-256>"``, for a teacher's version."""
        return f"{arithmetic}+{self.sha256[:DIGEST_DIGITS]}"


def find_folder(parameters: StrPath | None, others: Sequence[str], teacher: str) -> Path:
    """Return the folder with a model.

    Args:
        parameters: the folder, or ``hf://OWNER/NAME``, which is fetched where it is not in the cache.
        others: names of the files that it must have besides weights.
        teacher: whose they are, for messages.

    Raises:
        ConfigError: nothing is named, or the address is none.
        MissingInputError: there is no such folder, one of the files is not in it, or the hub does not give it.
        MissingExtraError: it is on the hub, and huggingface_hub is not installed.
    """
    if parameters is None:
        raise ConfigError(
            f"the teacher {teacher!r} has no parameters", remedy="name the folder of its checkpoint, or hf://OWNER/NAME"
        )
    on_hub = str(parameters).startswith(HUB)
    folder = _from_hub(str(parameters), others) if on_hub else Path(parameters)
    if not folder.is_dir():
        raise MissingInputError("no such folder", path=folder, remedy=f"name the folder of the checkpoint of {teacher}")
    missing = [name for name in others if not (folder / name).is_file()]
    if missing:
        raise MissingInputError(
            f"the folder lacks {', '.join(missing)}", path=folder, remedy="fetch the whole folder of the checkpoint"
        )
    return folder


def read_shards(folder: Path, others: Sequence[str]) -> Shards:
    """Map the weights of a folder.

    Args:
        folder: from :func:`find_folder`.
        others: names of further files that the scores depend on; they are a part of the checksum.

    Raises:
        MissingInputError: there are no weights, or a file that the index names is not there.
        InputError: the index or a file is damaged or holds code, or two files have the same key.
        MissingExtraError: PyTorch or safetensors is not installed.
    """
    paths = weight_files(folder)
    state: dict[str, Tensor] = {}
    for path in paths:
        tensors = read_tensors(path, mapped=True)
        if twice := sorted(set(tensors) & set(state)):
            raise damaged(path, f"holds keys that another file holds as well: {', '.join(twice)}")
        state |= tensors
    return Shards(folder=folder, sha256=_checksum([*paths, *(folder / name for name in others)]), state=state)


def pour(module: nn.Module, shards: Shards, *, device: str, kind: dtype, ignored: str | None = None) -> None:
    """Load all weights of a folder, and nothing else, into a network on the meta device.

    The network comes to life on its device, and each tensor goes there from disk by itself, so that never more than the
    network and one tensor is in memory.

    Args:
        module: the network, without values; it is left in evaluation mode, ``kind`` its type.
        shards: the weights.
        device: where it shall be, such as ``"cuda:0"``.
        kind: of its weights, such as ``torch.float16``.
        ignored: keys of the files that this regular expression matches whole are not needed.

    Raises:
        InputError: keys are missing, or not known, or have other shapes, or values are not finite (in this type); all
            are listed.
    """
    torch = require("torch", extra="train")
    kept = matched(module, shards.state, shards.folder, ignored=ignored)
    module.to(kind).to_empty(device=device)
    broken = []
    with torch.no_grad():
        for key, target in module.state_dict().items():
            target.copy_(kept[key])
            if not finite(target):
                broken.append(key)
    refuse_broken(broken, shards.folder)
    module.eval().requires_grad_(False)


def read_json(path: Path) -> Mapping[str, object]:
    """Return the object of a JSON file.

    Raises:
        MissingInputError: it cannot be read.
        InputError: it is no JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingInputError(f"cannot be read: {error.strerror}", path=path, remedy="check the path") from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise damaged(path, "holds no JSON object")
    return content


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold its weights.

    Raises:
        MissingInputError: there are none, or one that the index names is not there.
        InputError: the index is damaged, or names files outside the folder.
    """
    for index in INDICES:
        if (folder / index).is_file():
            return _indexed(folder / index)
    for single in SINGLES:
        if (folder / single).is_file():
            return [folder / single]
    names = ", ".join((*INDICES, *SINGLES))
    raise MissingInputError(f"the folder holds none of {names}", path=folder, remedy="fetch the whole folder")


def _indexed(index: Path) -> list[Path]:
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise damaged(index, "has no weight_map")
    names = list(dict.fromkeys(str(name) for name in table.values()))
    if outside := [name for name in names if Path(name).name != name or "\\" in name]:
        raise InputError(
            f"names files outside its folder: {', '.join(outside[:5])}",
            path=index,
            remedy="do not trust this checkpoint",
        )
    paths = [index.parent / name for name in sorted(names)]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise MissingInputError(
            f"names {len(missing)} of {len(paths)} files that are not there: {', '.join(missing)}",
            path=index,
            remedy="fetch the whole folder",
        )
    return paths


def _checksum(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda each: each.name):
        try:
            total.update(sha256_file(path).encode("ascii"))
        except OSError as error:
            raise MissingInputError(f"cannot be read: {error.strerror}", path=path, remedy="check the path") from None
    return total.hexdigest()


def _from_hub(address: str, others: Sequence[str]) -> Path:
    owner, _, name = address.removeprefix(HUB).strip("/").partition("/")
    if not owner or not name or "/" in name:
        raise ConfigError(f"{address!r} is no folder on the hub", remedy=f"write {HUB}OWNER/NAME")
    folder = fetched(address, f"{owner}/{name}", [*others, *INDICES])
    known = [index.removesuffix(".index.json") for index in INDICES if (folder / index).is_file()]
    stem, suffix = Path(known[0] if known else SINGLES[0]).stem, Path(known[0] if known else SINGLES[0]).suffix
    folder = fetched(address, f"{owner}/{name}", [f"{stem}*{suffix}"])
    if not known and not (folder / SINGLES[0]).is_file():
        folder = fetched(address, f"{owner}/{name}", [SINGLES[1]])
    return folder


def fetched(address: str, repository: str, patterns: list[str]) -> Path:
    """Return the folder in the hub's cache with those files of a repository that the patterns match.

    Args:
        address: what the user wrote, for messages.
        repository: ``OWNER/NAME``.
        patterns: of file names, such as ``*.json``.

    Raises:
        MissingInputError: the hub does not give them, and they are not in the cache.
        MissingExtraError: huggingface_hub is not installed.
    """
    return fetch_snapshot(repository, patterns, address=address)
