"""Checkpoints of the strong student: a folder in the format of the hub, and beside it what the motion branch needs.

```
config.json, model*.safetensors, tokenizer.json   LLaVA-OneVision as on the hub
motion.safetensors                                projector.* and, if it is there, slowfast.* (its fast pathway); ours
```
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from w2svqa.core.errors import InputError, MissingInputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.files import sha256_file
from w2svqa.core.random import generator
from w2svqa.networks.checkpoints import DIGEST_DIGITS, HUB, damaged, fill, read_checkpoint, read_tensors
from w2svqa.networks.shards import INDICES, fetched, read_json
from w2svqa.networks.slowfast import CLASSIFIER, R50, SlowFast, SlowFastShape
from w2svqa.students.llava import tiny
from w2svqa.students.llava.config import MOTION_WIDTH, LlavaConfig
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionEncoder, MotionProjector
from w2svqa.students.llava.prompt import PAIR, SINGLE, Encode, prompt_ids

if TYPE_CHECKING:
    from transformers import LlavaOnevisionForConditionalGeneration

RANDOM_TINY: Final = "random-tiny"
"""A name in place of a checkpoint: :mod:`w2svqa.students.llava.tiny`."""

CONFIGURATION: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
MOTION: Final = "motion.safetensors"
PROJECTOR, SLOWFAST = "projector.", "slowfast."
"""Beginnings of the keys in :data:`MOTION`."""

_MODEL_TYPE = "llava_onevision"
_RELEASED_TYPES = ("llava", "llava_qwen")
_HUB_FILES = [
    "*.json",
    "*.safetensors",
    "merges.txt",
]
_PIECES, _PIECE = 16, 65536  # of a file of weights, and bytes of each
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def find_llava(source: StrPath) -> Path:
    """Return the folder of a checkpoint, fetched where it is on the hub and not in the cache.

    Args:
        source: the folder, ``OWNER/NAME`` or ``hf://OWNER/NAME``.

    Raises:
        MissingInputError: there is no such folder, or the hub does not give it.
        MissingExtraError: it is on the hub, and huggingface_hub is not installed.
    """
    name = str(source).removeprefix(HUB)
    if Path(source).is_dir():
        return Path(source)
    if not _HUB_NAME.fullmatch(name):
        raise MissingInputError(
            "no such folder",
            path=source,
            remedy=f"name the folder of a checkpoint, OWNER/NAME on the hub, or {RANDOM_TINY}",
        )
    return fetched(str(source), name, _HUB_FILES)


def load_llava(
    source: StrPath,
    config: LlavaConfig,
    *,
    device: str | torch.device = "cpu",
    kind: torch.dtype = torch.float32,
    attention: str = "sdpa",
    new_projector: bool = False,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
) -> LlavaModel:
    """Return the model with the weights of a checkpoint, in evaluation mode.

    Args:
        source: as in :func:`find_llava`, or :data:`RANDOM_TINY`.
        config: what the student sees.
        device: where the model shall be.
        kind: what it computes in.
        attention: of transformers: ``"sdpa"``, ``"eager"``, ``"flash_attention_2"``.
        new_projector: where the checkpoint has no motion projector, start a new one: for training alone.
        seed: of the new projector, and of the weights of :data:`RANDOM_TINY`.
        options: further arguments of transformers' ``from_pretrained``, such as ``quantization_config``.

    Raises:
        MissingInputError: the checkpoint or a file of it is not there.
        InputError: it is damaged, of another format, or lacks weights or the motion projector.
        ConfigError: it does not fit ``config``, or a word of the scale is more than one token.
        MissingExtraError: the package transformers is not installed.
    """
    with torch.random.fork_rng(devices=[]):  # networks are made with random weights first
        if str(source) == RANDOM_TINY:
            return _tiny(config, seed).to(device, kind).eval()
        folder = find_llava(source)
        encode = read_tokenizer(folder)
        prompts = [prompt_ids(prompt, encode) for prompt in (PAIR, SINGLE)]
        backbone = _backbone(folder, kind, attention, dict(options or {}))
        projector = _projector(folder, backbone.config.text_config.hidden_size, seed if new_projector else None)
        model = LlavaModel(config, backbone, projector.to(kind), *prompts)
    placed = model if options and "device_map" in options else model.to(device)
    return placed.eval()


def load_motion(
    source: StrPath, config: LlavaConfig, *, weights: StrPath | None = None, seed: int = 0
) -> MotionEncoder:
    """Return SlowFast's fast pathway, frozen.

    Args:
        source: the student's checkpoint, as in :func:`load_llava`.
        config: what the student sees.
        weights: PyTorchVideo's checkpoint ``SLOWFAST_8x8_R50.pyth``; ``None`` for the copy in the student's checkpoint.
        seed: of the weights of :data:`RANDOM_TINY`.

    Raises:
        MissingInputError: neither is there.
        InputError: it is damaged or belongs to another network.
    """
    with torch.random.fork_rng(devices=[]):
        network, version = _slowfast(source, weights, seed)
    return MotionEncoder(network, span=config.motion_span, version=version)


def save_llava(model: LlavaModel, folder: Path, *, tokenizer: str, motion: MotionEncoder | None = None) -> None:
    """Write a whole checkpoint, for :func:`load_llava` and :func:`load_motion`.

    Args:
        model: its backbone is written in the format of the hub, in safetensors shards.
        folder: made where it is not there.
        tokenizer: content of ``tokenizer.json``.
        motion: SlowFast; ``None`` leaves it out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saver: Any = model.backbone
    saver.save_pretrained(folder)
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    write_motion(folder / MOTION, model.motion_projector.state_dict(), motion.network.state_dict() if motion else {})


