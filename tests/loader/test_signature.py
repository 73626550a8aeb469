"""What `transform_predict` receives, row by row of the contract's table."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from loader.errors import VariablesInvalid
from tests.loader.signatures import call, errors, read, write_class, write_method

pytestmark = pytest.mark.parametrize("future", [True, False], ids=["text-annotations", "live-annotations"])

POSTED = {"age": "42", "income": {"monthly": 3}}

AS_POSTED = [
    "x",
    "x=None",
    "x, /",
    "x: dict",
    "x: dict[str, float]",
    "x: Dict[str, Any]",
    "x: Mapping",
    "x: Mapping[str, Any]",
    "x: typing.Mapping[str, Any]",
    "x: MutableMapping[str, int]",
    "x: Any",
    "x: object",
    "x: Optional[dict]",
    "x: dict | None = None",
    "x: Annotated[dict, 'as posted']",
    "*, x: dict",
]


@pytest.mark.parametrize("parameters", AS_POSTED)
def test_variables_arrive_as_posted(parameters: str, future: bool) -> None:
    """A model that takes the dict would get a copy, a coerced one, or only a part."""
    model = write_method(parameters, future=future)
    assert read(model).kind == "variables"
    assert call(model, POSTED)["x"] is POSTED


@pytest.mark.parametrize(
    ("parameters", "received"),
    [("x", {}), ("x: dict", {}), ("x=5", 5), ("x: dict = None", None), ("*, x: Any", {})],
)
def test_absent_variables_are_an_empty_dict_or_the_default(
    parameters: str, received: object, future: bool
) -> None:
    """A GET of a model that could do without variables would be refused."""
    assert call(write_method(parameters, future=future), None) == {"x": received}


def test_posted_but_empty_variables_are_not_the_default(future: bool) -> None:
    """A caller who posts `{}` would be taken for one who posted nothing."""
    assert call(write_method("x=5", future=future), {}) == {"x": {}}


@pytest.mark.parametrize("variables", [None, {}, {"a": 1}])
def test_a_method_without_parameters_receives_nothing(variables: dict[str, Any] | None, future: bool) -> None:
    """An ETL would fail on variables that were meant for another model of /all."""
    model = write_class("class Model:\n    def transform_predict(self): return {'ok': True}", future=future)
    assert read(model).kind == "none"
    assert call(model, variables) == {"ok": True}


@pytest.mark.parametrize("annotation", ["pd.DataFrame", "Optional[pd.DataFrame]", "pd.DataFrame | None"])
def test_a_dataframe_is_one_flattened_row(annotation: str, future: bool) -> None:
    """Nested variables would not become the columns that the model was trained with."""
    row = call(write_method(f"x: {annotation}", future=future), POSTED)["x"]
    assert row.to_dict("records") == [{"age": "42", "income.monthly": 3}]


def test_a_dataframe_needs_variables(future: bool) -> None:
    """A model would score a row without columns and fail with a 500 that blames its author."""
    model = write_method("x: pd.DataFrame", future=future)
    assert [(one["field"], one["type"]) for one in errors(model, None)] == [("variables", "missing")]


def test_variables_too_deep_for_a_row_are_refused(future: bool) -> None:
    """Anybody could make the model look broken: a 500 with a traceback for each such body."""
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"a": deep}
    found = errors(write_method("x: pd.DataFrame", future=future), deep)
    assert [(one["field"], one["type"]) for one in found] == [("variables", "too_deep")]


def test_a_dataframe_with_a_default_may_be_absent(future: bool) -> None:
    """The default that the author wrote would never be used."""
    assert call(write_method("x: pd.DataFrame = None", future=future), None) == {"x": None}


@pytest.mark.parametrize(("variables", "shape"), [(POSTED, (1, 2)), ({}, (1, 0)), (None, (1, 0))])
def test_the_original_convention_gets_a_row(variables: Any, shape: tuple[int, int], future: bool) -> None:
    """A repository written for the original framework would get a dict where it indexes columns."""
    model = write_method("data", future=future)
    assert read(model, row_by_default=True).kind == "row"
    assert call(model, variables, row_by_default=True)["data"].shape == shape


def test_an_annotation_beats_the_original_convention(future: bool) -> None:
    """A class named transform_predict could never ask for the dict."""
    assert read(write_method("data: dict", future=future), row_by_default=True).kind == "variables"


RECORDS = {
    "pydantic model": "class Row(pydantic.BaseModel):\n    age: int\n    items: list[Item] = []",
    "dataclass": "@dataclasses.dataclass\nclass Row:\n    age: int\n    items: list[Item] = ()",
    "typing.TypedDict": "class Row(TypedDict, total=False):\n    age: Required[int]\n    items: list[Item]",
}
ITEM = "class Item(pydantic.BaseModel):\n    price: float\n"


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("annotation", ["Row", "Optional[Row]", "Annotated[Row, 'all of it']"])
def test_a_record_is_made_of_all_variables(record: str, annotation: str, future: bool) -> None:
    """A typed model would get raw text, or be refused because /all posts more than it names."""
    model = write_method(f"x: {annotation}", before=ITEM + RECORDS[record], future=future)
    received = call(model, {"age": "42", "items": [{"price": "1.5"}], "other": 1})["x"]
    fields = received if isinstance(received, dict) else vars(received)
    assert read(model).kind == "object"
    assert (fields["age"], fields["items"][0].price, "other" in fields) == (42, 1.5, False)


@pytest.mark.parametrize("record", RECORDS)
def test_each_wrong_field_is_listed_with_its_place(record: str, future: bool) -> None:
    """A caller would have to find the mistakes one request at a time, or not know where they are."""
    model = write_method("x: Row", before=ITEM + RECORDS[record], future=future)
    found = errors(model, {"age": "x", "items": [{"price": 1}, {"price": "y"}]})
    assert [(one["field"], one["type"]) for one in found] == [
        ("age", "int_parsing"),
        ("items.1.price", "float_parsing"),
    ]


def test_required_and_optional_keys_are_told_apart(future: bool) -> None:
    """A TypedDict with `Required` in it would take what lacks it, or refuse what may lack the rest."""
    before = """
    class Some(TypedDict, total=False):
        a: Required[int]
        b: Annotated[int, "optional"]
    class Row(Some):
        c: NotRequired[int]
        d: int
    """
    model = write_method("x: Row", before=before, future=future)
    assert [one["field"] for one in errors(model, {"b": 1, "c": 1})] == ["a", "d"]
    assert call(model, {"a": 1, "d": 2}) == {"x": {"a": 1, "d": 2}}


def test_a_record_with_a_default_may_be_absent_but_not_empty(future: bool) -> None:
    """A caller who posts `{}` would get the answer of the default, and never learn that a field is missing."""
    before = "class Row(pydantic.BaseModel):\n    age: int"
    model = write_method("x: Row = None", before=before, future=future)
    assert call(model, None) == {"x": None}
    assert [one["field"] for one in errors(model, {})] == ["age"]


def test_a_record_may_contain_itself(future: bool) -> None:
    """A tree-shaped TypedDict would end in endless recursion while it loads."""
    before = "class Row(TypedDict):\n    name: str\n    children: 'list[Row]'"
    tree = {"name": "a", "children": [{"name": "b", "children": []}]}
    assert call(write_method("x: Row", before=before, future=future), tree) == {"x": tree}


def test_a_union_of_records_takes_what_fits(future: bool) -> None:
    """A model that takes one of two shapes would be asked for a variable called like its parameter."""
    before = "class A(pydantic.BaseModel):\n    a: int\nclass B(pydantic.BaseModel):\n    b: int"
    received = call(write_method("x: A | B", before=before, future=future), {"b": "2"})["x"]
    assert (type(received).__name__, received.b) == ("B", 2)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic.v1 ends with Python 3.13")
def test_a_model_of_old_pydantic_is_validated_by_old_pydantic(future: bool) -> None:
    """A repository that still derives from pydantic.v1 would get 500 instead of a list of wrong fields."""
    before = "from pydantic import v1\nclass Row(v1.BaseModel):\n    age: int"
    model = write_method("x: Row", before=before, future=future)
    assert call(model, {"age": "42"})["x"].age == 42
    assert [one["field"] for one in errors(model, {"age": "x"})] == ["age"]


def test_a_validator_that_refuses_is_a_422(future: bool) -> None:
    """The author's own rule would look like a crash of the server."""
    before = """
    class Row(pydantic.BaseModel):
        age: int
        @pydantic.field_validator("age")
        def adult(cls, age):
            if age < 18: raise ValueError("too young")
            return age
    """
    found = errors(write_method("x: Row", before=before, future=future), {"age": 3})
    assert found == [{"field": "age", "message": "Value error, too young", "type": "value_error"}]


def test_an_error_inside_the_method_is_not_the_callers(future: bool) -> None:
    """A bug in the model would be reported to the caller as wrong variables."""
    model = write_class(
        """
        class Row(pydantic.BaseModel):
            age: int
        class Model:
            def transform_predict(self, row: Row):
                return Row(age="not a number")
        """,
        future=future,
    )
    with pytest.raises(ValueError, match="1 validation error for Row") as raised:
        call(model, {"age": 1})
    assert not isinstance(raised.value, VariablesInvalid)


def test_reading_signatures_loads_no_pandas(future: bool) -> None:
    """A server of models without pandas would pay 60 MB and a second for it."""
    code = """
import sys
from loader.signature import Signature
class Model:
    def transform_predict(self, age: int, **rest): return {}
assert Signature.read(Model, row_by_default=False).call(Model().transform_predict, {"age": 1}) == {}
sys.exit("pandas" in sys.modules or "numpy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
