"""What all stages share, made once: clips, their versions, and what the weak teachers say of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from w2svqa.core.config import config_hash, from_mapping, to_mapping
from w2svqa.core.files import sha256_file
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.rows import ClipRow, ScoreRow, VersionRow
from w2svqa.core.store import fingerprint, is_complete, read_artifact, write_artifact
from w2svqa.pipeline.context import Material, Run, plain, tell_failed
from w2svqa.stages.distort import Distorted, cache_size, distort_clip
from w2svqa.stages.ingest import ingest
from w2svqa.stages.kept_seconds import load_slowfast
from w2svqa.stages.label import Judged, Labelled, choose_tested, judge_teachers, label_clip, teacher_versions


def make_material(run: Run) -> Material:
    """Make clips, versions and labels, or what is left of them.

    Raises:
        ConfigError: there is nothing to work on.
        InputError: the parameters of a teacher are missing or damaged.
        StoreError: something in the folder is damaged or cannot be written.
    """
    clips = _ingest(run)
    versions = _distort(run, clips)
    return Material(clips=clips, versions=versions, judged=_label(run, clips, versions))


def _ingest(run: Run) -> list[ClipRow]:
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


def _distort(run: Run, clips: Sequence[ClipRow]) -> list[VersionRow]:
    folder = run.folder / "versions"
    config, seed = run.config.distort, run.config.seed
    own = {}
    if config.frames is not None:
        own = {"slowfast": load_slowfast(config.frames.slowfast, config.frames.span).version}
    inputs = {"clips": config_hash({row.clip_id: [row.split, row.primary] for row in clips}), **own}
    expected = fingerprint("versions", config, inputs, seed=seed)
    if not is_complete(folder, expected):
        made, failed = _distort_missing(run, clips, folder, fingerprint("versions", config, own, seed=seed))
        rows = [row for clip in clips if clip.clip_id in made for row in made[clip.clip_id].rows]
        write_artifact(
            folder, rows, VersionRow, kind="versions", config=config, inputs=inputs, seed=seed, extra={"failed": failed}
        )
        tell_failed(run, "distort", len(clips), failed)
    rows = read_artifact(folder, VersionRow, kind="versions").rows
    text = f"{len(rows)} versions of {len({row.clip_id for row in rows})} clips"
    run.progress("distort", len(clips), len(clips), f"{text}, crop cache of {cache_size(folder) / 2**20:.1f} MiB")
    return rows


def _distort_missing(
    run: Run, clips: Sequence[ClipRow], folder: Path, print_: str
) -> tuple[dict[str, Distorted], dict[str, object]]:
    """Distort the clips that the journal does not have; return what became of each, and what failed."""
    kept: Kept[ClipRow, Distorted] = Kept(
        path=folder / "journal.jsonl",
        fingerprint=print_,
        key=lambda clip: clip.clip_id,
        name=lambda clip: clip.name,
        encode=to_mapping,
        decode=lambda value: from_mapping(Distorted, plain(value, dict)),
        # what a clip is for decides how much of it was distorted: after a change in its manifest it is made anew
        holds=lambda clip, made: (made.rows[0].split, made.rows[0].primary) == (clip.split, clip.primary),
    )
    work = partial(distort_clip, config=run.config.distort, folder=folder, seed=run.config.seed)
    made, errors = map_resumed(work, clips, kept, workers=run.workers, progress=partial(run.progress, "distort"))
    failed: dict[str, object] = {clip.path: errors[clip.clip_id] for clip in clips if clip.clip_id in errors}
    for clip in (clip for clip in clips if clip.clip_id in made):
        failed |= {f"{kind} of {clip.path}": problem for kind, problem in made[clip.clip_id].problems}
    return made, failed


def _label(run: Run, clips: Sequence[ClipRow], versions: Sequence[VersionRow]) -> Judged | None:
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
        tell_failed(run, "label", len(pool), failed)
    for line in judged.lines:
        run.progress("label", len(pool), len(pool), line)
    return judged


def _label_missing(
    run: Run, clips: Sequence[ClipRow], folder: Path, print_: str
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
        decode=lambda value: from_mapping(Labelled, plain(value, dict)),
        # teachers with other parameters give other scores
        holds=lambda clip, made: made.tested == (clip.clip_id in tested) and made.versions == versions,
    )
    work = partial(label_clip, config=config, tested=tested, kinds=run.config.distort.kinds, seed=seed)
    made, errors = map_resumed(work, clips, kept, workers=run.workers, progress=partial(run.progress, "label"))
    failed: dict[str, object] = {clip.path: errors[clip.clip_id] for clip in clips if clip.clip_id in errors}
    failed |= {line: "no score" for labelled in made.values() for line in labelled.failures}
    return [row for clip in clips if clip.clip_id in made for row in made[clip.clip_id].scores], failed
