"""A bundle loads whole or not at all: everything that can be wrong with one is a BundleError of one line."""

from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_paths import foreign_paths

from w2svqa.core.errors import BundleError, ConfigError
from w2svqa.core.levels import LEVELS
from w2svqa.preference.scale import Scale
from w2svqa.students.bundle import (
    ANCHORS,
    CARD,
    SHIPPED,
    WEIGHTS,
    load_bundle,
    read_card,
    write_anchors,
    write_card,
)
from w2svqa.students.compact import CompactConfig, CompactModel
from w2svqa.students.onnx_export import check_parity, export_onnx
from w2svqa.students.runtime import COMPARATOR, DIAGNOSIS, ENCODER, CompactStudent, DiagnosisScale
from w2svqa.students.views import MOTION_SPEC

KINDS = ("blur", "noise")
PREFERENCES = np.array([[0.5, 0.2], [0.8, 0.5]])
TOKENS = tuple(np.full((seconds, 8), seconds, np.float32) for seconds in (1, 3))
SCALE = Scale(anchor_positions=(-1.0, 1.0), latent_zero=-2.0, latent_hundred=2.0)
CARD_TEXT = {
    "name": "tiny",
    "student": "compact",
    "kinds": list(KINDS),
    "motion": True,
    "diagnosis": {"temperature": 2.0, "none_bias": 0.5},
    "scale": SCALE.to_dict(),
}


@pytest.fixture(scope="session")
def model() -> CompactModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CompactModel(CompactConfig(widths=(2, 2, 4, 4), token=8, hidden=4, kinds=KINDS)).eval()


