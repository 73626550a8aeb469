"""A pytest plugin for .ci/run: a test that was skipped, though this machine could have run it, fails the run.

Skips that may stay begin with one of `ALLOWED`: what they need is no package that CI could install.
"""

from __future__ import annotations

import pytest

#: How the reasons of the skips that may stay begin.
ALLOWED = ("needs git-sync", "needs a cluster", "needs Python", "pydantic.v1 ends with Python 3.13")


class SkipGuard:
    """Collects the skips of one run and judges them at its end."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Remember a skip whose reason is not allowed."""
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            if not reason.startswith(ALLOWED):
                self.refused.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Judge one test."""
        self.note(report)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Judge one file that was skipped whole."""
        self.note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run when anything was skipped that should have run."""
        if self.refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which they were."""
        for skipped in self.refused:
            terminalreporter.write_line(f"SKIPPED BUT MUST RUN IN CI: {skipped}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Join the run."""
    config.pluginmanager.register(SkipGuard(), "skip-guard")
