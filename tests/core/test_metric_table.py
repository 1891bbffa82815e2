from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.metric_table import MetricTable, read_metric_table, write_metric_table

pytest.importorskip("pyarrow")

NAN = float("nan")


@pytest.fixture
def table() -> MetricTable:
    return MetricTable(
        ("a", "b", "c"), ("noise", "blur"), [[1.0, 0.5], [2.0, NAN], [-3.5, 0.0]], {"source": ["x", "", "y,\nz"]}
    )


def same(first: MetricTable, second: MetricTable) -> bool:
    return (
        first.ids.tolist() == second.ids.tolist()
        and first.names == second.names
        and np.array_equal(first.values, second.values, equal_nan=True)
        and {name: each.tolist() for name, each in first.labels.items()}
        == {name: each.tolist() for name, each in second.labels.items()}
    )


def test_a_stored_table_comes_back(table: MetricTable, tmp_path: Path) -> None:
    manifest = write_metric_table(tmp_path / "m", table, config={"names": ["noise"]}, extra={"versions": {"noise": 2}})
    assert (manifest.kind, manifest.rows, manifest.extra) == ("metrics", 3, {"versions": {"noise": 2}})
    assert same(read_metric_table(tmp_path / "m"), table)
    assert same(read_metric_table(tmp_path / "m" / "table.parquet"), table)


def test_a_missing_value_is_an_empty_cell(table: MetricTable, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_metric_table(tmp_path, table, config={})
    assert parquet.read_table(tmp_path / "table.parquet")["blur"].to_pylist() == [0.5, None, 0.0]


def test_a_table_without_videos_comes_back(tmp_path: Path) -> None:
    empty = MetricTable((), ("noise",), np.empty((0, 1)), {"source": ()})
    write_metric_table(tmp_path, empty, config={})
    assert same(read_metric_table(tmp_path), empty)


def test_a_csv_file_will_do(table: MetricTable, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text('source,clip_id,noise,blur\nx,a,1,.5\n,b,2,\n"y,\nz",c,-3.5,0\n', encoding="utf-8")
    assert same(read_metric_table(path), table)


def test_ids_of_digits_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("clip_id,noise\n007,1\n", encoding="utf-8")
    assert read_metric_table(path).ids.tolist() == ["007"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("noise\n1\n", "no column of text 'clip_id'"),
        ("clip_id,noise\na,1\na,2\n", "'a' is there twice"),
        ("clip_id,noise\na\n", "row 2 has 1 cells, the header 2"),
        ("", "no column of text 'clip_id'"),
    ],
)
def test_a_wrong_file_is_named(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        read_metric_table(path)
    assert caught.value.path == str(path)


def test_a_damaged_or_missing_table_is_told(table: MetricTable, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no complete artifact"):
        read_metric_table(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="no readable table"):
        read_metric_table(tmp_path / "nowhere.csv")
    write_metric_table(tmp_path, table, config={})
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="the table is damaged"):
        read_metric_table(tmp_path)
    with pytest.raises(StoreError, match="no readable table"):
        read_metric_table(tmp_path / "table.parquet")


@pytest.mark.parametrize(
    ("names", "values", "labels"),
    [
        (("noise",), [[1.0], [2.0]], {}),
        (("noise", "noise"), [[1.0, 2.0]], {}),
        (("noise",), [[1.0]], {"noise": ["x"]}),
        (("noise",), [[1.0]], {"source": []}),
    ],
)
def test_columns_must_fit(names: tuple[str, ...], values: list[list[float]], labels: dict[str, list[str]]) -> None:
    with pytest.raises(InputError):
        MetricTable(("a",), names, values, labels)


def test_columns_and_rows_are_picked_by_name(table: MetricTable) -> None:
    part = table.only(["blur"]).rows(np.array([2, 0]))
    assert (part.ids.tolist(), part.names, part.values.tolist()) == (["c", "a"], ("blur",), [[0.0], [0.5]])
    assert part.label("source").tolist() == ["y,\nz", "x"]
    with pytest.raises(ConfigError, match="no metric 'contrast' \\(it has noise, blur\\)"):
        table.only(["contrast"])
    with pytest.raises(ConfigError, match="no column of text 'kind'"):
        table.label("kind")


def test_another_table_is_joined_by_id(table: MetricTable) -> None:
    other = MetricTable(
        ("c", "z", "a"), ("fps", "noise"), [[25.0, 9.0], [1.0, 9.0], [60.0, 9.0]], {"kind": list("kzq")}
    )
    joined = table.joined(other)
    assert joined.names == ("noise", "blur", "fps")
    assert np.array_equal(joined.column("fps"), [60.0, NAN, 25.0], equal_nan=True)
    assert joined.column("noise").tolist() == [1.0, 2.0, -3.5]
    assert joined.label("kind").tolist() == ["q", "", "k"]
    nothing = table.joined(MetricTable((), ("fps",), np.empty((0, 1)), {"kind": ()}))
    assert np.isnan(nothing.column("fps")).all()
    assert nothing.label("kind").tolist() == ["", "", ""]


@pytest.mark.parametrize("suffix", [".csv", ""])
def test_only_wanted_columns_are_read(suffix: str, tmp_path: Path) -> None:
    if suffix:
        (tmp_path / "t.csv").write_text("clip_id,noise,blur,source\na,1,2,x\nb,3,4,y\n")
    else:
        write_metric_table(
            tmp_path / "t",
            MetricTable(["a", "b"], ["noise", "blur"], [[1, 2], [3, 4]], {"source": ["x", "y"]}),
            config={},
        )
    found = read_metric_table(tmp_path / f"t{suffix}", columns=("blur", "gone"))
    assert (found.ids.tolist(), found.names, dict(found.labels)) == (["a", "b"], ("blur",), {})
    assert found.values.tolist() == [[2.0], [4.0]]
