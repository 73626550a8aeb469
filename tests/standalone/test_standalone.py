"""`standalone.sh` takes a newcomer from a clone to an answer, whoever and wherever they are."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests
import xgboost

from tests.processes import REPOSITORY, wait_until
from tests.standalone.conftest import PATH, Clone, Standalone

ECHO = """
import os

class Echo:
    def transform_predict(self):
        return {"greeting": os.environ.get("GREETING"), "edition": 1}
"""


def paste(command: str) -> dict[str, object]:
    """Run the printed command in a shell, as a user who pastes it, and return the answer."""
    run = subprocess.run(
        ["bash", "-c", command], cwd="/", check=False, capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 0, run.stderr
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


def base_of(command: str) -> str:
    """Return the address before the model's name in a printed command."""
    return next(part for part in shlex.split(command) if part.startswith("http")).rpartition("/")[0]


def add_model(clone: Clone, name: str, etls: str, folder: str = "models_serve", **files: str) -> None:
    """Paste a model's folder into the clone, or one with other content over it."""
    path = clone.path / folder / name
    path.mkdir(parents=True, exist_ok=True)
    for file, text in ({"etls.py": etls} | files).items():
        (path / file.replace("_json", ".json")).write_text(text)
    clone.give(clone.path / folder)


def test_first_run_ends_with_a_curl_command_that_works_when_pasted(
    first_run: tuple[Clone, Standalone],
) -> None:
    """Otherwise a newcomer's first minute ends in an error, or in a wrong prediction."""
    clone, run = first_run
    command = run.curl()
    booster = xgboost.Booster(model_file=REPOSITORY / "models_serve/breast_cancer/model.json")
    variables = json.loads((clone.path / "models_serve/breast_cancer/example.json").read_text())["variables"]
    row = [[variables[name] for name in booster.feature_names]]

    answer = paste(command)

    expected = booster.predict(xgboost.DMatrix(row, feature_names=booster.feature_names))[0]
    assert answer["probability_malignant"] == pytest.approx(float(expected), abs=1e-6)
    assert run.output().rstrip().splitlines()[-1] == command


def test_first_run_is_quiet_about_pip(first_run: tuple[Clone, Standalone]) -> None:
    """Otherwise pages of pip's output bury the few lines that matter."""
    _clone, run = first_run
    before = run.output().partition("Try it")[0]
    assert "Requirement already" not in before
    assert "Collecting" not in before


def test_second_run_installs_nothing_and_is_fast(clone: Clone) -> None:
    """Otherwise every restart waits for pip, and fails without a network."""
    started = time.monotonic()
    run = clone.start(PIP_NO_INDEX="1")
    run.curl(within=20)
    assert time.monotonic() - started < 15
    assert "installing" not in run.output()
    assert run.end() == 0


def test_pasted_model_is_live_within_three_seconds_and_so_is_its_edit(clone: Clone) -> None:
    """Otherwise a user who pastes a folder has to know about restarts."""
    run = clone.start()
    url = f"{base_of(run.curl())}/pasted"

    add_model(clone, "pasted", ECHO)
    wait_until(lambda: requests.get(url, timeout=5).ok, "the pasted model to answer", within=3)
    add_model(clone, "pasted", ECHO.replace('"edition": 1', '"edition": 2'))
    wait_until(
        lambda: requests.get(url, timeout=5).json().get("edition") == 2, "the edit to be live", within=3
    )
    assert run.end() == 0


