"""Score one real row of each model through the Service: what `helm test` runs.

A row is the model's own example.json when its folder has one, else a call without variables.
Given a model's name, only that one is scored, with the row that the release's values name.
"""
# ruff: noqa: S310, T201 - it asks its own release and prints what it hears

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 60


def request(url, row=None):
    """Return the status and the decoded body of a GET, or of a POST of *row*."""
    data = None if row is None else json.dumps(row).encode()
    call = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def example(root, name):
    """Return the model's example.json, or None when its folder has none."""
    file = Path(root, name, "example.json")
    return json.loads(file.read_text()) if root and file.is_file() else None


def score(base_url, name, row):
    """Score *row* and say so on one line; return whether a dict came back."""
    status, answer = request(base_url + urllib.parse.quote(name, safe=""), row)
    scored = status == 200 and isinstance(answer, dict)
    print(f"{'scored' if scored else 'REFUSED'} {name}: {status} {json.dumps(answer)[:300]}", flush=True)
    return scored


def main():
    """Return the exit code: 0 when rows were scored and no known row was refused."""
    base_url, root = os.environ["BASE_URL"], os.environ.get("EXAMPLES")
    if os.environ.get("MODEL"):
        return 0 if score(base_url, os.environ["MODEL"], json.loads(os.environ["ROW"])) else 1
    status, page = request(base_url)
    print(f"status page: {status} {json.dumps(page)[:2000]}", flush=True)
    serving = [model["name"] for model in page["models"] if model["version"]] if status == 200 else []
    rows = {name: example(root, name) for name in serving}
    known = [score(base_url, name, row) for name, row in rows.items() if row is not None]
    guessed = [score(base_url, name, None) for name, row in rows.items() if row is None]
    if all(known) and any(known + guessed):
        return 0
    print("no row was scored: give a model an example.json, or set test.model and test.variables", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
