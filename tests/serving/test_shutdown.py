"""SIGTERM loses no request, and nothing outlives the deadline."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from tests.processes import wait_until
from tests.serving.conftest import Serve, constant
from tests.serving.test_reloading import ClosedLoop

Folder = Callable[[Mapping[str, str | bytes]], Path]
SLOW = "import time\nclass M:\n    def transform_predict(self, seconds: float):\n        time.sleep(seconds)\n        return {'answer': 'done'}\n"


def test_sigterm_under_load_answers_every_call_of_the_drain_delay(serve: Serve, folder: Folder) -> None:
    """A rolling update would lose requests while the load balancer looks away."""
    service = serve(folder({"fast/etls.py": constant("fast")}), DRAIN_DELAY_SECONDS="1.5")
    with ClosedLoop(service, "fast") as loop:
        wait_until(lambda: len(loop.answers) > 50, "some load", 5)
        service.server._process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.get("/readyz").status_code == 503, "readiness to go", 1)
        before = len(loop.answers)
        closing = requests.get(f"{service.url}/fast", timeout=5)
        assert closing.headers["Connection"] == "close"
        time.sleep(0.7)
        assert len(loop.answers) > before + 50
        assert loop.failures == []
    assert {status for status, _, _ in loop.answers} == {200}
    assert service.server.exit_code(within=5) == 0


def test_the_call_in_flight_is_finished(serve: Serve, folder: Folder) -> None:
    """A row that takes a second would be cut off by every deployment."""
    service = serve(folder({"slow/etls.py": SLOW}))
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(service.post("slow", {"seconds": 1.5})))
    thread.start()
    wait_until(
        lambda: service.metric('model_requests_in_progress{model="slow"}') == 1, "the call to be inside", 5
    )
    assert service.server.end() == 0
    thread.join()
    assert answers[0].json() == {"answer": "done"}


def test_a_stuck_call_does_not_outlive_the_deadline(serve: Serve, folder: Folder) -> None:
    """Kubernetes would have to kill the pod, and everything that is cleaned up at the end would not be."""
    service = serve(
        folder({"slow/etls.py": SLOW}), SHUTDOWN_TIMEOUT_SECONDS="2", REQUEST_TIMEOUT_SECONDS="60"
    )

    def post() -> None:
        try:
            service.post("slow", {"seconds": 60})
        except requests.RequestException:
            return

    thread = threading.Thread(target=post)
    thread.start()
    wait_until(
        lambda: service.metric('model_requests_in_progress{model="slow"}') == 1, "the call to be inside", 5
    )
    started = time.monotonic()
    assert service.server.end(within=10) == 0
    assert time.monotonic() - started < 3.5
    thread.join()


def test_a_close_that_hangs_does_not_outlive_the_deadline(serve: Serve, folder: Folder) -> None:
    """A model's own clean-up would keep the process for ever."""
    code = "import time\nclass M:\n    def transform_predict(self):\n        return {}\n    def close(self):\n        time.sleep(60)\n"
    service = serve(folder({"m/etls.py": code}), SHUTDOWN_TIMEOUT_SECONDS="2")
    started = time.monotonic()
    assert service.server.end(within=10) == 0
    assert time.monotonic() - started < 3.5


def test_a_load_that_the_end_interrupts_is_not_held_against_its_content(
    serve: Serve, folder: Folder, tmp_path: Path
) -> None:
    """A model that was loading when the pod was moved would be set aside for an hour."""
    begun = tmp_path / "begun"
    code = f"import time, pathlib\nif not pathlib.Path({str(begun)!r}).exists():\n    pathlib.Path({str(begun)!r}).touch()\n    time.sleep(60)\n"
    root = folder({"slow/etls.py": code + constant("slow")})
    service = serve(root, wait=False, SHUTDOWN_TIMEOUT_SECONDS="3")
    wait_until(begun.exists, "the load to begin", 5)
    assert service.server.end(within=10) == 0
    service = serve(root)
    assert service.answer("slow") == "slow"


def test_ctrl_c_does_not_wait_for_a_load_balancer(serve: Serve, folder: Folder) -> None:
    """A person at a terminal would wait for nothing."""
    service = serve(
        folder({"m/etls.py": constant(1)}), DRAIN_DELAY_SECONDS="10", SHUTDOWN_TIMEOUT_SECONDS="20"
    )
    started = time.monotonic()
    assert service.server.end(signal.SIGINT, within=10) == 0
    assert time.monotonic() - started < 3
