"""compare, plan and export: runs compared, foreseen and published."""

from __future__ import annotations

import csv
import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from wotd import SemanticIDModel

pytest_plugins = ["artifact_fixtures"]

LEVELS = ("style", "complexity", "era")


@pytest.fixture(scope="module")
def works(text_run):
    return text_run.parent / "works.jsonl"


def metrics_in(artifacts):
    return json.loads((artifacts / "training_results.json").read_text())["metrics"]


# --- compare


@pytest.fixture
def runs(tmp_path, text_run, vector_run):
    for name, run in (("good", vector_run), ("bad", vector_run), ("text", text_run)):
        shutil.copytree(run, tmp_path / "runs" / name)
    for name, error in (("good", 0.01), ("bad", 0.9)):
        path = tmp_path / "runs" / name / "artifacts" / "training_results.json"
        results = json.loads(path.read_text())
        results["metrics"] |= {"val/nmse": error, "test/nmse": error}
        path.write_text(json.dumps(results))
        hydra = tmp_path / "runs" / name / ".hydra"
        hydra.mkdir()
        (hydra / "overrides.yaml").write_text(f"- +experiment=deep\n- data.batch_size={len(name)}\n")
    return tmp_path / "runs"


def test_a_folder_of_runs_is_compared_best_first(shell, runs):
    said = shell("compare", runs)
    assert [row["run"].rpartition("/")[2] for row in said.rows] == ["good", "text", "bad"]
    text = said.rows[1]
    assert text["embedding"] == "lsa"
    assert text["level_sizes"] == [8, 8, 8, 5]
    assert (
        text["test/agreement/style/accuracy"]
        == metrics_in(runs / "text" / "artifacts")["test/agreement/style/accuracy"]
    )


def test_the_order_goes_by_any_metric(shell, refused, runs):
    by = ["compare", runs, "--by"]
    assert shell(*by, "test/agreement/style/accuracy").rows[0]["embedding"] == "lsa", "more is better, none is last"
    assert shell(*by, "test/nmse").rows[-1]["test/nmse"] == 0.9, "less is better"
    ginis = [row["test/level_0/gini"] for row in shell(*by, "test/level_0/gini").rows]
    assert ginis == sorted(ginis), "even use is better"
    assert "try test/nmse" in refused(*by, "test/nmze", status=2)


def test_settings_in_which_runs_differ_are_shown(shell, runs):
    said = shell("compare", runs / "good", runs / "bad")
    assert [row["overrides"] for row in said.rows] == [["data.batch_size=4"], ["data.batch_size=3"]]
    table = shell("compare", runs / "good", runs / "bad", "--format", "table").out
    about = table.split("\n\n")[1]
    assert "data.batch_size=4" in about
    assert "+experiment=deep" not in about
    assert "4·4·4" in about


def test_the_best_run_and_the_command_that_repeats_it_stand_below(shell, runs, text_run):
    (runs / "good" / ".hydra" / "overrides.yaml").write_text(
        "- model.hidden=[16]\n- data.vectors=a file.npy\n- +experiment=deep\n- +sweep=levels\n"
        "- ckpt_path=last\n- objective=val/cosine\n- seed=3\n"
    )
    table = shell("compare", runs / "good", runs / "bad", "--format", "table").out.splitlines()
    assert table[-2:] == [
        f"best by val/nmse (least, 0.0100): {os.path.relpath(runs / 'good')}",
        "repeat it with: python -m wotd.train +experiment=deep 'model.hidden=[16]' 'data.vectors=a file.npy' seed=3",
    ]
    rows = shell("compare", runs / "good", runs / "bad").rows
    assert rows[0]["command"] == table[-1].removeprefix("repeat it with: ")
    assert rows[1]["command"] == "python -m wotd.train +experiment=deep data.batch_size=3"
    unknown = shell("compare", text_run, "--format", "table").out.splitlines()
    assert unknown[-1] == "no command line of it is kept."
    assert shell("compare", text_run).rows[0]["command"] is None


