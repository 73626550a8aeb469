"""Run the load generator: `load.c`, compiled once, started once per cell."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "load.c"


class ClientError(Exception):
    """The load generator could not be built, or could not reach the server."""


@dataclass(frozen=True)
class Load:
    """What the client saw while it measured; its fields are the keys that `load.c` prints."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    wrong_status: int
    wrong_answer: int
    broken: int
    reconnects: int
    least_per_connection: int
    most_per_connection: int
    starved: int
    client_cpu: float
    first_error: str

    @property
    def errors(self) -> int:
        """How many answers were wrong or missing."""
        return self.wrong_status + self.wrong_answer + self.broken


def build(work: Path) -> Path:
    """Compile `load.c` into *work* unless it is there.

    Raises:
        ClientError: There is no C compiler, or it failed.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise ClientError("the load generator needs a C compiler: install gcc, or set CC")
    binary = work / "bin" / f"load-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not binary.is_file():
        binary.parent.mkdir(parents=True, exist_ok=True)
        partial = binary.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-std=gnu11", "-o", str(partial), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClientError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        partial.rename(binary)
    return binary


def write_requests(path: Path, requests: list[tuple[bytes, bytes]]) -> None:
    """Write pairs of (request, text that the answer must contain) as `load.c` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for request, expected in requests:
            file.write(f"{len(request)} {len(expected)}\n".encode() + request + expected)


def run(
    binary: Path,
    port: int,
    connections: int,
    requests: Path,
    seconds: float,
    warmup: float,
    sample: Callable[[bool], float] = lambda _: 0.0,
) -> tuple[Load, float]:
    """Load the server on *port* and return what the client saw, and by how much *sample* grew meanwhile.

    *sample* is called with False while the client works, when it must be quick, and with True afterwards.

    Raises:
        ClientError: The server does not take connections.
    """
    command = [str(binary), str(port), str(connections), str(warmup), str(seconds), str(requests)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            before = sample(False) if process.stdout.readline() else 0.0
            grown = sample(True) - before if process.stdout.readline() else 0.0
            output = process.stdout.readline()
            process.wait(timeout=30)
            errors = process.stderr.read() if process.stderr else ""
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise ClientError(errors.strip() or f"the load generator ended with {process.returncode}")
    return Load(**json.loads(output)), grown
