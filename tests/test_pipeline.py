"""The one place where everything meets: what a run leaves, how it stops, how it goes on."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from invented_works import invented_works
from omegaconf import OmegaConf
from pipeline_runs import codes, on_vectors, on_works, stopped_at
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wotd import SemanticIDModel, assembly
from wotd.artifacts import Artifacts
from wotd.configuration import compose
from wotd.embeddings.backends import Calibration
from wotd.embeddings.embedder import CALIBRATION_FILE
from wotd.errors import ConfigurationError, CorpusError, TrainingError, VectorsError, WOTDError
from wotd.pipeline import TrainingResults, export_checkpoint, train_wotd_pipeline

TERMS = ("reconstruction", "commitment", "entropy", "diversity", "alignment")
USE = ("perplexity", "entropy", "usage", "dead", "revived")


@pytest.fixture(scope="module")
def vectors_run(tmp_path_factory: pytest.TempPathFactory) -> TrainingResults:
    root = tmp_path_factory.mktemp("vectors_run")
    return train_wotd_pipeline(on_vectors(root), root / "run")


@pytest.fixture(scope="module")
def works_run(tmp_path_factory: pytest.TempPathFactory) -> TrainingResults:
    root = tmp_path_factory.mktemp("works_run")
    return train_wotd_pipeline(on_works(root), root / "run")


def scalars(run: Path) -> dict[str, list[float]]:
    """Values of every scalar of a run's TensorBoard events."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


# --- what a run leaves


def test_results_say_what_the_files_say(works_run: TrainingResults) -> None:
    run = works_run.output_dir
    assert works_run.artifacts == run / "artifacts"
    assert works_run.checkpoint.parent == run / "checkpoints"
    assert works_run.checkpoint.is_file()
    counts = works_run.counts
    assert counts["works"] == 36
    assert counts["passages"] == 144 == counts["train"] + counts["val"] + counts["test"]
    assert min(counts["train"], counts["val"], counts["test"]) > 0
    assert counts["epochs"] == 2
    assert counts["embeddings_computed"] + counts["embeddings_found"] == 144
    assert set(works_run.seconds) == {"reading", "splitting", "embedding", "training", "evaluation", "total"}
    assert works_run.seconds["total"] >= works_run.seconds["training"]
    written = json.loads((works_run.artifacts / "training_results.json").read_text())
    assert written["counts"] == counts
    assert written["metrics"] == {key: pytest.approx(value) for key, value in works_run.metrics.items()}
    assert written["artifacts"] == "artifacts"
    assert (run / written["checkpoint"]).is_file()
    assert all(np.isfinite(works_run.metrics[f"{side}/nmse"]) for side in ("train", "val", "test"))


def test_the_folder_of_artifacts_is_whole(works_run: TrainingResults) -> None:
    files = {path.relative_to(works_run.artifacts).as_posix() for path in works_run.artifacts.rglob("*")}
    assert files >= {
        *("config.json", "encoder.safetensors", "semantic_ids.json", "codes.parquet", "training_results.json"),
        *("README.md", "plots", "report.html", "training_config.yaml", "lsa.safetensors", "lsa_vocabulary.json"),
    }
    artifacts = Artifacts.open(works_run.artifacts)
    assert artifacts.config["encoder"]["level_sizes"] == [8, 8, 8, 5]
    assert artifacts.config["embedding"]["dimension"] == 16
    assert artifacts.config["embedding"]["fingerprint"]["kind"] == "lsa"
    assert artifacts.config["named"] is True
    assert artifacts.config["seed"] == 0
    assert {path.name for path in works_run.output_dir.iterdir()} == {"artifacts", "checkpoints", "tensorboard"}
    assert not [path for path in works_run.output_dir.rglob("*") if "partial" in path.name]


