"""Where a LLaVA student is run, and in which precision."""

from __future__ import annotations

import torch

from w2svqa.core.extras import require
from w2svqa.networks.checkpoints import check_device
from w2svqa.students.llava.options import LlavaOptions

# Attention and feed-forward layers of the language model are quantized; all that sees stays as it is.
_NOT_QUANTIZED = ("model.vision_tower", "model.multi_modal_projector", "lm_head")


def device_of(options: LlavaOptions) -> torch.device:
    """Return the device that the options name.

    Raises:
        ConfigError: PyTorch cannot compute there.

    Example:
        >>> device_of(LlavaOptions(device="cpu"))
        device(type='cpu')
    """
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device(options.device)
    return torch.device(options.device)


def precision_of(options: LlavaOptions, device: torch.device) -> torch.dtype:
    """Return the type that the networks compute in.

    Example:
        >>> precision_of(LlavaOptions(), torch.device("cpu"))
        torch.float32
    """
    if options.dtype != "auto":
        kind: torch.dtype = getattr(torch, options.dtype)
        return kind
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


def quantization(options: LlavaOptions, device: torch.device, kind: torch.dtype) -> dict[str, object]:
    """Return what transformers is told to quantize the language model; nothing where it shall not be.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    if options.quantize == "none":
        return {}
    require("bitsandbytes", extra="quantize")
    transformers = require("transformers", extra="llm")
    settings = (
        {"load_in_8bit": True}
        if options.quantize == "8bit"
        else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": kind}
    )
    config = transformers.BitsAndBytesConfig(**settings, llm_int8_skip_modules=list(_NOT_QUANTIZED))
    return {"quantization_config": config, "device_map": {"": str(device)}}
