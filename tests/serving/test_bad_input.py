"""Whatever lies where models should lie, or stands in the settings, ends in a sentence and not in a crash."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.processes import REPOSITORY, wait_until
from tests.serving.conftest import Serve, constant

Folder = Callable[[Mapping[str, str | bytes]], Path]


#: Root may read everything, unless it has given up the capabilities for that.
LIKE_ANYBODY = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    if os.geteuid() == 0
    else []
)


def run_server(**environ: str) -> subprocess.CompletedProcess[str]:
    """Start the server and wait for its end."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "server.py")],
        env={**os.environ, "HOST": "127.0.0.1", "LOG_FORMAT": "json", **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_wrong_settings_are_all_named_at_once() -> None:
    """An operator would fix one, restart, and find the next."""
    done = run_server(PORT="eighty", THREADS="0", READY_POLICY="some", POLL_SECONDS="-1", baseUrl="a b")
    assert done.returncode == 2
    assert [line.split("=")[0].strip() for line in done.stderr.splitlines()[1:]] == [
        "baseUrl",
        "PORT",
        "THREADS",
        "POLL_SECONDS",
        "READY_POLICY",
    ]
    assert done.stdout == ""


def test_a_port_in_use_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    """A traceback would hide what is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_server(PORT=str(port), STATE_DIR=str(tmp_path), MODELS_DIR=str(tmp_path))
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_state_folder_that_cannot_be_written_is_exit_code_3(tmp_path: Path) -> None:
    """The server would lose every last good version without a word."""
    (tmp_path / "file").write_text("")
    done = run_server(PORT="0", STATE_DIR=str(tmp_path / "file" / "state"), MODELS_DIR=str(tmp_path))
    assert done.returncode == 3
    assert "state folder" in done.stdout


def test_a_models_root_that_is_a_file_is_said_and_survived(serve: Serve, tmp_path: Path) -> None:
    """The server would crash, or claim to be ready."""
    (tmp_path / "root").write_text("")
    service = serve(tmp_path / "root", wait=False)
    reasons = wait_until(
        lambda: [r for r in service.get("/readyz").json()["reasons"] if "not a directory" in r],
        "the reason",
        5,
    )
    assert reasons
    assert service.get("/healthz").status_code == 200
    assert '"checkout refused"' in service.server.output()


def test_a_models_root_that_may_not_be_read_is_said(serve: Serve, folder: Folder) -> None:
    """The server would look like one without models."""
    root = folder({"m/etls.py": constant(1)})
    root.chmod(0)
    service = serve(root, wait=False, prefix=LIKE_ANYBODY)
    wait_until(lambda: "permission denied" in service.get("/readyz").text or None, "the reason", 5)
    root.chmod(0o755)


def test_a_folder_without_permission_is_reported(serve: Serve, folder: Folder) -> None:
    """A model would be missing without a reason."""
    root = folder({"m/etls.py": constant(1), "other/etls.py": constant(2)})
    (root / "m").chmod(0)
    service = serve(root, prefix=LIKE_ANYBODY)
    assert "permission denied" in service.status("m")["error"]
    assert service.answer("other") == 2
    (root / "m").chmod(0o755)
    service.wait_for_answer("m", 1, within=10)


def test_what_cannot_be_a_model_is_reported_with_its_reason(
    serve: Serve, folder: Folder, tmp_path: Path
) -> None:
    """A folder would be passed over, and nobody would know why it does not answer."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "etls.py").write_text(constant("outside"))
    root = folder(
        {
            "good/etls.py": constant("good"),
            "all/etls.py": constant("all"),
            "lfs/etls.py": constant("lfs"),
            "lfs/weights.pkl": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "nofile/readme.txt": "no model",
            "pipe/etls.py": constant("pipe"),
        }
    )
    (root / "dangling").symlink_to("nowhere")
    (root / "leaves").symlink_to(tmp_path / "outside")
    (root / "inside").symlink_to("good")
    os.mkfifo(root / "pipe" / "fifo")
    (root / "circle").mkdir()
    (root / "circle" / "etls.py").write_text(constant("circle"))
    (root / "circle" / "again").symlink_to("..")
    latin = os.fsencode(root) + b"/m\xe9trica"
    Path(os.fsdecode(latin)).mkdir()
    Path(os.fsdecode(latin), "etls.py").write_text(constant("latin"))
    service = serve(root)
    errors = {entry["name"]: entry["error"] for entry in service.get("/").json()["models"]}
    assert errors == {
        "good": None,
        "inside": None,
        "all": "the name all is reserved for a route; rename the folder",
        "dangling": "is a dangling symlink to nowhere",
        "leaves": "is a symlink that leaves the models root",
        "lfs": errors["lfs"],
        "pipe": "fifo is neither a file nor a folder",
        "circle": errors["circle"],
        "m\\xe9trica": "the folder's name is not valid UTF-8; rename the folder",
    }
    assert "weights.pkl is a Git LFS pointer" in errors["lfs"]
    assert "circle" in errors["circle"]
    assert service.answer("inside") == "good"
    assert service.get("/models_serve/all").json()["good"] == {"answer": "good"}


def test_a_missing_library_says_what_to_do(serve: Serve, folder: Folder) -> None:
    """A newcomer would read a traceback."""
    library = "raise OSError('libgomp.so.1: cannot open shared object file: No such file or directory')\n"
    root = folder(
        {
            "python/etls.py": "import nothing_of_this_name\n",
            "system/etls.py": library,
            "ok/etls.py": constant(1),
        }
    )
    service = serve(root)
    assert "requirements.txt" in service.status("python")["error"]
    assert service.status("system")["error"].endswith("apt-get install libgomp1")
    assert service.answer("ok") == 1
