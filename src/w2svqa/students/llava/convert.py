"""Checkpoints in the format of the released code, with the names of LLaVA-NeXT -> ours, key by key.

| released | ours |
| --- | --- |
| ``model.embed_tokens``, ``model.layers.N``, ``model.norm`` | ``language_model.model.*`` |
| ``lm_head`` | ``language_model.lm_head`` |
| ``model.vision_tower.vision_tower.vision_model.*`` | ``vision_tower.vision_model.*`` |
| ``model.mm_projector.0``, ``.2`` | ``multi_modal_projector.linear_1``, ``linear_2`` |
| ``model.image_newline`` | ``image_newline`` |
| ``model.slowfast_projector.0``, ``.2`` | ``projector.0``, ``.2`` in ``motion.safetensors`` |
| ``model.slowfast.feature_extraction.N``, the fast pathway | ``slowfast.blocks.N`` in ``motion.safetensors`` |

Left out by name, for the released code never uses them: SlowFast's slow pathway and position embedding (its motion
features come from files), the head of SigLIP, and of SigLIP's 27 layers the last where a checkpoint still has it.

Source: released code (revision 2c7ca75), by the names of its modules; ``docs/llava.md`` says how a checkpoint is used.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from torch import Tensor

_HEAD_WIDTH = 72  # of SigLIP so400m's attention: 1152 / 16
_POSITIONS, _SIDE, _PATCH = 729, 384, 14  # 27 x 27 patches of 14 leave 6 of 384 pixels unseen
_KEPT_LAYERS = 26  # of the 27 of SigLIP so400m
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
_TEXT_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
)
_OPTIONAL_TEXT_FIELDS = ("rope_theta", "hidden_act", "tie_word_embeddings", "bos_token_id", "eos_token_id")

# What the configuration of a released checkpoint may say of the visual tokens; for all else there is no code here.
_FIXED: Final[Mapping[str, str]] = {
    "mm_projector_type": "mlp2x_gelu",
    "mm_spatial_pool_mode": "bilinear",
    "mm_newline_position": "one_token",
    "mm_patch_merge_type": "spatial_unpad",
}

_RENAMED: Final = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"model\.(embed_tokens|layers|norm)\.(.+)", r"language_model.model.\1.\2"),
        (r"lm_head\.weight", r"language_model.lm_head.weight"),
        (r"model\.vision_tower\.vision_tower\.vision_model\.(.+)", r"vision_tower.vision_model.\1"),
        (r"model\.mm_projector\.0\.(weight|bias)", r"multi_modal_projector.linear_1.\1"),
        (r"model\.mm_projector\.2\.(weight|bias)", r"multi_modal_projector.linear_2.\1"),
        (r"model\.image_newline", r"image_newline"),
        (r"model\.slowfast_projector\.([02])\.(weight|bias)", PROJECTOR + r"\1.\2"),
        (r"model\.slowfast\.feature_extraction\.(\d)\.(multipathway_blocks\.1\..+)", SLOWFAST + r"blocks.\1.\2"),
    )
)
_LEFT_OUT: Final = re.compile(
    r"model\.slowfast\.(position_embedding|position_ids|(slow|fast|adp)_avg_pool)\b.*"
    r"|model\.slowfast\.feature_extraction\.\d\.(multipathway_blocks\.0|multipathway_fusion)\..+"
    r"|model\.vision_tower\.vision_tower\.vision_model\.(head\..+|embeddings\.position_ids)"
    rf"|model\.vision_tower\.vision_tower\.vision_model\.encoder\.layers\.{_KEPT_LAYERS}\..+"
    r"|model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
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


def new_name(key: str) -> str | None:
    """Return the name that a weight of the released format has in ours; ``None`` if nothing uses it.

    Raises:
        KeyError: no weight of the released format is called so.

    Example:
        >>> new_name("model.mm_projector.2.bias"), new_name("model.slowfast.position_embedding.weight")
        ('multi_modal_projector.linear_2.bias', None)
    """
    if _LEFT_OUT.fullmatch(key):
        return None
    for pattern, target in _RENAMED:
        if match := pattern.fullmatch(key):
            return match.expand(target)
    raise KeyError(key)


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
    _check_facts(facts, folder / CONFIGURATION)
    paths = weight_files(folder)
    shapes, left_out = _listed(paths, folder)
    configuration = _configuration(facts, shapes, folder / CONFIGURATION)
    _check_complete(shapes, configuration, folder)
    prompt_ids(PAIR, read_tokenizer(folder))
    target.mkdir(parents=True, exist_ok=True)
    motion = _write_backbone(paths, target)
    network, origin = _slowfast(motion, slowfast, folder)
    projector = {key.removeprefix(PROJECTOR): value for key, value in motion.items() if key.startswith(PROJECTOR)}
    write_motion(target / MOTION, projector, network)
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    (target / CONFIGURATION).write_text(json.dumps(configuration, indent=1) + "\n", encoding="utf-8")
    weights = len([name for name in shapes if not name.startswith(SLOWFAST)]) + len(network)
    return Converted(folder=target, weights=weights, left_out=tuple(sorted(left_out)), slowfast=origin)


def _check_facts(facts: Mapping[str, object], path: Path) -> None:
    """Refuse a configuration that asks for what there is no code for, or that is none of the released format."""
    if facts.get("model_type") == "llava_onevision":
        raise InputError("is in the format of the hub already", path=path, remedy="use the folder as it is")
    missing = [name for name in _TEXT_FIELDS if name not in facts]
    if missing:
        raise InputError(
            f"has no {', '.join(missing)}", path=path, remedy="name the folder of a checkpoint of the released code"
        )
    for name, wanted in _FIXED.items():
        found = facts.get(name, wanted)
        if found != wanted:
            raise InputError(
                f"{name} is {found!r}; there is code for {wanted!r} alone",
                path=path,
                remedy="name a checkpoint that was trained with the released scripts",
            )


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


def _configuration(facts: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]], path: Path) -> dict[str, Any]:
    """Return the configuration of the hub's format. Sizes of the vision tower are those of its weights."""
    fields = [*_TEXT_FIELDS, *(name for name in _OPTIONAL_TEXT_FIELDS if name in facts)]
    vocabulary = int(str(facts["vocab_size"]))
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        "text_config": {"model_type": "qwen2", **{name: facts[name] for name in fields}},
        "vision_config": _vision(shapes, path.parent),
        "image_token_index": min(151646, vocabulary - 2),
        "video_token_index": min(151647, vocabulary - 1),
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": bool(facts.get("tie_word_embeddings", False)),
        "dtype": str(facts.get("torch_dtype", facts.get("dtype", "bfloat16"))),
    }


