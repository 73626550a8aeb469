"""What model code may do to the process that serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.processes import wait_until
from tests.publishing import Publisher
from tests.serving.conftest import Serve, Service, constant

Folder = Callable[[Mapping[str, str | bytes]], Path]


def records(service: Service) -> list[dict[str, Any]]:
    """Return the log as records; every line has to be one."""
    return [json.loads(line) for line in service.server.output().splitlines()]


def test_prints_and_logs_carry_the_model_and_the_request(serve: Serve, publisher: Publisher) -> None:
    """A line in the log could not be told from another model's, nor its request found."""
    code = """
import logging, os, sys
print("at import")
class M:
    def transform_predict(self):
        print("printed")
        print("to stderr", file=sys.stderr)
        sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.buffer.write(b"bytes\\n")
        logging.getLogger("mine").warning("logged %s", 7)
        os.write(1, b"native\\n")
        os.system("echo child")
        return {}
"""
    revision = publisher.push({"m/etls.py": code})
    service = serve(publisher.link)
    assert service.post("m", headers={"X-Request-Id": "r-1"}).ok
    wait_until(lambda: '"child"' in service.server.output() or None, "the child's line", 5)
    found = records(service)
    who = {"model": "m", "revision": revision, "request_id": "r-1"}
    lines = {record.get("text") or record.get("message"): record for record in found}
    for text in ("printed", "to stderr", "bytes", "logged 7"):
        assert {key: lines[text][key] for key in who} == who
    assert lines["at import"]["model"] == "m"
    assert lines["native"]["event"] == lines["child"]["event"] == "written"


def test_a_thread_of_a_models_own_is_named_in_the_log(serve: Serve, folder: Folder) -> None:
    """What a refresher in the background says could be any model's."""
    code = "import threading\nclass M:\n    def transform_predict(self):\n"
    code += "        thread = threading.Thread(target=print, args=('from a thread',))\n"
    code += "        thread.start()\n        thread.join()\n        return {}\n"
    service = serve(folder({"m/etls.py": code}))
    assert service.post("m").ok
    assert [record["model"] for record in records(service) if record.get("text") == "from a thread"] == ["m"]


def test_logging_set_up_by_a_model_does_not_break_the_log(serve: Serve, folder: Folder) -> None:
    """One basicConfig(force=True) would take the server's own log away."""
    code = "import logging, logging.config\nlogging.basicConfig(force=True, format='odd %(message)s')\n"
    code += "logging.disable(logging.ERROR)\nlogging.config.dictConfig({'version': 1})\n"
    service = serve(folder({"m/etls.py": code + constant(1)}))
    assert service.answer("m") == 1
    service.post("nothing")
    assert service.server.end() == 0
    assert records(service)[-1]["event"] == "stopped"


def test_collectors_of_a_model_live_and_go_with_its_version(serve: Serve, publisher: Publisher) -> None:
    """The second load of a model with a Counter would fail, or its series stay for ever."""
    code = """
from prometheus_client import Counter, Histogram
ROWS = Counter("rows_scored", "Rows.")
SIZE = Histogram("row_size", "Size.", ["kind"])
class M:
    def transform_predict(self):
        ROWS.inc()
        SIZE.labels("x").observe(1)
        return {{"answer": {n}}}
"""
    publisher.push({"a/etls.py": code.format(n=1), "b/etls.py": code.format(n=1)})
    service = serve(publisher.link)
    assert service.answer("a") == 1
    assert service.answer("b") == 1
    assert service.metric('rows_scored_total{model="a"}') == 1
    assert service.metric('rows_scored_total{model="b"}') == 1
    publisher.push({"a/etls.py": code.format(n=2)})
    service.wait_for_answer("a", 2)
    text = service.get("/metrics").text
    assert text.count("# TYPE rows_scored_total counter") == 1
    assert 'row_size_count{kind="x",model="a"} ' in text
    publisher.push({"a/etls.py": constant(3)})
    service.wait_for_answer("a", 3)
    assert 'rows_scored_total{model="a"}' not in service.get("/metrics").text
    open_metrics = service.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_an_object_that_is_bound_to_its_thread_fails_at_load(serve: Serve, publisher: Publisher) -> None:
    """The first request would find out, after the good version is gone."""
    publisher.push({"m/etls.py": constant("good")})
    service = serve(publisher.link)
    code = (
        "import sqlite3\nclass M:\n    def __init__(self):\n        self.db = sqlite3.connect(':memory:')\n"
    )
    code += "    def transform_predict(self):\n        return {'answer': self.db.execute('select 1').fetchone()[0]}\n"
    publisher.push({"m/etls.py": code, "m/example.json": "{}"})
    error = wait_until(lambda: service.status("m")["error"], "the failure", 5)
    assert "SQLite objects created in a thread can only be used in that same thread" in error
    assert service.answer("m") == "good"


