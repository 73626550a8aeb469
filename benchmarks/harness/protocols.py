"""How a row is written into a request, and where its prediction stands in the answer.

row              {"a": 1.0, ...} -> {"prediction": 2.0}
variables        {"variables": {"a": 1.0, ...}} -> {"prediction": 2.0}
v2               the Open Inference Protocol's tensors
dataframe_split  MLflow's split data frame
"""

import json
import re
from typing import Any

Row = dict[str, float]

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def body(protocol: str, row: Row) -> bytes:
    """Return the JSON that asks for the prediction of *row*."""
    values = list(row.values())
    documents: dict[str, Any] = {
        "row": row,
        "variables": {"variables": row},
        "v2": {"inputs": [{"name": "row", "shape": [1, len(row)], "datatype": "FP64", "data": values}]},
        "dataframe_split": {"dataframe_split": {"columns": list(row), "data": [values]}},
    }
    return json.dumps(documents[protocol]).encode()


def prediction(protocol: str, answer: bytes) -> float:
    """Return the number that the server predicted."""
    document = json.loads(answer)
    if protocol == "v2":
        return float(document["outputs"][0]["data"][0])
    if protocol == "dataframe_split":
        return float(document["predictions"][0])
    return float(document["prediction"])


def spelling(answer: bytes, value: float) -> bytes:
    """Return how *answer* writes the number *value*: what every later answer to the same row must contain."""
    for found in _NUMBER.findall(answer):
        if float(found) == value:
            return bytes(found)
    raise ValueError(f"{value} does not stand in {answer[:200]!r}")


def request(path: str, payload: bytes) -> bytes:
    """Return the whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: */*\r\n"
    return head.encode() + f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload
