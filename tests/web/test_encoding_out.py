"""What a model returns leaves as strict JSON, or is refused with the key that stands in the way."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import json
import subprocess
import sys
import types
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pydantic
import pytest

from loader.errors import ResultInvalid
from web.encoding import encode


def encoded(value: object) -> Any:
    """Return what a strict parser reads when a model returns *value* under a key."""
    return strict(encode({"k": value}, "churn"))["k"]


def strict(body: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    def unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(members)) == len(members), f"a key stands twice: {members}"
        return dict(members)

    return json.loads(body.decode(), parse_constant=refuse, object_pairs_hook=unique)


def same(found: object, expected: object) -> None:
    """Compare as text: Python takes 1, 1.0 and True for one."""
    assert json.dumps(found) == json.dumps(expected)


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    PRICE = decimal.Decimal("1.10")


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    day: datetime.date


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


@dataclass
class Row:
    age: int
    day: datetime.date
    _secret: int = 3
    scores: list[float] = field(default_factory=lambda: [float("nan")])


@dataclass
class Plain:
    _age: int = 3

    def __post_init__(self) -> None:
        self.note = "no field"


@dataclass(slots=True)
class Slim:
    age: int


class Person(pydantic.BaseModel):
    age: int
    born: datetime.date
    friends: list[Person] = []


class View(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 7

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Odd(datetime.tzinfo):
    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        raise RuntimeError("no offset today")


DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 0, 5)
BERLIN = ZoneInfo("Europe/Berlin")

ENCODED: list[tuple[object, object]] = [
    (None, None),
    (True, True),
    ("é😀\x00", "é😀\x00"),
    (-0.0, -0.0),
    (1e16, 1e16),
    (float("nan"), None),
    (float("inf"), None),
    ([float("-inf")], [None]),
    (2**63, 2**63),
    (2**64, 2**64),
    (-(2**63) - 1, -(2**63) - 1),
    (10**4000, 10**4000),
    (Number(5), 5),
    (Number(2**70), 2**70),
    (Real(1.5), 1.5),
    (Real("nan"), None),
    (Text("x"), "x"),
    (Table(a=1), {"a": 1}),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (collections.defaultdict(int, a=1), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (types.MappingProxyType({"a": DAY}), {"a": "2024-02-29"}),
    (View(), {"a": 7}),
    ((1, (2,)), [1, [2]]),
    (Point(1, DAY), [1, "2024-02-29"]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"a"}), ["a"]),
    (collections.deque([1, DAY]), [1, "2024-02-29"]),
    (range(3), [0, 1, 2]),
    (array.array("d", [1.5]), [1.5]),
    ({"b": 1, "a": 2}.keys(), ["a", "b"]),
    ({"a": DAY}.values(), ["2024-02-29"]),
    (Colour.RED, "red"),
    (Colour.PAIR, [1, 2]),
    (Colour.PRICE, "1.10"),
    (Level.LOW, 1),
    (Flags.A | Flags.B, 3),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.10"), "1.10"),
    (decimal.Decimal("1E+3"), "1E+3"),
    (decimal.Decimal("NaN"), None),
    (decimal.Decimal("-Infinity"), None),
    (DAY, "2024-02-29"),
    (datetime.date(1, 1, 1), "0001-01-01"),
    (MOMENT, "2024-02-29T12:30:00.000005"),
    (MOMENT.replace(tzinfo=datetime.UTC, microsecond=0), "2024-02-29T12:30:00+00:00"),
    (datetime.datetime(2024, 7, 1, tzinfo=BERLIN), "2024-07-01T00:00:00+02:00"),
    (datetime.datetime(1890, 1, 1, tzinfo=BERLIN), "1890-01-01T00:00:00+00:53:28"),
    (datetime.time(1, 2, 3), "01:02:03"),
    (datetime.time(1, 2, 3, tzinfo=datetime.UTC), "01:02:03+00:00"),
    (datetime.timedelta(minutes=1, milliseconds=500), 60.5),
    (Row(3, DAY), {"age": 3, "day": "2024-02-29", "_secret": 3, "scores": [None]}),
    (Slim(3), {"age": 3}),
    (Plain(3), {"_age": 3}),
    (Person(age=3, born=DAY, friends=[Person(age=4, born=DAY)]), None),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED, ids=lambda value: str(value)[:30])
def test_a_value_is_written_as_its_plain_form(value: object, expected: object) -> None:
    """A model would have to convert its own results, or its callers read something else."""
    if isinstance(value, Person):
        friend = {"age": 4, "born": "2024-02-29", "friends": []}
        expected = {"age": 3, "born": "2024-02-29", "friends": [friend]}
    same(encoded(value), expected)
    same(encoded([value, DAY]), [expected, "2024-02-29"])
    same(encoded({"a": [value] * 20, "b": DAY})["a"], [expected] * 20)


KEYS: list[tuple[object, str]] = [
    (1, "1"),
    (2**70, str(2**70)),
    (1.5, "1.5"),
    (1.0, "1.0"),
    (float("nan"), "null"),
    (True, "true"),
    (None, "null"),
    (DAY, "2024-02-29"),
    (MOMENT, "2024-02-29T12:30:00.000005"),
    (Colour.RED, "red"),
    (Level.LOW, "1"),
    (Text("x"), "x"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.10"), "1.10"),
    ("a.b", "a.b"),
]


@pytest.mark.parametrize(("key", "text"), KEYS)
def test_a_key_becomes_text(key: object, text: str) -> None:
    """`df.to_dict()` and counters by class would be a 500."""
    assert encoded({key: 1, "other": key}) == {text: 1, "other": encoded(key)}


REFUSED: dict[str, tuple[object, str, str]] = {
    "an object": ({"a": object()}, "k.a", "object has no JSON form"),
    "in a list": ([1, [2, Fraction(1, 2)]], "k[1][1]", "fractions.Fraction has no JSON form"),
    "bytes": ({"scores": {"latest": [1, 2, b"x"]}}, "k.scores.latest[2]", "bytes is no text"),
    "a path": (Path("x"), "k", "Path has no JSON form"),
    "a generator": ((i for i in "ab"), "k", "generator has no JSON form"),
    "a class": (Row, "k", "type has no JSON form"),
    "complex": (1j, "k", "complex has no JSON form"),
    "lone surrogate": ({"name": "a\ud800"}, "k.name", "lone surrogate"),
    "lone surrogate in a key": ({"a\ud800": 1}, r"k['a\ud800']", "lone surrogate"),
    "too many digits": ([10**5000], "k[0]", "thousands of digits"),
    "a tuple as a key": ({(1, 2): 1}, "k['<tuple>']", "a key of type tuple has no text"),
    "bytes as a key": ({b"a": 1}, "k['<bytes>']", "bytes is no text"),
    "a key twice": ({1: "a", "1": "b"}, "k['1']", "two keys have this text"),
    "nan and None as keys": ({float("nan"): "a", None: "b"}, "k.null", "two keys have this text"),
    "in a set": ({Fraction(1, 2)}, "k[0]", "fractions.Fraction has no JSON form"),
    "in a dataclass": (Row(1, DAY, scores=[1j]), "k.scores[0]", "complex has no JSON form"),  # type: ignore[list-item]
    "an odd key": ({"net income": {"é": b""}}, "k['net income'].é", "bytes is no text"),
    "a time zone that raises": (MOMENT.replace(tzinfo=Odd()), "k", "datetime.datetime raised RuntimeError"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_json_form_is_named_by_its_key(kind: str) -> None:
    """The author would have to search a large result for the one value."""
    value, path, reason = REFUSED[kind]
    with pytest.raises(ResultInvalid) as raised:
        encode({"fine": [DAY, 1], "k": value}, "churn")
    error = raised.value
    assert (error.status, error.model, error.members["key"]) == (500, "churn", path)
    assert f"at {path}: " in error.detail
    assert reason in error.detail
    json.dumps(error.detail).encode()


class Unlucky(pydantic.BaseModel):
    age: int = 1

    @pydantic.model_serializer
    def write(self) -> dict[str, object]:
        raise KeyError("age")


class Leaving(list):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[object]:
        sys.exit("enough")


@pytest.mark.parametrize("value", [Unlucky(), {"a": 2**70, "b": Unlucky()}, Leaving([b"x"])])
def test_an_object_that_raises_is_the_results_fault(value: object) -> None:
    """The model's own serializer would end the request without an answer, or the thread."""
    with pytest.raises(ResultInvalid, match=r"raised \w+ when it was read") as raised:
        encode({"k": value}, "churn")
    assert "Error" in repr(raised.value.__cause__) or isinstance(raised.value.__cause__, SystemExit)


