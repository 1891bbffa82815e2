"""The part of Qwen2's tokenizer that the prompts use; made by benchmarks/goldens/make_qwen_words.py."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

GOLDEN = Path(__file__).parent / "goldens" / "qwen_words.json"


def qwen_tokenizer(without: str | None = None) -> Tokenizer:
    """The tokenizer, on request without a word: it then comes apart."""
    golden = json.loads(GOLDEN.read_text(encoding="ascii"))
    merges = [tuple(merge) for merge in golden["merges"] if "".join(merge) != without]
    tokenizer = Tokenizer(models.BPE(vocab=golden["vocabulary"] | golden["special"], merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(golden["pattern"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens(list(golden["special"]))
    return tokenizer


def encode(text: str) -> list[int]:
    """Numbers of the tokens of a text of the prompts' words."""
    return list(qwen_tokenizer().encode(text).ids)
