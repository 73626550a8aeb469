"""Multiply and add."""

from scoring import load


class Arithmetic:
    """One row in, one number out."""

    def __init__(self, path: str):
        self.score = load("arithmetic", path)

    def transform_predict(self, a: float, b: float, c: float) -> dict:
        """Score one row."""
        return {"prediction": self.score({"a": a, "b": b, "c": c})}