def test_configs_of_the_users_own_are_part_of_the_command(shell, runs):
    sources = [{"path": "pkg.conf", "provider": "hydra"}, {"path": "/my conf", "provider": "command-line"}]
    (runs / "good" / ".hydra" / "hydra.yaml").write_text(
        json.dumps({"hydra": {"runtime": {"config_sources": sources}}})
    )
    (runs / "good" / ".hydra" / "overrides.yaml").write_text("- +sweep=mine\n")
    assert shell("compare", runs / "good").rows[0]["command"] == (
        "python -m wotd.train --config-dir '/my conf' +sweep=mine"
    ), "a sweep of theirs may set more than what it varies"


def test_distortion_of_unlike_vectors_is_called_no_verdict(shell, runs):
    warning = "nMSE compares runs on the same vectors only"
    assert warning in shell("compare", runs, "--format", "table").out
    assert warning not in shell("compare", runs / "good", runs / "bad", "--format", "table").out
    assert warning not in shell("compare", runs, "--format", "table", "--by", "test/cosine").out


def test_the_order_goes_by_a_mean_over_names(shell, refused, runs):
    metric = "test/agreement/*/accuracy"
    rows = shell("compare", runs, "--by", metric, "--metrics", metric).rows
    assert rows[0]["embedding"] == "lsa"
    own = metrics_in(runs / "text" / "artifacts")
    assert rows[0][metric] == pytest.approx(np.mean([own[f"test/agreement/{name}/accuracy"] for name in LEVELS]))
    assert rows[1][metric] is None
    assert "which no run measured" in refused("compare", runs, "--by", "test/*/none", status=2)


def test_without_validation_the_test_side_decides(shell, runs):
    for name in ("good", "bad"):
        path = runs / name / "artifacts" / "training_results.json"
        results = json.loads(path.read_text())
        del results["metrics"]["val/nmse"]
        path.write_text(json.dumps(results))
    said = shell("compare", runs / "bad", runs / "good", "--format", "table").out
    assert "best by test/nmse (least, 0.0100)" in said


