"""A git host on this machine that can be told to misbehave, and the author who pushes to it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.publishing import IDENTITY, write_tree

#: refuse: hang up without a word; hang: take requests and never answer; stall: stop halfway through the objects.
Behaviour = Literal["serve", "refuse", "hang", "stall"]
USERNAME, PASSWORD = "reader", "a-password-that-is-nowhere-else"
#: What the host's API gives to a GitHub App that says who it is.
APP_TOKEN, APP_ISSUER = "a-token-for-an-hour", "4711"


def basic(username: str, password: str) -> str:
    """Return the header that carries a user name and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


ALLOWED = (basic(USERNAME, PASSWORD), basic("-", APP_TOKEN))


class GitHost:
    """A bare repository behind HTTP and a password, served by `git http-backend`.

    Attributes:
        url: Where it is.
        path: The bare repository.
        stalled: Set as soon as a fetch has got half of its objects and waits for the rest.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "models.git"
        run_git(folder, "init", "-q", "--bare", "-b", "main", str(self.path))
        self.behaviour: Behaviour = "serve"
        self.stalled = threading.Event()
        self._over = threading.Event()
        host = self

        class Handler(_Handler):
            pass

        Handler.host = host
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/models.git"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave like this from now on; whoever waits for an answer is hung up on."""
        self.behaviour = behaviour
        self.stalled.clear()
        self._over.set()
        self._over = threading.Event()

    def wait(self) -> None:
        """Wait until the behaviour changes."""
        self._over.wait()

    def close(self) -> None:
        """Stop serving."""
        self.behave("refuse")
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection to the host."""

    host: GitHost
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: what matters is what git-sync makes of it."""

    def do_GET(self) -> None:
        """Answer, or misbehave."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer, or misbehave."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def _answer(self, sent: bytes) -> None:
        self.close_connection = True
        behaviour = self.host.behaviour
        if behaviour == "hang":
            self.host.wait()
        if behaviour in ("hang", "refuse"):
            return
        if self.path.startswith("/api/app/installations/"):
            self._give_token()
            return
        if self.headers.get("Authorization") not in ALLOWED:
            self._send("401 Unauthorized", {"WWW-Authenticate": 'Basic realm="models"'}, b"wrong password\n")
            return
        status, headers, body = self._backend(sent)
        half = len(body) // 2 if behaviour == "stall" and b"PACK" in body else None
        self._send(status, headers, body, half)

    def _give_token(self) -> None:
        """Answer a GitHub App as GitHub does, when its signed claims name the right App."""
        claims = self.headers["Authorization"].removeprefix("Bearer ").split(".")[1]
        issuer = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
        status = "201 Created" if issuer == APP_ISSUER else "401 Unauthorized"
        token = json.dumps({"token": APP_TOKEN, "expires_at": "2100-01-01T00:00:00Z"})
        self._send(status, {"Content-Type": "application/json"}, token.encode())

    def _send(self, status: str, headers: Mapping[str, str], body: bytes, half: int | None = None) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a git that was killed, or whose disk is full, hangs up
            self.wfile.write(body[:half])
        if half is not None:
            self.wfile.flush()
            self.host.stalled.set()
            self.host.wait()

    def _backend(self, sent: bytes) -> tuple[str, dict[str, str], bytes]:
        address = urlsplit(self.path)
        environ = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.host.path.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(sent)),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=sent, env=environ, capture_output=True, check=True
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return headers.pop("Status", "200 OK"), headers, body


class Author:
    """Somebody with a clone, who pushes to the host."""

    def __init__(self, folder: Path, host: GitHost) -> None:
        self._clone, self._host = folder / "clone", host
        self._clone.mkdir()
        self.git("init", "-q", "-b", "main")

    def push(self, files: Mapping[str, str | bytes], *options: str) -> str:
        """Commit these files beside what is there, push, and return the commit's id."""
        write_tree(self._clone, files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        self.git("push", "-q", *options, str(self._host.path), "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def start_over(self) -> None:
        """Begin a history that has nothing to do with the one before."""
        shutil.rmtree(self._clone / ".git")
        self.git("init", "-q", "-b", "main")

    def delete(self, name: str) -> None:
        """Remove a folder or file from the next commit."""
        self.git("rm", "-rq", name)

    def delete_branch(self) -> None:
        """Delete the branch on the host."""
        run_git(self._host.path, "update-ref", "-d", "refs/heads/main")

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return run_git(self._clone, *arguments)


def run_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; return what it prints."""
    command = ["git", *arguments]
    environ = {**os.environ, **IDENTITY}
    done = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
