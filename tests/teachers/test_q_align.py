"""Q-Align from a folder and a video to a score, against the reference implementation, and what it refuses."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import q_align_cases as cases
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from q_align_folder import Hub, configuration, goldens, weights, write_folder, write_shards

from w2svqa.core import extras
from w2svqa.core import hub as hub_module
from w2svqa.core.errors import ConfigError, InputError, MissingExtraError, MissingInputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers.q_align import (
    DEVIATION,
    QAlign,
    Vocabulary,
    frame_numbers,
    prepared,
    read_shape,
    squared,
)
from w2svqa.teachers.registry import identify_teacher, load_teacher
from w2svqa.video.whole import FramesVideo


@pytest.fixture(scope="module")
def reference() -> Mapping[str, NDArray[Any]]:
    return goldens()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("one-align"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder of one's own, to damage."""
    return write_folder(tmp_path / "q-align")


def video(number: int) -> FramesVideo:
    return FramesVideo(cases.frames(number), fps=(*cases.VIDEOS, cases.STILL)[number][3])


def exact(folder: Path) -> QAlign:
    return QAlign.load(folder, dtype="float32")


def test_scores_are_those_of_the_reference(folder: Path, reference: Mapping[str, NDArray[Any]]) -> None:
    teacher = exact(folder)
    scores = [teacher.score(video(number)) for number in range(len(cases.VIDEOS))]
    assert np.std(reference["scores"]) >= 0.1
    np.testing.assert_allclose(scores, reference["scores"], rtol=1e-4)
    assert teacher.score(video(len(cases.VIDEOS))) == pytest.approx(float(reference["still"]), rel=1e-4)
    assert teacher.score(video(0)) == scores[0]


@pytest.mark.parametrize("number", range(len(cases.VIDEOS)))
def test_frames_are_those_of_the_reference(number: int, reference: Mapping[str, NDArray[Any]]) -> None:
    count, _, _, fps = cases.VIDEOS[number]
    assert frame_numbers(count, fps, None, 60) == reference[f"numbers/{number}"].tolist()


@pytest.mark.parametrize("number", range(len(cases.PICTURES)))
def test_pictures_are_prepared_as_by_the_reference(number: int, reference: Mapping[str, NDArray[Any]]) -> None:
    """The filters may round apart by 1 of 255 here and there; all else is exact."""
    pixels = prepared(cases.frame(number, 0, *cases.PICTURES[number]), 448).numpy()
    assert pixels.shape == (3, 448, 448)
    difference = np.abs(cases.sample_of(pixels, 4000) - reference[f"picture/{number}"])
    assert difference.max() <= 1.01 / 255 / min(DEVIATION)
    assert (difference > 1e-5).mean() < 0.01
    assert pixels.sum(dtype=np.float64) == pytest.approx(float(reference[f"picture/{number}/sum"]), abs=0.01 * 3 * 448)


@pytest.mark.parametrize("subject", ["video", "image"])
def test_prompts_are_taken_apart_as_by_the_reference(
    folder: Path, subject: str, reference: Mapping[str, NDArray[Any]]
) -> None:
    vocabulary = Vocabulary(folder / "tokenizer.model", 400)
    prompt = vocabulary.prompt(subject)
    assert [*prompt.before, -200, *prompt.after] == reference[f"prompt/{subject}"].tolist()
    assert list(vocabulary.levels) == reference["words"][:, 1].tolist()
    assert reference["words"].shape == (5, 2)


def test_it_is_a_teacher_in_the_registry(folder: Path) -> None:
    teacher = load_teacher("q-align", folder, dtype="float32", max_frames=2)
    assert isinstance(teacher, Teacher)
    assert (teacher.name, teacher.range, teacher.higher_is_better) == ("q-align", (0.0, 1.0), True)
    assert not teacher.needs_motion
    assert not teacher.needs_reference


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_shards_of_both_kinds_give_the_same(tmp_path: Path, folder: Path, kind: str) -> None:
    other = exact(write_folder(tmp_path / kind, kind=kind))
    assert other.score(video(1)) == exact(folder).score(video(1))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_one_file_without_an_index_will_do(own: Path, folder: Path, name: str) -> None:
    for path in own.glob("pytorch_model*"):
        path.unlink()
    (single,) = write_shards(own, weights(own), kind=name.rpartition(".")[2], parts=1)
    single.rename(own / name)
    next(own.glob("*.index.json")).unlink()
    assert exact(own).score(video(0)) == exact(folder).score(video(0))


