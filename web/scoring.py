"""One call of a model that holds its slot: the variables in, the JSON out, counted by its lane."""

from __future__ import annotations

import time
from typing import Any

from loader.errors import ModelNotLoaded, ServingError
from loader.lane import Ticket
from loader.model import Model
from loader.registry import Entry
from web.encoding import encode


def score(entry: Entry, ticket: Ticket, variables: dict[str, Any] | None, request_id: str) -> bytes:
    """Call the version that *ticket* was given and return its answer as JSON.

    Raises:
        ModelNotLoaded: No version serves.
        ServingError: The variables do not fit, the model raised, or its result is no JSON object.
    """
    model: Model | None = ticket.version
    if model is None:
        raise ModelNotLoaded(reason_down(entry), model=entry.name, retry_after_seconds=5)
    outcome = "error"
    started = time.perf_counter()
    try:
        result = model.score(variables, request_id)
        seconds = time.perf_counter() - started
        body = encode(result, entry.name)
        outcome = "ok"
        return body
    except ServingError as error:
        seconds = time.perf_counter() - started
        if error.status == 422:
            outcome = "invalid"
        raise
    finally:
        entry.lane.record(ticket, outcome, seconds)


def reason_down(entry: Entry) -> str:
    """Return why no version of a model serves."""
    return entry.failure.message if entry.failure else "is being loaded"
