"""The class of an `etls.py` that serves: which one it is, and how it is constructed."""

from __future__ import annotations

import inspect
from types import ModuleType

from loader.errors import LoadError

METHOD = "transform_predict"


def find_class(module: ModuleType, model_name: str) -> type:
    """Return the one class defined in *module* that has a callable `transform_predict`.

    A class from which another candidate derives is none. Of several, the one named `transform_predict` wins, else
    the one named like the model's folder.

    Raises:
        LoadError: There is none, or the choice is not clear; the message names the candidates.
    """
    found = {
        value.__name__: value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and callable(getattr(value, METHOD, None))
        and not inspect.isabstract(value)
    }
    leaves = {
        name: cls
        for name, cls in found.items()
        if not any(other is not cls and issubclass(other, cls) for other in found.values())
    }
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    for name in (METHOD, model_name):
        if name in leaves:
            return leaves[name]
    raise LoadError(_no_choice(module, sorted(leaves), model_name))


def _no_choice(module: ModuleType, candidates: list[str], model_name: str) -> str:
    if candidates:
        return (
            f"etls.py defines several classes with {METHOD}: {', '.join(candidates)}; "
            f"name one of them {METHOD} or {model_name}, or keep one"
        )
    if callable(getattr(module, METHOD, None)):
        return f"etls.py has a function {METHOD}, but no class: put it into a class as its method"
    return f"etls.py defines no class with a method {METHOD}"


def construct(cls: type, path: str) -> object:
    """Make the instance: with *path* when `__init__` asks for it or has exactly one required parameter.

    Raises:
        LoadError: `__init__` requires more than one argument.
        BaseException: What the class's own code raises.
    """
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except ValueError:  # a class written in C shows no signature
        return cls()
    required = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    named = [p for p in parameters if p.name == "path" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    others = [p.name for p in required if p not in named]
    if len(required) > 1 and others:
        raise LoadError(
            f"{cls.__name__}.__init__ requires {', '.join(p.name for p in required)}; "
            "it is called with no argument, or with the folder's path alone"
        )
    if named and others:
        raise LoadError(f"{cls.__name__}.__init__ requires {others[0]} beside path; give it a default")
    wanted = named or required
    if not wanted:
        return cls()
    if wanted[0].kind is inspect.Parameter.POSITIONAL_ONLY:
        return cls(path)
    return cls(**{wanted[0].name: path})
