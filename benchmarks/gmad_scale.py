"""Mining 85 k gMAD pairs from a million videos and five teachers: time, memory, and what the pairs are worth.

    python benchmarks/gmad_scale.py [--small] [--videos N] [--count N] [--data DIR]

Scores are drawn at random: a hidden quality, on which the student errs by half its deviation and the five teachers by
0.4 to 1.2 of it; one teacher covers half the pool, one has heavy tails, one gives whole numbers. A pair counts as one
that student and teacher disagree about in order if they rank it in opposite ways, and in size if one of the two sees a
standard deviation of quality (of normal scores) more than the other. Mined pairs are held against the teacher of their
role, random ones against every teacher that scored both. `wrong` is the share of pairs that the student ranks against
the hidden quality. Beside the top pairs over all roles stand as many with an equal share from each role. A smaller
pool, mined in the same way and by going through all its pairs, must give the same. --data is accepted and ignored. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections import Counter
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2svqa.stages.mining_gmad import (
    BINS,
    MOST_PER_VIDEO,
    STUDENT,
    MinedPairs,
    gmad_pairs,
    normal_scores,
    quality_bins,
    random_pairs,
    share_disordered,
)

SEED = 31
ERRORS = (0.4, 0.6, 0.8, 1.0, 1.2)
CHECKED = 300
"""Videos of the pool that is mined by going through all pairs as well."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Shares(NamedTuple):
    """What a set of pairs is worth, as shares of it."""

    order: float
    size: float
    wrong: float


class Made(NamedTuple):
    """Made-up scores."""

    quality: Floats
    student: Floats
    teachers: dict[str, Floats]


