"""Start a server and follow all of its processes: CPU time, memory, pinning, and the end.

A process belongs to the tree when it descends from the one that was started, when it carries the tree's mark
in its environment, or when it was seen to belong before. So daemons that leave their parent are still counted,
and still ended.
"""

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "BENCHMARK_TREE"
STOP_SECONDS = 15.0
LEFT_BEHIND_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Memory of a tree in bytes; `pss` counts a page that processes share once."""

    rss: int
    pss: int


@dataclass(frozen=True)
class _Stat:
    is_zombie: bool
    parent: int
    started: int
    own_seconds: float
    reaped_seconds: float


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none is lost."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that no server survives it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Tree:
    """One command and every process that it leads to."""

    def __init__(
        self, command: list[str], environment: dict[str, str], folder: Path, log: Path, cpus: set[int]
    ):
        self._mark = f"{MARK}={os.getpid()}-{time.monotonic_ns()}".encode()
        self._known: dict[int, int] = {}
        name, _, value = self._mark.decode().partition("=")
        log.parent.mkdir(parents=True, exist_ok=True)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)
        try:
            with log.open("ab") as output:
                self.root = subprocess.Popen(
                    command,
                    env={**environment, name: value},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        finally:
            os.sched_setaffinity(0, before)

    def pids(self) -> list[int]:
        """Return the processes that are there now."""
        stats = {pid: stat for pid in _all_pids() if (stat := _read_stat(pid))}
        self._known = {
            pid: at for pid, at in self._known.items() if pid in stats and stats[pid].started == at
        }
        marked = {pid for pid in stats if pid not in self._known and self._is_marked(pid)}
        for pid in itertools.chain([self.root.pid], marked):
            if pid in stats:
                self._known[pid] = stats[pid].started
        self._add_descendants(stats)
        return list(self._known)

    def _add_descendants(self, stats: dict[int, _Stat]) -> None:
        while found := {
            pid for pid, stat in stats.items() if stat.parent in self._known and pid not in self._known
        }:
            self._known |= {pid: stats[pid].started for pid in found}

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def cpu_seconds(self, look_for_new: bool = True) -> float:
        """Return the CPU time of all processes so far, with that of children that have ended.

        Without *look_for_new* it takes a fraction of a millisecond: a walk through all processes of the machine
        would keep the load generator waiting, which shares its CPU with us.
        """
        total = 0.0
        for pid in self.pids() if look_for_new else list(self._known):
            if stat := _read_stat(pid):
                total += _clock(pid, stat) + stat.reaped_seconds
        return total

    def memory(self) -> Memory:
        """Return what the tree holds now."""
        rss = pss = 0
        for pid in self.pids():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        rss += int(line.split()[1]) * 1024
                    elif line.startswith("Pss:"):
                        pss += int(line.split()[1]) * 1024
        return Memory(rss, pss)

    def pin(self, cpus: set[int]) -> None:
        """Move every thread of every process to *cpus*; new threads inherit it."""
        for pid in self.pids():
            for task in _threads(pid):
                with suppress(OSError):
                    os.sched_setaffinity(task, cpus)

    def is_running(self) -> bool:
        """Tell whether the command that was started is still there."""
        return self.root.poll() is None

    def stop(self) -> None:
        """End the tree: ask the first process, then end what is left; returns when nothing is left."""
        self.pids()
        with suppress(ProcessLookupError):
            self.root.terminate()
        _wait(STOP_SECONDS, lambda: not self.is_running())
        _wait(LEFT_BEHIND_SECONDS, lambda: not self._alive())
        for _ in range(200):
            if not (alive := self._alive()):
                break
            for pid in alive:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        self.root.poll()

    def _alive(self) -> list[int]:
        """Return the processes that still run, with the ended ones that we inherited reaped."""
        self.root.poll()
        for pid in self.pids():
            if pid != self.root.pid:
                with suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
        return [pid for pid in self.pids() if (stat := _read_stat(pid)) and not stat.is_zombie]


def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not is_over() and time.monotonic() < deadline:
        time.sleep(0.02)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _read_stat(pid: int) -> _Stat | None:
    """Read /proc/PID/stat; proc(5) numbers the fields from 1, those after the name start at 3."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = [int(field) for field in fields[11:15]]
    return _Stat(
        fields[0] == "Z", int(fields[1]), int(fields[19]), sum(ticks[:2]) / _TICKS, sum(ticks[2:]) / _TICKS
    )


def _clock(pid: int, stat: _Stat) -> float:
    """Return a process's CPU time in full precision; its stat counts in hundredths of a second.

    The clock's number is the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return stat.own_seconds
