"""How long all figures of a model on the largest benchmark take, with their intervals.

Usage: python benchmarks/bootstrap_speed.py [--small] [--data DIR]

7182 videos (LSVQ-test), each a content of its own, 1000 resamples; scores and ratings are drawn at random with ties, as
opinion scores have them. SRCC and KRCC are ranked anew in every resample; the two logistic curves are fitted once. The
best of three runs is printed, after SciPy is loaded. --small takes 500 videos and 100 resamples. --data is accepted and
ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np

from w2svqa.stages.evaluation_statistics import Drawing, measure_agreement

VIDEOS = 7182
RESAMPLES = 1000
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="500 videos, 100 resamples")
    parser.add_argument("--data", help="accepted and ignored")
    options = parser.parse_args()
    videos, resamples = (500, 100) if options.small else (VIDEOS, RESAMPLES)
    if options.small:
        print("small run: fewer videos and resamples")
    random = np.random.default_rng(0)
    scores = random.normal(size=videos)
    ratings = (50 + 20 * np.tanh(scores) + 10 * random.normal(size=videos)).round(1)
    contents = [str(place) for place in range(videos)]
    measure_agreement(scores[:50], ratings[:50], contents[:50], Drawing(resamples=2))  # loads SciPy
    walls, cores = [], []
    for _ in range(ROUNDS):
        wall, core = time.perf_counter(), time.process_time()
        found = measure_agreement(scores, ratings, contents, Drawing(resamples=resamples))
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    load = os.getloadavg()[0]
    srcc = found.figures["srcc"]
    print(
        f"{videos} videos, {resamples} resamples, seven measures: {min(walls):.1f} s ({min(cores):.1f} s of processor)"
    )
    print(f"SRCC {srcc.value:.3f} [{srcc.low:.3f}, {srcc.high:.3f}]; load of the machine {load:.1f}")
    figures = {"seconds": round(min(walls), 2), "cpu_seconds": round(min(cores), 2), "n": videos}
    print(json.dumps(figures | {"resamples": resamples, "load": round(load, 1), "small": options.small}))


if __name__ == "__main__":
    main()
