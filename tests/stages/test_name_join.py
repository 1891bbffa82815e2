"""Names of the same videos in two lists."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.stages.name_join import join_names

UGC = r"_crf_\d+_ss_\d+_t_[\d.]+$"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a.mp4", "a.mp4"),
        ("a.mp4", "/data/set/a.mp4"),
        ("KoNViD_1k_videos/12.mp4", "elsewhere/12.mp4"),
        ("12", "x/12.mp4"),
        ("12.mp4", "12.avi"),
        ("Clip.MP4", "clip.mp4"),
        ("set\\b.mp4", "set/b.mp4"),
        ("./a.mp4", "a.mp4"),
        ("Animation_360P-24d4", "videos/Animation_360P-24d4_crf_10_ss_00_t_20.0.mp4"),
        ("Vlog_1_crf_10_ss_00_t_20.0.mp4", "Vlog_1"),
        ("GoldEagle.50AE.mp4", "ia/GoldEagle.50AE.mkv"),
    ],
)
def test_variants_of_a_name_are_one_video(name: str, other: str) -> None:
    found = join_names([name], [other], dropped=UGC)
    assert found.pairs == {name: other}
    assert (found.missing, found.extra, found.ambiguous) == ((), (), {})


def test_a_dot_in_a_name_is_no_suffix() -> None:
    assert not join_names(["t_20.0"], ["t_20.mp4"]).pairs


def test_more_of_a_path_tells_equal_names_apart() -> None:
    found = join_names(["b1/7.mp4", "b2/7.mp4"], ["x/b2/7.mp4", "x/b1/7.mp4"])
    assert found.pairs == {"b1/7.mp4": "x/b1/7.mp4", "b2/7.mp4": "x/b2/7.mp4"}


def test_what_fits_several_fits_none() -> None:
    found = join_names(["7.mp4", "8"], ["b1/7.mp4", "b2/7.mp4"])
    assert found.pairs == {}
    assert found.ambiguous == {"7.mp4": ("b1/7.mp4", "b2/7.mp4")}
    assert found.missing == ("8",)
    assert found.extra == ()


def test_two_names_of_one_video_are_both_refused() -> None:
    found = join_names(["7.mp4", "7.avi"], ["7.mkv"])
    assert found.pairs == {}
    assert set(found.ambiguous) == {"7.mp4", "7.avi"}


def test_an_exact_name_goes_before_a_variant() -> None:
    found = join_names(["7.avi", "7.mp4"], ["7.mp4", "7.mkv"])
    assert found.pairs["7.mp4"] == "7.mp4"
    assert found.pairs["7.avi"] == "7.mkv"


def test_what_did_not_fit_is_told() -> None:
    found = join_names([f"{number}.mp4" for number in range(9)], ["x.mp4"])
    lines = list(found.lines("ratings", "videos"))
    assert lines[0].startswith("9 ratings without videos: 0.mp4, 1.mp4")
    assert lines[0].endswith("and 4 more")
    assert lines[1] == "1 videos without ratings: x.mp4"


@given(
    st.lists(st.from_regex(r"[ab]{1,2}(/[ab]{1,2})?(\.mp4)?", fullmatch=True), unique=True, max_size=8), st.randoms()
)
def test_every_name_is_told_once_and_no_video_is_given_twice(names: list[str], random: Random) -> None:
    half = len(names) // 2
    first, second = names[:half], names[half:]
    found = join_names(first, second)
    assert sorted([*found.pairs, *found.missing, *found.ambiguous]) == sorted(first)
    assert len(set(found.pairs.values())) == len(found.pairs)
    assert not set(found.extra) & set(found.pairs.values())
    shuffled = list(second)
    random.shuffle(shuffled)
    assert join_names(first, shuffled).pairs == found.pairs
