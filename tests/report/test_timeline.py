from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from w2svqa.core.errors import InputError, MissingExtraError, StoreError
from w2svqa.core.records import Reason, Score
from w2svqa.report import timeline as module
from w2svqa.report.timeline import MOST_PANELS, check_target, write_timeline

matplotlib = pytest.importorskip("matplotlib")

CURVE = (40.0, 80.0, 60.0)


def score(path: str = "a.mp4", seconds: tuple[float, ...] = CURVE) -> Score:
    return Score(path=path, status="ok", value=60.0, low=50.0, high=70.0, seconds=seconds)


@pytest.mark.parametrize(("name", "magic"), [("p.png", b"\x89PNG"), ("p.SVG", b"<?xml"), ("p.pdf", b"%PDF")])
def test_formats(tmp_path: Path, name: str, magic: bytes) -> None:
    write_timeline([score(), score("still.png", (60.0,))], tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.pdf"])
def test_same_scores_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    write_timeline([score()], tmp_path / name)
    first = (tmp_path / name).read_bytes()
    write_timeline([score()], tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_axes_say_what_they_show() -> None:
    figure = module._figure([score()])
    [panel] = figure.axes
    assert panel.get_ylabel() == "quality (0-100)"
    assert panel.get_xlabel() == "time (s)"
    assert panel.get_xlim() == (0, len(CURVE))
    assert panel.get_ylim() == (0, 100)
    [steps] = [patch for patch in panel.patches if isinstance(patch, matplotlib.patches.StepPatch)]
    assert tuple(steps.get_data().values) == CURVE


def test_confined_reasons_are_drawn_where_they_are() -> None:
    whole = Reason(distortion="blur", severity=0.5, probability=0.9)
    stall = Reason(distortion="stuttering", severity=0.5, probability=0.9, seconds=(0, 2))
    [panel] = module._figure([replace(score(), reasons=(whole, stall))]).axes
    labels = panel.get_legend_handles_labels()[1]
    assert labels.count("stuttering") == 1
    assert "blur" not in labels
    strips = [patch for patch in panel.patches if isinstance(patch, matplotlib.patches.Rectangle)]
    assert [(strip.get_x(), strip.get_width()) for strip in strips[-2:]] == [(0, 1), (2, 1)]


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    # neither mathematics, nor a control character, nor a letter that the font lacks may fail
    write_timeline([score("$x_1$\n\u65e5\u672c \udce9.mp4")], tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 0


def test_settings_of_others_stay() -> None:
    before = dict(matplotlib.rcParams)
    module._figure([score()])
    assert dict(matplotlib.rcParams) == before


def test_rows_without_a_score_are_left_out(tmp_path: Path) -> None:
    rows = [score(), Score(path="b.mp4", status="error", message="no such file")]
    write_timeline(rows, tmp_path / "p.png")
    with pytest.raises(InputError, match="nothing was scored"):
        write_timeline(rows[1:], tmp_path / "q.png")
    assert not (tmp_path / "q.png").exists()


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(MOST_PANELS)):
        check_target(tmp_path / "p.png", MOST_PANELS + 1)


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.doc"):
        check_target(tmp_path / "p.doc", 1)


def test_missing_matplotlib_names_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'w2svqa\[plot\]'"):
        check_target(tmp_path / "p.png", 1)


def test_target_that_is_no_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        check_target(tmp_path / "folder.png", 1)


def test_picture_that_cannot_be_written_names_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object, path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "save_figure", refused)
    with pytest.raises(StoreError, match=r"p\.png: cannot be written: Permission denied \("):
        write_timeline([score()], tmp_path / "p.png")