@pytest.fixture(scope="session")
def exported(model: CompactModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle; tests copy it."""
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(model, folder)
    write_anchors(folder, TOKENS, PREFERENCES)
    write_card(folder, CARD_TEXT)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "bundle")


def edit_card(folder: Path, **entries: object) -> None:
    """Change entries of the card; ``None`` removes one."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    changed = {key: value for key, value in (card | entries).items() if value is not None}
    (folder / CARD).write_text(json.dumps(changed), encoding="utf-8")


def vouch(folder: Path, name: str) -> None:
    """Let the card have the right hash of a file that was changed."""
    files = json.loads((folder / CARD).read_text(encoding="utf-8"))["files"]
    edit_card(folder, files=files | {name: sha256((folder / name).read_bytes()).hexdigest()})


def refused(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert caught.value.remedy
    assert caught.value.path is not None
    return message


def test_a_bundle_loads_with_all_that_was_written(bundle: Path, model: CompactModel) -> None:
    loaded = load_bundle(bundle)
    assert isinstance(loaded.student, CompactStudent)
    assert loaded.student.name == "tiny"
    assert loaded.student.clip_spec == MOTION_SPEC
    assert loaded.student.diagnosis_scale == DiagnosisScale(temperature=2, none_bias=0.5)
    assert check_parity(model, loaded.student) <= 1e-4
    assert [token.tolist() for token in loaded.anchors] == [token.tolist() for token in TOKENS]
    assert (loaded.preferences == PREFERENCES).all()
    assert Scale.from_dict(loaded.scale_mapping) == SCALE
    assert loaded.folder == bundle
    assert loaded.card["levels"] == list(LEVELS)
    assert set(loaded.card["files"]) == {ENCODER, COMPARATOR, DIAGNOSIS, WEIGHTS, ANCHORS}


def test_no_file_knows_the_machine_it_was_made_on(exported: Path) -> None:
    assert {path.name: foreign_paths(path) for path in exported.iterdir()} == {
        path.name: [] for path in exported.iterdir()
    }


def test_the_same_model_is_exported_to_the_same_files(exported: Path, model: CompactModel, tmp_path: Path) -> None:
    export_onnx(model, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (exported / path.name).read_bytes(), path.name
        assert path.stat().st_mode == (exported / CARD).stat().st_mode


def test_files_of_others_in_the_folder_do_no_harm(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine", encoding="utf-8")
    assert load_bundle(bundle).card["name"] == "tiny"


@pytest.mark.parametrize("name", [ENCODER, COMPARATOR, DIAGNOSIS, WEIGHTS, ANCHORS])
def test_one_bit_is_enough_to_refuse_a_file(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    message = refused(bundle)
    assert f"{name}: is damaged: its hash differs" in message


@pytest.mark.parametrize("name", [ENCODER, ANCHORS, WEIGHTS])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"{name}: cannot be read: No such file" in refused(bundle)


@pytest.mark.parametrize("name", [ENCODER, COMPARATOR, DIAGNOSIS, ANCHORS])
def test_no_file_is_read_that_no_hash_vouches_for(bundle: Path, name: str) -> None:
    files = read_card(bundle)["files"]
    edit_card(bundle, files={key: value for key, value in files.items() if key != name})
    assert f"does not list {name}" in refused(bundle)


def test_a_folder_in_the_place_of_a_file(bundle: Path) -> None:
    (bundle / ANCHORS).unlink()
    (bundle / ANCHORS).mkdir()
    assert f"{ANCHORS}: cannot be read" in refused(bundle)


@pytest.mark.parametrize(
    "name",
    ["../outside", "..", ".", "", "sub/file", "/etc/hostname", "C:file", "..\\outside", "sub\\file", "file\nname"],
)
def test_the_card_lists_only_files_of_its_folder(bundle: Path, name: str) -> None:
    (bundle.parent / "outside").write_bytes(b"there")
    (bundle / "sub").mkdir()
    (bundle / "sub" / "file").write_bytes(b"there")
    edit_card(bundle, files=read_card(bundle)["files"] | {name: sha256(b"there").hexdigest()})
    assert "is no file name" in refused(bundle)


@pytest.mark.parametrize("value", [12, None, ["00"], {}])
def test_a_hash_that_is_none(bundle: Path, value: object) -> None:
    edit_card(bundle, files=read_card(bundle)["files"] | {ANCHORS: value})
    assert f"{ANCHORS}: is damaged" in refused(bundle)


@pytest.mark.parametrize("cut", [0, 0.001, 0.1, 0.5, 0.99])
def test_truncated_anchors_with_a_right_hash(bundle: Path, cut: float) -> None:
    content = (bundle / ANCHORS).read_bytes()
    (bundle / ANCHORS).write_bytes(content[: int(cut * len(content))])
    vouch(bundle, ANCHORS)
    assert f"{ANCHORS}: is damaged" in refused(bundle)


def test_anchors_with_any_byte_changed_load_or_are_refused(bundle: Path) -> None:
    content = (bundle / ANCHORS).read_bytes()
    random = np.random.default_rng(0)
    outcomes = []
    for position in random.permutation(len(content))[:200].tolist():
        changed = bytearray(content)
        changed[position] ^= int(random.integers(1, 256))
        (bundle / ANCHORS).write_bytes(changed)
        vouch(bundle, ANCHORS)
        try:
            load_bundle(bundle)
        except BundleError as error:
            outcomes.append(ANCHORS in str(error))
    assert all(outcomes)
    assert len(outcomes) > 50


def save_anchors(folder: Path, **arrays: Any) -> None:  # noqa: ANN401 (what np.savez takes)
    np.savez(folder / ANCHORS, **arrays)
    vouch(folder, ANCHORS)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"preferences": PREFERENCES},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0]},
        {"anchor_0": TOKENS[0], "anchor_1": TOKENS[1]},
        {"preferences": np.float64(0.5)},
        {"preferences": np.empty((0, 0))},
        {"preferences": PREFERENCES[:1], "anchor_0": TOKENS[0]},
        {"preferences": PREFERENCES.astype(object), "anchor_0": TOKENS[0], "anchor_1": TOKENS[1]},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0][0], "anchor_1": TOKENS[1]},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0][:0], "anchor_1": TOKENS[1]},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0], "anchor_1": TOKENS[1][:, :4]},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0], "anchor_1": np.array([["text"]])},
        {"preferences": PREFERENCES, "anchor_0": TOKENS[0], "anchor_1": TOKENS[1] * np.float32(np.nan)},
        {"preferences": PREFERENCES * np.inf, "anchor_0": TOKENS[0], "anchor_1": TOKENS[1]},
    ],
)
def test_anchors_of_a_wrong_shape_or_type_are_refused(bundle: Path, arrays: dict[str, Any]) -> None:
    save_anchors(bundle, **arrays)
    assert f"{ANCHORS}: " in refused(bundle)


def test_a_bare_array_is_no_anchors(bundle: Path) -> None:
    with (bundle / ANCHORS).open("wb") as file:
        np.save(file, PREFERENCES)
    vouch(bundle, ANCHORS)
    assert "no NumPy archive" in refused(bundle)


