"""A LightGBM row."""

from pydantic import BaseModel
from scoring import load


class Patient(BaseModel):
    """The row."""

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


class Boosted:
    """One row in, one number out."""

    def __init__(self, path: str):
        self.score = load("lightgbm", path)

    def transform_predict(self, patient: Patient) -> dict:
        """Score one row."""
        return {"prediction": self.score(patient.model_dump())}
