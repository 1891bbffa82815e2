"""Write the part of Qwen2's vocabulary that the prompts use, so that tests know the real numbers of their tokens.

Run with the vocabulary as QwenLM publishes it, one line per token, ``BASE64 NUMBER``:

    python benchmarks/goldens/make_qwen_words.py --vocabulary qwen.tiktoken \
        --output tests/students/llava/goldens/qwen_words.json

What is kept: the 256 single bytes, and every token and merge on the way to the words of the prompts, a few hundred of
151,643. Texts of other words come out wrong with it.
"""

from __future__ import annotations

import argparse
import base64
import json
from itertools import pairwise
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

from w2svqa.students.llava.prompt import PAIR, SINGLE, SYSTEM

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts a text into words: a property of its tokenizer."""

SPECIAL = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}


def main() -> None:
    """Write the file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--vocabulary", type=Path, required=True)
    options.add_argument("--output", type=Path, required=True)
    chosen = options.parse_args()
    ranks = {}
    for line in chosen.vocabulary.read_bytes().splitlines():
        token, number = line.split()
        ranks[base64.b64decode(token)] = int(number)
    kept = {bytes([byte]) for byte in range(256)}
    merges: dict[bytes, tuple[bytes, bytes]] = {}
    words = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    for text in texts():
        for word, _ in words.pre_tokenize_str(text):
            merges |= merged(word.encode(), ranks)
    kept |= set(merges)
    ordered = sorted(merges, key=ranks.__getitem__)
    content = {
        "pattern": PATTERN,
        "special": SPECIAL,
        "vocabulary": {shown(token): ranks[token] for token in sorted(kept, key=ranks.__getitem__)},
        "merges": [[shown(half) for half in merges[token]] for token in ordered],
    }
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(content, ensure_ascii=True) + "\n", encoding="ascii")
    print(f"{len(kept)} of {len(ranks)} tokens, {len(ordered)} merges")


def texts() -> list[str]:
    """Return every text that is taken apart by itself, and the level words with and without their blank."""
    found = [SYSTEM, "system", "user", "assistant", "\n"]
    for prompt in (PAIR, SINGLE):
        found += [*prompt.question, prompt.answer]
        found += [text for word in prompt.words for text in (word, f" {word}")]
    return found


def merged(word: bytes, ranks: dict[bytes, int]) -> dict[bytes, tuple[bytes, bytes]]:
    """Return the merges by which byte pair encoding makes tokens of a word: the lowest rank first."""
    parts = [bytes([byte]) for byte in word]
    used: dict[bytes, tuple[bytes, bytes]] = {}
    while True:
        pairs = [
            (ranks[left + right], place) for place, (left, right) in enumerate(pairwise(parts)) if left + right in ranks
        ]
        if not pairs:
            return used
        place = min(pairs)[1]
        left, right = parts[place : place + 2]
        used[left + right] = (left, right)
        parts[place : place + 2] = [left + right]


def shown(token: bytes) -> str:
    """Return a token as tokenizers spell it: each byte as one visible character."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return "".join(table[byte] for byte in token)


if __name__ == "__main__":
    main()
