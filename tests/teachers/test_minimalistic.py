"""MinimalisticVQA VII and IX: sampling, preparation and scores of the official script; bad checkpoints, odd videos."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import minimalistic_inputs as given
import numpy as np
import pytest
import torch
from filled import filled_state
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.networks import slowfast
from w2svqa.networks.slowfast import SlowFast, SlowFastShape
from w2svqa.teachers import minimalistic
from w2svqa.teachers import minimalistic_pictures as pictures
from w2svqa.teachers.minimalistic import MOTION_FILE, MinimalisticIx, MinimalisticVii
from w2svqa.teachers.minimalistic_pictures import key_picture, motion_clip, motion_picture, seconds_of, shrunk_size
from w2svqa.teachers.networks import minimalistic as networks
from w2svqa.teachers.networks.minimalistic import MinimalisticNetwork
from w2svqa.teachers.networks.swin import SwinShape
from w2svqa.teachers.registry import identify_teacher, load_teacher
from w2svqa.video.whole import FramesVideo, VideoFile

GOLDENS = Path(__file__).parent / "goldens" / "minimalistic.npz"
CLOSE = 1e-4
VII_FILE, IX_FILE = MinimalisticVii.files[0], MinimalisticIx.files[0]
Network = TypeVar("Network", bound=nn.Module)
# One of 255 levels, after the motion network's normalisation.
LEVEL = 1 / 255 / slowfast.DEVIATION
TINY_SWIN = SwinShape(width=4, depths=(1, 1), heads=(1, 1), window=7, patch=16)
TINY_MOTION = SlowFastShape(width=2, reduction=1, depths=(1, 1, 1, 1))
TINY_FEATURES = 64


@pytest.fixture(scope="module")
def goldens() -> Iterator[dict[str, NDArray[np.float32]]]:
    with np.load(GOLDENS) as stored:
        yield dict(stored)


def state_of(network: nn.Module) -> dict[str, Tensor]:
    scale = given.MOTION_WEIGHTS if isinstance(network, SlowFast) else given.WEIGHTS
    own = network.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if value.is_floating_point()}
    counts = {key: torch.zeros((), dtype=torch.int64) for key in own if key not in shapes}
    return counts | {key: torch.from_numpy(value) for key, value in filled_state(shapes, scale=scale).items()}


def filled_network(kind: type[Network], *arguments: object) -> Network:
    with torch.device("meta"):
        network = kind(*arguments)
    network.to_empty(device="cpu")
    network.load_state_dict(state_of(network))
    return network.eval()


def tiny_vii(batch: int = 1) -> MinimalisticVii:
    return MinimalisticVii(filled_network(MinimalisticNetwork, 0, TINY_SWIN), "1+test", batch=batch)


def tiny_ix(batch: int = 1) -> MinimalisticIx:
    network = filled_network(MinimalisticNetwork, TINY_FEATURES, TINY_SWIN)
    return MinimalisticIx(network, filled_network(SlowFast, TINY_MOTION), "1+test", batch=batch)


TEACHERS = {"minimalistic-vii": tiny_vii, "minimalistic-ix": tiny_ix}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints be those of tiny networks."""
    monkeypatch.setattr(
        networks, "MinimalisticNetwork", lambda motion: MinimalisticNetwork(motion and TINY_FEATURES, TINY_SWIN)
    )
    monkeypatch.setattr(slowfast, "SlowFast", lambda: SlowFast(TINY_MOTION))


@pytest.fixture
def folder(tmp_path: Path, tiny: None) -> Path:
    """Return a folder with the checkpoints of both, tiny, as the official ones are: prefixed, wrapped, with extras."""
    del tiny
    for file, motion in ((VII_FILE, 0), (IX_FILE, TINY_FEATURES)):
        state = state_of(MinimalisticNetwork(motion, TINY_SWIN))
        tables = [key for key in state if key.endswith("relative_position_bias_table")]
        state |= {key.replace("bias_table", "index"): torch.zeros(7**4, dtype=torch.int64) for key in tables}
        torch.save(state, tmp_path / file)
    state = state_of(SlowFast(TINY_MOTION))
    state |= {"blocks.6.proj.weight": torch.zeros(4, 5), "blocks.6.proj.bias": torch.zeros(4)}
    torch.save({"model_state": state}, tmp_path / MOTION_FILE)
    return tmp_path


# What the official code does


@pytest.mark.parametrize("name", given.PREPARED)
def test_key_frames_are_the_official_ones(name: str, goldens: dict[str, NDArray[np.float32]]) -> None:
    case, golden = given.PREPARED[name], goldens[f"prepared_{name}_keys"]
    video = FramesVideo(case.frames(), fps=case.fps)
    keys = [second.key for second in seconds_of(video.count(), video.info.fps)]
    ours = [given.sampled(key_picture(frame).numpy()) for frame in video.frames_at(keys)]
    assert len(ours) == len(golden)
    np.testing.assert_allclose(ours, golden, atol=1e-6)


