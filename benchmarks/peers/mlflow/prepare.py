"""Save the three works as MLflow models: `python prepare.py MODELS FOLDER`."""

import shutil
import sys
from pathlib import Path

import joblib
import lightgbm
import mlflow


class Arithmetic(mlflow.pyfunc.PythonModel):
    """Multiply and add."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002
        """Score a frame with the columns a, b and c."""
        return (model_input["a"] * model_input["b"] + model_input["c"]).to_list()


def main() -> None:
    """Write one model folder per work."""
    models, folder = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    forest = joblib.load(models / "forest.joblib")
    booster = lightgbm.Booster(model_file=models / "lightgbm.txt")
    mlflow.pyfunc.save_model(folder / "arithmetic", python_model=Arithmetic())
    mlflow.lightgbm.save_model(booster, folder / "lightgbm")
    mlflow.sklearn.save_model(forest, folder / "forest", serialization_format="cloudpickle")


if __name__ == "__main__":
    main()
