"""Signatures that cannot be served are load errors that name the trouble."""

from __future__ import annotations

import re

import pytest

from loader.errors import LoadError
from tests.loader.signatures import read, write_class, write_method

METHODS = {
    "async def transform_predict(self): pass": "`async def`",
    "async def transform_predict(self): yield {}": "`async def`",
    "def transform_predict(self): yield {}": "has a `yield`",
    "def transform_predict(self, *rows): pass": "takes *args",
    "def transform_predict(self, a, *rows, b=1): pass": "takes *args",
    "def transform_predict(): pass": "takes no `self`",
    "def transform_predict(*, age): pass": "takes no `self`",
    "def transform_predict(variables): pass": "write def transform_predict(self, variables, ...)",
    "def transform_predict(age: int, income: float): pass": "the first parameter of transform_predict is `age`",
    "@staticmethod\n    def transform_predict(self, x): pass": "a staticmethod that takes `self`",
    "transform_predict = functools.cached_property(lambda self: 1 / 0)": "cannot be read from its class",
    "transform_predict = max": "has no signature that can be read",
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_cannot_be_called_is_refused(method: str) -> None:
    """The version would go live and every call would fail."""
    model = write_class(f"class Model:\n    {method}\n")
    with pytest.raises(LoadError, match=re.escape(METHODS[method])):
        read(model)


def test_a_decorator_that_hides_the_parameters_is_refused() -> None:
    """The model would be called with names that its wrapper happens to accept."""
    source = """
    def traced(function):
        def wrapper(*arguments, **named): return function(*arguments, **named)
        return wrapper
    class Model:
        @traced
        def transform_predict(self, age: int): return {}
    """
    with pytest.raises(LoadError, match=r"functools\.wraps"):
        read(write_class(source))


@pytest.mark.parametrize("name", ["self", "this", "_", "_self", "cls"])
def test_the_instance_may_have_another_usual_name(name: str) -> None:
    """A repository with a habit of its own would stop loading."""
    assert read(write_class(f"class Model:\n    def transform_predict({name}): return {{}}")).kind == "none"


MISSING_NAMES = {
    "x: Absent": "",
    "x: list[Absent]": "",
    "x: 'Absent', y: int": "",
    "y: int, x: dict[str, 'Absent'] = None": "",
    "x: Row": "class Row(TypedDict):\n    age: 'Absent'",
    "x: Row | None": "@dataclasses.dataclass\nclass Row:\n    age: 'Absent'",
    "x: Row, y: int": "class Row(pydantic.BaseModel):\n    age: 'Absent'",
    "y: int, **x: Absent": "",
}


@pytest.mark.parametrize("parameters", MISSING_NAMES)
def test_a_missing_name_in_an_annotation_is_named(parameters: str) -> None:
    """The author would see a NameError of some library, or the annotation would be ignored."""
    model = write_method(parameters, before=MISSING_NAMES[parameters])
    with pytest.raises(LoadError, match=r"parameter `x`.*name 'Absent' is not defined"):
        read(model)


@pytest.mark.parametrize("annotation", ["int | 'not python'", "pd.Absent", "'a text about it'", "1 / 0"])
def test_an_annotation_that_is_no_type_names_its_parameter(annotation: str) -> None:
    """The load error would not say where to look."""
    with pytest.raises(LoadError, match="parameter `age`"):
        read(write_method(f"y: int, age: {annotation}"))


@pytest.mark.parametrize("annotation", ["pd.Series", "Model", "5"])
def test_a_type_that_variables_cannot_become_is_refused(annotation: str) -> None:
    """The version would go live and no variables would ever fit."""
    with pytest.raises(LoadError, match=r"parameter `x` .* a type that variables cannot become"):
        read(write_method(f"x: {annotation}, y: int"))


def test_the_annotation_of_the_result_is_nobodys_business() -> None:
    """A name imported only under TYPE_CHECKING for the result would keep the model from loading."""
    model = write_class("class Model:\n    def transform_predict(self, age: int) -> Absent: return {}")
    assert read(model).kind == "named"