def _vision(shapes: Mapping[str, tuple[int, ...]], folder: Path) -> dict[str, object]:
    start = "vision_tower.vision_model."
    layers = {name.split(".")[4] for name in shapes if name.startswith(f"{start}encoder.layers.")}
    try:
        width, _, patch, _ = shapes[f"{start}embeddings.patch_embedding.weight"]
        positions = shapes[f"{start}embeddings.position_embedding.weight"][0]
        inner = shapes[f"{start}encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError as error:
        raise InputError(
            f"lacks the weight of the vision tower that becomes {error.args[0]!r}",
            path=folder,
            remedy="name a whole checkpoint; one without its vision tower cannot be used",
        ) from None
    side = _SIDE if (positions, patch) == (_POSITIONS, _PATCH) else math.isqrt(positions) * patch
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "patch_size": patch,
        "image_size": side,
        "vision_use_head": False,
    }


def _check_complete(shapes: Mapping[str, tuple[int, ...]], configuration: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint that lacks a weight, or has one of another shape."""
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


def hub_name(name: str) -> str:
    """Return the name on the hub of a weight that transformers calls ``name``.

    Example:
        >>> hub_name("model.vision_tower.post_layernorm.bias"), hub_name("lm_head.weight")
        ('vision_tower.vision_model.post_layernorm.bias', 'language_model.lm_head.weight')
    """
    for pattern, target in (
        (r"model\.language_model\.", "language_model.model."),
        (r"model\.vision_tower\.(vision_model\.)?", "vision_tower.vision_model."),
        (r"model\.(?=multi_modal_projector|image_newline)", ""),
        (r"lm_head\.", "language_model.lm_head."),
    ):
        if match := re.match(pattern, name):
            return target + name[match.end() :]
    return name


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
