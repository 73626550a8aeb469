"""A real server on a free port, clients that speak raw bytes, and lanes as the models have them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from loader.errors import DeadlineExceeded, Overloaded, ServingError
from loader.lane import Lane
from web import problems
from web.httpd import Limits, Server

Environ = dict[str, Any]

LIMITS: dict[str, Any] = {"threads": 4, "request_timeout_seconds": 10.0, "max_body_bytes": 1 << 20}


@dataclass
class Answer:
    """One response, as read off a socket."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A connection that sends what it is told to, byte by byte, and reads one answer at a time."""

    def __init__(
        self, address: tuple[str, int], wrap: Callable[[socket.socket], socket.socket] | None = None
    ):
        connected = socket.create_connection(address, timeout=20)
        self.socket = wrap(connected) if wrap is not None else connected
        self._unread = b""

    def send(self, data: bytes) -> Client:
        """Send *data*; a server that has hung up already is no failure of the client."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def get(self, path: str, *headers: str, method: str = "GET") -> Client:
        """Send a request without a body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]
        return self.send("\r\n".join(lines).encode())

    def post(self, path: str, body: bytes, *headers: str) -> Client:
        """Send a request with a body whose length is announced."""
        head = "\r\n".join(
            [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers, "", ""]
        )
        return self.send(head.encode() + body)

    def answer(self, method: str = "GET") -> Answer:
        """Read one whole answer to a request of *method*."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        status = int(status_line.split(" ")[1])
        return Answer(status, headers, self._body(method, status, headers))

    def rest(self) -> bytes:
        """Read to the end of the stream and return it: empty when the server has closed as it should."""
        try:
            while data := self.socket.recv(65_536):
                self._unread += data
        except ConnectionResetError:
            return b"<reset>"
        taken, self._unread = self._unread, b""
        return taken

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (100, 204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size)
                self._take(2)
            self._take(2)
            return body
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        return self.rest()

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._receive()
        taken, _, self._unread = self._unread.partition(end)
        return taken

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError(f"The server hung up after {self._unread!r}.")
        self._unread += data


@dataclass
class Site:
    """A running server, what it serves, and what it was asked.

    Attributes:
        routes: By path, what answers; each gets the environ and returns the body.
        lanes: By path, whose slot a request needs.
        rejected: Every refusal, by status, with whether the head was understood.
        expired: Every answer to a deadline: whether the call was running.
    """

    server: Server
    address: tuple[str, int]
    routes: dict[str, Callable[[Environ], bytes]] = field(default_factory=dict)
    lanes: dict[str, Any] = field(default_factory=dict)
    rejected: list[tuple[int, bool]] = field(default_factory=list)
    expired: list[bool] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    thread: threading.Thread | None = None

    def client(self, wrap: Callable[[socket.socket], socket.socket] | None = None) -> Client:
        """Connect."""
        host = "127.0.0.1" if self.address[0] == "0.0.0.0" else self.address[0]
        client = Client((host, self.address[1]), wrap)
        self.clients.append(client)
        return client

    def slow(self, path: str, concurrency: int = 1, queue_size: int = 128) -> Slow:
        """Serve *path* by a model whose calls last until they are let go."""
        slow = Slow(make_lane(concurrency, queue_size))
        self.routes[path], self.lanes[path] = slow, slow.lane
        return slow

    def answer_application(self, environ: Environ, start_response: Any) -> list[bytes]:
        """Answer like a framework: by path, with a Content-Length."""
        call = environ["model_serving.call"]
        if call.admission is not None and call.admission.value == "full":
            status, headers, body = problems.render(Overloaded("full"), "test")
            start_response(status, headers)
            return [body]
        route = self.routes.get(environ["PATH_INFO"], default_route)
        body = route(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def reject(self, error: ServingError, environ: Environ | None) -> problems.Response:
        self.rejected.append((error.status, environ is not None))
        return problems.render(error, "test")

    def expire(self, environ: Environ, is_running: bool) -> problems.Response:
        self.expired.append(is_running)
        error = DeadlineExceeded("late") if is_running else Overloaded("never ran")
        return problems.render(error, "test")


@dataclass
class Version:
    """What a lane keeps for one version of a model."""

    concurrency: int
    running: int = 0
    stuck: int = 0
    is_retired: bool = False


class Slow:
    """A model whose calls wait until the test lets them go."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.gate = threading.Semaphore(0)
        self.entered: list[str] = []
        self.threads: list[str] = []

    def __call__(self, environ: Environ) -> bytes:
        self.entered.append(environ["QUERY_STRING"])
        self.threads.append(threading.current_thread().name)
        assert self.gate.acquire(timeout=60)
        return b"done " + environ["QUERY_STRING"].encode()

    def let_go(self, calls: int = 1) -> None:
        """Let *calls* calls return."""
        self.gate.release(calls)


def default_route(environ: Environ) -> bytes:
    """Echo the request."""
    body: bytes = environ["wsgi.input"].read()
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']} ".encode() + body


def make_lane(concurrency: int = 1, queue_size: int = 128, seconds: float = 1.0) -> Lane:
    """Return a lane with one version, whose calls are known to take *seconds*."""
    lane = Lane(queue_size, lambda version, stuck: None, lambda version: None)
    lane.publish(Version(concurrency), seconds)
    return lane


def wait_until(probe: Callable[[], Any], sentence: str, within: float = 10.0) -> Any:
    """Poll *probe* until it is true; fail with *sentence* and its last value."""
    ends = time.monotonic() + within
    while not (value := probe()):
        if time.monotonic() > ends:
            pytest.fail(f"Waited {within} s for {sentence}; last value: {value!r}")
        time.sleep(0.002)
    return value


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    """Poll with a deadline and a sentence."""
    return wait_until


@pytest.fixture(name="make_lane")
def make_lane_fixture() -> Callable[..., Lane]:
    """Make a lane as a model has it."""
    return make_lane


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Start servers with the given limits, and end them: each must drain by itself."""
    sites: list[Site] = []

    def start(
        host: str = "127.0.0.1", application: Any = None, ssl_adapter: Any = None, **limits: Any
    ) -> Site:
        site: Site
        server = Server(
            application or (lambda environ, start_response: site.answer_application(environ, start_response)),
            host=host,
            port=0,
            limits=Limits(**(LIMITS | limits)),
            lane_for=lambda environ: site.lanes.get(environ["PATH_INFO"]),
            on_deadline=lambda environ, is_running: site.expire(environ, is_running),
            on_rejected=lambda error, environ: site.reject(error, environ),
            ssl_adapter=ssl_adapter,
        )
        site = Site(server, server.bind())
        site.thread = threading.Thread(target=server.serve, name="serve")
        site.thread.start()
        sites.append(site)
        return site

    before = threading.active_count()
    yield start
    for site in sites:
        for client in site.clients:
            client.close()
        for route in site.routes.values():
            if isinstance(route, Slow):
                route.let_go(1000)
        site.server.drain(0.0, 5.0)
        assert site.thread is not None
        site.thread.join(10)
        assert not site.thread.is_alive(), "the server did not end"
    wait_until(lambda: threading.active_count() <= before, "every thread of the server to end")


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    """A server with ordinary limits."""
    return serve()
