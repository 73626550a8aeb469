"""`variables` become what a type says, or a list of what is wrong with each field.

pydantic does it, of two generations: `pydantic.v1` for models that still derive from it.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

import pydantic

from loader.annotations import adapt, bare
from loader.errors import LoadError, VariablesInvalid
from loader.parameters import METHOD

Convert: TypeAlias = Callable[[dict[str, Any] | None], Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: A body of a megabyte can hold as many errors as it has values.
MAX_ERRORS = 100


class Validation(typing.NamedTuple):
    """What makes a type of variables, and the JSON Schema (2020-12) that describes them.

    `convert` raises VariablesInvalid; what a validator of the model's own raises, other than ValueError and
    AssertionError, passes through, for it is the model's mistake.
    """

    convert: Convert
    schema: dict[str, Any]


def any_object() -> dict[str, Any]:
    """Return the schema of variables that nobody checks."""
    return {"$schema": DIALECT, "type": "object"}


def into(hint: Any, namespace: dict[str, Any], where: str) -> Validation:
    """Return the validation of variables into *hint*; absent variables are `{}`.

    Args:
        hint: An evaluated annotation.
        namespace: The globals of the model's module.
        where: What the message of a LoadError says of it: "parameter `age`".

    Raises:
        LoadError: The type is none that pydantic can make.
    """
    if is_old_model(core := bare(hint)):
        refusal = sys.modules["pydantic.v1"].ValidationError
        schema = {"$schema": DIALECT, **core.schema()}
        return Validation(_refusing(core.parse_obj, refusal), schema)
    try:
        adapter = adapt(hint, namespace)
    except Exception as error:  # The types' own hooks run here, too.
        # pydantic's first sentence; the rest is advice for code that calls pydantic.
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise LoadError(f"{where} of {METHOD} has a type that variables cannot become: {reason}") from error
    return Validation(
        _refusing(adapter.validator.validate_python, pydantic.ValidationError), _schema(adapter)
    )


def is_old_model(kind: Any) -> bool:
    """Tell whether this is a model of `pydantic.v1`."""
    old = sys.modules.get("pydantic.v1")
    return old is not None and isinstance(kind, type) and issubclass(kind, old.BaseModel)


def _refusing(validate: Callable[[dict[str, Any]], Any], refusal: type[Exception]) -> Convert:
    def convert(variables: dict[str, Any] | None) -> Any:
        try:
            return validate(variables or {})
        except refusal as error:
            raise _as_problem(error) from None

    return convert


def _as_problem(error: Any) -> VariablesInvalid:
    brief = {"include_url": False, "include_context": False, "include_input": False}
    found = error.errors(**brief if isinstance(error, pydantic.ValidationError) else {})
    errors = [
        {"field": ".".join(map(str, one["loc"])) or "variables", "message": one["msg"], "type": one["type"]}
        for one in found[:MAX_ERRORS]
    ]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return VariablesInvalid(f"{errors[0]['field']}: {errors[0]['message']}{more}", errors=errors)


def _schema(adapter: pydantic.TypeAdapter[Any]) -> dict[str, Any]:
    try:
        return {"$schema": DIALECT, **adapter.json_schema()}
    except Exception:  # noqa: BLE001 - a type without a schema is served all the same: it is documentation
        return any_object()
