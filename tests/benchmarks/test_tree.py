"""The process tree of a server: nothing of it goes uncounted, nothing survives it."""

import os
import sys
import time
from pathlib import Path

from benchmarks.harness.tree import Tree

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def start(tmp_path, code):
    """Start Python code as a tree on the CPUs of this process."""
    command = [sys.executable, "-c", code]
    return Tree(command, dict(os.environ), tmp_path, tmp_path / "log", os.sched_getaffinity(0))


def await_line(tmp_path, text):
    """Wait until the tree's log has *text*; return the line."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in (tmp_path / "log").read_text().splitlines():
            if line.startswith(text):
                return line
        time.sleep(0.01)
    raise AssertionError(f"the process did not print {text!r}: {(tmp_path / 'log').read_text()}")


def test_cpu_time_of_an_ended_child_is_counted(tmp_path):
    """Servers that start a process per model or per request would look free."""
    code = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
    tree = start(tmp_path, code + "print('done', flush=True)\ntime.sleep(60)")
    try:
        await_line(tmp_path, "done")
        assert tree.cpu_seconds() > 0.3
    finally:
        tree.stop()


def test_a_process_that_leaves_its_parent_is_followed_and_ended(tmp_path):
    """A daemon that survives would disturb every later measurement."""
    sleeper = "import time; time.sleep(60)"
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {sleeper!r}], start_new_session=True)\n"
        "print('daemon', child.pid, flush=True)\nos._exit(0)\n"
    )
    tree = start(tmp_path, code)
    daemon = int(await_line(tmp_path, "daemon").split()[1])
    try:
        tree.root.wait(timeout=10)
        assert daemon in tree.pids()
    finally:
        tree.stop()
    stat = Path(f"/proc/{daemon}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_memory_is_that_of_all_processes(tmp_path):
    """A worker's memory is what its users pay for, also of one whose environment was cleared."""
    child = "block = bytearray(50 * 2**20)\nprint('ready', flush=True)\nimport time; time.sleep(60)"
    code = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}], env={{}})\n"
    tree = start(tmp_path, code + "time.sleep(60)")
    try:
        await_line(tmp_path, "ready")
        assert tree.memory().pss > 50 * 2**20
    finally:
        tree.stop()
