"""Tiny checkpoints in the released format, with the names and the leftovers of the real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from w2svqa.networks.slowfast import SlowFast
from w2svqa.students.llava import tiny
from w2svqa.students.llava.checkpoint import load_llava
from w2svqa.students.llava.config import released_config
from w2svqa.students.llava.model import LlavaModel

SIDE = 56
VISION = "model.vision_tower.vision_tower.vision_model."

_NAMES = (
    (r"model\.language_model\.", "model."),
    (r"model\.vision_tower\.(vision_model\.)?", VISION),
    (r"model\.multi_modal_projector\.linear_1", "model.mm_projector.0"),
    (r"model\.multi_modal_projector\.linear_2", "model.mm_projector.2"),
)


def source_model(seed: int = 0) -> LlavaModel:
    """What the checkpoint holds, with one attention head of the vision tower: the released format does not tell."""
    model = load_llava("random-tiny", released_config(SIDE), seed=seed).requires_grad_(False)
    for layer in model.backbone.model.vision_tower.encoder.layers:
        layer.self_attn.num_heads = 1
        layer.self_attn.head_dim = layer.self_attn.embed_dim
        layer.self_attn.scale = layer.self_attn.head_dim**-0.5
    return model


def renamed(key: str) -> str:
    """The released name of a weight of the backbone."""
    for pattern, target in _NAMES:
        key = re.sub(f"^{pattern}", target, key)
    return key


def released_state(model: LlavaModel, slowfast: SlowFast) -> dict[str, Tensor]:
    """Weights by the released names; the last layer of the vision tower and its head were deleted before training."""
    state = {renamed(key): value.clone() for key, value in model.backbone.state_dict().items()}
    for key, value in model.motion_projector.state_dict().items():
        state[f"model.slowfast_projector.{key}"] = value.clone()
    for key, value in slowfast.state_dict().items():
        state[key.replace("blocks.", "model.slowfast.feature_extraction.", 1)] = value.clone()
    state["model.slowfast.position_embedding.weight"] = torch.zeros(2000, 256)
    return state


def released_configuration(model: LlavaModel) -> dict[str, object]:
    """What the released ``config.json`` says, and no more."""
    text = model.backbone.config.text_config.to_dict()
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    return {
        **{name: text[name] for name in (*sizes, "vocab_size", "max_position_embeddings", "rms_norm_eps")},
        "architectures": ["LlavaQwenForCausalLM"],
        "model_type": "llava_qwen",
        "mm_newline_position": "one_token",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_type": "mlp2x_gelu",
        "mm_spatial_pool_mode": "bilinear",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "google/siglip-so400m-patch14-384",
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def write_released(
    folder: Path, state: Mapping[str, Tensor], configuration: Mapping[str, object], *, files: int = 2
) -> Path:
    """Write a checkpoint, its weights spread over so many files."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tiny.tiny_tokenizer().to_str(), encoding="utf-8")
    keys = sorted(state)
    index: dict[str, str] = {}
    for number in range(files):
        name = f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        save_file({key: state[key] for key in keys[number::files]}, folder / name)
        index |= dict.fromkeys(keys[number::files], name)
    content = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    return folder


def released_checkpoint(folder: Path, model: LlavaModel | None = None) -> Path:
    """Write a whole checkpoint."""
    model = model or source_model()
    return write_released(folder, released_state(model, tiny.tiny_slowfast(0)), released_configuration(model))
