"""What a request's body says arrives exactly, or is refused with a reason."""

from __future__ import annotations

import contextlib
import json
import math
import random
from typing import Any

import pytest

from loader.errors import VariablesInvalid
from web.encoding import decode_body
from web.problems import BodyMalformed


def in_body(value: str) -> bytes:
    return b'{"variables": {"a": ' + value.encode() + b"}}"


@pytest.mark.parametrize("body", [b"", b"{}", b" \r\n\t", b"{ }"])
def test_an_empty_body_has_no_variables(body: bytes) -> None:
    """A GET-like POST of a model that needs nothing would be refused."""
    assert decode_body(body) is None


@pytest.mark.parametrize("variables", [{}, {"a": 1}, {"é": [None, True, 1.5, "x"]}])
def test_variables_are_what_was_posted(variables: dict[str, Any]) -> None:
    """The model would get something else than the caller sent."""
    assert decode_body(json.dumps({"variables": variables, "other": 1}).encode()) == variables


@pytest.mark.parametrize(
    "digits",
    [
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "-" + "9" * 400,
        "1" + "0" * 4299,
    ],
)
def test_an_integer_keeps_every_digit(digits: str) -> None:
    """An account number or a nanosecond time stamp would be rounded without a word."""
    assert decode_body(in_body(f'[{digits}, 1.5, "é"]')) == {"a": [int(digits), 1.5, "é"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1234567890123456789012345", 0.12345678901234568),
        ("123456789012345678901234567890.0", 1.2345678901234568e29),
        ("12345678901234567890e-1", 1234567890123456789.0),
        ("1e-00000000000000000000000000005", 1e-05),
        ('"12345678901234567890123"', "12345678901234567890123"),
        ('"-12345678901234567890"', "-12345678901234567890"),
    ],
)
def test_long_runs_of_digits_elsewhere_stay_what_they_are(text: str, value: object) -> None:
    """The care for long integers would turn a long float or a text into something else."""
    found = decode_body(in_body(text))
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


MALFORMED = {
    "cut off": b'{"variables": {"a": 1}',
    "trailing": b'{"variables": {}} x',
    "not a number": in_body("NaN"),
    "infinity": in_body("-Infinity"),
    "beyond a double": in_body("1e400"),
    "beyond a double, in digits": in_body("1" * 400 + ".5"),
    "beyond Python's digits": in_body("1" * 5000),
    "leading zero": in_body("0" * 30 + "1"),
    "not a number beside a long integer": in_body("[NaN, 12345678901234567890123]"),
    "lone surrogate": in_body(r'"\ud800"'),
    "lone surrogate beside a long integer": in_body(r'["\ud800", 12345678901234567890123]'),
    "control character": b'{"variables": {"a": "\x01"}}',
    "not UTF-8": b'{"variables": {"a": "\xff"}}',
    "UTF-16": '{"variables": {}}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "nested too deep": b'{"variables": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "an array": b"[]",
    "null": b"null",
    "a text": b'"variables"',
    "a form": b"variables=1",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_json_object_is_a_400(kind: str) -> None:
    """A broken client would get a 500, or a model would see a value that no JSON has."""
    with pytest.raises(BodyMalformed) as raised:
        decode_body(MALFORMED[kind])
    assert raised.value.status == 400
    assert raised.value.detail.startswith("The body is ")


def test_a_deep_body_with_a_long_integer_ends_in_an_answer() -> None:
    """The second parser would end in a RecursionError: a 500 for a body of a kilobyte."""
    body = in_body("[" * 1000 + "12345678901234567890123" + "]" * 1000)
    # How deep the standard library goes is a matter of the Python version.
    with contextlib.suppress(BodyMalformed):
        assert isinstance(decode_body(body), dict)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"variables": null}', "`variables` is null, not an object"),
        (b'{"variables": [1]}', "`variables` is an array, not an object"),
        (b'{"variables": "x"}', "`variables` is a string, not an object"),
        (b'{"variables": 3}', "`variables` is a number, not an object"),
        (b'{"variables": false}', "`variables` is a boolean, not an object"),
        (b'{"age": 3}', "The body has no member `variables`"),
        (b'{"Variables": {}}', "The body has no member `variables`"),
    ],
)
def test_variables_of_the_wrong_shape_are_a_422(body: bytes, detail: str) -> None:
    """A caller who forgets the envelope would get an answer computed from nothing."""
    with pytest.raises(VariablesInvalid) as raised:
        decode_body(body)
    assert raised.value.detail.startswith(detail)
    errors: Any = raised.value.members["errors"]
    assert [one["field"] for one in errors] == ["variables"]


def test_any_json_arrives_as_the_standard_library_reads_it() -> None:
    """Two parsers take turns: a body would mean one thing or the other, depending on its digits."""
    random.seed(20240229)
    for _ in range(500):
        variables = {"a": any_json(3)}
        body = json.dumps({"variables": variables}, ensure_ascii=random.random() < 0.5).encode()
        assert decode_body(body) == variables


def any_json(depth: int) -> Any:
    kind = random.randrange(8 if depth else 6)
    if kind == 6:
        return [any_json(depth - 1) for _ in range(random.randrange(4))]
    if kind == 7:
        return {any_text(): any_json(depth - 1) for _ in range(random.randrange(4))}
    number = random.uniform(-1, 1) * 10.0 ** random.randrange(-300, 300)
    return [None, True, any_text(), random.randrange(-(2**80), 2**80), number, random.randrange(-9, 9)][kind]


def any_text() -> str:
    return "".join(random.choice('0123456789-.eE"\\ {}é€😀\n') for _ in range(random.randrange(30)))


def test_the_numbers_of_a_large_body_are_finite() -> None:
    """A double that overflowed on the way would reach the model as infinity."""
    found: Any = decode_body(in_body("[" + ",".join(["1.7976931348623157e308", "5e-324"] * 100) + "]"))
    assert all(math.isfinite(number) for number in found["a"])
