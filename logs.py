"""Logs: one JSON object a line on stdout, or plain text on a terminal.

`event` is a fixed phrase and the rest is fields. What model code prints or logs becomes a record with the model, its
revision and the request; what native code writes to file descriptor 1 becomes a record too, and cannot break the log.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from loader.callers import Callers
from loader.context import current_call

OURS = "model_serving"
#: What every LogRecord has; anything else in it came from `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as the fields of its line: time, level, event, where it came from, and what was given along."""
    text = record.getMessage()
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "level": record.levelname.lower(),
    }
    if record.name.startswith(OURS):
        fields["event"] = text
    else:
        fields |= {"event": "logged", "logger": record.name, "message": text}
    if (call := current_call.get()) is not None:
        fields |= {key: value for key, value in call._asdict().items() if value is not None}
    elif (owner := Callers.thread_owner()) is not None:  # a thread that a model has started itself
        fields["model"] = owner.name
    fields |= {
        key: value for key, value in vars(record).items() if key not in STANDARD and not key.startswith("_")
    }
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what JSON cannot say is written as its text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = fields_of(record)
        try:
            return orjson.dumps(fields, default=str).decode()
        except TypeError:  # a lone surrogate, a key that is no string
            return orjson.dumps({_clean(key): _clean(value) for key, value in fields.items()}).decode()


class TextFormatter(logging.Formatter):
    """A line for people: time, level, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it."""
        fields = fields_of(record)
        below = [str(fields.pop("traceback"))] if "traceback" in fields and record.exc_info else []
        head = f"{fields.pop('time')[11:23]} {fields.pop('level'):7} {fields.pop('event')}"
        rest = "  ".join(f"{key}={_clean(value)}" for key, value in fields.items())
        return "\n".join([f"{head}  {rest}".rstrip(), *below])


def _clean(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to the real stdout; a reader that went away ends the lines, not the server."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line when the pipe is closed; report anything else on the real stderr."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError | ValueError):
            super().handleError(record)


class LineStream(io.TextIOBase):
    """A stand-in for `sys.stdout` and `sys.stderr` that makes a log record of every line that is printed.

    A line belongs to the thread that prints it: two models that print at once do not mix.
    """

    def __init__(self, stream_name: str, encoding: str = "utf-8") -> None:
        self._name = stream_name
        self._encoding = encoding
        self._pending = threading.local()
        self._log = logging.getLogger(f"{OURS}.output")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding that a printing program may ask for."""
        return self._encoding

    def writable(self) -> bool:
        """Say yes: this stream is for writing."""
        return True

    def isatty(self) -> bool:
        """Say no: progress bars then print lines instead of control characters."""
        return False

    def fileno(self) -> int:
        """Return the descriptor that a child process may inherit in place of this stream."""
        return 1 if self._name == "stdout" else 2

    def write(self, text: str) -> int:
        """Log every whole line of *text*; the rest waits for its end."""
        if getattr(self._pending, "is_logging", False):
            return len(text)  # a handler of the model's own that prints what we log
        *lines, rest = (getattr(self._pending, "text", "") + text).split("\n")
        self._pending.text = rest
        self._pending.is_logging = True
        try:
            for line in lines:
                if line.strip():
                    self._log.info("printed", extra={"stream": self._name, "text": line.rstrip("\r")})
        finally:
            self._pending.is_logging = False
        return len(text)

    def flush(self) -> None:
        """Keep an unfinished line until its end comes."""

    def reconfigure(self, **_options: object) -> None:
        """Accept what a script may ask of the real stream; records are always UTF-8."""

    @property
    def buffer(self) -> LineBuffer:
        """The stream for who writes bytes."""
        return LineBuffer(self)


class LineBuffer(io.RawIOBase):
    """What `sys.stdout.buffer` is, over a `LineStream`."""

    def __init__(self, lines: LineStream) -> None:
        self._lines = lines

    def writable(self) -> bool:
        """Say yes: this stream is for writing."""
        return True

    def write(self, data: Any) -> int:
        """Log every whole line of *data*."""
        self._lines.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


class Logs:
    """The log of this process, from `install` on."""

    def __init__(self, level: str, log_format: str) -> None:
        """Take the settings LOG_LEVEL and LOG_FORMAT."""
        self._level = level.upper()
        self._is_text = log_format == "text" or (log_format == "auto" and sys.stdout.isatty())
        self._handler: logging.Handler | None = None

    def install(self) -> None:
        """Send every record, every print and everything written to descriptor 1 to one log on the real stdout."""
        sys.stdout.flush()
        out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
        self._handler = LogHandler(out)
        self._handler.setFormatter(TextFormatter() if self._is_text else JsonFormatter())
        self._capture_native_output()
        sys.stdout = LineStream("stdout")
        sys.stderr = LineStream("stderr")
        logging.captureWarnings(True)
        self.restore()

    def restore(self) -> None:
        """Be the only handler of the root logger again, whatever a model's `basicConfig` or `disable` did to it."""
        root = logging.getLogger()
        if self._handler is not None and (root.handlers != [self._handler] or logging.root.manager.disable):
            root.handlers[:] = [self._handler]
            logging.disable(logging.NOTSET)
        # A copy: other threads add loggers meanwhile.
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name.startswith(OURS) and isinstance(logger, logging.Logger):
                logger.disabled = False  # a model's dictConfig disables what was there before it
        # Libraries are quiet; what this server and model code say follows LOG_LEVEL.
        root.setLevel(max(logging.getLevelName(self._level), logging.INFO))
        logging.getLogger(OURS).setLevel(self._level)

    def _capture_native_output(self) -> None:
        """Replace descriptor 1 by a pipe whose lines become records: native code writes where it always did."""
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        threading.Thread(target=_pump, args=(reading,), name="native-output", daemon=True).start()


def _pump(reading: int) -> None:
    log = logging.getLogger(f"{OURS}.output")
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        pending = b""
        while chunk := pipe.read(65536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    log.info(
                        "written", extra={"descriptor": 1, "text": line.decode("utf-8", "backslashreplace")}
                    )
