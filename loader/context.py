"""Who is calling: the model call that the current thread is inside of.

The log reads it, so that what model code prints or logs carries the model, its revision and the request.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Call(NamedTuple):
    """One call of a model, or one load of it (then without a request id)."""

    model: str
    revision: str | None
    request_id: str | None


#: The call that this thread runs, if any.
current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
