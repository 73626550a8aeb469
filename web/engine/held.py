"""Receiving and sending without letting go of the interpreter lock.

Python's socket methods release the lock around each system call, also one that cannot block. While a model computes on
another thread, the polling thread then has to win the lock back twice for every request, and waits a whole switch
interval each time. Keeping it costs other threads some microseconds. The detour through ctypes costs two microseconds
itself, so it is taken only while there are other threads inside calls.
"""

from __future__ import annotations

import ctypes
import socket

#: The most that is received at once.
RECEIVE_BYTES = 65_536
FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class HeldSocket:
    """`recv` and `send` of the C library, on descriptors that do not block."""

    def __init__(self) -> None:
        library = ctypes.PyDLL(None)
        self._recv = library.recv
        self._recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        self._recv.restype = ctypes.c_ssize_t
        self._send = library.send
        self._send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
        self._send.restype = ctypes.c_ssize_t
        # One for all: the lock is held from the call to the copy.
        self._buffer = ctypes.create_string_buffer(RECEIVE_BYTES)
        self._address = ctypes.addressof(self._buffer)
        self._view = memoryview(self._buffer).cast("B")

    def receive(self, fd: int) -> bytes | None:
        """Return what has arrived, empty at the end of the stream, None when nothing has or something is wrong."""
        size = self._recv(fd, self._address, RECEIVE_BYTES, FLAGS)
        return bytes(self._view[:size]) if size >= 0 else None

    def send(self, fd: int, data: bytes) -> int:
        """Send *data* as far as the client takes it; return how much that was, 0 also when something is wrong."""
        sent: int = self._send(fd, data, len(data), FLAGS)
        return max(0, sent)
