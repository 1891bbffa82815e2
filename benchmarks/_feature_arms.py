"""Which students ``feature_lab.py`` trains of one seed, and on what settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from _feature_data import TEACHERS, Material, Truth, train_teachers
from _feature_stages import (
    Checked,
    Lab,
    Settings,
    Student,
    checked_pairs,
    direct_levels,
    first_pairs,
    label_figures,
    label_levels,
    learn,
    next_stage,
    record,
    say_together,
    supervised,
    without_confidence,
)
from w2svqa.stages.feature_judge import tokens_of
from w2svqa.students.losses import ConfidenceConfig, ConfidenceForm

KNOWN_FIRST: Final = "known domain first"
"""The change that all stages are shown of. It was thought of after the first OOD figures had been seen."""

CHAIN: Final = ("single", "ensemble", "+ confidence", "+ stage 2", "+ stage 3")
CONTROLS: Final = ("stage 2, random pairs", "one pass, as many pairs")
SETTINGS: Final = Settings()


def with_form(form: ConfidenceForm) -> Settings:
    """Return the settings with another form of the confidence loss."""
    return replace(SETTINGS, train=replace(SETTINGS.train, confidence=ConfidenceConfig(form=form)))


CHANGES: Final[Mapping[str, tuple[str, Settings]]] = {
    "all teachers count alike": ("ensemble", replace(SETTINGS, weighted=False)),
    "twice the pairs": ("ensemble", replace(SETTINGS, pairs_per_video=2 * SETTINGS.pairs_per_video)),
    "form of Burns et al.": ("+ confidence", with_form("burns")),
    "form of the paper": ("+ confidence", with_form("paper")),
    "labels by MAP scores": ("+ stage 2", replace(SETTINGS, labelled_by="scores")),
    "labels with the teachers": ("+ stage 2", replace(SETTINGS, labelled_by="together")),
    "fresh weights": ("+ stage 2", replace(SETTINGS, anew=True)),
    "roles limited": ("+ stage 2", replace(SETTINGS, per_role=2.0)),
    KNOWN_FIRST: ("ensemble", replace(SETTINGS, known_first=True)),
}
"""Changes of one setting each, and the first student that it changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all seeds share.

    Attributes:
        material: what training sees.
        truth: what only measuring sees.
        teachers: scores by part and teacher.
        validation: cross-validated correlation of each teacher on the labelled videos.
        threads: of PyTorch.
        small: fewer students.
    """

    material: Material
    truth: Truth
    teachers: Mapping[str, Mapping[str, Any]]
    validation: Mapping[str, float]
    threads: int
    small: bool

    @property
    def best(self) -> str:
        """The teacher that is best on the labelled videos."""
        return max(self.validation, key=lambda name: self.validation[name])

    def lab(self, settings: Settings, seed: int) -> Lab:
        """Return a seed's place of work."""
        return Lab(
            material=self.material, teachers=self.teachers, validation=self.validation, settings=settings, seed=seed
        )


def prepare(material: Material, truth: Truth, *, threads: int = 1, small: bool = False) -> Bench:
    """Train the teachers and let them score everything."""
    trained = train_teachers(material.labelled, material.ratings)
    parts = {"pool": material.pool, "inside": material.inside, "outside": material.outside}
    return Bench(
        material=material,
        truth=truth,
        teachers={key: {each.name: each.score(part) for each in trained} for key, part in parts.items()},
        validation={each.name: each.validation for each in trained},
        threads=threads,
        small=small,
    )


