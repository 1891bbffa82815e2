"""Checkpoints in the format of the released code, with the names of LLaVA-NeXT -> ours, key by key.

The names are in :mod:`w2svqa.students.llava.released`; ``docs/llava.md`` says how a checkpoint is used.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2svqa.core.errors import InputError, MissingInputError, StoreError, StrPath
from w2svqa.core.extras import require
from w2svqa.networks.checkpoints import fill, finite, read_checkpoint, read_tensors, refuse_broken
from w2svqa.networks.shards import INDICES, read_json, weight_files
from w2svqa.networks.slowfast import CLASSIFIER, R50, SlowFast
from w2svqa.students.llava.checkpoint import (
    CONFIGURATION,
    MOTION,
    PROJECTOR,
    SLOWFAST,
    fast_shape,
    read_tokenizer,
    write_motion,
)
from w2svqa.students.llava.config import MOTION_WIDTH
from w2svqa.students.llava.prompt import PAIR, prompt_ids
from w2svqa.students.llava.released import check_facts, hub_configuration, hub_name, new_name

if TYPE_CHECKING:
    from torch import Tensor

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What became of a released checkpoint.

    Attributes:
        folder: the new checkpoint.
        weights: how many tensors it has, the motion branch's included.
        left_out: keys that nothing uses.
        slowfast: where SlowFast is from: ``"file"``, ``"checkpoint"`` or ``"none"``.
    """

    folder: Path
    weights: int
    left_out: tuple[str, ...]
    slowfast: str


def convert_released(source: StrPath, target: Path, *, slowfast: StrPath | None = None) -> Converted:
    """Write a checkpoint of the released format as one of ours. Weights keep their type; one file is in memory at once.

    Args:
        source: folder of the released checkpoint.
        target: folder to write; it must be empty or not there.
        slowfast: PyTorchVideo's ``SLOWFAST_8x8_R50.pyth``, with which the released motion features were made; ``None``
            takes the copy in the checkpoint, where there is one.

    Raises:
        MissingInputError: the checkpoint or a file of it is not there.
        InputError: it is damaged or of another format; keys that are not known or missing are named. Without a motion
            projector it says what to do.
        StoreError: the target is not empty.
        MissingExtraError: PyTorch, safetensors or transformers is not installed.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise MissingInputError("no such folder", path=folder, remedy="name the folder of a released checkpoint")
    if target.exists() and any(target.iterdir()):
        raise StoreError("is not empty", path=target, remedy="name a new folder")
    facts = read_json(folder / CONFIGURATION)
    check_facts(facts, folder / CONFIGURATION)
    paths = weight_files(folder)
    shapes, left_out = _listed(paths, folder)
    configuration = hub_configuration(facts, shapes, folder)
    check_complete(shapes, configuration, folder)
    prompt_ids(PAIR, read_tokenizer(folder))
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    scratch.mkdir(parents=True)
    try:
        motion = _write_backbone(paths, scratch)
        network, origin = _slowfast(motion, slowfast, folder)
        projector = {key.removeprefix(PROJECTOR): value for key, value in motion.items() if key.startswith(PROJECTOR)}
        write_motion(scratch / MOTION, projector, network)
        for name in _TOKENIZER_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, scratch / name)
        (scratch / CONFIGURATION).write_text(json.dumps(configuration, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)  # an empty folder
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    weights = len([name for name in shapes if not name.startswith(SLOWFAST)]) + len(network)
    return Converted(folder=target, weights=weights, left_out=tuple(sorted(left_out)), slowfast=origin)


def _listed(paths: list[Path], folder: Path) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Return the shape of each weight under its new name, and the keys that nothing uses."""
    shapes: dict[str, tuple[int, ...]] = {}
    left_out, unknown, twice = [], [], []
    for key, value in _tensors(paths):
        try:
            name = new_name(key)
        except KeyError:
            unknown.append(key)
            continue
        if name is None:
            left_out.append(key)
        elif name in shapes:
            twice.append(key)
        else:
            shapes[name] = tuple(value.shape)
    problems = [
        f"{len(keys)} {what}: {', '.join(keys)}" for what, keys in (("not known", unknown), ("twice", twice)) if keys
    ]
    if problems:
        raise InputError(
            f"holds weights that are no part of the released model, {'; '.join(problems)}",
            path=folder,
            remedy="name a whole checkpoint of the released code, without LoRA and optimizer states",
        )
    return shapes, left_out


