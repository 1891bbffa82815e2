"""Speed and exactness of the score: fixed anchors (ours), the paper's joint form, the released code's 50 Adam steps.

Usage: python benchmarks/map_solver.py [--small] [--data DIR]

All three are timed in one process on one core, on the same simulated videos: five anchors one apart, preferences
that a student with normal noise gives, qualities from far below the worst anchor to far above the best. Nothing is
read, so --data is accepted and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.preference.forms import place_jointly, score_released, solve_jointly, stretch
from w2svqa.preference.normal import inverse_mills
from w2svqa.preference.thurstone import place, place_anchors, prior_centre, sigmoid

Floats = NDArray[np.float64]

LADDER = np.arange(-2.0, 3.0)
MATRIX = sigmoid(LADDER[:, None] - LADDER[None, :])
VOTE_WEIGHT = 30.0
SEED = 20
GRID = 2001
NEAR, FAR = 4.0, 60.0


class Row(NamedTuple):
    """One line of the table: what the form costs and how far it is from the optimum of its own objective."""

    name: str
    videos: int
    videos_per_s: float
    max_error: float
    max_gradient: float | None
    ties: float
    ties_far: float


def confine_to_one_core() -> None:
    """Keep this thread on one core where the system can; the problems are too small for threaded linear algebra."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def simulated_votes(count: int, generator: np.random.Generator) -> Floats:
    """Log-odds ``(count, 5)`` of videos between 4 below the worst and 4 above the best anchor, with noise."""
    quality = generator.uniform(-6.0, 6.0, size=(count, 1))
    return np.asarray(quality - LADDER + 0.3 * generator.normal(size=(count, len(LADDER))))


def clean_grid(beyond: float) -> Floats:
    """Votes without noise of 2001 different qualities, up to ``beyond`` anchor distances outside both end anchors."""
    end = LADDER[-1] + beyond
    return np.asarray(np.linspace(-end, end, GRID)[:, None] - LADDER)


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Return the best wall time of a few runs: the machine's own speed, not its other load."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def shares_of_ties(score: Callable[[Floats], Floats]) -> tuple[float, float]:
    """Share of different qualities whose score some other has too, near and far beyond the end anchors."""
    shares = []
    for beyond in (NEAR, FAR):
        _, counts = np.unique(score(clean_grid(beyond)), return_counts=True)
        shares.append(float(counts[counts > 1].sum() / GRID))
    return shares[0], shares[1]


def bisected(votes: Floats, positions: Floats) -> Floats:
    """Return the optimum of ours by 100 halvings of [-40, 40] on the sign of the gradient: slow, but sure."""
    won, lost = sigmoid(votes), sigmoid(-votes)
    centre = prior_centre(np.ascontiguousarray(votes.T))
    low, high = np.full(len(votes), -40.0), np.full(len(votes), 40.0)
    for _ in range(100):
        middle = 0.5 * (low + high)
        offset = middle[:, None] - positions
        slope = (won * inverse_mills(offset) - lost * inverse_mills(-offset)).sum(axis=1)
        rising = VOTE_WEIGHT * slope - (middle - centre) > 0.0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.asarray(0.5 * (low + high))


def anchored_row(count: int, repeats: int) -> tuple[Row, str]:
    """Ours. The error is in points: 100 per distance between the end anchors."""
    votes = simulated_votes(count, np.random.default_rng(SEED))
    positions = place_anchors(MATRIX)
    placed = place(votes, positions, vote_weight=VOTE_WEIGHT)
    seconds = seconds_of(lambda: place(votes, positions, vote_weight=VOTE_WEIGHT), repeats)
    part = slice(0, 5000)
    points = 100.0 / (positions[-1] - positions[0])
    error = float(np.abs(placed.latent[part] - bisected(votes[part], positions)).max()) * points
    ties = shares_of_ties(lambda grid: place(grid, positions, vote_weight=VOTE_WEIGHT).latent)
    return Row("anchored", count, count / seconds, error, float(np.abs(placed.gradient).max()), *ties), "fixed anchors"


def joint_row(count: int, repeats: int) -> tuple[Row, str]:
    """The paper's form. Its error is bounded, not measured: see the comment."""
    votes = simulated_votes(count, np.random.default_rng(SEED))
    placed = place_jointly(votes, MATRIX)
    seconds = seconds_of(lambda: place_jointly(votes, MATRIX), repeats)
    positions = place_anchors(MATRIX)
    # The objective's curvature is at least 1 everywhere, so the distance to the optimum is at most the gradient's norm.
    error = float(placed.gradient.max()) * 100.0 / (positions[-1] - positions[0])
    ties = shares_of_ties(lambda grid: place_jointly(grid, MATRIX).latent)
    return Row("joint", count, count / seconds, error, float(placed.gradient.max()), *ties), "6 x 6, Phi"


