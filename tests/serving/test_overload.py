"""A slow or hung model takes nothing that others need, and nobody is kept waiting to be refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.processes import wait_until
from tests.serving.conftest import Serve, Service, constant

Folder = Callable[[Mapping[str, str | bytes]], Path]
#: A model that hangs while a file is there.
HUNG = """
import os, time
class Model:
    def __init__(self, path):
        self.gate = {gate!r}
    def transform_predict(self):
        while os.path.exists(self.gate):
            time.sleep(0.01)
        return {{"answer": "free"}}
"""


def timed(call: Callable[[], requests.Response]) -> tuple[int, float]:
    """Return the status of an answer and the seconds that it took."""
    started = time.perf_counter()
    return call().status_code, time.perf_counter() - started


def flood(
    service: Service, models: list[str], calls: int
) -> tuple[ThreadPoolExecutor, list[tuple[int, float]]]:
    """Post so many calls at once, and keep status and seconds of each as it ends."""
    results: list[tuple[int, float]] = []
    pool = ThreadPoolExecutor(calls)
    for number in range(calls):
        model = models[number % len(models)]
        pool.submit(lambda model=model: results.append(timed(lambda: service.post(model))))
    return pool, results


def test_200_calls_into_hung_models_leave_the_fast_ones_fast(
    serve: Serve, folder: Folder, tmp_path: Path
) -> None:
    """One dead database behind a few models would take the whole server down."""
    gate = tmp_path / "gate"
    gate.touch()
    hung = {f"hung{number}/etls.py": HUNG.format(gate=str(gate)) for number in range(8)}
    root = folder({**hung, "fast/etls.py": constant("fast")})
    service = serve(root, REQUEST_TIMEOUT_SECONDS="20", MODEL_QUEUE_SIZE="4", THREADS="8")
    pool, results = flood(service, [f"hung{number}" for number in range(8)], 200)
    refused = 200 - 8 * (1 + 4)
    wait_until(lambda: len(results) == refused or None, f"{refused} calls to be refused", within=10)
    assert {status for status, _ in results} == {503}
    for path in ("/healthz", "/readyz", "/metrics", "/models_serve/fast"):
        status, seconds = timed(lambda path=path: service.get(path))
        assert status == 200
        assert seconds < 0.5, path
    assert service.metric('model_requests_in_progress{model="hung0"}') == 1
    assert service.metric('model_requests_waiting{model="hung0"}') == 4
    refusal = service.post("hung0")
    assert refusal.status_code == 503
    assert int(refusal.headers["Retry-After"]) >= 1
    assert refusal.elapsed.total_seconds() < 0.2
    gate.unlink()
    pool.shutdown(wait=True)
    assert sorted({status for status, _ in results}) in ([200, 503], [200, 503, 504])


def test_a_model_whose_every_slot_is_stuck_answers_again(
    serve: Serve, folder: Folder, tmp_path: Path
) -> None:
    """A model that hung once would need a restart."""
    gate = tmp_path / "gate"
    gate.touch()
    root = folder({"model/etls.py": HUNG.format(gate=str(gate))})
    service = serve(root, REQUEST_TIMEOUT_SECONDS="1")
    response = service.post("model")
    assert response.status_code == 504
    assert response.json()["type"].endswith("deadline-exceeded")
    assert response.headers["X-Model-Version"]
    assert service.metric('model_requests_total{model="model",outcome="timeout"}') == 1
    assert service.metric('model_calls_stuck{model="model"}') == 1
    wait_until(
        lambda: service.metric('model_loads_total{model="model",outcome="renewed"}'), "a fresh instance", 3
    )
    stuck = tmp_path / "stuck-gate"
    gate.rename(stuck)
    service.wait_for_answer("model", "free", within=3)
    wait_until(lambda: service.metric('model_calls_stuck{model="model"}') == 0, "the stuck call to end", 3)


def test_a_call_that_waits_for_its_whole_deadline_is_never_run(
    serve: Serve, folder: Folder, tmp_path: Path
) -> None:
    """A client that was told 503 would find its row scored all the same."""
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    gate.touch()
    code = HUNG.format(gate=str(gate)).replace(
        "while os", f"open({str(ran)!r}, 'a').write('x')\n        while os"
    )
    service = serve(folder({"model/etls.py": code}), REQUEST_TIMEOUT_SECONDS="1")
    pool, results = flood(service, ["model"], 3)
    pool.shutdown(wait=True)
    assert sorted(status for status, _ in results)[-1] == 504
    assert sorted(status for status, _ in results)[0] == 503
    gate.unlink()
    wait_until(lambda: service.metric('model_calls_stuck{model="model"}') == 0, "the stuck call to end", 3)
    assert len(ran.read_text()) == sum(status == 504 for status, _ in results)


def test_waiting_calls_go_to_the_new_version(serve: Serve, folder: Folder, tmp_path: Path) -> None:
    """A push that cures a hung model would not help those who wait for it."""
    gate = tmp_path / "gate"
    gate.touch()
    root = folder({"model/etls.py": HUNG.format(gate=str(gate))})
    service = serve(root, REQUEST_TIMEOUT_SECONDS="20")
    pool, results = flood(service, ["model"], 5)
    wait_until(lambda: service.metric('model_requests_waiting{model="model"}') == 4, "four calls to wait", 5)
    (root / "model" / "etls.py").write_text(constant("new"))
    wait_until(lambda: len(results) == 4, "the waiting calls to be answered by the new version", 5)
    assert {status for status, _ in results} == {200}
    gate.unlink()
    pool.shutdown(wait=True)
    assert len(results) == 5


def test_calls_of_one_model_never_run_side_by_side_unless_it_says_so(serve: Serve, folder: Folder) -> None:
    """What a model stores on self would mix two callers' rows."""
    code = """
import threading, time
class Model:
    {concurrency}
    def __init__(self):
        self.inside, self.most, self.lock = 0, 0, threading.Lock()
    def transform_predict(self, wait=True):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.05)
        with self.lock:
            self.inside -= 1
        return {{"answer": self.most}}
"""
    root = folder(
        {
            "one/etls.py": code.format(concurrency=""),
            "three/etls.py": code.format(concurrency="concurrency = 3"),
        }
    )
    service = serve(root)
    for model, most in (("one", 1), ("three", 3)):
        pool, results = flood(service, [model], 12)
        pool.shutdown(wait=True)
        assert {status for status, _ in results} == {200}
        assert service.answer(model) == most


