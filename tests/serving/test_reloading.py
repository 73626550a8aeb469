"""A commit goes live, a broken one never replaces what works, and nothing is lost on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import wait_until
from tests.publishing import Publisher
from tests.serving.conftest import Serve, Service, constant

#: A model that reads a file of its own at request time: both must come from one commit.
READS_OWN_FILE = """
import os
from helpers import MARK
class Model:
    def __init__(self, path):
        self.path = path
    def transform_predict(self):
        with open(self.path + "mark.txt") as file:
            return {{"code": {mark!r}, "helper": MARK, "file": file.read()}}
"""


def marked(mark: str) -> dict[str, str]:
    """Return the files of a model whose every part says *mark*."""
    return {
        "reader/etls.py": READS_OWN_FILE.format(mark=mark),
        "reader/helpers.py": f"MARK = {mark!r}\n",
        "reader/mark.txt": mark,
    }


class ClosedLoop:
    """Clients that post one request after another until they are told to stop, and keep what they got."""

    def __init__(self, service: Service, model: str, clients: int = 4) -> None:
        self.answers: list[tuple[int, dict[str, Any], Mapping[str, str]]] = []
        self.failures: list[str] = []
        self._service = service
        self._model = model
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(clients)]

    def __enter__(self) -> ClosedLoop:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        with requests.Session() as session:
            while not self._is_over.is_set():
                try:
                    response = session.post(f"{self._service.url}/{self._model}", json={}, timeout=30)
                    self.answers.append((response.status_code, response.json(), response.headers))
                except requests.RequestException as error:
                    self.failures.append(repr(error))


def test_a_flip_is_live_within_three_seconds(serve: Serve, publisher: Publisher) -> None:
    """A push would wait for the next poll, minutes or hours."""
    publisher.push({"model/etls.py": constant("one")})
    service = serve(publisher.link, POLL_SECONDS="60")
    revision = publisher.push({"model/etls.py": constant("two")})
    service.wait_for_answer("model", "two", within=3)
    assert service.post("model").headers["X-Model-Revision"] == revision


def test_a_flip_is_noticed_by_the_poll_when_events_are_blind(serve: Serve, publisher: Publisher) -> None:
    """On NFS, where inotify sees nothing, a push would never go live."""
    publisher.push({"model/etls.py": constant("one")})
    behind = publisher.root.parent / "behind"
    behind.symlink_to(publisher.root)
    service = serve(behind / "current", POLL_SECONDS="0.5")
    publisher.push({"model/etls.py": constant("two")})
    service.wait_for_answer("model", "two", within=3)


def test_twenty_flips_under_load_lose_and_mix_nothing(serve: Serve, publisher: Publisher) -> None:
    """A request would fail during a reload, or be answered from two commits at once."""
    publisher.push({**marked("0"), "still/etls.py": constant("still")})
    service = serve(publisher.link)
    still = service.status("still")
    with ClosedLoop(service, "reader") as loop:
        for number in range(1, 21):
            revision = publisher.push(marked(str(number)))
            wait_until(
                lambda revision=revision: service.post("reader").headers.get("X-Model-Revision") == revision,
                f"flip {number} to be live",
                within=5,
            )
    assert loop.failures == []
    assert {status for status, _, _ in loop.answers} == {200}
    assert [body for _, body, _ in loop.answers if len(set(body.values())) != 1] == []
    assert len({body["code"] for _, body, _ in loop.answers}) > 10
    assert service.status("still")["version"] == still["version"]
    assert service.status("still")["loaded_at"] == still["loaded_at"]
    assert service.status("still")["revision"] != still["revision"]


def test_a_broken_push_keeps_the_last_good_version(serve: Serve, publisher: Publisher) -> None:
    """A typo would take a model down."""
    good = publisher.push({"model/etls.py": constant("good")})
    service = serve(publisher.link)
    bad = publisher.push({"model/etls.py": "raise RuntimeError('boom')"})
    status = wait_until(
        lambda: service.status("model") if service.status("model")["error"] else None,
        "the failure to be shown",
        5,
    )
    assert service.answer("model") == "good"
    assert service.post("model").headers["X-Model-Revision"] == good
    assert status["status"] == "last_good"
    assert status["error"] == "RuntimeError: boom"
    assert status["failed"]["revision"] == bad
    assert "RuntimeError: boom" in status["failed"]["traceback"][-1]
    assert service.metric('model_loads_total{model="model",outcome="failed"}') == 1
    publisher.push({"model/etls.py": constant("healed")})
    service.wait_for_answer("model", "healed", within=3)
    assert service.status("model")["error"] is None


def test_a_restart_after_a_broken_push_serves_the_last_good_version(
    serve: Serve, publisher: Publisher
) -> None:
    """A pod that is rescheduled after a bad push would serve nothing."""
    publisher.push({"model/etls.py": constant("good"), "common/shared.py": "X = 1\n"})
    service = serve(publisher.link)
    assert service.server.end() == 0
    publisher.push({"model/etls.py": "syntax error here"})
    service = serve(publisher.link)
    assert service.answer("model") == "good"
    assert service.status("model")["status"] == "last_good"
    assert service.metric('model_loads_total{model="model",outcome="restored"}') == 1


@pytest.mark.parametrize("place", ["at import", "in a call of the example"])
def test_a_push_that_kills_the_process_is_set_aside_at_the_next_start(
    serve: Serve, publisher: Publisher, place: str
) -> None:
    """A native crash in one model would be a crash loop of them all."""
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    files = {
        "at import": {"model/etls.py": crash + constant("bad")},
        "in a call of the example": {
            "model/etls.py": "class M:\n    def transform_predict(self):\n        "
            + crash.replace("\n", "\n        ").strip(),
            "model/example.json": "{}",
        },
    }[place]
    publisher.push({"model/etls.py": constant("good"), "other/etls.py": constant("other")})
    service = serve(publisher.link)
    publisher.push(files)
    service.server.exit_code(within=10)
    service = serve(publisher.link)
    assert service.answer("model") == "good"
    assert service.answer("other") == "other"
    assert "killed the server's process" in service.status("model")["error"]
    publisher.push({"model/etls.py": constant("fixed"), "model/example.json": "{}"})
    service.wait_for_answer("model", "fixed", within=3)


def test_a_vanished_tree_keeps_everything_serving(serve: Serve, publisher: Publisher) -> None:
    """git-sync that repairs its worktree in place would take every model down for a moment."""
    publisher.push({"model/etls.py": constant("one")})
    service = serve(publisher.link, POLL_SECONDS="0.1")
    shutil.rmtree(publisher.worktree())
    publisher.root.touch()
    deadline = time.monotonic() + 1  # ten polls
    while time.monotonic() < deadline:
        assert service.answer("model") == "one"
    publisher.push({"model/etls.py": constant("two")})
    service.wait_for_answer("model", "two", within=3)


def test_a_commit_without_any_model_keeps_everything_serving(serve: Serve, publisher: Publisher) -> None:
    """An empty branch pushed by mistake would take every model down, also after a restart."""
    publisher.push({"model/etls.py": constant("one")})
    service = serve(publisher.link)
    empty = publisher.push({"model": None, "README.md": "nothing"})
    problem = wait_until(lambda: service.get("/").json()["problem"], "the problem to be shown", 5)
    assert problem == f"revision {empty} has no model at all; what was loaded before keeps serving"
    assert service.answer("model") == "one"
    assert service.metric("checkout_refused") == 1
    assert service.server.end() == 0
    service = serve(publisher.link)
    assert service.answer("model") == "one"


def test_a_removed_folder_is_gone_with_its_series(serve: Serve, publisher: Publisher) -> None:
    """A model that was deleted would answer for ever, or haunt the dashboards."""
    publisher.push({"gone/etls.py": constant("one"), "stays/etls.py": constant("two")})
    service = serve(publisher.link)
    assert service.answer("gone") == "one"
    publisher.push({"gone": None})
    wait_until(lambda: service.post("gone").status_code == 404, "the removed model to be 404", 5)
    assert service.answer("stays") == "two"
    assert 'model="gone"' not in service.get("/metrics").text


def test_a_folder_that_hangs_on_import_delays_the_others_by_its_budget(
    serve: Serve, publisher: Publisher
) -> None:
    """One import that waits for a dead host would keep every later push from going live."""
    publisher.push({"z/etls.py": constant("one"), "y/etls.py": constant("one")})
    service = serve(publisher.link, LOAD_PATIENCE_SECONDS="1")
    publisher.push(
        {"a/etls.py": "import time\ntime.sleep(5)\n" + constant("late"), "z/etls.py": constant("two")}
    )
    service.wait_for_answer("z", "two", within=4)
    assert "has been loading for more than 1 s" in service.status("a")["error"]
    service.wait_for_answer("a", "late", within=8)
    assert service.status("a")["error"] is None


def test_a_late_load_is_dropped_when_its_content_is_no_longer_current(
    serve: Serve, publisher: Publisher
) -> None:
    """A slow old version would overwrite the newer one that loaded meanwhile."""
    publisher.push({"model/etls.py": constant("one")})
    service = serve(publisher.link, LOAD_PATIENCE_SECONDS="0.5")
    publisher.push({"model/etls.py": "import time\ntime.sleep(3)\n" + constant("late")})
    wait_until(
        lambda: "has been loading" in (service.status("model")["error"] or ""), "the load to be late", 5
    )
    publisher.push({"model/etls.py": constant("three")})
    service.wait_for_answer("model", "three", within=3)
    wait_until(
        lambda: '"late load dropped"' in service.server.output() or None, "the late load to be dropped", 6
    )
    assert service.answer("model") == "three"


def test_a_change_of_shared_code_reloads_every_model(serve: Serve, publisher: Publisher) -> None:
    """Models would go on with the old shared code until their own folder changes."""
    uses = "import common.values\nclass M:\n    def transform_predict(self):\n        return {'answer': common.values.X}\n"
    publisher.push({"a/etls.py": uses, "b/etls.py": uses, "common/values.py": "X = 1\n"})
    service = serve(publisher.link)
    assert [service.answer("a"), service.answer("b")] == [1, 1]
    publisher.push({"common/values.py": "X = 2\n"})
    service.wait_for_answer("a", 2, within=3)
    service.wait_for_answer("b", 2, within=3)


Folder = Callable[[Mapping[str, str | bytes]], Path]


def test_a_pasted_folder_is_live_within_three_seconds(serve: Serve, folder: Folder) -> None:
    """A laptop user would restart the server after every change."""
    root = folder({"first/etls.py": constant("one")})
    service = serve(root)
    (root / "second").mkdir()
    (root / "second" / "etls.py").write_text(constant("two"))
    service.wait_for_answer("second", "two", within=3)
    (root / "second" / "etls.py").write_text(constant("new"))
    service.wait_for_answer("second", "new", within=3)
    assert "X-Model-Revision" not in service.post("second").headers
    assert service.metric('model_loads_total{model="second",outcome="ok"}') == 2


def test_two_edits_within_a_second_of_the_same_length_give_the_new_code(serve: Serve, folder: Folder) -> None:
    """Python's bytecode cache would serve the first edit."""
    root = folder({"model/etls.py": constant("aaa")})
    service = serve(root)
    (root / "model" / "etls.py").write_text(constant("bbb"))
    (root / "model" / "etls.py").write_text(constant("ccc"))
    service.wait_for_answer("model", "ccc", within=3)


