"""Checkpoints of networks: found, read without running what is in them, checked key by key."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from w2svqa.core.errors import ConfigError, InputError, MissingInputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import sha256_file

if TYPE_CHECKING:
    from torch import Tensor, nn

DIGEST_DIGITS = 12
"""Hex digits of the SHA-256 in a version: 48 bits tell the parameter files of one project apart."""

HUB = "hf://"
"""``hf://OWNER/NAME/FILE`` is a file on the Hugging Face hub."""

# Under what key a training script keeps the weights; the first that is there.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")
_DATA_PARALLEL = "module."
_UNREADABLE = (RuntimeError, ValueError, TypeError, KeyError, EOFError, OSError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A file of weights.

    Attributes:
        path: the file.
        sha256: of the file, hex.
        state: tensors by key, on the CPU, in their own dtype.
    """

    path: Path
    sha256: str
    state: dict[str, Tensor]

    def version(self, arithmetic: int) -> str:
        """Return ``"<arithmetic>+<start of the SHA-256>"``, for a teacher's version."""
        return f"{arithmetic}+{self.sha256[:DIGEST_DIGITS]}"


def find_checkpoint(parameters: StrPath | None, names: Sequence[str], teacher: str) -> Path:
    """Return the file that holds a teacher's weights.

    Args:
        parameters: the file itself, a folder with a file of one of the usual names, or ``hf://OWNER/NAME/FILE``.
        names: usual file names, the official one first.
        teacher: whose they are, for messages.

    Raises:
        ConfigError: nothing is named.
        MissingInputError: there is no such file or folder, the folder has no file of these names, or the hub has not.
        MissingExtraError: it is on the hub, and huggingface_hub is not installed.
    """
    listed = ", ".join(names)
    if parameters is None:
        raise ConfigError(f"the teacher {teacher!r} has no parameters", remedy=f"name its checkpoint, such as {listed}")
    if str(parameters).startswith(HUB):
        return _from_hub(str(parameters))
    place = Path(parameters)
    if place.is_file():
        return place
    if not place.is_dir():
        raise MissingInputError(
            "no such file or folder", path=place, remedy=f"name the checkpoint of {teacher}, such as {listed}"
        )
    for name in names:
        if (place / name).is_file():
            return place / name
    raise MissingInputError(f"the folder holds none of {listed}", path=place, remedy="name the file itself")


def read_checkpoint(path: StrPath, *, mapped: bool = False) -> Checkpoint:
    """Read a ``.safetensors`` file, or a PyTorch file of tensors alone; a pickle that would run code is refused.

    A dictionary inside a dictionary (``state_dict``, ...) is unwrapped, and the prefix of data-parallel training taken
    away where every key has it.

    Args:
        path: the file.
        mapped: leave the values on disk until they are needed, where the file's kind allows it.

    Raises:
        MissingInputError: the file cannot be read.
        InputError: it is damaged, holds code, or holds no tensors.
        MissingExtraError: PyTorch or safetensors is not installed.
    """
    place = Path(path)
    try:
        digest = sha256_file(place)
    except OSError as error:
        raise MissingInputError(f"cannot be read: {error.strerror}", path=place, remedy="check the path") from None
    state = read_tensors(place, mapped=mapped and zipfile.is_zipfile(place))
    if state and all(key.startswith(_DATA_PARALLEL) for key in state):
        state = {key.removeprefix(_DATA_PARALLEL): value for key, value in state.items()}
    return Checkpoint(path=place, sha256=digest, state=state)


def read_tensors(path: Path, *, mapped: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a file by key, as :func:`read_checkpoint` does but under the keys of the file.

    Args:
        path: the file.
        mapped: leave the values on disk until they are needed; PyTorch files from before version 1.6 cannot be mapped.

    Raises:
        InputError: the file is damaged, holds code, or holds no tensors.
        MissingExtraError: PyTorch or safetensors is not installed.
    """
    return _tensors(_content(path, mapped), path)


def fitting_checkpoint(path: StrPath, build: Callable[[], nn.Module], *, ignored: str | None = None) -> Checkpoint:
    """Return a checkpoint, mapped, after finding out that it fits a network, which is not made: see ``identify``.

    Args:
        path: the file.
        build: makes the network, on the meta device.
        ignored: as in :func:`fill`.

    Raises:
        MissingInputError: the file cannot be read.
        InputError: it is damaged, holds code, or belongs to another network; values are not looked at.
        MissingExtraError: PyTorch or safetensors is not installed.
    """
    checkpoint = read_checkpoint(path, mapped=True)
    with require("torch", extra="train").device("meta"):
        network = build()
    matched(network, checkpoint.state, checkpoint.path, ignored=ignored)
    return checkpoint


def check_device(device: str) -> None:
    """Find out that PyTorch can compute on a device.

    Raises:
        ConfigError: it cannot.
        MissingExtraError: PyTorch is not installed.
    """
    torch = require("torch", extra="train")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"the device {device!r} cannot be used: {str(error).partition(chr(10))[0]}",
            remedy="name one that this machine and this PyTorch have, such as cpu or cuda:0",
        ) from None


def fill(module: nn.Module, state: Mapping[str, Tensor], path: StrPath, *, ignored: str | None = None) -> None:
    """Load weights into a network, all of them and nothing else, and leave it in evaluation mode.

    Args:
        module: the network; its own state dict says which keys and shapes there must be.
        state: tensors by key.
        path: where they come from, for messages.
        ignored: keys of the file that this regular expression matches whole are not needed (an index table, or a head
            of another task).

    Raises:
        InputError: keys are missing, or not known, or have other shapes, or values are not finite; all are listed.
    """
    kept = matched(module, state, path, ignored=ignored)
    refuse_broken([key for key, value in kept.items() if not finite(value)], path)
    wanted = module.state_dict()
    module.load_state_dict({key: value.to(wanted[key].dtype) for key, value in kept.items()})
    module.eval()


def matched(
    module: nn.Module, state: Mapping[str, Tensor], path: StrPath, *, ignored: str | None = None
) -> dict[str, Tensor]:
    """Return the tensors that a network needs, if they are all there and no others; their values are not looked at.

    Args:
        module: the network; it may be on the meta device.
        state: tensors by key.
        path: where they come from, for messages.
        ignored: see :func:`fill`.

    Raises:
        InputError: keys are missing, or not known, or have other shapes; all are listed.
    """
    wanted = module.state_dict()
    kept = {key: value for key, value in state.items() if not (ignored and re.fullmatch(ignored, key))}
    problems = [
        *_listed("missing", [key for key in wanted if key not in kept]),
        *_listed("not known", [key for key in kept if key not in wanted]),
        *_listed("of another shape", _misshapen(wanted, kept)),
    ]
    if problems:
        raise InputError(
            f"is no checkpoint of this network: {'; '.join(problems)}",
            path=path,
            remedy="name the checkpoint that belongs to it",
        )
    return kept


def finite(value: Tensor) -> bool:
    """Return whether a tensor holds neither NaN nor infinity."""
    return not value.is_floating_point() or bool(value.isfinite().all())


def refuse_broken(keys: Sequence[str], path: StrPath) -> None:
    """Refuse weights that are not :func:`finite`.

    Raises:
        InputError: there are any; all are listed.
    """
    if keys:
        raise InputError("; ".join(_listed("not finite", keys)), path=path, remedy="fetch the checkpoint again")


def _misshapen(wanted: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> list[str]:
    both = [key for key in wanted if key in kept]
    return [
        f"{key} ({tuple(kept[key].shape)} instead of {tuple(wanted[key].shape)})"
        for key in both
        if kept[key].shape != wanted[key].shape
    ]


def _listed(what: str, keys: Sequence[str]) -> list[str]:
    return [f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {what}: {', '.join(keys)}"] if keys else []


def _content(path: Path, mapped: bool) -> object:
    torch = require("torch", extra="train")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise InputError(
            "holds more than tensors: loading it could run code, so it is refused",
            path=path,
            remedy="save its state dict alone, with torch.save or as safetensors",
        ) from None
    except _UNREADABLE as error:
        raise damaged(path, f"is no PyTorch file that can be read: {type(error).__name__}") from None
    return content


def _numpy_scalars() -> list[object]:
    """Return what a pickled number of numpy calls, under both names that numpy 1 and 2 give it; none of it runs code.

    Training scripts, that of FAST-VQA among them, keep correlations computed by scipy beside the weights.
    """
    make = np.float64(0).__reduce__()[0]
    names = [f"numpy.{package}.multiarray.scalar" for package in ("core", "_core")]
    return [
        *((make, name) for name in names),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8")),
    ]


def _safetensors(path: Path) -> object:
    package = require("safetensors", extra="train")
    loader = require("safetensors.torch", extra="train")
    try:
        tensors: object = loader.load_file(path)
    except (package.SafetensorError, *_UNREADABLE) as error:
        raise damaged(path, f"is no safetensors file: {error}") from None
    return tensors


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    torch = require("torch", extra="train")
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise damaged(path, "holds no state dict")
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if len(state) < len(content):
        others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
        raise damaged(path, f"holds no state dict: {', '.join(others[:5])} is no tensor")
    return state


def damaged(path: StrPath, problem: str) -> InputError:
    """Return the error for a checkpoint that is there but cannot be used."""
    return InputError(problem, path=path, remedy="fetch the checkpoint again")


def _from_hub(address: str) -> Path:
    owner, _, rest = address.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file):
        raise ConfigError(f"{address!r} is no file on the hub", remedy=f"write {HUB}OWNER/NAME/FILE")
    hub = require("huggingface_hub", extra="llm")
    errors = require("huggingface_hub.errors", extra="llm")
    try:
        return Path(hub.hf_hub_download(f"{owner}/{name}", file))
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise MissingInputError(
            f"cannot be fetched: {error}", path=address, remedy="fetch it by hand and name the file"
        ) from None
