"""A LightGBM row."""

from scoring import load


class Boosted:
    """One row in, one number out."""

    def __init__(self, path: str):
        self.score = load("lightgbm", path)

    def transform_predict(self, variables: dict) -> dict:
        """Score one row."""
        return {"prediction": self.score(variables)}
