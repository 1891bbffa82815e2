"""Released checkpoints: every key has its place, and what does not fit is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from released_folder import (
    SIDE,
    VISION,
    released_checkpoint,
    released_configuration,
    released_state,
    renamed,
    source_model,
    write_released,
)
from torch import Tensor
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from w2svqa.core.errors import ConfigError, InputError, MissingInputError, StoreError
from w2svqa.networks.slowfast import SlowFast
from w2svqa.students.llava import convert, tiny
from w2svqa.students.llava.checkpoint import load_llava, load_motion
from w2svqa.students.llava.config import released_config
from w2svqa.students.llava.convert import convert_released
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionProjector
from w2svqa.students.llava.released import hub_configuration, new_name

pytestmark = pytest.mark.llm

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> LlavaModel:
    return source_model()


@pytest.fixture
def state(model: LlavaModel) -> State:
    return released_state(model, tiny.tiny_slowfast(0))


@pytest.fixture
def write(model: LlavaModel, tmp_path: Path) -> Callable[..., Path]:
    def written(state: State, **changes: object) -> Path:
        return write_released(tmp_path / "released", state, released_configuration(model) | changes)

    return written


def test_a_converted_checkpoint_gives_the_same_logits(model: LlavaModel, tmp_path: Path) -> None:
    made = convert_released(released_checkpoint(tmp_path / "released", model), tmp_path / "ours")
    ours = load_llava(made.folder, released_config(SIDE)).requires_grad_(False)
    random = np.random.default_rng(0)
    seen = [
        (torch.from_numpy(random.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)), torch.randn(2, 256))
        for _ in range(2)
    ]
    logits = [
        each.level_logits(each.pair_embeds(*(each.second_tokens(*video) for video in seen))[None])
        for each in (model, ours)
    ]
    assert torch.equal(logits[0], logits[1])
    assert float(logits[0].std()) > 0.1


def test_every_weight_arrives_unchanged(model: LlavaModel, state: State, write: Callable[..., Path]) -> None:
    folder = write(state)
    made = convert_released(folder, folder.with_name("ours"))
    ours = load_llava(made.folder, released_config(SIDE))
    expected = model.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in ours.state_dict().items())
    motion = load_motion(made.folder, released_config(SIDE)).network.state_dict()
    official = tiny.tiny_slowfast(0).state_dict()
    assert all(torch.equal(value, official[key]) for key, value in motion.items())
    assert made.weights == len(expected) + len(motion)
    assert made.slowfast == "checkpoint"
    slow = {key for key in made.left_out if "multipathway_blocks.0." in key or "multipathway_fusion." in key}
    assert set(made.left_out) - slow == {"model.slowfast.position_embedding.weight"}


def test_without_its_slowfast_one_must_be_named(state: State, write: Callable[..., Path], tmp_path: Path) -> None:
    made = convert_released(
        write({key: value for key, value in state.items() if not key.startswith("model.slowfast.")}), tmp_path / "ours"
    )
    assert made.slowfast == "none"
    assert made.left_out == ()
    with pytest.raises(MissingInputError, match=r"has no SlowFast.*SLOWFAST_8x8_R50\.pyth"):
        load_motion(made.folder, released_config(SIDE))


def test_slowfast_can_come_from_its_own_file(
    state: State, write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "R50", tiny.TINY_SLOWFAST)
    other = tiny.tiny_slowfast(1)
    classifier = {"blocks.6.proj.weight": torch.zeros(400, 320), "blocks.6.proj.bias": torch.zeros(400)}
    torch.save({"model_state": other.state_dict() | classifier}, tmp_path / "SLOWFAST_8x8_R50.pyth")
    made = convert_released(write(state), tmp_path / "ours", slowfast=tmp_path / "SLOWFAST_8x8_R50.pyth")
    assert made.slowfast == "file"
    found = load_motion(made.folder, released_config(SIDE)).network.state_dict()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in found.items())


def test_half_precision_stays_half(state: State, write: Callable[..., Path], tmp_path: Path) -> None:
    halves = {key: value.bfloat16() if value.is_floating_point() else value for key, value in state.items()}
    made = convert_released(write(halves, torch_dtype="bfloat16"), tmp_path / "ours")
    sizes = [sum(path.stat().st_size for path in folder.glob("model-*.safetensors")) for folder in (made.folder,)]
    assert sizes[0] < 0.6 * 4 * sum(value.numel() for value in source_model().backbone.state_dict().values())
    assert load_llava(made.folder, released_config(SIDE), kind=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("model.mm_projector.2.bias", r"1 missing: multi_modal_projector\.linear_2\.bias"),
        ("model.layers.1.mlp.up_proj.weight", r"1 missing: language_model\.model\.layers\.1\.mlp\.up_proj\.weight"),
        ("model.slowfast_projector.2.bias", r"1 missing: projector\.2\.bias"),
        (f"{VISION}embeddings.patch_embedding.weight", "lacks the weight of the vision tower"),
        ("lm_head.weight", r"1 missing: language_model\.lm_head\.weight"),
        ("model.image_newline", "1 missing: image_newline"),
        ("model.slowfast.feature_extraction.1.multipathway_blocks.1.res_blocks.0.branch2.conv_a.weight", "conv_a"),
    ],
)
def test_a_missing_weight_is_named(key: str, problem: str, state: State, write: Callable[..., Path]) -> None:
    del state[key]
    folder = write(state)
    with pytest.raises(InputError, match=problem):
        convert_released(folder, folder.with_name("ours"))
    assert [path.name for path in folder.parent.iterdir()] == ["released"]


def test_unknown_and_misshapen_weights_are_named(state: State, write: Callable[..., Path]) -> None:
    folder = write(state | {"model.faster_token": torch.zeros(3), "base_model.model.lora_A": torch.zeros(3)})
    with pytest.raises(InputError, match=r"2 not known: .*base_model\.model\.lora_A, model\.faster_token|2 not known"):
        convert_released(folder, folder.with_name("ours"))


def test_a_weight_of_another_shape_is_named(state: State, write: Callable[..., Path]) -> None:
    folder = write(state | {"model.slowfast_projector.0.weight": torch.zeros(32, 512)})
    with pytest.raises(InputError, match=r"projector\.0\.weight \(32, 512\) for \(32, 256\)"):
        convert_released(folder, folder.with_name("ours"))


def test_a_checkpoint_without_a_motion_projector_is_told_how_to_get_one(
    state: State, write: Callable[..., Path]
) -> None:
    folder = write({key: value for key, value in state.items() if "slowfast" not in key})
    with pytest.raises(InputError, match=r"has no motion projector.*never trained on motion.*train one"):
        convert_released(folder, folder.with_name("ours"))


def test_values_that_are_not_finite_are_refused(state: State, write: Callable[..., Path]) -> None:
    state["model.norm.weight"][3] = float("nan")
    folder = write(state)
    with pytest.raises(InputError, match=r"language_model\.model\.norm\.weight"):
        convert_released(folder, folder.with_name("ours"))
    assert [path.name for path in folder.parent.iterdir()] == ["released"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mm_spatial_pool_mode": "average"}, "mm_spatial_pool_mode is 'average'"),
        ({"mm_newline_position": "grid"}, "mm_newline_position is 'grid'"),
        ({"model_type": "llava_onevision"}, "format of the hub already"),
    ],
)
def test_other_arithmetic_is_refused(
    changes: dict[str, object], problem: str, state: State, write: Callable[..., Path]
) -> None:
    folder = write(state, **changes)
    with pytest.raises(InputError, match=problem):
        convert_released(folder, folder.with_name("ours"))


def test_a_configuration_without_sizes_is_refused(state: State, tmp_path: Path) -> None:
    folder = write_released(tmp_path / "released", state, {"model_type": "llava_qwen"})
    with pytest.raises(InputError, match=r"has no hidden_size, .*released code"):
        convert_released(folder, tmp_path / "ours")


def test_a_tokenizer_with_a_split_level_is_refused(state: State, write: Callable[..., Path]) -> None:
    folder = write(state)
    tokenizer = tiny.tiny_tokenizer(left_out=("worse",))
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    with pytest.raises(ConfigError, match="'worse'"):
        convert_released(folder, folder.with_name("ours"))


def test_nothing_is_written_over(state: State, write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(state)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "precious").touch()
    with pytest.raises(StoreError, match="is not empty"):
        convert_released(folder, tmp_path / "ours")
    with pytest.raises(MissingInputError, match="no such folder"):
        convert_released(tmp_path / "nothing", tmp_path / "new")


def test_what_old_checkpoints_hold_besides_is_left_out_by_name() -> None:
    left_out = (
        f"{VISION}head.attention.in_proj_weight",
        f"{VISION}encoder.layers.26.mlp.fc1.bias",
        "model.layers.3.self_attn.rotary_emb.inv_freq",
        "model.slowfast.feature_extraction.0.multipathway_blocks.0.conv.weight",
    )
    assert [new_name(key) for key in left_out] == [None] * 4
    with pytest.raises(KeyError):
        new_name("model.vision_resampler.weight")


def test_the_key_map_covers_every_tensor_of_slowfast_r50() -> None:
    with torch.device("meta"):
        keys = list(SlowFast().state_dict())
    released = [key.replace("blocks.", "model.slowfast.feature_extraction.", 1) for key in keys]
    names = dict(zip(keys, map(new_name, released), strict=True))
    network = SlowFast(tiny.TINY_SLOWFAST)
    network.drop_slow()
    fast = {key for key in keys if ".multipathway_blocks.1." in key}
    assert {key for key, name in names.items() if name is not None} == fast
    assert all(names[key] == f"slowfast.{key}" for key in fast)


def test_the_key_map_covers_the_checkpoint_at_full_size() -> None:
    """Names and shapes alone: Qwen2-7B, SigLIP so400m less its last layer."""
    facts = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
    }
    with torch.device("meta"):
        shape = LlavaOnevisionConfig(text_config={"model_type": "qwen2", **facts})
        backbone = LlavaOnevisionForConditionalGeneration(shape)
        projector = MotionProjector(3584)
    released = {renamed(key): tuple(value.shape) for key, value in backbone.state_dict().items()}
    released |= {f"model.slowfast_projector.{key}": tuple(value.shape) for key, value in projector.state_dict().items()}
    shapes = {str(new_name(key)): size for key, size in released.items()}
    assert len(shapes) == len(released) == 769
    configuration = hub_configuration(facts, shapes, Path("released"))
    vision = configuration["vision_config"]
    assert {key: vision[key] for key in ("num_hidden_layers", "num_attention_heads", "image_size", "patch_size")} == {
        "num_hidden_layers": 26,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    }
    convert.check_complete(shapes, configuration, Path("released"))
    # with SlowFast's 33.6 M these are 8077.8 M; the paper counts 8075.24 M
    assert sum(map(math.prod, shapes.values())) == pytest.approx(8044.1e6, rel=1e-4)
