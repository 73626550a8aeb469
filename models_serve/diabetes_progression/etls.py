"""Foresee how far a patient's diabetes will have progressed a year after the examination.

A linear model: the few numbers in model.json, which train.py fitted. Serving it needs no library. What this
example shows is the checked request: the class Patient says what a caller may post.
"""

import json
import math
from pathlib import Path

from pydantic import BaseModel, Field


class Serum(BaseModel):
    """What the laboratory measured in the blood."""

    total_cholesterol: float = Field(gt=0, description="mg/dl")
    ldl: float = Field(gt=0, description="low-density lipoproteins, mg/dl")
    hdl: float = Field(gt=0, description="high-density lipoproteins, mg/dl")
    triglycerides: float = Field(gt=0, description="mg/dl")
    #: A variable with a default may be left out of the request.
    glucose: float = Field(default=91.0, gt=0, description="mg/dl; the average of the data unless given")


class Patient(BaseModel):
    """The variables of a request, with their units and limits.

    The server builds one of these from what the caller posts. What does not fit is answered with a 422 that
    lists every field that is wrong, so the model below never sees it.
    """

    age: int = Field(ge=18, le=110, description="years")
    body_mass_index: float = Field(gt=10, lt=80, description="kg/m²")
    blood_pressure: float = Field(gt=30, lt=200, description="mean arterial pressure, mmHg")
    serum: Serum


def features_of(patient):
    """Return what the model looks at; train.py calls this too, so training and serving cannot differ."""
    serum = patient.serum
    return {
        "age": patient.age,
        "body_mass_index": patient.body_mass_index,
        "blood_pressure": patient.blood_pressure,
        "total_cholesterol": serum.total_cholesterol,
        "ldl": serum.ldl,
        "hdl": serum.hdl,
        "cholesterol_ratio": serum.total_cholesterol / serum.hdl,
        "log_triglycerides": math.log(serum.triglycerides),
        "glucose": serum.glucose,
    }


class DiabetesProgression:
    """A linear model over measurements and two figures derived from them."""

    def __init__(self, path):
        """Read the weights; `path` is the folder of this file."""
        model = json.loads((Path(path) / "model.json").read_text(encoding="utf-8"))
        self.intercept = model["intercept"]
        self.weights = model["weights"]
        self.typical_error = model["typical_error"]

    def transform_predict(self, patient: Patient):
        """Score one patient."""
        features = features_of(patient)
        score = self.intercept + math.fsum(self.weights[name] * features[name] for name in self.weights)
        return {
            "progression": round(score, 1),  # the data go from 25 (little) to 346 (much)
            "plus_minus": self.typical_error,
        }
