"""The examples answer what they promise, through the real server, on real rows."""

from __future__ import annotations

import csv
import json
import math
import pickle
import re
import shutil
import statistics
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from tests.processes import REPOSITORY

MODELS = REPOSITORY / "models_serve"
EXAMPLES = ["breast_cancer", "daily_sales", "diabetes_progression", "iris_legacy"]


def made_again(name: str, script: str, folder: Path) -> Path:
    """Return a copy of the example in which its training script has run, as an author runs it."""
    copy = shutil.copytree(MODELS / name, folder / name)
    for artifact in (*copy.glob("model.*"), *copy.glob("*.pkl")):
        artifact.unlink(missing_ok=True)
    run = subprocess.run(
        [sys.executable, copy / script], check=False, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return copy


def post(url: str, variables: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """Return the answer to the variables; fail with its text when it has another status."""
    response = requests.post(url, json={"variables": variables}, timeout=30)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_request_is_answered(models_url: str, name: str) -> None:
    """Otherwise the first thing that a newcomer tries fails."""
    body = json.loads((MODELS / name / "example.json").read_text())
    assert post(f"{models_url}/{name}", body["variables"])


def test_every_example_serves(models_url: str) -> None:
    """Otherwise an example has a load error on the status page of a fresh clone."""
    page = requests.get(f"{models_url}/", timeout=10).json()
    assert {model["name"]: model["status"] for model in page["models"]} == dict.fromkeys(EXAMPLES, "serving")


def test_served_prediction_is_the_boosters_own(models_url: str) -> None:
    """Otherwise the server changes what a model says, by a column out of order or a number cut short."""
    data = load_breast_cancer()
    rows, names = data.data[:, :10], [name[5:].replace(" ", "_") for name in data.feature_names[:10]]
    booster = xgboost.Booster(model_file=MODELS / "breast_cancer/model.json")
    expected = booster.predict(xgboost.DMatrix(rows, feature_names=names))
    for index in range(0, len(rows), 60):
        answer = post(f"{models_url}/breast_cancer", dict(zip(names, rows[index].tolist(), strict=True)))
        assert answer["probability_malignant"] == pytest.approx(float(expected[index]), abs=1e-6)


def test_trained_model_is_right_about_most_samples(models_url: str) -> None:
    """Otherwise the artifact loads but was not trained on what its variables say."""
    data = load_breast_cancer()
    names = [name[5:].replace(" ", "_") for name in data.feature_names[:10]]
    right = 0
    for row, target in zip(data.data[:50], data.target[:50], strict=True):
        answer = post(f"{models_url}/breast_cancer", dict(zip(names, row[:10].tolist(), strict=True)))
        right += answer["diagnosis"] == data.target_names[target]
    assert right >= 45


@pytest.mark.parametrize(
    ("name", "script", "artifacts"),
    [
        ("breast_cancer", "train.py", ["model.json"]),
        ("diabetes_progression", "train.py", ["model.json"]),
        ("iris_legacy", "make_pickles.py", ["model.pkl", "variables.pkl"]),
    ],
)
def test_training_again_writes_the_committed_bytes(
    tmp_path: Path, name: str, script: str, artifacts: list[str]
) -> None:
    """Otherwise nobody can tell where a committed model comes from, and a pickle of unknown origin is a risk."""
    copy = made_again(name, script, tmp_path)
    for artifact in artifacts:
        assert (copy / artifact).read_bytes() == (MODELS / name / artifact).read_bytes(), artifact


def test_trained_model_names_a_forgotten_variable(models_url: str) -> None:
    """Otherwise a caller who forgets one learns only that something is wrong."""
    body = json.loads((MODELS / "breast_cancer/example.json").read_text())
    del body["variables"]["texture"]
    answer = requests.post(f"{models_url}/breast_cancer", json=body, timeout=10)
    assert (answer.status_code, "texture" in answer.text) == (422, True), answer.text


def test_etl_answers_get_with_the_sums_of_its_file(models_url: str) -> None:
    """Otherwise the ETL reports money that nobody paid, or needs a body to run."""
    with (MODELS / "daily_sales/orders.csv").open(newline="") as file:
        paid = {row["order_id"]: row for row in csv.DictReader(file) if row["status"] == "paid"}
    sound = [row for row in paid.values() if row["quantity"].isdigit() and row["unit_price"]]
    expected = sum(int(row["quantity"]) * Decimal(row["unit_price"]) for row in sound)

    report = requests.get(f"{models_url}/daily_sales", timeout=10).json()

    assert Decimal(report["revenue"]) == expected
    assert sum(Decimal(day["revenue"]) for day in report["days"]) == expected
    assert report["rows_used"] == len(sound) < report["rows_read"]


def test_linear_model_foresees_the_data_that_it_was_fitted_to(models_url: str) -> None:
    """Otherwise the weights do not belong to the variables, or typed variables arrive changed."""
    data = load_diabetes(scaled=False)
    errors = []
    for row, truth in zip(data.data[::10].tolist(), data.target[::10], strict=True):
        age, _sex, body_mass_index, blood_pressure, total, ldl, hdl, _ratio, log_triglycerides, glucose = row
        serum = {"total_cholesterol": total, "ldl": ldl, "hdl": hdl, "glucose": glucose}
        serum["triglycerides"] = math.exp(log_triglycerides)
        patient = {"age": age, "body_mass_index": body_mass_index, "blood_pressure": blood_pressure}
        answer = post(f"{models_url}/diabetes_progression", patient | {"serum": serum})
        errors.append(abs(answer["progression"] - truth))
    assert statistics.fmean(errors) < 55  # always answering the average is off by 66


def test_typed_variables_list_every_wrong_field(models_url: str) -> None:
    """Otherwise a caller mends one field after the other."""
    answer = post(f"{models_url}/diabetes_progression", {"age": 7, "blood_pressure": "high"}, status=422)
    text = json.dumps(answer)
    assert [field in text for field in ("age", "body_mass_index", "blood_pressure", "serum")] == [True] * 4


def test_legacy_model_knows_the_flowers(models_url: str) -> None:
    """Otherwise a repository of the framework's first version does not run unchanged."""
    iris = load_iris()
    names = pickle.loads((MODELS / "iris_legacy/variables.pkl").read_bytes())
    for index in (0, 60, 100):
        variables = dict(zip(names, iris.data[index].tolist(), strict=True))
        answer = post(f"{models_url}/iris_legacy", variables | {"bloom": "of no matter"})
        assert answer["species"] == iris.target_names[iris.target[index]]
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_examples_import_in_the_authors_own_session() -> None:
    """Otherwise an author cannot try a model in Python before pushing it."""
    code = (
        "from models_serve.daily_sales.etls import DailySales\n"
        "print(DailySales('models_serve/daily_sales/').transform_predict()['rows_used'])"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", code],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.stdout.strip().isdigit(), run.stderr


def test_all_answers_for_every_example_at_once(models_url: str) -> None:
    """Otherwise one request cannot score every model, and variables of one model break another."""
    together: dict[str, Any] = {}
    for name in EXAMPLES:
        together |= json.loads((MODELS / name / "example.json").read_text())["variables"]
    answer = post(f"{models_url}/all", together)
    assert {name: "error" in answer[name] for name in EXAMPLES} == dict.fromkeys(EXAMPLES, False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_command_in_the_examples_readme_works(models_url: str, name: str) -> None:
    """Otherwise the first command that a reader copies fails."""
    text = (MODELS / name / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```sh\n(curl .*?)```", text, re.DOTALL)
    assert block is not None
    command = block[1].replace("http://localhost:8080/models_serve", models_url)
    run = subprocess.run(
        ["bash", "-c", f"set -e; {command}"],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert not {"error", "status"} & set(json.loads(run.stdout))


@pytest.mark.parametrize("readme", sorted(MODELS.glob("**/README.md")), ids=lambda path: path.parent.name)
def test_files_that_a_readme_names_are_there(readme: Path) -> None:
    """Otherwise a reader looks for what was renamed."""
    text = readme.read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)? \|", text, re.MULTILINE)
    linked = re.findall(r"\]\(([^):]+)\)", text)
    missing = [
        name
        for name in (*linked, *(n for pair in named for n in pair if n))
        if not (readme.parent / name).exists()
    ]
    assert missing == []
