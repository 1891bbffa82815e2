"""What the student is asked, and the words it may answer with, as text and as numbers of tokens.

Source: the prompt of the released code (revision 2c7ca75), word for word, for its checkpoints know no other; ChatML as
Qwen2 was trained on. That for a single video stands in a picture of the paper that no text of it
holds: it is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from w2svqa.core.errors import ConfigError
from w2svqa.core.levels import LEVELS

Encode = Callable[[str], Sequence[int]]
"""Takes a text apart into numbers of tokens, adding none of its own."""

SYSTEM: Final = "You are a helpful assistant."
START, END = "<|im_start|>", "<|im_end|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question about videos.

    Attributes:
        name: for messages.
        question: the parts of the question around the videos: one more than there are videos.
        answer: the beginning of the answer; the word of the scale comes next.
        words: the scale, ascending.
    """

    name: str
    question: tuple[str, ...]
    answer: str
    words: tuple[str, ...]

    @property
    def videos(self) -> int:
        """How many videos it is about."""
        return len(self.question) - 1


PAIR: Final = Prompt(
    name="pair",
    question=(
        "Now you will receive two videos. The first video:\n ",
        ". The second video:\n ",
        ". Please watch these videos carefully, and then answer the following question: "
        "Comparing with the first video, how do you assess the quality of the second video?",
    ),
    answer="The quality of the second video is",
    words=LEVELS,
)
"""Is the second video inferior, ..., superior to the first?"""

SINGLE: Final = Prompt(
    name="single",
    question=(
        "Now you will receive a video:\n ",
        ". Please watch this video carefully, and then answer the following question: "
        "How do you assess the quality of this video?",
    ),
    answer="The quality of the video is",
    words=("bad", "poor", "fair", "good", "excellent"),
)
"""Is the video bad, ..., excellent? For the student of section 3 of the paper, which judges a video by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptIds:
    """A prompt as numbers of tokens.

    Attributes:
        parts: what stands before, between and after the videos: one more than there are videos. The last one ends
            with the token after which the word of the scale comes.
        levels: the tokens of the five words, ascending.
        closing: what a complete answer ends with. Nothing here reads it; the released code counts and computes it.
    """

    parts: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]
    closing: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of the text, up to the one after which the word comes."""
        return sum(map(len, self.parts))


def prompt_ids(prompt: Prompt, encode: Encode) -> PromptIds:
    """Return a prompt in the tokens of a checkpoint.

    Every part of the question is taken apart by itself, as the released code does.

    Args:
        prompt: the question.
        encode: of the checkpoint's tokenizer.

    Raises:
        ConfigError: a word of the scale, or a sign of ChatML, is not one token.
    """
    start, end = (_single(sign, sign, encode, prompt.name) for sign in (START, END))
    line = tuple(encode("\n"))
    system = (start, *encode("system"), *line, *encode(SYSTEM), end, *line)
    user, assistant = ((start, *encode(role), *line) for role in ("user", "assistant"))
    first, *middle, last = (tuple(encode(part)) for part in prompt.question)
    return PromptIds(
        parts=((*system, *user, *first), *middle, (*last, end, *line, *assistant, *encode(prompt.answer))),
        levels=tuple(_single(f" {word}", word, encode, prompt.name) for word in prompt.words),
        closing=(end, *line),
    )


def _single(text: str, word: str, encode: Encode, prompt: str) -> int:
    tokens = list(encode(text))
    if len(tokens) != 1:
        raise ConfigError(
            f"the tokenizer takes {word!r} of the prompt {prompt!r} apart into {len(tokens)} tokens {tokens}; "
            "the student reads its answer at one",
            remedy="use the tokenizer of Qwen2, or a checkpoint whose tokenizer has the word",
        )
    return tokens[0]