def _tensors(paths: list[Path]) -> Iterator[tuple[str, Tensor]]:
    for path in paths:
        yield from read_tensors(path, mapped=True).items()


def check_complete(shapes: Mapping[str, tuple[int, ...]], configuration: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint that lacks a weight, or has one too many or of another shape.

    Args:
        shapes: of its weights, by their new names.
        configuration: in the hub's format.
        folder: of the checkpoint, for messages.

    Raises:
        InputError: it does; every such weight is named.
    """
    wanted = _wanted(configuration)
    hidden = configuration["text_config"]["hidden_size"]
    projector = {
        "0.weight": (hidden, MOTION_WIDTH),
        "0.bias": (hidden,),
        "2.weight": (hidden, hidden),
        "2.bias": (hidden,),
    }
    if not any(name.startswith(PROJECTOR) for name in shapes):
        raise InputError(
            "has no motion projector (model.slowfast_projector): it is a LLaVA-OneVision that was never trained on "
            "motion",
            path=folder,
            remedy="train one: `w2svqa run configs/llava-7b.yaml` starts with a new projector, from "
            "llava-hf/llava-onevision-qwen2-7b-ov-chat-hf",
        )
    wanted |= {f"{PROJECTOR}{name}": shape for name, shape in projector.items()}
    missing = [name for name in wanted if name not in shapes]
    extra = [name for name in shapes if name not in wanted and not name.startswith(SLOWFAST)]
    other = [
        f"{name} {shapes[name]} for {wanted[name]}" for name in wanted if shapes.get(name, wanted[name]) != wanted[name]
    ]
    named = ("missing", missing), ("too many", extra), ("of another shape", other)
    problems = [f"{len(names)} {what}: {', '.join(names)}" for what, names in named if names]
    if problems:
        raise InputError(
            f"is no whole checkpoint; weights, under their new names, {'; '.join(problems)}",
            path=folder,
            remedy="fetch the whole checkpoint again",
        )


def _wanted(configuration: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each weight of a LLaVA-OneVision, by the names on the hub."""
    torch, package = require("torch", extra="train"), require("transformers", extra="llm")
    with torch.device("meta"):
        model = package.LlavaOnevisionForConditionalGeneration(package.LlavaOnevisionConfig(**configuration))
    names = {hub_name(name): tuple(value.shape) for name, value in model.state_dict().items()}
    if configuration["tie_word_embeddings"]:
        names.pop("language_model.lm_head.weight", None)
    return names


def _write_backbone(paths: list[Path], target: Path) -> dict[str, Tensor]:
    """Write the weights of the backbone, file by file, with an index; return those of the motion branch."""
    saver = require("safetensors.torch", extra="train")
    motion: dict[str, Tensor] = {}
    index: dict[str, str] = {}
    total = 0
    for number, path in enumerate(paths, start=1):
        kept: dict[str, Tensor] = {}
        for key, value in read_tensors(path, mapped=True).items():
            name = new_name(key)
            if name is not None:
                (motion if name.startswith((PROJECTOR, SLOWFAST)) else kept)[name] = value.contiguous()
        refuse_broken([name for name, value in kept.items() if not finite(value)], path)
        file = f"model-{number:05d}-of-{len(paths):05d}.safetensors"
        saver.save_file(kept, target / file, metadata={"format": "pt"})
        index |= dict.fromkeys(kept, file)
        total += sum(value.nbytes for value in kept.values())
    content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
    (target / INDICES[0]).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return motion


def _slowfast(motion: Mapping[str, Tensor], file: StrPath | None, folder: Path) -> tuple[dict[str, Tensor], str]:
    """Return the state of SlowFast's fast pathway, in 32 bits, and where it is from."""
    state: Mapping[str, Tensor] = {
        key.removeprefix(SLOWFAST): value for key, value in motion.items() if key.startswith(SLOWFAST)
    }
    if file is not None:
        network, path, origin = SlowFast(R50), Path(file), "file"
        state = {key: value for key, value in read_checkpoint(path).state.items() if not re.fullmatch(CLASSIFIER, key)}
    elif state:
        network, path, origin = SlowFast(fast_shape(state, folder)), folder, "checkpoint"
        network.drop_slow()
    else:
        return {}, "none"
    fill(network, state, path)
    network.drop_slow()
    return dict(network.state_dict()), origin
