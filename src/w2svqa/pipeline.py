"""The whole loop in code: ingest -> distort -> label -> pair -> train -> export, each stage resumed or skipped.

```
runs/NAME/
├── run.json      the effective configuration; another one is refused
├── clips/        table of the sources            (ingest)
├── versions/     table, crop cache and views     (distort)
├── labels/       table of the teachers' scores   (label)
├── pairs/        table of pairs with levels      (pair)
├── train/        checkpoint and log              (train)
└── bundle/       the student                     (export)
```
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from w2svqa.core.config import config_hash, difference, from_mapping, load_config, to_mapping
from w2svqa.core.errors import BundleError, ConfigError, StoreError, StrPath, printable
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write, hold, sha256_file
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.rows import ClipRow, PairRow, ScoreRow, VersionRow
from w2svqa.core.store import fingerprint, is_complete, read_artifact, write_artifact
from w2svqa.stages.distort import DistortConfig, Distorted, cache_size, distort_clip
from w2svqa.stages.export import ExportConfig, export
from w2svqa.stages.ingest import IngestConfig, ingest
from w2svqa.stages.label import (
    Judged,
    LabelConfig,
    Labelled,
    choose_tested,
    judge_teachers,
    label_clip,
    teacher_versions,
)
from w2svqa.stages.pair import PairConfig, make_pairs
from w2svqa.stages.train import CHECKPOINT, TrainConfig, train
from w2svqa.students.bundle import check_files, read_card
from w2svqa.students.compact import CompactModel
from w2svqa.teachers.ffmpeg import ffmpeg_with_filter

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, text)``."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A whole run.

    Attributes:
        name: of the run and of the student it makes.
        seed: fixes every random choice.
        ingest: which videos.
        distort: which distortions.
        label: which weak teachers.
        pair: which pairs.
        train: how the student is trained.
        export: how anchors and scale are chosen.
    """

    name: str
    seed: int = 0
    ingest: IngestConfig = field(default_factory=IngestConfig)
    distort: DistortConfig = field(default_factory=DistortConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    pair: PairConfig = field(default_factory=PairConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What every stage needs to know."""

    config: RunConfig
    folder: Path
    workers: int
    progress: Progress


def run(
    config_path: StrPath,
    *,
    output: StrPath | None = None,
    workers: int = 1,
    progress: Progress = lambda stage, done, total, text: None,  # noqa: ARG005 (the names are the interface)
) -> Path:
    """Run the whole loop, or what is left of it, and return the folder of the new bundle.

    Killed at any moment, the same call goes on where it stopped: finished stages are skipped, a clip is distorted once,
    training resumes from its last checkpoint.

    Args:
        config_path: a YAML file with a :class:`RunConfig`.
        output: folder of the run; ``runs/NAME`` if not given.
        workers: processes for the stages distort and label.
        progress: called as things get done.

    Raises:
        ConfigError: the configuration is wrong, or the folder belongs to another one.
        StoreError: another process works in the folder, or something in it is damaged or cannot be written.
        InputError: the parameters of a teacher are missing or damaged.
        W2SVQAError: FFmpeg lacks the filter that measures VMAF, or the student cannot be trained or calibrated.
        MissingExtraError: the extra ``train`` is not installed.
    """
    for module in ("torch", "pyarrow", "safetensors", "onnxscript", "cv2", "scipy", "imageio_ffmpeg"):
        require(module, extra="train")
    config = load_config(config_path, RunConfig)
    folder = Path("runs") / config.name if output is None else Path(output)
    with hold(folder):
        _claim(folder, config)
        _check_tools(config)
        return _stages(_Run(config=config, folder=folder, workers=workers, progress=progress))


def _claim(folder: Path, config: RunConfig) -> None:
    """Write the effective configuration, or refuse a folder that has another."""
    path = folder / "run.json"
    if path.exists():
        try:
            lines = difference(json.loads(path.read_text(encoding="utf-8")), to_mapping(config))
        except ValueError as error:
            raise StoreError(f"is damaged: {error}", path=path, remedy="delete it to go on") from None
        if lines:
            raise ConfigError(
                f"the run was started with another configuration: {'; '.join(lines)}",
                path=folder,
                remedy="choose another --output, or delete this folder",
            )
    with atomic_write(path) as file:
        file.write(json.dumps(to_mapping(config), indent=1).encode())


def _check_tools(config: RunConfig) -> None:
    """Find out now, not after hours of distorting, what the labels would lack."""
    teacher_versions(config.label)
    if config.distort.vmaf_frames:
        ffmpeg_with_filter("libvmaf")


def _stages(run: _Run) -> Path:
    clips = _ingest(run)
    versions = _distort(run, clips)
    judged = _label(run, clips, versions)
    pairs = _pair(run, versions, judged)
    _bind(run.folder / "train", pairs)
    model = train(
        versions,
        pairs,
        run.config.train,
        run.folder / "train",
        crops_folder=run.folder / "versions",
        kinds=run.config.distort.kinds,
        seed=run.config.seed,
        progress=partial(run.progress, "train"),
    )
    return _export(run, model, clips, versions, pairs, judged)


def _bind(folder: Path, pairs: Sequence[PairRow]) -> None:
    """Write which pairs the folder trains on, or refuse one that was begun on others."""
    path, found = folder / "pairs.sha", config_hash([to_mapping(pair) for pair in pairs])
    if not path.exists():
        with atomic_write(path) as file:
            file.write(found.encode("ascii"))
    elif path.read_text(encoding="ascii", errors="replace") != found:
        raise StoreError(
            "the training was begun on other pairs than there are now", path=folder, remedy="delete this folder"
        )


def _ingest(run: _Run) -> list[ClipRow]:
    folder = run.folder / "clips"
    config, seed = run.config.ingest, run.config.seed
    inputs = {
        source.manifest: sha256_file(source.manifest) for source in config.sources if Path(source.manifest).exists()
    }
    if not is_complete(folder, fingerprint("clips", config, inputs, seed=seed)):
        found = ingest(config, folder, seed=seed)
        refused = dict(found.refused)
        write_artifact(
            folder,
            found.clips,
            ClipRow,
            kind="clips",
            config=config,
            inputs=inputs,
            seed=seed,
            extra={"refused": refused},
        )
        for path, reason in found.refused:
            run.progress("ingest", len(found.clips), len(found.clips), f"left out {path}: {reason}")
    rows = read_artifact(folder, ClipRow, kind="clips").rows
    run.progress("ingest", len(rows), len(rows), f"{len(rows)} clips")
    return rows


def _distort(run: _Run, clips: Sequence[ClipRow]) -> list[VersionRow]:
    folder = run.folder / "versions"
    config, seed = run.config.distort, run.config.seed
    inputs = {"clips": config_hash({row.clip_id: [row.split, row.primary] for row in clips})}
    expected = fingerprint("versions", config, inputs, seed=seed)
    if not is_complete(folder, expected):
        made, failed = _distort_missing(run, clips, folder, fingerprint("versions", config, seed=seed))
        rows = [row for clip in clips if clip.clip_id in made for row in made[clip.clip_id].rows]
        write_artifact(
            folder, rows, VersionRow, kind="versions", config=config, inputs=inputs, seed=seed, extra={"failed": failed}
        )
        _tell_failed(run, "distort", len(clips), failed)
    rows = read_artifact(folder, VersionRow, kind="versions").rows
    text = f"{len(rows)} versions of {len({row.clip_id for row in rows})} clips"
    run.progress("distort", len(clips), len(clips), f"{text}, crop cache of {cache_size(folder) / 2**20:.1f} MiB")
    return rows


def _distort_missing(
    run: _Run, clips: Sequence[ClipRow], folder: Path, print_: str
) -> tuple[dict[str, Distorted], dict[str, object]]:
    """Distort the clips that the journal does not have; return what became of each, and what failed."""
    kept: Kept[ClipRow, Distorted] = Kept(
        path=folder / "journal.jsonl",
        fingerprint=print_,
        key=lambda clip: clip.clip_id,
        name=lambda clip: clip.name,
        encode=to_mapping,
        decode=lambda value: from_mapping(Distorted, _plain(value, dict)),
        # what a clip is for decides how much of it was distorted: after a change in its manifest it is made anew
        holds=lambda clip, made: (made.rows[0].split, made.rows[0].primary) == (clip.split, clip.primary),
    )
    work = partial(distort_clip, config=run.config.distort, folder=folder, seed=run.config.seed)
    made, errors = map_resumed(work, clips, kept, workers=run.workers, progress=partial(run.progress, "distort"))
    failed: dict[str, object] = {clip.path: errors[clip.clip_id] for clip in clips if clip.clip_id in errors}
    for clip in (clip for clip in clips if clip.clip_id in made):
        failed |= {f"{kind} of {clip.path}": problem for kind, problem in made[clip.clip_id].problems}
    return made, failed


def _tell_failed(run: _Run, stage: str, total: int, failed: dict[str, object]) -> None:
    """Say what was left out: a pool that shrinks without a word is a pool nobody knows."""
    for name, reason in failed.items():
        run.progress(stage, total, total, f"left out {name}: {str(reason).removeprefix(f'{printable(name)}: ')}")


def _plain(value: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise StoreError(f"the journal holds {value!r}, no {kind.__name__}", remedy="delete this stage's folder")
    return value


def _label(run: _Run, clips: Sequence[ClipRow], versions: Sequence[VersionRow]) -> Judged | None:
    """Let the teachers score the training clips; ``None`` without teachers."""
    config, seed, kinds = run.config.label, run.config.seed, run.config.distort.kinds
    if not config.teachers:
        return None
    folder = run.folder / "labels"
    present = {row.clip_id for row in versions}
    pool = [clip for clip in clips if clip.split == "train" and clip.clip_id in present]
    inputs = {"versions": config_hash([row.version_id for row in versions]), **teacher_versions(config)}
    if is_complete(folder, fingerprint("labels", config, inputs, seed=seed)):
        scores = read_artifact(folder, ScoreRow, kind="labels").rows
        judged = judge_teachers(scores, versions, config, kinds=kinds, seed=seed)
    else:
        scores, failed = _label_missing(run, pool, folder, fingerprint("labels", config, seed=seed))
        judged = judge_teachers(scores, versions, config, kinds=kinds, seed=seed)
        write_artifact(
            folder,
            scores,
            ScoreRow,
            kind="labels",
            config=config,
            inputs=inputs,
            seed=seed,
            extra={"failed": failed, **judged.facts},
        )
        _tell_failed(run, "label", len(pool), failed)
    for line in judged.lines:
        run.progress("label", len(pool), len(pool), line)
    return judged


def _label_missing(
    run: _Run, clips: Sequence[ClipRow], folder: Path, print_: str
) -> tuple[list[ScoreRow], dict[str, object]]:
    """Label the clips that the journal does not have; return all scores, and what failed."""
    config, seed = run.config.label, run.config.seed
    tested = choose_tested(clips, config, seed=seed)
    versions = tuple(teacher_versions(config).values())
    kept: Kept[ClipRow, Labelled] = Kept(
        path=folder / "journal.jsonl",
        fingerprint=print_,
        key=lambda clip: clip.clip_id,
        name=lambda clip: clip.name,
        encode=to_mapping,
        decode=lambda value: from_mapping(Labelled, _plain(value, dict)),
        # teachers with other parameters give other scores
        holds=lambda clip, made: made.tested == (clip.clip_id in tested) and made.versions == versions,
    )
    work = partial(label_clip, config=config, tested=tested, kinds=run.config.distort.kinds, seed=seed)
    made, errors = map_resumed(work, clips, kept, workers=run.workers, progress=partial(run.progress, "label"))
    failed: dict[str, object] = {clip.path: errors[clip.clip_id] for clip in clips if clip.clip_id in errors}
    failed |= {line: "no score" for labelled in made.values() for line in labelled.failures}
    return [row for clip in clips if clip.clip_id in made for row in made[clip.clip_id].scores], failed


def _pair(run: _Run, versions: Sequence[VersionRow], judged: Judged | None) -> list[PairRow]:
    folder = run.folder / "pairs"
    config, seed = run.config.pair, run.config.seed
    labels = judged.labels if judged else {}
    inputs = {
        "versions": config_hash([to_mapping(row) for row in versions]),
        "labels": config_hash({name: to_mapping(label) for name, label in labels.items()}),
    }
    if not is_complete(folder, fingerprint("pairs", config, inputs, seed=seed)):
        pairs = make_pairs(versions, config, split="train", seed=seed, labels=labels)
        if not pairs:
            raise ConfigError("there is nothing to train on: no training clip has two severities", remedy="add clips")
        write_artifact(
            folder, pairs, PairRow, kind="pairs", config=config, inputs=inputs, seed=seed, extra=_shares(pairs)
        )
    rows = read_artifact(folder, PairRow, kind="pairs").rows
    shares = ", ".join(f"{count} {origin}" for origin, count in _shares(rows).items())
    run.progress("pair", len(rows), len(rows), f"{len(rows)} pairs: {shares}")
    return rows


def _export(
    run: _Run,
    model: CompactModel,
    clips: Sequence[ClipRow],
    versions: Sequence[VersionRow],
    pairs: Sequence[PairRow],
    judged: Judged | None,
) -> Path:
    target, config, seed = run.folder / "bundle", run.config.export, run.config.seed
    checkpoint = run.folder / "train" / CHECKPOINT
    inputs = {
        "clips": config_hash([to_mapping(row) for row in clips]),
        "versions": config_hash([row.version_id for row in versions]),
        "checkpoint": sha256_file(checkpoint) if checkpoint.exists() else "",  # none after 0 steps
    }
    made_of = fingerprint("bundle", config, inputs, seed=seed)
    if _is_exported(target, made_of):
        run.progress("export", 1, 1, "was exported before")
    else:
        export(
            model,
            clips,
            versions,
            config,
            target,
            views_folder=run.folder / "versions",
            name=run.config.name,
            seed=seed,
            facts={
                "made_of": made_of,
                "pairs": _shares(pairs),
                "teachers": judged.facts if judged else {},
                "config": _without_folders(run.config),
            },
            progress=partial(run.progress, "export"),
        )
    return target


def _is_exported(folder: Path, made_of: str) -> bool:
    """Whether the folder holds an undamaged bundle of these inputs."""
    try:
        card = read_card(folder)
        check_files(folder, card)
    except BundleError:
        return False
    return card.get("made_of") == made_of


def _without_folders(config: RunConfig) -> dict[str, object]:
    """The configuration as a card shows it: file names, but not where they are on this machine."""
    sources = tuple(
        replace(source, folder=Path(source.folder).name, manifest=Path(source.manifest).name)
        for source in config.ingest.sources
    )
    teachers = tuple(
        replace(teacher, parameters=teacher.parameters and Path(teacher.parameters).name)
        for teacher in config.label.teachers
    )
    ingest, label = replace(config.ingest, sources=sources), replace(config.label, teachers=teachers)
    return to_mapping(replace(config, ingest=ingest, label=label))


def _shares(pairs: Sequence[PairRow]) -> dict[str, int]:
    return dict(sorted(Counter(pair.origin for pair in pairs).items()))
