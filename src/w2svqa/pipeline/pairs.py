"""What a stage learns from: severities and weak teachers, then also what the student of the stage before finds hard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import ConfigError
from w2svqa.core.files import sha256_file
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.core.stage_rows import MinedRow, TokenRow
from w2svqa.core.store import fingerprint, is_complete, read_artifact, read_manifest, write_artifact
from w2svqa.pipeline.context import Material, Run, plain
from w2svqa.pipeline.student import BUNDLE, PAIRS, shares
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.stages.family_seconds import SecondFamily
from w2svqa.stages.family_table import family_of
from w2svqa.stages.next_pairs import agreement, listen, mine_pairs, pair_rows
from w2svqa.stages.pair import make_pairs
from w2svqa.stages.training_seconds import kept_tokens
from w2svqa.stages.training_tokens import ClipVersions, by_clip, encode_clip, refuse_errors
from w2svqa.students.bundle import CARD, load_bundle

MINED = "mined"
TOKENS = "tokens"


def make_first_pairs(run: Run, material: Material) -> list[PairRow]:
    """Make the pairs of the first stage: of severities, VMAF, and the weak teachers' labels.

    Raises:
        ConfigError: there is nothing to train on.
    """
    folder = run.stage(1) / PAIRS
    config, seed = run.config.pair, run.config.seed
    labels = material.judged.labels if material.judged else {}
    inputs = {
        "versions": config_hash([to_mapping(row) for row in material.versions]),
        "labels": config_hash({name: to_mapping(label) for name, label in labels.items()}),
    }
    if not is_complete(folder, fingerprint(PAIRS, config, inputs, seed=seed)):
        pairs = make_pairs(material.versions, config, split="train", seed=seed, labels=labels)
        if not pairs:
            raise ConfigError("there is nothing to train on: no training clip has two severities", remedy="add clips")
        write_artifact(folder, pairs, PairRow, kind=PAIRS, config=config, inputs=inputs, seed=seed, extra=shares(pairs))
    return _read(run, 1)


def make_next_pairs(run: Run, material: Material, number: int) -> list[PairRow]:
    """Make the pairs of a later stage: those of the stage before, and what its student finds hard.

    Raises:
        StoreError: something is damaged or cannot be written.
        BundleError: the student of the stage before is damaged.
    """
    folder, before = run.stage(number), run.stage(number - 1)
    config, seed = run.config.later.pairs, run.config.seed
    inputs = {
        "student": sha256_file(before / BUNDLE / CARD),
        "pairs": read_manifest(before / PAIRS).table_sha256,
        "labels": config_hash({} if material.judged is None else material.judged.facts),
    }
    if not is_complete(folder / PAIRS, fingerprint(PAIRS, config, inputs, seed=seed)):
        mined = _mined(run, material, number, inputs)
        pairs = [*read_artifact(before / PAIRS, PairRow, kind=PAIRS).rows, *pair_rows(mined, number)]
        write_artifact(
            folder / PAIRS, pairs, PairRow, kind=PAIRS, config=config, inputs=inputs, seed=seed, extra=shares(pairs)
        )
    for note in _notes(read_manifest(folder / MINED).extra.get("notes")):
        run.tell("mine", number)(1, 1, note)
    return _read(run, number)


def _read(run: Run, number: int) -> list[PairRow]:
    rows = read_artifact(run.stage(number) / PAIRS, PairRow, kind=PAIRS).rows
    counts = ", ".join(f"{count} {origin}" for origin, count in shares(rows).items())
    run.tell("pair", number)(len(rows), len(rows), f"{len(rows)} pairs: {counts}")
    return rows


def _mined(run: Run, material: Material, number: int, inputs: dict[str, str]) -> list[MinedRow]:
    """Mine and label the pairs that a stage adds."""
    folder = run.stage(number) / MINED
    config, seed = run.config.later.pairs, run.config.seed
    if not is_complete(folder, fingerprint(MINED, config, inputs, seed=seed)):
        bundle = load_bundle(run.stage(number - 1) / BUNDLE)
        judge = AnchoredJudge(bundle.student, bundle.anchors, Scale.from_dict(bundle.scale_mapping))
        tokens = _tokens(run, material.versions, number, inputs["student"], bundle.student)
        rows = [row for row in material.versions if row.version_id in tokens]
        said = listen(judge, rows, [tokens[row.version_id] for row in rows])
        first = read_artifact(run.stage(1) / PAIRS, PairRow, kind=PAIRS).rows
        judged = material.judged
        found = mine_pairs(
            said,
            first,
            judged.calibrated if judged else {},
            judged.labels if judged else {},
            config,
            seed=seed + number,
        )
        write_artifact(
            folder,
            found.rows,
            MinedRow,
            kind=MINED,
            config=config,
            inputs=inputs,
            seed=seed,
            extra={"notes": list(found.notes), "agreement": agreement(found.rows)},
        )
    return read_artifact(folder, MinedRow, kind=MINED).rows


def _tokens(run: Run, versions: Sequence[VersionRow], number: int, digest: str, student: Student) -> dict[str, Tokens]:
    """Encode the training versions with the student of the stage before, resumed clip by clip; by version id."""
    folder = run.stage(number) / TOKENS
    print_ = fingerprint(TOKENS, {}, {"student": digest}, seed=run.config.seed)
    tell = run.tell("score", number)
    family = family_of(run.config.train.model)
    if isinstance(family, SecondFamily):
        look = partial(family.tokens, student)
        return kept_tokens(by_clip(versions), look, folder, print_, kept=run.folder / "versions", progress=tell)
    return {
        row.version_id: np.array([row.token], dtype=np.float32)
        for row in _token_rows(run, versions, number, digest, print_)
    }


def _token_rows(run: Run, versions: Sequence[VersionRow], number: int, digest: str, print_: str) -> list[TokenRow]:
    """What the compact student makes of them, in several processes."""
    folder, clips = run.stage(number) / TOKENS, by_clip(versions)
    kept: Kept[ClipVersions, tuple[TokenRow, ...]] = Kept(
        path=folder / "journal.jsonl",
        fingerprint=print_,
        key=lambda clip: clip.clip_id,
        name=lambda clip: clip.clip_id,
        encode=lambda rows: [[row.version_id, row.clip_id, list(row.token)] for row in rows],
        decode=_decoded,
        holds=lambda clip, rows: [row.version_id for row in rows] == [row.version_id for row in clip.rows],
    )
    work = partial(
        encode_clip,
        bundle=run.stage(number - 1) / BUNDLE,
        digest=digest,
        crops_folder=run.folder / "versions",
        seed=run.config.seed,
    )
    made, errors = map_resumed(work, clips, kept, workers=run.workers, progress=run.tell("score", number))
    refuse_errors(errors, run.folder / "versions")
    return [row for clip in clips for row in made[clip.clip_id]]


def _decoded(value: object) -> tuple[TokenRow, ...]:
    rows = [plain(each, list) for each in plain(value, list)]
    return tuple(
        TokenRow(version_id=str(version), clip_id=str(clip), token=tuple(token)) for version, clip, token in rows
    )


def _notes(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
