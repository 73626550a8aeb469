"""The three works that every server of the comparison does: one row in, one number out.

The applications under `peers/` differ in how a request reaches these functions, not in what they compute.
Servers that bring a runtime of their own for a kind of model (MLServer, MLflow) use that runtime, on the same files.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

Score = Callable[[Mapping[str, float]], float]

FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def load(work: str, folder: str | Path) -> Score:
    """Return the function that scores one row of *work*, with its model read from *folder*."""
    return {"arithmetic": _arithmetic, "lightgbm": _lightgbm, "forest": _forest}[work](Path(folder))


def _arithmetic(_: Path) -> Score:
    """Multiply and add: what is measured is the server alone."""

    def score(row: Mapping[str, float]) -> float:
        return row["a"] * row["b"] + row["c"]

    return score


def _lightgbm(folder: Path) -> Score:
    """A gradient-boosted model of 100 trees."""
    import lightgbm
    import numpy

    booster = lightgbm.Booster(model_file=folder / "lightgbm.txt")

    def score(row: Mapping[str, float]) -> float:
        values = numpy.array([[row[name] for name in FEATURES]])
        return float(booster.predict(values, num_threads=1)[0])

    return score


def _forest(folder: Path) -> Score:
    """A random forest of 100 trees, as scikit-learn runs it: a few milliseconds a row."""
    import joblib
    import numpy

    forest = joblib.load(folder / "forest.joblib")

    def score(row: Mapping[str, float]) -> float:
        return float(forest.predict(numpy.array([[row[name] for name in FEATURES]]))[0])

    return score
