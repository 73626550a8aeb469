"""The parameters of a class's `transform_predict`, as the bound method will see them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from loader.annotations import evaluate
from loader.errors import LoadError

METHOD = "transform_predict"
#: What a first parameter may be called; any other name says that `self` was forgotten.
SELF_NAMES = frozenset({"self", "cls", "this", "me", "s", "obj", "instance"})


@dataclass(frozen=True)
class Parameters:
    """What `transform_predict` can be given.

    Attributes:
        all: The parameters in their order, without `self` and `**kwargs`.
        rest: `**kwargs`, where there is one.
        hints: The evaluated annotation of each and of the rest, `Parameter.empty` where it has none.
        taken: Names that a call cannot pass by keyword, for they belong to `self`.
        namespace: The globals of the module that the function was written in.
    """

    all: list[Parameter]
    rest: Parameter | None
    hints: dict[str, Any]
    taken: frozenset[str]
    namespace: dict[str, Any]

    @classmethod
    def read(cls, owner: type) -> Parameters:
        """Read them from the class, without an instance.

        Raises:
            LoadError: The method cannot be called with named variables and answer with a dict.
        """
        attribute = inspect.getattr_static(owner, METHOD)
        _refuse_forgotten_self(attribute)
        bound = _bound(attribute, owner)
        _refuse_unfinished(bound)
        parameters = list(_signature(bound).parameters.values())
        if any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
            raise LoadError(
                f"{METHOD} takes *args: name its parameters (and let a decorator around it use functools.wraps)"
            )
        rest = next((p for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)
        namespace = _globals(_innermost(attribute), owner)
        hints = {p.name: _hint(p, namespace, owner) for p in parameters}
        return cls([p for p in parameters if p is not rest], rest, hints, _self_names(attribute), namespace)


def _hint(parameter: Parameter, namespace: dict[str, Any], owner: type) -> Any:
    if parameter.annotation is Parameter.empty:
        return Parameter.empty
    return evaluate(parameter.name, parameter.annotation, namespace, owner)


def _bound(attribute: Any, owner: type) -> Any:
    """Return the method as an instance has it; a stand-in is enough, for nothing is called."""
    if not hasattr(type(attribute), "__get__"):
        return attribute
    try:
        return attribute.__get__(object(), owner)
    except Exception as error:  # A descriptor of the model's own.
        raise LoadError(f"{METHOD} cannot be read from its class: {type(error).__name__}: {error}") from error


def _signature(bound: Callable[..., object]) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            # Annotations wait to be evaluated one by one, where their names are known.
            import annotationlib

            return inspect.signature(bound, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(bound)
    except (TypeError, ValueError) as error:
        raise LoadError(f"{METHOD} has no signature that can be read: {error}") from error


def _refuse_unfinished(bound: Any) -> None:
    """Refuse what returns before it has worked; the outermost decorator counts, it may wait for the rest."""
    call = bound if inspect.isroutine(bound) else getattr(bound, "__call__", bound)  # noqa: B004
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        raise LoadError(f"{METHOD} is `async def`: write `def`, every call has a thread of its own")
    if inspect.isgeneratorfunction(call):
        raise LoadError(f"{METHOD} has a `yield`: it must return a dict")


def _refuse_forgotten_self(attribute: Any) -> None:
    first = _first_parameter(attribute)
    if isinstance(attribute, staticmethod):
        if first is not None and first.name == "self":
            raise LoadError(f"{METHOD} is a staticmethod that takes `self`: drop the one or the other")
        return
    if isinstance(attribute, classmethod) or not inspect.isfunction(attribute):
        return
    if first is None or first.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        raise LoadError(f"{METHOD} takes no `self`: write def {METHOD}(self, ...)")
    if first.kind is Parameter.VAR_POSITIONAL or first.name in SELF_NAMES or first.name.startswith("_"):
        return
    raise LoadError(
        f"the first parameter of {METHOD} is `{first.name}`, where the instance arrives: "
        f"write def {METHOD}(self, {first.name}, ...) or make it a staticmethod"
    )


def _first_parameter(attribute: Any) -> Parameter | None:
    function = attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute
    if not inspect.isfunction(function):
        return None
    return next(iter(_signature(function).parameters.values()), None)


def _self_names(attribute: Any) -> frozenset[str]:
    """Return the names of the first parameters that the instance takes, the decorators' ones too."""
    names = set()
    while attribute is not None and not isinstance(attribute, staticmethod):
        function = attribute.__func__ if isinstance(attribute, classmethod) else attribute
        if (
            inspect.isfunction(function)
            and function.__code__.co_argcount > function.__code__.co_posonlyargcount == 0
        ):
            names.add(function.__code__.co_varnames[0])
        attribute = getattr(attribute, "__wrapped__", None)
    return frozenset(names)


def _innermost(function: Any) -> Any:
    """Return the function that the author wrote, below decorators and partials."""
    while True:
        if isinstance(function, staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, functools.partial | functools.partialmethod):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def _globals(function: Any, owner: type) -> dict[str, Any]:
    namespace = getattr(function, "__globals__", None)
    if namespace is None:
        namespace = getattr(type(function).__call__, "__globals__", None)
    return vars(sys.modules[owner.__module__]) if namespace is None else namespace
