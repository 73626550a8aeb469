"""Print, once the server that standalone.sh started listens, a curl command that works when pasted.

It runs beside the server and asks it over HTTP, as a user would, so that what it prints is known to be there.
It ends with the server, or when it has printed.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import sys
import time
from typing import Any
from urllib.parse import quote

from settings import Settings, SettingsInvalid

#: The example that shows most, when it is still there.
FAVOURITE = "breast_cancer"
#: How long models may take to load before the command is printed with what serves by then.
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.1
#: A longer request is read from its file instead of standing in the command.
MAX_INLINE_CHARACTERS = 1000


def main(server_pid: int) -> None:
    """Wait for the server, then print the command."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsInvalid:
        return  # the server says so
    models = wait_for_models(settings, server_pid)
    if models is not None:
        # One write: the server logs to the same place.
        sys.stdout.write(remark() + advice(settings, models))
        sys.stdout.flush()


def wait_for_models(settings: Settings, server_pid: int) -> list[str] | None:
    """Return the names of the models that serve, once none is loading any more; None when the server is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    models: list[str] | None = None
    while is_alive(server_pid):
        page = status_page(settings)
        if page is not None:
            models = [model["name"] for model in page if model["status"] in {"serving", "last_good"}]
            # Not ready and nothing loading: every model failed, or the policy asks for all and one did.
            is_settled = is_ready(settings) or (page and all(model["status"] != "loading" for model in page))
            if is_settled or time.monotonic() > deadline:
                return models
        time.sleep(POLL_SECONDS)
    return None


def is_alive(pid: int) -> bool:
    """Tell whether the process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def get(settings: Settings, path: str) -> tuple[int, bytes] | None:
    """Return status and body of a GET, or None while nobody listens; no proxy is asked."""
    connection = http.client.HTTPConnection(host_to_call(settings), settings.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def is_ready(settings: Settings) -> bool:
    """Tell whether the first pass over all models is over and some model serves."""
    answer = get(settings, "/readyz")
    return answer is not None and answer[0] == 200


def status_page(settings: Settings) -> list[dict[str, Any]] | None:
    """Return what the server says of each model, or None while nobody listens."""
    answer = get(settings, "/")
    if answer is None or answer[0] != 200:
        return None
    models: list[dict[str, Any]] = json.loads(answer[1])["models"]
    return models


def host_to_call(settings: Settings) -> str:
    """Return the name under which this machine reaches the server."""
    return "localhost" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound


def url(settings: Settings, model: str | None = None) -> str:
    """Return the address of a model, or of the status page."""
    host = host_to_call(settings)
    port = "" if settings.port == 80 else f":{settings.port}"
    path = "/".join(part for part in (settings.base_url, model and quote(model, safe="")) if part)
    return f"http://{f'[{host}]' if ':' in host else host}{port}/{path if model else ''}"


def advice(settings: Settings, models: list[str]) -> str:
    """Return the last lines that standalone.sh prints."""
    for name in sorted(models, key=lambda name: (name != FAVOURITE, name)):
        command = call_of(settings, name)
        if command is not None:
            return f"\nCtrl-C stops the server. Try it:\n\n{command}\n"
    if models:
        about = "No model that serves has an example.json to post; this shows what is served"
    else:
        about = f"No model serves yet; paste a folder with an etls.py into {settings.models_dir}, then see"
    return f"\n{about}:\n\ncurl {shlex.quote(url(settings))}\n"


def call_of(settings: Settings, model: str) -> str | None:
    """Return the command that posts the model's example, or None when it has none."""
    example = settings.models_dir / model / "example.json"
    try:
        body = json.loads(example.read_bytes())
    except (OSError, ValueError):
        return None
    address = shlex.quote(url(settings, model))
    if not body.get("variables"):
        return f"curl {address}"
    inline = json.dumps(body)
    data = inline if len(inline) <= MAX_INLINE_CHARACTERS else f"@{example}"
    return f"curl -X POST {address} -H 'Content-Type: application/json' -d {shlex.quote(data)}"


def remark() -> str:
    """Return what keeps curl from working on this machine, if anything."""
    if shutil.which("curl") is None:
        return "(curl is missing; on Debian and Ubuntu install it with: apt-get install curl)\n"
    if os.environ.get("http_proxy"):
        return "(http_proxy is set; if the proxy answers instead of the server, add: --noproxy '*')\n"
    return ""


if __name__ == "__main__":
    main(int(sys.argv[1]))
