from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from brightness_student import BrightnessStudent, brightness_bundle
from numpy.typing import NDArray

from w2svqa.core.records import Tokens
from w2svqa.preference.forms import Form
from w2svqa.stages.score import Scorer
from w2svqa.video.encode import write_lossless

FORMS: tuple[Form, ...] = ("anchored", "joint", "released")


class SureStudent(BrightnessStudent):
    """Ten times as sure as the other, so that what lies beyond the end anchors does so beyond doubt."""

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        return 10 * super().judge(first, second)


def scorer(form: Form) -> Scorer:
    bundle = brightness_bundle(SureStudent())
    wide = {**bundle.scale_mapping, "latent_zero": -20.0, "latent_hundred": 20.0}
    return Scorer(replace(bundle, scale_mapping=wide), form=form)


def clip(folder: Path, level: int) -> Path:
    path = folder / f"{level}.mkv"
    write_lossless(path, (np.full((32, 48, 3), level, np.uint8) for _ in range(4)), fps=Fraction(4))
    return path


def values(folder: Path, form: Form, *levels: int) -> list[float]:
    found = [scorer(form).score(clip(folder, level)).value for level in levels]
    return [value for value in found if value is not None]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_scores_in_order(tmp_path: Path, form: Form) -> None:
    dark, middle, light = values(tmp_path, form, 40, 128, 210)
    assert 0 <= dark < middle < light <= 100


def test_name_says_the_form_unless_it_is_the_usual_one(tmp_path: Path) -> None:
    names = {form: scorer(form).score(clip(tmp_path, 100)).student for form in FORMS}
    assert names["anchored"] == "brightness-1"
    assert names["joint"] == "brightness-1 (joint form)"
    assert names["released"] == "brightness-1 (released form)"


def test_released_form_ties_beyond_the_end_anchors(tmp_path: Path) -> None:
    # the anchors are at 0.1 to 0.9 of full brightness: 26 to 230
    assert values(tmp_path, "released", 0, 8, 247, 255) == [0, 0, 100, 100]


def test_anchored_form_does_not(tmp_path: Path) -> None:
    found = values(tmp_path, "anchored", 0, 8, 247, 255)
    assert found == sorted(set(found))
    assert found[0] > 0
    assert found[-1] < 100


@pytest.mark.parametrize("form", FORMS)
def test_workers_score_in_the_same_form(tmp_path: Path, form: Form) -> None:
    bundle = brightness_bundle()
    paths = [clip(tmp_path, level) for level in (60, 200)]
    alone = dict(Scorer(bundle, form=form).score_many(paths))
    assert dict(Scorer(bundle, form=form).score_many(paths, workers=2)) == alone
