"""Tiny random networks and a tokenizer made on the spot: the strong student for tests and trials, without a download.

Every part is there and in its place, only small, and what comes out varies with what goes in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from w2svqa.core.extras import require
from w2svqa.core.levels import LEVELS
from w2svqa.core.random import generator
from w2svqa.networks.slowfast import SlowFast, SlowFastShape
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.prompt import END, PAIR, SINGLE, START, SYSTEM, Prompt

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlavaOnevisionForConditionalGeneration

PATCH: Final = 14
"""Height and width of a patch in pixels, as at full size."""

TINY_SLOWFAST: Final = SlowFastShape(width=8, reduction=1, depths=(1, 1, 1, 1))
"""Its fast pathway is as wide as that of R50, with one block per stage."""

_END_OF_TEXT, _IMAGE, _VIDEO = "<|endoftext|>", "<image>", "<video>"
_CONTEXT = 8192
_GAIN = 1.4  # of random weights: what varies in the input must not fade from layer to layer


def tiny_tokenizer(left_out: tuple[str, ...] = ()) -> Tokenizer:
    """Return a tokenizer that knows the words of the prompts as one token each, and any other text byte by byte.

    Args:
        left_out: words that it shall not know.

    Raises:
        MissingExtraError: the package tokenizers is not installed.

    Example:
        >>> [len(tiny_tokenizer().encode(text).ids) for text in (" superior", " unknown")]
        [1, 8]
    """
    package = require("tokenizers", extra="llm")
    before = package.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    vocabulary = {sign: number for number, sign in enumerate(sorted(before.alphabet()))}
    for word in _words():
        for piece, _ in before.pre_tokenize_str(word):
            if word.strip() not in left_out:
                vocabulary.setdefault(piece, len(vocabulary))
    tokenizer = package.Tokenizer(package.models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = before
    tokenizer.decoder = package.decoders.ByteLevel()
    tokenizer.add_special_tokens([_END_OF_TEXT, START, END, _IMAGE, _VIDEO])
    made: Tokenizer = tokenizer
    return made


def _words() -> list[str]:
    """Return all words of the prompts, with the blank that precedes them."""
    package = require("tokenizers", extra="llm")
    split = package.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    texts = [SYSTEM, "system", "user", "assistant", "\n", *(f" {word}" for word in LEVELS)]
    for prompt in (PAIR, SINGLE):
        texts += _texts(prompt)
    return [text[start:stop] for text in texts for _, (start, stop) in split.pre_tokenize_str(text)]


def _texts(prompt: Prompt) -> list[str]:
    return [*prompt.question, prompt.answer, *(f" {word}" for word in prompt.words)]


def tiny_backbone(config: LlavaConfig, seed: int, vocabulary: int) -> LlavaOnevisionForConditionalGeneration:
    """Return a LLaVA-OneVision of about 20,000 parameters with random weights, the same for the same seed.

    Args:
        config: its ``frame_side`` is the vision tower's.
        seed: of the weights.
        vocabulary: tokens.

    Raises:
        MissingExtraError: the package transformers is not installed.
    """
    package = require("transformers", extra="llm")
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 32,
        "patch_size": PATCH,
        "image_size": config.frame_side,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vision_use_head": False,
    }
    text = {
        "model_type": "qwen2",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "max_position_embeddings": _CONTEXT,
        "tie_word_embeddings": False,
    }
    shape = package.LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_token_index=vocabulary - 2, video_token_index=vocabulary - 1
    )
    backbone: Any = package.LlavaOnevisionForConditionalGeneration(shape)
    randomise(backbone, seed, "backbone")
    made: LlavaOnevisionForConditionalGeneration = backbone.eval()
    return made


def tiny_slowfast(seed: int) -> SlowFast:
    """Return a SlowFast whose fast pathway has the width of R50's, with random weights."""
    network = SlowFast(TINY_SLOWFAST)
    randomise(network, seed, "slowfast")
    return network.eval()


def randomise(module: nn.Module, seed: int, label: str) -> None:
    """Give a module random weights that depend on the seed and the names of its parameters alone, on any machine.

    Matrices and kernels are normal with deviation 1.4 over the root of their inputs; the weights of normalisations lie
    around 1, other vectors around 0.
    """
    norms = {
        f"{name}.weight"
        for name, part in module.named_modules()
        if not isinstance(part, nn.Linear | nn.Embedding | nn.modules.conv._ConvNd)
    }
    with torch.no_grad():
        for name, weight in module.named_parameters():
            values = generator(seed, label, name).standard_normal(tuple(weight.shape))
            inputs = math.prod(weight.shape[1:]) if weight.ndim > 1 else 0
            scaled = values * (_GAIN / math.sqrt(inputs)) if inputs else 0.1 * values + (name in norms)
            weight.copy_(torch.from_numpy(scaled))
