"""A result that orjson refuses as a whole becomes plain data, piece by piece.

Every piece is something that orjson writes rightly, or the walk ends with the keys that lead to what is not.
orjson 3.13.0 is kept from what it does wrong, each measured:

- a `default` hook: it walks lists through borrowed pointers, a list that changes meanwhile crashes the process;
- datetimes: a tzinfo that raises crashes the process;
- datetime64: NaT in an array becomes 1970 or 1677, half an array, or an illegal instruction;
- numpy at all, unless a value is numpy's: with that option it imports numpy at the first type it does not know.

Enum members it reads by itself, there is no option against it: a `value` property that raises crashes the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson

from web.arrays import are_numbers, is_foreign, is_numbers, simplify_foreign
from web.values import Unencodable, simplify_value, type_name

#: The options for every call that may meet any object.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
#: Levels of lists and dicts in a result that is walked; orjson itself ends at 254.
MAX_DEPTH = 200
#: A container of so many elements is given to orjson first: 20 times as fast as the walk, where it succeeds.
MANY = 16
SCALARS = frozenset({str, bool, int, float, type(None)})
#: Exactly these: what derives from a list may iterate as it likes.
SEQUENCES = frozenset({list, tuple})
CONTAINERS = frozenset({dict, list, tuple})


def as_plain(result: dict[Any, Any]) -> object:
    """Return *result* as something that orjson writes.

    Raises:
        Unencodable: Something in it has no JSON form; its `path` leads there.
    """
    return _walked(result, set())


def _plain(value: Any, inside: set[int]) -> object:
    """Return *value* as something that orjson writes; *inside* are the ids of the containers around it."""
    kind = type(value)
    if kind is float or kind is bool or value is None:
        return value
    if kind is str:
        return _text(value)
    if kind is int:
        # A Fragment is copied into the answer as it is.
        return value if -(2**63) <= value < 2**64 else orjson.Fragment(_int_text(value).encode())
    is_large = kind in CONTAINERS and len(value) >= MANY
    if is_numbers(value) or (is_large and kind in SEQUENCES and are_numbers(value)):
        return orjson.Fragment(orjson.dumps(value, None, orjson.OPT_SERIALIZE_NUMPY))
    if is_large:
        with suppress(orjson.JSONEncodeError):
            return orjson.Fragment(orjson.dumps(value, None, OPTIONS))
    return _walked(value, inside)


def _walked(value: Any, inside: set[int]) -> object:
    if id(value) in inside:
        raise Unencodable("it contains itself")
    if len(inside) >= MAX_DEPTH:
        raise Unencodable(f"it is nested deeper than {MAX_DEPTH} levels")
    inside.add(id(value))
    try:
        if isinstance(value, dict):
            return _plain_members(list(dict.items(value)), inside)
        if type(value) in SEQUENCES:
            return _plain_elements(list(value), inside)
        return _plain(_simplified(value), inside)
    finally:
        inside.discard(id(value))


def _simplified(value: Any) -> object:
    try:
        return simplify_foreign(value) if is_foreign(type(value)) else simplify_value(value)
    except Unencodable:
        raise
    except BaseException as error:
        raise Unencodable(f"{type_name(value)} raised {type(error).__name__} when it was read") from error


def _plain_members(members: Iterable[tuple[Any, Any]], inside: set[int]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key, value in members:
        try:
            name = _text(key if type(key) is str else _key_text(key))
            if name in plain:
                raise Unencodable("two keys have this text")
            plain[name] = _plain(value, inside)
        except Unencodable as error:
            error.path.insert(0, _shown(key))
            raise
    return plain


def _key_text(key: Any) -> str:
    """Return *key* as the key of a JSON object: 1 is "1", True is "true", None and NaN are "null"."""
    plain = key
    while type(plain) not in SCALARS:
        if isinstance(plain, dict | list | tuple):
            raise Unencodable(f"a key of type {type_name(key)} has no text: write str(key)")
        simpler = _simplified(plain)
        if simpler is plain:
            raise Unencodable(f"a key of type {type_name(key)} has no text")
        plain = simpler
    if type(plain) is str:
        return plain
    return _int_text(plain) if type(plain) is int else orjson.dumps(plain).decode()


def _int_text(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # More digits than sys.set_int_max_str_digits allows.
        raise Unencodable("an integer of thousands of digits: write it as a float or as text") from None


def _shown(key: object) -> str:
    try:
        return _key_text(key)
    except Unencodable:
        return f"<{type_name(key)}>"


def _plain_elements(elements: list[Any], inside: set[int]) -> list[object]:
    plain: list[object] = []
    for position, value in enumerate(elements):
        try:
            plain.append(_plain(value, inside))
        except Unencodable as error:
            error.path.insert(0, position)
            raise
    return plain


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unencodable("a text with a lone surrogate, which UTF-8 cannot write") from None
    return value
