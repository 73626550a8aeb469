"""Models written as text: their modules leave `sys.modules` before anybody reads their signatures."""

from __future__ import annotations

import sys
import textwrap
import types
from typing import Any

from loader.errors import VariablesInvalid
from loader.signature import Signature

PRELUDE = """
import collections, dataclasses, datetime, enum, functools, typing
from collections.abc import Mapping, MutableMapping
from typing import *
import pandas as pd
import pydantic
"""


def write_class(source: str, *, future: bool = True, name: str = "Model") -> type:
    """Run *source* as a module and return its class *name*; the module is in `sys.modules` only meanwhile."""
    module = types.ModuleType("a_model_of_a_test")
    text = PRELUDE + textwrap.dedent(source)
    text = "from __future__ import annotations\n" + text if future else text
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, "etls.py", "exec", dont_inherit=True), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    kind: type = vars(module)[name]
    return kind


def write_method(parameters: str, *, before: str = "", future: bool = True) -> type:
    """Return a class whose method takes *parameters* after `self` and returns them as a dict."""
    source = f"""
class Model:
    def transform_predict(self, {parameters}):
        return {{name: value for name, value in locals().items() if name != "self"}}
"""
    return write_class(textwrap.dedent(before) + source, future=future)


def read(kind: type, *, row_by_default: bool = False) -> Signature:
    """Read the signature as a load does."""
    return Signature.read(kind, row_by_default=row_by_default)


def call(kind: type, variables: dict[str, Any] | None, *, row_by_default: bool = False) -> Any:
    """Construct the model and call it as a request does."""
    return read(kind, row_by_default=row_by_default).call(kind().transform_predict, variables)


def errors(kind: type, variables: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return the errors with which a call is refused."""
    try:
        result = call(kind, variables)
    except VariablesInvalid as error:
        found: Any = error.members["errors"]
        return found
    raise AssertionError(f"nothing was refused: {result!r}")
