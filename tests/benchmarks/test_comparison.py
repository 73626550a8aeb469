"""The comparison as a whole, on small servers that need no installation."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The Markdown and the SVG that one comparison wrote."""
    script = HERE / "compare_small_servers.py"
    work = tmp_path_factory.mktemp("work")
    done = subprocess.run(
        [sys.executable, script, work], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    markdown, svg = done.stdout.split("<svg", 1)
    return markdown, "<svg" + svg


def test_the_control_is_its_own_measure(written):
    """Ratios to anything but the control of the same round would make the table meaningless."""
    row = next(
        line for line in written[0].splitlines() if line.startswith("| bare WSGI on cheroot (control) |")
    )
    assert "1.00 (1.00 to 1.00)" in row


def test_a_server_that_works_has_figures(written):
    """A row of "failed" for a server that answers would hide it from the reader."""
    row = next(line for line in written[0].splitlines() if line.startswith("| FastAPI, sync handlers"))
    assert "failed" not in row


def test_a_server_that_cannot_be_installed_is_reported_with_the_reason(written):
    """A peer that is left out without a word would look beaten."""
    assert "- litserve: not measured: cannot be installed: there is no such thing" in written[0]


def test_a_server_that_answers_wrongly_is_reported_with_the_reason(written):
    """Wrong answers are cheap to give: their speed must not stand in the table."""
    assert "- mlserver: not measured: " in written[0]


def test_the_picture_is_well_formed(written):
    """A broken SVG shows as a broken image."""
    assert ElementTree.fromstring(written[1]).tag == "{http://www.w3.org/2000/svg}svg"


def test_every_server_is_listed():
    """Servers are asked for by name: the list is where a user finds them."""
    done = subprocess.run(
        [REPOSITORY / "benchmarks" / "run", "--list"], capture_output=True, text=True, check=True
    )
    folders = sorted(file.parent.name for file in (REPOSITORY / "benchmarks" / "peers").glob("*/peer.toml"))
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == folders
