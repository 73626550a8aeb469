"""Say on what the figures were measured."""

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path


def describe() -> dict[str, str]:
    """Return the machine's facts for the report."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"Linux {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f} (1-minute average)",
        "commit": _commit(),
    }


class Disturbance:
    """How much of the CPUs was taken by what is not part of the run: the reader's measure of how quiet it was."""

    def __init__(self) -> None:
        self._before = self._now()

    def share(self) -> str:
        """Return the part of all CPUs that others took since this object was made."""
        wall, busy, own = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return f"{max(0.0, busy - own) / (wall * (os.cpu_count() or 1)):.0%} of the CPUs"

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Return seconds of wall time, of busy CPUs, and of our own and our ended children's CPU time."""
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        user, nice, system, _idle, _iowait, *interrupts_and_steal = map(int, fields)
        busy = (user + nice + system + sum(interrupts_and_steal)) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), busy, sum(os.times()[:4])


def cpu_plan() -> tuple[set[int], set[int], set[int]]:
    """Return the CPUs of a server, of a server that may use two, and of the client.

    The client has the last CPU to itself as long as there are three; on two it shares one in the two-CPU mode.
    """
    cpus = sorted(os.sched_getaffinity(0))
    return {cpus[0]}, set(cpus[:2]), {cpus[-1]}


def versions(binaries: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions."""
    command = [
        str(binaries / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "list",
        "--format=freeze",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _commit() -> str:
    git = shutil.which("git")
    if not git:
        return "unknown"
    here = Path(__file__).parent
    head = subprocess.run(
        [git, "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    status = ["status", "--porcelain", "--", ":/server.py", ":/settings.py", ":/loader", ":/web"]
    changed = subprocess.run([git, *status], cwd=here, capture_output=True, text=True, check=False)
    return head.stdout.strip() + (" with uncommitted changes" if changed.stdout.strip() else "")
