from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from teacher_fixtures import write_brisque, write_niqe

from w2svqa.core.errors import ConfigError, MissingInputError
from w2svqa.core.protocols import Video
from w2svqa.core.registry import Registry
from w2svqa.teachers import ffmpeg, listing, registry
from w2svqa.teachers.listing import list_teachers
from w2svqa.teachers.registry import TEACHERS, identify_teacher, load_teacher
from w2svqa.video.whole import FramesVideo

FACTS = (
    "higher_is_better",
    "range",
    "needs_reference",
    "needs_motion",
    "needs_parameters",
    "files",
    "modules",
    "uses_device",
    "batch",
    "options",
)


class Bare:
    """A teacher of another package that needs no parameters."""

    name = "bare"
    version = "1"
    higher_is_better = True
    range = (0.0, 1.0)
    needs_reference = False
    needs_motion = False

    @classmethod
    def load(cls, folder: Path | None) -> Bare:
        assert folder is None
        return cls()

    def score(self, video: Video, reference: Video | None = None) -> float:
        del reference
        return video.count() / 2


class Mute(Bare):
    """One that cannot score."""

    score = None  # type: ignore[assignment]  # the fault under test


class Tuned(Bare):
    """One with an argument, a device and an option."""

    uses_device = True
    options: ClassVar[dict[str, float]] = {"gain": 1.0}

    @classmethod
    def load(cls, folder: Path | None, *, argument: str = "", device: str = "", gain: float = 1.0) -> Tuned:
        made = cls()
        made.name = f"{argument} on {device}, {gain} of {folder}"
        return made


