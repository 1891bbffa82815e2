"""rated videos + models -> how far each model agrees with people, and whether one agrees better than another.

```
OUTPUT/
├── videos/, scores/, journals/, files.jsonl   what teachers and students said: see stages/pool_scores.py
├── joined/         a row per benchmark, video and model                (JoinedRow)
├── figures/        every figure with its interval                      (AgreementRow)
└── differences/    every two models on the videos they share           (DifferenceRow)
```

Scores are kept by content, so another benchmark, model or table of ratings decodes nothing again that was scored.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from w2svqa.core.config import config_hash
from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.evaluation_rows import AgreementRow, DifferenceRow, JoinedRow
from w2svqa.core.files import hold
from w2svqa.core.store import write_artifact
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_compare import differences
from w2svqa.stages.evaluation_figures import facet_rows, figure_rows, overall_rows
from w2svqa.stages.evaluation_models import (
    Model,
    ModelScores,
    RatedSet,
    ScoreTable,
    table_scores,
    teacher_scores,
)
from w2svqa.stages.evaluation_statistics import Agreement, Drawing, measure_agreement
from w2svqa.stages.pool_scores import LabelPoolConfig

JOINED: Final = "joined"
FIGURES: Final = "figures"
DIFFERENCES: Final = "differences"
"""Folders of the tables in the output, and the artifacts' kinds."""

ARITHMETIC: Final = 1
"""Raised whenever the same scores and ratings would give other figures."""

RowT = TypeVar("RowT", JoinedRow, AgreementRow, DifferenceRow)
Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """How models are evaluated.

    Attributes:
        resamples: of the bootstrap; 0 for no intervals and no significance.
        seed: of the bootstrap.
        workers: processes of a teacher that computes on the CPU.
        devices: as :class:`w2svqa.stages.pool_scores.LabelPoolConfig`.
        time_out: seconds that a teacher may take for one video; ``None`` for no limit.
        retry_failed: try again what failed in an earlier call.
    """

    resamples: int = 1000
    seed: int = 0
    workers: int = 1
    devices: tuple[str, ...] = ("cpu",)
    time_out: float | None = 3600.0
    retry_failed: bool = False

    def __post_init__(self) -> None:
        """Reject what cannot be.

        Raises:
            ConfigError: a number of resamples is negative.
        """
        if self.resamples < 0:
            raise ConfigError(f"{self.resamples} resamples", remedy="ask for 0 or more; 1000 are usual")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """One benchmark.

    Attributes:
        rated: its ratings and files.
        scores: of each model.
        agreements: of each model, by name.
        differences: between every two models.
    """

    rated: RatedSet
    scores: tuple[ModelScores, ...]
    agreements: Mapping[str, Agreement]
    differences: tuple[DifferenceRow, ...]

    @property
    def benchmark(self) -> Benchmark:
        """What was evaluated on."""
        return self.rated.ratings.benchmark


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What was found.

    Attributes:
        sets: by benchmark, in the order asked for.
        figures: all of them, those of groups too.
        notes: what a reader should know, by benchmark and model.
        inputs: hashes of what went in, by name.
    """

    sets: tuple[Evaluated, ...]
    figures: tuple[AgreementRow, ...]
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Names, in the order asked for."""
        return tuple(dict.fromkeys(scores.model for each in self.sets for scores in each.scores))

    @property
    def joined(self) -> list[JoinedRow]:
        """The rows of the table of videos."""
        return [row for each in self.sets for row in _joined(each)]

    @property
    def differences(self) -> list[DifferenceRow]:
        """The rows of the table of differences."""
        return [row for each in self.sets for row in each.differences]

    @property
    def empty(self) -> tuple[AgreementRow, ...]:
        """Benchmarks and models without a rank correlation."""
        return tuple(row for row in self.figures if row.measure == "srcc" and not row.facet and row.value is None)


