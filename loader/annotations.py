"""What the annotations of a model's code mean, evaluated as if its own module had asked.

The module of a model need not stand in `sys.modules` under its name, and what stands there may answer to each
version differently: it looks at whose frame is calling. So everything here that resolves names runs below a
frame whose globals are the model's.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NotRequired, Required, TypeVar

import pydantic
import typing_extensions

from loader.errors import LoadError

T = TypeVar("T")

QUALIFIERS: tuple[Any, Any] = (Required, NotRequired)


def call_within(namespace: dict[str, Any], function: Callable[..., T], *arguments: Any) -> T:
    """Call *function* from a frame whose globals are *namespace*."""

    def caller(_function: Callable[..., T], _arguments: tuple[Any, ...]) -> T:
        return _function(*_arguments)

    within: Callable[..., T] = types.FunctionType(caller.__code__, namespace)
    return within(function, arguments)


def evaluate(name: str, annotation: object, namespace: dict[str, Any], owner: type) -> Any:
    """Return the type that the annotation of parameter *name* means.

    Names are those of the module, then those of the class's body.

    Raises:
        LoadError: It cannot be evaluated; the message names the parameter and the missing name.
    """
    try:
        try:
            hint = _type_hint(annotation, namespace, None)
        except NameError:
            hint = _type_hint(annotation, namespace, dict(vars(owner)))
        return _portable(hint, namespace, {})
    except Exception as error:
        shown = annotation if isinstance(annotation, str) else repr(annotation)
        raise LoadError(
            f"the annotation `{shown}` of parameter `{name}` cannot be evaluated: {error}"
        ) from error


def adapt(hint: Any, namespace: dict[str, Any]) -> pydantic.TypeAdapter[Any]:
    """Return pydantic's validator for *hint*.

    Raises:
        Exception: pydantic, or code of the model that pydantic asks, cannot make one.
    """
    adapter = call_within(namespace, pydantic.TypeAdapter, hint)
    if not adapter.pydantic_complete:
        # Its module is not in sys.modules: the names of its fields are looked up where the signature stands.
        call_within(namespace, functools.partial(adapter.rebuild, _types_namespace=namespace))
    return adapter


def bare(hint: Any) -> Any:
    """Return *hint* without what wraps it: `Annotated`, `Optional`, `NewType`, a type alias."""
    while True:
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is Annotated:
            hint = arguments[0]
        elif is_union(hint) and len(some := [kind for kind in arguments if kind is not types.NoneType]) == 1:
            hint = some[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def is_union(hint: Any) -> bool:
    """Tell whether *hint* is `Union[A, B]` or `A | B`."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _portable(hint: Any, namespace: dict[str, Any], known: dict[Any, Any]) -> Any:
    """Return *hint* with each `typing.TypedDict` in it made one of `typing_extensions`.

    pydantic refuses the former before Python 3.12.
    """
    if sys.version_info >= (3, 12):
        return hint
    if typing.is_typeddict(hint):
        return known[hint] if hint in known else _converted(hint, namespace, known)
    arguments = typing.get_args(hint)
    if not arguments or typing.get_origin(hint) is typing.Literal:
        return hint
    converted = tuple(_portable(argument, namespace, known) for argument in arguments)
    return hint if converted == arguments else _rebuilt(hint, converted)


def _converted(kind: Any, namespace: dict[str, Any], known: dict[Any, Any]) -> Any:
    make: Any = typing_extensions.TypedDict
    new = make(kind.__name__, {})
    # Known before its fields are looked at, for one of them may be a list of this very type.
    known[kind] = new
    required = set(kind.__required_keys__)
    new.__annotations__ = {}
    hints: dict[str, Any] = call_within(namespace, typing.get_type_hints, kind, namespace, None, True)
    for name, hint in hints.items():
        new.__annotations__[name] = _portable(_unqualified(name, hint, required), namespace, known)
    new.__required_keys__ = frozenset(required)
    new.__optional_keys__ = frozenset(hints) - required
    new.__module__, new.__doc__ = kind.__module__, kind.__doc__
    if config := getattr(kind, "__pydantic_config__", None):
        new.__pydantic_config__ = config
    return new


def _unqualified(name: str, hint: Any, required: set[str]) -> Any:
    """Return the type in `Required[...]`; under string annotations the class itself does not see these."""
    while (origin := typing.get_origin(hint)) in QUALIFIERS:
        (required.add if origin is QUALIFIERS[0] else required.discard)(name)
        hint = typing.get_args(hint)[0]
    return hint


def _rebuilt(hint: Any, arguments: tuple[Any, ...]) -> Any:
    if typing.get_origin(hint) is Annotated:
        return Annotated[arguments]
    if isinstance(hint, types.UnionType):
        return functools.reduce(operator.or_, arguments)
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(typing.get_origin(hint), arguments)
    return hint.copy_with(arguments)


def _type_hint(annotation: object, namespace: dict[str, Any], local: Mapping[str, Any] | None) -> Any:
    def holder() -> None:
        """Carry the annotation: `get_type_hints` reads functions."""

    holder.__annotations__ = {"hint": annotation}
    return call_within(namespace, typing.get_type_hints, holder, namespace, local, True)["hint"]
