"""Bottle on cheroot as it comes: `run(server="cheroot")`, every default left alone."""

import os

from bottle import Bottle, request
from scoring import load

SCORES = {work: load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}
app = Bottle()


@app.post("/<work>")
def predict(work):
    """Score one row."""
    return {"prediction": SCORES[work](request.json)}


if __name__ == "__main__":
    app.run(server="cheroot", host="127.0.0.1", port=int(os.environ["PORT"]), quiet=True)