def evaluate(
    sets: Sequence[RatedSet],
    models: Sequence[Model],
    output: StrPath | None = None,
    config: EvaluateConfig | None = None,
    *,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Evaluation:
    """Measure how far models agree with the ratings of benchmarks.

    Args:
        sets: of :func:`w2svqa.stages.evaluation_models.rated_set`.
        models: teachers and students, which score the files of the sets, and tables of scores. A table that holds
            nothing of a set takes no part in it, as long as it holds something of another.
        output: the folder of the tables; ``None`` writes none, and is for tables of scores alone.
        config: how.
        progress: called as ``progress(stage, done, total, text)``.

    Raises:
        ConfigError: there is no set or model, two have one name, there are no videos or no folder for a teacher, or a
            student was trained on some of them.
        InputError: a table of scores cannot be used.
        StoreError: another process works in the folder, or it cannot be written.
        MissingExtraError: the extra ``train`` is not installed.
    """
    config = config or EvaluateConfig()
    _check(sets, models, output)
    scores = _scores(sets, models, output, config, progress)
    found = []
    for done, (rated, said) in enumerate(zip(sets, scores, strict=True), start=1):
        found.append(_evaluated(rated, said, config))
        progress("figures", done, len(sets), rated.ratings.benchmark.shown)
    evaluation = _gathered(found, config)
    if output is not None:
        with hold(output):
            _write(Path(output), evaluation, config)
    return evaluation


def _check(sets: Sequence[RatedSet], models: Sequence[Model], output: StrPath | None) -> None:
    for title, names in (
        ("benchmark", [each.ratings.benchmark.name for each in sets]),
        ("model", [model.name for model in models]),
    ):
        if not names:
            raise ConfigError(f"there is no {title}", remedy=f"name a {title} or more")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(
                f"two of the {title}s are called {', '.join(twice)}", remedy="give each a name of its own"
            )
    if output is None and not all(isinstance(model, ScoreTable) for model in models):
        raise ConfigError("teachers and students keep their scores in a folder", remedy="name one with --output")


def _scores(
    sets: Sequence[RatedSet],
    models: Sequence[Model],
    output: StrPath | None,
    config: EvaluateConfig,
    progress: Progress,
) -> list[list[ModelScores]]:
    """Per set what the models say, in the order asked for."""
    tables = {model.name: _of_table(sets, model) for model in models if isinstance(model, ScoreTable)}
    teachers = tuple(model for model in models if not isinstance(model, ScoreTable))
    scored: list[dict[str, ModelScores]] = [{} for _ in sets]
    if teachers and output is not None:
        labelling = LabelPoolConfig(
            teachers=teachers,
            workers=config.workers,
            devices=config.devices,
            time_out=config.time_out,
            retry_failed=config.retry_failed,
        )
        found = teacher_scores(sets, labelling, output, progress=progress)
        scored = [{scores.model: scores for scores in each} for each in found]
    for name, each in tables.items():
        for place, scores in each.items():
            scored[place][name] = scores
    return [[by_name[model.name] for model in models if model.name in by_name] for by_name in scored]


def _of_table(sets: Sequence[RatedSet], table: ScoreTable) -> dict[int, ModelScores]:
    """The scores of a table by the place of the set, of the sets that it knows."""
    found = {place: scores for place, rated in enumerate(sets) if (scores := table_scores(rated, table)) is not None}
    if not found:
        names = f"{sets[0].ratings.benchmark.shown}, such as {sets[0].ratings.names[0]}"
        raise InputError(
            f"scores no video of {names}", path=table.paths[0], remedy="check the names of the videos in it"
        )
    return found


def _evaluated(rated: RatedSet, scores: Sequence[ModelScores], config: EvaluateConfig) -> Evaluated:
    ratings = rated.ratings
    values = [row.value if ratings.benchmark.higher_is_better else -row.value for row in ratings.rows]
    contents = [row.content for row in ratings.rows]
    drawing = Drawing(resamples=config.resamples, seed=config.seed, label=ratings.benchmark.name)
    agreements = {each.model: measure_agreement(each.oriented, values, contents, drawing) for each in scores}
    found = differences(ratings.benchmark.name, scores, agreements, values, contents, drawing)
    return Evaluated(rated=rated, scores=tuple(scores), agreements=agreements, differences=tuple(found))


def _gathered(found: Sequence[Evaluated], config: EvaluateConfig) -> Evaluation:
    rows: list[AgreementRow] = []
    notes: list[str] = []
    inputs: dict[str, str] = {}
    for each in found:
        ratings = each.rated.ratings
        notes += [f"{each.benchmark.shown}: {note}" for note in each.rated.notes]
        inputs[f"ratings of {each.benchmark.name}"] = ratings.sha256
        for scores in each.scores:
            agreement = each.agreements[scores.model]
            rows += figure_rows(ratings, scores.model, agreement)
            rows += facet_rows(ratings, scores, Drawing(resamples=config.resamples, seed=config.seed))
            notes += [f"{each.benchmark.shown}, {scores.model}: {note}" for note in (*scores.notes, *agreement.notes)]
            inputs[f"scores of {scores.model}"] = scores.version
    models = dict.fromkeys(scores.model for each in found for scores in each.scores)
    notes += [
        f"{each.benchmark.shown}: {model} has no score of its videos"
        for each in found
        for model in models
        if model not in each.agreements
    ]
    parts = {each.benchmark: (each.rated.ratings, each.agreements) for each in found}
    rows += overall_rows(parts)
    return Evaluation(sets=tuple(found), figures=tuple(rows), notes=tuple(notes), inputs=inputs)


def _joined(each: Evaluated) -> Iterable[JoinedRow]:
    for scores in each.scores:
        for rating, value, message in zip(
            each.rated.ratings.rows, scores.values.tolist(), scores.messages, strict=True
        ):
            yield JoinedRow(
                benchmark=each.benchmark.name,
                video=rating.name,
                path=each.rated.files.get(rating.name, ""),
                model=scores.model,
                score=value if math.isfinite(value) else None,
                rating=rating.value,
                deviation=rating.deviation if math.isfinite(rating.deviation) else None,
                content=rating.content,
                distortion=rating.distortion,
                message=message,
            )


def _write(folder: Path, evaluation: Evaluation, config: EvaluateConfig) -> None:
    facts: dict[str, object] = {
        "benchmarks": {
            each.benchmark.name: {
                "title": each.benchmark.shown,
                "group": each.benchmark.group,
                "expected": each.rated.ratings.expected,
            }
            for each in evaluation.sets
        },
        "models": list(evaluation.models),
        "notes": list(evaluation.notes),
    }
    settings = {"resamples": config.resamples, "seed": config.seed}
    _write_table(folder / JOINED, evaluation.joined, JoinedRow, settings, evaluation.inputs, facts)
    _write_table(folder / FIGURES, evaluation.figures, AgreementRow, settings, evaluation.inputs, facts)
    _write_table(folder / DIFFERENCES, evaluation.differences, DifferenceRow, settings, evaluation.inputs, facts)


def _write_table(
    folder: Path,
    rows: Sequence[RowT],
    row_type: type[RowT],
    config: Mapping[str, object],
    inputs: Mapping[str, str],
    extra: Mapping[str, object],
) -> None:
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogateescape"))
    write_artifact(
        folder,
        rows,
        row_type,
        kind=folder.name,
        config=config,
        inputs={**inputs, "rows": digest.hexdigest(), "facts": config_hash(extra)},
        seed=int(str(config["seed"])),
        version=ARITHMETIC,
        extra=extra,
    )