def test_a_file_that_is_copied_slowly_gives_one_load(serve: Serve, folder: Folder) -> None:
    """A model would be loaded from half of its weights."""
    code = (
        "class M:\n    def __init__(self, path):\n        self.n = len(open(path + 'weights', 'rb').read())\n"
    )
    code += "    def transform_predict(self):\n        return {'answer': self.n}\n"
    root = folder({"other/etls.py": constant("other")})
    service = serve(root)
    (root / "big").mkdir()
    with (root / "big" / "weights").open("wb") as weights:
        (root / "big" / "etls.py").write_text(code)
        for _ in range(10):
            weights.write(b"x" * 100_000)
            weights.flush()
            time.sleep(0.3)
    service.wait_for_answer("big", 1_000_000, within=4)
    assert service.metric('model_loads_total{model="big",outcome="ok"}') == 1
    assert service.metric('model_loads_total{model="big",outcome="failed"}') == 0


def test_a_folder_missing_from_a_plain_root_is_removed(serve: Serve, folder: Folder) -> None:
    """A deleted model would answer until the next restart."""
    root = folder({"gone/etls.py": constant("one"), "stays/etls.py": constant("two")})
    service = serve(root)
    shutil.rmtree(root / "gone")
    wait_until(lambda: service.post("gone").status_code == 404, "the removed model to be 404", 5)
    assert service.answer("stays") == "two"