def test_broken_edit_keeps_the_old_answer_also_after_a_restart(clone: Clone) -> None:
    """Otherwise a slip of the keyboard takes a model down, at once or with the next start."""
    add_model(clone, "pasted", ECHO)
    first = clone.start()
    base = base_of(first.curl())
    assert requests.get(f"{base}/pasted", timeout=5).json()["edition"] == 1

    add_model(clone, "pasted", "this is no Python\n")
    wait_until(lambda: status_of(base, "pasted") == "last_good", "the broken edit to be noticed", within=5)
    assert requests.get(f"{base}/pasted", timeout=5).json()["edition"] == 1
    assert first.end() == 0

    second = clone.start()
    base = base_of(second.curl())
    assert status_of(base, "pasted") == "last_good"
    assert requests.get(f"{base}/pasted", timeout=5).json()["edition"] == 1
    add_model(clone, "pasted", ECHO.replace('"edition": 1', '"edition": 2'))
    wait_until(lambda: requests.get(f"{base}/pasted", timeout=5).json()["edition"] == 2, "the mend", within=5)
    assert second.end() == 0


def status_of(base: str, model: str) -> str:
    """Return what the status page says of a model."""
    page = requests.get(f"{base}/", timeout=5).json()
    return next((one["status"] for one in page["models"] if one["name"] == model), "absent")


def test_port_80_refused_falls_back_to_8080_and_says_so(clone: Clone) -> None:
    """Otherwise a user who is not root gets a permission error instead of a server."""
    with taken_if_allowed(80):
        wait_until(lambda: may_bind(8080), "port 8080 to be free on this machine", within=60)
        run = clone.start(PORT="unset")
        command = run.curl()
        assert "http://127.0.0.1:8080/models_serve/" in command
        assert "port 80 cannot be used" in run.output()
        assert paste(command)
        assert run.end() == 0