def run_seed(bench: Bench, seed: int) -> dict[str, Any]:
    """Train every student of one seed.

    Returns:
        ``scores``: by student, of both tests; ``labels``: by labeller, the figures of its pseudo-labels.
    """
    torch.set_num_threads(bench.threads)
    lab = bench.lab(SETTINGS, seed)
    singles = {f"student of {name}": single(lab, name) for name in TEACHERS}
    chain = stages(lab)
    chain["single"] = singles[f"student of {bench.best}"]
    students = singles | chain | controls(lab, chain)
    if not bench.small:
        students |= {"supervised, regression": supervised(lab, by="regression")}
        students |= {"supervised, pairs": supervised(lab, by="pairs")}
        changed_lab = bench.lab(CHANGES[KNOWN_FIRST][1], seed)
        known = {f"student of {name}": single(changed_lab, name) for name in TEACHERS} | stages(changed_lab)
        known["single"] = known[f"student of {bench.best}"]
        students |= {f"{stage}: {KNOWN_FIRST}": student for stage, student in known.items()}
        others = [name for name in CHANGES if name != KNOWN_FIRST]
        students |= {f"{CHANGES[name][0]}: {name}": changed(bench, chain, name, seed) for name in others}
    return {
        "scores": {name: record(student, bench.material) for name, student in students.items()},
        "labels": labels_of(bench, lab, students),
    }


def single(lab: Lab, teacher: str) -> Student:
    """Train the student of one teacher."""
    return learn(lab, first_pairs(lab, lab.first_count, only=teacher), without_confidence(lab))


def first_stage(lab: Lab, stage: str) -> Student:
    """Train the student of all teachers together, with or without the confidence loss."""
    pairs = first_pairs(lab, lab.first_count)
    return learn(lab, pairs, lab.settings.train if stage == "+ confidence" else without_confidence(lab))


def stages(lab: Lab) -> dict[str, Student]:
    """Train the students of all teachers together, stage after stage."""
    found = {stage: first_stage(lab, stage) for stage in ("ensemble", "+ confidence")}
    for number in (2, 3):
        found[f"+ stage {number}"] = next_stage(lab, list(found.values())[-1], number)
    return found


def changed(bench: Bench, chain: Mapping[str, Student], name: str, seed: int) -> Student:
    """Train the first student that a change of settings changes."""
    stage, settings = CHANGES[name]
    lab = bench.lab(settings, seed)
    return next_stage(lab, chain["+ confidence"], 2) if stage == "+ stage 2" else first_stage(lab, stage)


def controls(lab: Lab, chain: Mapping[str, Student]) -> dict[str, Student]:
    """Train what stage 2 is compared with: random pairs, and as many pairs at once by the ensemble."""
    more = first_pairs(lab, lab.first_count + lab.later_count)
    return {
        "stage 2, random pairs": next_stage(lab, chain["+ confidence"], 2, pick="random"),
        "one pass, as many pairs": learn(lab, more, lab.settings.train),
    }


def labels_of(bench: Bench, lab: Lab, students: Mapping[str, Student]) -> dict[str, dict[str, float | None]]:
    """Return the figures of each teacher's, the ensemble's and each stage's pseudo-labels."""
    pool, scores = bench.material.pool, lab.teachers["pool"]
    first, second = checked_pairs(bench.material)
    tokens = tokens_of(pool.features)
    said: dict[str, Checked] = {}
    for name, chosen in [*((name, {name: scores[name]}) for name in TEACHERS), ("all teachers", scores)]:
        labels = say_together(pool, chosen, lab.weights if len(chosen) > 1 else None)
        means = np.array([row.mean for row in labels.rows])
        said[name] = Checked(scores=means, levels=label_levels(labels, first, second))
    before: dict[str, str] = {}
    for chain in ([*CHAIN[1:]], [f"{stage}: {KNOWN_FIRST}" for stage in CHAIN[1:]]):
        for name, earlier in zip(chain, ["all teachers", *chain], strict=False):
            if name in students:
                levels = direct_levels(students[name], tokens, first, second)
                said[name], before[name] = Checked(scores=students[name].scores, levels=levels), earlier
    return {
        name: label_figures(bench.material, bench.truth, one, said[before[name]] if name in before else None)
        for name, one in said.items()
    }
