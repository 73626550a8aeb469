"""Everything has an end: heads, bodies, answers that nobody reads, idling, and calls."""

import socket
import time


def test_a_head_that_does_not_arrive(serve):
    """A client that drips its head is told to stop after the whole time, however often it sends a byte."""
    site = serve(header_timeout_seconds=0.4)
    client = site.client().get("/x")
    assert client.answer().status == 200
    began = time.monotonic()
    client.send(b"GET /x HTTP/1.1\r\n")
    while not site.rejected and time.monotonic() - began < 5:
        client.send(b"A")
        time.sleep(0.02)
    assert client.answer().status == 408
    assert 0.3 < time.monotonic() - began < 2
    assert client.rest() == b""


def test_a_client_that_never_sends(serve):
    """A connection on which nothing ever comes is closed without an answer."""
    site = serve(header_timeout_seconds=0.3)
    assert site.client().rest() == b""
    assert site.rejected == []


def test_a_body_that_does_not_arrive(serve):
    """A client that drips its body is told to stop after the whole time."""
    site = serve(body_timeout_seconds=0.4)
    client = site.client().send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n")
    began = time.monotonic()
    while not site.rejected and time.monotonic() - began < 5:
        client.send(b"A")
        time.sleep(0.02)
    assert client.answer().status == 408
    assert 0.3 < time.monotonic() - began < 2
    assert site.rejected == [(408, True)]


def test_an_idle_connection(serve):
    """A connection that idles between requests is closed after the keep-alive time."""
    site = serve(keep_alive_seconds=0.3)
    client = site.client().get("/x")
    assert client.answer().status == 200
    assert client.rest() == b""
    assert site.rejected == []


def test_an_answer_that_nobody_reads(serve, wait_until):
    """A client that does not read its answer holds no thread, and its connection ends after the write time."""
    site = serve(write_timeout_seconds=0.5)
    site.routes["/large"] = lambda environ: b"x" * 30_000_000
    client = site.client().get("/large")
    assert site.client().get("/x").answer().status == 200
    wait_until(lambda: site.server.open_connections == 1, "the connection to be given up")
    assert len(client.rest()) < 30_000_000


def test_a_slow_reader_gets_everything(site):
    """A client that reads slowly, but in time, gets its whole answer, and others are served meanwhile."""
    body = bytes(range(256)) * 60_000
    site.routes["/large"] = lambda environ: body
    client = site.client()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.get("/large").get("/after")
    for _ in range(10):
        assert site.client().get("/x").answer().status == 200
    assert client.answer().body == body
    assert client.answer().body == b"GET /after? "


def test_a_call_past_its_deadline(serve, wait_until):
    """The caller is told in time; the call goes on, its result is dropped, and other calls have a thread."""
    site = serve(threads=2, request_timeout_seconds=0.3)
    slow = site.slow("/slow", concurrency=2)
    began = time.monotonic()
    clients = [site.client().get(f"/slow?{number}") for number in range(2)]
    answers = [client.answer() for client in clients]
    assert [answer.status for answer in answers] == [504, 504]
    assert 0.25 < time.monotonic() - began < 1.5
    assert [client.rest() for client in clients] == [b"", b""]
    assert (site.expired, slow.lane.stuck) == ([True, True], 2)
    others = [site.slow(f"/other{number}") for number in range(2)]
    for number, other in enumerate(others):
        other.let_go()
        assert site.client().get(f"/other{number}?a").answer().body == b"done a"
    slow.let_go(2)
    wait_until(lambda: slow.lane.running == 0, "the stuck calls to leave their lane")
    wait_until(lambda: site.server.threads <= 3, "the pool to shrink")
    assert slow.lane.stuck == 0


def test_a_call_that_hangs_in_place_past_its_deadline(serve, wait_until, make_lane):
    """Also a model that was always fast is answered for, and its late result dropped."""
    site = serve(request_timeout_seconds=0.3)
    slow = site.slow("/slow")
    site.lanes["/slow"] = slow.lane = make_lane(seconds=0.0)
    client = site.client().get("/slow?a")
    assert client.answer().status == 504
    assert client.rest() == b""
    slow.let_go()
    wait_until(lambda: slow.lane.running == 0, "the call to leave its lane")
    assert site.client().get("/x").answer().status == 200


def test_a_waiting_call_past_its_deadline_never_runs(serve, wait_until):
    """A caller that has given up must not cost the model a call."""
    site = serve(request_timeout_seconds=0.3)
    slow = site.slow("/slow")
    first = site.client().get("/slow?a")
    wait_until(lambda: slow.entered, "the first call to begin")
    second = site.client().get("/slow?b")
    assert (first.answer().status, second.answer().status) == (504, 503)
    assert (site.expired, slow.lane.waiting) == ([True, False], 0)
    slow.let_go(2)
    wait_until(lambda: slow.lane.running == 0, "the lane to be empty")
    assert slow.entered == ["a"]


def test_a_call_that_waits_for_a_thread_gets_that_of_a_stuck_one(serve, wait_until):
    """A call that has its slot, but no thread, runs as soon as the call before it is given up."""
    site = serve(threads=1, request_timeout_seconds=0.5)
    greedy = site.slow("/greedy", concurrency=2)
    first = site.client().get("/greedy?a")
    wait_until(lambda: greedy.entered, "the first call to begin")
    time.sleep(0.25)
    second = site.client().get("/greedy?b")
    assert first.answer().status == 504
    wait_until(lambda: greedy.entered == ["a", "b"], "the second call to begin")
    greedy.let_go(2)
    assert second.answer().status == 200
    wait_until(lambda: greedy.lane.running == 0, "the lane to be empty")


def test_stuck_calls_do_not_count(serve, wait_until):
    """Hung calls, however many, leave the model's other callers their threads."""
    site = serve(threads=4, request_timeout_seconds=0.3)
    hung = site.slow("/hung", concurrency=3)
    assert [site.client().get("/hung?a").answer().status for _ in range(3)] == [504] * 3
    wait_until(lambda: hung.lane.stuck == 3, "all of them to count as stuck")
    busy = site.slow("/busy", concurrency=3)
    clients = [site.client().get(f"/busy?{number}") for number in range(3)]
    wait_until(lambda: len(busy.entered) == 3, "three of four threads to be inside the other model")
    busy.let_go(3)
    assert [client.answer().status for client in clients] == [200] * 3