def test_an_emptied_plain_root_keeps_everything_serving(serve: Serve, folder: Folder) -> None:
    """A network share that is unmounted for a moment would take every model down."""
    root = folder({"a/etls.py": constant("one"), "b/etls.py": constant("two")})
    service = serve(root, POLL_SECONDS="0.2")
    shutil.rmtree(root / "a")
    shutil.rmtree(root / "b")
    wait_until(lambda: service.get("/").json()["problem"], "the problem to be shown", 5)
    assert [service.answer("a"), service.answer("b")] == ["one", "two"]


def test_a_models_root_that_comes_later_is_served(serve: Serve, tmp_path: Path) -> None:
    """The server would have to be restarted after the first sync."""
    service = serve(tmp_path / "later" / "models", wait=False, POLL_SECONDS="60")
    assert service.get("/readyz").status_code == 503
    assert service.get("/healthz").status_code == 200
    (tmp_path / "staging" / "models" / "model").mkdir(parents=True)
    (tmp_path / "staging" / "models" / "model" / "etls.py").write_text(constant("one"))
    (tmp_path / "staging").rename(tmp_path / "later")
    service.wait_for_answer("model", "one", within=5)
    assert service.get("/readyz").status_code == 200


HEAVY = """
import numpy
class Model:
    def __init__(self):
        self.weights = numpy.full(1_000_000, {number}.0)
    def transform_predict(self):
        return {{"answer": float(self.weights[0])}}
"""


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