@pytest.mark.parametrize("name", given.PREPARED)
def test_clips_are_the_official_ones_within_a_level(name: str, goldens: dict[str, NDArray[np.float32]]) -> None:
    case, golden = given.PREPARED[name], goldens[f"prepared_{name}_clips"]
    video = FramesVideo(case.frames(), fps=case.fps)
    seconds = seconds_of(video.count(), video.info.fps)
    assert len(seconds) == len(golden)
    samples = {}
    for clip in {second.clip for second in seconds}:
        small = [motion_picture(frame) for frame in video.frames_at(clip)]
        samples[clip] = given.sampled(motion_clip(small)[0].transpose(0, 1).numpy())
    apart = np.abs(np.stack([samples[second.clip] for second in seconds]) - golden) / LEVEL
    assert apart.max() <= 1.001
    assert apart.mean() < 0.03


def test_scores_are_the_official_ones(goldens: dict[str, NDArray[np.float32]]) -> None:
    motion = filled_network(SlowFast)
    motion.drop_slow()
    teacher = MinimalisticIx(filled_network(MinimalisticNetwork, slowfast.FAST_FEATURES), motion, "1+test")
    ours = np.array([teacher.score(FramesVideo(case.frames(), fps=case.fps)) for case in given.SCORED])
    assert goldens["ix_scores"].std() >= 0.1
    assert given.difference(ours, goldens["ix_scores"]) < CLOSE


# Sampling and preparation


@for_all(count=st.integers(1, 2000), fps=st.one_of(st.none(), st.floats(0.01, 240, allow_nan=False)))
@example(count=1, fps=None)
def test_seconds_are_at_least_eight_and_inside_the_video(count: int, fps: float | None) -> None:
    seconds = seconds_of(count, fps)
    rate = max(1, round(fps or 25.0))
    assert len(seconds) == max(8, count // rate)
    assert [second.key for second in seconds] == sorted(second.key for second in seconds)
    for second in seconds:
        assert 0 <= second.key < count
        assert len(second.clip) == 32
        assert list(second.clip) == sorted(second.clip)
        assert 0 <= second.clip[0] <= second.clip[-1] < count
        assert second.clip[-1] - second.clip[0] < min(rate, 32)


@for_all(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_the_shorter_side_becomes_384_and_the_shape_is_kept(height: int, width: int) -> None:
    small = shrunk_size(height, width)
    assert min(small) == 384
    assert abs(max(small) - 384 * max(height, width) / min(height, width)) <= 1


def test_key_pictures_show_the_centre() -> None:
    frame = np.zeros((384, 800, 3), np.uint8)
    frame[:, 208:592] = 255
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(key_picture(frame), white.reshape(3, 1, 1).expand(3, 384, 384))


def test_a_strip_is_refused() -> None:
    with pytest.raises(InputError, match="a frame of 2x101 is too narrow"):
        key_picture(np.zeros((101, 2, 3), np.uint8))


# Scores


@pytest.mark.parametrize("name", TEACHERS)
def test_the_same_video_has_the_same_score_and_others_have_others(name: str) -> None:
    teacher = TEACHERS[name]()
    videos = [FramesVideo(case.frames(), fps=case.fps) for case in given.SCORED[:2]]
    first, second, again = (teacher.score(video) for video in (*videos, videos[0]))
    assert first == again != second


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (90, 160)])
def test_stills_and_tiny_pictures_are_scored(name: str, size: tuple[int, int]) -> None:
    picture = given.moving(given.ClipCase(count=1, fps=1.0, height=size[0], width=size[1]))
    still = TEACHERS[name]().score(FramesVideo(picture))
    standing = TEACHERS[name]().score(FramesVideo(picture * 20, fps=10.0))
    assert np.isfinite(still)
    assert still == pytest.approx(standing, abs=1e-6)


@pytest.mark.parametrize("name", TEACHERS)
def test_a_file_of_a_second_is_scored(name: str, tmp_path: Path) -> None:
    path = tmp_path / "second.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in given.ClipCase(count=25, fps=25.0, height=48, width=64).frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert np.isfinite(TEACHERS[name]().score(VideoFile(path)))


def test_only_motion_tells_ix_a_moving_video_from_a_standing_one() -> None:
    case = given.ClipCase(count=10, fps=10.0, height=64, width=80)
    frames = case.frames()
    standing = FramesVideo([frames[5]] * 10, fps=10.0)
    moving = FramesVideo(frames, fps=10.0)
    assert tiny_vii().score(standing) == tiny_vii().score(moving)
    assert tiny_ix().score(standing) != tiny_ix().score(moving)


