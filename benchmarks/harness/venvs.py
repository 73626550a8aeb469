"""Give every server a virtual environment of its own.

An environment is made once and kept under `.work/venvs/` until its requirements or its Python change.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

INSTALL_SECONDS = 1800


class InstallError(Exception):
    """A server cannot be installed here; the message is the reason for the report."""


def ensure(name: str, requirements: Path, work: Path, newest_python: str = "") -> Path:
    """Return the `bin` folder of the environment *name*, made when it is missing or out of date.

    Args:
        name: The environment's folder under `work/venvs`.
        requirements: The requirements file to install.
        work: The folder for everything that the benchmark makes.
        newest_python: The newest Python that the server supports, such as "3.12"; empty means any.

    Raises:
        InstallError: No suitable Python, or pip failed; the message holds pip's last words.
    """
    python = pick_python(newest_python)
    folder = work / "venvs" / name
    stamp = folder / "installed"
    wanted = f"{python} {_fingerprint(requirements)}"
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing {name} ...", file=sys.stderr, flush=True)
        _install(folder, python, requirements, work / "logs" / f"install-{name}.log")
        stamp.write_text(wanted)
    return folder / "bin"


def pick_python(newest: str = "") -> str:
    """Return the running interpreter, or the newest on PATH that is not newer than *newest*.

    Raises:
        InstallError: There is none.
    """
    if not newest or sys.version_info[:2] <= _parse(newest):
        return str(Path(sys.executable).resolve())
    major, minor = _parse(newest)
    for candidate in range(minor, 10, -1):
        found = shutil.which(f"python{major}.{candidate}")
        if found and _runs(found):
            return found
    raise InstallError(
        f"needs Python 3.11 to {newest}; this is {sys.version.split()[0]} and PATH has no older one"
    )


def _parse(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _fingerprint(requirements: Path) -> str:
    """Hash the file and the files that it includes."""
    digest = hashlib.sha256()
    for line in requirements.read_text().splitlines():
        digest.update(line.encode())
        if line.startswith(("-r ", "-c ")):
            digest.update(_fingerprint(requirements.parent / line[3:].strip()).encode())
    return digest.hexdigest()


def _install(folder: Path, python: str, requirements: Path, log: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    with log.open("wb") as output:
        for command in (
            [python, "-m", "venv", str(folder)],
            [*pip, "install", "--quiet", "--prefer-binary", "-r", str(requirements)],
        ):
            _run(command, output, log)


def _run(command: list[str], output: BinaryIO, log: Path) -> None:
    try:
        done = subprocess.run(command, stdout=output, stderr=output, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"cannot be installed: {error}") from error
    if done.returncode:
        errors = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
        reason = errors[-1] if errors else f"{command[0]} ended with {done.returncode}"
        raise InstallError(f"cannot be installed: {reason}")
