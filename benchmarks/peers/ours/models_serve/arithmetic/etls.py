"""Multiply and add."""

from scoring import load


class Arithmetic:
    """One row in, one number out."""

    def __init__(self, path: str):
        self.score = load("arithmetic", path)

    def transform_predict(self, variables: dict) -> dict:
        """Score one row."""
        return {"prediction": self.score(variables)}
