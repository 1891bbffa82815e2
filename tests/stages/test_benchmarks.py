"""The benchmarks: the paper's counts, names that are found or nearly, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.core.errors import ConfigError
from w2svqa.stages.benchmark_table import BENCHMARKS
from w2svqa.stages.benchmarks import Benchmark, find_benchmarks

pytest.importorskip("yaml")

PAPER = {
    "in-domain": {"lsvq-test": 7182, "lsvq-1080p": 3573, "konvid-1k": 1200, "live-vqc": 585, "youtube-ugc": 1020},
    "OOD": {"live-yt-gaming": 600, "cgvds": 357, "live-yt-hfr": 480, "waterloo-ivc-4k": 1200, "kvq": 2926},
}


def test_the_ten_have_the_counts_of_the_paper() -> None:
    found = {
        group: {each.name: each.videos for each in BENCHMARKS if each.group == group} for group in ("in-domain", "OOD")
    }
    assert found == PAPER
    assert {each.name: (each.videos, each.published) for each in BENCHMARKS if each.videos < each.published} == {
        "youtube-ugc": (1020, 1380),
        "cgvds": (357, 360),
        "kvq": (2926, 4200),
    }


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda each: each.name)
def test_each_says_where_it_is_from(benchmark: Benchmark) -> None:
    assert benchmark.page.startswith("https://")
    assert benchmark.citation
    assert benchmark.split
    assert benchmark.scale != "unknown"
    assert benchmark.higher_is_better


@pytest.mark.parametrize(
    ("name", "video", "content", "distortion"),
    [
        ("live-yt-hfr", "1Runner_crf_0_24fps.mp4", "1Runner", "24fps"),
        ("waterloo-ivc-4k", "HEVC_01_960x540_1.mp4", "01", "HEVC"),
        ("cgvds", "Overwatch_2_30_30fps_640x480_30_300_h264_nvenc.mp4", "Overwatch", "640x480_30"),
        ("cgvds", "LoL_TF_30s_1_30_640x480_30_1000_h264_nvenc.mp4", "LoL_TF", "640x480_30"),
        ("live-yt-gaming", "AgeEmpires-001.mp4", "AgeEmpires", ""),
        ("lsvq-test", "yfcc-batch1/747.mp4", "yfcc-batch1/747.mp4", ""),
    ],
)
def test_content_and_distortion_come_from_names(name: str, video: str, content: str, distortion: str) -> None:
    [benchmark] = find_benchmarks([name])
    assert (benchmark.content_of(video), benchmark.distortion_of(video)) == (content, distortion)


def test_names_titles_and_groups_are_found_once_each() -> None:
    assert [each.name for each in find_benchmarks(["KoNViD-1k", "konvid-1k"])] == ["konvid-1k"]
    assert len(find_benchmarks(["all", "ood"])) == 10
    assert [each.name for each in find_benchmarks(["ood"])] == list(PAPER["OOD"])


def test_an_unknown_name_shows_a_near_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown benchmark 'live-qvc'.*did you mean 'live-vqc'"):
        find_benchmarks(["live-qvc"])


def test_a_file_of_ones_own_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nratings: mos.csv\nvideos_folder: v\nhigher_is_better: false\ncontent: '(.)_'\n")
    [mine] = find_benchmarks([str(path)])
    assert (mine.ratings, mine.videos_folder) == (str(tmp_path / "mos.csv"), str(tmp_path / "v"))
    assert (mine.shown, mine.group, mine.license, mine.higher_is_better) == ("mine", "other", "unknown", False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nmae: mine\n", "did you mean 'name'"),
        ("name: mine\ncontent: '('\n", "no regular expression"),
        ("name: mine\ncontent: 'a.*'\n", "no group in parentheses"),
        ("name: mine\nvideos: -1\n", "0 or more"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        find_benchmarks([str(path)])
