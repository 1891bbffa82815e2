from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from w2svqa.core.errors import InputError
from w2svqa.report.calibration_plot import MOST_POINTS, fit_figure, write_calibration_plots
from w2svqa.teachers.calibration import Logistic
from w2svqa.teachers.consensus import FitPoints
from w2svqa.teachers.pool_scale import PoolCalibration, PoolFit

pytest.importorskip("matplotlib")

CURVE = Logistic(low=5, high=95, centre=0, width=1, higher_is_better=False)


def fit(teacher: str = "dover") -> PoolFit:
    return PoolFit(
        teacher=teacher, curve=CURVE, against="consensus", videos=50, spearman=0.9, deviation=4.0, weight=1.0
    )


def points(count: int = 50) -> FitPoints:
    raw = np.linspace(-3, 3, count)
    return FitPoints(raw, CURVE(raw))


def test_points_and_curve_are_those_of_the_fit() -> None:
    (panel,) = fit_figure(fit("a $x$\n"), points()).axes
    dots, curve = panel.get_lines()
    assert np.shape(dots.get_xydata()) == (50, 2)
    assert curve.get_ydata() == pytest.approx(CURVE(np.asarray(curve.get_xdata())))
    assert panel.get_xlabel() == "raw score (lower is better)"
    assert panel.get_title(loc="left") == "a $x$\\n: SRCC 0.900, deviation 4.0, N=50"


def test_many_points_are_thinned_out() -> None:
    (panel,) = fit_figure(fit(), points(3 * MOST_POINTS + 1)).axes
    assert np.shape(panel.get_lines()[0].get_xydata())[0] <= MOST_POINTS


@pytest.mark.parametrize(("picture", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_one_picture_per_teacher_whatever_its_name(
    tmp_path: Path, picture: Literal["png", "svg"], magic: bytes
) -> None:
    names = ("scores:/a/b.csv", "scores:/a/b csv", "..")
    calibration = PoolCalibration(against="consensus", fits=tuple(map(fit, names)))
    paths = write_calibration_plots(calibration, dict.fromkeys(names, points()), tmp_path / "new", picture=picture)
    assert [path.name for path in paths] == [
        f"scores-a-b.csv.{picture}",
        f"scores-a-b-csv.{picture}",
        f"teacher.{picture}",
    ]
    assert all(path.read_bytes().startswith(magic) for path in paths)
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is no folder"):
        write_calibration_plots(PoolCalibration(against="mos"), {}, tmp_path / "file")
