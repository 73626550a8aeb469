"""Types are those of the version that is read, though several carry the same names."""

from __future__ import annotations

import gc
import typing
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.loader.signatures import call, read, write_method

if TYPE_CHECKING:
    from tests.loader.conftest import World

ETLS = """
from __future__ import annotations
from rows import Row
import rows

class Model:
    def transform_predict(self, {parameters}):
        return {{"row": row}}
"""

ROWS = {
    "dataclass": "@dataclasses.dataclass\nclass Row:\n    items: list[Item]",
    "pydantic model": "class Row(pydantic.BaseModel):\n    items: list[Item]",
    "typing.TypedDict": "class Row(typing.TypedDict):\n    items: list[Item]",
}
#: Under text annotations a record's names are looked up in its module, when the signature is read.
HEAD = "from __future__ import annotations\nimport dataclasses, pydantic, typing\n"
ITEM = "\n@dataclasses.dataclass\nclass Item:\n    {field}: int\n"


@pytest.mark.parametrize("parameters", ["row: Row", "row: rows.Row, other: int = 1", "row: Row | None"])
@pytest.mark.parametrize("record", ROWS)
def test_two_versions_alive_each_know_their_own_types(world: World, record: str, parameters: str) -> None:
    """After a push the new version would demand the fields of the old one, or the other way round."""

    def call(version: str, field: str) -> Any:
        rows = HEAD + ROWS[record] + ITEM.format(field=field)
        files = {"etls.py": ETLS.format(parameters=parameters), "rows.py": rows}
        model = world.load(files, version=version).Model
        signature = read(model)
        return lambda variables: signature.call(model().transform_predict, variables)["row"]  # type: ignore[index]

    old, new = call("1", "price"), call("2", "amount")
    is_named = "," in parameters
    for version, field in ((old, "price"), (new, "amount"), (old, "price")):
        row = {"items": [{field: "3"}]}
        received = version({"row": row} if is_named else row)
        item = (received["items"] if isinstance(received, dict) else received.items)[0]
        assert (type(item).__module__, vars(item)) == ("rows", {field: 3})


@pytest.mark.parametrize(
    "parameters", ["x", "x: Row", "x: Row | None", "a: Row, b: list[Row] = (), c: Optional[Row] = None"]
)
def test_a_signature_that_is_dropped_keeps_no_class(parameters: str) -> None:
    """Each push would leave the model's module, and the weights in it, behind."""
    before = "class Row(TypedDict):\n    age: int\n"
    model = write_method(parameters, before=before)
    call(model, {"age": 1, "a": {"age": 1}})
    kinds = [weakref.ref(model), weakref.ref(model.transform_predict.__globals__["Row"])]  # type: ignore[attr-defined]
    del model
    for clear in typing._cleanups:  # type: ignore[attr-defined]
        clear()
    gc.collect()
    assert [kind() for kind in kinds] == [None, None]