def write_motion(path: Path, projector: Mapping[str, Tensor], slowfast: Mapping[str, Tensor]) -> None:
    """Write the motion branch of a checkpoint.

    Args:
        path: the file, :data:`MOTION` in the checkpoint's folder.
        projector: the state of the motion projector.
        slowfast: the state of SlowFast's fast pathway; may be empty.
    """
    saver = require("safetensors.torch", extra="train")
    state = {f"{PROJECTOR}{key}": value.detach().cpu().contiguous() for key, value in projector.items()}
    state |= {f"{SLOWFAST}{key}": value.detach().cpu().contiguous() for key, value in slowfast.items()}
    saver.save_file(state, path)


def identify(source: StrPath, *, seed: int = 0) -> str:
    """Return what tells a checkpoint from others: digits of the hash of its small files and of samples of its weights.

    Of each file of weights 16 pieces of 64 KiB are read: all of 16 GB would take minutes. Any training changes them.

    Args:
        source: as in :func:`load_llava`.
        seed: of :data:`RANDOM_TINY`.
    """
    if str(source) == RANDOM_TINY:
        return f"{RANDOM_TINY}-{seed}"
    folder = find_llava(source)
    total = hashlib.sha256()
    for name in (CONFIGURATION, *INDICES, TOKENIZER):
        if (folder / name).is_file():
            total.update(f"{name} {sha256_file(folder / name)}\n".encode())
    for path in sorted(folder.glob("*.safetensors")):
        total.update(f"{path.name} {path.stat().st_size}\n".encode())
        total.update(_sample(path))
    return total.hexdigest()[:DIGEST_DIGITS]


def _sample(path: Path) -> bytes:
    """Return pieces of a file, evenly spaced, the first and the last among them."""
    last = max(0, path.stat().st_size - _PIECE)
    with path.open("rb") as file:
        pieces = []
        for number in range(_PIECES):
            file.seek(last * number // (_PIECES - 1))
            pieces.append(file.read(_PIECE))
    return b"".join(pieces)


def read_tokenizer(folder: Path) -> Encode:
    """Return what takes a text apart into the tokens of a checkpoint.

    Raises:
        MissingInputError: the folder has no tokenizer.
        InputError: it is damaged.
        MissingExtraError: the package transformers, which brings tokenizers, is not installed.
    """
    package = require("tokenizers", extra="llm")
    path = folder / TOKENIZER
    if not path.is_file():
        return _older_tokenizer(folder)
    try:
        tokenizer = package.Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the package raises nothing narrower
        raise damaged(path, f"is no tokenizer: {error}") from None
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def _older_tokenizer(folder: Path) -> Encode:
    """Return the tokenizer of a folder with Qwen2's ``vocab.json`` and ``merges.txt``."""
    if not all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        raise MissingInputError(
            f"the folder has no {TOKENIZER}, nor vocab.json and merges.txt",
            path=folder,
            remedy="fetch the whole folder of the checkpoint",
        )
    tokenizer = require("transformers", extra="llm").Qwen2Tokenizer.from_pretrained(folder)
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False))


def _tiny(config: LlavaConfig, seed: int) -> LlavaModel:
    tokenizer = tiny.tiny_tokenizer()
    prompts = [prompt_ids(prompt, lambda text: tokenizer.encode(text).ids) for prompt in (PAIR, SINGLE)]
    backbone = tiny.tiny_backbone(config, seed, tokenizer.get_vocab_size())
    projector = MotionProjector(backbone.config.text_config.hidden_size)
    tiny.randomise(projector, seed, "projector")
    return LlavaModel(config, backbone, projector, *prompts)


