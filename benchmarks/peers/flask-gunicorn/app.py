"""Flask as its quickstart shows it, on gunicorn's threads."""

import os

from flask import Flask, request
from scoring import load

SCORES = {work: load(work, os.environ["MODELS"]) for work in ("arithmetic", "lightgbm", "forest")}
app = Flask(__name__)


@app.post("/<work>")
def predict(work):
    """Score one row."""
    return {"prediction": SCORES[work](request.get_json())}
