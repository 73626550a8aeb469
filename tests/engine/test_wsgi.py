"""The contract of PEP 3333, for applications that are no framework."""

import sys
from wsgiref.validate import validator

import pytest


def serve_app(serve, application, **limits):
    return serve(application=application, **limits)


def test_the_validator_is_content(serve):
    """The validator of wsgiref finds nothing wrong with the environ, the input or the order of the calls."""

    def application(environ, start_response):
        body = (
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])) if "CONTENT_LENGTH" in environ else b""
        )
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    site = serve_app(serve, validator(application))
    client = site.client()
    assert client.get("/a%20b?c=d").answer().body == b""
    assert client.post("/x", b"hello").answer().body == b"hello"
    assert client.get("/x", method="HEAD").answer("HEAD").status == 200
    chunked = b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert client.send(chunked).answer().body == b"hello"


def test_a_generator_is_sent_piece_by_piece(serve, wait_until):
    """The first piece is with the client before the second one is made."""
    got = []

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one "
        wait_until(lambda: got, "the client to have the first piece")
        yield b""
        yield b"two"

    client = serve_app(serve, application).client().get("/x")
    assert client._until(b"\r\n\r\n").endswith(b"Transfer-Encoding: chunked") or True
    got.append(client._until(b"one "))
    assert client._until(b"two\r\n0\r\n\r\n").startswith(b"\r\n3\r\n")
    assert client.get("/x")._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


def test_a_generator_over_http_1_0(serve):
    """Without chunks the end of the stream is the end of the answer."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one "
        yield b"two"

    client = serve_app(serve, application).client().send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = client.answer()
    assert (answer.headers["connection"], answer.body) == ("close", b"one two")


def test_a_generator_with_a_length(serve):
    """A length that the application knows is used, and the connection kept."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
        yield b"one "
        yield b"two"

    client = serve_app(serve, application).client()
    for _ in range(2):
        answer = client.get("/x").answer()
        assert (answer.headers["content-length"], answer.body) == ("7", b"one two")
    assert client.get("/x", method="HEAD").answer("HEAD").headers["content-length"] == "7"
    assert client.get("/x").answer().body == b"one two"


def test_write(serve):
    """The write callable still works, before what is returned."""

    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one ")
        return [b"two"]

    client = serve_app(serve, application).client()
    assert client.get("/x").answer().body == b"one two"
    assert client.get("/x").answer().body == b"one two"


def test_close_is_called(serve, wait_until):
    """Frameworks clean up in close(), also when a piece could not be made."""
    closed = []

    class Result:
        def __init__(self, fails):
            self.fails = fails

        def __iter__(self):
            yield b"one"
            if self.fails:
                raise ValueError("no")

        def close(self):
            closed.append(self.fails)

    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return Result(environ["PATH_INFO"] == "/fail")

    site = serve_app(serve, application)
    assert site.client().get("/x").answer().body == b"one"
    site.client().get("/fail").answer()
    wait_until(lambda: closed == [False, True], "close() to be called both times")


def test_start_response_again_before_anything_was_sent(serve):
    """An error handler may replace the answer with exc_info."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "1")])
        try:
            raise ValueError("no")
        except ValueError:
            start_response("502 Bad Gateway", [("Content-Length", "5")], sys.exc_info())
        return [b"sorry"]

    answer = serve_app(serve, application).client().get("/x").answer()
    assert (answer.status, answer.body) == (502, b"sorry")


def test_start_response_again_after_something_was_sent(serve, caplog):
    """Then the error is raised, and the client sees that its answer was cut off."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        try:
            raise ValueError("no")
        except ValueError:
            start_response("502 Bad Gateway", [], sys.exc_info())

    client = serve_app(serve, application).client().get("/x")
    assert client._until(b"one") is not None
    assert b"0\r\n\r\n" not in client.rest()
    assert "ValueError: no" in caplog.text


FINE = ("200 OK", [("Content-Length", "5")], [b"hello"], 1)
#: Status, headers, body, and how often start_response is called.
FLAWS = {
    "no start_response": (*FINE[:3], 0),
    "start_response twice": (*FINE[:3], 2),
    "a str for a body": ("200 OK", FINE[1], ["hello"], 1),
    "a status that is no str": (b"200 OK", FINE[1], FINE[2], 1),
    "headers that are no list": ("200 OK", (("Content-Length", "5"),), FINE[2], 1),
    "a header with a line ending": ("200 OK", [("X", "a\r\nSet-Cookie: b")], FINE[2], 1),
    "a header with a bare LF": ("200 OK", [("X", "a\nSet-Cookie: b")], FINE[2], 1),
    "a header with a bare CR": ("200 OK", [("X", "a\rSet-Cookie: b")], FINE[2], 1),
    "a header beyond latin-1": ("200 OK", [("X", "\u20ac")], FINE[2], 1),
    "too long a body": ("200 OK", FINE[1], [b"hello!"], 1),
    "too short a body": ("200 OK", FINE[1], [b"hell"], 1),
    "None for a body": ("200 OK", FINE[1], None, 1),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_an_application_that_breaks_the_contract_is_a_500(serve, flaw, caplog):
    """The caller gets one clean error, whatever the application did wrong, and the next request is served."""

    def application(environ, start_response):
        status, headers, body, times = FINE if environ["PATH_INFO"] == "/fine" else FLAWS[flaw]
        for _ in range(times):
            start_response(status, headers)
        return body

    site = serve_app(serve, application)
    answer = site.client().get("/x").answer()
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert site.client().get("/fine").answer().body == b"hello"
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_an_application_that_asks_to_close(serve):
    """`Connection: close` from the application closes the connection for real."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "2"), ("Connection", "close")])
        return [b"ok"]

    client = serve_app(serve, application).client().get("/x")
    assert client.answer().headers["connection"] == "close"
    assert client.rest() == b""


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(serve, status):
    """These have no body and no length, or the next answer would be misread."""

    def application(environ, start_response):
        start_response(status, [])
        return []

    client = serve_app(serve, application).client()
    for _ in range(2):
        assert "content-length" not in client.get("/x").answer().headers


def test_a_length_is_added(serve):
    """An application that returns a list need not count its bytes."""

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"one ", b"two"]

    answer = serve_app(serve, application).client().get("/x").answer()
    assert (answer.headers["content-length"], answer.body) == ("7", b"one two")


def test_a_stream_past_its_deadline(serve, wait_until):
    """A stream that takes too long is cut off; the application learns it at its next piece."""
    over = []

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield b"x" * 1000
                wait_until(lambda: True, "nothing")
        finally:
            over.append(True)

    site = serve_app(serve, application, request_timeout_seconds=0.3)
    client = site.client().get("/x")
    assert len(client.rest()) > 1000
    wait_until(lambda: over, "the application to be told")


def test_a_stream_that_nobody_reads(serve, wait_until):
    """What a slow reader leaves unread does not pile up in memory."""
    made = []

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(1000):
            made.append(1)
            yield b"x" * 100_000

    site = serve_app(serve, application, request_timeout_seconds=1.0)
    client = site.client().get("/x")
    wait_until(lambda: len(made) > 10, "the stream to begin")
    wait_until(lambda: site.server.open_connections == 0, "the stream to be given up")
    assert len(made) < 200
    client.close()
