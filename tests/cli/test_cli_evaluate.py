"""evaluate: what training measured, what other data give, and what other artifacts call by another code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from made_artifacts import started, write

from wotd import SemanticIDModel
from wotd.cli.inspection import metrics_table
from wotd.cli.tables import print_parts
from wotd.evaluation import evaluate

pytest_plugins = ["artifact_fixtures"]


@pytest.fixture(scope="module")
def works(text_run):
    return text_run.parent / "works.jsonl"


def metrics_in(artifacts):
    return json.loads((artifacts / "training_results.json").read_text())["metrics"]


def test_without_data_the_metrics_of_training_come_back(shell, text_artifacts):
    said = shell("evaluate", "--artifacts", text_artifacts)
    assert said.rows[0]["metrics"] == metrics_in(text_artifacts)
    table = shell("evaluate", "--artifacts", text_artifacts, "--format", "table").out
    assert table.splitlines()[0].split() == ["metric", "train", "val", "test"]
    assert "agreement/style/accuracy" in table


def test_training_measures_all_sides_alike_but_probes_only_where_they_did_not_learn(text_artifacts):
    metrics = metrics_in(text_artifacts)
    names = {side: {name.partition("/")[2] for name in metrics if name.startswith(side)} for side in ("train", "test")}
    systematic = {"level_3/gini", "level_3/conditional_entropy", "consistency/depth_4", "ami/level_0/style",
                  "ami/level_3/era", "ami/diagonal_dominance", "agreement/style/macro_f1", "agreement/style/by_work",
                  "agreement/era/mean_absolute_error", "agreement/era/within_one", "recall/prefix",
                  "recall/reconstruction", "calibration/style/ece"}  # fmt: skip
    probed = {f"probe/style/{name}" for name in ("accuracy", "macro_f1", "by_work")}
    assert systematic <= names["train"]
    assert systematic | probed <= names["test"]
    assert not any(name.startswith("probe/") for name in names["train"])
    assert "agreement/style/within_one" not in names["train"], "styles are in no order"


def test_vectors_are_measured(shell, vector_run, vector_artifacts):
    path = vector_run.parent / "vectors.npy"
    said = shell("evaluate", "--artifacts", vector_artifacts, "--vectors", path)
    vectors = np.load(path)
    expected = evaluate(SemanticIDModel.load(vector_artifacts).encoder, vectors, np.arange(len(vectors)))
    assert said.rows[0]["metrics"] == pytest.approx(expected)


def test_works_are_measured_through_the_cache(shell, text_artifacts, works):
    arguments = ["evaluate", "--artifacts", text_artifacts, "--provider", "files", "--root", works]
    said = shell(*arguments, "--set", "provider.passages=keep")
    metrics = said.rows[0]["metrics"]
    assert metrics["passages"] == 144
    trained = metrics_in(text_artifacts)
    assert metrics["trained_on"] == trained["train/passages"]
    assert metrics["agreement/style/accuracy"] > 0.9
    assert metrics["agreement/style/by_work"] > 0.9
    assert metrics["probe/style/accuracy"] > 0.9, "probes are learned from the texts that the artifacts keep"
    assert 0 < metrics["consistency/depth_4"] <= metrics["consistency/depth_1"] <= 1
    assert not any("variation" in name for name in metrics), "a rank says nothing of a text"
    assert metrics["passages"] == sum(trained[f"{side}/passages"] for side in ("train", "val", "test"))


def test_what_a_provider_cannot_read_is_one_sentence(refused, text_artifacts, vector_artifacts, works, tmp_path):
    start = ["evaluate", "--artifacts", text_artifacts, "--provider"]
    assert "provider has no option 'fils'; the nearest is 'files'" in refused(*start, "fils", "--root", works)
    assert "does not exist" in refused(*start, "files", "--root", tmp_path / "none")
    assert "provider.root=…" in refused(*start, "files")
    sentence = refused(*start, "files", "--root", works, "--set", "provider.pasages=keep")
    assert "the nearest is 'provider.passages'" in sentence
    bare = refused("evaluate", "--artifacts", vector_artifacts, "--provider", "files", "--root", works)
    assert "trained on vectors alone" in bare


# --- beside other artifacts


@pytest.fixture
def seeds(tmp_path):
    """Artifacts of the same vectors, started from two seeds, and the file of the vectors."""
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    folders = [write(tmp_path / f"seed_{seed}", started(vectors, (4, 3, 2), seed=seed), vectors) for seed in (0, 1)]
    return *folders, tmp_path / "vectors.npy"


def test_two_seeds_differ_in_more_than_names(shell, seeds):
    one, two, path = seeds
    said = shell("evaluate", "--artifacts", one, "--against", two, "--vectors", path).rows[0]
    churn = {name: value for name, value in said["metrics"].items() if name.startswith("churn/")}
    assert said["against"] == str(two)
    assert churn["churn/passages"] == 200
    depths = [churn[f"churn/depth_{depth}"] for depth in (1, 2, 3)]
    assert 0 < depths[0] <= depths[1] <= depths[2] == churn["churn/whole"]
    assert churn["churn/level_0"] == depths[0] < 0.75, "by chance, names unmatched, three in four would differ"
    same = shell("evaluate", "--artifacts", one, "--against", one, "--vectors", path).rows[0]["metrics"]
    assert same["churn/whole"] == 0
    assert same["nmse"] == said["metrics"]["nmse"]


def test_stored_passages_and_those_of_a_provider_can_be_compared(shell, text_artifacts, works):
    start = ["evaluate", "--artifacts", text_artifacts, "--against", text_artifacts]
    stored = shell(*start).rows[0]["metrics"]
    assert stored["churn/passages"] == 144
    assert stored["churn/whole"] == 0
    assert all(name.startswith("churn/") for name in stored)
    said = shell(*start, "--provider", "files", "--root", works, "--set", "provider.passages=keep")
    assert {name: value for name, value in said.rows[0]["metrics"].items() if name in stored} == stored
    assert "churn/whole" in shell(*start, "--format", "table").out


def test_artifacts_that_cannot_be_compared_are_refused(refused, seeds, text_artifacts, vector_artifacts):
    one, two, path = seeds
    assert "give --vectors" in refused("evaluate", "--artifacts", one, "--against", two)
    sentence = refused("evaluate", "--artifacts", one, "--against", vector_artifacts, "--vectors", path)
    assert "levels of [4, 4, 4] codes; expected [4, 3, 2]" in sentence
    assert "expected [8, 8, 8, 5]" in refused("evaluate", "--artifacts", text_artifacts, "--against", one)


# --- what is said of them


def names_in_the_readme():
    """The first column of the table; a name without a slash takes the place of the last part of the first one."""
    section = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").partition("## Metrics\n")[2]
    for line in section.partition("\n## ")[0].splitlines():
        first, *others = re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line.startswith("| `") else [""]
        yield from [first, *(name if "/" in name else re.sub(r"[^/]+$", name, first) for name in others)]


def test_the_readme_explains_every_metric_and_no_other(shell, text_artifacts):
    measured = set(metrics_in(text_artifacts)) | set(
        shell("evaluate", "--artifacts", text_artifacts, "--against", text_artifacts).rows[0]["metrics"]
    )
    general = {"churn/passages": "passages", "style": "NAME", "complexity": "NAME", "era": "NAME"}
    names = {"trained_on"}
    for name in measured:
        short = re.sub(r"^(train|val|test)/", "", name)
        short = re.sub(r"(level|depth|bin)_\d+", lambda found: f"{found[1]}_{{{found[1][0]}}}", short)
        names.add(general.get(short) or "/".join(general.get(part, part) for part in short.split("/")))
    assert names == set(names_in_the_readme()) - {""}


# --- tables


def test_metrics_of_a_kind_stand_together(capsys):
    metrics = {
        "test/passages": 12.0, "test/nmse": 0.5, "test/level_0/gini": 0.25, "test/codes": 7.0,
        "test/calibration/style/ece": 0.125, "test/calibration/style/bin_03/share": 1.0, "other/thing": 1.0,
        "val/nmse": 0.75, "test/level_1/gini": float("nan"),
    }  # fmt: skip
    print_parts([metrics_table(metrics)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["metric", "val", "test", "value"]
    assert [line[:3] for line in lines[2:] if line] == [
        ["passages", "–", "12"], ["nmse", "0.750", "0.500"], ["level_0/gini", "–", "0.250"],
        ["level_1/gini", "–", "–"], ["codes", "–", "7"], ["calibration/style/ece", "–", "0.125"],
        ["other/thing", "–", "–"],
    ]  # fmt: skip
    assert [] in lines[2:], "kinds are set apart"
