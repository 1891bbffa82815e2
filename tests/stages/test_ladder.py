"""A student measured from clips to figures, beside a teacher."""

from __future__ import annotations

from dataclasses import replace

import pytest
from brightness_student import BrightnessStudent, brightness_bundle
from ladder_fakes import LadderBrightnessStudent, ladder, row, write_clip

from w2svqa.core.errors import BundleError
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.stages.ladder import LEAST_SOURCES, Ladder, differences, look, measure
from w2svqa.stages.ladder_items import LadderConfig, LadderItems, build_items
from w2svqa.students.bundle import Bundle

KNOWN = ("darkening",)


def bundle() -> Bundle:
    made = brightness_bundle(LadderBrightnessStudent())
    return replace(made, card={"kinds": list(KNOWN)})


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> LadderItems:
    folder = tmp_path_factory.mktemp("ladder")
    clips = [write_clip(folder / f"{seed}.mkv", seed=seed, source=f"owner{seed}/videos") for seed in range(3)]
    config = LadderConfig(kinds=("blur", "darkening"), vmaf_frames=0)
    built = build_items(clips, folder / "cache", media=folder, teachers={}, config=config)
    # a teacher that knows the truth about blur and nothing else
    truth = {row.version_id: -float(row.level) if row.kind == "blur" else 0.0 for row in built.rows}
    return replace(built, scores={"blurry": truth})


@pytest.fixture(scope="module")
def found(items: LadderItems) -> Ladder:
    return measure(bundle(), items, threads=2)


def test_a_student_of_brightness_orders_darkening(found: Ladder) -> None:
    assert found.figures["within/darkening"].value == 1.0
    assert found.figures["clean_order/darkening"].value == 1.0
    assert found.figures["timeline/darkening"].value == 1.0
    assert found.figures["timeline/darkening"].n == 3 * 2 * 3  # clips, levels, seconds
    assert found.counts == {
        "manifest_clips": 3,
        "clips": 3,
        "primaries": 3,
        "sources": 3,
        "versions": found.counts["versions"],
        "seconds": 3 * found.counts["versions"],
    }


def test_reasons_are_asked_of_known_kinds_alone(found: Ladder) -> None:
    assert found.figures["reasons"].n == found.figures["reasons/darkening"].n == 9
    assert "reasons/blur" not in found.figures


def test_raw_scores_are_those_of_the_judge(items: LadderItems) -> None:
    made = bundle()
    judge = AnchoredJudge(made.student, made.anchors, Scale.from_dict(made.scale_mapping))
    seen = look(made, items, KNOWN)
    last = items.rows[-1]
    tokens = LadderBrightnessStudent().encode_looks(items.looks(last))
    assert seen.raw[last.version_id] == judge.score([tokens]).raw[0]
    seconds = judge.score([tokens[second : second + 1] for second in range(3)])
    assert seen.seconds[last.version_id].tolist() == seconds.value.tolist()


def test_threads_change_nothing(items: LadderItems, found: Ladder) -> None:
    alone = measure(bundle(), items, threads=1)
    assert {name: figure.value for name, figure in alone.figures.items() if figure.n} == {
        name: figure.value for name, figure in found.figures.items() if figure.n
    }


def test_where_the_teacher_is_better_is_listed(found: Ladder) -> None:
    lost = {each.name: each for each in found.lost}
    assert {"within/blur", "clean_order/blur"} & set(lost)
    assert "within/darkening" not in lost
    assert found.teachers["blurry"]["within/darkening"].value == 0.0
    assert [each.value for each in found.lost] == sorted(each.value for each in found.lost)


def test_targets_that_are_missed_or_not_there_are_named(found: Ladder) -> None:
    assert "vmaf_srcc" in found.missed  # nothing measured it
    assert "timeline/darkening" not in {figure.name for figure in found.below_floor}


def test_differences_are_of_common_items() -> None:
    rows = ladder("blur", [1, 2, 3, 4])
    perfect = {row.version_id: -float(row.level) for row in rows}
    some = {key: value for key, value in perfect.items() if key != "clip-blur-4"}
    found = {each.name: each for each in differences(rows, perfect, "other", some)}
    assert found["within/blur"].value == 0.0
    assert found["pair_accuracy"].n == 3  # of levels 0 to 3
    assert not found["within/blur"].significant


@pytest.mark.parametrize(("sources", "significant"), [(LEAST_SOURCES, True), (LEAST_SOURCES - 1, False)])
def test_few_sources_are_no_proof(sources: int, significant: bool) -> None:
    rows = [
        each
        for index in range(sources)
        for each in (
            row("none", 0, clip=str(index), source=f"owner{index}/clips"),
            row("blur", 5, clip=str(index), source=f"owner{index}/clips"),
        )
    ]
    right = {each.version_id: -float(each.level) for each in rows}
    wrong = {key: -value for key, value in right.items()}
    found = {each.name: each for each in differences(rows, right, "other", wrong)}
    assert found["clean_order"].value == 1.0
    assert found["clean_order"].significant is significant


def test_a_student_that_cannot_read_looks_is_refused(items: LadderItems) -> None:
    with pytest.raises(BundleError, match="cannot read looks"):
        measure(brightness_bundle(BrightnessStudent()), items)