@pytest.mark.timeout(240)
def test_150_reloads_leak_nothing(serve: Serve, publisher: Publisher) -> None:
    """A server that reloads every day would be killed for its memory."""
    publisher.push({"heavy/etls.py": HEAVY.format(number=0)})
    service = serve(publisher.link)
    pid = service.server._process.pid
    seen: list[tuple[int, int]] = []
    for number in range(1, 151):
        publisher.push({"heavy/etls.py": HEAVY.format(number=number)})
        service.wait_for_answer("heavy", float(number), within=5)
        seen.append((resident_bytes(pid), len(os.listdir(f"/proc/{pid}/task"))))
    settled, last = seen[20:50], seen[-30:]
    assert max(memory for memory, _ in last) - max(memory for memory, _ in settled) < 12_000_000
    assert max(threads for _, threads in last) <= max(threads for _, threads in settled)
    copies = publisher.root.parent / "state"
    wait_until(lambda: len(list(copies.glob("*/models/*/*"))) == 1, "the old copies to go", 5)


def test_closing_is_called_after_the_last_call_and_at_shutdown(
    serve: Serve, publisher: Publisher, tmp_path: Path
) -> None:
    """A database connection of a replaced version would stay open for ever."""
    marks = tmp_path / "marks"
    code = "class M:\n    n = {n}\n    def transform_predict(self):\n        return {{'answer': self.n}}\n"
    code += f"    def close(self):\n        open({str(marks)!r}, 'a').write(f'closed {{{{self.n}}}}\\n')\n"
    publisher.push({"model/etls.py": code.format(n=1)})
    service = serve(publisher.link)
    publisher.push({"model/etls.py": code.format(n=2)})
    service.wait_for_answer("model", 2)
    wait_until(lambda: marks.exists() and marks.read_text() == "closed 1\n", "version 1 to be closed", 5)
    assert service.server.end(signal.SIGTERM) == 0
    assert marks.read_text() == "closed 1\nclosed 2\n"