def taken_if_allowed(port: int) -> socket.socket:
    """Take the port, if this user may, so that nobody else can."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    except OSError:
        pass  # taken by someone, or refused: what the test needs
    return taken


def may_bind(port: int) -> bool:
    """Tell whether the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_port_that_was_asked_for_is_never_exchanged(clone: Clone) -> None:
    """Otherwise a service listens where nobody looks for it, and its start looks like a success."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = clone.start(PORT=str(taken.getsockname()[1]))
        assert run.exit_code(within=20) == 3, run.output()
        assert "Traceback" not in run.output()
        assert "curl" not in run.output()


def test_wrong_setting_ends_the_start_with_its_name(clone: Clone) -> None:
    """Otherwise the script hides why the server did not start."""
    run = clone.start(THREADS="many")
    assert run.exit_code(within=20) == 2
    assert "THREADS" in run.output()


def test_env_file_is_read_and_the_caller_wins_over_it(clone: Clone) -> None:
    """Otherwise settings are lost, or `PORT=9000 ./standalone.sh` serves elsewhere."""
    add_model(clone, "echo", ECHO)
    (clone.path / "env").write_text("baseUrl=from/file\nGREETING=from file\nREADY_POLICY=all")
    run = clone.start(baseUrl="from-caller", READY_POLICY="any")
    base = base_of(run.curl())
    assert base.endswith("/from-caller")
    assert requests.get(f"{base}/echo", timeout=5).json()["greeting"] == "from file"
    assert run.end() == 0


def test_env_file_is_taken_literally(clone: Clone) -> None:
    """Otherwise a `$` or `#` in a value is cut or run by the shell, but not by Docker."""
    add_model(clone, "echo", ECHO)
    value = "pa$HOME#x y `id` \\n"
    (clone.path / "env").write_text(f"# a comment\r\n\r\n  #PORT=1\r\nexport GREETING={value}\r\n")
    run = clone.start()
    answer = requests.get(f"{base_of(run.curl())}/echo", timeout=5).json()
    assert answer["greeting"] == value
    assert run.end() == 0


@pytest.mark.parametrize("line", ["not a setting", 'baseUrl="quoted"', "=value"])
def test_nonsense_in_the_env_file_is_named_with_its_line(clone: Clone, line: str) -> None:
    """Otherwise a slip in the file is ignored, and a setting silently stays at its default."""
    (clone.path / "env").write_text(f"# settings\n{line}\n")
    run = clone.start()
    assert (run.exit_code(within=20), "env, line 2" in run.output()) == (2, True), run.output()


def test_relative_models_dir_of_the_caller_is_meant_from_their_folder(clone: Clone) -> None:
    """Otherwise `MODELS_DIR=mine ./standalone.sh` serves another folder than the one the user sees."""
    add_model(clone, "echo", ECHO, folder="elsewhere/mine")
    run = clone.start(folder=clone.path / "elsewhere", MODELS_DIR="mine")
    assert requests.get(f"{base_of(run.curl())}/models_serve/echo", timeout=5).ok
    assert run.end() == 0


def test_relative_models_dir_of_the_env_file_is_meant_from_the_repository(clone: Clone) -> None:
    """Otherwise the file env means something else in every directory that the script is started from."""
    add_model(clone, "echo", ECHO, folder="mine")
    (clone.path / "env").write_text("MODELS_DIR=mine\n")
    run = clone.start(folder=Path("/"))
    assert requests.get(f"{base_of(run.curl())}/models_serve/echo", timeout=5).ok
    assert run.end() == 0


def test_without_examples_the_status_page_is_what_to_call(clone: Clone) -> None:
    """Otherwise the script points at a model that the user has deleted."""
    subprocess.run(["bash", "-c", 'rm -r "$0"/models_serve/*/', clone.path], check=True)
    run = clone.start()
    assert paste(run.curl())["models"] == []
    assert run.end() == 0


def test_own_model_with_odd_name_and_example_is_what_to_call(clone: Clone) -> None:
    """Otherwise the command breaks on a space, a quote or an accent when pasted."""
    subprocess.run(["bash", "-c", 'rm -r "$0"/models_serve/*/', clone.path], check=True)
    etls = "class Model:\n    def transform_predict(self, variables):\n        return variables\n"
    variables = {"text": 'it\'s $HOME & "more" é'}
    add_model(clone, "métrica d'or", etls, example_json=json.dumps({"variables": variables}))
    run = clone.start()
    assert paste(run.curl()) == variables
    assert run.end() == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_script_ends_the_server_and_leaves_nothing(clone: Clone, how: signal.Signals) -> None:
    """Otherwise Ctrl-C leaves an orphan that holds the port."""
    run = clone.start()
    run.curl()
    assert run.end(how) == 0
    wait_until(lambda: not run.leftovers(), "every process of the script to end", within=5)


def test_check_reports_the_models_without_serving(clone: Clone) -> None:
    """Otherwise a user needs to know of virtual environments to check a model before pushing it."""
    run = clone.start("check")
    assert run.exit_code(within=60) == 0, run.output()
    assert "breast_cancer" in run.output()
    assert "curl" not in run.output()


def tiny_wheel(folder: Path) -> Path:
    """Make a wheel of one module, `tiny_greeting`, which no network has to bring."""
    import zipfile

    wheel = folder / "tiny_greeting-1.0-py3-none-any.whl"
    info = "tiny_greeting-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_greeting.py", "WORD = 'hello'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-greeting\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


GREETER = """
import tiny_greeting

class Greeter:
    def transform_predict(self):
        return {"word": tiny_greeting.WORD}
"""


def require(clone: Clone, line: str) -> None:
    """Add a line to the clone's requirements.txt, as the README tells users to."""
    with (clone.path / "requirements.txt").open("a") as file:
        file.write(f"{line}\n")


def test_library_added_to_requirements_is_installed_by_the_next_run(clone: Clone) -> None:
    """Otherwise a user's model never finds its library."""
    add_model(clone, "greeter", GREETER)
    require(clone, f"tiny-greeting @ {tiny_wheel(clone.home).as_uri()}")
    run = clone.start(PIP_NO_INDEX="1")
    assert requests.get(f"{base_of(run.curl())}/greeter", timeout=5).json() == {"word": "hello"}
    assert run.end() == 0


