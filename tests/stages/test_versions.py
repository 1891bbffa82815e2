"""Versions of a clip: what is made, in which order, what is left out, and what VMAF says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from w2svqa.core.errors import InputError, MediaError
from w2svqa.distort import SIMULATORS, distort_frame, distort_reduced
from w2svqa.distort.simulators import UNSEEN_CODECS, simulator
from w2svqa.stages.versions import VMAF_KINDS, Source, Version, make_versions
from w2svqa.students.views import MOTION_SIZE
from w2svqa.video.encode import write_lossless
from w2svqa.video.scene import scene_frames, write_scene

SIZE = (96, 128)  # a width that x264 codes alike each time (docs/distortions.md)
FPS = 6
SEED = 3
CODECS = ("h264", "h265")


def make(path: Path, kinds: Iterable[str], *, seconds: int = 1, vmaf: int = 0, still: bool = False) -> list[Version]:
    source = Source(path=str(path), is_still=still, seconds=seconds, vmaf_frames=vmaf)
    return list(make_versions(source, [simulator(kind) for kind in kinds], seed=SEED))


def levels(versions: Iterable[Version], kind: str) -> list[int]:
    return [version.level for version in versions if version.kind == kind]


def same_frames(one: list[NDArray[np.uint8]], other: list[NDArray[np.uint8]]) -> bool:
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    write_scene(path, seed=1, height=SIZE[0], width=SIZE[1], seconds=3, fps=FPS)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of odd sides, which no encoder takes."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(next(scene_frames(seed=2, height=81, width=115, frames=1))).save(path)
    return path


@pytest.fixture(scope="module")
def made(scene: Path) -> list[Version]:
    """Two seconds at every level of every kind."""
    return make(scene, SIMULATORS, seconds=2)


@pytest.fixture(scope="module")
def measured(scene: Path) -> list[Version]:
    """One second, of fewer frames than VMAF is asked for."""
    return make(scene, ["blur", "darkening", "stuttering", "h264"], vmaf=12)


def test_the_untouched_clip_comes_first_then_every_kind_mild_to_severe(made: list[Version]) -> None:
    assert (made[0].kind, made[0].level, made[0].severity) == ("none", 0, 0)
    assert list(dict.fromkeys(version.kind for version in made[1:])) == list(SIMULATORS)
    for kind, each in SIMULATORS.items():
        found = levels(made, kind)
        assert found == sorted(set(found))
        assert found[-1] == len(each.levels)
    assert all(version.severity == version.level / len(SIMULATORS[version.kind].levels) for version in made[1:])


def test_every_version_has_as_many_frames_as_the_untouched_clip(made: list[Version]) -> None:
    for version in made:
        assert [frame.shape for frame in version.key_frames] == [(*SIZE, 3)] * 2
        assert [second.shape for second in version.motion] == [(FPS, *MOTION_SIZE)] * 2
        assert {array.dtype for array in (*version.key_frames, *version.motion)} == {np.dtype(np.uint8)}


def test_key_frames_and_motion_are_those_of_the_distort_functions(made: list[Version]) -> None:
    clean = made[0]
    track = np.concatenate(clean.motion)
    for version in made[1:]:
        if version.kind in CODECS:
            continue
        frames = clean.key_frames
        if SIMULATORS[version.kind].on_frame is not None:
            frames = [
                distort_frame(frame, version.kind, version.level, seed=SEED, index=index)
                for index, frame in enumerate(clean.key_frames)
            ]
        assert same_frames(version.key_frames, frames)
        motion = distort_reduced(track, version.kind, version.level, size=SIZE, seed=SEED)
        assert (np.concatenate(version.motion) == motion).all()


def test_levels_that_change_no_pixel_are_left_out(made: list[Version]) -> None:
    assert levels(made, "blur") == [2, 3, 4, 5]  # sigma 0.1 moves no 8-bit value


@pytest.mark.parametrize("kind", CODECS)
def test_codecs_get_worse_with_the_level(made: list[Version], kind: str) -> None:
    clean = np.stack(made[0].key_frames).astype(float)
    errors = [float(np.abs(np.stack(each.key_frames) - clean).mean()) for each in made if each.kind == kind]
    assert len(errors) == len(SIMULATORS[kind].levels)
    assert all(milder < worse for milder, worse in pairwise([0, *errors]))


def test_vmaf_is_there_exactly_where_it_can_judge_and_falls_with_the_level(measured: list[Version]) -> None:
    assert measured[0].vmaf == 100
    assert levels(measured, "stuttering")
    for version in measured[1:]:
        assert (version.vmaf is not None) == (version.kind in VMAF_KINDS)
    for kind in ("blur", "h264"):
        values = [version.vmaf for version in measured if version.kind == kind and version.vmaf is not None]
        assert all(milder > worse for milder, worse in pairwise([100, *values]))
        assert values[-1] < 40


def test_nothing_is_measured_unasked(made: list[Version]) -> None:
    assert {version.vmaf for version in made} == {None}


def test_unseen_codecs_can_be_made(scene: Path) -> None:
    versions = make(scene, UNSEEN_CODECS)
    assert {version.kind for version in versions} == {"none", *UNSEEN_CODECS}
    assert {len(version.motion[0]) for version in versions} == {FPS}


@pytest.mark.parametrize("noise", [0, 0.2])
def test_stuttering_of_a_still_scene_is_left_out_and_jitter_is_not(tmp_path: Path, noise: float) -> None:
    frame = next(scene_frames(seed=1, height=SIZE[0], width=SIZE[1], frames=1)).astype(float)
    random = np.random.default_rng(0)
    path = tmp_path / "tripod.mkv"
    grain = (random.normal(0, noise, frame.shape) for _ in range(FPS))
    write_lossless(path, (np.clip(np.rint(frame + each), 0, 255).astype(np.uint8) for each in grain), fps=FPS)
    versions = make(path, ["jitter", "stuttering"])
    assert levels(versions, "jitter") == [1, 2, 3]
    assert levels(versions, "stuttering") == []


def test_equal_levels_of_a_flat_clip_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "flat.mkv"
    write_lossless(path, [np.full((*SIZE, 3), 90, np.uint8)] * 3, fps=3)
    assert [version.kind for version in make(path, ["blur", "resizing", "jitter", "stuttering"])] == ["none"]


def test_a_photograph_has_one_second_no_motion_and_no_temporal_kinds(photo: Path) -> None:
    versions = make(photo, [kind for kind in SIMULATORS if kind != "noise"], seconds=3, vmaf=4, still=True)
    kinds = {version.kind for version in versions}
    assert kinds == {"none", *SIMULATORS} - {"noise", "jitter", "stuttering"}
    for version in versions:
        assert [frame.shape for frame in version.key_frames] == [(81, 115, 3)]
        assert [second.shape for second in version.motion] == [(0, *MOTION_SIZE)]
        assert (version.vmaf is not None) == (version.kind in {*VMAF_KINDS, "none"})
    coded = [version.vmaf for version in versions if version.kind == "h264" and version.vmaf is not None]
    assert coded == sorted(coded, reverse=True)
    assert coded[0] > 80  # odd sides are padded, not stretched: pixels stay where they were


@pytest.mark.parametrize("size", [(81, 115), (80, 115), (81, 112)])
def test_videos_of_odd_sides_keep_them(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "odd.mkv"
    write_scene(path, seed=1, height=size[0], width=size[1], seconds=1, fps=FPS)
    versions = make(path, ["resizing", "jitter", "h264"], vmaf=2)
    assert {frame.shape for version in versions for frame in version.key_frames} == {(*size, 3)}
    assert {len(version.motion[0]) for version in versions} == {FPS}
    coded = [version.vmaf for version in versions if version.kind == "h264" and version.vmaf is not None]
    assert coded[0] > 90
    assert coded == sorted(coded, reverse=True)


def test_the_same_seed_gives_the_same_versions_and_another_one_other_noise(scene: Path, made: list[Version]) -> None:
    again = make(scene, ["noise", "jitter", "h264"], seconds=2)
    first = {(version.kind, version.level): version for version in made}
    for version in again:
        before = first[version.kind, version.level]
        assert same_frames(version.key_frames, before.key_frames)
        assert same_frames(version.motion, before.motion)
    source = Source(path=str(scene), is_still=False, seconds=1)
    other = list(make_versions(source, [SIMULATORS["noise"]], seed=SEED + 1))[1]
    assert not np.array_equal(other.key_frames[0], first["noise", 1].key_frames[0])


def test_a_clip_shorter_than_asked_gives_what_it_has(scene: Path) -> None:
    versions = make(scene, ["darkening", "h264"], seconds=9)
    assert {len(version.key_frames) for version in versions} == {3}
    assert {tuple(map(len, version.motion)) for version in versions} == {(FPS,) * 3}


@pytest.mark.parametrize("still", [False, True])
@pytest.mark.parametrize("codec", ["h265", "av1"])
def test_a_clip_too_small_for_an_encoder_is_named(tmp_path: Path, codec: str, still: bool) -> None:
    frame = next(scene_frames(height=48, width=80, frames=1))
    path = tmp_path / ("small.png" if still else "small.mkv")
    if still:
        Image.fromarray(frame).save(path)
    else:
        write_lossless(path, [frame] * 3, fps=3)
    with pytest.raises(MediaError, match="80 x 48 pixels, too small") as caught:
        make(path, [codec], still=still)
    assert caught.value.path == str(path)  # not a file that was made on the way
    assert caught.value.remedy is not None


@pytest.mark.parametrize(("kind", "vmaf", "problem"), [("resizing", 0, "at least"), ("blur", 2, "too small for VMAF")])
def test_a_clip_too_small_for_a_kind_or_for_vmaf_is_refused(tmp_path: Path, kind: str, vmaf: int, problem: str) -> None:
    path = tmp_path / "tiny.mkv"
    write_lossless(path, [np.zeros((12, 40, 3), np.uint8)] * 3, fps=3)
    with pytest.raises(InputError, match=problem):
        make(path, [kind], vmaf=vmaf)


def test_a_kind_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "tiny.mkv"
    write_lossless(path, [np.full((12, 40, 3), 90, np.uint8)] * 3, fps=3)
    source, problems = Source(path=str(path), is_still=False, seconds=1), list[tuple[str, str]]()
    kinds = [SIMULATORS[kind] for kind in ("resizing", "darkening")]
    made = list(make_versions(source, kinds, seed=SEED, problems=problems))
    assert {version.kind for version in made} >= {"none", "darkening"}
    assert [kind for kind, _ in problems] == ["resizing"]


@pytest.mark.parametrize("content", [b"no video", b""])
def test_a_broken_clip_is_refused_before_anything_is_made(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mkv"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        make(path, SIMULATORS)


def test_versions_are_made_one_at_a_time(scene: Path) -> None:
    source = Source(path=str(scene), is_still=False, seconds=1, vmaf_frames=2)
    versions = make_versions(source, [SIMULATORS["blur"], SIMULATORS["h264"]], seed=0)
    assert [next(versions).kind for _ in range(2)] == ["none", "blur"]
    versions.close()  # type: ignore[attr-defined]  # a generator: closing it lets go of the reference of VMAF
    assert next(versions, None) is None
