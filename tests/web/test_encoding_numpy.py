"""numpy's and pandas' values leave as the numbers, dates and rows that they are."""

from __future__ import annotations

import datetime
import decimal
import json
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loader.errors import ResultInvalid
from tests.web.test_encoding_out import encoded, same
from web.encoding import encode

NUMPY: dict[str, tuple[Any, object]] = {
    "float64": (np.float64(1.1), 1.1),
    "float64 nan": (np.float64("nan"), None),
    "float32": (np.float32(1.1), 1.1),
    "float32 inf": (np.float32("inf"), None),
    "float16": (np.float16(0.5), 0.5),
    "longdouble": (np.longdouble(1.5), 1.5),
    "int8": (np.int8(-1), -1),
    "uint64": (np.uint64(2**64 - 1), 2**64 - 1),
    "bool": (np.bool_(True), True),
    "str": (np.str_("é"), "é"),
    "datetime64": (np.datetime64("2024-02-29T12:30:00.5"), "2024-02-29T12:30:00.500000"),
    "datetime64 day": (np.datetime64("2024-02-29"), "2024-02-29T00:00:00"),
    "datetime64 year": (np.datetime64("2024", "Y"), "2024-01-01T00:00:00"),
    "datetime64 NaT": (np.datetime64("NaT", "s"), None),
    "timedelta64": (np.timedelta64(1500, "ms"), 1.5),
    "timedelta64 NaT": (np.timedelta64("NaT", "s"), None),
    "array": (np.array([1.1, np.nan, np.inf]), [1.1, None, None]),
    "array float32": (np.array([1.1, np.nan], dtype="f4"), [1.1, None]),
    "array float32, every second": (np.array([1.1, 2, 3.3], dtype="f4")[::2], [1.1, 3.3]),
    "array float16": (np.array([0.5, np.nan], dtype="f2"), [0.5, None]),
    "array longdouble": (np.array([1.5], dtype="g"), [1.5]),
    "array of no dimension": (np.array(1.5), 1.5),
    "array of no dimension, float32": (np.array(1.1, dtype="f4"), 1.1),
    "array of no dimension, object": (np.array(None), None),
    "array empty": (np.array([]), []),
    "array 0 x 3": (np.zeros((0, 3)), []),
    "array 2 x 0": (np.zeros((2, 0)), [[], []]),
    "array by columns": (np.asfortranarray([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "array transposed": (np.array([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
    "array of 3 dimensions": (np.arange(8).reshape(2, 2, 2), [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
    "array big-endian": (np.array([1, 2], dtype=">i4"), [1, 2]),
    "array big-endian floats": (np.array([1.5], dtype=">f8"), [1.5]),
    "array bool, every second": (np.array([True, False, True])[::2], [True, True]),
    "array uint64": (np.array([2**64 - 1], dtype="u8"), [2**64 - 1]),
    "array of text": (np.array(["a", "é"]), ["a", "é"]),
    "array of StringDType": (np.array(["a"], dtype=np.dtypes.StringDType()), ["a"]),
    "array of objects": (
        np.array([1, None, decimal.Decimal(2), np.float32(1.1)], dtype=object),
        [1, None, "2", 1.1],
    ),
    "array of dates": (np.array(["2024-02-29", "NaT"], dtype="M8[D]"), ["2024-02-29T00:00:00", None]),
    "array of dates without NaT": (np.array(["2024-02-29"], dtype="M8[D]"), ["2024-02-29T00:00:00"]),
    "array of dates, 2 x 1": (
        np.array([["NaT"], ["2024-02-29"]], dtype="M8[ns]"),
        [[None], ["2024-02-29T00:00:00"]],
    ),
    "array of timedeltas": (np.array([90, "NaT"], dtype="m8[s]"), [90.0, None]),
    "masked": (np.ma.array([[1.1, 2]], mask=[[False, True]], dtype="f4"), [[1.1, None]]),
    "masked away": (np.ma.masked, None),
}


@pytest.mark.parametrize("kind", NUMPY)
def test_numpy_values_are_plain(kind: str) -> None:
    """A model that returns what its library gave it would be a 500, or print 1.100000023841858."""
    value, expected = NUMPY[kind]
    assert encoded(value) == expected
    # Beside something that orjson refuses, the same value takes the careful way.
    assert encoded({"a": value, "b": [value] * 20, "c": 2**70}) == {
        "a": expected,
        "b": [expected] * 20,
        "c": 2**70,
    }


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_an_array_of_rows() -> None:
    """Old numpy code would be a 500, or never end: each row of a matrix is a matrix."""
    assert encoded(np.asmatrix([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert encoded(np.asmatrix([[None, datetime.date(2024, 2, 29)]])) == [[None, "2024-02-29"]]


PANDAS: dict[str, tuple[Any, object]] = {
    "Timestamp": (pd.Timestamp("2024-02-29 12:30"), "2024-02-29T12:30:00"),
    "Timestamp with a zone": (pd.Timestamp("2024-07-01", tz="Europe/Berlin"), "2024-07-01T00:00:00+02:00"),
    "Timestamp of nanoseconds": (
        pd.Timestamp("2024-02-29 00:00:00.123456789"),
        "2024-02-29T00:00:00.123456789",
    ),
    "NaT": (pd.NaT, None),
    "NA": (pd.NA, None),
    "Timedelta": (pd.Timedelta(minutes=1.5), 90.0),
    "Interval": (pd.Interval(0, 1), "(0, 1]"),
    "Period": (pd.Period("2024-02", freq="M"), "2024-02"),
    "Series": (pd.Series([1.1, None], index=["a", "b"]), [1.1, None]),
    "Series of float32": (pd.Series([1.1], dtype="f4"), [1.1]),
    "Series of Int64": (pd.Series([1, None], dtype="Int64"), [1, None]),
    "Series of Float32": (pd.Series([1.1, None], dtype="Float32"), [1.1, None]),
    "Series of boolean": (pd.Series([True, None], dtype="boolean"), [True, None]),
    "Series of text": (pd.Series(["a", None]), ["a", None]),
    "Series of objects": (pd.Series([1, "a", None, {1: 2}], dtype=object), [1, "a", None, {"1": 2}]),
    "Series of dates": (pd.Series(pd.to_datetime(["2024-02-29", None])), ["2024-02-29T00:00:00", None]),
    "Series of timedeltas": (pd.Series(pd.to_timedelta([90, None], unit="s")), [90.0, None]),
    "every second of a Series": (pd.Series(range(4))[::2], [0, 2]),
    "Index": (pd.Index([1, 2]), [1, 2]),
    "RangeIndex": (pd.RangeIndex(2), [0, 1]),
    "MultiIndex": (pd.MultiIndex.from_tuples([(1, "a")]), [[1, "a"]]),
    "DatetimeIndex": (pd.DatetimeIndex(["2024-02-29"]), ["2024-02-29T00:00:00"]),
    "Categorical": (pd.Categorical(["a", None, "a"]), ["a", None, "a"]),
    "Series of categories": (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
    "array of pandas": (pd.array([1, None]), [1, None]),
    "DataFrame without rows": (pd.DataFrame({"a": []}), []),
    "DataFrame without columns": (pd.DataFrame(index=[1, 2]), []),
}


@pytest.mark.parametrize("kind", PANDAS)
def test_pandas_values_are_plain(kind: str) -> None:
    """A model that returns a column, a date or a missing value would be a 500."""
    value, expected = PANDAS[kind]
    same(encoded(value), expected)


def test_a_dataframe_is_an_array_of_row_objects() -> None:
    """Callers would get columns, or values that Python prints and JSON has not."""
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "p": np.array([1.1, np.nan], dtype="f4"),
            "t": pd.to_datetime(["2024-02-29", None]),
            "m": pd.array([1, None], dtype="Int64"),
            3: ["a", decimal.Decimal("1.5")],
        },
        index=["x", "y"],
    )
    rows = [
        {"n": 1, "p": 1.1, "t": "2024-02-29T00:00:00", "m": 1, "3": "a"},
        {"n": 2, "p": None, "t": None, "m": None, "3": "1.5"},
    ]
    same(encoded(frame), rows)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (np.int64(1), "1"),
        (np.float64(1.5), "1.5"),
        (np.float32(1.1), "1.1"),
        (np.bool_(True), "true"),
        (np.str_("a"), "a"),
        (np.datetime64("2024-02-29"), "2024-02-29T00:00:00"),
        (pd.Timestamp("2024-02-29"), "2024-02-29T00:00:00"),
        (pd.NaT, "null"),
    ],
)
def test_keys_of_numpy_and_pandas_become_text(key: Any, text: str) -> None:
    """`series.value_counts().to_dict()` would be a 500."""
    assert encoded({key: 1}) == {text: 1}


REFUSED: dict[str, tuple[Any, str, str]] = {
    "structured": (np.zeros(1, dtype=[("a", "i4")]), "k", "dtype"),
    "complex": (np.zeros(1, dtype=complex), "k", "dtype complex128"),
    "bytes": (np.array([b"a"]), "k", "dtype |S1"),
    "a date far away": (np.array(["NaT", "20000-01-01"], dtype="M8[D]"), "k", "years 1 to 9999"),
    "two columns of a name": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "k", "two columns 'a'"),
    "two columns of a text": (
        pd.DataFrame([[1, 2]], columns=[1, "1"]),
        "k[0]['1']",
        "two keys have this text",
    ),
    "columns of two levels": (
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        "k[0]['<tuple>']",
        "a key of type tuple has no text",
    ),
    "a Grouper": (pd.DataFrame({"a": [1]}).groupby("a"), "k", "has no JSON form"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_json_form_is_refused(kind: str) -> None:
    """The caller would get a guess, or the author an error without a place."""
    value, path, reason = REFUSED[kind]
    with pytest.raises(ResultInvalid) as raised:
        encode({"k": value}, "churn")
    assert raised.value.members["key"] == path
    assert reason in raised.value.detail


UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "7D", "25us"]


@pytest.mark.parametrize("unit", UNITS)
def test_dates_of_every_unit_are_right_and_missing_ones_are_null(unit: str) -> None:
    """A missing date would be 1970 or 1677, break the JSON, or end the process: what orjson itself does."""
    days = np.array([["2024-01-01", "NaT"], ["1969-01-01", "NaT"]], dtype=f"M8[{unit}]")
    expected = [[day.astype("M8[s]").item().isoformat(), None] for day in days[:, 0]]
    assert encoded(days) == expected
    assert encoded([list(row) for row in days]) == expected
    assert encoded({"a": list(days[:, 1]) * 20}) == {"a": [None] * 40}


def test_every_float16_and_its_neighbours_of_float32_survive() -> None:
    """Rare bit patterns would print as another number, or as something that is no JSON."""
    halves = np.arange(2**16, dtype="u2").view("f2")
    singles = np.random.default_rng(20240229).integers(0, 2**32, 50_000, dtype="u8").astype("u4").view("f4")
    for numbers in (halves, singles):
        read = np.array([np.nan if number is None else number for number in encoded(numbers)])
        written = np.where(np.isfinite(numbers), numbers, np.nan)
        np.testing.assert_array_equal(read.astype(numbers.dtype), written)


def test_an_array_that_is_not_aligned_is_copied() -> None:
    """An array read from the middle of a file would be read through a pointer that may not be used so."""
    numbers = np.frombuffer(b"x" + np.arange(4, dtype="f8").tobytes(), dtype="f8", offset=1)
    assert encoded(numbers) == [0.0, 1.0, 2.0, 3.0]


def test_an_object_in_a_frame_is_named_by_row_and_column() -> None:
    """One wrong cell among thousands could not be found."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [None, None, b"x"]})
    with pytest.raises(ResultInvalid) as raised:
        encode({"rows": frame}, "churn")
    assert raised.value.members["key"] == "rows[2].b"


def test_the_careful_way_writes_what_the_short_way_writes() -> None:
    """A value would change with what stands beside it."""
    random.seed(20240229)
    for _ in range(300):
        value = any_result(3)
        short = json.loads(encode({"k": value}, "churn"))["k"]
        assert encoded({"k": value, "wide": 2**70})["k"] == short
        assert encoded({"k": value, "day": datetime.date(2024, 2, 29)})["k"] == short


def any_result(depth: int) -> Any:
    kind = random.randrange(9 if depth else 6)
    if kind == 6:
        return [any_result(depth - 1) for _ in range(random.randrange(40))]
    if kind == 7:
        return {str(place): any_result(depth - 1) for place in range(random.randrange(20))}
    if kind == 8:
        return tuple(any_result(depth - 1) for _ in range(random.randrange(3)))
    array = np.array(
        [random.randrange(-9, 9) for _ in range(3)], dtype=random.choice(["f4", "f8", "i4", "M8[s]"])
    )
    return [None, random.random(), "é" * random.randrange(3), np.float32(random.random()), array, array[:1]][
        kind
    ]
