"""The LLaVA student keeps the contract of every student, and says what it leaves out and what it lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from llava_cases import CONFIGS, SCALE, SIDE, plain_logits, tiny_student, videos
from numpy.typing import NDArray
from torch import nn
from transformers.quantizers.quantizers_utils import should_convert_module

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.protocols import Costly, Diagnostician, Student
from w2svqa.core.records import Chunk, Tokens
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.soft import judge_both, level_log_probabilities, log_odds
from w2svqa.students.llava import runtime
from w2svqa.students.llava.device import quantization
from w2svqa.students.llava.options import LlavaOptions, parse_options
from w2svqa.students.llava.runtime import LlavaStudent, spaced
from w2svqa.students.llava.spool import TokenSpool

pytestmark = pytest.mark.llm


@pytest.fixture(scope="module")
def student() -> LlavaStudent:
    return tiny_student()


def chunk(index: int, motion: int = 4) -> Chunk:
    random = np.random.default_rng(index)
    return Chunk(
        index=index,
        start=float(index),
        key_frame=random.integers(0, 256, (40, 70, 3), np.uint8),
        motion=random.integers(0, 256, (motion, 224, 224, 3), np.uint8),
        motion_times=np.arange(motion) / motion,
    )


def test_it_keeps_the_contracts(student: LlavaStudent) -> None:
    assert isinstance(student, Student)
    assert isinstance(student, Costly)
    assert not isinstance(student, Diagnostician)
    assert not student.antisymmetric


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_the_tokens_of_a_second_are_those_of_the_second_alone(at_once: int) -> None:
    student = tiny_student(options=LlavaOptions(frames_at_once=at_once))
    chunks = [chunk(index, motion=4 if index else 0) for index in range(5)]
    tokens = student.encode(iter(chunks))
    assert tokens.dtype == np.float32
    assert tokens.shape == (5, student.model.spatial + 1, student.model.hidden)
    for index, each in enumerate(chunks):
        assert np.abs(student.encode([each]) - tokens[index : index + 1]).max() < 1e-5
    assert np.abs(tokens[1] - tokens[2]).max() > 0.1


def test_a_still_has_zero_motion(student: LlavaStudent) -> None:
    still = student.encode([chunk(0, motion=0)])
    with torch.inference_mode():
        expected = student.model.motion_tokens(torch.zeros(1, 256)).numpy()
    assert np.abs(still[0, -1] - expected[0]).max() < 1e-6


def test_a_video_without_seconds(student: LlavaStudent) -> None:
    with pytest.raises(ValueError, match="at least one second"):
        student.encode([])


def test_pairs_need_two_videos(student: LlavaStudent) -> None:
    assert student.judge([], []).shape == (0, 5)
    with pytest.raises(ValueError, match="1 first videos cannot be paired with 2"):
        student.judge(videos(student.model, (1,)), videos(student.model, (1, 1)))


@pytest.mark.parametrize("lengths", [(1,), (2, 2), (3,), (2, 1, 5, 1)])
def test_a_long_video_is_gathered_in_a_file(lengths: Sequence[int]) -> None:
    random = np.random.default_rng(0)
    parts = [random.standard_normal((length, 3, 2)).astype(np.float32) for length in lengths]
    with TokenSpool(most=2) as spool:
        for part in parts:
            spool.add(part)
        tokens = spool.tokens()
    assert isinstance(tokens, np.memmap) == (sum(lengths) > 2)
    assert (tokens == np.concatenate(parts)).all()
    del spool
    tokens[0] = 7
    assert (np.asarray(tokens[0]) == 7).all()


# ---- long videos -------------------------------------------------------------------------------------------------


def test_a_video_beyond_the_frame_budget_is_compared_by_seconds_of_all_its_parts() -> None:
    student = tiny_student(options=LlavaOptions(most_seconds=4))
    first, second = videos(student.model, (3, 10))
    shown = second[[1, 3, 6, 8]]
    for one, two, plain in ((first, second, (first, shown)), (second, first, (shown, first))):
        expected = plain_logits(student.model, [plain[0]], [plain[1]])
        assert np.abs(student.judge([one], [two]) - expected).max() < 1e-4
    assert student.notes(second) == ("compared by 4 of its 10 seconds, evenly spaced: the frame budget",)
    assert student.notes(first) == ()
    assert student.notes(first[:1]) == ()


def test_a_video_longer_than_the_context_is_budgeted() -> None:
    config = replace(CONFIGS["released"], context=200)
    student = tiny_student(config)
    most = student.model.most_seconds
    assert 1 < most < 30
    long = videos(student.model, (90, 50))
    assert np.isfinite(student.judge([long[0]], [long[1]])).all()
    assert student.notes(long[0]) == (f"compared by {most} of its 90 seconds, evenly spaced: the context",)
    plain_logits(student.model, [long[0][:most]], [long[1][:most]])
    with pytest.raises(ConfigError, match="the context holds 200"):
        plain_logits(student.model, [long[0]], [long[1]])


def test_a_context_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="no room for two videos of one second"):
        tiny_student(replace(CONFIGS["released"], context=80))


@pytest.mark.parametrize(("count", "most"), [(7, 7), (8, 7), (100, 7), (3601, 60)])
def test_spaced_seconds_rise_and_reach_all_parts(count: int, most: int) -> None:
    places = spaced(count, most)
    assert len(places) == most
    assert (np.diff(places) >= 1).all()
    edges = np.linspace(0, count, most + 1)
    assert ((places >= np.floor(edges[:-1])) & (places < edges[1:])).all()
    assert places[0] + places[-1] == pytest.approx(count - 1, abs=1)


# ---- orders ------------------------------------------------------------------------------------------------------


def votes(student: LlavaStudent, anchors: Sequence[Tokens], video: Tokens) -> NDArray[np.float64]:
    row: NDArray[np.float64] = AnchoredJudge(student, anchors, SCALE).log_odds([video])[0]
    return row


def test_one_order_has_the_anchor_first(student: LlavaStudent) -> None:
    *anchors, video = videos(student.model, (2, 1, 3, 2))
    forward = level_log_probabilities(plain_logits(student.model, anchors, [video] * 3))
    assert np.abs(votes(student, anchors, video) - log_odds(forward)).max() < 1e-4


def test_both_orders_are_averaged_where_they_are_asked_for() -> None:
    student = tiny_student(options=LlavaOptions(orders="both"))
    *anchors, video = videos(student.model, (2, 1, 3, 2))
    forward = np.exp(level_log_probabilities(plain_logits(student.model, anchors, [video] * 3)))
    backward = np.exp(level_log_probabilities(plain_logits(student.model, [video] * 3, anchors)))
    expected = log_odds(np.log((forward + backward[:, ::-1]) / 2))
    assert np.abs(votes(student, anchors, video) - expected).max() < 1e-4
    assert np.abs(votes(tiny_student(), anchors, video) - expected).max() > 1e-2


def test_two_videos_are_compared_in_both_orders_whatever_the_option(student: LlavaStudent) -> None:
    first, second = videos(student.model, (2, 3))
    one, other = judge_both(student, [first], [second]), judge_both(student, [second], [first])
    assert np.abs(one - other[:, ::-1]).max() < 1e-6
    assert (
        np.abs(judge_both(student, [first], [first])[0] - judge_both(student, [first], [first])[0, ::-1]).max() < 1e-6
    )


# ---- what can go wrong -------------------------------------------------------------------------------------------


def test_overflow_of_float16_is_found_in_the_tokens() -> None:
    student = tiny_student()
    student.model.half()
    with torch.no_grad():
        student.model.motion_projector.get_parameter("2.weight").fill_(60000)
    with pytest.raises(W2SVQAError, match=r"not finite, computed in float16 \(take dtype=bfloat16"):
        student.encode([chunk(0)])


def test_overflow_of_float16_is_found_in_the_logits() -> None:
    student = tiny_student()
    student.model.half()
    tokens = videos(student.model, (2, 2))
    assert np.isfinite(student.judge(tokens[:1], tokens[1:])).all()
    with torch.no_grad():
        student.model.backbone.model.language_model.layers[0].mlp.down_proj.weight.fill_(60000)
    with pytest.raises(W2SVQAError, match="float16, which overflows beyond 65504"):
        student.judge(tokens[:1], tokens[1:])


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_lack_of_memory_names_what_to_turn(monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    student = tiny_student(options=LlavaOptions(batch_tokens=777))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(runtime, "go_on", fail)
    tokens = videos(student.model, (1, 1))
    with pytest.raises(ConfigError, match=r"not enough memory on cpu: .*batch_tokens \(777\), most_seconds \(60\)"):
        student.judge(tokens[:1], tokens[1:])


def test_other_errors_are_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    student = tiny_student()

    def fail(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(runtime, "go_on", fail)
    tokens = videos(student.model, (1, 1))
    with pytest.raises(RuntimeError, match="multiplied"):
        student.judge(tokens[:1], tokens[1:])


# ---- options -----------------------------------------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the kinds of modules that are compiled, by a compiler that changes nothing."""
    kinds: list[str] = []

    def compiling(self: nn.Module, **_: object) -> None:
        kinds.append(type(self).__name__)
        usual(self, backend="eager")

    usual = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", compiling)
    yield kinds
    torch.compiler.reset()