def test_no_random_numbers_of_others_are_used(folder: Path) -> None:
    before = torch.get_rng_state()
    load_teacher("minimalistic-ix", folder).score(FramesVideo(given.SCORED[0].frames(), fps=8.0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", TEACHERS)
def test_key_frames_together_have_the_score_they_have_one_by_one(name: str) -> None:
    video = FramesVideo(given.ClipCase(count=33, fps=10.0, height=64, width=80).frames(), fps=10.0)
    scores = [TEACHERS[name](batch).score(video) for batch in (1, 2, 50)]  # of the four key frames
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-5)
    with pytest.raises(ConfigError, match=f"'{name}' has batch=0"):
        TEACHERS[name](0)


# Checkpoints


@pytest.mark.parametrize("name", TEACHERS)
def test_the_version_is_known_without_loading(name: str, folder: Path) -> None:
    assert identify_teacher(name, folder, batch=4) == load_teacher(name, folder).version
    torch.save({"more": torch.zeros(1)}, folder / (VII_FILE if name == "minimalistic-vii" else MOTION_FILE))
    with pytest.raises(InputError, match="1 key not known: more"):
        identify_teacher(name, folder)


@pytest.mark.parametrize("name", TEACHERS)
def test_a_folder_of_checkpoints_is_loaded(name: str, folder: Path) -> None:
    teacher = load_teacher(name, folder)
    video = FramesVideo(given.SCORED[0].frames(), fps=8.0)
    assert teacher.score(video) == TEACHERS[name]().score(video)
    assert teacher.version.startswith("1+")
    assert (teacher.higher_is_better, teacher.needs_motion) == (True, name == "minimalistic-ix")


def test_the_version_tells_both_checkpoints(folder: Path) -> None:
    before = load_teacher("minimalistic-ix", folder).version
    state = torch.load(folder / MOTION_FILE, weights_only=True)["model_state"]
    state["blocks.0.multipathway_blocks.1.norm.bias"] += 1
    torch.save(state, folder / MOTION_FILE)
    after = load_teacher("minimalistic-ix", folder / IX_FILE).version
    assert before != after
    assert before.split("+")[:2] == after.split("+")[:2]


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ([MOTION_FILE], f"the folder lacks {MOTION_FILE}: minimalistic-ix needs {IX_FILE} and {MOTION_FILE}"),
        ([IX_FILE], f"the folder lacks {IX_FILE}: "),
        ([IX_FILE, MOTION_FILE], f"the folder holds none of {IX_FILE}, {MOTION_FILE}"),
    ],
)
def test_what_ix_lacks_is_named(gone: list[str], message: str, folder: Path) -> None:
    for file in gone:
        (folder / file).unlink()
    with pytest.raises(MissingInputError, match=message):
        load_teacher("minimalistic-ix", folder)


def test_the_file_of_ix_alone_is_not_enough(folder: Path) -> None:
    (folder / MOTION_FILE).unlink()
    with pytest.raises(MissingInputError, match=f"lacks {MOTION_FILE}"):
        load_teacher("minimalistic-ix", folder / IX_FILE)


def test_one_file_on_the_hub_is_not_enough_for_ix() -> None:
    with pytest.raises(ConfigError, match="needs two checkpoints"):
        MinimalisticIx.load("hf://someone/something/ix.pth")


@pytest.mark.parametrize(("given_file", "shown"), [(VII_FILE, "8) instead of (128, 72)"), (IX_FILE, "72) instead of")])
def test_the_checkpoint_of_the_other_model_is_refused(given_file: str, shown: str, folder: Path) -> None:
    name, wanted = ("minimalistic-ix", IX_FILE) if given_file == VII_FILE else ("minimalistic-vii", VII_FILE)
    (folder / given_file).replace(folder / wanted)
    with pytest.raises(InputError, match=re.escape(f"quality.0.weight ((128, {shown}")):
        load_teacher(name, folder)


@pytest.mark.parametrize(("name", "file"), [("minimalistic-vii", VII_FILE), ("minimalistic-ix", MOTION_FILE)])
def test_missing_and_unknown_keys_are_listed(name: str, file: str, folder: Path) -> None:
    state = torch.load(folder / file, weights_only=True)
    state = state.get("model_state", state)
    lost = sorted(key for key in state if key.endswith("weight") and "blocks.6" not in key)[:2]
    kept = {key: value for key, value in state.items() if key not in lost} | {"novel": torch.zeros(1)}
    torch.save(kept, folder / file)
    with pytest.raises(InputError) as caught:
        load_teacher(name, folder)
    assert all(key in str(caught.value) for key in (*lost, "novel"))


def test_listing_needs_no_torch() -> None:
    lines = "import sys; import w2svqa.teachers.minimalistic; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", lines], check=False).returncode == 0


def test_the_sizes_are_those_of_the_motion_network() -> None:
    assert (pictures.CLIP, pictures.MOTION_SIDE) == (slowfast.CLIP, slowfast.SIDE)
    assert minimalistic.MOTION_FEATURES == slowfast.FAST_FEATURES