def test_the_version_follows_the_weights_and_the_words(own: Path, folder: Path) -> None:
    before = exact(own).version
    assert before == exact(folder).version
    assert before.startswith("1+")
    state = weights(own)
    state["lm_head.weight"][0, 0] += 1
    write_shards(own, state)
    changed = exact(own).version
    assert changed != before
    (own / "config.json").write_text(json.dumps(configuration(rms_norm_eps=1e-6)))
    assert exact(own).version not in (before, changed)


def test_keys_of_older_checkpoints_that_follow_from_the_rest_are_let_pass(own: Path, folder: Path) -> None:
    extra = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(8) for layer in range(3)}
    write_shards(own, weights(own) | extra)
    assert exact(own).score(video(0)) == exact(folder).score(video(0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_come_close(folder: Path, dtype: str) -> None:
    """Random weights make much of rounding: the scale of trained ones is not theirs. So the bound is wide."""
    score = QAlign.load(folder, dtype=dtype).score(video(3))
    assert score == pytest.approx(exact(folder).score(video(3)), abs=0.1)


def test_the_number_of_frames_is_bounded(folder: Path) -> None:
    looked_at: list[int] = []

    class Watched(FramesVideo):
        def frames_at(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
            looked_at.extend(indices)
            return super().frames_at(indices)

    frames = [cases.frame(0, number, 20, 56) for number in range(40)]
    QAlign.load(folder, dtype="float32", max_frames=4).score(Watched(frames, fps=2.0))
    assert looked_at == [4, 14, 24, 34]


@given(
    count=st.integers(1, 10**6),
    fps=st.one_of(st.none(), st.floats(1e-6, 1e6)),
    duration=st.one_of(st.none(), st.floats(0, 1e6)),
    most=st.integers(1, 100),
)
def test_frame_numbers_rise_within_the_video(count: int, fps: float | None, duration: float | None, most: int) -> None:
    numbers = frame_numbers(count, fps, duration, most)
    assert 1 <= len(numbers) <= most
    assert numbers == sorted(numbers)
    assert 0 <= numbers[0] <= numbers[-1] < count


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_square_has_the_frame_in_its_middle(height: int, width: int) -> None:
    frame = np.full((height, width, 3), 7, np.uint8)
    square = squared(frame)
    inside = (square == 7).all(axis=2)
    assert square.shape == (max(height, width), max(height, width), 3)
    assert inside.sum() == height * width
    assert (square[~inside] == (122, 116, 104)).all()
    rows, columns = np.nonzero(inside)
    above, left = rows.min(), columns.min()
    assert above == (square.shape[0] - height) // 2
    assert left == (square.shape[1] - width) // 2


def write_configuration(folder: Path, **changes: object) -> None:
    (folder / "config.json").write_text(json.dumps(configuration(**changes)))


def remove_shard(folder: Path) -> None:
    (folder / "pytorch_model-00002-of-00002.bin").unlink()


def point_outside(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "../elsewhere.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def repeat_a_key(folder: Path) -> None:
    for path in folder.glob("pytorch_model-*.bin"):
        torch.save(torch.load(path, weights_only=True) | {"lm_head.weight": torch.zeros(400, 64)}, path)


def hide_code(folder: Path) -> None:
    with (folder / "pytorch_model-00001-of-00002.bin").open("wb") as file:
        torch.save({"lm_head.weight": print}, file)


def break_a_value(folder: Path) -> None:
    state = weights(folder)
    state["model.norm.weight"][3] = float("nan")
    write_shards(folder, state)


def overflow(folder: Path) -> None:
    state = weights(folder)
    state["model.norm.weight"][3] = 1e6
    write_shards(folder, state)


def drop_and_add(folder: Path) -> None:
    state = weights(folder)
    del state["model.norm.weight"], state["lm_head.weight"]
    write_shards(folder, state | {"model.mm_projector.weight": torch.ones(2), "more": torch.ones(2)})


def cut_short(folder: Path) -> None:
    path = folder / "pytorch_model-00001-of-00002.bin"
    path.write_bytes(path.read_bytes()[:1000])


def as_old_pickle(folder: Path) -> None:
    torch.save(weights(folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "pytorch_model.bin.index.json").unlink()


def no_weights(folder: Path) -> None:
    for path in folder.glob("pytorch_model*"):
        path.unlink()


DAMAGES: list[tuple[Callable[[Path], object], type[InputError], str]] = [
    (remove_shard, MissingInputError, r"names 1 of 2 files that are not there: pytorch_model-00002-of-00002\.bin"),
    (no_weights, MissingInputError, r"holds none of model\.safetensors\.index\.json, pytorch_model\.bin\.index\.json"),
    (point_outside, InputError, r"names files outside its folder: \.\./elsewhere\.bin"),
    (repeat_a_key, InputError, r"holds keys that another file holds as well: lm_head\.weight"),
    (hide_code, InputError, r"00001-of-00002\.bin: holds more than tensors"),
    (break_a_value, InputError, r"1 key not finite: model\.norm\.weight"),
    (overflow, InputError, r"1 key not finite: model\.norm\.weight"),
    (cut_short, InputError, r"00001-of-00002\.bin: is no PyTorch file that can be read"),
    (as_old_pickle, InputError, r"pytorch_model\.bin: is no PyTorch file that can be read"),
    (
        drop_and_add,
        InputError,
        r"2 keys missing: model\.norm\.weight, lm_head\.weight; 2 keys not known: more, model\.mm_projector\.weight",
    ),
    (lambda folder: (folder / "tokenizer.model").unlink(), MissingInputError, r"the folder lacks tokenizer\.model"),
    (lambda folder: (folder / "tokenizer.model").write_bytes(b"words"), InputError, "is no SentencePiece model"),
    (lambda folder: (folder / "tokenizer.model").write_bytes(b""), InputError, r"tokenizer\.model: "),
    (lambda folder: (folder / "config.json").write_text("{"), InputError, r"config\.json: is no JSON"),
    (lambda folder: (folder / "config.json").write_text("[]"), InputError, "holds no JSON object"),
    (lambda folder: write_configuration(folder, vocab_size=500), InputError, "has 400 words, and the network 500"),
    (lambda folder: write_configuration(folder, hidden_size=-4), InputError, "hidden_size is -4, and must be a posi"),
    (lambda folder: write_configuration(folder, hidden_size=66), InputError, "66 is no multiple of twice num_att"),
    (lambda folder: write_configuration(folder, intermediate_size=97), InputError, "9 keys of another shape"),
    (lambda folder: write_configuration(folder, rope_scaling={"type": "linear"}), InputError, "rope_scaling is {'ty"),
    (lambda folder: write_configuration(folder, num_key_value_heads=2), InputError, "num_key_value_heads is 2; there"),
    (lambda folder: write_configuration(folder, visual_config=[1]), InputError, "visual_config is no object"),
    (
        lambda folder: (folder / "pytorch_model.bin.index.json").write_text("{}"),
        InputError,
        r"index\.json: has no weight_map",
    ),
]


@pytest.mark.parametrize(("damage", "kind", "problem"), DAMAGES)
def test_a_damaged_folder_is_refused(
    own: Path, damage: Callable[[Path], object], kind: type[InputError], problem: str
) -> None:
    damage(own)
    with pytest.raises(kind, match=problem):
        QAlign.load(own)


def test_code_in_a_checkpoint_is_not_run(own: Path) -> None:
    path = own / "pytorch_model-00001-of-00002.bin"
    mark = own / "it-ran"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (mark,)

    torch.save({"lm_head.weight": Trap()}, path)
    with pytest.raises(InputError, match="could run code"):
        QAlign.load(own)
    path.write_bytes(pickle.dumps({"lm_head.weight": Trap()}))
    with pytest.raises(InputError):
        QAlign.load(own)
    assert not mark.exists()


def test_a_word_that_is_not_one_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2svqa.teachers.q_align.WORTH", {"excellent": 1.0, "unheard-of": 0.0})
    with pytest.raises(InputError, match=r"takes the word 'unheard-of' apart into \d+; it must be one"):
        QAlign.load(folder)


def test_without_sentencepiece_the_pip_line_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingExtraError, match=r"'sentencepiece'.*pip install 'w2svqa\[llm\]'"):
        QAlign.load(folder)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dtype": "int8"}, "no dtype 'int8'"),
        ({"max_frames": 0}, "max_frames=0"),
        ({"batch": 0}, "batch=0"),
        ({"seed": 1}, "no option seed"),
    ],
)
def test_options_are_checked_before_the_effort(folder: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_teacher("q-align", folder, **options)
    with pytest.raises(ConfigError, match=problem):
        identify_teacher("q-align", folder, **options)


def test_frames_together_have_the_score_they_have_one_by_one(folder: Path) -> None:
    one = QAlign.load(folder, dtype="float32").logits(video(0))
    together = QAlign.load(folder, dtype="float32", batch=2).logits(video(0))
    torch.testing.assert_close(together, one, rtol=1e-5, atol=1e-5)


def test_the_version_is_known_without_loading(own: Path) -> None:
    assert QAlign.identify(own) == exact(own).version
    drop_and_add(own)
    with pytest.raises(InputError, match="2 keys missing"):
        QAlign.identify(own)


def test_a_folder_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'q-align' has no parameters"):
        QAlign.load(None)
    with pytest.raises(MissingInputError, match="nowhere: no such folder"):
        QAlign.load(tmp_path / "nowhere")
    with pytest.raises(MissingInputError, match=r"the folder lacks config\.json, tokenizer\.model"):
        QAlign.load(tmp_path)


def test_what_a_configuration_leaves_out_is_as_in_the_reference(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"rms_norm_eps": 1e-05, "visual_config": null}')
    shape = read_shape(tmp_path / "config.json")
    assert (shape.language.num_hidden_layers, shape.language.rms_norm_eps) == (32, 1e-5)
    assert (shape.vision.tokens, shape.abstractor.num_learnable_queries) == (1025, 64)


@pytest.fixture
def hub(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    (own / "training_args.bin").write_bytes(b"a pickle")
    made = Hub(own, tmp_path / "cache")
    errors = ModuleType("huggingface_hub.errors")
    vars(errors).update(HfHubHTTPError=ConnectionError, LocalEntryNotFoundError=FileNotFoundError)
    known = {"huggingface_hub": made, "huggingface_hub.errors": errors}
    usual = extras.require

    def require(module: str, *, extra: str) -> object:
        return known.get(module) or usual(module, extra=extra)

    monkeypatch.setattr(hub_module, "require", require)
    return made


@pytest.mark.parametrize("kind", ["bin", "safetensors", "model.safetensors", "pytorch_model.bin"])
def test_a_folder_comes_from_the_hub(hub: Hub, own: Path, folder: Path, kind: str) -> None:
    if kind != "bin":
        no_weights(own)
        paths = write_shards(own, weights(own), kind=kind.rpartition(".")[2] or kind, parts=1 if "." in kind else 2)
        if "." in kind:
            paths[0].rename(own / kind)
            next(own.glob("*.index.json")).unlink()
    teacher = QAlign.load("hf://q-future/one-align", dtype="float32")
    assert teacher.score(video(0)) == exact(folder).score(video(0))
    assert "training_args.bin" not in hub.given


@pytest.mark.usefixtures("hub")
def test_addresses_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="is no folder on the hub"):
        QAlign.load("hf://one-align")
    with pytest.raises(ConfigError, match="is no folder on the hub"):
        QAlign.load("hf://q-future/one-align/config.json")
    with pytest.raises(MissingInputError, match="cannot be fetched: no such repository"):
        QAlign.load("hf://q-future/two-align")
