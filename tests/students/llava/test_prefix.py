"""Reading the first video once changes nothing but the work: logits are those of whole pairs, read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llava_cases import CONFIGS, plain_logits, tiny_student, videos
from safetensors.torch import load_file, save_file
from torch import Tensor

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.records import Tokens
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.prefix import Prefix, PrefixStore, go_on, prefix_bytes, prefix_shape, read_prefix
from w2svqa.students.llava.runtime import LlavaStudent

pytestmark = pytest.mark.llm

ANCHOR_SECONDS = (3, 1, 5, 2, 4, 7, 1, 2, 9)


@pytest.fixture(scope="module")
def student() -> LlavaStudent:
    return tiny_student()


@contextmanager
def counting(student: LlavaStudent) -> Iterator[list[tuple[int, int]]]:
    """Rows and tokens of every call of the language model."""
    calls: list[tuple[int, int]] = []

    def count(_module: object, _arguments: object, named: dict[str, Tensor]) -> None:
        calls.append((named["inputs_embeds"].shape[0], named["inputs_embeds"].shape[1]))

    hook = student.model.backbone.model.language_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


def fixed(tokens: Sequence[Tokens]) -> list[Tokens]:
    """As a bundle's anchors are: they can no longer change."""
    for video in tokens:
        video.flags.writeable = False
    return list(tokens)


def matched(anchors: Sequence[Tokens], scored: Sequence[Tokens]) -> tuple[list[Tokens], list[Tokens]]:
    """Every anchor with every scored video, as AnchoredJudge lists them."""
    return [anchor for _ in scored for anchor in anchors], [video for video in scored for _ in anchors]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("count", [1, 5, 9])
def test_cached_prefixes_give_the_logits_of_whole_pairs(config: LlavaConfig, count: int) -> None:
    student = tiny_student(config)
    anchors = fixed(videos(student.model, ANCHOR_SECONDS[:count]))
    scored = videos(student.model, (2, 6, 1), seed=1)
    first, second = matched(anchors, scored)
    expected = plain_logits(student.model, first, second)
    assert expected.std(axis=0).min() > 0.05  # they vary, or equality would say nothing
    for _ in range(2):  # the second time from what was kept
        assert np.abs(student.judge(first, second) - expected).max() < 1e-4
    assert len(student.prefixes) == count


def test_the_other_order_too(student: LlavaStudent) -> None:
    anchors, scored = videos(student.model, ANCHOR_SECONDS[:5]), videos(student.model, (3,), seed=2)
    first, second = matched(anchors, scored)
    assert np.abs(student.judge(second, first) - plain_logits(student.model, second, first)).max() < 1e-4


@settings(max_examples=15)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=12),
    room=st.sampled_from([1, 60, 150, 10**6]),
)
def test_neither_order_nor_batches_matter(pairs: list[tuple[int, int]], room: int) -> None:
    student = tiny_student(options=LlavaOptions(batch_tokens=room))
    one, two = videos(student.model, (1, 4, 2, 3)), videos(student.model, (2, 1, 2, 5, 3), seed=1)
    first, second = [one[i] for i, _ in pairs], [two[j] for _, j in pairs]
    logits = student.judge(first, second)
    assert logits.shape == (len(pairs), 5)
    assert logits.dtype == np.float64
    if pairs:
        assert np.abs(logits - plain_logits(student.model, first, second)).max() < 1e-4


def test_anchors_are_read_once_and_all_in_one_batch() -> None:
    student = tiny_student()
    anchors = fixed(videos(student.model, (3, 1, 5, 2, 4)))
    firsts = [len(student.model.first_part(torch.tensor(anchor))) for anchor in anchors]
    for number, seconds in enumerate((4, 6)):
        video = videos(student.model, (seconds,), seed=number)[0]
        with counting(student) as calls:
            student.judge(anchors, [video] * 5)
        rest = len(student.model.second_part(torch.tensor(video)))
        assert calls == [*((1, length) for length in firsts if number == 0), (5, rest)]


def test_a_video_that_comes_once_drives_no_anchor_out() -> None:
    student = tiny_student(options=LlavaOptions(prefix_gigabytes=2.5e-5))
    anchors = fixed(videos(student.model, (1, 2)))
    student.judge(anchors, videos(student.model, (1, 1), seed=1))
    kept = student.prefixes.size
    assert len(student.prefixes) == 2
    passing = videos(student.model, (5, 6), seed=2)
    student.judge(passing, anchors)
    assert (len(student.prefixes), student.prefixes.size) == (2, kept)
    with counting(student) as calls:
        student.judge(anchors, [passing[0]] * 2)
    assert [rows for rows, _ in calls] == [2]


