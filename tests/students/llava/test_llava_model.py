"""The model against transformers' own forward pass, and its parts against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.students.llava.checkpoint import load_llava
from w2svqa.students.llava.config import LlavaConfig, released_config
from w2svqa.students.llava.model import LlavaModel, check_finite, last_of

pytestmark = pytest.mark.llm

CLOSE = 1e-5
SIDE = 56
CONFIGS = {
    "released": LlavaConfig(frame_side=SIDE),
    "interleaved": LlavaConfig(frame_side=SIDE, layout="interleaved"),
    "released code": released_config(SIDE),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> LlavaModel:
    """Tests only read it."""
    return load_llava("random-tiny", CONFIGS[request.param]).requires_grad_(False)


def seen(seconds: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Key frames and motion features of a made-up video."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (seconds, SIDE, SIDE, 3), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(random.standard_normal((seconds, 256)).astype(np.float32))


def tokens(model: LlavaModel, seconds: int, seed: int = 0) -> Tensor:
    return model.second_tokens(*seen(seconds, seed))


def by_hand(model: LlavaModel, videos: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The five logits by transformers: its video features, one whole sequence, the whole vocabulary, place -3."""
    backbone = model.backbone
    parts = []
    for number, (pixels, features) in enumerate(videos):
        parts.append(backbone.get_input_embeddings()(torch.tensor(model.prompt.parts[number])))
        pictures = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        visual = backbone.model.get_video_features(pictures[None]).pooler_output[0]  # the newline is its last row
        motion = model.motion_projector(features)
        if model.config.layout == "interleaved":
            frames = visual[:-1].reshape(len(pixels), -1, model.hidden)
            parts += [*(row for pair in zip(frames, motion[:, None], strict=True) for row in pair), visual[-1:]]
        else:
            count = max(len(motion), model.config.motion_least)
            parts += [visual, motion[[min(place, len(motion) - 1) for place in range(count)]]]
    parts.append(backbone.get_input_embeddings()(torch.tensor((*model.prompt.parts[-1], *model.prompt.closing))))
    logits = backbone(inputs_embeds=torch.cat(parts)[None]).logits
    return torch.as_tensor(logits[0, -3, list(model.prompt.levels)])


def test_logits_are_those_of_the_plain_forward_pass(model: LlavaModel) -> None:
    for seconds in ((1, 2), (3, 1)):
        videos = [seen(count, seed) for seed, count in enumerate(seconds)]
        first, second = (model.second_tokens(*video) for video in videos)
        found = model.level_logits(model.pair_embeds(first, second)[None])[0]
        assert found.dtype == torch.float32
        assert torch.allclose(found, by_hand(model, videos), atol=CLOSE)


def test_logits_vary_with_both_videos_and_with_their_motion(model: LlavaModel) -> None:
    pixels, features = seen(2, 1)
    first, second, third = tokens(model, 2, 0), tokens(model, 2, 1), tokens(model, 2, 2)
    moved = model.second_tokens(pixels, features + 1)
    found = [
        model.level_logits(model.pair_embeds(*pair)[None])
        for pair in ((first, second), (second, first), (third, second), (first, third), (first, moved))
    ]
    assert min(float((one - found[0]).abs().max()) for one in found[1:]) > 1e-2


def test_a_second_depends_on_itself_alone(model: LlavaModel) -> None:
    pixels, features = seen(3)
    whole = model.second_tokens(pixels, features)
    assert whole.shape == (3, model.spatial + 1, model.hidden)
    for second in range(3):
        alone = model.second_tokens(pixels[second : second + 1], features[second : second + 1])
        assert torch.allclose(whole[second : second + 1], alone, atol=CLOSE)


def test_the_first_part_does_not_know_the_second(model: LlavaModel) -> None:
    first, second = tokens(model, 2), tokens(model, 3, 1)
    whole = model.pair_embeds(first, second)
    assert torch.equal(whole, torch.cat([model.first_part(first), model.second_part(second)]))
    assert torch.equal(whole[: len(model.first_part(first))], model.first_part(first))


