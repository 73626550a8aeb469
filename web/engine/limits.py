"""What one client, and all of them together, may use up."""

from __future__ import annotations

import resource
from dataclasses import dataclass

#: Descriptors that are left to models, files and the log.
RESERVED_DESCRIPTORS = 64


@dataclass(frozen=True)
class Limits:
    """Sizes and times of the server; each time is for the whole thing, however the bytes trickle.

    Attributes:
        threads: How many calls run at once; stuck ones are not counted.
        request_timeout_seconds: From the complete request to the answer.
        max_body_bytes: The largest body; larger ones are 413.
        max_header_bytes: The largest head, request line included; larger ones are 431, or 414.
        max_header_count: The most header fields in a head.
        header_timeout_seconds: From the first byte of a request (or the connect) to the end of its head.
        body_timeout_seconds: From the end of the head to the end of the body.
        write_timeout_seconds: For the client to take the whole answer.
        keep_alive_seconds: How long a connection may idle between two requests.
        max_connections: The most connections that are open at once; more wait in the backlog.
    """

    threads: int
    request_timeout_seconds: float
    max_body_bytes: int
    max_header_bytes: int = 65_536
    max_header_count: int = 100
    header_timeout_seconds: float = 10.0
    body_timeout_seconds: float = 30.0
    write_timeout_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    max_connections: int = 10_000

    @property
    def connections(self) -> int:
        """The most open connections that the descriptors of this process allow too."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self.max_connections
        return max(1, min(self.max_connections, soft - RESERVED_DESCRIPTORS))

    @property
    def shortest_seconds(self) -> float:
        """The shortest time that a connection can be given; how often to look depends on it."""
        return min(
            self.header_timeout_seconds,
            self.body_timeout_seconds,
            self.write_timeout_seconds,
            self.keep_alive_seconds,
        )