def test_codes_are_those_that_the_artifacts_give_again(works_run: TrainingResults) -> None:
    table = pq.read_table(works_run.artifacts / "codes.parquet").to_pydict()
    model = SemanticIDModel.load(works_run.artifacts)
    assert [encoded.code for encoded in model.encode(table["text"])] == table["code"]
    assert Counter(table["split"]) == {side: works_run.counts[side] for side in ("train", "val", "test")}
    author_of = {row["id"]: row["authors"] for row in invented_works()}
    sides: dict[object, set[str]] = {}
    for corpus, side in zip(table["corpus"], table["split"], strict=True):
        sides.setdefault(author_of[corpus.removeprefix("files:")], set()).add(side)
    assert all(len(found) == 1 for found in sides.values())
    works = json.loads((works_run.artifacts / "semantic_ids.json").read_text())["corpora"]
    assert len(works) == 36
    assert works["files:drama-0"]["label"][0] == 0
    assert works["files:poetry-0"]["label"][0] == 1


def test_artifacts_of_vectors_name_no_works(vectors_run: TrainingResults) -> None:
    assert vectors_run.counts["passages"] == 300
    assert vectors_run.counts["works"] == 0
    config = Artifacts.open(vectors_run.artifacts).config
    assert config["embedding"] is None
    assert json.loads((vectors_run.artifacts / "semantic_ids.json").read_text())["corpora"] == {}
    assert vectors_run.metrics["test/nmse"] < 0.5
    vectors = np.load(vectors_run.output_dir.parent / "vectors.npy")
    model = SemanticIDModel.load(vectors_run.artifacts)
    assert model.encode_vectors(vectors).tolist() == codes(vectors_run.output_dir)


@pytest.mark.parametrize("levels", [3, 4])
def test_tensorboard_has_the_agreed_scalars(
    levels: int, vectors_run: TrainingResults, works_run: TrainingResults
) -> None:
    run = vectors_run if levels == 3 else works_run
    found = scalars(run.output_dir)
    expected = {f"{stage}/loss" for stage in ("train", "val")}
    expected |= {f"{stage}/{term}{form}" for stage in ("train", "val") for term in TERMS for form in ("", "_weighted")}
    expected |= {f"val/level_{level}/{name}" for level in range(levels) for name in USE}
    expected |= {
        f"train/{name}" for name in ("learning_rate", "gradient_norm", "gradient_norm_clipped", "rows_per_second")
    }
    if levels == 4:
        expected |= {f"val/agreement/{name}/accuracy" for name in ("style", "complexity", "era")}
    assert set(found) - {"epoch"} == expected
    assert all(len(values) == run.counts["epochs"] for name, values in found.items() if name in expected)
    for name in ("train/loss", "val/loss"):
        stage = name.split("/")[0]
        sums = np.sum([found[f"{stage}/{term}_weighted"] for term in TERMS], axis=0)
        np.testing.assert_allclose(found[name], sums, rtol=1e-4)
    assert all(0 < value <= 1 for value in found["val/level_0/usage"])
    assert all(clipped <= 1 + 1e-6 for clipped in found["train/gradient_norm_clipped"])


