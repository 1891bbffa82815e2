"""Prompts in the tokens of Qwen2: the numbers that the released code has written out, and split words."""

from __future__ import annotations

import numpy as np
import pytest
from qwen_words import encode, qwen_tokenizer

from w2svqa.core.errors import ConfigError
from w2svqa.core.levels import LEVELS
from w2svqa.students.llava.config import LlavaConfig, released_config
from w2svqa.students.llava.layout import seconds_that_fit, video_length
from w2svqa.students.llava.prompt import PAIR, SINGLE, prompt_ids
from w2svqa.students.llava.tiny import tiny_tokenizer

pytestmark = pytest.mark.llm

RELEASED_IDS = {"superior": 16353, "better": 2664, "similar": 4428, "worse": 10960, "inferior": 37179}
SPATIAL = 196


def test_level_words_have_the_numbers_of_the_released_code() -> None:
    assert prompt_ids(PAIR, encode).levels == tuple(RELEASED_IDS[word] for word in LEVELS)


def test_the_text_has_as_many_tokens_as_in_the_released_code() -> None:
    prompt = prompt_ids(PAIR, encode)
    assert prompt.length + len(prompt.closing) == 78
    assert prompt.parts[0][:11] == (151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198)  # system
    assert prompt.parts[-1][-1] == encode(" is")[0] == 374  # the word of the level comes next


@pytest.mark.parametrize(("seconds", "tokens"), [(8, 3232), (10, 4020)])
def test_two_clips_make_as_many_tokens_as_in_the_released_code(seconds: int, tokens: int) -> None:
    prompt = prompt_ids(PAIR, encode)
    video = video_length(seconds, SPATIAL, released_config())
    assert video == SPATIAL * seconds + 1 + seconds
    assert prompt.length + len(prompt.closing) + 2 * video == tokens


def test_the_single_prompt_has_one_token_per_word() -> None:
    prompt = prompt_ids(SINGLE, encode)
    assert len(prompt.parts) == 2
    assert prompt.levels == (3873, 7852, 6624, 1661, 9073)


@pytest.mark.parametrize("word", LEVELS)
def test_a_level_that_comes_apart_is_named(word: str) -> None:
    tokenizer = qwen_tokenizer(without=f"\u0120{word}")
    with pytest.raises(ConfigError, match=f"takes '{word}' of the prompt 'pair' apart into [2-9] tokens"):
        prompt_ids(PAIR, lambda text: tokenizer.encode(text).ids)


def test_the_tiny_tokenizer_knows_the_words_and_can_forget_one() -> None:
    whole, lacking = tiny_tokenizer(), tiny_tokenizer(left_out=("similar",))
    assert len(set(prompt_ids(PAIR, lambda text: whole.encode(text).ids).levels)) == 5
    with pytest.raises(ConfigError, match="'similar'"):
        prompt_ids(PAIR, lambda text: lacking.encode(text).ids)
    assert whole.decode(whole.encode(PAIR.question[2]).ids) == PAIR.question[2]


def test_seconds_that_fit_is_the_last_that_does() -> None:
    for config in (LlavaConfig(), LlavaConfig(layout="interleaved"), released_config()):
        for room in [*range(1, 3000, 7), 10000, 32768]:
            seconds = seconds_that_fit(room, SPATIAL, config)
            assert seconds == 0 or video_length(seconds, SPATIAL, config) <= room
            assert video_length(seconds + 1, SPATIAL, config) > room


def test_the_released_limit_of_10000_tokens_holds_a_test_clip_of_40_seconds() -> None:
    room = 10000 - 78 - video_length(10, SPATIAL, released_config())
    assert seconds_that_fit(room, SPATIAL, released_config()) == 40
    assert np.diff([seconds_that_fit(room, SPATIAL, released_config()) for room in range(9000)]).min() >= 0
