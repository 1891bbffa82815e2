"""The released format: what its weights are called, and what its configuration says, in the hub's terms.

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

Source: released code (revision 2c7ca75), by the names of its modules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from w2svqa.core.errors import InputError
from w2svqa.students.llava.checkpoint import PROJECTOR, SLOWFAST

_HEAD_WIDTH = 72  # of SigLIP so400m's attention: 1152 / 16
_POSITIONS, _SIDE, _PATCH = 729, 384, 14  # 27 x 27 patches of 14 leave 6 of 384 pixels unseen
_KEPT_LAYERS = 26  # of the 27 of SigLIP so400m
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


def check_facts(facts: Mapping[str, object], path: Path) -> None:
    """Refuse a configuration that asks for what there is no code for, or that is none of the released format.

    Args:
        facts: content of ``config.json``.
        path: the file, for messages.

    Raises:
        InputError: it does.
    """
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


def hub_configuration(
    facts: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]], folder: Path
) -> dict[str, Any]:
    """Return the configuration of the hub's format.

    Args:
        facts: content of the released ``config.json``.
        shapes: of the weights, by their names on the hub: the released configuration says nothing of the vision tower.
        folder: of the checkpoint, for messages.

    Raises:
        InputError: the vision tower is not there.
    """
    fields = [*_TEXT_FIELDS, *(name for name in _OPTIONAL_TEXT_FIELDS if name in facts)]
    vocabulary = int(str(facts["vocab_size"]))
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        "text_config": {"model_type": "qwen2", **{name: facts[name] for name in fields}},
        "vision_config": _vision(shapes, folder),
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
