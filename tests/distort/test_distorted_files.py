"""From file to file: one distortion, several, and what cannot be distorted."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from w2svqa.core.errors import InputError, MissingInputError, StoreError
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, distort_frame, distort_frames, distort_mixture, distort_video
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless
from w2svqa.video.frames import nominal_rate, read_frames
from w2svqa.video.scene import scene_frames, write_scene

CODECS = [kind for kind, chosen in (SIMULATORS | UNSEEN_CODECS).items() if chosen.family == "streaming"]
NOT_CODECS = [kind for kind, chosen in SIMULATORS.items() if chosen.family != "streaming"]


def _frames(path: Path) -> NDArray[np.uint8]:
    return np.stack(list(read_frames(path)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "scene.mkv"
    write_scene(path, width=80, height=72, seconds=0.6, fps=20)
    return path


@pytest.mark.parametrize("kind", NOT_CODECS)
def test_versions_of_frames_are_lossless_and_keep_rate_and_count(kind: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "version.mkv"
    distort_video(source, target, kind, 3, seed=4)
    expected = np.stack(list(distort_frames(read_frames(source), kind, 3, seed=4)))
    assert (_frames(target) == expected).all()
    assert nominal_rate(target) == 20


@pytest.mark.parametrize("kind", CODECS)
def test_codecs_grow_worse_and_keep_the_frames(kind: str, source: Path, tmp_path: Path) -> None:
    clean = _frames(source).astype(float)
    errors = []
    for level in (1, len((SIMULATORS | UNSEEN_CODECS)[kind].levels)):
        target = tmp_path / f"{level}.mkv"
        distort_video(source, target, kind, level)
        decoded = _frames(target)
        assert decoded.shape == clean.shape
        errors.append(float(np.square(decoded - clean).mean()))
    assert errors[0] < errors[-1]


def test_the_same_call_writes_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("one.mkv", "two.mkv"):
        distort_video(source, tmp_path / name, "jitter", 2, seed=11)
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


@pytest.mark.parametrize("kind", ["jitter", "h264"])
def test_only_so_many_seconds(kind: str, tmp_path: Path) -> None:
    source, target = tmp_path / "scene.mkv", tmp_path / "short.mkv"
    write_scene(source, width=64, height=48, seconds=3, fps=10)
    distort_video(source, target, kind, 1, max_seconds=1.6)
    assert len(list(open_clip(target).chunks())) == 2
    assert len(list(read_frames(target))) == 16


def test_a_mixture_of_one_is_the_distortion(source: Path, tmp_path: Path) -> None:
    distort_video(source, tmp_path / "one.mkv", "noise", 2, seed=3)
    distort_mixture(source, tmp_path / "two.mkv", [("noise", 2)], seed=3)
    assert (_frames(tmp_path / "one.mkv") == _frames(tmp_path / "two.mkv")).all()


def test_steps_come_in_order(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "mixture.mkv"
    distort_mixture(source, target, [("resizing", 3), ("darkening", 4)])
    expected = [distort_frame(distort_frame(frame, "resizing", 3), "darkening", 4) for frame in read_frames(source)]
    assert (_frames(target) == np.stack(expected)).all()
    other_way = [distort_frame(distort_frame(frame, "darkening", 4), "resizing", 3) for frame in read_frames(source)]
    assert (_frames(target) != np.stack(other_way)).any()


def test_each_step_has_its_own_randomness(tmp_path: Path) -> None:
    source, target = tmp_path / "grey.mkv", tmp_path / "noise.mkv"
    write_lossless(source, [np.full((64, 64, 3), 128, np.uint8)] * 2, fps=10)
    distort_mixture(source, target, [("noise", 5), ("noise", 5)])
    # the same grain twice would have four times the variance
    assert (_frames(target) / 255).var() == pytest.approx(0.02, rel=0.1)


def test_a_codec_at_the_end_encodes_the_steps_before_it(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "mixture.mp4"
    distort_mixture(source, target, [("stuttering", 3), ("blur", 4), ("h264", 1)], seed=2, max_seconds=0.3)
    distort_mixture(source, tmp_path / "before.mkv", [("stuttering", 3), ("blur", 4)], seed=2, max_seconds=0.3)
    before, after = _frames(tmp_path / "before.mkv").astype(float), _frames(target)
    assert after.shape == before.shape == (6, 72, 80, 3)
    assert 0 < np.abs(after - before).mean() < 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.mkv", "mixture.mp4"]


def test_stills_take_spatial_kinds_but_no_temporal_ones(tmp_path: Path) -> None:
    photo, target = tmp_path / "photo.png", tmp_path / "out.mkv"
    frame = next(scene_frames(width=48, height=32, frames=1))
    Image.fromarray(frame).save(photo)
    distort_video(photo, target, "blur", 4)
    assert (_frames(target)[0] == distort_frame(frame, "blur", 4)).all()
    for kind in ("jitter", "stuttering"):
        with pytest.raises(InputError, match=rf"photo\.png: is a still image, and {kind} needs a video \(choose"):
            distort_video(photo, tmp_path / "none.mkv", kind, 1)
    assert not (tmp_path / "none.mkv").exists()


def test_one_frame_cannot_stutter(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one frame"):
        distort_video(source, tmp_path / "out.mkv", "stuttering", 1, max_seconds=0.01)
    with pytest.raises(InputError, match="one frame"):
        distort_mixture(source, tmp_path / "out.mkv", [("blur", 2), ("stuttering", 1)], max_seconds=0.01)
    distort_video(source, tmp_path / "jitter.mkv", "jitter", 1, max_seconds=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["jitter.mkv"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "needs a distortion"),
        ([("h264", 1), ("blur", 2)], "h264 is a codec and comes before blur"),
        ([("vp9", 1), ("h264", 1)], "vp9 is a codec and comes before h264"),
        ([("blur", 2), ("h264", 9)], "h264 has no level 9"),
        ([("blur", 0)], "blur has no level 0"),
        ([("blur", 2), ("fog", 1)], "unknown distortion 'fog'"),
    ],
)
def test_mixtures_that_make_no_sense(steps: list[tuple[str, int]], words: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        distort_mixture(source, tmp_path / "out.mkv", steps)
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0, -1.5, float("nan")])
@pytest.mark.parametrize("kind", ["blur", "h264"])
def test_no_time_is_refused(kind: str, seconds: float, source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 0 seconds"):
        distort_video(source, tmp_path / "out.mkv", kind, 1, max_seconds=seconds)


def test_small_videos_are_refused_whole(tmp_path: Path) -> None:
    source = tmp_path / "small.mkv"
    write_lossless(source, [np.zeros((12, 30, 3), np.uint8)] * 3, fps=10)
    with pytest.raises(InputError, match="height of at least 16 pixels, and this one has 12"):
        distort_video(source, tmp_path / "out.mkv", "resizing", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["small.mkv"]


def test_missing_files_and_folders(source: Path, tmp_path: Path) -> None:
    for kind in ("blur", "jitter", "h264"):
        with pytest.raises(MissingInputError):
            distort_video(tmp_path / "none.mp4", tmp_path / "out.mkv", kind, 1)
    for steps in ([("blur", 2)], [("blur", 2), ("h264", 1)]):
        with pytest.raises(StoreError):
            distort_mixture(source, tmp_path / "nowhere" / "out.mkv", steps)
