"""Requests and answers on one connection: keeping it, closing it, and what travels on it."""

import errno
import socket
import time

import pytest


def test_keep_alive(site):
    """A client that keeps its connection does not pay for a new one each time."""
    client = site.client()
    bodies = [client.get(f"/{number}").answer().body for number in range(20)]
    assert bodies == [f"GET /{number}? ".encode() for number in range(20)]
    assert site.server.open_connections == 1


def test_pipelined_requests_are_answered_in_order(site):
    """A client that does not wait for its answers gets each under the right request."""
    client = site.client()
    lines = "".join(f"GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n" for number in range(50))
    client.send(lines.encode())
    assert [client.answer().body for _ in range(50)] == [f"GET /{number}? ".encode() for number in range(50)]


def test_pipelined_behind_a_slow_call(site, wait_until):
    """A quick request behind a slow one on the same connection waits for it, and no thread spins meanwhile."""
    slow = site.slow("/slow")
    client = site.client().get("/slow?a").get("/b").get("/slow?c").post("/d", b"hello")
    wait_until(lambda: slow.entered == ["a"], "the first call to begin")
    before = time.thread_time_ns(), time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before[1] < 0.1
    slow.let_go(2)
    assert [client.answer().body for _ in range(4)] == [b"done a", b"GET /b? ", b"done c", b"POST /d? hello"]


def test_requests_in_one_piece_with_bodies(site):
    """Bodies end where their length says, so that the next request is read from its beginning."""
    client = site.client()
    one = b"POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
    two = b"POST /b HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
    client.send(one + two + one)
    assert [client.answer().body for _ in range(3)] == [b"POST /a? abc", b"POST /b? def", b"POST /a? abc"]


def test_close_when_the_client_says_so(site):
    """A client that asks to close sees the end of the stream after its answer."""
    client = site.client().get("/x", "Connection: close")
    assert client.answer().headers["connection"] == "close"
    assert client.rest() == b""


def test_bytes_behind_the_last_request_do_not_reset_the_connection(site):
    """A client that goes on sending gets to read its last answer, and the end of the stream behind it."""
    request = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    client = site.client().send(request + b"x" * 1_000_000)
    assert client.answer().status == 200
    assert client.rest() == b""


def test_http_1_0_closes(site):
    """An HTTP/1.0 client waits for the end of the stream."""
    client = site.client().send(b"GET /x HTTP/1.0\r\n\r\n")
    assert client.answer().body == b"GET /x? "
    assert client.rest() == b""


def test_http_1_0_keeps_alive_when_asked(site):
    """Old load generators and proxies keep HTTP/1.0 connections, and want to be told."""
    client = site.client()
    for _ in range(2):
        answer = client.send(b"GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").answer()
        assert answer.headers["connection"] == "keep-alive"


def test_half_closed_client_gets_its_answer(site):
    """`nc` and some proxies shut their sending side as soon as the request is out."""
    slow = site.slow("/slow")
    client = site.client().get("/slow?a")
    client.socket.shutdown(1)
    slow.let_go()
    assert client.answer().body == b"done a"
    assert client.rest() == b""


def test_head_has_no_body(site):
    """A HEAD answer with a body would be read as the beginning of the next one."""
    client = site.client().get("/x", method="HEAD").get("/y")
    assert client.answer("HEAD").headers["content-length"] == str(len("HEAD /x? "))
    assert client.answer().body == b"GET /y? "


def test_continue_is_sent_when_it_is_waited_for(site):
    """A client such as curl waits a second with a large body unless it is told to go on."""
    client = site.client()
    client.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 100
    assert client.send(b"hello").answer().body == b"POST /x? hello"


def test_continue_is_not_sent_for_a_body_that_is_too_large(site):
    """A client that asks first must not send a body that is refused anyway."""
    client = site.client()
    client.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 413


def test_refused_before_the_body_has_arrived(site):
    """A client that is still sending its too large body gets to read why, not a reset."""
    client = site.client()
    client.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 3_000_000)
    assert client.answer().status == 413
    assert site.rejected == [(413, True)]


