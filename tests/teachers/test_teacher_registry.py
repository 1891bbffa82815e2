from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.core.errors import ConfigError, MissingInputError
from w2svqa.core.registry import Registry
from w2svqa.teachers import registry
from w2svqa.teachers.registry import TEACHERS, load_teacher

FACTS = ("name", "higher_is_better", "range", "needs_reference", "needs_parameters")


class Bare:
    """A teacher of another package that needs no parameters."""

    name = "bare"
    version = "1"
    higher_is_better = True
    range = (0.0, 1.0)

    @classmethod
    def load(cls, folder: Path | None) -> Bare:
        assert folder is None
        return cls()

    def score(self, chunks: object) -> float:
        del chunks
        return 0.5


class Mute(Bare):
    """One that cannot score."""

    score = None  # type: ignore[assignment]  # the fault under test


class Unloadable:
    name = "unloadable"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {kind.__name__.lower(): f"{__name__}:{kind.__name__}" for kind in (Bare, Mute, Unloadable)}
    monkeypatch.setattr(registry, "TEACHERS", Registry("teacher", table))


def test_the_names_are_fixed() -> None:
    assert {"brisque", "cnniqa", "niqe", "vmaf"} <= set(TEACHERS)


@pytest.mark.parametrize("name", ["brisque", "cnniqa", "niqe", "vmaf"])
def test_every_class_has_the_facts_under_its_own_name(name: str) -> None:
    kind = TEACHERS.load(name)
    assert {fact for fact in FACTS if not hasattr(kind, fact)} == set()
    assert getattr(kind, "name", None) == name


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown teacher 'niqee' \(did you mean 'niqe'\?"):
        load_teacher("niqee", None)


def test_vmaf_does_not_score_alone() -> None:
    with pytest.raises(ConfigError, match="'vmaf' compares with a reference"):
        load_teacher("vmaf", None)


def test_parameters_must_be_named() -> None:
    with pytest.raises(ConfigError, match="'niqe' has no parameters"):
        load_teacher("niqe", None)


@pytest.mark.parametrize("name", ["brisque", "cnniqa", "niqe"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="nowhere: no such folder"):
        load_teacher(name, tmp_path / "nowhere")


@pytest.mark.usefixtures("others")
def test_teachers_of_other_packages_are_held_to_the_protocol() -> None:
    assert load_teacher("bare", None).score([]) == 0.5
    with pytest.raises(ConfigError, match="'mute' lacks a part of the protocol"):
        load_teacher("mute", None)
    with pytest.raises(ConfigError, match="'unloadable' has no way to be loaded"):
        load_teacher("unloadable", None)
