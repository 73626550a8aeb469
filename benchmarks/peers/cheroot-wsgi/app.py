"""A bare WSGI callable on cheroot: the control that every other figure is divided by.

cheroot's own limits on keep-alive connections and the backlog are lifted, so that 64 connections stay open.
"""

import json
import os

from cheroot import wsgi
from scoring import load

SCORES = {f"/{work}": load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}


def application(environ, start_response):
    """Answer POST /<work> with the row's prediction."""
    row = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    body = json.dumps({"prediction": SCORES[environ["PATH_INFO"]](row)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    server = wsgi.Server(("127.0.0.1", int(os.environ["PORT"])), application, request_queue_size=1024)
    server.keep_alive_conn_limit = 2000
    server.start()