def test_an_example_that_does_not_fit_is_a_load_error(serve: Serve, folder: Folder) -> None:
    """A model that cannot answer its own example would go live."""
    takes = "class M:\n    def transform_predict(self, a: int):\n        return {'a': a}\n"
    files = {
        "fits/etls.py": takes,
        "fits/example.json": '{"variables": {"a": 1}}',
        "misses/etls.py": takes,
        "misses/example.json": '{"variables": {"b": 1}}',
        "malformed/etls.py": takes,
        "malformed/example.json": "{",
        "odd/etls.py": "class M:\n    def transform_predict(self):\n        return {'x': object()}\n",
        "odd/example.json": "{}",
    }
    service = serve(folder(files))
    assert service.status("fits")["error"] is None
    assert "a" in service.status("misses")["error"]
    assert "example.json" in service.status("malformed")["error"]
    assert "x" in service.status("odd")["error"]


def test_what_a_model_writes_under_its_path_goes_with_its_version(
    serve: Serve, publisher: Publisher, tmp_path: Path
) -> None:
    """The checkout would be written into, or the disk fill."""
    code = "class M:\n    def __init__(self, path):\n        open(path + 'cache.bin', 'w').write('x')\n"
    code += "        open(path + 'given.txt', 'a').write('more')\n    def transform_predict(self):\n        return {{'answer': {n}}}\n"
    publisher.push({"m/etls.py": code.format(n=1), "m/given.txt": "given"})
    service = serve(publisher.link)
    assert (publisher.worktree() / "m" / "given.txt").read_text() == "given"
    assert not (publisher.worktree() / "m" / "cache.bin").exists()
    assert len(list((tmp_path / "state").rglob("cache.bin"))) == 1
    publisher.push({"m/etls.py": code.format(n=2)})
    service.wait_for_answer("m", 2)
    wait_until(lambda: len(list((tmp_path / "state").rglob("cache.bin"))) == 1, "the old copy to go", 5)


def test_a_model_that_hogs_the_working_directory_and_path_is_contained(
    serve: Serve, publisher: Publisher
) -> None:
    """Another model's relative path or import would suddenly mean something else."""
    code = "import os, sys, warnings\nwarnings.simplefilter('ignore')\nsys.path.insert(0, os.path.dirname(__file__))\n"
    code += "class M:\n    def __init__(self, path):\n        os.chdir(path)\n    def transform_predict(self):\n        return {'answer': 1}\n"
    probe = "import os, sys, warnings\nclass M:\n    def transform_predict(self):\n"
    probe += "        return {'answer': [os.getcwd(), sys.path, len(warnings.filters)]}\n"
    publisher.push({"m/etls.py": constant(0), "probe/etls.py": probe})
    service = serve(publisher.link)
    before = service.answer("probe")
    publisher.push({"m/etls.py": code})
    service.wait_for_answer("m", 1)
    publisher.push({"m/etls.py": constant(2)})
    service.wait_for_answer("m", 2)
    wait_until(lambda: service.answer("probe") == before, "nothing of the old version to be left", 5)


ORIGINAL = """
import pickle

import pandas as pd

from models_serve.Model1.features import Scaler


class transform_predict:
    def __init__(self, path):
        self.path = path
        self.model = pickle.load(open(path + "model.pkl", "rb"))

    def load(self, df):
        self.df = df
        self.df["total"] = self.df["var1"] * self.df["var3"]

    def transform_predict(self, df):
        assert not hasattr(self, "df")
        assert isinstance(df, pd.DataFrame)
        self.load(df)
        return {"score": self.model.scale(self.df["total"].iloc[0]), "name": self.df["var2"].iloc[0]}
"""
FEATURES = "class Scaler:\n    def __init__(self, by):\n        self.by = by\n    def scale(self, value):\n        return value * self.by\n"


def test_a_repository_of_the_original_framework_runs_unchanged(serve: Serve, tmp_path: Path) -> None:
    """Whoever comes from the original would have to rewrite every model."""
    root = tmp_path / "app" / "models_serve"
    (root / "Model1").mkdir(parents=True)
    (root / "Model1" / "etls.py").write_text(ORIGINAL)
    (root / "Model1" / "features.py").write_text(FEATURES)
    author = "import pickle\nfrom models_serve.Model1.features import Scaler\n"
    author += "pickle.dump(Scaler(2), open('models_serve/Model1/model.pkl', 'wb'))\n"
    subprocess.run([sys.executable, "-c", author], cwd=tmp_path / "app", check=True)
    service = serve(root)
    for _ in range(2):
        answer = service.post("Model1", {"var1": 2, "var2": "blabla", "var3": 1.5})
        assert answer.json() == {"score": 6.0, "name": "blabla"}
