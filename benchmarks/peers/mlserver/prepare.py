"""Lay out MLServer's model repository: one folder a model with its `model-settings.json`.

`python prepare.py MODELS FOLDER`
"""

import json
import shutil
import sys
from pathlib import Path

IMPLEMENTATIONS = {
    "arithmetic": ("arithmetic.Arithmetic", None),
    "lightgbm": ("mlserver_lightgbm.LightGBMModel", "lightgbm.txt"),
    "forest": ("mlserver_sklearn.SKLearnModel", "forest.joblib"),
}


def main() -> None:
    """Write the three folders."""
    models, repository = map(Path, sys.argv[1:])
    for name, (implementation, artifact) in IMPLEMENTATIONS.items():
        folder = repository / name
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"name": name, "implementation": implementation}
        if artifact:
            shutil.copy(models / artifact, folder / artifact)
            settings["parameters"] = {"uri": f"./{artifact}", "version": "v1"}
        (folder / "model-settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