@pytest.mark.parametrize("side", ["left", "right"])
def test_filled_up_sequences_have_the_logits_of_whole_ones(model: LlavaModel, side: str) -> None:
    pairs = [(tokens(model, 1), tokens(model, 1, 1)), (tokens(model, 3), tokens(model, 2, 1))]
    embeds = [model.pair_embeds(*pair) for pair in pairs]
    longest = max(map(len, embeds))
    batch = torch.full((2, longest, model.hidden), 7.0)
    mask = torch.zeros((2, longest), dtype=torch.bool)
    for row, one in enumerate(embeds):
        place = slice(longest - len(one), longest) if side == "left" else slice(0, len(one))
        batch[row, place], mask[row, place] = one, True
    found = model(batch, mask)
    for row, one in enumerate(embeds):
        assert torch.allclose(found[row], model.level_logits(one[None])[0], atol=CLOSE)


def test_a_single_video_is_asked_about_by_its_own_words(model: LlavaModel) -> None:
    embeds = [model.single_embeds(tokens(model, 2, seed))[None] for seed in (0, 1)]
    found = [model.level_logits(one, single=True) for one in embeds]
    assert found[0].shape == (1, 5)
    assert float((found[0] - found[1]).abs().max()) > 1e-2
    assert not torch.allclose(found[0], model.level_logits(embeds[0]))


def test_the_last_token_of_either_padding_is_found() -> None:
    states = torch.arange(8.0).reshape(2, 4, 1)
    assert last_of(states, None).flatten().tolist() == [3.0, 7.0]


def test_a_pair_longer_than_the_context_is_refused_and_the_budget_fits() -> None:
    model = load_llava("random-tiny", LlavaConfig(frame_side=SIDE, context=200))
    most = model.most_seconds
    embeds = model.pair_embeds(tokens(model, most), tokens(model, most, 1))
    assert len(embeds) <= 200 < len(embeds) + 2 * (model.spatial + 1)
    with pytest.raises(ConfigError, match=f"the context holds 200.*at most {most} seconds"):
        model.pair_embeds(tokens(model, most + 1), tokens(model, most + 1, 1))
    with pytest.raises(ConfigError, match="the context holds 200"):
        model.single_embeds(tokens(model, 3 * most))


def test_the_context_is_never_more_than_the_language_model_was_made_for() -> None:
    model = load_llava("random-tiny", LlavaConfig(frame_side=SIDE, context=10**6))
    assert model.context == model.backbone.config.text_config.max_position_embeddings


def test_another_frame_side_than_the_vision_towers_is_refused() -> None:
    model = load_llava("random-tiny", LlavaConfig(frame_side=SIDE))
    with pytest.raises(ConfigError, match=r"frame_side is 84.*made for 56"):
        LlavaModel(LlavaConfig(frame_side=84), model.backbone, model.motion_projector, model.prompt)


def test_a_student_that_only_compares_says_so() -> None:
    whole = load_llava("random-tiny", LlavaConfig(frame_side=SIDE))
    model = LlavaModel(whole.config, whole.backbone, whole.motion_projector, whole.prompt)
    with pytest.raises(ConfigError, match="only compares"):
        model.single_embeds(tokens(model, 1))


def test_float16_that_overflows_is_told_with_its_remedy() -> None:
    model = load_llava("random-tiny", LlavaConfig(frame_side=SIDE), kind=torch.float16).requires_grad_(False)
    embeds = model.pair_embeds(tokens(model, 1), tokens(model, 1, 1))[None]
    assert torch.isfinite(model.level_logits(embeds)).all()
    model.backbone.lm_head.weight.mul_(60000.0)
    with pytest.raises(W2SVQAError, match=r"float16, which overflows.*bfloat16"):
        model.level_logits(embeds)


def test_other_broken_logits_are_told_as_well() -> None:
    check_finite(torch.zeros(2, 5), torch.float16)
    with pytest.raises(W2SVQAError, match="computed in bfloat16"):
        check_finite(torch.tensor([float("nan")]), torch.bfloat16)
