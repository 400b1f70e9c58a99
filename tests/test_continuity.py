"""Runs that keep to what was published: IDs that stay, codes that keep their names, and the refusals before work."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from invented_works import invented_works
from pipeline_runs import codes, on_vectors, on_works

from wotd import SemanticIDModel
from wotd.alignment import align_artifacts
from wotd.artifacts import Artifacts
from wotd.errors import ArtifactError, ConfigurationError
from wotd.pipeline import TrainingResults, export_checkpoint, train_wotd_pipeline


def entries(results: TrainingResults) -> dict:
    return json.loads((results.artifacts / "semantic_ids.json").read_text())["corpora"]


def said(results: TrainingResults) -> dict:
    return json.loads((results.artifacts / "training_results.json").read_text())


@pytest.fixture(scope="module")
def suffixed(tmp_path_factory: pytest.TempPathFactory) -> TrainingResults:
    root = tmp_path_factory.mktemp("suffixed")
    return train_wotd_pipeline(on_works(root, "logger=csv", "artifacts.collisions=suffix"), root / "run")


@pytest.fixture(scope="module")
def vectors_run(tmp_path_factory: pytest.TempPathFactory) -> TrainingResults:
    root = tmp_path_factory.mktemp("vectors_run")
    return train_wotd_pipeline(on_vectors(root, "logger=csv"), root / "run")


# --- IDs of works


def test_suffixes_name_every_work(suffixed: TrainingResults) -> None:
    works = entries(suffixed)
    ids = [entry["id"] for entry in works.values()]
    assert len(set(ids)) == len(works) == 36
    assert all(entry["id"].rpartition("-")[0] == "-".join(map(str, entry["code"])) for entry in works.values())
    own = said(suffixed)["ids"]
    shared = 1 - len({tuple(entry["code"]) for entry in works.values()}) / 36
    assert own["policy"] == "suffix"
    assert own["collision_rate"] == {"before": pytest.approx(shared), "after": 0}
    assert shared > 0
    assert suffixed.ids == own
    card = (suffixed.artifacts / "README.md").read_text()
    assert "| `artifacts.collisions=suffix` |  |" in card
    assert f"| repeat the code of another | {shared:.3f} |" in card


def test_a_suffixed_id_is_described_and_browsed(suffixed: TrainingResults) -> None:
    model = SemanticIDModel.load(suffixed.artifacts)
    corpus, entry = next(iter(entries(suffixed).items()))
    described = model.describe(entry["id"])
    assert [work["corpus"] for work in described["works"]] == [corpus]
    assert described["levels"][-1] == {"level": "suffix", "code": int(entry["id"][-1]), "name": entry["id"][-1]}
    assert described["levels"][0]["level"] == "style"
    assert model.browse(entry["code"]).passages == described["passages"]
    assert corpus in [work["corpus"] for work in model.browse(entry["code"]).works]
    assert model.browse(entry["id"]).children == []
    with pytest.raises(Exception, match="has 6 levels; these artifacts have 4"):
        model.describe(f"{entry['id']}-0")


def test_spread_leaves_the_codes_as_they_are(tmp_path: Path, suffixed: TrainingResults) -> None:
    results = train_wotd_pipeline(on_works(tmp_path, "logger=csv", "artifacts.collisions=spread"), tmp_path / "run")
    works = entries(results)
    assert [entry["code"] for entry in works.values()] == [entry["code"] for entry in entries(suffixed).values()]
    own = results.ids
    assert own["moved"] > 0
    assert own["collision_rate"]["after"] < own["collision_rate"]["before"]
    assert own["collision_rate"]["after"] == pytest.approx(own["left_over"] / 36)
    for entry in works.values():
        assert entry["id"].split("-")[:-1] == [str(index) for index in entry["code"][:-1]]


@pytest.mark.parametrize("policy", ["none", "suffix", "spread"])
def test_published_ids_stay_though_the_model_is_another(
    policy: str, tmp_path: Path, suffixed: TrainingResults, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*invented_works(), *({**row, "id": f"a-{row['id']}"} for row in invented_works(1, seed=9))]
    published = suffixed.artifacts / "semantic_ids.json"
    settings = [f"taxonomy.previous={published}", f"artifacts.collisions={policy}", "seed=3", "trainer.max_epochs=1"]
    with caplog.at_level(logging.INFO, logger="wotd"):
        results = train_wotd_pipeline(on_works(tmp_path, "logger=csv", *settings, rows=rows), tmp_path / "run")
    before, now = entries(suffixed), entries(results)
    assert len(now) == 42
    assert {corpus: now[corpus]["id"] for corpus in before} == {c: entry["id"] for c, entry in before.items()}
    assert results.ids["kept"] == 36
    assert f"(artifacts.collisions={policy})" in caplog.text
    assert "works that keep the ID published earlier: 36" in caplog.text
    if policy != "none":
        fresh = [now[corpus]["id"] for corpus in now.keys() - before.keys()]
        assert not set(fresh) & {entry["id"] for entry in before.values()}


# --- codes that keep their names


def test_a_retrained_model_says_the_earlier_codes(
    tmp_path: Path, vectors_run: TrainingResults, caplog: pytest.LogCaptureFixture
) -> None:
    """Another seed finds much the same clusters under other numbers."""
    plain = train_wotd_pipeline(on_vectors(tmp_path, "logger=csv", "seed=5"), tmp_path / "plain")
    with caplog.at_level(logging.INFO, logger="wotd"):
        aligned = train_wotd_pipeline(
            on_vectors(tmp_path, "logger=csv", "seed=5", f"artifacts.align_to={vectors_run.artifacts}"),
            tmp_path / "aligned",
        )
    old, before, after = (np.array(codes(run.output_dir)) for run in (vectors_run, plain, aligned))
    report = said(aligned)["alignment"]
    assert report == json.loads(json.dumps(aligned.alignment))
    assert (report["matched_by"], report["passages"]) == ("vectors", 300)
    for name, new in (("before", before), ("after", after)):
        assert report["churn"][name]["per_level"] == pytest.approx((new != old).mean(0).tolist())
        assert report["churn"][name]["whole"] == pytest.approx((new != old).any(1).mean())
    assert (after != old).mean() < (before != old).mean(), "the fixture is of no use if nothing was renamed"
    vectors = np.load(tmp_path / "vectors.npy")
    assert SemanticIDModel.load(aligned.artifacts).encode_vectors(vectors).tolist() == after.tolist()
    assert aligned.metrics == pytest.approx(plain.metrics, nan_ok=True)
    assert "aligned to" in caplog.text
    assert "## Against earlier artifacts" in (aligned.artifacts / "README.md").read_text()
    assert plain.alignment == {}


def test_a_run_aligned_to_itself_changes_nothing(tmp_path: Path, vectors_run: TrainingResults) -> None:
    overrides = on_vectors(tmp_path, "logger=csv", f"artifacts.align_to={vectors_run.artifacts}")
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    assert codes(results.output_dir) == codes(vectors_run.output_dir)
    assert results.alignment["renamed"] == [0, 0, 0]
    assert results.alignment["churn"]["after"]["whole"] == 0


def test_an_exported_checkpoint_says_that_its_codes_are_numbered_as_trained(
    tmp_path: Path, vectors_run: TrainingResults, caplog: pytest.LogCaptureFixture
) -> None:
    """And the way it names makes them those of the run's own artifacts."""
    old = vectors_run.artifacts
    run = train_wotd_pipeline(
        on_vectors(tmp_path, "logger=csv", "seed=5", f"artifacts.align_to={old}"), tmp_path / "run"
    )
    assert run.alignment["churn"]["before"] != run.alignment["churn"]["after"], "else there is nothing to say"
    caplog.clear()
    export_checkpoint(vectors_run.checkpoint, tmp_path / "never")
    assert "numbered as trained" not in caplog.text, "this run aligned nothing"
    exported = Artifacts.open(export_checkpoint(run.checkpoint, tmp_path / "exported"))
    assert f"not aligned to {old}" in caplog.text
    assert f"wotd align --artifacts {exported.folder} --to {old} --output {exported.folder} --vectors" in caplog.text
    vectors = np.load(tmp_path / "vectors.npy")
    assert SemanticIDModel.load(exported.folder).encode_vectors(vectors).tolist() != codes(run.output_dir)
    align_artifacts(exported, Artifacts.open(old), exported.folder, vectors)
    assert SemanticIDModel.load(exported.folder).encode_vectors(vectors).tolist() == codes(run.output_dir)
    named = (exported, Artifacts.open(exported.folder), Artifacts.open(run.artifacts))
    assert [artifacts.config["align_to"] for artifacts in named] == [None, str(old), str(old)]


