"""Who gets a thread: slow, hung and fast models beside each other."""

import subprocess
import sys
import time
import weakref

import pytest


def begin(site, path, count):
    return [site.client().get(f"{path}?{number}") for number in range(count)]


def test_a_slow_model_does_not_hold_up_the_others(site, wait_until):
    """While a model works, probes and other models answer."""
    slow = site.slow("/slow")
    waiting = site.client().get("/slow?a")
    wait_until(lambda: slow.entered, "the slow call to begin")
    assert site.client().get("/healthz").answer().status == 200
    slow.let_go()
    assert waiting.answer().body == b"done a"


#: A client in a process of its own: prints how long the median request took, in seconds.
ASK_OFTEN = """
import http.client, statistics, sys, time
connection, took = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20), []
for _ in range(100):
    began = time.perf_counter()
    connection.request("GET", "/x")
    connection.getresponse().read()
    took.append(time.perf_counter() - began)
print(statistics.median(took))
"""


def test_a_model_that_computes_does_not_starve_the_others(site, wait_until, make_lane):
    """While one model computes in Python, a fast one answers in a millisecond or two, not in tens of them."""
    computing, over = [], []

    def compute(environ):
        computing.append(True)
        while not over:
            sum(range(1000))
        return b""

    site.routes["/compute"], site.lanes["/compute"] = compute, make_lane()
    busy = site.client().get("/compute")
    wait_until(lambda: computing, "the model to compute")
    asking = [sys.executable, "-c", ASK_OFTEN, site.address[0], str(site.address[1])]
    median = float(subprocess.run(asking, capture_output=True, check=True, timeout=60).stdout)
    over.append(True)
    assert busy.answer().status == 200
    assert median < 0.004


def test_a_hung_fast_model_loses_the_lead(site, make_lane):
    """A model that was always fast and now hangs stops nobody else: another thread polls within milliseconds."""
    slow = site.slow("/slow")
    site.lanes["/slow"] = slow.lane = make_lane(concurrency=4, seconds=0.0)
    assert slow.lane.is_fast
    took = []
    hung = []
    for _ in range(3):
        hung.append(site.client().get("/slow?a"))
        began = time.monotonic()
        assert site.client().get("/healthz").answer().status == 200
        took.append(time.monotonic() - began)
    assert sorted(took)[0] < 0.1
    slow.let_go(3)
    assert [client.answer().body for client in hung] == [b"done a"] * 3


def test_a_hung_probe_loses_the_lead(site):
    """Not even what is answered in place by right can stop the server."""
    slow = site.slow("/status")
    del site.lanes["/status"]
    hung = site.client().get("/status?a")
    assert site.client().get("/healthz").answer().status == 200
    slow.let_go()
    assert hung.answer().body == b"done a"


def test_calls_of_one_model_run_in_the_order_they_came(site, wait_until):
    """Waiting calls are served first come, first served, and hold no thread."""
    slow = site.slow("/slow")
    clients = []
    for number in range(20):
        clients.append(site.client().get(f"/slow?{number}"))
        wait_until(
            lambda: slow.lane.running + slow.lane.waiting == len(clients), "the call to be in the lane"
        )
    assert site.server.busy_threads == 1
    slow.let_go(20)
    assert [client.answer().body for client in clients] == [f"done {number}".encode() for number in range(20)]
    assert slow.entered == [str(number) for number in range(20)]


def test_a_full_queue_answers_at_once(site, wait_until):
    """Beyond the queue a caller is told within milliseconds, not after its patience."""
    slow = site.slow("/slow", queue_size=1)
    clients = begin(site, "/slow", 1)
    wait_until(lambda: slow.entered, "the first call to begin")
    clients.append(site.client().get("/slow?1"))
    wait_until(lambda: slow.lane.waiting == 1, "the second call to wait")
    began = time.monotonic()
    assert site.client().get("/slow?2").answer().status == 503
    assert time.monotonic() - began < 0.5
    slow.let_go(2)
    assert [client.answer().status for client in clients] == [200, 200]


def test_a_greedy_model_leaves_a_quarter_of_the_threads(serve, wait_until):
    """A model that would take every thread leaves some to the others; its calls wait, and run later."""
    site = serve(threads=8)
    greedy = site.slow("/greedy", concurrency=20)
    clients = begin(site, "/greedy", 20)
    wait_until(lambda: len(greedy.entered) == 6, "six of eight threads to be inside the greedy model")
    wait_until(lambda: greedy.lane.running == 20, "every call to have its slot")
    other = site.slow("/other", concurrency=2)
    others = begin(site, "/other", 1)
    wait_until(lambda: other.entered, "the other model to get a thread")
    assert len(greedy.entered) == 6
    other.let_go()
    greedy.let_go(20)
    assert [client.answer().status for client in clients + others] == [200] * 21
    assert sorted(greedy.entered, key=int) == [str(number) for number in range(20)]


