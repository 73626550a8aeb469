"""One request from its complete receipt to its answer: what the application and a lane see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from loader.lane import Admission

if TYPE_CHECKING:
    from web.engine.connection import Connection

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Response = tuple[str, Headers, bytes]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

#: Where the environ carries the request itself.
CALL = "model_serving.call"


class Ticket(Protocol):
    """Whatever waits in a lane: a request, or one model's part of a larger one."""

    def resume(self) -> None:
        """Run it: it has its slot now. Called on any thread, never blocks."""


class Lane(Protocol):
    """The calls of one model, as far as the engine knows them; none of the methods blocks."""

    is_fast: bool

    def enter(self, ticket: Any) -> Admission:
        """Give a slot, a place in the queue, or neither."""

    def leave(self, ticket: Any) -> Any:
        """End a call; return the next ticket, which holds a slot now."""

    def cancel(self, ticket: Any) -> bool:
        """Forget a ticket that waits; False when it does not wait any more."""

    def mark_stuck(self, ticket: Any) -> None:
        """Note that the call's deadline passed while it ran."""


class Owner(Protocol):
    """What a request asks for itself."""

    def resume(self, request: Request) -> None:
        """Run *request*, which waited and holds a slot now."""

    def claim_stream(self, request: Request, stream: Any) -> None:
        """Make *stream* the answer to *request*, unless that has been answered."""


class Request:
    """A complete request, which is a lane's ticket too.

    Attributes:
        environ: What the application gets.
        connection: Where the answer goes.
        lane: Whose slot it needs; None when it needs none.
        version: What the call shall run on; set by the lane.
        admission: What the lane said; WAIT becomes RUN when the slot comes.
        received: When it was complete, by `time.monotonic()`.
        deadline: When it is answered at the latest.
        is_stuck: The deadline passed while it ran; set by the lane.
        has_begun: The application was entered.
        keep_alive: The connection stays open after the answer.
        status: What the application passed to `start_response`, with *headers*.
        stream: Set once a part of the answer went out before the rest was known.
    """

    __slots__ = (
        "_owner",
        "admission",
        "connection",
        "deadline",
        "environ",
        "has_begun",
        "headers",
        "is_stuck",
        "keep_alive",
        "lane",
        "received",
        "status",
        "stream",
        "version",
    )

    def __init__(
        self,
        environ: Environ,
        connection: Connection,
        received: float,
        deadline: float,
        owner: Owner,
    ) -> None:
        self.environ = environ
        self.connection = connection
        self.lane: Lane | None = None
        self.version: Any = None
        self.admission: Admission | None = None
        self.received = received
        self.deadline = deadline
        self.is_stuck = False
        self.has_begun = False
        self.keep_alive = connection.keep_alive
        self.status: str | None = None
        self.headers: Headers = []
        self.stream: Any = None
        self._owner = owner

    def resume(self) -> None:
        """Run the call, which waited and holds a slot now; any thread may call this, and it does not block."""
        self.admission = Admission.RUN
        self._owner.resume(self)

    def begin_stream(self, stream: Any) -> None:
        """Answer piece by piece from now on.

        Raises:
            ConnectionResetError: The deadline has passed, and was answered.
        """
        self._owner.claim_stream(self, stream)
