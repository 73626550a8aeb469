"""Train the classifier and write model.pkl and variables.pkl beside this file.

    .venv/bin/pip install scikit-learn      # for the data set alone
    .venv/bin/python models_serve/iris_legacy/make_pickles.py

The class that is pickled lives in gaussian.py, not in this script: a pickle holds only the name of a class, here
`gaussian.GaussianNaiveBayes`, and whoever loads it must be able to import that name. A class that was defined in the
script or notebook that writes the pickle would be called `__main__.…`, which exists nowhere else.
"""

import pickle
from pathlib import Path

from gaussian import GaussianNaiveBayes
from sklearn.datasets import load_iris

FOLDER = Path(__file__).parent


def load_data():
    """Return the names of the columns, the rows and the species of each row."""
    data = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
    return names, data.data.tolist(), [str(data.target_names[i]) for i in data.target]


def pickles():
    """Train on all 150 flowers and return the content of both files by their names."""
    names, rows, species = load_data()
    model = GaussianNaiveBayes().fit(rows, species)
    # Protocol 4 is read by every Python that the server runs on.
    objects = {"model.pkl": model, "variables.pkl": names}
    return {name: pickle.dumps(one, protocol=4) for name, one in objects.items()}


def main():
    """Write both files."""
    for name, content in pickles().items():
        (FOLDER / name).write_bytes(content)
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