def test_compiled_parts_give_the_same_logits(compiled: list[str]) -> None:
    first, second = videos(tiny_student().model, (2, 3))
    plain = tiny_student().judge([first], [second])
    assert not compiled
    student = tiny_student(options=LlavaOptions(compiled=True))
    assert len(compiled) == 1 + len(student.model.backbone.model.language_model.layers)
    assert np.abs(student.judge([first], [second]) - plain).max() < 1e-5
    assert np.abs(student.encode([chunk(0)]) - tiny_student().encode([chunk(0)])).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtyp": "float32"}, "unknown key 'dtyp' .did you mean 'dtype'"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"quantize": "2bit"}, "quantize must be one of"),
        ({"most_seconds": "0"}, "most_seconds is 0"),
        ({"batch_tokens": "many"}, "batch_tokens must be a whole number"),
        ({"prefix_gigabytes": "-1"}, "prefix_gigabytes is -1"),
        ({"compiled": "maybe"}, "compiled must be true or false"),
        ({"orders": "three"}, "orders must be one of"),
    ],
)
def test_options_that_are_none(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_options(options)


def test_the_language_model_alone_is_quantized(student: LlavaStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    assert quantization(LlavaOptions(), torch.device("cpu"), torch.float32) == {}
    told = quantization(LlavaOptions(quantize="8bit"), torch.device("cpu"), torch.float32)
    config: Any = told["quantization_config"]
    assert config.load_in_8bit
    assert told["device_map"] == {"": "cpu"}
    linear = [name for name, part in student.model.backbone.named_modules() if isinstance(part, nn.Linear)]
    quantized = {name for name in linear if should_convert_module(name, config.llm_int8_skip_modules)}
    assert quantized == {name for name in linear if ".language_model." in name}
    assert {"lm_head", "model.multi_modal_projector.linear_1"} <= set(linear) - quantized


def test_the_case_is_small() -> None:
    assert tiny_student().model.spatial == (SIDE // 14 // 2) ** 2
