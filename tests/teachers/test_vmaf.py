from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from teacher_fixtures import blurred, noisy, texture

from w2svqa.core.errors import InputError, MissingExtraError, W2SVQAError
from w2svqa.teachers.vmaf import LEAST_SIZE, VmafReference

FILTERS = " .. libvmaf           VV->V      Calculate the VMAF between two video streams."

UseBinary = Callable[..., Path]


def panning(height: int, width: int, count: int = 4) -> np.ndarray:
    """Return a picture moving by three pixels per frame, ``(count, height, width, 3)``."""
    wide = texture(height, width + 3 * count)
    return np.stack([wide[:, 3 * index : 3 * index + width] for index in range(count)])


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made, to see what stays behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def use_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseBinary:
    """Put a program in Python in the place of FFmpeg: it tells its filters, then runs the given lines."""

    def use(lines: str, filters: str = FILTERS) -> Path:
        path = tmp_path / "ffmpeg"
        head = f"#!{sys.executable}\nimport os, sys, time\n"
        path.write_text(f"{head}if '-filters' in sys.argv:\n    print({filters!r})\n    sys.exit()\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setattr(import_module("imageio_ffmpeg"), "get_ffmpeg_exe", lambda: str(path))
        return path

    return use


def test_identical_frames_score_high_and_degradation_lowers_it() -> None:
    frames = panning(96, 128)
    with VmafReference(frames) as reference:
        same = reference.score(frames)
        blur = [reference.score([blurred(frame, sigma) for frame in frames]) for sigma in (0.7, 1.5, 4)]
        grain = [reference.score([noisy(frame, size) for frame in frames]) for size in (5, 15, 40)]
    assert 97 <= same <= 100
    for values in (blur, grain):
        assert same > values[0] > values[1] > values[2] >= 0


def test_it_is_the_mean_over_frames() -> None:
    """Of two stills each frame is measured by itself but for motion, which is none."""
    still = np.stack([texture(64, 64)] * 2)
    worse = np.stack([still[0], blurred(still[0], 2)])
    with VmafReference(still) as reference:
        low, middle, high = (reference.score(each) for each in (worse[[1, 1]], worse, still))
    assert middle == pytest.approx((low + high) / 2, abs=0.01)


def test_scoring_again_gives_the_same_and_a_list_is_as_good_as_an_array() -> None:
    frames = panning(48, 64)
    worse = [blurred(frame, 1) for frame in frames]
    with VmafReference(list(frames)) as reference:
        assert reference.score(worse) == reference.score(np.stack(worse)) == reference.score(worse)


def test_the_frame_rate_does_not_matter() -> None:
    frames = panning(48, 64)
    values = []
    for fps in (10, 29.97, 60):
        with VmafReference(frames, fps=fps) as reference:
            values.append(reference.score([blurred(frame, 1) for frame in frames]))
    assert len(set(values)) == 1


def test_odd_sizes_lose_their_last_row_and_column() -> None:
    frames = panning(49, 65)
    worse = np.stack([blurred(frame, 1) for frame in frames])
    with VmafReference(frames) as odd, VmafReference(frames[:, :48, :64]) as even:
        assert odd.score(worse) == even.score(worse[:, :48, :64])


def test_the_least_size_works() -> None:
    frames = panning(LEAST_SIZE, LEAST_SIZE)
    with VmafReference(frames) as reference:
        assert reference.score(frames) > 90


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        (panning(LEAST_SIZE - 1, 64), f"frames of 64x{LEAST_SIZE - 1} are too small"),
        ([texture(48, 64), texture(50, 64)], "several sizes: 64x48, 64x50"),
        ([texture(48, 64)[..., 0]], r"a frame of uint8 \(48, 64\)"),
        ([texture(48, 64).astype(np.float32)], "a frame of float32"),
    ],
)
def test_frames_that_cannot_be_a_reference_are_refused(frames: list[np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VmafReference(frames)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match="is no rate"):
        VmafReference(panning(48, 64), fps=fps)


def test_frames_unlike_the_reference_are_refused() -> None:
    frames = panning(48, 64)
    with VmafReference(frames) as reference:
        for other in (frames[:-1], frames[:, :, :-2], frames.transpose(0, 2, 1, 3)):
            with pytest.raises(InputError, match=r"cannot be compared with a reference of 4 of 64x48"):
                reference.score(other)
        assert reference.score(frames) > 90


def test_nothing_stays_behind_and_nothing_works_outside_the_block(temporary: Path) -> None:
    frames = panning(48, 64)
    reference = VmafReference(frames)
    with pytest.raises(W2SVQAError, match="not open"):
        reference.score(frames)
    with reference:
        reference.score(frames)
        [folder] = temporary.iterdir()
        assert [path.name for path in folder.iterdir()] == ["reference.yuv"]
        assert (folder / "reference.yuv").stat().st_size == 4 * 48 * 64 * 3 // 2
    assert list(temporary.iterdir()) == []
    with pytest.raises(W2SVQAError, match="not open"):
        reference.score(frames)
    with pytest.raises(W2SVQAError, match="was closed"):
        reference.__enter__()


def test_nothing_appears_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    frames = panning(48, 64)
    with VmafReference(frames) as reference:
        reference.score(frames)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("sys.stderr.write('no room'); sys.exit(3)", "failed with status 3: no room"),
        ("sys.stdin.buffer.read(); sys.stderr.write('late'); sys.exit(1)", "failed with status 1: late"),
        ("os.kill(os.getpid(), 9)", "ended by signal 9: it says nothing"),
    ],
)
def test_a_failing_binary_is_reported(use_binary: UseBinary, temporary: Path, lines: str, message: str) -> None:
    path = use_binary(lines)
    # More than a pipe holds, so that writing meets the early end.
    with pytest.raises(W2SVQAError, match=message) as caught, VmafReference(panning(128, 256)):
        pass
    assert caught.value.path == str(path)
    assert caught.value.remedy
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (None, "no log"),
        ("{", "no log that can be read"),
        ('{"frames": []}', "measured 0 of 4 frames"),
        ('{"frames": [{"metrics": {}}]}', "no log that can be read"),
    ],
)
def test_a_log_that_is_not_whole_is_reported(use_binary: UseBinary, log: str | None, message: str) -> None:
    lines = "sys.stdin.buffer.read()\nnames = [part.split('log_path=')[1] for part in sys.argv if 'log_path=' in part]"
    if log is not None:
        lines += f"\nfor name in names:\n    open(name, 'w').write({log!r})"
    use_binary(lines)
    frames = panning(48, 64)
    with VmafReference(frames) as reference, pytest.raises(W2SVQAError, match=message):
        reference.score(frames)


def test_a_binary_without_libvmaf_is_named(use_binary: UseBinary) -> None:
    path = use_binary("", filters=" .. scale    V->V    Scale the input")
    with pytest.raises(W2SVQAError, match=r"no filter 'libvmaf' .*IMAGEIO_FFMPEG_EXE") as caught:
        VmafReference(panning(48, 64)).__enter__()
    assert caught.value.path == str(path)


def test_a_binary_that_does_not_run_is_named(use_binary: UseBinary) -> None:
    use_binary("").write_text("no program")
    with pytest.raises(W2SVQAError, match="FFmpeg does not run"):
        VmafReference(panning(48, 64)).__enter__()


def test_no_binary_and_no_package_have_their_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    with monkeypatch.context() as patch:
        patch.setattr(import_module("imageio_ffmpeg"), "get_ffmpeg_exe", none)
        with pytest.raises(W2SVQAError, match="no FFmpeg for this machine"):
            VmafReference(panning(48, 64)).__enter__()

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"imageio_ffmpeg.*pip install"):
        VmafReference(panning(48, 64)).__enter__()
