"""What numpy and pandas made becomes numbers that orjson writes, or one level of plain data.

Neither is imported here: an object of theirs cannot exist before somebody else imported them, and a server whose
models need neither never pays for them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import orjson

from web.values import Unencodable, moment, package_of, simplify_value

#: The scalar types of numpy that orjson writes as Python's own.
NUMBERS = frozenset(
    {"bool", "bool_", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def is_foreign(kind: type) -> bool:
    """Tell whether numpy or pandas made *kind*, or something that it derives from.

    The ancestry tells; merely asking `sys.modules` would find a half-imported pandas while some model loads.
    """
    return any(package_of(base) in ("numpy", "pandas") for base in kind.__mro__)


def is_numbers(value: Any) -> bool:
    """Tell whether this is a scalar or an array of numpy's that orjson writes rightly."""
    kind = type(value)
    if kind.__module__ != "numpy" or kind.__name__ != "ndarray":
        return _is_number(kind)
    is_plain = value.dtype.kind in "biuf" and value.dtype.itemsize <= 8 and value.dtype.isnative
    return is_plain and value.ndim > 0 and value.flags.c_contiguous and value.flags.aligned


def are_numbers(values: Sequence[object]) -> bool:
    """Tell whether each is a scalar of numpy's that orjson writes rightly: `list(array)`."""
    return all(_is_number(kind) for kind in set(map(type, values)))


def _is_number(kind: type) -> bool:
    return kind.__module__ == "numpy" and kind.__name__ in NUMBERS


def simplify_foreign(value: Any) -> object:
    """Return *value*, of a foreign type, one level plainer.

    Raises:
        Unencodable: Nothing in JSON stands for it.
    """
    if "pandas" in map(package_of, type(value).__mro__):
        return _simplify_pandas(value, sys.modules["pandas"])
    return _simplify_numpy(value, sys.modules["numpy"])


def _simplify_numpy(value: Any, numpy: Any) -> object:
    """Return what orjson can write: a C-contiguous array of numbers in native byte order, or plain data."""
    if value is numpy.ma.masked:
        return None
    if not isinstance(value, numpy.ndarray | numpy.generic):
        return simplify_value(value)
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
        if is_numbers(value):
            return value
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
        return _rows(value, pandas)
    if isinstance(value, pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray):
        return _column(value, pandas)
    if isinstance(value, pandas.Interval | pandas.Period):
        return str(value)
    return simplify_value(value)


def _column(column: Any, pandas: Any) -> Any:
    """Return a Series, an Index or an extension array as an array of numbers, or as a list."""
    numpy = sys.modules["numpy"]
    if isinstance(column.dtype, numpy.dtype | pandas.DatetimeTZDtype) and column.dtype.kind == "M":
        return [moment(value) for value in column]
    # `Int64`, `boolean` and their like are no dtypes of numpy: their elements may be pandas.NA.
    if isinstance(column.dtype, numpy.dtype) and column.dtype.kind in "biuf":
        return _numbers(column.to_numpy(), numpy)
    return list(column)


def _rows(frame: Any, pandas: Any) -> list[dict[Any, Any]]:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise Unencodable(f"the DataFrame has two columns {twice!a}")
    columns = [_elements(_column(frame.iloc[:, position], pandas)) for position in range(frame.shape[1])]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _elements(column: Any) -> list[Any]:
    if type(column) is list:
        return column
    # tolist() would make 1.100000023841858 of a float32.
    elements: list[Any] = orjson.loads(orjson.dumps(column, None, orjson.OPT_SERIALIZE_NUMPY))
    return elements
