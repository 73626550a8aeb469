"""Lay out a models folder: `python prepare.py SOURCES MODELS FOLDER`.

Every work becomes a folder with its `etls.py` and its model file; `scoring.py` beside them is shared code.
"""

import shutil
import sys
from pathlib import Path

ARTIFACTS = {"lightgbm": "lightgbm.txt", "forest": "forest.joblib"}


def main() -> None:
    """Copy the folders, their model files and the shared code."""
    sources, models, folder = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources, folder)
    for work, artifact in ARTIFACTS.items():
        shutil.copy(models / artifact, folder / work / artifact)
    shutil.copy(Path(__file__).parents[2] / "scoring.py", folder)


if __name__ == "__main__":
    main()
