"""A bare WSGI callable, for granian to serve."""

import json
import os

from scoring import load

SCORES = {f"/{work}": load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}


def application(environ, start_response):
    """Answer POST /<work> with the row's prediction."""
    row = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    body = json.dumps({"prediction": SCORES[environ["PATH_INFO"]](row)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