def released_row(count: int, repeats: int) -> tuple[Row, str]:
    """The released code's 50 Adam steps against the exact optimum of its own objective, both stretched to 0-100."""
    votes = simulated_votes(count, np.random.default_rng(SEED))
    preference = sigmoid(votes)
    scores = score_released(preference, MATRIX)
    seconds = seconds_of(lambda: score_released(preference, MATRIX), repeats)
    exact = stretch(solve_jointly(votes, MATRIX, "logistic")[0])
    ties = shares_of_ties(lambda grid: score_released(sigmoid(grid), MATRIX))
    error = float(np.abs(scores - exact).max())
    return Row("released", count, count / seconds, error, None, *ties), "6 x 6, logistic, 50 Adam steps"


def show(rows: list[tuple[Row, str]]) -> None:
    """Print the table."""
    titles = (
        f"{'form':<10}{'videos':>10}{'videos/s':>12}{'max error':>14}{'max gradient':>14}{'ties':>8}{'ties far':>10}"
    )
    print(f"{titles}  what")
    for row, note in rows:
        gradient = "-" if row.max_gradient is None else f"{row.max_gradient:.1e}"
        line = f"{row.name:<10}{row.videos:>10,}{row.videos_per_s:>12,.0f}{row.max_error:>14.1e}{gradient:>14}"
        print(f"{line}{row.ties:>8.1%}{row.ties_far:>10.1%}  {note}")
    print("max error: against the exact optimum of the form's own objective, in points of 0-100 (for the first two:")
    print(
        f"100 points between the end anchors). ties: share of {GRID} different qualities whose score is not their own,"
    )
    print(f"up to {NEAR:.0f} (far: {FAR:.0f}) anchor distances beyond both end anchors.")


def show_ladder() -> None:
    """Print the same qualities in the three forms: anchored and joint scaled so that the end anchors are 0 and 100."""
    qualities = np.array([-6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0])
    votes = qualities[:, None] - LADDER
    positions = place_anchors(MATRIX)
    ends = place(LADDER[[0, -1], None] - LADDER, positions, vote_weight=VOTE_WEIGHT).latent
    anchored = (place(votes, positions, vote_weight=VOTE_WEIGHT).latent - ends[0]) / (ends[1] - ends[0]) * 100.0
    ends = place_jointly(LADDER[[0, -1], None] - LADDER, MATRIX).latent
    joint = (place_jointly(votes, MATRIX).latent - ends[0]) / (ends[1] - ends[0]) * 100.0
    released = score_released(sigmoid(votes), MATRIX)
    gentle = score_released(sigmoid(votes / 5.0), MATRIX)
    print(f"\n{'quality':>8}{'anchored':>10}{'joint':>10}{'released':>10}{'released, votes / 5':>21}")
    for row in zip(qualities, anchored, joint, released, gentle, strict=True):
        print(f"{row[0]:>8.0f}{row[1]:>10.2f}{row[2]:>10.2f}{row[3]:>10.2f}{row[4]:>21.2f}")
    print(
        "quality in anchor distances, anchors at -2 to 2; first two scaled to 0 and 100 at the end anchors, unclipped"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer videos; ends within a minute")
    parser.add_argument("--data", help="accepted for uniformity; nothing is read")
    small = parser.parse_args().small
    confine_to_one_core()
    repeats = 3 if small else 5
    rows = [
        anchored_row(100_000 if small else 1_000_000, repeats),
        joint_row(2_000 if small else 20_000, repeats),
        released_row(2_000 if small else 20_000, repeats),
    ]
    if small:
        print("small run: fewer videos than the full benchmark")
    show(rows)
    show_ladder()
    (ours, _), (joint, _), (released, _) = rows
    print(json.dumps(figures(ours, joint, released, small)))


def figures(ours: Row, joint: Row, released: Row, small: bool) -> dict[str, object]:
    """Return the last line: figures, units and N."""
    return {
        "benchmark": "map_solver",
        "small": small,
        "videos_per_s": round(ours.videos_per_s),
        "max_gradient": ours.max_gradient,
        "max_error": ours.max_error,
        "ties": ours.ties,
        "ties_far": ours.ties_far,
        "joint_videos_per_s": round(joint.videos_per_s),
        "joint_max_gradient": joint.max_gradient,
        "joint_max_error": joint.max_error,
        "joint_ties": joint.ties,
        "joint_ties_far": joint.ties_far,
        "released_videos_per_s": round(released.videos_per_s),
        "released_max_error": released.max_error,
        "released_ties": released.ties,
        "released_ties_far": released.ties_far,
        "speed_over_joint": round(ours.videos_per_s / joint.videos_per_s, 1),
        "speed_over_released": round(ours.videos_per_s / released.videos_per_s, 1),
        "n": {"anchored": ours.videos, "joint": joint.videos, "released": released.videos, "ties": GRID, "anchors": 5},
        "units": {
            "videos_per_s": "videos per second, one core, best run of several",
            "max_gradient": "derivative of the log-posterior by the latent",
            "max_error": "points of 0-100 from the exact optimum of the form's own objective",
            "ties": "share of videos",
        },
    }


if __name__ == "__main__":
    main()