def _backbone(
    folder: Path, kind: torch.dtype, attention: str, options: dict[str, object]
) -> LlavaOnevisionForConditionalGeneration:
    package, weights = require("transformers", extra="llm"), require("safetensors", extra="train")
    path = folder / CONFIGURATION
    model_type = read_json(path).get("model_type")
    if model_type in _RELEASED_TYPES:
        raise InputError(
            f"is a checkpoint in the released format ({model_type}), with the names of LLaVA-NeXT",
            path=folder,
            remedy="convert it first: see docs/llava.md, section Convert",
        )
    if model_type != _MODEL_TYPE:
        raise InputError(
            f"is a checkpoint of kind {model_type!r}, not {_MODEL_TYPE!r}",
            path=path,
            remedy="name one such as llava-hf/llava-onevision-qwen2-7b-ov-chat-hf",
        )
    try:
        backbone, told = package.LlavaOnevisionForConditionalGeneration.from_pretrained(
            folder,
            dtype=kind,
            attn_implementation=attention,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, weights.SafetensorError) as error:
        raise damaged(folder, f"cannot be loaded: {' '.join(str(error).split())}") from None
    _refuse_gaps(told, folder)
    loaded: LlavaOnevisionForConditionalGeneration = backbone
    return loaded


def _refuse_gaps(told: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint whose weights were not all loaded, or not all known."""
    kinds = ("missing", told["missing_keys"]), ("not known", told["unexpected_keys"])
    problems = [f"{len(keys)} {what}: {', '.join(sorted(keys))}" for what, keys in kinds if keys]
    if told.get("mismatched_keys"):
        problems.append(f"of another shape: {', '.join(sorted(str(key) for key in told['mismatched_keys']))}")
    if problems:
        raise damaged(folder, f"is no whole LLaVA-OneVision: weights {'; '.join(problems)}")


def _projector(folder: Path, hidden: int, seed: int | None) -> MotionProjector:
    """Return the motion projector of a checkpoint; a new one where it has none and a seed is given."""
    path = folder / MOTION
    state = _motion_state(path, PROJECTOR)
    projector = MotionProjector(hidden)
    if state:
        fill(projector, state, path)
        return projector
    if seed is None:
        raise InputError(
            f"the checkpoint has no motion projector ({MOTION}): two linear layers from the {MOTION_WIDTH} numbers of "
            f"SlowFast to the {hidden} of the language model",
            path=folder,
            remedy="train one: `w2svqa run configs/llava-7b.yaml` starts with a new one; or convert a released "
            "checkpoint, which has it",
        )
    for name, weight in projector.named_parameters():
        # PyTorch's own start of a linear layer, but from a stated seed
        bound = 1 / math.sqrt(MOTION_WIDTH if name.startswith("0") else hidden)
        values = generator(seed, "llava", "motion projector", name).uniform(-bound, bound, tuple(weight.shape))
        weight.data.copy_(torch.from_numpy(values))
    return projector


def _slowfast(source: StrPath, weights: StrPath | None, seed: int) -> tuple[SlowFast, str]:
    """Return SlowFast with weights, and what tells these from others."""
    if weights is not None:
        checkpoint = read_checkpoint(weights)
        network = SlowFast(R50)
        fill(network, checkpoint.state, checkpoint.path, ignored=CLASSIFIER)
        return network, checkpoint.sha256[:DIGEST_DIGITS]
    if str(source) == RANDOM_TINY:
        return tiny.tiny_slowfast(seed), f"{RANDOM_TINY}-{seed}"
    path = find_llava(source) / MOTION
    state = _motion_state(path, SLOWFAST)
    if not state:
        raise MissingInputError(
            "the checkpoint has no SlowFast, which makes the motion features",
            path=path,
            remedy="name PyTorchVideo's SLOWFAST_8x8_R50.pyth as well",
        )
    network = SlowFast(fast_shape(state, path))
    network.drop_slow()
    fill(network, state, path)
    return network, sha256_file(path)[:DIGEST_DIGITS]


def _motion_state(path: Path, prefix: str) -> dict[str, Tensor]:
    if not path.is_file():
        return {}
    return {key.removeprefix(prefix): value for key, value in read_tensors(path).items() if key.startswith(prefix)}


def fast_shape(state: Mapping[str, Tensor], path: Path) -> SlowFastShape:
    """Return a shape with the fast pathway that a state belongs to; the slow one is not kept.

    Args:
        state: of SlowFast, all of it or the fast pathway alone.
        path: where it is from, for messages.

    Raises:
        InputError: it holds no fast pathway.
    """
    block = re.compile(r"blocks\.(\d)\.multipathway_blocks\.1\.res_blocks\.(\d+)\.")
    depths = [0, 0, 0, 0]
    for match in filter(None, map(block.match, state)):
        stage, number = int(match[1]) - 1, int(match[2])
        if stage < len(depths):
            depths[stage] = max(depths[stage], number + 1)
    if not all(depths):
        raise damaged(path, "holds no fast pathway of SlowFast")
    return SlowFastShape(width=MOTION_WIDTH // 32, reduction=1, depths=(depths[0], depths[1], depths[2], depths[3]))