def test_checkpoints_are_plain_data_with_their_provenance(works_run: TrainingResults) -> None:
    for name in ("best", "last", "start"):
        content = torch.load(works_run.output_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
        own = content["wotd"]
        assert own["embedding"]["dimension"] == 16
        assert own["embedding"]["fingerprint"] == Artifacts.open(works_run.artifacts).config["embedding"]["fingerprint"]
        assert own["encoder"]["input_dim"] == 16
        assert own["taxonomy"]["name"] == "literature"


def test_a_neural_model_trains_and_its_vectors_are_found_again(tmp_path: Path, tiny_model_path: Path) -> None:
    overrides = on_works(tmp_path)
    overrides[0] = "+experiment=minilm"
    overrides[1] = f"embedding.model={tiny_model_path}"
    first = train_wotd_pipeline([*overrides, f"data.cache_dir={tmp_path / 'cache'}"], tmp_path / "a")
    second = train_wotd_pipeline([*overrides, f"data.cache_dir={tmp_path / 'cache'}"], tmp_path / "b")
    assert first.counts["embeddings_computed"] == 144
    assert second.counts["embeddings_computed"] == 0
    assert codes(first.output_dir) == codes(second.output_dir)
    config = Artifacts.open(first.artifacts).config
    assert config["embedding"]["dimension"] == 32
    encoded = SemanticIDModel.load(first.artifacts).encode(["the king said good night"])[0]
    assert len(encoded.code) == 4


# --- the same again, and something else


def test_a_seed_decides_everything(tmp_path: Path, vectors_run: TrainingResults) -> None:
    again = train_wotd_pipeline(on_vectors(vectors_run.output_dir.parent), tmp_path / "again")
    assert codes(again.output_dir) == codes(vectors_run.output_dir)
    assert again.metrics == vectors_run.metrics
    other = train_wotd_pipeline(on_vectors(vectors_run.output_dir.parent, "seed=1"), tmp_path / "other")
    splits = [
        pq.read_table(run / "artifacts" / "codes.parquet")["split"].to_pylist()
        for run in (vectors_run.output_dir, other.output_dir)
    ]
    assert splits[0] != splits[1]
    assert codes(other.output_dir) != codes(vectors_run.output_dir)


@pytest.mark.parametrize("form", ["overrides", "dotted", "nested", "composed", "container"])
def test_a_config_comes_in_any_form(form: str, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path, "trainer.max_epochs=1")
    settings = dict(override.lstrip("+").split("=", 1) for override in overrides)
    dotted = {key: yaml.safe_load(value) for key, value in settings.items()}
    config: object = overrides
    if form == "dotted":
        config = dotted
    elif form == "nested":
        config = {}
        for key, value in dotted.items():
            *parents, last = key.split(".")
            node = config
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
    elif form == "composed":
        config = compose(overrides)
    elif form == "container":
        config = OmegaConf.to_container(compose(overrides), resolve=True)
    composed = assembly.as_config(config)
    assert OmegaConf.to_container(composed, resolve=True) == OmegaConf.to_container(compose(overrides), resolve=True)
    if form in ("nested", "container"):
        assert train_wotd_pipeline(config, tmp_path / "run").counts["epochs"] == 1


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("+experiment=deep", "expected a config, a mapping or a list of overrides"),
        ({"data": {"batchsize": 3}}, r"unknown key 'data\.batchsize'; the nearest is 'data\.batch_size'\."),
        ({"data.batch_size": "many"}, r"data\.batch_size is 'many'; expected a whole number\."),
        ({"experiment": "minilmm"}, r"experiment has no option 'minilmm'; the nearest is 'minilm'"),
        (["provider=standard_ebooks"], r"^1 key has no value; set provider\.root=…\.$"),
        (["+experiment=deep", "model.dropout=1.5", "data.vectors=x.npy"], r"model\.dropout is 1\.5; expected"),
        (["+experiment=deep", "model.quantizer.decays=1", "data.vectors=x.npy"], r"unknown key 'model\.quantizer\.de"),
        (["model.losses.entropy=-1"], r"model\.losses\.entropy is -1"),
        (["callbacks.gradient_clipping.max_norm=0"], r"callbacks\.gradient_clipping\.max_norm is 0"),
        (
            ["callbacks.early_stopping.patience=x"],
            r"callbacks\.early_stopping\.patience is 'x'; expected a whole number",
        ),
        (["trainer.accelerator=foo"], r"^trainer: You selected an invalid accelerator"),
        (["taxonomy.version=x"], r"version"),
        (["seed=-1"], r"^seed is -1; expected 0 to 4294967295\.$"),
        (["embedding.precision=float8"], r"embedding\.precision is 'float8'"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_read(
    config: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the error itself, not wrapped into one of Hydra's."""

    def forbidden(*_: object) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr("wotd.data.WOTDDataModule.setup", forbidden)
    with pytest.raises(WOTDError, match=sentence) as caught:
        train_wotd_pipeline(config, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_errors_of_parts_that_hydra_makes_come_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"provider\.max_passages_per_work is 0; expected at least 1"):
        train_wotd_pipeline([*on_works(tmp_path), "provider.max_passages_per_work=0"], tmp_path / "run")
    with pytest.raises(VectorsError, match=r"data\.vectors is .*none\.npy"):
        train_wotd_pipeline(["+experiment=deep", f"data.vectors={tmp_path}/none.npy"], tmp_path / "run")
    with pytest.raises(CorpusError, match=r"provider\.max_passages_per_work is 0"):
        train_wotd_pipeline(["provider=mixed", "provider.files.max_passages_per_work=0"], tmp_path / "run")


@pytest.mark.parametrize(
    "more",
    [
        ["~callbacks.early_stopping", "callbacks.gradient_clipping.max_norm=0.5"],
        ["~callbacks.checkpoint"],
        ["~callbacks.last_checkpoint"],
        ["callbacks.progress=null", "~logger"],
        ["~callbacks"],
    ],
)
def test_every_callback_can_be_tuned_or_left_out(more: list[str], tmp_path: Path) -> None:
    overrides = [each for each in on_vectors(tmp_path, "trainer.max_epochs=2") if "early_stopping" not in each]
    results = train_wotd_pipeline([*overrides, *more], tmp_path / "run")
    assert results.counts["epochs"] == 2
    assert np.isfinite(results.metrics["test/nmse"])
    assert results.checkpoint.is_file()
    if "~logger" not in more and "~callbacks" not in more:
        clipped = scalars(results.output_dir)["train/gradient_norm_clipped"]
        assert max(clipped) <= (0.5 if len(more) == 2 else 1) + 1e-6


def test_early_stopping_stops_early_and_the_best_is_kept(tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path, "model.optimizer.learning_rate=0.2", "trainer.max_epochs=30")
    results = train_wotd_pipeline([*overrides, "callbacks.early_stopping.patience=2"], tmp_path / "run")
    assert results.counts["epochs"] < 30
    losses = scalars(results.output_dir)["val/loss"]
    best = int(np.argmin(losses))
    assert len(losses) >= best + 3
    if results.checkpoint.name == "best.ckpt":
        assert torch.load(results.checkpoint, weights_only=True)["epoch"] == best
    else:
        assert torch.load(results.checkpoint, weights_only=True)["val/loss"] <= min(losses)


def test_a_start_that_training_only_harms_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="wotd"):
        results = train_wotd_pipeline(on_vectors(tmp_path, "model.optimizer.learning_rate=3"), tmp_path / "run")
    assert results.checkpoint.name == "start.ckpt"
    assert "training did not improve on its closed-form start" in caplog.text


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        (["trainer.max_epochs=0"], "last"),
        (["model.optimizer.learning_rate=0.016", "model.dropout=0.1", "~callbacks.cosine_warmup"], "best"),
        (["model.optimizer.learning_rate=3"], "start"),
        (["~callbacks.checkpoint"], "last"),
    ],
)
def test_artifacts_hold_the_weights_of_the_checkpoint_that_counts(more: list[str], kept: str, tmp_path: Path) -> None:
    """Also where the run is only written again."""
    overrides = on_vectors(tmp_path, *more)
    for again in ([], ["ckpt_path=last"]):
        results = train_wotd_pipeline([*overrides, *again], tmp_path / "run")
        assert results.checkpoint.stem == kept
        state = torch.load(results.checkpoint, weights_only=True)["state_dict"]
        written = load_file(results.artifacts / "encoder.safetensors")
        assert all(torch.equal(value, state[f"model.{name}"]) for name, value in written.items())