def test_library_that_cannot_be_installed_stops_only_who_needs_it(clone: Clone) -> None:
    """Otherwise one wrong line in requirements.txt takes every model down."""
    require(clone, "/nowhere/absent_library-1.0-py3-none-any.whl")
    require(clone, f"tiny-greeting @ {tiny_wheel(clone.home).as_uri()}")
    add_model(clone, "greeter", GREETER)
    add_model(clone, "orphan", "import absent_library\n" + ECHO)
    run = clone.start(PIP_NO_INDEX="1")
    base = base_of(run.curl())
    assert "could not install: /nowhere/absent_library" in run.output()
    assert requests.get(f"{base}/greeter", timeout=5).json() == {"word": "hello"}
    assert requests.get(f"{base}/orphan", timeout=5).status_code == 503
    assert run.end() == 0


def test_failed_install_is_tried_again_by_the_next_run(clone: Clone) -> None:
    """Otherwise a network that was down for a minute leaves a library missing for ever."""
    absent = clone.home / "wheels" / "tiny_greeting-1.0-py3-none-any.whl"
    require(clone, str(absent))
    first = clone.start(PIP_NO_INDEX="1")
    first.curl()
    assert "could not install" in first.output()
    assert first.end() == 0

    absent.parent.mkdir()
    tiny_wheel(absent.parent)
    add_model(clone, "greeter", GREETER)
    second = clone.start(PIP_NO_INDEX="1")
    assert requests.get(f"{base_of(second.curl())}/greeter", timeout=5).ok
    assert second.end() == 0


def test_environment_without_pip_is_mended(bare_clone: Clone) -> None:
    """Otherwise a Ctrl-C during the first run breaks every later one."""
    subprocess.run(
        ["python3", "-m", "venv", "--without-pip", bare_clone.path / ".venv"], check=True, env={"PATH": PATH}
    )
    bare_clone.give(bare_clone.path / ".venv")
    (bare_clone.path / "requirements.txt").write_text("")
    run = bare_clone.start("check")
    run.exit_code(within=60)
    assert list((bare_clone.path / ".venv/lib").glob("*/site-packages/pip")), run.output()


def test_environment_without_python_is_made_anew(bare_clone: Clone) -> None:
    """Otherwise an upgrade of the system's Python leaves an environment that never starts again."""
    (bare_clone.path / ".venv/bin").mkdir(parents=True)
    (bare_clone.path / ".venv/bin/python").symlink_to("/nowhere/python3")
    bare_clone.give(bare_clone.path / ".venv")
    (bare_clone.path / "requirements.txt").write_text("")
    run = bare_clone.start("check")
    run.exit_code(within=60)
    assert "making .venv" in run.output()
    assert (bare_clone.path / ".venv/bin/python").exists()


def test_missing_venv_is_one_sentence_with_the_package(bare_clone: Clone, path_of_few) -> None:  # type: ignore[no-untyped-def]
    """Otherwise Debian's Python, which comes without venv, leaves the user with a page of pip's."""
    python = '#!/bin/bash\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec /usr/bin/python3 "$@"\n'
    run = bare_clone.start(path=path_of_few(python3=python))
    assert run.exit_code(within=20) == 3
    assert len(run.output().splitlines()) == 1
    assert "-venv" in run.output()


def test_missing_python_is_one_sentence_with_the_package(bare_clone: Clone, path_of_few) -> None:  # type: ignore[no-untyped-def]
    """Otherwise an old machine says "command not found"."""
    run = bare_clone.start(path=path_of_few(python3="#!/bin/bash\nexit 1\n"))
    assert run.exit_code(within=20) == 3
    assert "apt-get install python3 python3-venv" in run.output()
    assert len(run.output().splitlines()) == 1


def test_folder_that_may_not_be_written_is_said(bare_clone: Clone) -> None:
    """Otherwise a clone that belongs to root fails in the depths of venv."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "root", bare_clone.path], check=True)
    bare_clone.path.chmod(0o555)
    run = bare_clone.start()
    assert run.exit_code(within=20) == 3
    assert "may not write to" in run.output()
    bare_clone.path.chmod(0o755)