@pytest.mark.parametrize("name", [ENCODER, COMPARATOR, DIAGNOSIS])
@pytest.mark.parametrize("content", [b"", b"text", bytes(1000), b"\xff" * 1000])
def test_a_network_that_is_none_with_a_right_hash(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)
    vouch(bundle, name)
    assert f"{name}: cannot be loaded" in refused(bundle)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_network_with_a_right_hash(bundle: Path, share: float) -> None:
    content = (bundle / ENCODER).read_bytes()
    (bundle / ENCODER).write_bytes(content[: int(share * len(content))])
    vouch(bundle, ENCODER)
    assert f"{ENCODER}: cannot be loaded" in refused(bundle)


def test_a_network_with_any_byte_changed_loads_or_is_refused(bundle: Path) -> None:
    content = (bundle / COMPARATOR).read_bytes()
    random = np.random.default_rng(0)
    refusals: list[str] = []
    for position in random.permutation(len(content))[:60].tolist():
        changed = bytearray(content)
        changed[position] ^= int(random.integers(1, 256))
        (bundle / COMPARATOR).write_bytes(changed)
        vouch(bundle, COMPARATOR)
        try:
            load_bundle(bundle)
        except BundleError as error:
            refusals.append(str(error))
    assert refusals
    assert not [message for message in refusals if len(message.splitlines()) != 1]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"format": "other"}, "is no student bundle"),
        ({"format": None}, "is no student bundle"),
        ({"format_version": 1}, "has format version 1, this w2svqa reads 2"),
        ({"format_version": None}, "has format version None"),
        ({"levels": ["bad", "good"]}, "has other levels: ['bad', 'good']"),
        ({"levels": list(reversed(LEVELS))}, "has other levels"),
        ({"levels": None}, "has other levels"),
        ({"student": "giant"}, "unknown kind 'giant'"),
        ({"student": 3}, "no valid 'student'"),
        ({"scale": [1]}, "no valid 'scale'"),
        ({"scale": None}, "no valid 'scale'"),
        ({"files": None}, "no valid 'files'"),
        ({"files": {}}, f"does not list {ANCHORS}"),
        ({"kinds": None}, "no list 'kinds'"),
        ({"motion": 1}, "'motion' 1, not true or false"),
        ({"diagnosis": [1]}, "no valid 'diagnosis'"),
        ({"diagnosis": {"temperature": 0}}, "no valid 'diagnosis'"),
        ({"diagnosis": {"temperature": 10**400}}, "no valid 'diagnosis'"),
        ({"diagnosis": {"none_bias": None}}, "no valid 'diagnosis'"),
        ({"diagnosis": {"sharpness": 1}}, "no valid 'diagnosis'"),
    ],
)
def test_cards_that_cannot_be_used(bundle: Path, entries: dict[str, object], expected: str) -> None:
    edit_card(bundle, **entries)
    assert expected in refused(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"text", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b'"card"'])
def test_a_card_that_is_no_card(bundle: Path, content: bytes) -> None:
    (bundle / CARD).write_bytes(content)
    assert CARD in refused(bundle)


def test_a_folder_without_a_card(bundle: Path) -> None:
    (bundle / CARD).unlink()
    assert f"{bundle}: has no {CARD}" in refused(bundle)


def test_a_card_that_may_not_be_read(bundle: Path) -> None:
    (bundle / CARD).unlink()
    (bundle / CARD).mkdir()
    assert f"{CARD}: cannot be read: Is a directory" in refused(bundle)


def test_a_file_is_no_bundle(bundle: Path) -> None:
    assert "is no folder" in refused(bundle / CARD)


@pytest.mark.parametrize("name", ["nowhere", "bundle/nowhere", "two\nlines", "nul\0byte", "x" * 5000])
def test_a_name_that_does_not_exist(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path / name)
    assert "no such student" in message or "cannot be read" in message
    assert SHIPPED[0] in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_may_not_be_entered(bundle: Path) -> None:
    bundle.parent.chmod(0)
    try:
        assert "cannot be read: Permission denied" in refused(bundle)
    finally:
        bundle.parent.chmod(0o755)


def test_the_card_is_the_same_for_the_same_files(bundle: Path, exported: Path) -> None:
    write_anchors(bundle, TOKENS, PREFERENCES)
    write_card(bundle, CARD_TEXT)
    assert (bundle / CARD).read_bytes() == (exported / CARD).read_bytes()


def test_a_compact_student_has_no_options(bundle: Path) -> None:
    assert load_bundle(bundle, {}).student.name == "tiny"
    with pytest.raises(ConfigError, match="a compact student has no options, such as 'dtype'"):
        load_bundle(bundle, {"dtype": "float32"})
