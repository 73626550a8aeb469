"""What the environment may say: one frozen `Settings`, read once at start.

The table `SETTINGS` is the single source: the file `env`, the README's table and the chart are held to it by
tests. A wrong value never half-starts the server: `Settings.from_env` reports every wrong setting at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class SettingsInvalid(Exception):
    """Some settings are wrong; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("wrong settings: " + "; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes:
        name: The variable's name.
        field: The attribute of `Settings` that it fills.
        default: The value when it is not set, as it would be written in the file `env`.
        parse: Turns the text into the value; raises ValueError with what is expected.
        doc: One sentence with the unit and the consequence.
    """

    name: str
    field: str
    default: str
    parse: Callable[[str], object]
    doc: str


def _base_url(text: str) -> str:
    segments = [segment for segment in text.strip("/").split("/") if text.strip("/")]
    if any(not segment or segment in {".", ".."} or set(segment) & set("?#%\\ ") for segment in segments):
        raise ValueError("expected path segments such as models or team/models")
    return "/".join(segments)


def _host(text: str) -> str:
    if not text or any(character.isspace() or character == "/" for character in text):
        raise ValueError("expected an address such as 0.0.0.0, 127.0.0.1 or ::")
    return text.strip("[]")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    span = (
        f"a whole number from {least} to {most}" if most is not None else f"a whole number, {least} or more"
    )

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= (
            math.inf if most is None else most
        ):
            raise ValueError(f"expected {span}")
        return int(text)

    return parse


def _seconds(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least <= value < math.inf):
            raise ValueError(f"expected seconds, {least:g} or more, such as 2 or 0.5")
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return text.lower()

    return parse


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
        raise ValueError("expected true or false")
    return text.lower() in {"true", "1", "yes"}


def _models_dir(text: str) -> Path:
    return HERE / "models_serve" if text == "models_serve" else Path(text).absolute()


def _state_dir(text: str) -> Path | None:
    return Path(text).absolute() if text else None


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "baseUrl",
        "base_url",
        "models_serve",
        _base_url,
        "Path before every model's name; may be empty or have several segments.",
    ),
    Setting(
        "HOST",
        "host",
        "0.0.0.0",  # noqa: S104 - a server in a pod listens on every address
        _host,
        "Address to listen on; 127.0.0.1 keeps the server to this machine, :: takes IPv6 too.",
    ),
    Setting(
        "PORT",
        "port",
        "80",
        _whole(0, 65535),
        "Port to listen on; 0 takes any free port and the log line `listening` names it.",
    ),
    Setting(
        "MODELS_DIR",
        "models_dir",
        "models_serve",
        _models_dir,
        "Folder of the model folders; may be or lie behind a symlink, or not exist yet; by default beside server.py.",
    ),
    Setting(
        "STATE_DIR",
        "state_dir",
        "",
        _state_dir,
        "Folder that keeps last good versions; empty means one of this server's own under the user's cache.",
    ),
    Setting(
        "THREADS",
        "threads",
        "32",
        _whole(2, 1000),
        "How many calls may run at once in the whole server; waiting calls take no thread.",
    ),
    Setting(
        "MODEL_CONCURRENCY",
        "model_concurrency",
        "1",
        _whole(1, 1000),
        "How many calls may run at once inside one model whose class has no `concurrency` of its own.",
    ),
    Setting(
        "MODEL_QUEUE_SIZE",
        "model_queue_size",
        "128",
        _whole(0, 100_000),
        "How many calls may wait for one model; one more is answered 503 at once.",
    ),
    Setting(
        "MAX_BODY_BYTES",
        "max_body_bytes",
        "1048576",
        _whole(1),
        "Largest request body in bytes; a larger one is answered 413.",
    ),
    Setting(
        "REQUEST_TIMEOUT_SECONDS",
        "request_timeout_seconds",
        "30",
        _seconds(0.05),
        "Seconds from the complete request to its answer; then the client gets 504 and the late result is dropped.",
    ),
    Setting(
        "KEEP_ALIVE_SECONDS",
        "keep_alive_seconds",
        "75",
        _seconds(1),
        "Seconds that an idle connection stays open; keep it above the idle timeout of the proxy in front.",
    ),
    Setting(
        "LOAD_PATIENCE_SECONDS",
        "load_patience_seconds",
        "10",
        _seconds(0.1),
        "Seconds that one load may keep the others waiting; then the next one starts beside it.",
    ),
    Setting(
        "POLL_SECONDS",
        "poll_seconds",
        "5",
        _seconds(0.1),
        "Seconds between two looks at the models folder when no file event arrives.",
    ),
    Setting(
        "READY_POLICY",
        "ready_policy",
        "any",
        _one_of("any", "all"),
        "When /readyz says 200: any model serves, or all do.",
    ),
    Setting(
        "DRAIN_DELAY_SECONDS",
        "drain_delay_seconds",
        "5",
        _seconds(0),
        "Seconds after SIGTERM in which new connections are still taken, so that load balancers can look away.",
    ),
    Setting(
        "SHUTDOWN_TIMEOUT_SECONDS",
        "shutdown_timeout_seconds",
        "25",
        _seconds(0.1),
        "Seconds from SIGTERM to the end of the process at the latest, the drain delay included.",
    ),
    Setting(
        "LOG_LEVEL",
        "log_level",
        "info",
        _one_of("debug", "info", "warning", "error"),
        "Least level that is logged; debug has a line for every request but probes and scrapes.",
    ),
    Setting(
        "LOG_FORMAT",
        "log_format",
        "auto",
        _one_of("auto", "json", "text"),
        "json is one object a line; text is for people; auto is text on a terminal and json elsewhere.",
    ),
    Setting(
        "DEBUG",
        "debug",
        "false",
        _flag,
        "true shows the traceback of a model's error to the client; never in production.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """Every setting of the server, checked; see `SETTINGS` for units and meaning."""

    base_url: str
    host: str
    port: int
    models_dir: Path
    state_dir: Path | None
    threads: int
    model_concurrency: int
    model_queue_size: int
    max_body_bytes: int
    request_timeout_seconds: float
    keep_alive_seconds: float
    load_patience_seconds: float
    poll_seconds: float
    ready_policy: str
    drain_delay_seconds: float
    shutdown_timeout_seconds: float
    log_level: str
    log_format: str
    debug: bool

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting from *environ*; a variable that is empty counts as not set, but for `baseUrl`.

        Raises:
            SettingsInvalid: With one sentence for each setting that is wrong.
        """
        values: dict[str, Any] = {}
        problems = []
        for setting in SETTINGS:
            text = environ.get(setting.name, setting.default).strip()
            if not text and setting.name != "baseUrl":
                text = setting.default
            try:
                values[setting.field] = setting.parse(text)
            except ValueError as error:
                problems.append(f"{setting.name}={text}: {error}")
        if not problems:
            problems = _contradictions(values)
        if problems:
            raise SettingsInvalid(problems)
        return cls(**values)


def _contradictions(values: dict[str, Any]) -> list[str]:
    if values["drain_delay_seconds"] < values["shutdown_timeout_seconds"]:
        return []
    return [
        f"DRAIN_DELAY_SECONDS={values['drain_delay_seconds']:g}: expected less than "
        f"SHUTDOWN_TIMEOUT_SECONDS={values['shutdown_timeout_seconds']:g}, which counts from SIGTERM too"
    ]
