"""What a student ships as: one folder with all that scoring needs, checked by hash before use.

```
README.md           the card in words
card.json           format, name, levels, kinds, scale, anchors, figures with N, data, hashes of the files below
encoder.onnx        views of one second -> token
comparator.onnx     two mean tokens -> five level logits
diagnosis.onnx      mean token -> what is wrong
anchors.npz         the anchors' tokens and the preferences among them
weights.safetensors the same weights for training on
```
That is a compact student's. A LLaVA student has the weights that were trained and the name of the checkpoint that they
were trained from, in place of the networks; see :mod:`w2svqa.students.llava.bundle`.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import BundleError, ConfigError, MissingInputError, StrPath
from w2svqa.core.files import sha256_file
from w2svqa.core.hub import fetch_snapshot, hub_name
from w2svqa.core.levels import LEVELS
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.students.runtime import COMPARATOR, DIAGNOSIS, ENCODER

CARD: Final = "card.json"
ANCHORS: Final = "anchors.npz"
WEIGHTS: Final = "weights.safetensors"
FORMAT: Final = "w2svqa-bundle"
FORMAT_VERSION: Final = 2

SHIPPED: Final = ("compact",)
"""Names of the bundles inside the package; the first is the default."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of student.

    Attributes:
        loader: takes the folder and the card, and the options where there are any.
        files: that the card must vouch for.
        axes: of a video's tokens, the seconds' among them.
        has_options: the loader takes options as a third argument.
    """

    loader: str
    files: tuple[str, ...] = ()
    axes: int = 2
    has_options: bool = False


# by the name in a card
_KINDS: Final = {
    "compact": _Kind(loader="w2svqa.students.runtime:CompactStudent.from_card", files=(ENCODER, COMPARATOR, DIAGNOSIS)),
    "tower": _Kind(loader="w2svqa.students.tower_runtime:load_student", files=(WEIGHTS,)),
    "llava": _Kind(loader="w2svqa.students.llava.bundle:load_student", axes=3, has_options=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded student with its anchors and scale.

    Attributes:
        student: the model.
        anchors: tokens of each anchor, worst first.
        preferences: float64 ``(anchors, anchors)``: entry (i, j) is the preference of anchor i over anchor j.
        scale_mapping: the scale as plain numbers, for ``preference.scale.Scale.from_dict``.
        card: everything the card says.
        folder: where it was loaded from.
    """

    student: Student
    anchors: tuple[Tokens, ...]
    preferences: NDArray[np.float64]
    scale_mapping: Mapping[str, Any]
    card: Mapping[str, Any]
    folder: Path


def load_bundle(name_or_path: StrPath | None = None, options: Mapping[str, str] | None = None) -> Bundle:
    """Load a bundle, after checking its version and the hash of every file.

    Args:
        name_or_path: as in :func:`bundle_folder`.
        options: how the student is run, by name; the compact student has none, those of the LLaVA student are the
            fields of :class:`w2svqa.students.llava.options.LlavaOptions`.

    Raises:
        BundleError: there is no such bundle, or it is damaged, incomplete or from another version.
        ConfigError: the student has no such option, or not this value.
        MissingExtraError: the student, or fetching it from the hub, needs a package that is not installed.

    Example:
        >>> load_bundle().student.antisymmetric
        True
    """
    folder = bundle_folder(name_or_path)
    card = read_card(folder)
    check_files(folder, card)
    kind = _kind(card, folder)
    if options and not kind.has_options:
        raise ConfigError(
            f"a {card['student']} student has no options, such as {next(iter(options))!r}", remedy="leave them out"
        )
    _require_listed(card, (ANCHORS, *kind.files), folder)
    anchors, preferences = read_anchors(folder, axes=kind.axes)
    scale = _entry(card, "scale", dict, folder)
    loader = _loader(kind.loader)
    return Bundle(
        student=loader(folder, card, options or {}) if kind.has_options else loader(folder, card),
        anchors=anchors,
        preferences=preferences,
        scale_mapping=scale,
        card=card,
        folder=folder,
    )


