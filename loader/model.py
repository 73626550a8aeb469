"""One loaded version of a model: construct it, rehearse its example, score, close."""

from __future__ import annotations

import copy
import inspect
import logging
import re
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from loader.context import Call, current_call
from loader.errors import LoadError, ModelRaised, ServingError
from loader.imports import Imports
from loader.model_class import METHOD, construct, find_class
from loader.namespace import Namespace
from loader.signature import Signature
from loader.snapshots import Snapshot

log = logging.getLogger("model_serving.model")

EXAMPLE = "example.json"
#: The last lines of a traceback that the status keeps.
TAIL_LINES = 12
MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
#: Debian's package of a library that wheels are known to link but not to carry.
DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgfortran.so.5": "libgfortran5",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libodbc.so.2": "libodbc2",
    "libpq.so.5": "libpq5",
    "libsndfile.so.1": "libsndfile1",
}


class Codec(NamedTuple):
    """How a request body becomes variables and a result becomes bytes; the same for a request and an example."""

    decode: Callable[[bytes], dict[str, Any] | None]
    encode: Callable[[object, str], bytes]


class Model:
    """One version of a model, in memory.

    `score` may be called from any thread; how many at once is the lane's business, which keeps its counters here.

    Attributes:
        name: The folder's name.
        version: Fingerprint of the content, 16 hex digits.
        revision: The newest commit that contains this content, or None in a plain folder.
        loaded_at: When it was constructed, UTC.
        concurrency: How many calls may run at once on the one instance.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        revision: str | None,
        namespace: Namespace,
        instance: object,
        default_concurrency: int,
    ) -> None:
        """Read what the instance's class offers.

        Raises:
            LoadError: Its signature or its `concurrency` cannot be served.
        """
        self.name = snapshot.name
        self.snapshot = snapshot
        self.version = snapshot.version
        self.revision = revision
        self.namespace = namespace
        self.loaded_at = datetime.now(UTC)
        self.is_original = type(instance).__name__ == METHOD
        self.signature = Signature.read(type(instance), row_by_default=self.is_original)
        self.concurrency = _concurrency(instance, default_concurrency)
        self._instance: Any = instance
        self._method = getattr(instance, METHOD)
        self.running = 0
        self.stuck = 0
        self.is_retired = False

    def score(self, variables: dict[str, Any] | None, request_id: str | None = None) -> object:
        """Run one call and return what the model's code returned.

        Raises:
            VariablesInvalid: The variables do not fit the signature; the model's code was not entered.
            ModelRaised: The model's code raised anything at all, `SystemExit` included.
        """
        token = current_call.set(Call(self.name, self.revision, request_id))
        try:
            method = self._method
            if self.is_original:
                # The original framework made a new instance for every request.
                method = getattr(copy.copy(self._instance), METHOD)
            return self.signature.call(method, variables)
        except ServingError as error:
            error.model = self.name
            raise
        except BaseException as error:
            log.error("model raised", extra={"error": type(error).__name__}, exc_info=error)  # noqa: TRY400
            raise ModelRaised(f"{METHOD} raised {type(error).__name__}", model=self.name) from error
        finally:
            current_call.reset(token)

    def rehearse(self, codec: Codec) -> float | None:
        """Run the folder's `example.json`, if it has one, as a request would; return the call's seconds.

        Raises:
            LoadError: The example cannot be read, or the model does not answer it.
        """
        try:
            body = (self.snapshot.folder / EXAMPLE).read_bytes()
        except FileNotFoundError:
            return None
        try:
            variables = codec.decode(body)
            with self.namespace.recording():
                started = time.perf_counter()
                result = self.score(variables)
                seconds = time.perf_counter() - started
            codec.encode(result, self.name)
        except ServingError as error:
            raise LoadError(f"{EXAMPLE}: {_sentence(error)}") from (error.__cause__ or error)
        return seconds

    def close(self, *, may_call: bool) -> None:
        """Let the version go; its own `close()` is called only when *may_call*: no call is inside any more."""
        token = current_call.set(Call(self.name, self.revision, None))
        try:
            closer = getattr(self._instance, "close", None)
            if may_call and callable(closer) and _takes_nothing(closer):
                closer()
        except BaseException as error:
            log.warning("model close raised", extra={"error": type(error).__name__}, exc_info=error)
        finally:
            current_call.reset(token)
            self._instance = self._method = None
            self.namespace.close()


def load(snapshot: Snapshot, revision: str | None, imports: Imports, default_concurrency: int) -> Model:
    """Import, construct and return a version, beside whatever serves now.

    Raises:
        LoadError: Anything that went wrong, as one sentence; the cause is chained.
    """
    token = current_call.set(Call(snapshot.name, revision, None))
    namespace = imports.open(snapshot.name, snapshot.folder, snapshot.shared)
    try:
        module = namespace.load()
        with namespace.recording():
            instance = construct(find_class(module, snapshot.name), namespace.path)
            return Model(snapshot, revision, namespace, instance, default_concurrency)
    except BaseException as error:
        namespace.close()
        if isinstance(error, LoadError):
            raise
        raise LoadError(describe(error)) from error
    finally:
        current_call.reset(token)


def describe(error: BaseException) -> str:
    """Return one sentence for what a load raised, with what to do where that is known."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if library := MISSING_LIBRARY.search(str(error)):
        package = DEBIAN_PACKAGES.get(library[1], f"the package that has {library[1]}")
        return f"{text}; the system lacks a library: apt-get install {package}"
    if isinstance(error, ModuleNotFoundError):
        return f"{text}; add its library to requirements.txt, or its file to the folder"
    if isinstance(error, SyntaxError):
        return f"{text} ({error.filename}, line {error.lineno})"
    return text


def traceback_tail(error: BaseException) -> list[str]:
    """Return the last lines of the traceback of what *error* was raised from, for the status."""
    lines = "".join(traceback.format_exception(error.__cause__ or error)).splitlines()
    return lines[-TAIL_LINES:]


def _sentence(error: ServingError) -> str:
    if error.__cause__ is not None:
        return describe(error.__cause__)
    fields = error.members.get("errors")
    return f"{error.detail} {fields}" if fields else error.detail


def _concurrency(instance: object, default: int) -> int:
    value = getattr(instance, "concurrency", default)
    if callable(value):  # a method of the model's own that happens to have the name
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise LoadError(f"concurrency = {value!r}: expected how many calls may run at once, 1 or more")
    return value


def _takes_nothing(method: Callable[..., object]) -> bool:
    try:
        inspect.signature(method).bind()
    except (TypeError, ValueError):
        return False
    return True
