"""Tell from ten measurements of a cell sample how likely the tumour is malignant.

The model is a gradient-boosted one that train.py made; this file only loads it and asks it.
"""

from typing import TypedDict

import numpy as np
import xgboost


class Sample(TypedDict):
    """The variables of a request: the mean over the sample's cell nuclei of each measurement.

    The server checks a request against these names and types before the model sees it. A caller who forgets
    one, or posts a text for it, gets a 422 that names the field.
    """

    radius: float
    texture: float
    perimeter: float
    area: float
    smoothness: float
    compactness: float
    concavity: float
    concave_points: float
    symmetry: float
    fractal_dimension: float


class BreastCancer:
    """One trained booster, loaded once and asked for every request."""

    #: How many calls may run at once on this one object. It holds nothing that a call changes, and
    #: inplace_predict may be called from several threads, so more than the default of one is safe here.
    concurrency = 4

    def __init__(self, path):
        """Load what is slow to load here, not in transform_predict: it runs once, not per request.

        Args:
            path: The folder of this file, ending in "/".
        """
        self.booster = xgboost.Booster(model_file=path + "model.json")
        # One row is too little work to share: more threads per call only take the CPU from other callers.
        self.booster.set_param({"nthread": 1})
        # The order of the columns comes from the trained model, so it cannot drift from the training.
        self.features = self.booster.feature_names

    def transform_predict(self, variables: Sample):
        """Score one sample; the dict that it returns is the answer."""
        row = np.array([[variables[name] for name in self.features]])
        # The row has no column names of its own to compare: the line above put them in order.
        malignant = self.booster.inplace_predict(row, validate_features=False)[0]
        return {
            "diagnosis": "malignant" if malignant >= 0.5 else "benign",
            "probability_malignant": malignant,  # a numpy number; the server writes it as JSON
        }