def bundle_folder(name_or_path: StrPath | None = None) -> Path:
    """Return the folder of a bundle.

    Args:
        name_or_path: a name in :data:`SHIPPED`, a folder, or ``OWNER/NAME`` (``hf://OWNER/NAME@REVISION`` in full) on
            the Hugging Face hub, which is taken where no folder of this name is there; ``None`` for the default that
            ships inside the package.

    Raises:
        BundleError: there is none; or it can only be on the hub, which has none, or cannot be reached while nothing is
            in its cache.
        MissingExtraError: it can only be on the hub, and huggingface_hub is not installed.
    """
    if name_or_path is None or str(name_or_path) in SHIPPED:
        return Path(str(resources.files("w2svqa.students"))) / "bundles" / str(name_or_path or SHIPPED[0])
    folder = Path(name_or_path)
    remedy = f"give a bundle's folder, OWNER/NAME on the hub, or one of the shipped: {', '.join(SHIPPED)}"
    try:
        found = folder.is_dir()
        problem = "is no folder" if folder.exists() else "no such student"
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", path=folder, remedy=remedy) from None
    if found:
        return folder
    repository = None if folder.exists() else hub_name(str(name_or_path))
    if repository is None:
        raise BundleError(problem, path=folder, remedy=remedy)
    try:
        return _fetch(repository)
    except MissingInputError as error:
        raise BundleError(f"no such folder; on the hub it {error.problem}", path=folder, remedy=remedy) from None


def _fetch(repository: str) -> Path:
    """Fetch the files that the card of a bundle on the hub lists, and nothing else."""
    folder = fetch_snapshot(repository, [CARD])
    names = _entry(read_card(folder), "files", dict, folder)
    return fetch_snapshot(repository, [CARD, *(name for name in names if _is_plain(name))])


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a bundle whose format this version can read.

    Raises:
        BundleError: there is no card, it is damaged, or it has another format or other levels.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"has no {CARD}", path=folder, remedy="give the folder of an exported bundle") from None
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", path=path, remedy="check its permissions") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"is damaged: no valid JSON ({error})", path=path, remedy="export or install the bundle again"
        ) from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise BundleError(f"is no student bundle (format is not {FORMAT!r})", path=path, remedy="give another folder")
    if card.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            f"has format version {card.get('format_version')!r}, this w2svqa reads {FORMAT_VERSION}",
            path=path,
            remedy="export the bundle with this version, or install the version that made it",
        )
    if card.get("levels") != list(LEVELS):
        raise BundleError(f"has other levels: {card.get('levels')!r}", path=path, remedy="export the bundle again")
    return card


def check_files(folder: Path, card: Mapping[str, Any]) -> None:
    """Compare every file that the card lists with its hash.

    Raises:
        BundleError: a file is missing or differs, or the card lists one that is not in the folder itself.
    """
    for name, expected in _entry(card, "files", dict, folder).items():
        if not _is_plain(name):
            raise BundleError(
                f"its card lists {name!r}, which is no file name", path=folder / CARD, remedy="do not use this bundle"
            )
        path = folder / name
        try:
            found = sha256_file(path)
        except OSError as error:
            raise BundleError(
                f"cannot be read: {error.strerror}", path=path, remedy="install the bundle again"
            ) from None
        if found != expected:
            raise BundleError("is damaged: its hash differs from the card's", path=path, remedy="install it again")


