"""FastAPI with a request body and a response model, as its tutorial shows; handlers are `async def`."""

import os

from fastapi import FastAPI
from pydantic import BaseModel
from scoring import load

MODELS = os.environ["MODELS"]
app = FastAPI()


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


class Prediction(BaseModel):
    """The answer of all."""

    prediction: float


score_numbers = load("arithmetic", MODELS)
score_lightgbm = load("lightgbm", MODELS)
score_forest = load("forest", MODELS)


@app.post("/arithmetic")
async def arithmetic(row: Numbers) -> Prediction:
    """Multiply and add."""
    return Prediction(prediction=score_numbers(row.model_dump()))


@app.post("/lightgbm")
async def lightgbm(row: Patient) -> Prediction:
    """Score one row with LightGBM."""
    return Prediction(prediction=score_lightgbm(row.model_dump()))


@app.post("/forest")
async def forest(row: Patient) -> Prediction:
    """Score one row with the forest."""
    return Prediction(prediction=score_forest(row.model_dump()))
