"""The server as the rest of the program sees it; this file and `web.engine` alone know cheroot and httptools."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from loader.errors import ServingError
from web.engine.call import Application, Environ, Lane, Response
from web.engine.limits import Limits
from web.engine.server import Engine

__all__ = ["Limits", "Server"]


class Server:
    """Serves one WSGI application over HTTP/1.1.

    The environ carries, besides what PEP 3333 names, the whole body in `wsgi.input` and the request itself, which is
    the lane's ticket, as `model_serving.call`.
    """

    def __init__(
        self,
        application: Application,
        *,
        host: str,
        port: int,
        limits: Limits,
        lane_for: Callable[[Environ], Lane | None],
        on_deadline: Callable[[Environ, bool], Response],
        on_rejected: Callable[[ServingError, Environ | None], Response],
        ssl_adapter: Any = None,
    ) -> None:
        """Make a server that is not bound yet.

        Args:
            application: What answers.
            host: The address to listen on, IPv4 or IPv6; `::` means both.
            port: 0 for any free one.
            limits: What clients may use up.
            lane_for: Called with each complete request on the polling thread, so it must be quick; returns the lane
                whose slot the request needs, or None to answer it in place.
            on_deadline: Makes the answer when a deadline has passed; told whether the call was running.
            on_rejected: Makes the answer to what is no acceptable request, and counts and logs it; the environ is
                None when not even the head was understood.
            ssl_adapter: cheroot's builtin TLS adapter, for HTTPS.
        """
        self._engine = Engine(
            (host, port),
            application,
            limits=limits,
            lane_for=lane_for,
            on_deadline=on_deadline,
            on_rejected=on_rejected,
        )
        self._engine.ssl_adapter = ssl_adapter

    def bind(self) -> tuple[str, int]:
        """Bind and listen; return the real host and port.

        Raises:
            OSError: The address cannot be bound.
        """
        try:
            self._engine.prepare()
        except OSError as error:
            # cheroot has the system's error number only inside a sentence of its own.
            if error.errno is None and (number := re.search(r"\[Errno (\d+)\]", str(error))):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise
        host, port = self._engine.bind_addr[:2]
        return host, port

    def serve(self) -> None:
        """Serve until drained; returns even if calls are stuck."""
        self._engine.serve()

    def drain(self, delay_seconds: float, deadline_seconds: float) -> None:
        """Begin to end; safe on any thread and in a signal handler, and idempotent.

        Args:
            delay_seconds: How long connections are still accepted; each answer says `Connection: close` from now on.
            deadline_seconds: When calls that are still running are given up, counted from now.
        """
        self._engine.drain(delay_seconds, deadline_seconds)

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._engine.exchange.connections)

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return self._engine.pool.total

    @property
    def busy_threads(self) -> int:
        """How many of them are inside a call, stuck ones included."""
        return self._engine.pool.busy + self._engine.pool.stuck