def write_anchors(folder: Path, anchors: tuple[Tokens, ...], preferences: NDArray[np.float64]) -> None:
    """Write the anchors' tokens and preferences, for :func:`load_bundle` to read."""
    tokens = {f"anchor_{index}": anchor for index, anchor in enumerate(anchors)}
    np.savez(folder / ANCHORS, allow_pickle=False, preferences=preferences, **tokens)


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the card last, with the hash of every other file in the folder and what every card must say.

    Before it comes what it says in words, ``README.md``, for which no hash vouches: people may edit it.
    """
    # here, because scoring reads this module at its start and writes no card
    from w2svqa.students.model_card import README, model_card

    names = sorted(path.name for path in folder.iterdir() if path.name not in (CARD, README))
    hashes = {name: sha256_file(folder / name) for name in names}
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "levels": list(LEVELS)}
    whole = {**head, **card, "files": hashes}
    text = json.dumps(whole, indent=1, allow_nan=False)
    (folder / README).write_text(model_card(whole), encoding="utf-8")
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def _is_plain(name: str) -> bool:
    """Whether a name cannot lead out of its folder on any system: no separators, drives or control characters."""
    return name.isprintable() and name not in ("", ".", "..") and not set(name) & set("/\\:")


def _require_listed(card: Mapping[str, Any], names: tuple[str, ...], folder: Path) -> None:
    """Refuse to read a file that no hash vouches for."""
    for name in names:
        if name not in card["files"]:
            raise BundleError(f"its card does not list {name}", path=folder / CARD, remedy="export the bundle again")


def read_anchors(folder: Path, *, axes: int) -> tuple[tuple[Tokens, ...], NDArray[np.float64]]:
    """Return the anchors' tokens and preferences that :func:`write_anchors` wrote.

    Args:
        folder: of the bundle.
        axes: that the tokens must have.

    Returns:
        Tokens, float32, read-only: what a student works out of them may be kept; and preferences, float64
        ``(anchors, anchors)``.

    Raises:
        BundleError: they are damaged, or have another shape or type.
    """
    path, again = folder / ANCHORS, "export the bundle again"
    if not zipfile.is_zipfile(path):  # np.load would advise to load it unsafely
        raise BundleError("is damaged: no NumPy archive", path=path, remedy=again)
    try:
        # opened here, because np.load leaves its own file open where the archive is damaged
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            preferences = arrays["preferences"]
            tokens = tuple(arrays[f"anchor_{index}"] for index in range(len(preferences)))
    except (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"is damaged: {error}", path=path, remedy=again) from None
    _check_anchors(tokens, preferences, path, axes)
    for token in tokens:
        token.flags.writeable = False
    return tokens, preferences


def _check_anchors(tokens: tuple[Tokens, ...], preferences: NDArray[np.float64], path: Path, axes: int) -> None:
    if not tokens or preferences.shape != (len(tokens), len(tokens)) or preferences.dtype != np.float64:
        raise BundleError(
            f"its preferences are {preferences.dtype} {preferences.shape}, not float64 (anchors, anchors)",
            path=path,
            remedy="export the bundle again",
        )
    for index, token in enumerate(tokens):
        known = token.ndim == axes and 0 not in token.shape and token.dtype == np.float32
        if not known or token.shape[1:] != tokens[0].shape[1:]:
            raise BundleError(
                f"its anchor {index} is {token.dtype} {token.shape}, not float32 of {axes} axes, seconds first",
                path=path,
                remedy="export the bundle again",
            )
    if not np.isfinite(preferences).all() or not all(np.isfinite(token).all() for token in tokens):
        raise BundleError("holds numbers that are not finite", path=path, remedy="export the bundle again")


def _entry(card: Mapping[str, Any], key: str, kind: type[_Value], folder: Path) -> _Value:
    value = card.get(key)
    if not isinstance(value, kind):
        raise BundleError(f"its card has no valid {key!r}", path=folder / CARD, remedy="export the bundle again")
    return value


def _kind(card: Mapping[str, Any], folder: Path) -> _Kind:
    """Return what is known of the kind of student that a card names."""
    kind = _entry(card, "student", str, folder)
    if kind not in _KINDS:
        raise BundleError(
            f"holds a student of unknown kind {kind!r}", path=folder / CARD, remedy="install a newer w2svqa"
        )
    return _KINDS[kind]


def _loader(name: str) -> Callable[..., Student]:
    module, _, attributes = name.partition(":")
    target: Any = import_module(module)
    for attribute in attributes.split("."):
        target = getattr(target, attribute)
    loader: Callable[..., Student] = target
    return loader
