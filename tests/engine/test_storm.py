"""Rude clients, slow models and short deadlines all at once: afterwards nothing may be left of it."""

import contextlib
import random
import socket
import struct
import threading
import time

import pytest

SECONDS = 4.0
PATHS = ("/x", "/0", "/1", "/2", "/3")


def ask(client, rng):
    client.get(rng.choice(PATHS)).answer()


def ask_in_a_row(client, rng):
    path, count = rng.choice(PATHS), rng.randint(2, 6)
    for _ in range(count):
        client.get(path)
    for _ in range(count):
        client.answer()


def post(client, rng):
    client.post(rng.choice(PATHS), b"x" * rng.choice([0, 10, 70_000, 300_000])).answer()


def hang_up(client, rng):
    client.get(rng.choice(PATHS)).close()


def reset(client, rng):
    client.get(rng.choice(PATHS))
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def stop_in_the_head(client, rng):
    client.send(b"GET /x HT")
    time.sleep(rng.random())


def stop_in_the_body(client, rng):
    client.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf")
    time.sleep(rng.random())


def leave_unread(client, rng):
    client.get("/0").get("/1").get("/2")
    time.sleep(rng.random())


def babble(client, rng):
    client.send(b"no request\r\n\r\n").answer()


MANNERS = (
    ask,
    ask,
    ask_in_a_row,
    post,
    hang_up,
    reset,
    stop_in_the_head,
    stop_in_the_body,
    leave_unread,
    babble,
)


def behave(site, seed, timeouts):
    rng, ends = random.Random(seed), time.monotonic() + SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(EOFError, ConnectionError, OSError):
            client = site.client()
            client.socket.settimeout(10)
            with contextlib.closing(client):
                for _ in range(rng.randint(1, 6)):
                    manner = rng.choice(MANNERS)
                    try:
                        manner(client, rng)
                    except TimeoutError:
                        timeouts.append(manner.__name__)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_leaves_nothing_behind(serve, make_lane, wait_until, seed, caplog):
    """No connection, slot, thread or waiting call is lost, every client is answered or hung up on, no thread fails."""
    site = serve(
        threads=6,
        request_timeout_seconds=0.4,
        header_timeout_seconds=0.5,
        body_timeout_seconds=0.5,
        write_timeout_seconds=0.7,
        keep_alive_seconds=1.0,
        max_connections=25,
    )
    rng = random.Random(seed)

    def model(environ):
        time.sleep(rng.choice([0, 0, 0.001, 0.01, 0.1, 0.6]))
        return b"s" * rng.choice([1, 100, 200_000])

    for number in range(4):
        site.routes[f"/{number}"] = model
        site.lanes[f"/{number}"] = make_lane(rng.choice([1, 2, 8]), rng.choice([1, 5, 50]), float(number % 2))
    timeouts = []
    clients = [
        threading.Thread(target=behave, args=(site, f"{seed}-{number}", timeouts)) for number in range(20)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert timeouts == []
    wait_until(lambda: site.server.open_connections == 0, "every connection to be closed")
    wait_until(lambda: site.server.busy_threads == 0, "every thread to be free")
    wait_until(lambda: site.server.threads <= 7, "the pool to shrink")
    assert [(lane.running, lane.waiting, lane.stuck) for lane in site.lanes.values()] == [(0, 0, 0)] * 4
    assert site.client().get("/x").answer().status == 200
    assert [record.getMessage() for record in caplog.records] == []
