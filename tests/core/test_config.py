"""Configuration: strict in, the same out, and messages that say what was meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.core.config import config_hash, difference, from_mapping, load_config, to_mapping
from w2svqa.core.errors import ConfigError


@dataclass(frozen=True)
class Optimiser:
    rate: float = 1e-3
    name: Literal["adam", "sgd"] = "adam"


@dataclass(frozen=True, kw_only=True)
class Run:
    steps: int
    folder: Path = Path("runs")
    title: str = ""
    resume: bool = False
    size: tuple[int, int] = (4, 3)
    severities: tuple[float, ...] = ()
    limit: int | None = None
    where: int | str = 0
    weights: dict[str, float] = field(default_factory=dict)
    optimiser: Optimiser = field(default_factory=Optimiser)
    stages: tuple[Optimiser, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigError(f"steps is {self.steps}", remedy="use 0 or more")
        if self.limit == 0:
            raise ValueError("limit is 0")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(tmp_path: Path, text: str) -> str:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Run)
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value.without_path


def test_every_kind_of_value_arrives_with_its_type(tmp_path: Path) -> None:
    text = """
    steps: 5
    folder: out/first
    title: a title
    resume: true
    size: [8, 6]
    severities: [0, 0.5, 1e-4]
    limit: null
    where: here
    weights: {blur: 2}
    optimiser: {rate: 1e-4, name: sgd}
    stages: [{rate: 1}, {}]
    """
    assert load_config(written(tmp_path, text), Run) == Run(
        steps=5,
        folder=Path("out/first"),
        title="a title",
        resume=True,
        size=(8, 6),
        severities=(0.0, 0.5, 1e-4),
        limit=None,
        where="here",
        weights={"blur": 2.0},
        optimiser=Optimiser(1e-4, "sgd"),
        stages=(Optimiser(1.0), Optimiser()),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stepz: 5", "line 1: unknown key 'stepz' (did you mean 'steps'?)"),
        ("steps: 5\noptimiser:\n  rat: 1", "line 3: unknown key 'rat' in optimiser (did you mean 'rate'?)"),
        ("steps: 5\noptimiser: {zzz: 1}", "line 2: unknown key 'zzz' in optimiser (known keys: rate, name)"),
        ("title: x", "missing key 'steps'"),
        ("", "missing key 'steps'"),
        ("steps: many", 'line 1: steps must be a whole number, not "many"'),
        ("steps: 1.5", "line 1: steps must be a whole number, not 1.5"),
        ("steps: true", "line 1: steps must be a whole number, not true"),
        ("steps:", "line 1: steps must be a whole number, not null"),
        ("steps: 1\ntitle: no", "line 2: title must be text, not false (put it in quotes)"),
        ("steps: 1\nresume: 1", "line 2: resume must be true or false, not 1"),
        ("steps: 1\nsize: [1]", "line 2: size must be a list of 2, not a list of 1"),
        ("steps: 1\nsize: 7", "line 2: size must be a list, not 7"),
        ("steps: 1\nseverities:\n- 1\n- high", 'line 4: severities[1] must be a finite number, not "high"'),
        ("steps: 1\noptimiser: {rate: .nan}", "line 2: optimiser.rate must be a finite number, not NaN"),
        ("steps: 1\noptimiser: adam", 'line 2: optimiser must be a mapping of keys to values, not "adam"'),
        ("steps: 1\nweights: [1]", "line 2: weights must be a mapping of keys to values, not a list of 1"),
        ("steps: 1\nwhere: 1.5", "line 2: where must be int or str, not 1.5"),
        (
            "steps: 1\nstages: [{}, {name: adm}]",
            'line 2: stages[1].name must be one of "adam", "sgd", not "adm" (did you mean \'adam\'?)',
        ),
        ("steps: -1", "steps is -1 (use 0 or more)"),
        ("steps: 1\nlimit: 0", "limit is 0"),
    ],
)
def test_a_misfit_is_named_with_line_key_and_value(tmp_path: Path, text: str, expected: str) -> None:
    assert message(tmp_path, text) == expected


def test_a_field_of_an_impossible_type_is_the_programmers_error() -> None:
    @dataclass(frozen=True)
    class Wrong:
        names: set[str]

    with pytest.raises(TypeError, match="a configuration cannot hold"):
        from_mapping(Wrong, {"names": ["a"]})


configurations = st.builds(
    Run,
    steps=st.integers(0, 2**40),
    title=st.text(),
    resume=st.booleans(),
    severities=st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
    limit=st.none() | st.integers(1),
    where=st.integers() | st.text(),
    weights=st.dictionaries(st.text(), st.floats(0, 1)),
    optimiser=st.builds(Optimiser, rate=st.floats(0, 1), name=st.sampled_from(["adam", "sgd"])),
)


@given(configurations)
def test_to_mapping_and_back_changes_nothing(config: Run) -> None:
    assert from_mapping(Run, to_mapping(config)) == config


@given(configurations, configurations)
def test_hash_and_difference_agree_with_equality(first: Run, second: Run) -> None:
    same = to_mapping(first) == to_mapping(second)
    assert (config_hash(first) == config_hash(second)) == same
    assert (difference(first, second) == []) == same


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})


def test_hash_stays_the_same_across_versions() -> None:
    # Stored fingerprints depend on it: change this value only together with the format of artifacts.
    assert config_hash(Optimiser()) == "2a1c44999d33c6364d76640242250570"


def test_difference_names_what_came_and_went() -> None:
    assert difference({"a": 1, "b": {"c": "x"}}, {"b": {"c": "y"}, "d": [1]}) == [
        "a: 1 -> (absent)",
        'b.c: "x" -> "y"',
        "d: (absent) -> [1]",
    ]


@dataclass(frozen=True, kw_only=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Square:
    side: float
    kind: Literal["square"] = "square"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Square = field(default_factory=Circle)
    second: Circle | Square | None = None


def test_a_mapping_says_by_its_kind_which_dataclass_it_is(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "shape: {kind: square, side: 2}"), Drawing)
    assert config == Drawing(shape=Square(side=2))
    assert from_mapping(Drawing, to_mapping(config)) == config
    assert config_hash(config) != config_hash(Drawing())


def test_without_a_kind_the_first_one_is_meant() -> None:
    assert from_mapping(Drawing, {"shape": {"radius": 3}}) == Drawing(shape=Circle(radius=3))
    assert from_mapping(Drawing, {"second": {}}) == Drawing(second=Circle())
    assert from_mapping(Drawing, {"second": None}) == Drawing()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "shape: {kind: sqare}",
            'line 1: shape.kind must be one of "circle", "square", not "sqare" (did you mean \'square\'?)',
        ),
        ("shape:\n  kind: 3", 'line 2: shape.kind must be one of "circle", "square", not 3'),
        ("shape: {kind: square}", "line 1: missing key 'side' in shape"),
        ("shape: {side: 2}", "line 1: unknown key 'side' in shape (known keys: kind, radius)"),
        ("shape: circle", 'line 1: shape must be a mapping of keys to values, not "circle"'),
        ("shape: null", "line 1: shape must be a mapping of keys to values, not null"),
        ("shape: {kind: circle, radius: wide}", 'line 1: shape.radius must be a finite number, not "wide"'),
    ],
)
def test_a_misfit_of_one_of_several_dataclasses_is_named_for_the_one_that_is_meant(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Drawing)
    assert caught.value.without_path == expected
