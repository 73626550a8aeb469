"""JSON in and out: strict, and exact.

Out is one call of orjson where that is right; where it refuses, `plain` takes the result apart.
"""

from __future__ import annotations

import json
import math
import re
from types import NoneType
from typing import Any

import orjson

from loader.errors import ResultInvalid, VariablesInvalid
from web.plain import OPTIONS, as_plain
from web.problems import BodyMalformed
from web.values import Unencodable, type_name

#: An integer that may be beyond 64 bits, where orjson rounds. Digits of a float or a text match too: no harm.
LONG_INTEGER = re.compile(rb"[0-9]{20,}|-[0-9]{19,}")
DIGITS_TO_ZERO = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
LONG_RUN = b"0" * 19

MAX_PATH_CHARACTERS = 200
PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")


def decode_body(body: bytes) -> dict[str, Any] | None:
    """Return the `variables` of a request, or None where the body has none: it is empty or `{}`.

    Members beside `variables` are ignored. Of two members of one name the last counts (RFC 8259, section 4,
    leaves it open).

    Raises:
        BodyMalformed: It is no JSON object, or has a number that cannot be kept exact.
        VariablesInvalid: `variables` is missing beside other members, or no object.
    """
    if not body:
        return None
    document = _parse(body)
    if type(document) is not dict:
        raise BodyMalformed(f"The body is {_json_type(document)}, not an object with the member `variables`")
    if "variables" in document:
        variables = document["variables"]
        if type(variables) is dict:
            return variables
        raise _invalid(f"`variables` is {_json_type(variables)}, not an object", "dict_type")
    if document:
        example = '{"variables": {"name": value}}'
        raise _invalid(f"The body has no member `variables`; it should look like {example}", "missing")
    return None


def encode(result: object, model: str) -> bytes:
    """Return what a model returned as strict JSON (RFC 8259, UTF-8).

    Encode a result before the next call of the same model may begin: what a model keeps and returns again must
    not change meanwhile. What it wraps in an orjson.Fragment is copied unread.

    Raises:
        ResultInvalid: It is no dict, or something in it has no JSON form; the detail names the key.
    """
    if not isinstance(result, dict):
        raise ResultInvalid(f"transform_predict returned {type_name(result)}, not a dict", model=model)
    try:
        return orjson.dumps(result, None, OPTIONS)
    except orjson.JSONEncodeError:
        return _encode_carefully(result, model)


def _parse(body: bytes) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip(b" \t\r\n"):
            return {}
        return _parse_exactly(body, error)
    # The regular expression alone costs 10 times as much on a large body, 3 times on a small one.
    if LONG_RUN in body.translate(DIGITS_TO_ZERO) and LONG_INTEGER.search(body):
        return _parse_exactly(body)
    return document


def _parse_exactly(body: bytes, error: orjson.JSONDecodeError | None = None) -> Any:
    """Parse with every digit kept, once orjson has checked the rest: json alone takes NaN and lone surrogates."""
    short = LONG_INTEGER.sub(b"0", body)
    if error is not None and short == body:
        raise BodyMalformed(f"The body is not JSON: {error}") from None
    try:
        orjson.loads(short)
        return json.loads(body, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise BodyMalformed("The body is nested too deep") from None
    except ValueError as invalid:
        raise BodyMalformed(f"The body is not JSON: {invalid}") from None


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is beyond the range of a double")
    return number


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError(f"an integer of {len(digits)} digits is more than can be kept exact") from None


def _invalid(detail: str, kind: str) -> VariablesInvalid:
    return VariablesInvalid(detail, errors=[{"field": "variables", "message": detail, "type": kind}])


def _json_type(value: object) -> str:
    names = {NoneType: "null", bool: "a boolean", str: "a string", list: "an array"}
    return names.get(type(value), "a number")


def _encode_carefully(result: dict[Any, Any], model: str) -> bytes:
    try:
        return orjson.dumps(as_plain(result))
    except RecursionError:
        raise ResultInvalid("The result is nested too deep to be written as JSON", model=model) from None
    except Unencodable as error:
        path = _as_text(error.path)
        detail = f"The result cannot be written as JSON at {path}: {error.reason}"
        # The cause is what an object of the model's raised, if any: its traceback belongs into the log.
        raise ResultInvalid(detail, model=model, key=path) from error.__cause__


def _as_text(path: list[str | int]) -> str:
    """Return `scores.latest[2]`; a key that is no word stands in brackets."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!a}]"
    return text if len(text) <= MAX_PATH_CHARACTERS else text[:MAX_PATH_CHARACTERS] + "..."
