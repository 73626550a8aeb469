"""A bare ASGI callable, for uvicorn to serve."""

import json
import os

from scoring import load

SCORES = {f"/{work}": load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}


async def application(scope, receive, send):
    """Answer POST /<work> with the row's prediction."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps({"prediction": SCORES[scope["path"]](json.loads(body))}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
