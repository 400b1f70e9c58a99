"""What a run leaves on the boards of its loggers, read back as the boards read it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from pipeline_runs import on_vectors
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from wotd.pipeline import train_wotd_pipeline
from wotd.results_board import key_results, settings_of

pytest_plugins = ["artifact_fixtures"]

NO_LIMIT = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}


@pytest.fixture(scope="module")
def events(text_run: Path) -> EventAccumulator:
    return EventAccumulator(str(text_run / "tensorboard"), size_guidance=NO_LIMIT).Reload()


@pytest.fixture(scope="module")
def results(text_run: Path) -> EventAccumulator:
    return EventAccumulator(str(text_run / "tensorboard" / "results"), size_guidance=NO_LIMIT).Reload()


def test_every_term_and_level_is_among_the_scalars(events: EventAccumulator) -> None:
    terms = ("reconstruction", "commitment", "entropy", "diversity", "alignment")
    expected = {f"{side}/loss" for side in ("train", "val")}
    expected |= {f"{side}/{term}{kind}" for side in ("train", "val") for term in terms for kind in ("", "_weighted")}
    expected |= {
        f"train/{name}" for name in ("learning_rate", "gradient_norm", "gradient_norm_clipped", "rows_per_second")
    }
    figures = ("perplexity", "usage", "dead", "revived", "entropy")
    expected |= {f"val/level_{level}/{figure}" for level in range(4) for figure in figures}
    expected |= {f"val/agreement/{name}/accuracy" for name in ("style", "era")}
    assert expected <= set(events.Tags()["scalars"])


def test_the_figures_of_the_end_are_those_of_the_results(results: EventAccumulator, text_run: Path) -> None:
    metrics = json.loads((text_run / "artifacts" / "training_results.json").read_text())["metrics"]
    for name in ("test/nmse", "val/recall/prefix", "test/agreement/style/accuracy"):
        (shown,) = results.Scalars(name)
        assert shown.value == pytest.approx(metrics[name], rel=1e-5)


def test_codes_are_counted_in_histograms(events: EventAccumulator, text_run: Path) -> None:
    rows = json.loads((text_run / "artifacts" / "training_results.json").read_text())["counts"]["val"]
    for level, size in enumerate((8, 8, 8, 5)):
        shown = events.Histograms(f"val/level_{level}/codes")
        assert len(shown) == 2, "an epoch each"
        assert sum(shown[-1].histogram_value.bucket) == rows
        assert len(shown[-1].histogram_value.bucket) <= size + 1


def test_pictures_are_shown(events: EventAccumulator, results: EventAccumulator) -> None:
    assert set(events.Tags()["images"]) >= {"val/codes_by_epoch", "val/confusion", "val/ami"}
    assert set(results.Tags()["images"]) >= {
        "report/codebook_usage",
        "report/hierarchy",
        "report/map",
        "report/reliability",
    }
    image = events.Images("val/ami")[0]
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert image.width > 100


def test_examples_are_unseen_passages_with_those_nearest_to_them(results: EventAccumulator, text_run: Path) -> None:
    (shown,) = results.Tensors("report/examples/text_summary")
    markdown = shown.tensor_proto.string_val[0].decode()
    rows = [line.split(" | ") for line in markdown.splitlines()[2:]]
    assert 0 < len(rows) <= 12
    table = pq.read_table(text_run / "artifacts" / "codes.parquet").to_pydict()
    starts = {
        text[:40]: (split, code)
        for text, split, code in zip(*(table[n] for n in ("text", "split", "code")), strict=True)
    }
    for passage, code, near in rows:
        split, expected = starts[passage.removeprefix("| ")[:40]]
        assert split == "test"
        assert code == "-".join(map(str, expected))
        assert near.count("<br>") == 2


def test_the_projector_knows_what_each_passage_is(text_run: Path) -> None:
    (folder,) = (text_run / "tensorboard" / "results").glob("*/passages")
    header, *lines = [line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines()]
    assert header == [
        *("code", "code_0", "code_1", "code_2", "code_3", "side", "work", "author"),
        *("style", "complexity", "era", "variation"),
    ]
    table = pq.read_table(text_run / "artifacts" / "codes.parquet").to_pydict()
    assert len(lines) == len(table["code"])
    assert [line[0] for line in lines] == ["-".join(map(str, code)) for code in table["code"]]
    assert [line[5] for line in lines] == table["split"]
    assert np.loadtxt(folder / "tensors.tsv").shape == (len(lines), 16)


def test_settings_stand_beside_results(text_run: Path) -> None:
    found = []
    for path in sorted((text_run / "tensorboard" / "results").glob("events*")):
        events = EventAccumulator(str(path)).Reload()
        found += [
            events.SummaryMetadata(tag).plugin_data.content for tag in events.Tags()["tensors"] if "hparams" in tag
        ]
        summaries = events.summary_metadata
        found += [each.plugin_data.content for tag, each in summaries.items() if tag == metadata.SESSION_START_INFO_TAG]
    data = plugin_data_pb2.HParamsPluginData.FromString(found[-1])
    settings = data.session_start_info.hparams
    assert settings["data.batch_size"].number_value > 0
    assert settings["embedding.dimension"].number_value == 16
    assert settings["model.losses.entropy"].number_value == 0.02
    assert settings["model.hidden"].string_value == "16"
    assert settings["provider"].string_value == "Files"
    assert settings["callbacks.gradient_clipping.max_norm"].number_value == 1
    assert "embedding.device" not in settings


def test_settings_leave_out_what_says_how_to_build() -> None:
    config = OmegaConf.create(
        {"name": "a", "seed": 3, "model": {"_target_": "x.y", "hidden": [4, 2], "none": None, "inner": {"rate": 0.5}},
         "data": {"shuffle": True}, "hydra": {"run": {"dir": "x"}}, "callbacks": {"progress": {"refresh_rate": 1}},
         "embedding": {"_target_": "a.b.LSA", "device": "cpu"}, "provider": {"_target_": "p.Books", "root": "r"}}
    )  # fmt: skip
    assert settings_of(config) == {
        "name": "a", "seed": 3, "model.hidden": "4,2", "model.inner.rate": 0.5, "data.shuffle": True,
        "embedding": "LSA", "provider": "Books", "features": "none", "provider.root": "r",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["minilm", "BAAI/bge-small-en-v1.5", "./half.model"])
def test_an_embedding_model_is_told_by_its_whole_name(model: str) -> None:
    config = OmegaConf.create({"name": "a", "seed": 0, "embedding": {"_target_": "a.b.Embedder", "model": model}})
    assert settings_of(config)["embedding"] == model


def test_results_by_which_runs_are_compared() -> None:
    metrics = {"train/nmse": 0.1, "test/nmse": 0.2, "val/nmse": float("nan"), "test/agreement/era/accuracy": 0.5}
    assert key_results({**metrics, "test/agreement/era/majority": 0.3, "test/level_0/usage": 1.0}) == {
        "test/nmse": 0.2, "test/agreement/era/accuracy": 0.5,
    }  # fmt: skip


def test_a_run_that_begins_anew_or_goes_on_shows_itself_alone(tmp_path: Path) -> None:
    run, board = tmp_path / "run", tmp_path / "run" / "tensorboard"

    def steps() -> list[int]:
        events = EventAccumulator(str(board), size_guidance=NO_LIMIT).Reload()
        return [event.step for event in events.Scalars("val/loss")]

    def settings() -> dict[str, float]:
        (path,) = [path for path in (board / "results").glob("events*") if b"session_start_info" in path.read_bytes()]
        content = (
            EventAccumulator(str(path)).Reload().SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        )
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        return {name: value.number_value for name, value in data.session_start_info.hparams.items()}

    train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=2"), run)
    first = steps()
    assert len(first) == 2
    train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=3", "ckpt_path=last"), run)
    assert steps()[:2] == first
    assert len(steps()) == 3
    assert settings()["trainer.max_epochs"] == 3
    train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=2", "seed=1"), run)
    assert steps() == first
    assert settings()["seed"] == 1


@pytest.mark.parametrize("texts", [True, False])
def test_texts_that_may_not_be_kept_are_not_shown(text_run: Path, texts: bool) -> None:
    from wotd.artifacts import Artifacts
    from wotd.results_board import _examples

    artifacts = Artifacts.open(text_run / "artifacts")
    table = artifacts.codes().to_pydict()
    works = list(artifacts.semantic_ids()["corpora"])
    corpora = SimpleNamespace(
        texts=table["text"],
        works=[SimpleNamespace(title=f"<b>*{corpus}*</b>") for corpus in works],
        work_of_passage=np.array([works.index(corpus) for corpus in table["corpus"]]),
    )
    sides = np.array([("train", "val", "test").index(side) for side in table["split"]])
    encoder = artifacts.encoder()
    vectors = np.random.default_rng(0).normal(size=(len(sides), artifacts.row_dim)).astype(np.float32)
    data = SimpleNamespace(corpora=corpora, vectors=vectors, rows=lambda side: np.flatnonzero(sides == side))
    markdown = _examples(data, encoder, np.array(table["code"]), texts=texts)  # type: ignore[arg-type]
    assert any(text[:30] in markdown for text in table["text"]) is texts
    assert "&lt;b&gt;\\*files:" in markdown
    assert "<b>" not in markdown


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="NOT TESTED: mlflow is not installed")
def test_mlflow_keeps_all_of_it_in_the_run_s_folder(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run = tmp_path / "run"
    train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=1", "logger=mlflow"), run)
    client = MlflowClient(f"sqlite:///{run / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("wotd").experiment_id])
    metrics = json.loads((run / "artifacts" / "training_results.json").read_text())["metrics"]
    assert found.data.metrics["test/nmse"] == pytest.approx(metrics["test/nmse"])
    assert found.data.metrics["train/loss"] > 0
    assert found.data.params["seed"] == "0"
    assert found.info.status == "FINISHED"
    pictures = [path.relative_to(run / "mlartifacts") for path in (run / "mlartifacts").rglob("*.png")]
    assert any("codes_by_epoch" in str(path) for path in pictures)


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="NOT TESTED: wandb is not installed")
def test_weights_and_biases_work_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    train_wotd_pipeline(on_vectors(tmp_path, "trainer.max_epochs=1", "logger=wandb"), run)
    import wandb

    assert wandb.run is None, "the next run of this process is another"
    wandb.teardown()  # its service writes the last of it when it ends
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert [path for path in folder.rglob("*.png") if "codes_by_epoch" in path.name]
    (written,) = folder.glob("*.wandb")
    content = written.read_bytes()
    for name in (b"test/nmse", b"train/loss", b"data.batch_size"):
        assert name in content