# --- stopping and going on


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> TrainingResults:
    """Four epochs of seven steps, without a stop; its best epoch is not the last."""
    root = tmp_path_factory.mktemp("long_run")
    results = train_wotd_pipeline(on_vectors(root, *RISING), root / "run")
    assert torch.load(results.checkpoint, weights_only=True)["epoch"] < 3
    return results


RISING = ("model.optimizer.learning_rate=0.016", "model.dropout=0.1", "~callbacks.cosine_warmup")
"""So fast that the first epoch improves on the start and those after it overshoot."""


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("step", [3, 14, 17, 28])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    step: int, how: str, tmp_path: Path, long_run: TrainingResults
) -> None:
    overrides = on_vectors(long_run.output_dir.parent, *RISING)
    run = tmp_path / "run"
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt if how == "SIGINT" else SystemExit) as caught:
        train_wotd_pipeline([*overrides, *stopped_at(step, how)], run)
    if how == "SIGTERM":
        assert caught.value.code == 143
    assert handlers == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    assert not (run / "artifacts").exists()
    assert last(run)["global_step"] == step

    results = train_wotd_pipeline([*overrides, "ckpt_path=last"], run)
    assert results.counts == long_run.counts
    assert results.metrics == long_run.metrics
    assert codes(run) == codes(long_run.output_dir)
    here, there = last(run)["state_dict"], last(long_run.output_dir)["state_dict"]
    assert all(torch.equal(value, there[name]) for name, value in here.items())


