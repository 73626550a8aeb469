"""Build the image with buildah in a store of the test's own, and run it with runc as a strict cluster would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.processes import REPOSITORY, Process

#: Where the base image is kept between runs, because making it takes half a minute; debootstrap bears no space.
BASE = Path("/var/tmp/model-serving-tests/base")
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_commands() -> list[str]:
    """Return the Debian packages that these tests need and this machine lacks."""
    return [command for command in ("buildah", "runc", "debootstrap") if shutil.which(command) is None]


class Store:
    """buildah with images of its own, which go with the folder."""

    def __init__(self, folder: Path) -> None:
        self._options = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._environ = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}

    def buildah(self, *arguments: str | Path, folder: Path = REPOSITORY) -> str:
        """Run buildah; return what it prints."""
        command = ["buildah", *self._options, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=folder, env=self._environ, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def make_base(self, name: str) -> None:
        """Put an image with Python into the store that stands in for the official one, which a registry has."""
        make_debian()
        container = self.buildah("from", "scratch")
        self.buildah("add", "-q", container, BASE, "/")
        self.buildah("config", "--env", f"PATH={PATH}", container)
        self.buildah("commit", "-q", "--rm", container, name)

    def config(self, image: str) -> dict[str, Any]:
        """Return the image's OCI configuration."""
        found: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))
        return dict(found["OCIv1"]["config"])

    def unpack(self, image: str) -> Path:
        """Return a folder with the image's files."""
        return Path(self.buildah("mount", self.buildah("from", image)))


def make_debian() -> None:
    """Make a small Debian with Python, unless an earlier run has."""
    if BASE.exists():
        return
    half_made = BASE.with_name(f"half-made-{os.getpid()}")
    half_made.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(half_made)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    (half_made / "usr/bin/python").symlink_to("python3")
    half_made.rename(BASE)


class Container(Process):
    """The image's process, as Kubernetes' restricted policy and a read-only root let it run; host network.

    Args:
        folder: Takes the bundle and the log.
        root: The image's files.
        config: The image's configuration.
        environ: Added to the image's environment.
        arguments: Added to the image's entrypoint.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        config: Mapping[str, Any],
        environ: Mapping[str, str],
        arguments: Sequence[str] = (),
    ) -> None:
        bundle = {
            "ociVersion": "1.0.2",
            "root": {"path": str(root), "readonly": True},
            "hostname": "container",
            "process": {
                "user": dict(zip(("uid", "gid"), map(int, config["User"].split(":")), strict=True)),
                "args": [*config["Entrypoint"], *arguments],
                "cwd": config["WorkingDir"],
                "env": [*config["Env"], *(f"{name}={value}" for name, value in environ.items())],
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                volume("/tmp"),
                volume("/state"),
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
        }
        (folder / "config.json").write_text(json.dumps(bundle))
        self._runc = ["runc", "--root", str(folder / "runc")]
        self._name = f"model-serving-{os.getpid()}-{folder.name}"
        command = [*self._runc, "run", "--bundle", str(folder), self._name]
        super().__init__(command, environ=os.environ, folder=folder, log=folder / "log")

    def kill(self) -> None:
        """End it and its container, whatever happened before."""
        subprocess.run([*self._runc, "delete", "--force", self._name], check=True, capture_output=True)
        super().kill()


def volume(path: str) -> dict[str, Any]:
    """Return what an emptyDir with fsGroup 65533 is to a container."""
    options = ["nosuid", "nodev", "uid=65533", "gid=65533", "mode=2770"]
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}
