"""Serve one git repository over HTTP with a password; runs in a pod, in a container of the server's image.

That image has Python and no git, git-sync's image has git and no Python. So this container speaks HTTP, and
`git_server.sh` in the container beside it runs `git upload-pack`: real git, real shallow fetches, on any cluster.
Each request goes over as one line in the pipe `queue` and two pipes of its own, one for each direction.
"""

import base64
import gzip
import itertools
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

SHARED = Path("/srv/shared")
REPOSITORY = "/models.git"
SERVICE = "git-upload-pack"
ALLOWED = "Basic " + base64.b64encode(f"{os.environ['USERNAME']}:{os.environ['PASSWORD']}".encode()).decode()
NUMBERS = itertools.count()


class Handler(BaseHTTPRequestHandler):
    """The two requests of a fetch: what is there, and give me that."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """List the references."""
        address = urlsplit(self.path)
        if address.path == "/alive":
            self.reply(200 if (SHARED / "queue").is_fifo() else 503, "text/plain", b"")
        elif address.path == f"{REPOSITORY}/info/refs" and address.query == f"service={SERVICE}":
            self.git("--advertise-refs", b"", f"application/x-{SERVICE}-advertisement", self.banner())
        else:
            self.reply(404, "text/plain", b"no such repository\n")

    def do_POST(self):
        """Send objects."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == f"{REPOSITORY}/{SERVICE}":
            self.git("", body, f"application/x-{SERVICE}-result", b"")
        else:
            self.reply(404, "text/plain", b"no such repository\n")

    def banner(self):
        """Return what comes before the references, in versions of the protocol below 2."""
        line = f"# service={SERVICE}\n"
        return f"{len(line) + 4:04x}{line}0000".encode()

    def git(self, options, sent, content_type, banner):
        """Have git answer, when the password is right."""
        if self.headers.get("Authorization") != ALLOWED:
            self.reply(401, "text/plain", b"wrong password\n", ("WWW-Authenticate", 'Basic realm="models"'))
            return
        self.reply(
            200, content_type, banner + upload_pack(options, sent, self.headers.get("Git-Protocol", ""))
        )

    def reply(self, status, content_type, body, *headers):
        """Answer with a whole body."""
        self.send_response(status)
        for name, value in [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def upload_pack(options, sent, protocol):
    """Have the other container run `git upload-pack`; return what it says."""
    call = SHARED / f"call-{next(NUMBERS)}"
    call.mkdir()
    try:
        for direction in ("in", "out"):
            os.mkfifo(call / direction)
        with (SHARED / "queue").open("r+b", buffering=0) as queue:
            queue.write(f"{call.name} {protocol or '-'} {options}\n".encode())
        threading.Thread(target=lambda: (call / "in").write_bytes(sent)).start()
        return (call / "out").read_bytes()
    finally:
        shutil.rmtree(call)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