def test_an_error_in_training_leaves_a_checkpoint_too(tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path)
    with pytest.raises(RuntimeError, match="a bug in the middle"):
        train_wotd_pipeline([*overrides, *stopped_at(10, "error")], tmp_path / "run")
    # That of the epoch before: in the midst of a batch, weights and counters do not belong together.
    assert last(tmp_path / "run")["global_step"] == 7
    whole = train_wotd_pipeline(overrides, tmp_path / "whole")
    again = train_wotd_pipeline([*overrides, "ckpt_path=last"], tmp_path / "run")
    assert again.counts["steps"] == 28
    assert again.metrics == whole.metrics


def test_a_finished_run_can_go_on_for_longer_or_just_be_written_again(tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path, "trainer.max_epochs=2")
    first = train_wotd_pipeline(overrides, tmp_path / "run")
    again = train_wotd_pipeline([*overrides, "ckpt_path=last"], tmp_path / "run")
    assert again.metrics == first.metrics
    assert again.counts["steps"] == first.counts["steps"] == 14
    longer = train_wotd_pipeline([*overrides, "ckpt_path=last", "trainer.max_epochs=3"], tmp_path / "run")
    assert longer.counts["steps"] == 21
    with pytest.raises(
        ConfigurationError, match=r"^trainer.max_epochs is 1, but .*last\.ckpt has more epochs behind it"
    ):
        train_wotd_pipeline([*overrides, "ckpt_path=last", "trainer.max_epochs=1"], tmp_path / "run")


def test_no_checkpoint_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [*on_vectors(tmp_path), "ckpt_path=last"]
    with pytest.raises(ConfigurationError, match=r"last\.ckpt does not exist; no run under outputs/ has one"):
        train_wotd_pipeline(overrides, tmp_path / "run")
    for age, name in enumerate(["d", "c", "b", "a"]):
        path = tmp_path / "outputs" / "deep" / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    newest = ", ".join(f"hydra.run.dir=outputs/deep/{name}" for name in "dcb")
    with pytest.raises(ConfigurationError, match=rf"the newest runs that have one: {newest}\."):
        train_wotd_pipeline(overrides, tmp_path / "run")


