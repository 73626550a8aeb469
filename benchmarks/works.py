"""Train the models of the three works once, and write down rows with their right answers.

Run by the harness in the control's environment: `python works.py FOLDER`. It leaves
`lightgbm.txt`, `forest.joblib` and `works.json` there: {"<work>": [{"row": {...}, "answer": number}, ...]}.
"""

import json
import random
import sys
from pathlib import Path

import joblib
import lightgbm
from scoring import FEATURES, load
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

WORKS = ("arithmetic", "lightgbm", "forest")
ROWS = 32
SEED = 7


def train(folder: Path) -> None:
    """Train on the diabetes data set (442 rows, 10 features) that scikit-learn carries."""
    values, target = load_diabetes(return_X_y=True)
    boosted = lightgbm.LGBMRegressor(n_estimators=100, random_state=SEED, n_jobs=1, verbose=-1)
    boosted.fit(values, target, feature_name=list(FEATURES))
    boosted.booster_.save_model(folder / "lightgbm.txt")
    forest = RandomForestRegressor(n_estimators=100, random_state=SEED, n_jobs=1)
    joblib.dump(forest.fit(values, target), folder / "forest.joblib")


def rows(work: str) -> list[dict[str, float]]:
    """Return the rows that are sent for *work*: different ones, so that nothing can be cached."""
    if work == "arithmetic":
        draw = random.Random(SEED)
        return [{name: round(draw.uniform(1, 100), 3) for name in "abc"} for _ in range(ROWS)]
    values, _ = load_diabetes(return_X_y=True)
    return [dict(zip(FEATURES, map(float, row), strict=True)) for row in values[:ROWS]]


def main() -> None:
    """Train, score every row once, and write the answers."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    train(folder)
    works = {}
    for work in WORKS:
        score = load(work, folder)
        works[work] = [{"row": row, "answer": score(row)} for row in rows(work)]
    (folder / "works.json").write_text(json.dumps(works))


if __name__ == "__main__":
    main()
