"""The fit of each teacher of a pool as a picture: its raw scores, what they were fitted to, and the curve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from w2svqa.core.errors import InputError, StoreError, StrPath, printable
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_path
from w2svqa.report.timeline import save_figure
from w2svqa.teachers.consensus import FitPoints
from w2svqa.teachers.pool_scale import PoolCalibration, PoolFit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS: Final = 5000
"""Videos that are drawn; of more, every k-th in the order of the scores."""

_TARGETS: Final = {"mos": "opinion score (0-100)", "consensus": "the other teachers (0-100)", "itself": "its own ranks"}
_SIZE_INCHES: Final = (5.0, 4.0)
_POINTS: Final = "#7f9fbf"
_CURVE: Final = "#c8442c"


def write_calibration_plots(
    calibration: PoolCalibration,
    points: Mapping[str, FitPoints],
    folder: StrPath,
    *,
    picture: Literal["png", "svg"] = "png",
) -> list[Path]:
    """Write one picture per fitted teacher and return their paths.

    Args:
        calibration: the teachers on the common scale.
        points: by teacher, what its curve was fitted to.
        folder: where to; made if need be, pictures of the same name are replaced.
        picture: the format.

    Raises:
        InputError: ``folder`` is a file.
        MissingExtraError: matplotlib is not installed.
        StoreError: a picture cannot be written.
    """
    require("matplotlib", extra="plot")
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise InputError("is no folder", path=place, remedy="choose another --plots")
    paths: list[Path] = []
    for fit in calibration.fits:
        target = place / f"{_file_name(fit.teacher, {path.stem for path in paths})}.{picture}"
        figure = fit_figure(fit, points[fit.teacher])
        with atomic_path(target) as part:
            try:
                save_figure(figure, part)
            except OSError as error:
                problem = f"cannot be written: {error.strerror or error}"
                raise StoreError(problem, path=target, remedy="choose another folder") from None
        paths.append(target)
    return paths


def fit_figure(fit: PoolFit, points: FitPoints) -> Figure:
    """Return the figure of one fit: raw score on the horizontal axis, common scale on the vertical one.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    panel = figure.subplots()
    order = np.argsort(points.raw, kind="stable")[:: -(-len(points.raw) // MOST_POINTS) or 1]
    panel.plot(points.raw[order], points.target[order], ".", color=_POINTS, markersize=3, label="videos")
    along = np.linspace(points.raw.min(), points.raw.max(), 400)
    panel.plot(along, fit.curve(along), color=_CURVE, linewidth=1.5, label="fitted logistic")
    panel.set_ylim(0, 100)
    panel.set_xlabel("raw score" + ("" if fit.curve.higher_is_better else " (lower is better)"))
    panel.set_ylabel(_TARGETS[fit.against])
    correlation = "" if fit.spearman is None else f"SRCC {fit.spearman:.3f}, "
    title = f"{printable(fit.teacher)}: {correlation}deviation {fit.deviation:.1f}, N={fit.videos}"
    panel.set_title(title, fontsize="medium", loc="left", parse_math=False)
    panel.grid(visible=True, color="0.85", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.legend(loc="best", fontsize="small", framealpha=0.85)
    return figure


def _file_name(teacher: str, taken: set[str]) -> str:
    """A name for any system: names such as ``scores:/a/b.csv`` hold what files may not."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", teacher).strip("-.")[-80:] or "teacher"
    number = 1
    name = plain
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
