"""Small pictures that people might have rated: the coarser a picture is, the worse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from w2svqa.core.random import generator
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_models import RatedSet, rated_set
from w2svqa.stages.finetune_data import RatedVideo, RatedVideos, joined
from w2svqa.stages.ratings import Rating, Ratings, read_ratings


def picture(content: int, blocks: int) -> NDArray[np.uint8]:
    """A picture of a content, uint8 ``(96, 128, 3)``; blocks of so many pixels are of one colour."""
    random = generator(content, "picture")
    tint = random.integers(60, 190, size=3)
    down, across = np.mgrid[0:96, 0:128]
    waves = 40 * np.sin(across / random.uniform(3, 9)) + 30 * np.sin(down / random.uniform(2, 7))
    whole = np.clip(tint + waves[:, :, None] + random.normal(0, 12, (96, 128, 1)), 0, 255).astype(np.uint8)
    return np.repeat(np.repeat(whole[::blocks, ::blocks], blocks, axis=0), blocks, axis=1)[:96, :128]


def write_rated(folder: Path, *, contents: int = 12, blocks: Sequence[int] = (1, 8)) -> RatedSet:
    """Write pictures and their table, and return both joined: ``contents * len(blocks)`` videos, rated 1 to 5."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    lines = ["name,mos,deviation,content"]
    for content in range(contents):
        for size in blocks:
            Image.fromarray(picture(content, size)).save(pictures / f"{content}-{size}.png")
            rating = 5 - 4 * np.log2(size) / 3 + 0.1 * float(generator(content, "rater", size).normal())
            lines.append(f"{content}-{size}.png,{rating:.3f},0.3,{content}")
    (folder / "mos.csv").write_text("\n".join(lines) + "\n")
    return rated_set(read_ratings(folder / "mos.csv", Benchmark(name="pictures")), pictures)


def rated_videos(ratings: Sequence[float], contents: Sequence[str], clips: Sequence[str] = ()) -> RatedVideos:
    """Rated videos without files."""
    names = [f"v{place}" for place in range(len(ratings))]
    rows = tuple(
        Rating(name=name, value=value, deviation=float("nan"), content=content, distortion="")
        for name, value, content in zip(names, ratings, contents, strict=True)
    )
    videos = [
        RatedVideo(
            name=row.name, path=f"{row.name}.mp4", clip_id=clip, rating=row.value, deviation=0.3, content=row.content
        )
        for row, clip in zip(rows, clips or names, strict=True)
    ]
    return joined(videos, Ratings(benchmark=Benchmark(name="made"), rows=rows, sha256="0" * 64, notes=()))