def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, vectors_run: TrainingResults, works_run: TrainingResults
) -> None:
    overrides = on_vectors(tmp_path)
    folder = vectors_run.output_dir / "checkpoints"
    for more, sentence in (
        ([f"ckpt_path={folder / 'last.ckpt'}", "model.latent_dim=5"], "another shape: latent_dim 6 there and 5 here"),
        (
            [f"ckpt_path={folder / 'last.ckpt'}", "model.level_sizes=[4,4]"],
            r"level_sizes \[4, 4, 4\] there and \[4, 4\]",
        ),
        ([f"ckpt_path={folder / 'start.ckpt'}"], "which holds weights alone"),
        ([f"ckpt_path={tmp_path / 'vectors.npy'}"], "not one of wotd's checkpoints, or is damaged"),
    ):
        with pytest.raises(ConfigurationError, match=f"^ckpt_path is .*{sentence}"):
            train_wotd_pipeline([*overrides, *more], tmp_path / "run")
    more_works = on_works(tmp_path, rows=invented_works(seed=3))
    checkpoint = f"ckpt_path={works_run.output_dir / 'checkpoints' / 'last.ckpt'}"
    with pytest.raises(ConfigurationError, match=r"learned from vectors of lsa.* fitted on have changed"):
        train_wotd_pipeline([*more_works, checkpoint], tmp_path / "run")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, vectors_run: TrainingResults) -> None:
    whole = (vectors_run.output_dir / "checkpoints" / "last.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="or is damaged"):
        train_wotd_pipeline([*on_vectors(tmp_path), f"ckpt_path={tmp_path / 'cut.ckpt'}"], tmp_path / "run")


# --- a disk that is full


def fill_disk(patch: pytest.MonkeyPatch, writer: str, code: int = errno.ENOSPC) -> None:
    """Let whatever is written by that name meet an error of the system."""

    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    patch.setattr(writer, full)


@pytest.mark.parametrize(
    "writer",
    [
        "wotd.artifacts.save_encoder",
        "wotd.pipeline.write_codes",
        "wotd.pipeline.write_report",
        "wotd.artifacts.seal",
        "wotd.artifacts._sync",
    ],
)
def test_no_space_for_the_artifacts(writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, writer)
    sentence = "^the artifacts cannot be written to .*artifacts: No space left on device; .*ckpt_path=last"
    with pytest.raises(TrainingError, match=sentence):
        train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=1"), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoints", "tensorboard"}


def test_artifacts_of_before_stay_when_there_is_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = on_vectors(tmp_path, "trainer.max_epochs=1")
    train_wotd_pipeline(overrides, tmp_path / "run")
    before = codes(tmp_path / "run")

    fill_disk(monkeypatch, "wotd.pipeline.write_codes")
    with pytest.raises(TrainingError, match="No space left"):
        train_wotd_pipeline([*overrides, "seed=1"], tmp_path / "run")
    assert codes(tmp_path / "run") == before
    Artifacts.open(tmp_path / "run" / "artifacts")


def test_no_space_for_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, "wotd.callbacks.checkpoint_files.write_whole")
    with pytest.raises(TrainingError, match=r"training cannot write to .*: No space left on device"):
        train_wotd_pipeline(on_vectors(tmp_path), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_errors_of_the_system_are_bugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, "wotd.pipeline.write_codes", errno.ENOENT)
    with pytest.raises(FileNotFoundError):
        train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=1"), tmp_path / "run")


# --- taxonomies


TWO_LEVELS = """
name: letters
version: 3
levels:
  - name: tone
    fact: tone
    rule: first_match
    codes:
      - {name: warm, any: [kind, merry]}
      - {name: cold, any: [stern]}
  - name: length
    fact: pages
    rule: edges
    edges: [2, 10]
    codes: [note, letter, treatise]
previous: null
strict: false
"""


