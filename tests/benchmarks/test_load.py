"""The load generator counts what is right and what is not."""

import http.client
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.harness import client, protocols, server

SMALL_SERVER = Path(__file__).with_name("small_server.py")
ROW = {"a": 2.5, "b": 3.0, "c": 1.25}


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """The compiled load generator."""
    try:
        return client.build(tmp_path_factory.mktemp("bin"))
    except client.ClientError as error:
        pytest.skip(f"{error} (apt-get install gcc)")


@contextmanager
def small_server(fault=""):
    """Run the small server and yield its port."""
    port = server.free_port()
    with subprocess.Popen([sys.executable, SMALL_SERVER, str(port), fault]) as process:
        try:
            await_answer(port)
            yield port
        finally:
            process.kill()


def await_answer(port):
    """Wait until the port answers."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return server.ask(port, "/", protocols.body("row", ROW))
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"the small server does not answer: {error}") from error
            time.sleep(0.01)


def load(binary, port, tmp_path, connections=4, expected=b"8.75"):
    """Load the port for a moment."""
    requests = tmp_path / "requests"
    client.write_requests(requests, [(protocols.request("/", protocols.body("row", ROW)), expected)])
    return client.run(binary, port, connections, requests, seconds=0.3, warmup=0.05)[0]


def test_right_answers_are_counted(binary, tmp_path):
    """Throughput is the number of right answers."""
    with small_server() as port:
        seen = load(binary, port, tmp_path)
    assert (seen.requests > 50, seen.errors, seen.starved) == (True, 0, 0)


def test_latency_is_that_of_one_request(binary, tmp_path):
    """A closed loop of one connection spends its whole time in requests."""
    with small_server() as port:
        seen = load(binary, port, tmp_path, connections=1)
    assert seen.p50_ms / 1000 * seen.requests < seen.seconds * 1.5


def test_wrong_predictions_are_errors(binary, tmp_path):
    """A fast server that computes something else has measured nothing."""
    with small_server("wrong") as port:
        seen = load(binary, port, tmp_path)
    assert seen.wrong_answer > 10
    assert abs(seen.wrong_answer - seen.requests / 2) < seen.requests / 10


def test_a_status_other_than_200_is_an_error(binary, tmp_path):
    """Refusing is cheaper than scoring: a 503 must not count as an answer."""
    with small_server("status") as port:
        seen = load(binary, port, tmp_path)
    assert (seen.wrong_status > 10, "500" in seen.first_error) == (True, True)


def test_a_server_that_closes_is_connected_to_again(binary, tmp_path):
    """Servers that limit keep-alive are measured with what that costs their callers."""
    with small_server("close") as port:
        seen = load(binary, port, tmp_path)
    assert (seen.requests > 10, seen.reconnects >= seen.requests - 4, seen.errors) == (True, True, 0)


def test_a_port_without_a_server_is_reported(binary, tmp_path):
    """A server that died between two cells must not hang the run."""
    with pytest.raises(client.ClientError, match=r"Connection refused|too many broken connections"):
        load(binary, server.free_port(), tmp_path)
