"""A Bottle application, for granian to serve."""

import os

from bottle import Bottle, request
from scoring import load

SCORES = {work: load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}
app = Bottle()


@app.post("/<work>")
def predict(work):
    """Score one row."""
    return {"prediction": SCORES[work](request.json)}
