"""Tell the species of an iris, written the way the first version of this framework wanted it.

Repositories that were written for it run unchanged. What they rely on, and this file shows:

- the class is called transform_predict, and so is its method;
- __init__ receives the folder of this file, ending in "/", and loads the pickles from it;
- the method receives the variables as a pandas DataFrame of one row.

For new models the other examples are simpler: they need no pandas.
"""

import pickle
from pathlib import Path


class transform_predict:
    """The original convention: one class of this name."""

    def __init__(self, path="./"):
        """Load the pickles that lie beside this file."""
        self.path = path
        self.model = self.load_file("model.pkl")
        self.variables = self.load_file("variables.pkl")

    def load_file(self, name):
        """Return the object that is pickled in the file of this name."""
        with Path(self.path + name).open("rb") as file:
            return pickle.load(file)

    def transform_predict(self, df):
        """Score the one row of df; any other column in it is left alone."""
        row = [float(value) for value in df[self.variables].iloc[0]]
        probabilities = self.model.predict_proba(row)
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return {
            "species": self.model.classes[best],
            "probabilities": dict(zip(self.model.classes, probabilities, strict=True)),
        }
