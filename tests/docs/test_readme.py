"""What README.md shows is what happens: its commands are run, its model is served, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.processes import REPOSITORY, Server, wait_until

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / "README.md", *(path for path in REPOSITORY.glob("charts/*/README.md"))]
SHOWN_ADDRESS = "http://localhost:8080"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the README in this language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def command_with(text: str) -> str:
    """Return the one command of the README that has this in it."""
    found = [block for block in blocks("bash") if text in block]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples and the README's own model, as a reader has it after following it."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(REPOSITORY / "models_serve", folder / "models_serve")
    source = blocks("python")[0]
    name = re.match(r"# (models_serve/\w+)/etls\.py\n", source)
    assert name is not None, source
    (folder / name[1]).mkdir()
    (folder / name[1] / "etls.py").write_text(source, encoding="utf-8")
    (folder / name[1] / "words.txt").write_text("Hello and welcome\n")
    return folder


@pytest.fixture(scope="module")
def address(repository: Path) -> Iterator[str]:
    """A real server over that folder."""
    server = Server(
        sys.executable,
        repository / "server.log",
        MODELS_DIR=str(repository / "models_serve"),
        STATE_DIR=str(repository / "state"),
        DRAIN_DELAY_SECONDS="0",
    )
    try:
        server.wait_until_ready()
        yield server.url
        assert server.end() == 0, server.output()
    finally:
        server.kill()


def pasted(command: str, address: str, folder: Path) -> dict[str, object]:
    """Run a command of the README and return the JSON that it prints."""
    run = subprocess.run(
        ["bash", "-c", command.replace(SHOWN_ADDRESS, address)],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


def test_first_command_gives_the_answer_that_is_shown(repository: Path, address: str) -> None:
    """Otherwise the first thing that a reader tries gives something else than the page says."""
    answer = pasted(command_with("breast_cancer/example.json"), address, repository)
    shown = json.loads(blocks("json")[0])
    assert (answer.keys(), answer["diagnosis"]) == (shown.keys(), shown["diagnosis"])
    assert answer["probability_malignant"] == pytest.approx(shown["probability_malignant"])


def test_model_of_the_readme_answers_its_command(repository: Path, address: str) -> None:
    """Otherwise the first model that a reader writes, by copying ours, does not work."""
    answer = pasted(command_with("/models_serve/greeting"), address, repository)
    assert answer == {"greeting": "Hello, Ada! "}


def test_problem_has_the_members_that_are_shown(address: str) -> None:
    """Otherwise a client that was written by the page finds other names."""
    response = requests.post(f"{address}/models_serve/greeting", json={"variables": {}}, timeout=10)
    shown = json.loads(blocks("json")[1])
    assert response.json().keys() == shown.keys()
    assert response.json()["errors"][0].keys() == shown["errors"][0].keys()
    assert response.json()["type"] == shown["type"]


def test_metrics_are_those_that_are_named(address: str) -> None:
    """Otherwise a dashboard built from the page stays empty."""
    section = README.partition("## Metrics and logs")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:model|http|checkout|watcher|build)_\w+)", section))
    requests.get(f"{address}/models_serve/daily_sales", timeout=10)
    text = wait_until(lambda: requests.get(f"{address}/metrics", timeout=10).text, "/metrics", within=10)
    given = {name.removesuffix("_total") for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    ours = {name for name in given if name.startswith(("model_", "http_", "checkout_", "watcher_", "build_"))}
    assert {name.removesuffix("_total") for name in named} == ours


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """Otherwise a reader ends at nothing."""
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if "://" in target:
            continue
        if (path and not (page.parent / path).exists()) or (not path and heading not in headings):
            dead.append(target)
    assert dead == []


def test_commands_of_the_repository_are_there() -> None:
    """Otherwise a reader is told to run what was renamed."""
    named = set(
        re.findall(r"(?<![\w/])(\./standalone\.sh|tests/run|benchmarks/run|\.ci/run|server\.py)\b", README)
    )
    assert [name for name in sorted(named) if not (REPOSITORY / name).is_file()] == []
