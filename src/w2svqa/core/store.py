"""Artifacts: what a stage leaves behind for the next, a folder with a table and the manifest that vouches for it.

```
folder/
├── table.parquet    the rows
└── manifest.json    what they are, what they were made of and their hash; written last
```

A folder without a manifest is unfinished work. The fingerprint in it stands for everything the rows depend on: a stage
whose fingerprint is there already has nothing to do.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from w2svqa import __version__
from w2svqa.core.config import config_hash, from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, StoreError, StrPath
from w2svqa.core.files import atomic_write, sha256_file
from w2svqa.core.tables import read_rows, write_rows

TABLE_NAME = "table.parquet"
MANIFEST_NAME = "manifest.json"
FORMAT = 1

_PACKAGES = ("av", "numpy", "onnx", "onnxruntime", "pyarrow", "torch")

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artifact is and what it was made of.

    Attributes:
        format: version of this file's layout.
        kind: which arrow of the pipeline made it, such as ``"pairs"``.
        fingerprint: see :func:`fingerprint`.
        config: the stage's configuration as plain values.
        inputs: hashes of what went in, by name.
        seed: the seed of its random choices; ``None`` if it makes none.
        rows: number of rows.
        table_bytes: size of the table.
        table_sha256: hash of the table.
        versions: of this package, Python and the packages that may change numbers.
        extra: further facts of the stage.
    """

    format: int = FORMAT
    kind: str
    fingerprint: str
    config: dict[str, object]
    inputs: dict[str, str]
    seed: int | None
    rows: int
    table_bytes: int
    table_sha256: str
    versions: dict[str, str]
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Generic[RowT]):
    """The rows of a stored table and its manifest."""

    rows: list[RowT]
    manifest: Manifest


def fingerprint(
    kind: str, config: object, inputs: Mapping[str, str] | None = None, *, seed: int | None = None, version: int = 1
) -> str:
    """Return 32 hex digits that stand for everything an artifact depends on.

    Args:
        kind: which arrow of the pipeline makes it.
        config: the stage's configuration, a dataclass or plain values.
        inputs: hashes of what goes in, by name.
        seed: the seed of its random choices.
        version: of the stage's arithmetic; raised whenever its numbers change.
    """
    return config_hash({"kind": kind, "config": config, "inputs": inputs or {}, "seed": seed, "version": version})


def write_artifact(
    folder: StrPath,
    rows: Iterable[RowT],
    row_type: type[RowT],
    *,
    kind: str,
    config: object,
    inputs: Mapping[str, str] | None = None,
    seed: int | None = None,
    version: int = 1,
    extra: Mapping[str, object] | None = None,
) -> Manifest:
    """Store rows and their manifest in ``folder``; killed at any moment, it is complete or seen to be incomplete.

    Args:
        folder: where to; an artifact that is there is replaced.
        rows: dataclass instances of ``row_type``; streamed, so they may be more than memory holds.
        row_type: see :func:`w2svqa.core.tables.write_rows`.
        kind: which arrow of the pipeline made it.
        config: the stage's configuration, a dataclass or plain values.
        inputs: hashes of what went in, by name.
        seed: the seed of its random choices.
        version: of the stage's arithmetic.
        extra: further facts, plain values.

    Raises:
        StoreError: the disk is full or fails, or the folder may not be written to.
        TypeError: a value is of another type than its field.
        MissingExtraError: pyarrow is not installed.
    """
    return write_table(
        folder,
        lambda file: write_rows(file, rows, row_type),
        kind=kind,
        config=config,
        inputs=inputs,
        seed=seed,
        version=version,
        extra=extra,
    )


