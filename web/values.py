"""One unusual Python object becomes one plainer one: the step that `encoding` takes where orjson stops.

Each function goes one level down and no further: a DataFrame becomes a list of dicts whose values may still be
Decimals. numpy and pandas are never imported here: an object of theirs cannot exist before somebody else did.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import sys
import uuid
from collections.abc import Callable, Mapping, Set, ValuesView
from types import MappingProxyType
from typing import Any

import orjson


class Unencodable(Exception):
    """A value that has no JSON form.

    Attributes:
        reason: Why, and what to write instead; safe to show.
        path: The keys and positions that lead to it, outermost first; filled in on the way up.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str | int] = []


def type_name(value: object) -> str:
    """Return the name of *value*'s type as its author knows it: `dict`, `pandas.DataFrame`."""
    kind = type(value)
    package = _package(kind)
    return kind.__qualname__ if package in ("builtins", "etls") else f"{package}.{kind.__qualname__}"


def simplify(value: Any) -> object:
    """Return *value* one level plainer.

    Raises:
        Unencodable: Nothing in JSON stands for it.
    """
    if isinstance(value, enum.Enum):
        return value.value
    for kind in type(value).__mro__:
        if convert := CONVERTERS.get(kind):
            return convert(value)
    packages = {_package(kind) for kind in type(value).__mro__}
    # The ancestry tells; merely asking sys.modules would find a half-imported pandas while some model loads.
    if "pandas" in packages:
        return _simplify_pandas(value, sys.modules["pandas"])
    if "numpy" in packages:
        return _simplify_numpy(value, sys.modules["numpy"])
    return _simplify_record(value)


def key_text(key: Any) -> str:
    """Return *key* as the key of a JSON object: 1 is "1", True is "true", None and NaN are "null".

    Raises:
        Unencodable: It is no scalar.
    """
    plain = key
    while not (plain is None or type(plain) in (str, bool, int, float)):
        if isinstance(plain, tuple | list | dict):
            raise Unencodable(f"a key of type {type_name(key)} has no text: write str(key)")
        plain = simplify(plain)
    if isinstance(plain, str):
        return plain
    return int_text(plain) if type(plain) is int else orjson.dumps(plain).decode()


def int_text(value: int) -> str:
    """Return every digit of *value*.

    Raises:
        Unencodable: It has more digits than Python is willing to print (`sys.set_int_max_str_digits`).
    """
    try:
        return str(value)
    except ValueError as error:
        raise Unencodable("an integer of thousands of digits: write it as a float or as text") from error


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _moment(value: datetime.date) -> str | None:
    # pandas' NaT claims to be a datetime.
    return None if type(value).__name__ == "NaTType" else value.isoformat()


def _decimal(value: decimal.Decimal) -> str | None:
    return str(value) if value.is_finite() else None


def _ordered(values: Set[Any]) -> list[Any]:
    """Return a set's elements, sorted where they can be: two replicas give the same bytes."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _refuse_bytes(value: object) -> object:
    raise Unencodable(f"{type_name(value)} is no text: decode it, or write it in base64")


#: By class; the nearest ancestor decides.
CONVERTERS: Mapping[type, Callable[[Any], object]] = MappingProxyType(
    {
        str: str.__str__,
        int: int.__int__,
        float: float.__float__,
        datetime.date: _moment,
        datetime.time: datetime.time.isoformat,
        datetime.timedelta: lambda value: value.total_seconds(),
        decimal.Decimal: _decimal,
        uuid.UUID: str,
        set: _ordered,
        frozenset: _ordered,
        range: list,
        array.array: list,
        collections.deque: list,
        collections.UserList: list,
        bytes: _refuse_bytes,
        bytearray: _refuse_bytes,
        memoryview: _refuse_bytes,
    }
)


def _simplify_record(value: Any) -> object:
    """Return the fields of a dataclass or a pydantic model, the members of a mapping or a view of one."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for method, mark in (("model_dump", "__pydantic_core_schema__"), ("dict", "__fields__")):
        if hasattr(type(value), mark) and hasattr(type(value), method):
            return getattr(value, method)()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return _ordered(value)
    if isinstance(value, ValuesView):
        return list(value)
    raise Unencodable(f"{type_name(value)} has no JSON form")


def _simplify_numpy(value: Any, numpy: Any) -> object:
    """Return what orjson can write: a C-contiguous array of numbers in native byte order, or plain data."""
    if value is numpy.ma.masked:
        return None
    if not isinstance(value, numpy.ndarray | numpy.generic):
        return _simplify_record(value)
    if isinstance(value, numpy.ma.MaskedArray):
        return list(value) if value.ndim else value[()]
    kind = value.dtype.kind
    if kind in "OUT":
        return value.tolist()
    if kind == "M":
        return _datetimes(value, numpy)
    if kind == "m":
        return (value / numpy.timedelta64(1, "s")).tolist()
    if kind not in "biuf":
        raise Unencodable(f"a numpy value of dtype {value.dtype} has no JSON form: convert it first")
    return _numbers(value, numpy)


def _numbers(value: Any, numpy: Any) -> object:
    if value.ndim > 0:
        dtype = value.dtype.newbyteorder("=") if value.dtype.itemsize <= 8 else numpy.dtype("f8")
        return numpy.array(value, dtype=dtype, order="C", copy=True, subok=False)
    if value.dtype.kind == "f" and value.dtype.itemsize < 8:
        # The shortest digits, as orjson prints them: 1.1 and not 1.100000023841858.
        return float(str(numpy.float32(value)))
    return float(value) if value.dtype.kind == "f" else value.item()


def _datetimes(value: Any, numpy: Any) -> object:
    """Return datetimes as `datetime` knows them: to the microsecond, NaT as None."""
    seconds = numpy.asarray(value).astype("M8[s]")
    first, last = numpy.datetime64("0001-01-01", "s"), numpy.datetime64("9999-12-31T23:59:59", "s")
    if bool(((seconds < first) | (seconds > last)).any()):
        raise Unencodable("a date outside of the years 1 to 9999 has no ISO 8601 form that readers share")
    return numpy.asarray(value).astype("M8[us]").tolist()


def _simplify_pandas(value: Any, pandas: Any) -> object:
    if value is pandas.NA:
        return None
    if isinstance(value, pandas.DataFrame):
        return _rows(value)
    if isinstance(value, pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray):
        return _column(value)
    if isinstance(value, pandas.Interval | pandas.Period):
        return str(value)
    return _simplify_record(value)


def _column(column: Any) -> Any:
    """Return a Series, an Index or an extension array as a numpy array of numbers, or as a list."""
    if column.dtype.kind == "M":
        return [_moment(value) for value in column]
    # `Int64`, `boolean` and their like are no dtypes of numpy: their elements may be pandas.NA.
    is_numbers = isinstance(column.dtype, sys.modules["numpy"].dtype) and column.dtype.kind in "biuf"
    return column.to_numpy() if is_numbers else list(column)


def _rows(frame: Any) -> list[dict[str, Any]]:
    names = [key_text(name) for name in frame.columns]
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise Unencodable(f"the DataFrame has two columns {twice[0]!a}")
    columns = [_column(frame.iloc[:, position]) for position in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
