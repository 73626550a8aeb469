"""Variables by name: several parameters, or one of a scalar type."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.loader.signatures import call, errors, read, write_class, write_method

DAY = date(2024, 2, 29)


@pytest.mark.parametrize("future", [True, False])
@pytest.mark.parametrize(
    ("parameters", "variables", "received"),
    [
        ("age: int", {"age": "42", "other": 1}, {"age": 42}),
        ("ages: list[int]", {"ages": ["1", 2]}, {"ages": [1, 2]}),
        ("age: int, income: float = 1.5", {"age": 42.0}, {"age": 42, "income": 1.5}),
        ("age: int, rest", {"age": 1, "rest": ["as", "posted"]}, {"age": 1, "rest": ["as", "posted"]}),
        ("a, b=None", {"a": 1}, {"a": 1, "b": None}),
        ("age: int = None, b=1", {"age": None}, {"age": None, "b": 1}),
        ("age: int = 7, b=1", None, {"age": 7, "b": 1}),
        ("day: datetime.date, c: Literal['a', 'b']", {"day": "2024-02-29", "c": "b"}, {"day": DAY, "c": "b"}),
        ("grade: Grade, b=1", {"grade": "good"}, {"grade": "good", "b": 1}),
        ("a: Annotated[int, pydantic.Field(ge=0)], b: Optional[str] = None", {"a": "3"}, {"a": 3, "b": None}),
        ("a: int, b: int = 2, /, *, c: int = 3", {"a": "1", "c": "9"}, {"a": 1, "b": 2, "c": 9}),
        ("row: Point, scale: float", {"row": {"x": "1"}, "scale": 2}, {"row": {"x": 1}, "scale": 2.0}),
        (
            "rows: 'dict[str, Point] | None' = None, b=1",
            {"rows": {"k": {"x": "1"}}},
            {"rows": {"k": {"x": 1}}, "b": 1},
        ),
        ("n: int", {"n": 10**30}, {"n": 10**30}),
    ],
)
def test_variables_arrive_by_name(parameters: str, variables: Any, received: Any, future: bool) -> None:
    """A typed parameter would get text, or a default would be lost."""
    before = "class Grade(enum.StrEnum):\n    GOOD = 'good'\nclass Point(TypedDict):\n    x: int\n"
    model = write_method(parameters, before=before, future=future)
    assert read(model).kind == "named"
    assert call(model, variables) == received


@pytest.mark.parametrize(
    ("parameters", "variables", "found"),
    [
        ("age: int", {}, [("age", "missing")]),
        ("age: int", None, [("age", "missing")]),
        ("age: int, b: float", {"age": "x", "b": {}}, [("age", "int_parsing"), ("b", "float_type")]),
        ("age: int, b=1", {"age": 1.5}, [("age", "int_from_float")]),
        ("age: int, b=1", {"age": None}, [("age", "int_type")]),
        ("age: int = 3, b=1", {"age": None}, [("age", "int_type")]),
        ("age: int", {"age": 1e300}, [("age", "int_parsing_size")]),
        ("size: float", {"size": 10**400}, [("size", "float_type")]),
        (
            "ages: list[int]",
            {"ages": [1, "x", 2, "y"]},
            [("ages.1", "int_parsing"), ("ages.3", "int_parsing")],
        ),
        ("a: dict[str, list[int]], b=1", {"a": {"k v": [1, None]}}, [("a.k v.1", "int_type")]),
    ],
)
def test_what_does_not_fit_is_listed_by_field(
    parameters: str, variables: Any, found: list[tuple[str, str]]
) -> None:
    """A caller would get a 500, or a 422 that does not say which variable is meant."""
    assert [(one["field"], one["type"]) for one in errors(write_method(parameters), variables)] == found


def test_a_flood_of_errors_is_cut() -> None:
    """A megabyte of wrong values would be answered with a hundred megabytes."""
    assert len(errors(write_method("ages: list[int]"), {"ages": ["x"] * 5000})) == 100


def test_names_that_pydantic_keeps_for_itself_are_variables() -> None:
    """A parameter called `schema` or `_id` would be refused, or silently take something else."""
    names = ["model_config", "schema", "copy", "json", "_id", "__class__", "fields", "model_fields"]
    model = write_method(", ".join(f"{name}: int" for name in names))
    variables = {name: str(place) for place, name in enumerate(names)}
    assert call(model, variables) == {name: place for place, name in enumerate(names)}


def test_double_star_takes_the_rest_under_any_name() -> None:
    """Variables that are no identifiers would be lost, or break the call."""
    variables = {"age": "1", "net income": 2, "class": 3, "": 4, "self": 5}
    rest = {"net income": 2, "class": 3, "": 4}
    assert call(write_method("age: int, **rest"), variables) == {"age": 1, "rest": rest}


def test_double_star_alone_takes_everything() -> None:
    """A model that declares only **variables would be called without any."""
    assert call(write_method("**rest"), {"a": "1"}) == {"rest": {"a": "1"}}


def test_an_annotated_double_star_coerces_the_rest() -> None:
    """The one annotation that names a type for all variables would be ignored."""
    model = write_method("**rest: float")
    assert call(model, {"a": "1.5"}) == {"rest": {"a": 1.5}}
    assert [one["field"] for one in errors(model, {"a": "x"})] == ["a"]


DECORATED = {
    "functools.wraps": """
        def traced(function):
            @functools.wraps(function)
            def wrapper(*arguments, **named): return function(*arguments, **named)
            return wrapper
        class Model:
            @traced
            def transform_predict(self, age: int, *, b: int = 2): return {"age": age, "b": b}
        """,
    "staticmethod": """
        class Model:
            @staticmethod
            def transform_predict(age: int, b: int = 2): return {"age": age, "b": b}
        """,
    "classmethod": """
        class Model:
            @classmethod
            def transform_predict(cls, age: int, b: int = 2): return {"age": age, "b": b}
        """,
    "partialmethod": """
        class Model:
            def work(self, b: int, age: int): return {"age": age, "b": b}
            transform_predict = functools.partialmethod(work, 2)
        """,
    "callable object": """
        class Work:
            def __call__(self, age: int, b: int = 2): return {"age": age, "b": b}
        class Model:
            transform_predict = Work()
        """,
    "inherited": """
        class Base:
            def transform_predict(self, age: int, b: int = 2): return {"age": age, "b": b}
        class Model(Base):
            pass
        """,
    "async made plain": """
        import asyncio
        def waiting(function):
            @functools.wraps(function)
            def wrapper(*arguments, **named): return asyncio.run(function(*arguments, **named))
            return wrapper
        class Model:
            @waiting
            async def transform_predict(self, age: int, b: int = 2): return {"age": age, "b": b}
        """,
}


@pytest.mark.parametrize("way", DECORATED)
def test_every_way_to_write_a_method_is_read(way: str) -> None:
    """A decorator or a staticmethod would shift the parameters by one, or hide them."""
    assert call(write_class(DECORATED[way]), {"age": "42"}) == {"age": 42, "b": 2}


def test_a_class_inside_the_class_is_found() -> None:
    """A model that keeps its row type in its body would not load."""
    source = """
    class Model:
        class Row(pydantic.BaseModel):
            age: int
        def transform_predict(self, row: Row): return {"age": row.age}
    """
    assert call(write_class(source), {"age": "1"}) == {"age": 1}


def test_the_schema_describes_the_variables() -> None:
    """The documentation would name other variables than the model takes, or other defaults."""
    schema = read(write_method("age: int, grade: Literal['a', 'b'] = 'a', seen: datetime.date = None")).schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["age"]
    assert schema["properties"]["age"]["type"] == "integer"
    assert schema["properties"]["grade"]["default"] == "a"
    assert schema["properties"]["seen"]["default"] is None


def test_a_type_without_a_schema_is_served_all_the_same() -> None:
    """A model would not load because its documentation cannot be written."""
    model = write_method("f: Callable, b=1")
    assert read(model).schema == {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
