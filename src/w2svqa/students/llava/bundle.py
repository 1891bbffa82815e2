"""A bundle of a LLaVA student: what was trained, and the name of the checkpoint that it was trained from.

```
card.json               besides what every card says: llava, base, judging, weights
anchors.npz             the anchors' tokens and the preferences among them
motion.safetensors      the motion projector, and SlowFast's fast pathway
weights*.safetensors    weights that differ from the checkpoint's, in shards; low-rank updates as pairs
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2svqa import __version__
from w2svqa.core.config import from_mapping, to_mapping
from w2svqa.core.errors import BundleError, ConfigError
from w2svqa.core.extras import require
from w2svqa.core.records import Tokens
from w2svqa.networks.checkpoints import fill, read_tensors
from w2svqa.students.bundle import CARD, read_anchors, write_anchors, write_card
from w2svqa.students.llava.checkpoint import MOTION, PROJECTOR, identify, load_llava, load_motion, write_motion
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.device import device_of, precision_of, quantization
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionEncoder
from w2svqa.students.llava.options import MOST_SECONDS, LlavaOptions, Orders, parse_options
from w2svqa.students.llava.runtime import LlavaStudent

SHARD_SIZE: Final = "4GB"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
"""Ends of the names of a low-rank update ``up @ down`` of a layer's weight, scaled by the card's ``lora_scale``."""

_AGAIN: Final = "export the bundle again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The checkpoint that a student was trained from.

    Attributes:
        checkpoint: its folder, its name on the hub, or ``random-tiny``.
        identity: what tells it from others, from :func:`w2svqa.students.llava.checkpoint.identify`.
        seed: of the weights of ``random-tiny``.
    """

    checkpoint: str
    identity: str
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How the student judged when its scale was fitted, and so judges unless told otherwise.

    Attributes:
        orders: in which orders a video and an anchor are compared.
        most_seconds: the frame budget.
    """

    orders: Orders = "one"
    most_seconds: int = MOST_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The weights of a student that differ from its checkpoint's.

    Attributes:
        weights: by their names in the backbone, such as ``"model.multi_modal_projector.linear_1.weight"``.
        updates: low-rank updates ``(down, up)`` by the name of the layer's weight: it becomes
            ``weight + scale * up @ down``. ``down`` is ``(rank, inputs)``, ``up`` ``(outputs, rank)``.
        scale: of the updates.
    """

    weights: Mapping[str, Tensor]
    updates: Mapping[str, tuple[Tensor, Tensor]]
    scale: float = 1.0

    def state(self) -> dict[str, Tensor]:
        """Return all as one mapping of names to tensors."""
        state = dict(self.weights)
        for name, (down, up) in self.updates.items():
            state |= {name + DOWN: down, name + UP: up}
        return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def write_llava_bundle(
    folder: Path,
    *,
    name: str,
    model: LlavaModel,
    motion: MotionEncoder,
    base: Base,
    changed: Changed,
    anchors: tuple[Tokens, ...],
    preferences: NDArray[np.float64],
    scale: Mapping[str, object],
    judging: Judging | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write a bundle, the card last.

    Args:
        folder: empty.
        name: of the student.
        model: its configuration and its motion projector are written.
        motion: SlowFast.
        base: where all other weights come from.
        changed: those that do not.
        anchors: tokens of each anchor, worst first.
        preferences: float64 ``(anchors, anchors)`` among them.
        scale: ``Scale.to_dict()``.
        judging: how the student judged when the scale was fitted.
        facts: further entries of the card.

    Raises:
        MissingExtraError: huggingface_hub, which writes shards, is not installed.
    """
    write_motion(folder / MOTION, model.motion_projector.state_dict(), motion.network.state_dict())
    if state := changed.state():
        hub = require("huggingface_hub", extra="llm")
        hub.save_torch_state_dict(
            state, folder, filename_pattern="weights{suffix}.safetensors", max_shard_size=SHARD_SIZE
        )
    write_anchors(folder, anchors, preferences)
    own = {
        "name": name,
        "student": "llava",
        "w2svqa": __version__,
        "llava": to_mapping(model.config),
        "base": to_mapping(base),
        "judging": to_mapping(judging or Judging()),
        "weights": sorted(path.name for path in folder.glob("weights*.safetensors")),
        "lora_scale": changed.scale,
        "scale": dict(scale),
    }
    write_card(folder, {**(facts or {}), **own})


def load_student(folder: Path, card: Mapping[str, Any], options: Mapping[str, str]) -> LlavaStudent:
    """Load the student of a bundle whose card and files have been checked.

    Args:
        folder: of the bundle.
        card: its card.
        options: fields of :class:`LlavaOptions`.

    Raises:
        BundleError: an entry of the card is missing or of no use, or a weight does not fit the checkpoint.
        InputError: the checkpoint that it was trained from is missing or damaged.
        ConfigError: there is no such option, or it has no such value.
        MissingExtraError: transformers, or what an option needs, is not installed.
    """
    require("transformers", extra="llm")
    chosen = parse_options(options)
    config, base, judging = (
        _part(card, key, kind, folder) for key, kind in (("llava", LlavaConfig), ("base", Base), ("judging", Judging))
    )
    model = _model(folder, card, config, base, chosen)
    _projector(model, folder)
    motion = load_motion(folder, config).to(model.device)
    settled = replace(
        chosen,
        orders=chosen.orders or judging.orders,
        most_seconds=chosen.most_seconds or judging.most_seconds,
    )
    student = LlavaStudent(model, motion, name=_name(str(card.get("name")), judging, settled), options=settled)
    if settled.prefix_file is not None:
        anchors, _ = read_anchors(folder, axes=3)
        student.keep(anchors, path=settled.prefix_file, made_by=_maker(card, model, settled))
    return student


def _part(card: Mapping[str, Any], key: str, kind: type[Any], folder: Path) -> Any:  # noqa: ANN401
    try:
        return from_mapping(kind, card[key])
    except KeyError:
        raise BundleError(f"its card has no {key!r}", path=folder / CARD, remedy=_AGAIN) from None
    except ConfigError as error:
        raise BundleError(
            f"its card has no valid {key!r}: {error.problem}", path=folder / CARD, remedy=_AGAIN
        ) from None


def _model(folder: Path, card: Mapping[str, Any], config: LlavaConfig, base: Base, options: LlavaOptions) -> LlavaModel:
    device = device_of(options)
    kind = precision_of(options, device)
    source = options.checkpoint or base.checkpoint
    found = identify(source, seed=base.seed)
    if found != base.identity:
        raise BundleError(
            f"was trained from another checkpoint than {source}: {base.identity}, not {found}",
            path=folder,
            remedy="name the right one by the option checkpoint=PATH",
        )
    quantized = quantization(options, device, kind)
    # the projector is the bundle's own, and replaces the one made here
    model = load_llava(
        source, config, device=device, kind=kind, new_projector=True, seed=base.seed, options=quantized or None
    )
    _change(model, folder, card, is_quantized=bool(quantized))
    return model


def _change(model: LlavaModel, folder: Path, card: Mapping[str, Any], *, is_quantized: bool) -> None:
    """Put the weights of a bundle in the place of the checkpoint's."""
    stored = _Stored(folder, card)
    places = dict(model.backbone.named_parameters())
    for name in stored.files:
        if is_quantized and ".language_model." in name:
            raise ConfigError(
                f"the language model of this student was trained ({name}), and cannot be quantized",
                remedy="leave quantize out",
            )
        if not name.endswith(UP):  # which is read with its other half
            stored.put(name, places)


class _Stored:
    """The weights in the files of a bundle.

    Args:
        folder: of the bundle.
        card: its card, which names the files.

    Raises:
        BundleError: a file is not vouched for, or damaged.
    """

    def __init__(self, folder: Path, card: Mapping[str, Any]) -> None:
        self._folder = folder
        self._package = require("safetensors", extra="llm")
        names, scale = card.get("weights"), card.get("lora_scale")
        if not isinstance(names, list) or not all(name in list(card["files"]) for name in names):
            raise self._useless(CARD, f"lists weights that it has no hash of: {names!r}")
        if not isinstance(scale, int | float):
            raise self._useless(CARD, f"has no number 'lora_scale', but {scale!r}")
        self._scale = scale
        self.files = {key: name for name in names for key in self._keys(name)}

    def put(self, name: str, places: Mapping[str, Tensor]) -> None:
        """Put a weight, or an update of one, in its place."""
        whole = name.removesuffix(DOWN)
        target = places.get(whole)
        if target is None:
            raise self._useless(self.files[name], f"holds {name!r}, which the checkpoint has not")
        value = self._read(name)
        if name.endswith(DOWN):
            up = self._read(whole + UP)
            if value.ndim != 2 or up.shape[1:] != value.shape[:1]:
                raise self._useless(self.files[name], f"{name!r} does not fit its other half")
            value = self._scale * (up.float() @ value.float())
        if value.shape != target.shape:
            problem = f"{name!r} is {tuple(value.shape)}, the checkpoint's {tuple(target.shape)}"
            raise self._useless(self.files[name], problem)
        with torch.no_grad():
            target.copy_(value if whole == name else target.float() + value.to(target.device))

    def _read(self, name: str) -> Tensor:
        if name not in self.files:
            raise self._useless(CARD, f"lists no file with {name!r}")
        with self._open(self.files[name]) as file:
            value: Tensor = file.get_tensor(name)
        return value

    def _keys(self, file_name: str) -> list[str]:
        with self._open(file_name) as file:
            return list(file.keys())

    @contextmanager
    def _open(self, file_name: str) -> Iterator[Any]:
        try:
            with self._package.safe_open(str(self._folder / file_name), framework="pt") as file:
                yield file
        except (OSError, self._package.SafetensorError) as error:
            raise self._useless(file_name, f"is damaged: {error}") from None

    def _useless(self, file_name: str, problem: str) -> BundleError:
        return BundleError(problem, path=self._folder / file_name, remedy=_AGAIN)


def _projector(model: LlavaModel, folder: Path) -> None:
    """Load the motion projector of a bundle."""
    path = folder / MOTION
    state = {
        key.removeprefix(PROJECTOR): value for key, value in read_tensors(path).items() if key.startswith(PROJECTOR)
    }
    fill(model.motion_projector, state, path)


def _name(name: str, judging: Judging, options: LlavaOptions) -> str:
    """Return the name of a student with every option that changes its numbers."""
    changes = [f"{options.orders} order" + "s" * (options.orders == "both")] * (options.orders != judging.orders)
    changes += [f"{options.most_seconds} seconds"] * (options.most_seconds != judging.most_seconds)
    changes += [options.quantize] * (options.quantize != "none")
    return f"{name} ({', '.join(changes)})" if changes else name


def _maker(card: Mapping[str, Any], model: LlavaModel, options: LlavaOptions) -> str:
    """Return what the prefixes of a student depend on, but for the tokens: 32 hex digits."""
    parts = [card["files"], card["llava"], card["base"], card["lora_scale"], str(model.dtype), options.quantize]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