def write_table(
    folder: StrPath,
    write: Callable[[BinaryIO], int],
    *,
    kind: str,
    config: object,
    inputs: Mapping[str, str] | None = None,
    seed: int | None = None,
    version: int = 1,
    extra: Mapping[str, object] | None = None,
) -> Manifest:
    """Store a table whose columns are known only at run time, and its manifest, as :func:`write_artifact` does.

    Args:
        folder: where to; an artifact that is there is replaced.
        write: writes the Parquet table into the file it is given and returns the number of rows.
        kind: as in :func:`write_artifact`, like all that follow.
        config: the stage's configuration.
        inputs: hashes of what went in, by name.
        seed: the seed of its random choices.
        version: of the stage's arithmetic.
        extra: further facts, plain values.

    Raises:
        StoreError: the disk is full or fails, or the folder may not be written to.
    """
    target = Path(folder)
    # Without its manifest the old artifact is seen to be incomplete while its table is being replaced.
    (target / MANIFEST_NAME).unlink(missing_ok=True)
    with atomic_write(target / TABLE_NAME) as file:
        count = write(file)
    manifest = Manifest(
        kind=kind,
        fingerprint=fingerprint(kind, config, inputs, seed=seed, version=version),
        config=to_mapping(config),
        inputs=dict(inputs or {}),
        seed=seed,
        rows=count,
        table_bytes=(target / TABLE_NAME).stat().st_size,
        table_sha256=sha256_file(target / TABLE_NAME),
        versions=package_versions(),
        extra=dict(extra or {}),
    )
    with atomic_write(target / MANIFEST_NAME) as file:
        file.write(json.dumps(to_mapping(manifest), indent=2).encode("ascii") + b"\n")
    return manifest


def read_manifest(folder: StrPath) -> Manifest:
    """Read and check the manifest of an artifact.

    Raises:
        StoreError: there is none, it is damaged, or a later version of this package wrote it.
    """
    path = Path(folder) / MANIFEST_NAME
    again = "run the stage that makes it again"
    try:
        mapping = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError("no complete artifact: manifest.json is missing", path=folder, remedy=again) from None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", path=path, remedy="check its permissions") from None
    except ValueError:
        raise StoreError("the manifest is damaged: no valid JSON", path=path, remedy=again) from None
    if isinstance(mapping, dict) and isinstance(mapping.get("format"), int) and mapping["format"] > FORMAT:
        raise StoreError(f"format {mapping['format']} is of a later version", path=path, remedy="update w2svqa")
    try:
        return from_mapping(Manifest, mapping)
    except ConfigError as error:
        raise StoreError(f"the manifest is damaged: {error.problem}", path=path, remedy=again) from None


def read_artifact(
    folder: StrPath,
    row_type: type[RowT],
    *,
    kind: str | None = None,
    keep: tuple[str, Collection[str]] | None = None,
) -> Artifact[RowT]:
    """Read an artifact after checking that it is complete, undamaged and the expected one.

    Args:
        folder: where it is.
        row_type: the dataclass its rows become.
        kind: which arrow of the pipeline must have made it; ``None`` takes any.
        keep: which rows are wanted, see :func:`w2svqa.core.tables.read_rows`.

    Raises:
        StoreError: it is incomplete, damaged, of another kind or has other columns.
        MissingExtraError: pyarrow is not installed.
    """
    table, manifest = checked_table(folder, kind=kind)
    return Artifact(rows=read_rows(table, row_type, keep=keep), manifest=manifest)


def checked_table(folder: StrPath, *, kind: str | None = None) -> tuple[Path, Manifest]:
    """Return the table's file and the manifest of an artifact that is complete, undamaged and the expected one.

    Args:
        folder: where it is.
        kind: which arrow of the pipeline must have made it; ``None`` takes any.

    Raises:
        StoreError: it is incomplete, damaged or of another kind.
    """
    manifest = read_manifest(folder)
    table = Path(folder) / TABLE_NAME
    if kind is not None and manifest.kind != kind:
        raise StoreError(f"holds {manifest.kind!r}, not {kind!r}", path=folder, remedy="check the folder's name")
    try:
        found = sha256_file(table)
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", path=table, remedy="run the stage again") from None
    if found != manifest.table_sha256:
        raise StoreError(
            f"the table is damaged: its hash is {found[:12]}, not {manifest.table_sha256[:12]} as the manifest says",
            path=table,
            remedy="run the stage again",
        )
    return table, manifest


def is_complete(folder: StrPath, expected: str) -> bool:
    """Return whether ``folder`` holds a complete artifact with the fingerprint ``expected``.

    Cheap: the table's size is compared, its hash only when it is read.
    """
    try:
        manifest = read_manifest(folder)
        size = (Path(folder) / TABLE_NAME).stat().st_size
    except (StoreError, OSError):
        return False
    return manifest.fingerprint == expected and manifest.table_bytes == size


def package_versions() -> dict[str, str]:
    """Return the versions of this package, Python and the installed packages that may change numbers, by name."""
    versions = {"w2svqa": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # an extra that this artifact did without
    return versions
