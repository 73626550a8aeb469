"""One unusual object of Python's own becomes one plainer one: what orjson refuses, or writes wrongly.

One level down and no further: a dataclass becomes a dict whose values may still be Decimals.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Mapping, Set, ValuesView
from types import MappingProxyType
from typing import Any


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


def package_of(kind: type) -> str:
    """Return the name of the package that *kind* is defined in."""
    return str(kind.__module__).partition(".")[0]


def type_name(value: object) -> str:
    """Return the name of *value*'s type as its author knows it: `dict`, `pandas.DataFrame`."""
    kind = type(value)
    package = package_of(kind)
    return kind.__qualname__ if package in ("builtins", "etls") else f"{package}.{kind.__qualname__}"


def simplify_value(value: Any) -> object:
    """Return *value* one level plainer.

    Raises:
        Unencodable: Nothing in JSON stands for it.
    """
    if isinstance(value, enum.Enum):
        return value.value
    for kind in type(value).__mro__:
        if convert := CONVERTERS.get(kind):
            return convert(value)
    return _record(value)


def moment(value: datetime.date) -> str | None:
    """Return a date or a datetime in ISO 8601, and None for pandas' NaT, which claims to be a datetime."""
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
        datetime.date: moment,
        datetime.time: datetime.time.isoformat,
        datetime.timedelta: lambda value: value.total_seconds(),
        decimal.Decimal: _decimal,
        uuid.UUID: str,
        set: _ordered,
        frozenset: _ordered,
        list: list,
        tuple: list,
        range: list,
        array.array: list,
        collections.deque: list,
        collections.UserList: list,
        bytes: _refuse_bytes,
        bytearray: _refuse_bytes,
        memoryview: _refuse_bytes,
    }
)


def _record(value: Any) -> object:
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
