"""Train the model that etls.py serves, and write it to model.json beside this file.

    .venv/bin/pip install scikit-learn        # for the data set alone; the served model does not need it
    .venv/bin/python models_serve/breast_cancer/train.py

The data are the 569 samples of the Breast Cancer Wisconsin (Diagnostic) set, which scikit-learn brings along.
Seed and thread count are fixed, so that training again writes the same bytes with the same versions of the libraries.
The artifact is text (JSON): later versions of the library read it, and no code can hide in it as in a pickle.
"""

from pathlib import Path

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer

MODEL_FILE = Path(__file__).with_name("model.json")
PARAMETERS = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.2, "seed": 0, "nthread": 1}
ROUNDS = 40
HELD_OUT_SHARE = 0.2


def load_data():
    """Return the feature names, the rows and the labels (1 = malignant)."""
    data = load_breast_cancer()
    columns = [i for i, name in enumerate(data.feature_names) if name.startswith("mean ")]
    names = [data.feature_names[i].removeprefix("mean ").replace(" ", "_") for i in columns]
    return names, data.data[:, columns], (data.target == 0).astype(int)


def split(count):
    """Return the indices to train on and those to hold out, the same ones each time."""
    order = np.random.default_rng(0).permutation(count)
    held_out = int(count * HELD_OUT_SHARE)
    return order[held_out:], order[:held_out]


def train():
    """Return the booster and its share of right answers on the rows that it has not seen."""
    names, rows, labels = load_data()
    train_rows, held_out = split(len(labels))
    data = xgboost.DMatrix(rows[train_rows], labels[train_rows], feature_names=names, nthread=1)
    booster = xgboost.train(PARAMETERS, data, num_boost_round=ROUNDS)
    predicted = booster.inplace_predict(rows[held_out], validate_features=False) >= 0.5
    return booster, float((predicted == labels[held_out]).mean())


def main():
    """Train, save and say how good it is."""
    booster, accuracy = train()
    booster.save_model(MODEL_FILE)
    print(f"wrote {MODEL_FILE.name}; right on {accuracy:.1%} of the held-out samples")


if __name__ == "__main__":
    main()
