"""The end of a server: no request that was accepted is lost, and no stuck call keeps the process."""

import threading
import time


def test_answers_say_close_while_draining(site):
    """Clients learn with their next answer that they should go elsewhere; new ones are still served."""
    client = site.client().get("/x")
    assert "connection" not in client.answer().headers
    site.server.drain(1.0, 5.0)
    assert client.get("/x").answer().headers["connection"] == "close"
    assert client.rest() == b""
    assert site.client().get("/x").answer().headers["connection"] == "close"


def test_an_idle_connection_is_served_until_the_delay_is_over(site):
    """A request that races with the end is answered when it comes within the drain delay."""
    idle = [site.client().get("/x") for _ in range(5)]
    assert [client.answer().status for client in idle] == [200] * 5
    site.server.drain(0.5, 5.0)
    time.sleep(0.3)
    assert idle[0].get("/x").answer().status == 200
    assert [client.rest() for client in idle] == [b""] * 5
    site.thread.join(5)
    assert not site.thread.is_alive()


def test_calls_finish(site, wait_until):
    """Running and waiting calls are answered although the server ends."""
    slow = site.slow("/slow")
    clients = [site.client().get(f"/slow?{number}") for number in range(3)]
    wait_until(lambda: slow.lane.running + slow.lane.waiting == 3, "the calls to be in the lane")
    site.server.drain(0.0, 10.0)
    time.sleep(0.2)
    assert site.thread.is_alive()
    slow.let_go(3)
    assert [client.answer().status for client in clients] == [200] * 3
    site.thread.join(5)
    assert not site.thread.is_alive()


def test_a_stuck_call_does_not_keep_the_server(site, wait_until):
    """At the deadline callers are told, and the server ends although the model still works."""
    slow = site.slow("/slow", concurrency=1)
    clients = [site.client().get("/slow?a")]
    wait_until(lambda: slow.entered, "the call to begin")
    clients.append(site.client().get("/slow?b"))
    wait_until(lambda: slow.lane.waiting == 1, "the second call to wait")
    began = time.monotonic()
    site.server.drain(0.1, 0.5)
    site.thread.join(5)
    assert not site.thread.is_alive()
    assert time.monotonic() - began < 2
    assert [client.answer().status for client in clients] == [504, 503]
    slow.let_go(2)


def test_a_half_sent_request_is_served(site, wait_until):
    """A request whose first half arrived before the end is waited for."""
    client = site.client().send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello")
    assert site.client().get("/x").answer().status == 200
    site.server.drain(0.0, 5.0)
    time.sleep(0.2)
    assert client.send(b"hello").answer().body == b"POST /x? hellohello"


def test_what_waits_in_the_backlog_is_served(site):
    """Connections that the kernel had accepted when the end began are not reset."""
    slow = site.slow("/block")
    del site.lanes["/block"]
    clients = []
    stop = threading.Event()

    def connect():
        while not stop.is_set():
            client = None
            try:
                client = site.client()
            except ConnectionRefusedError:
                return
            clients.append(client.get("/x"))

    connecting = threading.Thread(target=connect)
    connecting.start()
    site.server.drain(0.05, 5.0)
    connecting.join(5)
    stop.set()
    slow.let_go(10)
    assert len(clients) > 1
    assert [client.answer().status for client in clients] == [200] * len(clients)


def test_no_request_is_lost_under_load(serve):
    """Eight clients that reconnect when told lose nothing until the port refuses them."""
    site = serve()
    lost, served = [], []

    def hammer():
        while True:
            try:
                client = site.client()
            except ConnectionRefusedError:
                return
            try:
                for _ in range(1000):
                    answer = client.get("/x").answer()
                    served.append(answer.status)
                    if answer.headers.get("connection") == "close":
                        break
            except (OSError, EOFError) as error:
                lost.append(repr(error))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    site.server.drain(0.5, 5.0)
    for thread in threads:
        thread.join(10)
    assert lost == []
    assert len(served) > 100
    assert set(served) == {200}


def test_draining_twice(site):
    """A second signal changes nothing, but may hurry the end."""
    site.server.drain(5.0, 20.0)
    site.server.drain(5.0, 20.0)
    assert site.client().get("/x").answer().status == 200
    site.server.drain(0.0, 1.0)
    site.thread.join(5)
    assert not site.thread.is_alive()


def test_a_client_that_never_asks_does_not_keep_the_server(site):
    """Connections that were opened in advance get a moment, not the whole deadline."""
    client = site.client()
    assert site.client().get("/x").answer().status == 200
    began = time.monotonic()
    site.server.drain(0.0, 20.0)
    site.thread.join(10)
    assert time.monotonic() - began < 4
    assert client.rest() == b""