def test_a_result_that_contains_itself_is_named() -> None:
    """The walk would not end, or end in a RecursionError that names nothing."""
    node: dict[str, Any] = {"day": DAY}
    node["children"] = [node]
    with pytest.raises(ResultInvalid, match=r"k\.children\[0\]: it contains itself"):
        encode({"k": node}, "churn")


def test_one_object_in_two_places_is_no_circle() -> None:
    """A row that stands in two lists would be refused."""
    row = {"day": DAY}
    assert encoded([row, [row]]) == [{"day": "2024-02-29"}, [{"day": "2024-02-29"}]]


@pytest.mark.parametrize("leaf", [1, DAY])
def test_depth_ends_in_an_answer(leaf: object) -> None:
    """A deep result would crash the process or be an error without a name."""
    value: Any = leaf
    for _ in range(150):
        value = [value]
    assert "2024-02-29" in json.dumps(encoded(value)) or leaf == 1
    for _ in range(3000):
        value = [value]
    with pytest.raises(ResultInvalid, match="nested deeper than"):
        encode({"k": value}, "churn")


def test_a_list_that_changes_meanwhile_ends_in_an_answer() -> None:
    """A model that goes on appending to what it returned would crash the server, not only its own call."""
    rows: list[object] = []

    class Fickle(datetime.tzinfo):
        def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
            rows.clear()
            return datetime.timedelta()

    rows.extend([MOMENT.replace(tzinfo=Fickle()), *("x" * size for size in range(20_000))])
    assert encoded(rows)[0] == "2024-02-29T12:30:00.000005+00:00"


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (None, "NoneType"),
        ([], "list"),
        ("{}", "str"),
        (View(), "View"),
        (Row(1, DAY), "Row"),
        (types.MappingProxyType({}), "mappingproxy"),
    ],
)
def test_a_result_that_is_no_dict_names_its_type(result: object, name: str) -> None:
    """An author who forgot `return` would not learn it from the answer."""
    with pytest.raises(ResultInvalid, match=rf"transform_predict returned (\w+\.)?{name}, not a dict"):
        encode(result, "churn")


def test_a_dict_subclass_is_a_dict() -> None:
    """A model that returns a defaultdict would be refused."""
    assert strict(encode(Table({1: DAY}), "churn")) == {"1": "2024-02-29"}


def test_numpy_is_not_loaded_by_encoding() -> None:
    """The first unusual value would load numpy in the middle of a request: 100 ms and 20 MB."""
    code = """
import sys
from web.encoding import encode
assert encode({"k": {1}}, "m") == b'{"k":[1]}'
sys.exit("numpy" in sys.modules or "pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
