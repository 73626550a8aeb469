"""A BentoML service with one API per work; each takes its row as root input."""

import os

import bentoml
from pydantic import BaseModel
from scoring import load


class Numbers(BaseModel):
    """The row of the arithmetic."""

    a: float
    b: float
    c: float


class Patient(BaseModel):
    """The row of both models."""

    age: float
    sex: float
    bmi: float
    bp: float
    s1: float
    s2: float
    s3: float
    s4: float
    s5: float
    s6: float


@bentoml.service(logging={"access": {"enabled": False}})
class Scoring:
    """The three works."""

    def __init__(self) -> None:
        models = os.environ["MODELS"]
        self.score_numbers = load("arithmetic", models)
        self.score_lightgbm = load("lightgbm", models)
        self.score_forest = load("forest", models)

    @bentoml.api
    def arithmetic(self, row: Numbers, /) -> dict[str, float]:
        """Multiply and add."""
        return {"prediction": self.score_numbers(row.model_dump())}

    @bentoml.api
    def lightgbm(self, row: Patient, /) -> dict[str, float]:
        """Score one row with LightGBM."""
        return {"prediction": self.score_lightgbm(row.model_dump())}

    @bentoml.api
    def forest(self, row: Patient, /) -> dict[str, float]:
        """Score one row with the forest."""
        return {"prediction": self.score_forest(row.model_dump())}