class Unloadable:
    name = "unloadable"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {kind.__name__.lower(): f"{__name__}:{kind.__name__}" for kind in (Bare, Mute, Tuned, Unloadable)}
    table |= {"tuned:": f"{__name__}:Tuned", "gone": "no_such_module_anywhere:Thing", "nowhere": f"{__name__}:Nowhere"}
    monkeypatch.setattr(registry, "TEACHERS", Registry("teacher", table))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of other people, as pip installs them: one that works, and those that fail in their own ways."""
    broken = {"raises": "raise RuntimeError('no licence')", "misspelt": "def :", "imports": "import not_there_at_all"}
    for name, code in broken.items():
        (tmp_path / f"{name}_package.py").write_text(code, encoding="utf-8")
    folder = tmp_path / "others-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n", encoding="utf-8")
    points = ["[w2svqa.teachers]", f"bare = {__name__}:Bare", "lacking = json:NoSuchTeacher"]
    points += [f"{name} = {name}_package:Teacher" for name in broken]
    (folder / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_the_names_are_fixed() -> None:
    assert {"brisque", "cnniqa", "cpbd", "niqe", "psnr", "ssim", "vmaf", "xpsnr"} <= set(TEACHERS)
    assert {"command:", "pyiqa:", "scores:"} <= set(TEACHERS)


@pytest.mark.parametrize("name", list(TEACHERS))
def test_every_class_has_the_facts_under_its_own_name(name: str) -> None:
    kind = TEACHERS.load(name)
    assert {fact for fact in FACTS if not hasattr(kind, fact)} == set()
    assert name.endswith(":") or getattr(kind, "name", None) == name
    assert getattr(kind, "__doc__", None)
    assert getattr(kind, "options", {}).get("batch", 1) == getattr(kind, "batch", None)


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown teacher 'niqee' \(did you mean 'niqe'\?"):
        load_teacher("niqee", None)


def test_parameters_must_be_named() -> None:
    with pytest.raises(ConfigError, match="'niqe' has no parameters"):
        load_teacher("niqe", None)


@pytest.mark.parametrize("name", ["brisque", "cnniqa", "niqe"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="nowhere: no such folder"):
        load_teacher(name, tmp_path / "nowhere")


@pytest.mark.usefixtures("others")
def test_teachers_of_other_packages_are_held_to_the_protocol() -> None:
    assert load_teacher("bare", None).score(FramesVideo([np.zeros((4, 4, 3), np.uint8)])) == 0.5
    with pytest.raises(ConfigError, match="'mute' lacks a part of the protocol"):
        load_teacher("mute", None)
    with pytest.raises(ConfigError, match="'unloadable' has no way to be loaded"):
        load_teacher("unloadable", None)


@pytest.mark.usefixtures("others")
def test_argument_device_and_options_reach_the_class() -> None:
    made = load_teacher("tuned:a:b c", "folder", device="cuda:1", gain=2.5)
    assert made.name == "a:b c on cuda:1, 2.5 of folder"
    assert load_teacher("tuned", None).name == " on cpu, 1.0 of None"
    with pytest.raises(ConfigError, match=r"has no option pitch \(known: gain\)"):
        load_teacher("tuned", None, gain=1.0, pitch=2)
    with pytest.raises(ConfigError, match=r"'tuned:' needs an argument"):
        load_teacher("tuned:", None)
    with pytest.raises(ConfigError, match="unknown teacher 'bare:'"):
        load_teacher("bare:x", None)


@pytest.mark.parametrize("device", ["cuda:99", "meat", "meta:x"])
def test_a_device_that_cannot_be_used_is_refused_before_anything_is_read(device: str) -> None:
    for ask in (load_teacher, identify_teacher):
        with pytest.raises(ConfigError, match=f"the device '{device}' cannot be used: "):
            ask("dover", "nothing", device=device)


@pytest.mark.usefixtures("others")
def test_a_class_need_not_tell_its_version() -> None:
    assert identify_teacher("bare", None) is None


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "RuntimeError: no licence"),
        ("misspelt", "SyntaxError"),
        ("imports", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("lacking", "AttributeError"),
    ],
)
def test_an_entry_point_that_fails_is_named_and_the_others_work(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"the teacher '{name}' \(.*\) cannot be imported: {message}"):
        load_teacher(name, None)
    assert load_teacher("bare", None).name == "bare"
    listed = {facts.name: facts for facts in list_teachers()}
    assert not listed[name].runs
    assert message.partition(":")[0] in (listed[name].problem or "")
    assert listed["bare"].runs
    assert set(TEACHERS) <= set(listed)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_holds_the_facts_of_the_classes() -> None:
    listed = {facts.name: facts for facts in list_teachers()}
    assert list(listed) == sorted(TEACHERS)
    vmaf = listed["vmaf"]
    assert (vmaf.range, vmaf.higher_is_better, vmaf.needs_reference, vmaf.needs_motion) == ((0, 100), True, True, True)
    assert (vmaf.runs, vmaf.problem, vmaf.remedy) == (True, None, None)
    niqe = listed["niqe"]
    assert (niqe.needs_parameters, niqe.files, niqe.higher_is_better) == (True, ("niqe_image_params.mat",), False)
    assert (niqe.runs, niqe.problem) == (True, "needs its parameters")
    assert niqe.remedy == "name the folder that holds niqe_image_params.mat"
    command = listed["command:"]
    assert (command.range, command.higher_is_better, command.needs_reference) == (None, None, None)
    assert command.options["timeout"] == 600.0


def test_parameters_are_looked_for_in_the_folder_and_in_those_of_the_teachers_name(tmp_path: Path) -> None:
    write_niqe(tmp_path)
    (tmp_path / "brisque-live").mkdir()
    write_brisque(tmp_path / "brisque-live")
    listed = {facts.name: facts for facts in list_teachers(tmp_path)}
    assert (listed["niqe"].runs, listed["niqe"].problem) == (True, None)
    assert (listed["brisque"].runs, listed["brisque"].problem) == (True, None)
    assert (listed["cnniqa"].runs, listed["cnniqa"].problem) == (False, f"no parameters in {tmp_path}")
    (tmp_path / "brisque-live" / "ranges.csv").unlink()
    assert not {facts.name: facts for facts in list_teachers(tmp_path)}["brisque"].runs


def test_missing_packages_are_listed_with_the_line_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"torch", "pyiqa", "imageio_ffmpeg"}
    monkeypatch.setattr(listing, "find_spec", lambda name: None if name in absent else object())
    listed = {facts.name: facts for facts in list_teachers()}
    found = {
        name: (listed[name].runs, listed[name].problem, listed[name].remedy) for name in ("cnniqa", "ssim", "pyiqa:")
    }
    assert found == {
        "cnniqa": (False, "without torch", "pip install 'w2svqa[train]'"),
        "ssim": (False, "without imageio_ffmpeg", "pip install 'w2svqa[train]'"),
        "pyiqa:": (False, "without pyiqa, torch", "pip install 'w2svqa[pyiqa,train]'"),
    }


def test_an_ffmpeg_without_the_filter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_filters", lambda _: frozenset({"ssim", "psnr", "libvmaf"}))
    listed = {facts.name: facts for facts in list_teachers()}
    assert listed["ssim"].runs
    assert not listed["xpsnr"].runs
    assert listed["xpsnr"].problem == "this FFmpeg has no filter 'xpsnr'"


def test_listing_needs_none_of_the_packages() -> None:
    """The facts of all teachers can be read where none of the extras can be imported."""
    program = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cv2", "imageio_ffmpeg", "pyarrow", "safetensors", "scipy", "torch"):
            raise ModuleNotFoundError(f"{name} is an extra", name=name)
from w2svqa.teachers import listing, registry
sys.meta_path.insert(0, Refuse())
for name in registry.TEACHERS:
    registry.load_class(name)
print(len(registry.TEACHERS), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(len(TEACHERS)), "False"], done.stderr