def test_runs_that_did_not_finish_are_listed_below(shell, runs):
    for name in ("9", "10"):
        (runs / name / ".hydra").mkdir(parents=True)
        (runs / name / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
    (runs / "9" / "failure.json").write_text(json.dumps({"error": "RuntimeError: a bug", "traceback": "…"}))
    said = shell("compare", runs, "--format", "table").out.splitlines()
    assert said[-2:] == [f"{runs / '9'} failed: RuntimeError: a bug", f"{runs / '10'} is not finished."]
    assert len(shell("compare", runs).rows) == 3


def test_the_table_shows_what_is_looked_at_first(shell, runs):
    """Codes and labels in a table each, narrow enough to be read; figures as the runs measured them."""
    parts = shell("compare", runs, "--format", "table").out.split("\n\n")
    codes, labels, about = (part.splitlines() for part in parts[:3])
    assert codes[0].split() == [
        "run",
        "val",
        "nMSE",
        "nMSE",
        "usage",
        "perplexity/K",
        "prefix@10",
        "collisions",
        "fit",
        "s",
    ]
    assert labels[0].split() == ["run", "style", "probe", "complexity", "probe", "era", "probe"]
    assert about[0].split() == ["run", "embedding", "levels", "settings", "of", "its", "own"]
    assert [line.split()[0].rpartition("/")[2] for line in codes[2:]] == ["good", "text", "bad"]
    results = json.loads((runs / "text" / "artifacts" / "training_results.json").read_text())
    own = results["metrics"]
    usage = np.mean([own[f"test/level_{level}/usage"] for level in range(4)])
    perplexity = np.mean([own[f"test/level_{level}/perplexity"] / size for level, size in enumerate((8, 8, 8, 5))])
    figures = [
        own["val/nmse"],
        own["test/nmse"],
        usage,
        perplexity,
        own["test/recall/prefix"],
        own["test/collisions/rate"],
    ]
    assert codes[3].split()[1:] == [*(f"{value:.3f}" for value in figures), f"{results['seconds']['training']:.1f}"]
    pairs = [own[f"test/{kind}/{name}/accuracy"] for name in LEVELS for kind in ("agreement", "probe")]
    assert labels[3].split()[1:] == [f"{value:.3f}" for value in pairs]
    assert labels[2].split()[1:] == ["–"] * 6, "vectors have no labels"
    vectors_alone = shell("compare", runs / "good", "--format", "table").out.split("\n\n")
    assert len(vectors_alone) == 3, "a table of labels would be empty"


def test_what_was_not_measured_is_a_dash(shell, runs):
    path = runs / "text" / "artifacts" / "training_results.json"
    results = json.loads(path.read_text())
    results["metrics"]["test/level_2/perplexity"] = None
    del results["seconds"]
    path.write_text(json.dumps(results))
    table = shell("compare", runs, "--format", "table").out.splitlines()
    _, validated, nmse, usage, perplexity, *_, seconds = table[3].split()
    assert "–" not in validated + nmse + usage
    assert (perplexity, seconds) == ("–", "–")


def test_metrics_are_chosen_by_name(shell, refused, runs, tmp_path):
    own = metrics_in(runs / "text" / "artifacts")
    results = json.loads((runs / "text" / "artifacts" / "training_results.json").read_text())
    wanted = ("test/nmse", "ids/collision_rate/after", "epochs", "test/passages")
    chosen = ["compare", runs, "--metrics", ", ".join(wanted)]
    text = shell(*chosen).rows[1]
    described = {"run", "artifacts", "overrides", "command", "embedding", "level_sizes", "quantizer", "seed"}
    assert text.keys() == described | {"val/nmse", *wanted}, "the order's metric is always there"
    assert text["ids/collision_rate/after"] == results["ids"]["collision_rate"]["after"]
    table = shell(*chosen, "--format", "table").out.split("\n\n")
    assert len(table) == 3
    cells = next(line for line in table[0].splitlines() if "/text" in line).split()[1:]
    rate = f"{results['ids']['collision_rate']['after']:.3f}"
    assert cells == [f"{own['val/nmse']:.3f}", f"{own['test/nmse']:.3f}", rate, "2", f"{own['test/passages']:.0f}"]
    assert shell(*chosen, "--output", tmp_path / "out.parquet").status == 0
    assert set(pq.read_table(tmp_path / "out.parquet").column_names) == text.keys()
    assert "--metrics is val/nmze, which no run measured; try val/nmse" in refused(
        "compare", runs, "--metrics", "val/nmze", status=2
    )


def test_the_metric_of_the_order_is_shown(shell, runs):
    by = ["compare", runs, "--format", "table", "--by"]
    assert shell(*by, "test/nmse").out.startswith("run")
    heading = shell(*by, "val/cosine").out.split("\n\n")[0].splitlines()
    assert [line.split()[-1] for line in heading[:2]] == ["val/", "cosine"]


def test_fewer_collisions_of_ids_and_less_churn_come_first(shell, runs):
    for name, share in (("good", 0.9), ("bad", 0.1)):
        path = runs / name / "artifacts" / "training_results.json"
        results = json.loads(path.read_text())
        results["ids"] = {"collision_rate": {"after": share}}
        results["alignment"] = {"churn": {"after": {"whole": share, "per_level": [share]}}}
        path.write_text(json.dumps(results))
    for metric in ("ids/collision_rate/after", "alignment/churn/after/whole"):
        rows = shell("compare", runs / "good", runs / "bad", "--by", metric).rows
        assert [row[metric] for row in rows] == [0.1, 0.9]


def test_a_comparison_is_written(shell, runs, tmp_path):
    for suffix in ("csv", "parquet", "jsonl"):
        assert shell("compare", runs, "--output", tmp_path / f"out.{suffix}").status == 0
    assert pq.read_table(tmp_path / "out.parquet")["test/nmse"].to_pylist()[0] == 0.01
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [float(row["test/nmse"]) for row in csv.DictReader(file)][::2] == [0.01, 0.9]


def test_a_folder_that_was_begun_anew_does_not_lend_its_command(shell, runs):
    made, told = runs / "good" / "artifacts" / "training_config.yaml", runs / "good" / ".hydra" / "config.yaml"
    made.write_text("seed: 3\nname: deep\nother: deep\nckpt_path: null\n")
    told.write_text("seed: 3\nname: deep\nother: ${name}\nckpt_path: last\n")
    command = shell("compare", runs / "good").rows[0]["command"]
    assert command.startswith("python -m wotd.train ")
    told.write_text("seed: 4\nname: deep\nother: ${name}\nckpt_path: null\n")
    row = shell("compare", runs / "good").rows[0]
    assert (row["command"], row["overrides"]) == (None, [])


def test_a_comparison_with_charts_is_written(shell, runs, refused, tmp_path):
    printed = shell("compare", runs, "--format", "table").out.splitlines()
    best = next(line for line in printed if line.startswith("best by val/nmse (least"))
    assert shell("compare", runs, "--output", tmp_path / "out.html") == (0, "", "")
    page = (tmp_path / "out.html").read_text()
    assert best in page
    assert '"measured-0"' in page
    sentence = refused("compare", runs, "--output", tmp_path / "b.html", "--metrics", "val/nmse", status=2)
    assert "--metrics chooses columns; a page has those of its own" in sentence
    assert "expected .jsonl, .ndjson, .csv, .parquet, .html" in refused("compare", runs, "--output", tmp_path / "c.txt")


def test_artifacts_alone_can_be_compared(shell, text_artifacts, vector_artifacts):
    assert len(shell("compare", text_artifacts, vector_artifacts).rows) == 2


def test_where_no_run_is_the_sentence_says_so(refused, tmp_path):
    assert "holds no finished run" in refused("compare", tmp_path)
    assert "is not a folder" in refused("compare", tmp_path / "none")


# --- plan


def test_plans_are_printed(shell, refused):
    table = shell("plan", "--items", 100000, "--level-sizes", "256,256,256,256", "--format", "table").out
    assert "4,294,967,296 codes (32.0 bits)" in table
    assert "391 a code" in table
    starving = shell("plan", "--items", 3000, "--level-sizes", "256,256,256,256", "--format", "table").out
    assert "Level 0, 1, 2, 3 would starve: 3,000 items are fewer than 20 a code" in starving
    assert "levels of at most 75 codes, or train on 10,240 items or more" in starving
    assert shell("plan", "--items", 1, "--level-sizes", "[8]").rows[0]["level_sizes"] == [8]
    assert "expected whole numbers" in refused("plan", "--items", 9, "--level-sizes", "0", status=2)
    huge = ",".join(["1000000"] * 60)
    assert "bits" in refused("plan", "--items", 9, "--level-sizes", huge, status=2)


def test_full_cells_are_reported(shell, text_artifacts, works, tmp_path):
    facts = shell("plan", "--artifacts", text_artifacts).rows[0]
    assert (facts["items"], facts["level_sizes"], facts["full_cells"]) == (144, [8, 8, 8, 5], [])
    assert facts["trained_on"] == 112, "passages of validation and test teach nothing"
    many = shell("plan", "--artifacts", text_artifacts, "--items", 10_000).rows[0]
    assert (many["items"], many["trained_on"]) == (10_000, facts["trained_on"]), (
        "more items to name are no more items to learn from"
    )
    same = [
        {"id": f"w{n}", "text": "A plain tale is told here. " * 9, "genres": "Drama", "year_written": 1700}
        for n in range(7)
    ]
    path = tmp_path / "same.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in same))
    facts = shell("plan", "--provider", "files", "--root", path).rows[0]
    (full,) = facts["full_cells"]
    assert (full["works"], full["size"], full["cell"][0]) == (7, 5, "dramatic")
    assert "to 7 to give each work of a cell its own" in facts["advice"][-1]


# --- export


def test_a_checkpoint_becomes_artifacts(shell, refused, vector_run, vector_artifacts, tmp_path):
    checkpoint = next((vector_run / "checkpoints").glob("*.ckpt"))
    assert shell("export", "--checkpoint", checkpoint, "--output", tmp_path / "a") == (0, "", "")
    assert SemanticIDModel.load(tmp_path / "a").level_sizes == (4, 4, 4)
    assert shell("export", "--checkpoint", checkpoint, "--output", tmp_path / "a").status == 0, "artifacts are replaced"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    sentence = refused("export", "--checkpoint", checkpoint, "--output", tmp_path / "mine")
    assert "holds no artifacts; it is left as it is" in sentence
    assert "is not one of wotd's" in refused(
        "export", "--checkpoint", vector_artifacts / "config.json", "--output", tmp_path / "b"
    )