def test_tokens_that_may_change_are_looked_at_each_time(student: LlavaStudent) -> None:
    first, second = videos(student.model, (2, 2), seed=5)
    before = student.judge([first], [second])
    first += 1
    after = student.judge([first], [second])
    assert np.abs(after - before).max() > 1e-3
    assert np.abs(after - plain_logits(student.model, [first], [second])).max() < 1e-4


def test_a_prefix_is_as_large_as_the_formula_says(student: LlavaStudent) -> None:
    embeds = student.model.first_part(torch.tensor(videos(student.model, (3,))[0]))
    with torch.inference_mode():
        prefix = read_prefix(student.model, embeds)
    layers, _, heads, width = prefix_shape(student.model)
    assert prefix.length == len(embeds)
    assert prefix.size == prefix_bytes(len(embeds), layers=layers, heads=heads, width=width, item=4)


def test_rows_without_a_beginning_are_refused(student: LlavaStudent) -> None:
    model = student.model
    with torch.inference_mode():
        prefix = read_prefix(model, model.first_part(torch.tensor(videos(model, (1,))[0])))
        with pytest.raises(ValueError, match="3 rows, but beginnings for 2"):
            go_on(model, [(prefix, 2)], torch.zeros(3, 4, model.hidden), torch.ones(3, 4, dtype=torch.bool))


def some_prefix(length: int) -> Prefix:
    return Prefix(torch.zeros(2, 2, 2, length, 8))


def test_the_store_lets_go_of_what_was_used_least_recently() -> None:
    store = PrefixStore(3 * some_prefix(1).size)
    for name in "abc":
        store.offer(name, some_prefix(1), at_once=True)
    assert store.get("a") is not None
    store.offer("d", some_prefix(1), at_once=True)
    assert [store.get(name) is not None for name in "abcd"] == [True, False, True, True]
    store.offer("e", some_prefix(2), at_once=True)
    assert [store.get(name) is not None for name in "acde"] == [False, False, True, True]
    store.offer("f", some_prefix(4), at_once=True)  # larger than all room
    assert len(store) == 2
    assert store.size == 3 * some_prefix(1).size


def test_the_store_keeps_what_is_met_again() -> None:
    store = PrefixStore(10**6)
    for _ in range(2):
        assert store.get("a") is None
        store.offer("a", some_prefix(1), at_once=False)
    assert store.get("a") is not None


def test_prefixes_go_through_a_file(tmp_path: Path) -> None:
    student, path = tiny_student(), tmp_path / "prefixes.safetensors"
    anchors = fixed(videos(student.model, (3, 1)))
    video = videos(student.model, (2,), seed=1) * 2
    student.keep(anchors, path=path, made_by="tiny")
    logits = student.judge(anchors, video)

    again = tiny_student()
    with counting(again) as calls:
        again.keep(anchors, path=path, made_by="tiny")
        assert not calls
        assert (again.judge(anchors, video) == logits).all()

    more = fixed(videos(student.model, (4,), seed=3))
    before = path.read_bytes()
    with counting(again) as calls:
        again.keep([*anchors, *more], path=path, made_by="tiny")
    assert len(calls) == 1
    assert path.read_bytes() != before
    last = tiny_student()
    with counting(last) as calls:
        last.keep(more, path=path, made_by="tiny")
    assert not calls


def test_prefixes_of_another_student_are_refused(tmp_path: Path) -> None:
    student, path = tiny_student(), tmp_path / "prefixes.safetensors"
    anchors = videos(student.model, (1,))
    student.keep(anchors, path=path, made_by="tiny")
    with pytest.raises(ConfigError, match="made by another student"):
        tiny_student().keep(anchors, path=path, made_by="other")


@pytest.mark.parametrize("damage", ["cut", "text", "not finite", "shape"])
def test_a_damaged_file_of_prefixes_is_refused(tmp_path: Path, damage: str) -> None:
    student, path = tiny_student(), tmp_path / "prefixes.safetensors"
    anchors = videos(student.model, (1,))
    student.keep(anchors, path=path, made_by="tiny")
    if damage in ("cut", "text"):
        path.write_bytes(path.read_bytes()[:-9] if damage == "cut" else b"text")
    else:
        [(name, states)] = load_file(path).items()
        states[0, 0, 0, 0, 0] = torch.nan if damage == "not finite" else 0
        save_file({name: states[: 1 if damage == "shape" else None].clone()}, path, metadata={"made_by": "tiny"})
    with pytest.raises(StoreError, match="delete it; it is made again"):
        tiny_student().keep(anchors, path=path, made_by="tiny")
