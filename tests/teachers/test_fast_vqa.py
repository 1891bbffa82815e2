"""FAST-VQA and FasterVQA as teachers: from checkpoints and videos to scores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dover_cases as shared
import fast_vqa_cases as cases
import numpy as np
import pytest
import torch

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.core.protocols import Teacher
from w2svqa.teachers import fast_vqa
from w2svqa.teachers.fast_vqa import FasterVqa, FastVqa, FastVqaM
from w2svqa.teachers.networks.video_swin import FastVqaNetwork, SwinSettings
from w2svqa.teachers.registry import load_teacher
from w2svqa.video.whole import FramesVideo

GOLDEN = np.load(Path(__file__).parent / "goldens" / "fast_vqa.npz")
CLASSES = {"fast-vqa": FastVqa, "fast-vqa-m": FastVqaM, "faster-vqa": FasterVqa}
TINY = SwinSettings(depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), width=8)

State = dict[str, torch.Tensor]


def _filled(network: FastVqaNetwork) -> FastVqaNetwork:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(value) for key, value in shared.state_of(shapes)})
    return network.eval()


def _video(length: int, height: int, width: int) -> FramesVideo:
    return FramesVideo([cases.frame(number, height, width) for number in range(length)], fps=30.0)


@pytest.fixture(scope="module")
def tiny() -> FastVqaNetwork:
    return _filled(FastVqaNetwork(TINY))


@pytest.fixture(scope="module")
def official_state() -> State:
    """Return what the release of FAST-VQA-M holds: its keys, with the index tables that are not needed."""
    state = dict(_filled(FastVqaM.build()).state_dict())
    state["vqa_head.fc_last.weight"] *= 0.02  # outputs as the release gives them, so that scores are neither 0 nor 1
    state["vqa_head.fc_last.bias"] = torch.tensor([FastVqaM.mean])
    for stage, depth in enumerate((2, 2, 6, 2)):
        for block in range(depth):
            key = f"fragments_backbone.layers.{stage}.blocks.{block}.attn.relative_position_index"
            state[key] = torch.zeros(64, 64, dtype=torch.int64)
    return state


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, official_state: State) -> Path:
    folder = tmp_path_factory.mktemp("official")
    torch.save({"state_dict": official_state, "validation_results": (np.float64(0.8),)}, folder / FastVqaM.files[0])
    return folder


@pytest.mark.parametrize(("name", "kind"), CLASSES.items())
def test_scores_are_rescaled_as_by_the_reference(name: str, kind: type[FastVqa]) -> None:
    ours = [kind.rescaled(raw) for raw in cases.RAW]
    assert np.allclose(ours, GOLDEN[f"scores/{name}"], rtol=1e-6, atol=1e-9)
    assert (kind.rescaled(-1e9), kind.rescaled(kind.mean), kind.rescaled(1e9)) == (0.0, 0.5, 1.0)


def test_output_of_a_whole_video_is_that_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    count, height, width = cases.FULL_VIDEO
    prepared = {"frames": cases.prepared(cases.starts(count)), "fragments": cases.prepared(cases.shares(4, 7))}
    monkeypatch.setattr(fast_vqa, "generator", lambda _seed, label: prepared[label])
    teacher = FasterVqa(_filled(FasterVqa.build()), "1")
    output = teacher.raw_score(_video(count, height, width))
    assert output == pytest.approx(float(GOLDEN["full/faster-vqa"]), rel=1e-4)


def test_official_checkpoint_is_loaded_and_scores_the_same_every_time(official: Path) -> None:
    video = _video(40, 150, 200)
    teacher = load_teacher("fast-vqa-m", official, clips=2)
    assert isinstance(teacher, Teacher)
    assert isinstance(teacher, FastVqaM)
    assert teacher.version.startswith("1+")
    score = teacher.score(video)
    assert 0 < score < 1
    assert score == teacher.rescaled(teacher.raw_score(video))
    again = load_teacher("fast-vqa-m", official / FastVqaM.files[0], clips=2)
    assert again.score(video) == score
    assert load_teacher("fast-vqa-m", official, clips=2, seed=1).score(video) != score
    assert load_teacher("fast-vqa-m", official, clips=2, adaptive=False).score(video) != score


def test_global_state_is_left_alone(tiny: FastVqaNetwork) -> None:
    torch.manual_seed(5)
    before, threads, gradients = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    FasterVqa(tiny, "1").score(_video(3, 64, 64))
    assert torch.equal(torch.get_rng_state(), before)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, gradients)


@pytest.mark.parametrize("kind", [FastVqa, FasterVqa])
@pytest.mark.parametrize(("length", "height", "width"), [(1, 240, 320), (2, 20, 20), (1, 1, 1), (70, 40, 300)])
def test_stills_and_small_and_short_videos_have_a_score(
    kind: type[FastVqa], tiny: FastVqaNetwork, length: int, height: int, width: int
) -> None:
    assert 0 <= kind(tiny, "1", clips=1).score(_video(length, height, width)) <= 1


def test_different_videos_have_different_outputs(tiny: FastVqaNetwork) -> None:
    teacher = FasterVqa(tiny, "1")
    outputs = {round(teacher.raw_score(_video(9, side, side)), 6) for side in (224, 230, 300)}
    assert len(outputs) == 3


def test_clips_are_averaged(tiny: FastVqaNetwork) -> None:
    video = _video(1, 230, 240)
    one = FastVqa(tiny, "1", clips=1)
    assert one.frames_of(1).shape == (1, 32)
    assert FastVqa(tiny, "1").frames_of(500).shape == (4, 32)
    assert FastVqaM(tiny, "1").frames_of(500).shape == (4, 16)
    assert FasterVqa(tiny, "1", clips=3).frames_of(500).shape == (3, 32)
    several = FasterVqa(tiny, "1", clips=3).frames_of(500)
    assert not np.array_equal(several[0], several[1])
    assert FastVqa(tiny, "1", clips=2).raw_score(video) != one.raw_score(video)


@pytest.mark.parametrize("clips", [0, -1])
def test_no_clips_are_refused(tiny: FastVqaNetwork, clips: int) -> None:
    with pytest.raises(ConfigError, match=f"'fast-vqa' has clips={clips}"):
        FastVqa(tiny, "1", clips=clips)


@pytest.mark.parametrize("kind", CLASSES.values())
def test_clips_together_have_the_score_they_have_one_by_one(tiny: FastVqaNetwork, kind: type[FastVqa]) -> None:
    scores = [kind(tiny, "1", clips=3, batch=batch).raw_score(_video(40, 240, 260)) for batch in (1, 2, 3)]
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-5)
    with pytest.raises(ConfigError, match="has batch=0"):
        kind(tiny, "1", batch=0)


def test_the_version_is_known_without_loading(official: Path) -> None:
    assert FastVqaM.identify(official, seed=3) == FastVqaM.load(official).version
    with pytest.raises(ConfigError, match="'fast-vqa-m' has batch=0"):
        FastVqaM.identify(official, batch=0)
    with pytest.raises(InputError, match="keys missing"):
        FastVqa.identify(official / FastVqaM.files[0])


def _without(state: State) -> object:
    return {key: value for key, value in state.items() if key not in ("vqa_head.fc_last.bias", "vqa_head.fc_hid.bias")}


def _with_more(state: State) -> object:
    return {**state, "vqa_head.fc_third.weight": torch.ones(1), "technical_backbone.norm.weight": torch.ones(1)}


def _not_finite(state: State) -> object:
    return {**state, "vqa_head.fc_last.bias": torch.tensor([float("nan")])}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (_without, r"missing: vqa_head\.fc_hid\.bias, vqa_head\.fc_last\.bias"),
        (_with_more, r"vqa_head\.fc_third\.weight, technical_backbone\.norm\.weight"),
        (_not_finite, r"not finite: vqa_head\.fc_last\.bias"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(
    tmp_path: Path, official_state: State, changed: Callable[[State], object], message: str
) -> None:
    torch.save({"state_dict": changed(official_state)}, tmp_path / "changed.pth")
    with pytest.raises(InputError, match=message):
        FastVqaM.load(tmp_path / "changed.pth")
    if changed is not _not_finite:  # values are not looked at
        with pytest.raises(InputError, match=message):
            FastVqaM.identify(tmp_path / "changed.pth")


def test_checkpoint_of_another_architecture_is_refused(official: Path) -> None:
    with pytest.raises(InputError) as caught:
        FastVqa.load(official / FastVqaM.files[0])
    assert "fragment_position_bias_table" in str(caught.value)  # M has none
    assert "(343, 3) instead of (2535, 3)" in str(caught.value)


def test_missing_checkpoint_names_the_official_file(tmp_path: Path) -> None:
    for name, kind in CLASSES.items():
        with pytest.raises(MissingInputError, match=kind.files[0]):
            load_teacher(name, tmp_path)
        with pytest.raises(ConfigError, match=kind.files[0]):
            load_teacher(name, None)


def test_facts_can_be_read_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from w2svqa.teachers.registry import TEACHERS\n"
        "for name in ('fast-vqa', 'fast-vqa-m', 'faster-vqa'):\n"
        "    kind = TEACHERS.load(name)\n"
        "    assert kind.name == name and kind.files and kind.higher_is_better and kind.needs_motion\n"
        "try:\n"
        "    kind.build()\n"
        "except Exception as error:\n"
        "    sys.exit(0 if 'w2svqa[train]' in str(error) else 1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=os.environ)