def drawn(videos: int) -> Made:
    """Return the scores of a pool; `half` covers half of it."""
    random = np.random.default_rng(SEED)
    quality = random.normal(size=videos)
    student = quality + 0.5 * random.normal(size=videos)
    names = ("good", "tails", "half", "whole", "poor")
    teachers = {name: quality + error * random.normal(size=videos) for name, error in zip(names, ERRORS, strict=True)}
    teachers["tails"] = np.sinh(2 * teachers["tails"])
    teachers["half"][random.permutation(videos)[: videos // 2]] = np.nan
    teachers["whole"] = np.round(20 * teachers["whole"])
    return Made(quality, student, teachers)


def shares(made: Made, first: Ints, second: Ints, scale: dict[str, Floats], teacher: str) -> Shares:
    """Return what pairs are worth that are held against one teacher."""
    gaps = [scale[name][second] - scale[name][first] for name in (STUDENT, teacher)]
    there = np.isfinite(gaps[1])
    order = share_disordered(first, second, made.student, made.teachers[teacher])
    wrong = share_disordered(first[there], second[there], made.student, made.quality)
    return Shares(order, float((np.abs(gaps[0] - gaps[1])[there] > 1).mean()), wrong)


def mined_shares(made: Made, mined: MinedPairs, scale: dict[str, Floats]) -> Shares:
    """Return what mined pairs are worth, each held against the teacher of its role."""
    teacher = np.array(
        [by if attacked == STUDENT else attacked for by, attacked in zip(mined.by, mined.attacked, strict=True)]
    )
    parts = [
        (
            (teacher == name).mean(),
            shares(made, mined.first[teacher == name], mined.second[teacher == name], scale, name),
        )
        for name in made.teachers
        if (teacher == name).any()
    ]
    return Shares(*(sum(weight * part[place] for weight, part in parts) for place in range(3)))


def random_shares(made: Made, count: int, scale: dict[str, Floats]) -> Shares:
    """Return the mean over teachers of what random pairs are worth."""
    first, second = random_pairs(len(made.student), count, most_per_video=MOST_PER_VIDEO, seed=SEED)
    parts = [shares(made, first, second, scale, name) for name in made.teachers]
    return Shares(*(float(np.mean([part[place] for part in parts])) for place in range(3)))


def scales(made: Made) -> dict[str, Floats]:
    """Return the normal scores of every model."""
    return {STUDENT: normal_scores(made.student)} | {
        name: normal_scores(scores) for name, scores in made.teachers.items()
    }


def equal_to_all_pairs(count: int) -> bool:
    """Mine a small pool, go through all its pairs as well, and say whether the differences taken are the same."""
    made = drawn(CHECKED)
    scale = scales(made)
    roles = [(name, STUDENT) for name in made.teachers] + [(STUDENT, name) for name in made.teachers]
    listed = []
    for by, attacked in roles:
        bins = quality_bins(np.where(np.isnan(scale[attacked]), np.nan, scale[by]), BINS)
        for number in range(BINS):
            for one, other in combinations(np.flatnonzero(bins == number).tolist(), 2):
                listed.append((-abs(float(scale[attacked][one] - scale[attacked][other])), one, other))
    used: Counter[int] = Counter()
    taken: dict[tuple[int, int], float] = {}
    for fall, one, other in sorted(listed):
        if (
            len(taken) < count
            and fall < 0
            and (one, other) not in taken
            and max(used[one], used[other]) < MOST_PER_VIDEO
        ):
            taken[one, other] = -fall
            used.update((one, other))
    mined = gmad_pairs(made.student, made.teachers, count=count, seed=SEED)
    return bool(np.array_equal(np.abs(mined.gap), list(taken.values())))


def main() -> None:
    """Make the scores, mine, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="50,000 videos: ends within a minute")
    parser.add_argument("--videos", type=int, help="in the pool [default: 1000000]")
    parser.add_argument("--count", type=int, help="pairs wanted [default: 85000, at most 1.7 per video]")
    parser.add_argument("--data", help="ignored: nothing is read")
    options = parser.parse_args()
    videos = options.videos or (50_000 if options.small else 1_000_000)
    count = options.count or min(85_000, videos * 17 // 10)
    if options.small:
        print("small run: fewer videos than the full benchmark")
    made = drawn(videos)
    start, processor = time.perf_counter(), time.process_time()
    mined = gmad_pairs(made.student, made.teachers, count=count, seed=SEED)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scale = scales(made)
    ours, chance = mined_shares(made, mined, scale), random_shares(made, count, scale)
    share = -(-count // (2 * len(made.teachers)))
    balanced = gmad_pairs(made.student, made.teachers, count=count, most_per_role=share, seed=SEED)
    even = mined_shares(made, balanced, scale)
    show(mined, ours, even, chance)
    equal = equal_to_all_pairs(300)
    print(f"{seconds:.1f} s, {peak:.0f} MB at the most; equal to all pairs on {CHECKED} videos: {equal}")
    figures = {
        "benchmark": "gmad_scale",
        "small": options.small,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "pairs": len(mined.first),
        "peak_mb": round(peak),
        "largest_gap": round(float(np.abs(mined.gap).max(initial=0)), 3),
        "smallest_gap": round(float(np.abs(mined.gap).min(initial=np.inf)), 3),
        "disagree_order": round(ours.order, 4),
        "disagree_order_balanced": round(even.order, 4),
        "disagree_order_random": round(chance.order, 4),
        "disagree_size": round(ours.size, 4),
        "disagree_size_random": round(chance.size, 4),
        "wrong": round(ours.wrong, 4),
        "wrong_balanced": round(even.wrong, 4),
        "wrong_random": round(chance.wrong, 4),
        "equal_to_all_pairs": equal,
        "cores": os.cpu_count(),
        "n": {"videos": videos, "teachers": len(ERRORS), "bins": BINS, "most_per_video": MOST_PER_VIDEO},
        "units": {"gap": "standard deviations of quality (normal scores)", "disagree, wrong": "share of pairs"},
    }
    print(json.dumps(figures))


def show(mined: MinedPairs, ours: Shares, even: Shares, chance: Shares) -> None:
    """Print the pairs of each role, and what they are worth beside random ones."""
    roles = Counter(zip(mined.by, mined.attacked, strict=True))
    gaps = np.abs(mined.gap)
    print(f"{'bins by':<10}{'attacked':<10}{'pairs':>8}{'smallest':>10}")
    for (by, attacked), pairs in roles.items():
        mine = [
            place for place, role in enumerate(zip(mined.by, mined.attacked, strict=True)) if role == (by, attacked)
        ]
        print(f"{by:<10}{attacked:<10}{pairs:>8}{gaps[mine].min():>10.2f}")
    print(f"{'share of pairs':<20}{'mined':>10}{'balanced':>10}{'random':>10}")
    for name, *values in zip(("opposite order", "different size", "student is wrong"), ours, even, chance, strict=True):
        print(f"{name:<20}" + "".join(f"{value:>10.3f}" for value in values))


if __name__ == "__main__":
    main()
