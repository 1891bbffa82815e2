from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from running import Finished, Run, Start

from w2svqa.cli.app import main
from w2svqa.cli.distort import check_target
from w2svqa.core.errors import InputError
from w2svqa.distort import SIMULATORS, UNSEEN_CODECS, distort_frames
from w2svqa.video.encode import LOSSLESS_SUFFIXES, write_lossless
from w2svqa.video.frames import nominal_rate, read_frames
from w2svqa.video.image import write_image
from w2svqa.video.probe import probe
from w2svqa.video.scene import scene_frames

FRAMES = 6
WriteScene = Callable[..., Path]
InProcess = Callable[..., Finished]


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Return a function that writes the scene, as large as every kind needs it."""

    def write(name: str = "in.mkv", width: int = 96, height: int = 80, frames: int = FRAMES) -> Path:
        path = tmp_path / name
        pictures = scene_frames(width=width, height=height, frames=frames)
        if path.suffix == ".png":
            write_image(path, next(pictures))
        else:
            write_lossless(path, pictures, fps=6)
        return path

    return write


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> InProcess:
    """Return a function that does what `run` does in this process, where it is faster."""
    monkeypatch.chdir(tmp_path)

    def complete(*arguments: str | int) -> Finished:
        with pytest.raises(SystemExit) as request:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert isinstance(request.value.code, int)
        return Finished(request.value.code, captured.out, captured.err)

    return complete


def steps(*pairs: tuple[str, int]) -> list[str]:
    return [word for kind, level in pairs for word in ("--kind", kind, "--level", str(level))]


def pixels(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path)))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_output_is_lossless(call: InProcess, write_scene: WriteScene, tmp_path: Path, suffix: str) -> None:
    source = write_scene("in.mp4")
    done = call("distort", "in.mp4", f"out{suffix}", *steps(("noise", 3)), "--seed", 4)
    assert (done.code, done.out, done.err) == (0, f"out{suffix}\n", "")
    expected = np.stack(list(distort_frames(read_frames(source), "noise", 3, seed=4)))
    assert (pixels(tmp_path / f"out{suffix}") == expected).all()
    assert nominal_rate(tmp_path / f"out{suffix}") == 6


def test_the_same_call_writes_the_same_bytes_and_another_seed_others(
    call: InProcess, write_scene: WriteScene, tmp_path: Path
) -> None:
    write_scene()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call("distort", "in.mkv", f"{name}.mkv", *steps(("noise", 5)), "--seed", seed)
    first, second, third = ((tmp_path / f"{name}.mkv").read_bytes() for name in "abc")
    assert first == second != third


def test_seconds_take_the_beginning(call: InProcess, write_scene: WriteScene, tmp_path: Path) -> None:
    source = write_scene()
    for name, kind in (("a.mkv", "darkening"), ("a.mp4", "h264")):
        assert call("distort", "in.mkv", name, *steps((kind, 2)), "--seconds", 0.5).code == 0
        assert len(pixels(tmp_path / name)) == 3
    expected = list(distort_frames(read_frames(source), "darkening", 2))[:3]
    assert (pixels(tmp_path / "a.mkv") == expected).all()


def test_a_mixture_ends_in_its_codec(call: InProcess, write_scene: WriteScene, tmp_path: Path) -> None:
    write_scene()
    mixture = steps(("blur", 5), ("stuttering", 3), ("h265", 1))
    assert call("distort", "in.mkv", "out.mp4", *mixture).code == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
    call("distort", "in.mkv", "sharp.mp4", *steps(("h265", 1)))
    detail = [np.abs(np.diff(pixels(tmp_path / name).astype(int), axis=2)).mean() for name in ("out.mp4", "sharp.mp4")]
    assert detail[0] < 0.8 * detail[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mp4", "sharp.mp4"]


@pytest.mark.parametrize("kind", [*SIMULATORS, *UNSEEN_CODECS])
def test_every_kind_takes_a_video(call: InProcess, write_scene: WriteScene, tmp_path: Path, kind: str) -> None:
    source = write_scene()
    done = call("distort", "in.mkv", "out.mkv", *steps((kind, 3)))
    assert (done.code, done.err) == (0, "")
    assert pixels(tmp_path / "out.mkv").shape == pixels(source).shape
    assert (pixels(tmp_path / "out.mkv") != pixels(source)).any()


def test_list_names_every_kind_and_value(run: Run) -> None:
    done = run("distort", "--list")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    for kind, simulator in (SIMULATORS | UNSEEN_CODECS).items():
        assert ", ".join(f"{value:g}" for value in simulator.levels) in rows[kind]
        assert simulator.parameter in rows[kind]
        assert simulator.family in rows[kind]
        assert rows[kind].split()[-1] == ("yes" if kind in SIMULATORS else "no")


def test_an_image_becomes_an_image(call: InProcess, write_scene: WriteScene, tmp_path: Path) -> None:
    source = write_scene("in.png")
    assert call("distort", "in.png", "out.png", *steps(("blur", 4), ("noise", 2))).code == 0
    assert call("distort", "in.png", "out.mkv", *steps(("blur", 4), ("noise", 2))).code == 0
    assert probe(tmp_path / "out.png").is_still
    assert (pixels(tmp_path / "out.png") == pixels(tmp_path / "out.mkv")).all()
    assert (pixels(tmp_path / "out.png") != pixels(source)).any()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["in.mkv", "out.mkv", *steps(("blurr", 1))], "unknown distortion 'blurr'"),
        (["in.mkv", "out.mkv", *steps(("blur", 6))], "blur has no level 6 (choose a level from 1 (mild) to 5"),
        (["in.mkv", "out.mkv", *steps(("blur", 0))], "blur has no level 0"),
        (["in.mkv", "out.mkv", *steps(("h264", 1), ("blur", 1))], "h264 is a codec and cannot come before"),
        (["in.mkv", "out.mkv", "--kind", "blur", "--kind", "noise", "--level", "1"], "2 times --kind"),
        (["in.mkv", "out.mkv", "--kind", "blur"], "--level"),
        (["in.mkv", "out.mkv", "--level", "1"], "--kind"),
        (["in.mkv", "out.mkv", "--kind", "blur", "--level", "high"], "--level"),
        (["in.mkv", "out.mkv", *steps(("blur", 1)), "--seconds", "0"], "--seconds"),
        (["in.mkv", "out.mkv", *steps(("blur", 1)), "--seconds", "nan"], "--seconds"),
        (["in.mkv", "out.mkv", *steps(("blur", 1)), "--seed", "-1"], "--seed"),
        (["in.mkv", "in.mkv", *steps(("blur", 1)), "--overwrite"], "in.mkv: is the input itself"),
        (["in.mkv", "./in.mkv", *steps(("h264", 1)), "--overwrite"], "in.mkv: is the input itself"),
        (
            ["in.mkv", "old.mkv", *steps(("blur", 1))],
            "old.mkv: exists already (choose another OUT, or give --overwrite",
        ),
        (["in.mkv", "none/out.mkv", *steps(("blur", 1))], "none/out.mkv: is in a folder that does not exist"),
        (["in.mkv", "in.mkv/out.mkv", *steps(("blur", 1))], "is in a folder that does not exist"),
        (["in.mkv", "out.txt", *steps(("blur", 1))], "out.txt: nothing lossless can be written into '.txt'"),
        (["in.mkv", "out", *steps(("blur", 1))], "out: has no suffix (choose one of .mkv"),
        (["in.mkv", "out.webm", *steps(("h264", 1))], "out.webm: a '.webm' file cannot hold h264"),
        (["in.mkv", "out.png", *steps(("h264", 1))], "out.png: a '.png' file cannot hold h264"),
        (["in.mkv"], "OUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_usage(call: InProcess, write_scene: WriteScene, tmp_path: Path, words: list[str], problem: str) -> None:
    write_scene()
    (tmp_path / "old.mkv").write_bytes(b"old")
    done = call("distort", *words)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "old.mkv"]
    assert (tmp_path / "old.mkv").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["none.mkv", "out.mkv", *steps(("blur", 1))], "none.mkv: there is no such file"),
        (["none.mkv", "out.mp4", *steps(("h264", 1))], "none.mkv: there is no such file"),
        (["none.png", "out.png", *steps(("blur", 1))], "none.png: there is no such file"),
        (["text.mkv", "out.mkv", *steps(("blur", 1))], "text.mkv: "),
        (["text.mkv", "out.mp4", *steps(("h265", 1))], "text.mkv: "),
        (["in.mkv", "out.png", *steps(("blur", 1))], "in.mkv: is a video, and .png holds a single picture"),
        (["in.png", "out.png", *steps(("jitter", 1))], "in.png: is a still image, and jitter needs a video"),
        (["in.png", "out.mkv", *steps(("stuttering", 1))], "in.png: is a still image, and stuttering needs a video"),
        (["one.mkv", "out.mkv", *steps(("stuttering", 1))], "one.mkv: has one frame in this time, and stuttering"),
        (["small.mkv", "out.mp4", *steps(("h265", 1))], "small.mkv: the picture has 48 x 40 pixels, too small for"),
        (["small.mkv", "out.mp4", *steps(("av1", 1))], "small.mkv: the picture has 48 x 40 pixels, too small for"),
        (["tiny.mkv", "out.mp4", *steps(("resizing", 5))], "resizing at level 5 needs a height of at least 16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_distorted(
    call: InProcess, write_scene: WriteScene, tmp_path: Path, words: list[str], problem: str
) -> None:
    write_scene()
    write_scene("in.png")
    write_scene("one.mkv", frames=1)
    write_scene("small.mkv", 48, 40)
    write_scene("tiny.mkv", 32, 8)
    (tmp_path / "text.mkv").write_text("no video")
    before = sorted(tmp_path.iterdir())
    done = call("distort", *words)
    assert (done.code, done.out) == (1, "")
    assert problem in done.err
    assert done.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_overwrite_replaces_a_file_but_no_folder(call: InProcess, write_scene: WriteScene, tmp_path: Path) -> None:
    write_scene()
    (tmp_path / "old.mkv").write_bytes(b"old")
    assert call("distort", "in.mkv", "old.mkv", *steps(("blur", 3)), "--overwrite").code == 0
    assert len(pixels(tmp_path / "old.mkv")) == FRAMES
    (tmp_path / "folder.mkv").mkdir()
    done = call("distort", "in.mkv", "folder.mkv", *steps(("blur", 3)), "--overwrite")
    assert (done.code, done.out) == (2, "")
    assert "folder.mkv: exists and is no file" in done.err


def test_a_link_to_the_input_is_the_input(write_scene: WriteScene, tmp_path: Path) -> None:
    source = write_scene()
    (tmp_path / "link.mkv").symlink_to(source)
    with pytest.raises(InputError, match="is the input itself"):
        check_target(source, tmp_path / "link.mkv", [("blur", 1)], overwrite=True)


@pytest.mark.parametrize("suffix", [*LOSSLESS_SUFFIXES, ".png"])
def test_suffixes_of_lossless_output(tmp_path: Path, suffix: str) -> None:
    check_target(tmp_path / "in.mkv", tmp_path / f"out{suffix.upper()}", [("blur", 1)], overwrite=False)


@pytest.mark.parametrize(("kind", "name"), [("noise", "out.mkv"), ("noise", "out.mp4"), ("h264", "out.mp4")])
def test_a_full_disk_leaves_nothing(
    start: Start, write_scene: WriteScene, tmp_path: Path, kind: str, name: str
) -> None:
    write_scene(width=160, height=120, frames=12)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    process = start("distort", "in.mkv", name, *steps((kind, 1)), preexec_fn=limit)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert f"{name}: cannot be written".encode() in err
    assert err.count(b"\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