def test_all_gives_each_model_its_own_end(serve: Serve, folder: Folder, tmp_path: Path) -> None:
    """One hung or broken model would fail the answer for all of them."""
    gate = tmp_path / "gate"
    gate.touch()
    root = folder(
        {
            "good/etls.py": constant("good"),
            "hung/etls.py": HUNG.format(gate=str(gate)),
            "raises/etls.py": "class M:\n    def transform_predict(self):\n        raise SystemExit(3)\n",
            "broken/etls.py": "import nothing_of_this_name\n",
        }
    )
    service = serve(root, REQUEST_TIMEOUT_SECONDS="1")
    response = service.post("all")
    assert response.status_code == 200
    assert response.headers["X-Models-Failed"] == "3"
    body = response.json()
    assert body["good"] == {"answer": "good"}
    assert {name: body[name]["error"]["status"] for name in ("hung", "raises", "broken")} == {
        "hung": 504,
        "raises": 500,
        "broken": 503,
    }
    assert body["hung"]["error"]["request_id"] == response.headers["X-Request-Id"]
    gate.unlink()


def test_models_of_one_all_request_do_not_share_their_variables(serve: Serve, folder: Folder) -> None:
    """A model that takes a variable out would change what the others see."""
    code = (
        "class M:\n    def transform_predict(self, variables):\n        return {'got': variables.pop('x')}\n"
    )
    service = serve(folder({f"{name}/etls.py": code for name in "abc"}))
    assert service.post("all", {"x": 1}).json() == {name: {"got": 1} for name in "abc"}


def test_all_is_500_only_when_every_model_failed(serve: Serve, folder: Folder) -> None:
    """A caller would take an answer without any score for a good one."""
    root = folder(
        {"raises/etls.py": "class M:\n    def transform_predict(self):\n        raise ValueError\n"}
    )
    response = serve(root).get("/models_serve/all")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["raises"]["error"]["detail"] == "transform_predict raised ValueError"


def test_hung_all_requests_leave_a_fast_model_fast(serve: Serve, folder: Folder, tmp_path: Path) -> None:
    """`/all` would eat the threads that single models need."""
    gate = tmp_path / "gate"
    gate.touch()
    root = folder({"hung/etls.py": HUNG.format(gate=str(gate)), "fast/etls.py": constant("fast")})
    service = serve(root, REQUEST_TIMEOUT_SECONDS="4", THREADS="8")
    pool, results = flood(service, ["all"], 50)
    time.sleep(0.5)
    for _ in range(5):
        status, seconds = timed(lambda: service.post("fast"))
        assert status == 200
        assert seconds < 0.5
    gate.unlink()
    pool.shutdown(wait=True)
    assert {status for status, _ in results} <= {200, 503}


def test_a_model_that_turns_calls_away_while_the_cpu_idles_is_named_once(
    serve: Serve, folder: Folder
) -> None:
    """An operator would add pods to a model that only waits for its database."""
    code = "import time\nclass M:\n    def transform_predict(self):\n        time.sleep(0.3)\n        return {}\n"
    service = serve(folder({"slow/etls.py": code}), MODEL_QUEUE_SIZE="0", POLL_SECONDS="0.5")
    for _ in range(2):
        pool, _results = flood(service, ["slow"], 5)
        pool.shutdown(wait=True)
        time.sleep(0.7)  # a poll
    wait_until(lambda: "model turns calls away" in service.server.output() or None, "the advice", 5)
    assert service.server.output().count("model turns calls away") == 1
    assert "`concurrency`" in service.server.output()


def test_many_threads_do_not_survive_their_load(serve: Serve, folder: Folder) -> None:
    """A burst would leave its threads behind for ever."""
    code = "import time\nclass M:\n    concurrency = 50\n    def transform_predict(self):\n        time.sleep(0.2)\n        return {}\n"
    service = serve(folder({"slow/etls.py": code}), THREADS="16")
    pool, results = flood(service, ["slow"], 60)
    pool.shutdown(wait=True)
    assert {status for status, _ in results} == {200}
    assert threading.active_count() < 10
