"""How a `transform_predict` signature receives `variables`, and the JSON Schema that says so.

Read once per version, at load time. What a call pays for is the closure that its kind of signature needs.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable, Mapping, MutableMapping
from inspect import Parameter
from math import isfinite
from typing import Any, Literal, NotRequired, Required, TypeAlias

import pydantic
import typing_extensions

from loader.annotations import bare, is_union
from loader.errors import LoadError, VariablesInvalid
from loader.parameters import METHOD, Parameters
from loader.validation import Convert, Validation, any_object, into, is_old_model

Kind: TypeAlias = Literal["none", "variables", "row", "object", "named"]
Method: TypeAlias = Callable[..., object]
Variables: TypeAlias = dict[str, Any] | None
Call: TypeAlias = Callable[[Method, Variables], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """How one version's `transform_predict` is called.

    Attributes:
        kind: What the method receives: nothing, the variables as posted, a DataFrame of one row, one object that
            the variables are validated into, or variables by name.
        schema: The JSON Schema (2020-12) of `variables`.
        call: `call(method, variables)` calls the bound method and returns its result; *variables* is None
            where the request had none. Raises VariablesInvalid before the method is entered, never after.
    """

    kind: Kind
    schema: dict[str, Any]
    call: Call

    @classmethod
    def read(cls, owner: type, *, row_by_default: bool) -> Signature:
        """Read the signature of *owner*'s `transform_predict`.

        Args:
            owner: The model's class.
            row_by_default: The original framework's convention: a single parameter without annotation gets
                a DataFrame of one row.

        Raises:
            LoadError: It cannot be served; the message names what stands in the way.
        """
        parameters = Parameters.read(owner)
        if parameters.rest or len(parameters.all) > 1:
            return _by_name(parameters)
        if not parameters.all:
            return cls("none", any_object(), _call_without)
        return _single(parameters, row_by_default)


def _call_without(method: Method, _variables: Variables) -> object:
    return method()


def _single(parameters: Parameters, row_by_default: bool) -> Signature:
    parameter = parameters.all[0]
    hint = parameters.hints[parameter.name]
    core = bare(hint)
    if core is Parameter.empty and row_by_default:
        return Signature("row", any_object(), _passing(parameter, _rows(may_be_absent=True)))
    if core is Parameter.empty or _is_mapping(core):
        return Signature("variables", any_object(), _passing_as_posted(parameter))
    if _is_frame(core):
        return Signature("row", any_object(), _passing(parameter, _rows(may_be_absent=False)))
    if not _is_record(core):
        return _by_name(parameters)
    validation = into(hint, parameters.namespace, f"parameter `{parameter.name}`")
    return Signature("object", validation.schema, _passing(parameter, validation.convert))


def _passing_as_posted(parameter: Parameter) -> Call:
    if parameter.kind is Parameter.KEYWORD_ONLY:
        return _passing(parameter, lambda variables: {} if variables is None else variables)
    is_optional = parameter.default is not Parameter.empty

    def call(method: Method, variables: Variables) -> object:
        if variables is None:
            return method() if is_optional else method({})
        return method(variables)

    return call


def _passing(parameter: Parameter, convert: Convert) -> Call:
    """Return a call that gives the one parameter what *convert* makes; absent variables leave it its default."""
    name, is_keyword = parameter.name, parameter.kind is Parameter.KEYWORD_ONLY
    is_optional = parameter.default is not Parameter.empty

    def call(method: Method, variables: Variables) -> object:
        if variables is None and is_optional:
            return method()
        value = convert(variables)
        return method(**{name: value}) if is_keyword else method(value)

    return call


def _is_mapping(core: Any) -> bool:
    return core in (Any, object) or (typing.get_origin(core) or core) in (dict, Mapping, MutableMapping)


def _is_frame(core: Any) -> bool:
    pandas = sys.modules.get("pandas")
    kind = typing.get_origin(core) or core
    return pandas is not None and isinstance(kind, type) and issubclass(kind, pandas.DataFrame)


def _is_record(core: Any) -> bool:
    """Tell whether *core* is made from all variables together: a model, a dataclass, a TypedDict, a union of them."""
    if is_union(core):
        return all(_is_record(bare(member)) for member in typing.get_args(core))
    kind = typing.get_origin(core) or core
    if typing.is_typeddict(kind) or typing_extensions.is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return True
    return isinstance(kind, type) and (issubclass(kind, pydantic.BaseModel | dict) or is_old_model(kind))


def _rows(*, may_be_absent: bool) -> Convert:
    try:
        from pandas import json_normalize
    except ImportError as error:
        raise LoadError(f"{METHOD} takes a pandas.DataFrame: add pandas to requirements.txt") from error

    def convert(variables: Variables) -> object:
        if variables is None and not may_be_absent:
            raise _no_row("The model takes a row of variables, and the request has none", "missing")
        try:
            return json_normalize(variables or {})
        except RecursionError:
            raise _no_row("The variables are nested too deep for a row", "too_deep") from None

    return convert


def _no_row(detail: str, kind: str) -> VariablesInvalid:
    return VariablesInvalid(detail, errors=[{"field": "variables", "message": detail, "type": kind}])


def _by_name(parameters: Parameters) -> Signature:
    try:
        validation = into(_typed_dict(parameters), parameters.namespace, "the signature")
    except LoadError:
        for name, hint in parameters.hints.items():
            into(_known(hint), parameters.namespace, f"parameter `{name}`")
        raise
    schema = _with_defaults(validation.schema, parameters)
    return Signature("named", schema, _passing_by_name(parameters, validation))


def _typed_dict(parameters: Parameters) -> Any:
    """Return a TypedDict of the parameters: unlike those of a pydantic model, its keys may have any name."""
    make: Any = typing_extensions.TypedDict
    fields = {parameter.name: _field(parameter, parameters.hints) for parameter in parameters.all}
    if parameters.rest is None:
        return make("variables", fields)
    return make("variables", fields, extra_items=_known(parameters.hints[parameters.rest.name]))


def _field(parameter: Parameter, hints: dict[str, Any]) -> Any:
    hint = _known(hints[parameter.name])
    if parameter.default is Parameter.empty:
        return Required[hint]
    if parameter.default is None and hint is not Any:
        # `age: int = None` says that None is welcome, whatever the annotation says.
        hint = typing.Union[hint, None]  # noqa: UP007 - `|` refuses a forward reference
    return NotRequired[hint]


def _known(hint: Any) -> Any:
    return Any if hint is Parameter.empty else hint


def _passing_by_name(parameters: Parameters, validation: Validation) -> Call:
    """Return a call that passes each variable to its parameter; one that is absent leaves it its default."""
    convert = validation.convert
    positional = [p for p in parameters.all if p.kind is Parameter.POSITIONAL_ONLY]
    taken = parameters.taken if parameters.rest else ()

    def call(method: Method, variables: Variables) -> object:
        values = convert(variables)
        for name in taken:
            values.pop(name, None)
        return method(*[values.pop(p.name, p.default) for p in positional], **values)

    return call


def _with_defaults(schema: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
    for parameter in parameters.all:
        described = schema.get("properties", {}).get(parameter.name)
        if described is not None and _is_json(parameter.default):
            described["default"] = parameter.default
    return schema


def _is_json(value: object) -> bool:
    return value is None or type(value) in (str, int, bool) or (type(value) is float and isfinite(value))