def test_a_model_without_a_thread_always_gets_one(serve, wait_until):
    """However many models hang, the next one still runs."""
    site = serve(threads=2)
    models = [site.slow(f"/{number}") for number in range(6)]
    clients = [site.client().get(f"/{number}?a") for number in range(6)]
    wait_until(lambda: all(model.entered for model in models), "all six models to be inside a call")
    for model in models:
        model.let_go()
    assert [client.answer().body for client in clients] == [b"done a"] * 6
    wait_until(lambda: site.server.threads <= 3, "the extra threads to end")


def test_a_ticket_that_is_resumed_from_outside_runs(site, wait_until, make_lane):
    """After a swap, calls that waited for the old version run on the new one."""
    slow = site.slow("/slow")
    first = site.client().get("/slow?a")
    wait_until(lambda: slow.entered == ["a"], "the first call to begin")
    second = site.client().get("/slow?b")
    wait_until(lambda: slow.lane.waiting == 1, "the second call to wait")
    slow.lane.publish(type(slow.lane.version)(concurrency=1), 1.0)
    wait_until(lambda: slow.entered == ["a", "b"], "the waiting call to run on the new version")
    slow.let_go(2)
    assert (first.answer().body, second.answer().body) == (b"done a", b"done b")


def test_another_tickets_turn_is_its_own(site, wait_until):
    """A part of `/all` that waits in the same lane is resumed by the call before it."""
    slow = site.slow("/slow")
    first = site.client().get("/slow?a")
    wait_until(lambda: slow.entered, "the first call to begin")
    resumed = []

    class Part:
        version = None
        is_stuck = False

        def resume(self):
            resumed.append(self.version)
            slow.lane.leave(self).resume()

    slow.lane.enter(Part())
    last = site.client().get("/slow?b")
    wait_until(lambda: slow.lane.waiting == 2, "both to wait")
    slow.let_go(2)
    assert first.answer().body == b"done a"
    wait_until(lambda: resumed == [slow.lane.version], "the part to be resumed")
    assert last.answer().body == b"done b"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit, ValueError])
def test_whatever_the_application_raises_is_one_failed_request(site, error, caplog):
    """`sys.exit()` in a model must not end the server."""

    def fail(environ):
        raise error("no")

    site.routes["/fail"] = fail
    for _ in range(8):
        assert site.client().get("/fail").answer().status == 500
    site.lanes["/fail"] = site.slow("/unused").lane
    for _ in range(8):
        assert site.client().get("/fail").answer().status == 500
    assert site.client().get("/x").answer().status == 200
    assert len([record for record in caplog.records if record.exc_info]) == 16


def test_nothing_holds_a_version_after_its_calls(site, wait_until):
    """A replaced model's memory is free at once, not when each idle thread gets its next call."""
    slow = site.slow("/slow", concurrency=3)
    clients = begin(site, "/slow", 3)
    wait_until(lambda: len(slow.entered) == 3, "three threads to be inside")
    slow.let_go(3)
    assert [client.answer().status for client in clients] == [200] * 3
    wait_until(lambda: slow.lane.running == 0, "the calls to be over")
    version = weakref.ref(slow.lane.version)
    slow.lane.publish(None)
    wait_until(lambda: version() is None, "the version to be dropped")


def test_idle_and_dripping_clients_cost_no_thread(site, wait_until):
    """200 idle and 60 dripping connections, and half a body: everybody else is served as ever."""
    for _ in range(200):
        site.client()
    dripping = [
        site.client().send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n") for _ in range(60)
    ]
    half = site.client().send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf")
    took = []
    for number in range(20):
        for client in dripping:
            client.send(b"A: b\r\n"[number % 6 : number % 6 + 1])
        began = time.monotonic()
        assert site.client().get("/healthz").answer().status == 200
        took.append(time.monotonic() - began)
    assert max(took) < 0.5
    assert site.server.threads <= 2
    assert half.send(b" more").answer().body == b"POST /x? half more"


def test_an_idle_server_uses_no_cpu(site):
    """Clients that only stay connected cost nothing."""
    for _ in range(50):
        site.client().get("/x").answer()
    time.sleep(0.4)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.05