def test_environ(site):
    """Applications read what PEP 3333 promises, and the client's address for their logs."""
    seen = {}
    site.routes["/a b"] = lambda environ: seen.update(environ) or b""
    client = site.client()
    client.post(
        "/a%20b?c=%20d", b"hello", "X-Key: one", "x-key: two", "Cookie: a=b", "Cookie: c=d", "X_Key: no"
    )
    assert client.answer().status == 400
    client = site.client()
    client.post(
        "/a%20b?c=%20d", b"hello", "X-Key: one", "x-key: two", "Cookie: a=b", "Cookie: c=d", "Y_Key: no"
    )
    assert client.answer().status == 200
    call = seen.pop("model_serving.call")
    assert (call.admission, call.deadline - call.received) == (None, pytest.approx(10.0))
    assert seen.pop("wsgi.input").read() == b"hello"
    assert seen.pop("wsgi.errors") is not None
    assert seen == {
        "CONTENT_LENGTH": "5",
        "HTTP_COOKIE": "a=b; c=d",
        "HTTP_HOST": "test",
        "HTTP_X_KEY": "one, two",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=%20d",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(client.socket.getsockname()[1]),
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(site.address[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "model-serving",
        "wsgi.input_terminated": True,
        "wsgi.multiprocess": False,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
    }


def test_two_empty_lines_are_refused_however_they_come(site):
    """What is refused in one piece is refused in two."""
    client = site.client().send(b"\r\n")
    assert site.client().get("/x").answer().status == 200
    assert client.send(b"\r\nGET /x HTTP/1.1\r\nHost: t\r\n\r\n").answer().status == 400


def test_absolute_target_replaces_the_host(site):
    """A request through a proxy means the host of its target, whatever its Host field says."""
    hosts = []
    site.routes["/x"] = lambda environ: hosts.append(environ["HTTP_HOST"]) or b""
    site.client().send(b"GET http://real:80/x HTTP/1.1\r\nHost: other\r\n\r\n").answer()
    assert hosts == ["real:80"]


def test_answers_carry_a_date(site):
    """Caches and clients compare the server's clock with theirs (RFC 9110, section 6.6.1)."""
    date = site.client().get("/x").answer().headers["date"]
    parsed = time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.mktime(parsed) - time.mktime(time.gmtime())) < 5


def test_ipv6(serve):
    """A server on an IPv6 address answers there."""
    site = serve(host="::1")
    assert site.address[0] == "::1"
    assert site.client().get("/x").answer().body == b"GET /x? "


def test_an_address_in_use_is_an_error(site):
    """Two servers on one port must not share its clients by accident."""
    from web.httpd import Limits, Server

    other = Server(
        lambda environ, start_response: [],
        host=site.address[0],
        port=site.address[1],
        limits=Limits(threads=1, request_timeout_seconds=1, max_body_bytes=1),
        lane_for=lambda environ: None,
        on_deadline=lambda environ, is_running: ("504 late", [], b""),
        on_rejected=lambda error, environ: ("400 no", [], b""),
    )
    with pytest.raises(OSError, match="in use"):
        other.bind()


def test_large_answers_arrive_whole(site):
    """An answer larger than the socket's buffer is sent to its end."""
    body = bytes(range(256)) * 40_000
    site.routes["/large"] = lambda environ: body
    client = site.client()
    for _ in range(3):
        assert client.get("/large").answer().body == body


def test_more_clients_than_the_limit_wait(serve, wait_until):
    """Beyond the connection limit clients wait in the backlog, and the idle ones make room for them."""
    site = serve(max_connections=8)
    for _ in range(8):
        site.client().get("/x").answer()
    late = [site.client().get("/y") for _ in range(8)]
    assert [client.answer().body for client in late] == [b"GET /y? "] * 8
    assert site.server.open_connections <= 8


def test_out_of_descriptors(serve, wait_until, monkeypatch, caplog):
    """When the process has no descriptor left, clients wait for one; the server neither spins nor ends."""
    site = serve()
    first = site.client().get("/x")
    assert first.answer().status == 200
    accept, refusals = socket.socket.accept, []

    def refuse(listener):
        if len(refusals) < 3:
            refusals.append(1)
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse)
    late = site.client().get("/y")
    before = time.process_time()
    assert first.get("/x").answer().status == 200
    assert late.answer().body == b"GET /y? "
    assert (len(refusals), time.process_time() - before < 0.3) == (3, True)
    assert [record.getMessage() for record in caplog.records] == ["connections wait: out of descriptors"] * 3


def test_an_error_that_cannot_be_rendered(serve, caplog):
    """A failure while refusing a request must not leave its connection open for ever."""
    site = serve(request_timeout_seconds=0.2)
    site.reject = site.expire = lambda *arguments: 1 / 0
    client = site.client().send(b"no request\r\n\r\n")
    assert client.answer().status == 500
    assert client.rest() == b""
    slow = site.slow("/slow")
    client = site.client().get("/slow?a")
    assert client.answer().status == 500
    assert client.rest() == b""
    slow.let_go()
    assert site.client().get("/x").answer().status == 200


def test_a_refused_head_request_has_no_body(site):
    """What answers HEAD has no body, also when it is an error."""
    client = site.client().get("/x", "Content-Length: 99999999", method="HEAD")
    assert client.answer("HEAD").status == 413
    assert client.rest() == b""