def letters(count: int = 24) -> list[dict[str, object]]:
    """Letters by as many hands; tone and pages hang together with the words."""
    rows = []
    for number, row in enumerate(invented_works(works_of_each=count // 6, passages=2)):
        tone = {"Drama": "stern", "Poetry": "kind", "Comedy": "merry"}.get(str(row["genres"]))
        rows.append(row | {"mood": tone, "leaves": number % 15})
    return rows


def test_a_taxonomy_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    """Other names, two levels, none of them ranked, over facts of the user's own columns."""
    conf = tmp_path / "conf" / "taxonomy"
    conf.mkdir(parents=True)
    (conf / "letters.yaml").write_text(TWO_LEVELS)
    overrides = on_works(tmp_path, rows=letters())
    results = train_wotd_pipeline(
        [
            *overrides,
            f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
            "taxonomy=letters",
            "+provider.facts.tone=mood",
            "+provider.facts.pages=leaves",
        ],
        tmp_path / "run",
    )
    artifacts = Artifacts.open(results.artifacts)
    assert artifacts.config["encoder"]["level_sizes"] == [2, 3]
    assert artifacts.config["taxonomy"]["name"] == "letters"
    assert {"test/agreement/tone/accuracy", "test/agreement/length/accuracy"} <= set(results.metrics)
    works = json.loads((results.artifacts / "semantic_ids.json").read_text())["corpora"]
    assert works["files:poetry-0"]["label"][0] == 0
    assert works["files:drama-0"]["label"][0] == 1
    assert works["files:fiction-0"]["label"][0] is None
    encoded = SemanticIDModel.load(results.artifacts).encode(["rose lark dew moonlight"])[0]
    assert encoded.names[0] in ("warm", "cold")
    assert encoded.names[1] in ("note", "letter", "treatise")


def test_published_labels_stay_though_earlier_works_arrive(tmp_path: Path, works_run: TrainingResults) -> None:
    published = works_run.artifacts / "semantic_ids.json"
    rows = [*invented_works(), *({**row, "id": f"a-{row['id']}"} for row in invented_works(1, seed=9))]
    overrides = on_works(tmp_path, f"taxonomy.previous={published}", rows=rows)
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    before = json.loads(published.read_text())["corpora"]
    now = json.loads((results.artifacts / "semantic_ids.json").read_text())["corpora"]
    assert len(now) == 42
    assert all(now[corpus]["label"] == entry["label"] for corpus, entry in before.items())
    cells = Counter(tuple(entry["label"]) for entry in now.values() if None not in entry["label"])
    assert max(cells.values()) == 1, "a newcomer takes the next free rank"


def test_labels_of_another_taxonomy_do_not_count(tmp_path: Path, works_run: TrainingResults) -> None:
    published = works_run.artifacts / "semantic_ids.json"
    overrides = on_works(tmp_path, f"taxonomy.previous={published}", "taxonomy.version=2")
    sentence = (
        r"taxonomy\.previous is .* follows the taxonomy literature version 1; this run follows literature version 2"
    )
    with pytest.raises(ConfigurationError, match=sentence):
        train_wotd_pipeline(overrides, tmp_path / "run")


def test_strict_makes_a_full_cell_an_error(tmp_path: Path) -> None:
    rows = [{**row, "year_written": 1850} for row in invented_works(works_of_each=40, passages=1)]
    with pytest.raises(
        ConfigurationError, match=r"raise the level's size to at least \d+, or set taxonomy\.strict=false"
    ):
        train_wotd_pipeline(on_works(tmp_path, "taxonomy.strict=true", rows=rows), tmp_path / "run")


# --- checkpoints to artifacts


def test_a_checkpoint_becomes_artifacts(tmp_path: Path, vectors_run: TrainingResults) -> None:
    folder = export_checkpoint(vectors_run.checkpoint, tmp_path / "artifacts")
    vectors = np.load(vectors_run.output_dir.parent / "vectors.npy")
    assert SemanticIDModel.load(folder).encode_vectors(vectors).tolist() == codes(vectors_run.output_dir)


def test_a_checkpoint_of_a_neural_model_reads_texts(tmp_path: Path, tiny_model_path: Path) -> None:
    overrides = on_works(tmp_path, "trainer.max_epochs=1")
    overrides[:2] = ["+experiment=minilm", f"embedding.model={tiny_model_path}"]
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    folder = export_checkpoint(results.checkpoint, tmp_path / "exported")
    texts = ["the king said good night", "old stone house by the river"]
    ours, theirs = (SemanticIDModel.load(f).encode(texts) for f in (folder, results.artifacts))
    assert ours == theirs, "confidences and what is out of domain too"
    assert all(encoded.out_of_domain is not None for encoded in ours)


def test_a_checkpoint_of_int8_takes_its_calibration_along(
    tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    overrides = on_works(tmp_path, "trainer.max_epochs=0", "embedding.backend=onnx", "embedding.precision=int8")
    overrides[:2] = ["+experiment=minilm", f"embedding.model={tiny_model_path}"]
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    folder = export_checkpoint(results.checkpoint, tmp_path / "exported")
    calibration = (results.artifacts / CALIBRATION_FILE).read_bytes()
    assert (folder / CALIBRATION_FILE).read_bytes() == calibration
    (kept,) = (tmp_path / "cache").rglob("calibration.json")
    layers = Calibration.load(kept).layers
    Calibration({name: replace(ranges, highest=2 * ranges.highest) for name, ranges in layers.items()}).save(kept)
    with pytest.raises(TrainingError, match="int8 calibration that this machine does not have"):
        export_checkpoint(results.checkpoint, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    texts = ["the king said good night", "old stone house by the river"]
    ours, theirs = (SemanticIDModel.load(f).encode(texts) for f in (folder, results.artifacts))
    assert ours == theirs, "artifacts do not ask the machine for a calibration"


def test_a_checkpoint_that_cannot_become_artifacts(tmp_path: Path, works_run: TrainingResults) -> None:
    with pytest.raises(TrainingError, match="trained on lsa, whose fitted state is in the run's artifacts only"):
        export_checkpoint(works_run.checkpoint, tmp_path / "a")
    with pytest.raises(TrainingError, match="which is not a file"):
        export_checkpoint(tmp_path / "none.ckpt", tmp_path / "a")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(TrainingError, match="not one of wotd's checkpoints"):
        export_checkpoint(tmp_path / "other.ckpt", tmp_path / "a")
    torch.save({"state_dict": {}, "wotd": {"encoder": {"input_dim": 3, "widths": 4}}}, tmp_path / "old.ckpt")
    with pytest.raises(TrainingError, match="which this version of wotd cannot read"):
        export_checkpoint(tmp_path / "old.ckpt", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_no_space_for_the_start(tmp_path: Path) -> None:
    """A real limit: no file of this process may grow over 20 kB, and the system says so to whoever tries."""
    code = (
        "import resource, signal, sys\n"
        "from wotd import train_wotd_pipeline\n"
        "from wotd.errors import TrainingError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    train_wotd_pipeline(sys.argv[2:], sys.argv[1])\n"
        "except TrainingError as error:\n"
        "    print(error)\n"
    )
    overrides = on_vectors(tmp_path, "trainer.max_epochs=1", "model.hidden=[64]", "logger=csv")
    command = [sys.executable, "-c", code, str(tmp_path / "run"), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "run: File too large; mend that and start again with the same hydra.run.dir." in done.stdout, done.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_whatever_is_monitored_and_kept_the_start_is_a_candidate(tmp_path: Path) -> None:
    """What another monitor calls best, or the last epoch where nothing is, must still be better than the start."""
    harmful = on_vectors(tmp_path, "model.optimizer.learning_rate=3")
    for name, more in (
        ("monitored", "callbacks.checkpoint.monitor=val/reconstruction"),
        ("none", "~callbacks.checkpoint"),
    ):
        assert train_wotd_pipeline([*harmful, more], tmp_path / name).checkpoint.name == "start.ckpt"


@pytest.mark.parametrize("batch_size", [64, 4096])
def test_start_and_training_are_compared_by_the_same_measure(tmp_path: Path, batch_size: int) -> None:
    """Weights that do not move are no better than the start, whatever the batches that validation is read in."""
    still = on_vectors(
        tmp_path, "model.optimizer.learning_rate=1e-30", f"data.batch_size={batch_size}", "~callbacks.codeword_refit"
    )
    assert train_wotd_pipeline(still, tmp_path / "run").checkpoint.name == "start.ckpt"


def test_works_to_keep_the_ids_of_are_not_to_be_had_of_bare_vectors(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"taxonomy\.previous keeps the IDs of works, and data\.vectors has none"
    ):
        train_wotd_pipeline(on_vectors(tmp_path, "taxonomy.previous=old.json"), tmp_path / "run")
