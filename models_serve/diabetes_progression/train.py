"""Fit the model that etls.py serves, and write it to model.json beside this file.

    .venv/bin/pip install scikit-learn numpy     # for the data set and the fit; the served model needs neither
    .venv/bin/python models_serve/diabetes_progression/train.py

The data are 442 patients (Efron, Hastie, Johnstone and Tibshirani: Least Angle Regression, 2004), which
scikit-learn brings along. The set's column `sex` is left out: nothing says which of its two codes is which.
"""

import json
import math
from pathlib import Path

import numpy as np
from etls import Patient, Serum, features_of
from sklearn.datasets import load_diabetes

MODEL_FILE = Path(__file__).with_name("model.json")


def load_data():
    """Return the patients and how far each one's disease progressed."""
    data = load_diabetes(scaled=False)
    return [
        patient(dict(zip(data.feature_names, row, strict=True))) for row in data.data.tolist()
    ], data.target


def patient(row):
    """Return one row of the data set as what a caller would post."""
    serum = Serum(
        total_cholesterol=row["s1"],
        ldl=row["s2"],
        hdl=row["s3"],
        triglycerides=round(math.exp(row["s5"]), 1),
        glucose=row["s6"],
    )
    return Patient(age=int(row["age"]), body_mass_index=row["bmi"], blood_pressure=row["bp"], serum=serum)


def train():
    """Return the model as model.json holds it: least squares over all patients.

    The numbers are rounded far below what matters, so that another processor's last bit is no change of the file.
    """
    patients, progression = load_data()
    features = [features_of(one) for one in patients]
    names = list(features[0])
    columns = np.array([[1.0, *(row[name] for name in names)] for row in features])
    weights, *_ = np.linalg.lstsq(columns, progression, rcond=None)
    errors = progression - columns @ weights
    return {
        "intercept": round(float(weights[0]), 4),
        "weights": {name: round(float(w), 6) for name, w in zip(names, weights[1:], strict=True)},
        "typical_error": round(float(np.sqrt(np.mean(errors**2))), 1),
    }


def main():
    """Fit, save and say how good it is."""
    model = train()
    MODEL_FILE.write_text(json.dumps(model, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {MODEL_FILE.name}; typically off by {model['typical_error']} of a range from 25 to 346")


if __name__ == "__main__":
    main()
