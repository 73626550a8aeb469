"""TLS by the adapter that cheroot's server was given, without ever blocking in it."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from web.engine.call import Environ


class Tls:
    """Wraps accepted sockets; the handshake is the loop's to drive."""

    def __init__(self, adapter: Any) -> None:
        """Take over cheroot's *adapter*.

        Raises:
            TypeError: It is not built on the `ssl` module (pyOpenSSL blocks in its handshake).
        """
        if not isinstance(getattr(adapter, "context", None), ssl.SSLContext):
            raise TypeError("TLS needs cheroot's builtin adapter.")
        self._adapter = adapter

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return *sock* with TLS around it and no byte exchanged yet."""
        context: ssl.SSLContext = self._adapter.context
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def environ(self, sock: socket.socket) -> Environ:
        """Return what the environ says of the connection once its handshake is done."""
        facts: Environ = self._adapter.get_environ(sock)
        return facts
