"""The frozen manifests: no clip and no source that a student learns from is one it is measured on."""

from __future__ import annotations

from itertools import combinations

import pytest
from repository import ROOT

from w2svqa.stages.ladder_intervals import owner_of
from w2svqa.stages.ladder_manifest import LadderClip, check_unseen, read_clips
from w2svqa.students.bundle import load_bundle

NAMES = ("training", "tuning", "final")
# Licences under which a clip may be learned from; none of the evaluation's clips has one.
LICENSES = {"MIT", "BSD", "ISC", "Zlib", "Apache-2.0", "MPL-2.0", "Unlicense"} | {
    "CC0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-SA-2.5",
}


def clips_of(name: str) -> tuple[LadderClip, ...]:
    return read_clips(ROOT / "benchmarks" / "manifests" / f"{name}.csv")


@pytest.mark.parametrize(("one", "other"), list(combinations(NAMES, 2)))
def test_manifests_share_no_clip_and_no_repository(one: str, other: str) -> None:
    for fact in ("sha256", "name", "source"):
        shared = {getattr(clip, fact) for clip in clips_of(one)} & {getattr(clip, fact) for clip in clips_of(other)}
        assert shared == set(), fact


def test_final_shares_no_owner_with_the_others() -> None:
    owners = {name: {owner_of(clip.source) for clip in clips_of(name)} for name in NAMES}
    assert owners["final"] & (owners["training"] | owners["tuning"]) == set()
    # one owner of unrelated repositories gives both: allowed for tuning alone, see docs/evaluation.md
    assert owners["tuning"] & owners["training"] == {"facebookresearch"}


def test_only_training_has_clips_under_the_listed_licenses() -> None:
    assert {clip.license for clip in clips_of("training")} <= LICENSES
    assert {clip.license for name in ("tuning", "final") for clip in clips_of(name)} & LICENSES == set()


def test_clips_are_listed_once_and_have_whole_hashes() -> None:
    for name in NAMES:
        clips = clips_of(name)
        assert len({clip.sha256 for clip in clips}) == len(clips)
        assert all(len(clip.sha256) == 64 and int(clip.sha256, 16) >= 0 for clip in clips)


def test_final_is_large_enough() -> None:
    final = clips_of("final")
    assert sum(clip.primary for clip in final) >= 13
    assert len(final) >= 40
    assert len({owner_of(clip.source) for clip in final}) >= 20


def test_shipped_student_was_made_from_none_of_them() -> None:
    card = load_bundle().card
    for name in ("tuning", "final"):
        check_unseen(card, clips_of(name))
