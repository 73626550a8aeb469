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

    def open_stream(self, request: Request) -> Stream:
        """Send the head of the answer to *request* now and return what takes the body."""


class Stream(Protocol):
    """An answer that goes out piece by piece."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def finish(self) -> None:
        """End the body."""

    def abort(self) -> None:
        """Make the client see that the answer is incomplete."""


class Request:
    """A complete request, which is a lane's ticket too.

    Attributes:
        environ: What the application gets; taken away when the request is answered, because each refers to the other.
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

    # Most requests leave these as they are: cheaper than an assignment each.
    lane: Lane | None = None
    version: Any = None
    admission: Admission | None = None
    is_stuck = False
    has_begun = False
    status: str | None = None
    headers: Headers
    stream: Stream | None = None

    def __init__(
        self, environ: Environ, connection: Connection, received: float, deadline: float, owner: Owner
    ) -> None:
        self.environ = environ
        self.connection = connection
        self.received = received
        self.deadline = deadline
        self.keep_alive = connection.keep_alive
        self._owner = owner

    def resume(self) -> None:
        """Run the call, which waited and holds a slot now; any thread may call this, and it does not block."""
        self.admission = Admission.RUN
        self._owner.resume(self)

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        """Take the status and the headers from the application (PEP 3333).

        Raises:
            TypeError: They are no `str` and no list.
            AssertionError: It was called before, and there is no *exc_info*.
        """
        if self.status is not None:
            if exc_info is None:
                raise AssertionError("start_response was called twice without exc_info.")
            if self.stream is not None:
                raise exc_info[1].with_traceback(exc_info[2])
        if type(status) is not str or type(headers) is not list:
            raise TypeError("start_response takes a str and a list.")
        self.status, self.headers = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send *data* now, before the application returns (PEP 3333).

        Raises:
            OSError: The client is gone, too slow, or was answered when the deadline passed.
        """
        if self.stream is None:
            self.stream = self._owner.open_stream(self)
        self.stream.write(data)