def test_texts_in_common_match_models_of_different_vectors(tmp_path: Path, suffixed: TrainingResults) -> None:
    """Only the level that nothing taught is renamed; lsa fitted on other texts gives other vectors."""
    rows = [*invented_works(), *({**row, "id": f"z-{row['id']}"} for row in invented_works(1, seed=9))]
    overrides = on_works(tmp_path, "logger=csv", "seed=3", f"artifacts.align_to={suffixed.artifacts}", rows=rows)
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    assert results.alignment["matched_by"] == "texts"
    assert 140 <= results.alignment["passages"] < results.counts["passages"]
    assert results.alignment["renamed"][:3] == [0, 0, 0]
    tables = (pq.read_table(run.artifacts / "codes.parquet").to_pydict() for run in (suffixed, results))
    old, new = (dict(zip(table["text_hash"], table["code"], strict=True)) for table in tables)
    changed = [old[text] != new[text] for text in old.keys() & new.keys()]
    assert results.alignment["churn"]["after"]["whole"] == pytest.approx(np.mean(changed), abs=0.01)


# --- what is refused before anything is read


@pytest.mark.parametrize(
    ("overrides", "kind", "sentence"),
    [
        (["artifacts.collisions=sufix"], ConfigurationError, "expected one of none, suffix, spread"),
        (["artifacts.collisions=suffix"], ConfigurationError, "bare vectors are of no works that could get IDs"),
        (["artifacts.align_to=nowhere"], ArtifactError, "nowhere, which is not a folder"),
        (["artifacts.align_to={run}", "model.level_sizes=[4,4]"], ArtifactError, r"levels of \[4, 4, 4\] codes; exp"),
        (["artifacts.align_to={run}", "model.level_sizes=[4,3,4]"], ArtifactError, "and none larger"),
        (
            ["artifacts.align_to={run}", "model/quantizer=fsq"],
            ConfigurationError,
            "numbers in order, which cannot be renamed",
        ),
    ],
)
def test_what_cannot_be_meant(overrides, kind, sentence, tmp_path: Path, vectors_run: TrainingResults) -> None:
    spelled = [override.format(run=vectors_run.artifacts) for override in overrides]
    with pytest.raises(kind, match=sentence):
        train_wotd_pipeline(on_vectors(tmp_path, "logger=csv", *spelled), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_artifacts_with_nothing_in_common_cannot_be_kept_to(
    tmp_path: Path, vectors_run: TrainingResults, suffixed: TrainingResults
) -> None:
    overrides = on_works(
        tmp_path, "logger=csv", "model.level_sizes=[4,4,4]", f"artifacts.align_to={vectors_run.artifacts}"
    )
    with pytest.raises(ArtifactError, match=r"none of the passages .* and it reads vectors of another embedding model"):
        train_wotd_pipeline(overrides, tmp_path / "run")
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(200, 9)).astype(np.float32))
    overrides = on_vectors(tmp_path, "logger=csv", f"artifacts.align_to={vectors_run.artifacts}")
    with pytest.raises(ArtifactError, match="reads vectors of length 12; expected 9"):
        train_wotd_pipeline(overrides, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_ids_of_other_levels_cannot_stay(tmp_path: Path, suffixed: TrainingResults) -> None:
    published = suffixed.artifacts / "semantic_ids.json"
    overrides = on_works(tmp_path, "logger=csv", f"taxonomy.previous={published}", "model.level_sizes=[9,9,9]")
    with pytest.raises(ConfigurationError, match=r"cannot stay: semantic ID .* has 5 levels; this model has 3"):
        train_wotd_pipeline(overrides, tmp_path / "run")


def test_labels_are_not_spread(tmp_path: Path) -> None:
    conf = tmp_path / "conf" / "taxonomy"
    conf.mkdir(parents=True)
    (conf / "eras.yaml").write_text(
        "{name: eras, version: 1, levels: [{name: era, fact: year_written, rule: edges, edges: [1800], "
        "codes: [old, new]}], previous: null, strict: false}"
    )
    overrides = on_works(tmp_path, "logger=csv", f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "taxonomy=eras")
    with pytest.raises(ConfigurationError, match=r"is spread, .* but those of level 0 are labels; expected none or s"):
        train_wotd_pipeline([*overrides, "artifacts.collisions=spread"], tmp_path / "run")


# --- too few vectors for the levels


@pytest.mark.parametrize(("size", "starves"), [(4, False), (32, True)])
def test_starving_levels_are_said_once(
    size: int, starves: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = f"model.level_sizes=[{size},{size}]"
    with caplog.at_level(logging.WARNING, logger="wotd"):
        train_wotd_pipeline(on_vectors(tmp_path, "logger=csv", sizes, "trainer.max_epochs=1"), tmp_path / "run")
    lines = [record.getMessage() for record in caplog.records if "would starve" in record.getMessage()]
    assert len(lines) == starves
    assert all("Level 0, 1 would starve: 240 items" in line and "levels of at most 6 codes" in line for line in lines)
    assert torch.is_grad_enabled()
    assert Artifacts.open(tmp_path / "run" / "artifacts").named is False
