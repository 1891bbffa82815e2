"""A converted checkpoint of the released code + anchor clips -> bundle.

The scale is made of the anchors alone: each has a rating on 0-100, and the straight line that fits the ratings best
turns latents into scores. ``form="released"`` of the score ignores it and stretches as the released code does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.networks.shards import read_json
from w2svqa.preference.scale import Scale
from w2svqa.preference.soft import preference_matrix
from w2svqa.preference.thurstone import place_anchors
from w2svqa.stages.export_folder import new_folder
from w2svqa.students.llava.bundle import Base, Changed, Judging, write_llava_bundle
from w2svqa.students.llava.checkpoint import CONFIGURATION, identify, load_llava, load_motion
from w2svqa.students.llava.config import LlavaConfig, released_config
from w2svqa.students.llava.device import device_of, precision_of
from w2svqa.students.llava.options import MOST_SECONDS, LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent
from w2svqa.video.ahead import reading_ahead
from w2svqa.video.decode import open_clip

Progress = Callable[[int, int, str], None]

RELEASED_RATINGS = (39.56, 50.23, 60.62, 69.43, 78.03)
"""Mean opinion scores of the five anchors of the released code, 0-100, by its ``anchor.json``."""


def export_released(
    checkpoint: Path,
    anchors: Sequence[StrPath],
    target: Path,
    *,
    name: str,
    ratings: Sequence[float] | None = None,
    options: LlavaOptions | None = None,
    progress: Progress,
) -> Scale:
    """Write the bundle of a checkpoint from :func:`w2svqa.students.llava.convert.convert_released`.

    Args:
        checkpoint: its folder. The bundle names it and needs it where it is loaded.
        anchors: videos or images, worst first; at least two.
        target: folder to write; it must be empty or not there.
        name: of the student.
        ratings: of the anchors, 0-100, rising; ``None`` for the middles of as many equal parts, which for five anchors,
            one per quality interval, are 10, 30, 50, 70 and 90.
        options: device and type to compute in.
        progress: called as ``progress(done, total, text)`` after each anchor.

    Returns:
        The scale. Its interval was not fitted to anything.

    Raises:
        InputError: an anchor cannot be read, the checkpoint is damaged, or its student does not rank the anchors as
            they are rated.
        ConfigError: fewer than two anchors, or ratings that do not fit.
        StoreError: the target is not empty.
        MissingExtraError: transformers is not installed.
    """
    rated = _checked_ratings(ratings, len(anchors))
    student = _student(checkpoint, name, options or LlavaOptions())
    tokens = []
    for number, anchor in enumerate(anchors, start=1):
        with reading_ahead(open_clip(anchor, student.clip_spec)) as chunks:
            tokens.append(student.encode(chunks))
        progress(number, len(anchors), f"anchor {os.fspath(anchor)}")
    preferences = preference_matrix(student, tokens)
    scale = fit_line(place_anchors(preferences), rated)
    with new_folder(target) as scratch:
        write_llava_bundle(
            scratch,
            name=name,
            model=student.model,
            motion=load_motion(checkpoint, student.model.config),
            base=Base(checkpoint=str(checkpoint.resolve()), identity=identify(checkpoint)),
            changed=Changed(weights={}, updates={}),
            anchors=tuple(tokens),
            preferences=preferences,
            scale=scale.to_dict(),
            judging=Judging(orders="one", most_seconds=MOST_SECONDS),
            facts=_facts(anchors, rated),
        )
    return scale


def fit_line(positions: ArrayLike, ratings: ArrayLike) -> Scale:
    """Return the scale on which anchors get nearest to their ratings, by least squares.

    Args:
        positions: latents of the anchors.
        ratings: as many, 0-100.

    Raises:
        InputError: latents fall as ratings rise.

    Example:
        >>> scale = fit_line([-1.0, 0.0, 1.0], [25.0, 50.0, 75.0])
        >>> round(scale.latent_zero, 6), round(scale.latent_hundred, 6)
        (-2.0, 2.0)
    """
    places, wanted = np.asarray(positions, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    moved = places - places.mean()
    slope = float(moved @ wanted / max(float(moved @ moved), np.finfo(np.float64).tiny))
    if slope <= 0:
        raise InputError(
            f"the student does not rank the anchors as they are rated: latents {np.round(places, 3).tolist()} for "
            f"ratings {wanted.tolist()}",
            remedy="give the anchors worst first, and check that the checkpoint is whole",
        )
    zero = float(places.mean() - wanted.mean() / slope)
    return Scale(
        anchor_positions=tuple(places.tolist()), latent_zero=zero, latent_hundred=zero + 100.0 / slope, form="anchored"
    )


def _checked_ratings(ratings: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if count < 2:
        raise ConfigError(f"{count} anchors", remedy="give at least two, worst first")
    if ratings is None:
        return tuple(100.0 * (2 * number + 1) / (2 * count) for number in range(count))
    if len(ratings) != count or np.any(np.diff(ratings) <= 0) or min(ratings) < 0 or max(ratings) > 100:
        raise ConfigError(
            f"{count} anchors, rated {', '.join(map(str, ratings))}",
            remedy="give one rating per anchor, from 0 to 100, rising",
        )
    return tuple(ratings)


def _student(checkpoint: Path, name: str, options: LlavaOptions) -> LlavaStudent:
    device = device_of(options)
    config = _config(checkpoint)
    model = load_llava(checkpoint, config, device=device, kind=precision_of(options, device))
    return LlavaStudent(model, load_motion(checkpoint, config).to(device), name=name, options=options)


def _config(checkpoint: Path) -> LlavaConfig:
    vision = read_json(checkpoint / CONFIGURATION).get("vision_config")
    side = vision.get("image_size") if isinstance(vision, Mapping) else None
    return released_config(side) if isinstance(side, int) else released_config()


def _facts(anchors: Sequence[StrPath], ratings: Sequence[float]) -> dict[str, object]:
    rows = [{"name": Path(anchor).name, "rating": rating} for anchor, rating in zip(anchors, ratings, strict=True)]
    return {
        "description": "Converted from a checkpoint of the released code; its scale follows its anchors' ratings.",
        "weaknesses": ["the interval was not fitted", "0 and 100 follow from the ratings of the anchors alone"],
        "anchors": rows,
    }
