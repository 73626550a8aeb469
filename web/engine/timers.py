"""What happens without anything arriving: deadlines, connections that are given up, and the end of the server."""

from __future__ import annotations

import time

from web.engine.acceptor import Acceptor
from web.engine.calls import Calls
from web.engine.connection import BUSY, READING, Connection
from web.engine.draining import FRESH_SECONDS, SETTLE_SECONDS, Drain
from web.engine.exchange import Exchange
from web.engine.limits import Limits
from web.problems import RequestTimedOut

#: Idle connections closed at a time when new ones find no room.
EVICTED = 16


class Timers:
    """Kept by the leader, between its turns."""

    def __init__(
        self, limits: Limits, exchange: Exchange, calls: Calls, acceptor: Acceptor, drain: Drain
    ) -> None:
        self._exchange = exchange
        self._calls = calls
        self._acceptor = acceptor
        self._drain = drain
        self._sweep_seconds = max(0.01, min(0.5, limits.shortest_seconds / 4))
        self._next_sweep = 0.0

    def due(self) -> float | None:
        """Return when there is something to do, by `time.monotonic()`, or None."""
        times = [self._calls.next_deadline(), self._drain.next_step(), self._acceptor.resumes]
        if self._exchange.connections:
            times.append(self._next_sweep)
        known = [due for due in times if due is not None]
        return min(known) if known else None

    def keep(self, now: float) -> list[Connection]:
        """Do what is due by *now*; return idle connections whose time is up, to be looked at a last time."""
        self._calls.expire(now)
        if self._acceptor.resumes is not None and now >= self._acceptor.resumes:
            self._make_room()
            self._acceptor.resume()
        if self._drain.is_asked:
            self._advance_drain(now)
        if now < self._next_sweep:
            return []
        self._next_sweep = now + self._sweep_seconds
        return self._sweep(now)

    def is_over(self) -> bool:
        """Tell whether the server has drained, or has had its time."""
        drain = self._drain
        if not drain.is_asked:
            return False
        if drain.listener_closed is not None and not self._exchange.connections and not self._calls.pending:
            return True
        return drain.is_over(time.monotonic())

    def _sweep(self, now: float) -> list[Connection]:
        idle = []
        for connection in list(self._exchange.connections.values()):
            if connection.expires > now or connection.state is BUSY:
                continue
            if connection.is_idle:
                idle.append(connection)
            elif connection.state is READING:
                self._exchange.refuse(connection, RequestTimedOut("The request did not arrive in time."))
            else:
                self._exchange.close(connection)
        return idle

    def _make_room(self) -> None:
        """Close the connections that have idled for longest, if there is no room for new ones."""
        if self._acceptor.has_room():
            return
        idle = [each for each in self._exchange.connections.values() if each.is_idle and not each.is_fresh]
        for connection in sorted(idle, key=lambda each: each.expires)[:EVICTED]:
            self._exchange.close(connection)

    def _advance_drain(self, now: float) -> None:
        drain = self._drain
        if drain.is_over(now):
            self._calls.expire(float("inf"))
        elif (
            drain.listener_closed is None
            and drain.closes_listener is not None
            and now >= drain.closes_listener
        ):
            self._stop_listening(now)

    def _stop_listening(self, now: float) -> None:
        drain = self._drain
        if not drain.turns_away:
            self._acceptor.turn_away()
            drain.turns_away, drain.closes_listener = True, now + SETTLE_SECONDS
            return
        self._acceptor.close()
        drain.listener_closed = self._next_sweep = now
        for connection in list(self._exchange.connections.values()):
            self._shorten(connection, now)

    def _shorten(self, connection: Connection, now: float) -> None:
        """Let go of a client that idles; one that never sent anything gets a moment to do so."""
        if connection.is_fresh and not connection.has_begun:
            connection.expires = min(connection.expires, now + FRESH_SECONDS)
        elif connection.is_idle:
            connection.expires = now
