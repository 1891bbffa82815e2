"""A data set that is given away comes back, names nothing of this machine, and bad lists are told item by item."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.config import to_mapping
from w2svqa.core.errors import InputError, MissingInputError, StoreError
from w2svqa.core.levels import LEVELS
from w2svqa.core.rows import PoolPairRow, PseudoLabelRow, VideoRow
from w2svqa.core.store import read_artifact, write_artifact
from w2svqa.core.tables import read_rows
from w2svqa.stages.pool_dataset import FILES, DatasetVideoRow, dataset_videos, export_dataset, import_dataset
from w2svqa.stages.pool_json import QUESTION, item_of, read_pairs_json
from w2svqa.teachers.calibration import Logistic
from w2svqa.teachers.pool_scale import PoolCalibration, PoolFit

Item = dict[str, object]


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def video(name: str, *, license: str = "CC0", path: str = "/srv/someone/pool/x.mp4", level: int = 0) -> VideoRow:  # noqa: A002 - the column's name
    kind = "blur" if level else ""
    return VideoRow(
        clip_id=digest(name)[:16], path=path, name=name, sha256=digest(name), source="s", license=license,
        primary="a.mp4" if level else "", kind=kind, level=level,
    )  # fmt: skip


def pair(first: str, second: str, level: int, source: str = "ensemble", uncertainty: float = 2.5) -> PoolPairRow:
    return PoolPairRow(
        first=digest(first)[:16],
        second=digest(second)[:16],
        level=level,
        source=source,
        uncertainty=uncertainty,
        stage=1,
    )


VIDEOS = [video("a.mp4"), video("set/b.mp4", license="MIT"), video("c.png", license=""), video("a-blur.mp4", level=1)]
PAIRS = [
    pair("a.mp4", "set/b.mp4", 4),
    pair("c.png", "a.mp4", 2),
    pair("a-blur.mp4", "a.mp4", 3, "severity", 0.0),
]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    folder = tmp_path / "labelled"
    labels = [PseudoLabelRow(clip_id=row.clip_id, mean=50.0, variance=3.0, teachers=2) for row in VIDEOS[:3]]
    curve = Logistic(low=3, high=97, centre=0.5, width=0.1, higher_is_better=False)
    fit = PoolFit(
        teacher="scores:/srv/someone/own.csv", curve=curve, against="consensus", videos=99, spearman=0.8,
        deviation=7.0, weight=1.0,
    )  # fmt: skip
    calibration = PoolCalibration(against="consensus", fits=(fit,), refused=(("liar", "it contradicts"),), rounds=3)
    extra = {"calibration": to_mapping(calibration), "versions": {fit.teacher: "7"}}
    write_artifact(folder / "videos", [*VIDEOS, video("unused.mp4")], VideoRow, kind="videos", config={})
    write_artifact(folder / "labels", labels, PseudoLabelRow, kind="labels", config={}, extra=extra)
    write_artifact(folder / "pairs", PAIRS, PoolPairRow, kind="pairs", config={"balance": True}, seed=3)
    return folder


def test_what_is_given_away_comes_back(labelled: Path, tmp_path: Path) -> None:
    export_dataset(labelled, tmp_path / "set")
    found = import_dataset(tmp_path / "set" / "pairs.json", tmp_path / "back")
    assert found.problems == []
    assert found.pairs == PAIRS == read_artifact(tmp_path / "back" / "pairs", PoolPairRow, kind="pairs").rows
    back = read_artifact(tmp_path / "back" / "videos", VideoRow, kind="videos").rows
    assert {(row.clip_id, row.name, row.sha256) for row in back} == {
        (row.clip_id, row.name, row.sha256) for row in VIDEOS
    }


def test_the_folder_holds_what_it_says(labelled: Path, tmp_path: Path) -> None:
    sheet = export_dataset(labelled, tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == sorted(FILES)
    assert read_rows(tmp_path / "set" / "pairs.parquet", PoolPairRow) == PAIRS
    assert read_rows(tmp_path / "set" / "videos.parquet", DatasetVideoRow)[1].license == "MIT"
    assert len(read_rows(tmp_path / "set" / "labels.parquet", PseudoLabelRow)) == 3
    text = sheet.read_text(encoding="utf-8")
    for line in (
        "| CC0 | 2 |",
        "| unknown | 1 |",
        "| ensemble | 0 | 0 | 1 | 0 | 1 | 2 |",
        "Left out: liar",
        "(-x - 0.5)",
    ):
        assert line in text
    assert "| scores:own.csv | 7 | 1 | 99 | 0.800 | 7.00 |" in text
    export_dataset(labelled, tmp_path / "set")  # again, over itself
    assert sheet.read_text(encoding="utf-8") == text


def test_no_path_of_this_machine_leaves_it(labelled: Path, tmp_path: Path) -> None:
    export_dataset(labelled, tmp_path / "set")
    for path in (tmp_path / "set").iterdir():
        assert b"/home" not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()


def test_the_form_of_the_authors(labelled: Path, tmp_path: Path) -> None:
    export_dataset(labelled, tmp_path / "set")
    item = json.loads((tmp_path / "set" / "pairs.json").read_text(encoding="utf-8"))[0]
    assert item["image"] == ["a.mp4", "set/b.mp4"]
    assert item["frames per sec"] == 1
    question, answer = item["conversations"]
    assert question == {"from": "human", "value": QUESTION}
    assert answer == {"from": "gpt", "value": "The quality of the second video is superior to the first video."}
    assert QUESTION.count("<image>") == 4


def test_a_pair_of_pictures_has_no_frame_rate() -> None:
    assert "frames per sec" not in item_of(PAIRS[0], "a.png", "b.JPG", ("", ""))
    assert "frames per sec" in item_of(PAIRS[0], "a.png", "b.mp4", ("", ""))


def test_a_folder_that_holds_something_else_is_left_alone(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"something else than a data set: thesis\.tex"):
        export_dataset(labelled, tmp_path / "set")
    with pytest.raises(InputError, match="no folder to write to"):
        export_dataset(labelled, tmp_path / "set" / "thesis.tex")


def test_pairs_of_unlisted_videos_are_not_given_away(labelled: Path, tmp_path: Path) -> None:
    write_artifact(labelled / "pairs", [pair("a.mp4", "gone.mp4", 1)], PoolPairRow, kind="pairs", config={})
    with pytest.raises(StoreError, match="1 videos that are not listed"):
        export_dataset(labelled, tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("/x/y.mp4", "y.mp4"),
        ("../../y.mp4", "y.mp4"),
        ("C:\\x\\y.mp4", "y.mp4"),
        ("a/./y.mp4", "a/y.mp4"),
        ("/", "unnamed"),
    ],
)
def test_names_are_relative(name: str, given: str) -> None:
    assert dataset_videos([video(name)])[0].name == given


# --- lists of others --------------------------------------------------------------------------------------------------


def item(first: str = "a.mp4", second: str = "b.mp4", word: str = "worse", **more: object) -> Item:
    answer = f"The quality of the second video is {word} to the first video."
    turns = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": answer}]
    return {"image": [first, second], "frames per sec": 1, "conversations": turns} | more


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_their_example_with_its_comma_too_many(tmp_path: Path) -> None:
    text = json.dumps([item(first="a,]", word="similar")])[:-1] + ",\n]"
    (found,) = read_pairs_json(written(tmp_path, text)).pairs
    assert (found.level, found.source, found.uncertainty, found.stage) == (2, "import", 0.0, 1)
    assert read_pairs_json(written(tmp_path, text)).videos[0].name == "a,]"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("text", "is no record"),
        ({}, "has no 'image'"),
        (item() | {"image": "a.mp4"}, "no list of two names"),
        (item() | {"image": ["a.mp4"]}, "holds 1 entries"),
        (item() | {"image": ["a.mp4", 3]}, "not two names"),
        (item(second="a.mp4"), "compares 'a.mp4' with itself"),
        (item() | {"conversations": None}, "has no answer"),
        (item() | {"conversations": [{"from": "gpt", "value": "I cannot tell"}]}, 'names no level: "I cannot tell"'),
        (item() | {"conversations": [{"from": "gpt", "value": 4}]}, "names no level: 4"),
        (item(word="superiour"), "unknown level 'superiour', did you mean 'superior'"),
        (item(sha256=["x", "y"]), "'sha256' is no list"),
        (item(uncertainty=-1), "'uncertainty' is no number of 0 or more: -1"),
        (item(uncertainty=True), "'uncertainty' is no number"),
        (item(stage=0), "'stage' is no whole number from 1: 0"),
        (item(source=""), "'source' is no text"),
    ],
)
def test_a_malformed_item_is_listed_and_the_rest_goes_on(tmp_path: Path, bad: object, problem: str) -> None:
    found = read_pairs_json(written(tmp_path, [item("c.mp4", "d.mp4"), bad, item("e.mp4", "f.mp4")]))
    assert len(found.pairs) == 2
    ((number, said),) = found.problems
    assert number == 1
    assert problem in said


def test_repeated_items_count_once_and_contradictions_are_listed(tmp_path: Path) -> None:
    items = [item(), item(), item("b.mp4", "a.mp4", "better"), item(word="similar"), item("b.mp4", "a.mp4", "worse")]
    found = read_pairs_json(written(tmp_path, items))
    assert (len(found.pairs), found.duplicates) == (1, 2)
    assert [each.item for each in found.problems] == [3, 4]
    assert "says 'similar', but item 0 says 'worse'" in found.problems[0].problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "no valid JSON"), ("", "no valid JSON"), ('{"image": []}', "no list"), ("[" * 9999, "JSON")],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_pairs_json(written(tmp_path, content))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="No such file"):
        read_pairs_json(tmp_path / "none.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_pairs_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="no usable pair: item 0 is no record"):
        import_dataset(written(tmp_path, [1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(MissingInputError, match="no such folder"):
        import_dataset(written(tmp_path, [item()]), tmp_path / "out", videos=tmp_path / "nowhere")


def test_videos_are_known_by_their_content_where_they_are(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"one"), ("b.mp4", b"two"), ("copy.mp4", b"one")):
        (tmp_path / name).write_bytes(content)
    items = [item(), item("copy.mp4", "b.mp4"), item("a.mp4", "copy.mp4"), item("a.mp4", "gone.mp4")]
    found = read_pairs_json(written(tmp_path, items), videos=tmp_path)
    assert [row.sha256 for row in found.videos] == [hashlib.sha256(each).hexdigest() for each in (b"one", b"two")]
    assert (len(found.pairs), found.duplicates) == (1, 1)
    assert "with itself" in found.problems[0].problem
    assert "'gone.mp4' cannot be read: No such file" in found.problems[1].problem


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
strange = st.builds(
    lambda fields, base: {**base, **fields},
    st.dictionaries(
        st.sampled_from(("image", "conversations", "sha256", "stage", "uncertainty", "source")), json_values
    ),
    st.sampled_from((item(), {})),
)


@given(st.lists(st.one_of(json_values, strange), max_size=5))
def test_every_item_is_used_or_repeated_or_told(tmp_path_factory: pytest.TempPathFactory, items: list[object]) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    found = read_pairs_json(path)
    assert len(found.pairs) + len(found.problems) + found.duplicates == len(items)
    assert all(0 <= row.level < len(LEVELS) for row in found.pairs)
