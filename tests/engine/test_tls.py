"""HTTPS through cheroot's adapter, without a thread per handshake."""

import ssl
import threading
import time
from pathlib import Path

import pytest
from cheroot.ssl.builtin import BuiltinSSLAdapter

#: A certificate for localhost and its key, made for these tests alone.
CERTIFICATE = str(Path(__file__).parent / "localhost.pem")


@pytest.fixture
def secure(serve):
    """A server that speaks TLS only."""
    return serve(ssl_adapter=BuiltinSSLAdapter(CERTIFICATE, CERTIFICATE), header_timeout_seconds=2.0)


@pytest.fixture
def wrap():
    """What a client wraps its socket with."""
    context = ssl.create_default_context(cafile=CERTIFICATE)
    return lambda sock: context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def test_requests_over_tls(secure, wrap):
    """A client that checks the certificate is served, and the application is told of TLS."""
    seen = {}
    secure.routes["/x"] = lambda environ: seen.update(environ) or b"hello"
    client = secure.client(wrap)
    for _ in range(3):
        assert client.get("/x").answer().body == b"hello"
    assert (seen["wsgi.url_scheme"], seen["HTTPS"]) == ("https", "on")


def test_large_bodies_over_tls(secure, wrap):
    """Bodies of many TLS records arrive whole in both directions."""
    body = bytes(range(256)) * 4096
    secure.routes["/x"] = lambda environ: environ["wsgi.input"].read() * 8
    assert secure.client(wrap).post("/x", body).answer().body == body * 8


def test_pipelined_over_tls(secure, wrap):
    """Requests that came in one TLS record are all answered."""
    client = secure.client(wrap)
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % number for number in range(20)))
    assert [client.answer().body for _ in range(20)] == [b"GET /%d? " % number for number in range(20)]


def test_a_client_that_does_not_shake_hands_holds_up_nobody(secure, wrap):
    """A handshake that never goes on costs no thread, and ends with the header time."""
    silent = [secure.client() for _ in range(20)]
    began = time.monotonic()
    assert secure.client(wrap).get("/x").answer().status == 200
    assert time.monotonic() - began < 1
    assert [client.rest() for client in silent] == [b""] * 20


def test_plain_http_on_the_tls_port(secure):
    """A client that forgot the s in https is told so in plain text."""
    client = secure.client().get("/x")
    assert client.answer().status == 400
    assert secure.rejected == [(400, False)]


def test_the_end_is_announced(secure, wrap):
    """A closed connection is closed in TLS too, so that a client knows that nothing was cut off."""
    client = secure.client(wrap).get("/x", "Connection: close")
    assert client.answer().status == 200
    assert client.rest() == b""


def test_slow_calls_over_tls(secure, wrap, wait_until):
    """Calls that leave the polling thread answer over TLS as well."""
    slow = secure.slow("/slow", concurrency=4)
    clients = [secure.client(wrap).get(f"/slow?{number}") for number in range(3)]
    wait_until(lambda: len(slow.entered) == 3, "all of them to run")
    slow.let_go(3)
    assert [client.answer().body for client in clients] == [b"done 0", b"done 1", b"done 2"]
    assert threading.active_count() < 20
