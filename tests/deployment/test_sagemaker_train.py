"""Training as SageMaker runs it: a tree like /opt/ml, an environment, and the script copied alone into code/."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wotd import SemanticIDModel
from wotd.artifacts import Artifacts
from wotd.configuration import compose, overrides_of
from wotd.deployment import inference, train
from wotd.errors import ConfigurationError, CorpusError

pytest_plugins = ("artifact_fixtures",)

SMALL = {"trainer.max_epochs": "1", "model.latent_dim": "8", "model.hidden": "[16]", "logger": "csv"}


class Container:
    """The folders of a training job and its environment."""

    def __init__(self, base: Path) -> None:
        self.base, self.model, self.output = base, base / "model", base / "output"
        for folder in (base / "code", self.model, self.output / "data"):
            folder.mkdir(parents=True)
        shutil.copy(train.__file__, base / "code" / "train.py")
        self.environment = {
            "SM_HPS": "{}",
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DIR": str(self.output),
            "SM_OUTPUT_DATA_DIR": str(self.output / "data"),
        }

    def channel(self, name: str) -> Path:
        folder = self.base / "input/data" / name
        folder.mkdir(parents=True)
        self.environment[f"SM_CHANNEL_{name.upper()}"] = str(folder)
        return folder

    def set(self, **hyperparameters: str) -> None:
        self.environment["SM_HPS"] = json.dumps({**SMALL, **hyperparameters})

    def run_script(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "train.py", "--seed", "not a number", "--unknown", "1"],
            cwd=self.base / "code",
            env={**os.environ, **self.environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    @property
    def failure(self) -> str | None:
        path = self.output / "failure"
        return path.read_text(encoding="utf-8") if path.exists() else None


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "ml")


def write_vectors(path: Path) -> None:
    np.save(path, np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32))


# --- whole jobs


@pytest.mark.slow
def test_a_corpus_and_an_embedding_model_become_artifacts_that_stand_alone(
    container: Container, tiny_model_path: Path
) -> None:
    from artifact_fixtures import invented_works  # a plugin, which pytest wants to import first

    rows = "".join(json.dumps(row) + "\n" for row in invented_works())
    (container.channel("corpus") / "works.jsonl").write_text(rows, encoding="utf-8")
    channel = container.channel("embedding_model")
    shutil.copytree(tiny_model_path, channel, dirs_exist_ok=True)
    container.channel("notes")
    container.set(**{"experiment": "minilm", "provider.passages": "keep", "sagemaker_region": "here", "seed": "3"})

    done = container.run_script()

    assert done.returncode == 0, done.stderr
    assert container.failure is None
    assert "channel notes" in done.stderr
    assert (container.output / "data/checkpoints").is_dir()
    assert Artifacts.open(container.model).config["seed"] == 3
    shutil.rmtree(channel)
    model = inference.model_fn(str(container.model))
    assert len(model.encode("The rose in the meadow.")[0].code) == 4


def test_vectors_become_deep_ids(container: Container) -> None:
    write_vectors(container.channel("vectors") / "mine.npy")
    container.set(**{"model.level_sizes": "[4, 4]"})
    assert train.main(container.environment) == 0
    assert SemanticIDModel.load(container.model).level_sizes == (4, 4)


def test_a_bad_hyperparameter_ends_the_job_with_its_sentence(container: Container) -> None:
    container.set(experiment="deep", batch_size="64")
    done = container.run_script()
    assert done.returncode == 1
    assert container.failure == "unknown key 'batch_size'; the nearest is 'data.batch_size'.\n"
    assert container.failure.strip() in done.stderr
    assert "Traceback" not in done.stderr
    assert list(container.model.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("disk full"), "unexpected OSError: disk full\n"), (KeyboardInterrupt(), "training was stopped before")],
)
def test_other_endings_are_told_too(
    container: Container, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    def fail(_) -> None:
        raise error

    monkeypatch.setattr(train, "run", fail)
    assert train.main(container.environment) == 1
    assert container.failure.startswith(reason)


@pytest.mark.parametrize(
    ("rank", "status", "failure"),
    [
        ({}, 143, "training was stopped before its end and has left nothing to go on from; a job that has a place"),
        ({"RANK": "0"}, 143, "training was stopped before its end and"),
        ({"RANK": "3"}, 0, ""),
    ],
)
def test_an_end_by_sigterm_is_the_first_process_to_tell(
    container: Container, monkeypatch: pytest.MonkeyPatch, rank: dict[str, str], status: int, failure: str
) -> None:
    def stop(_) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(train, "run", stop)
    assert train.main({**container.environment, **rank}) == status
    assert (container.failure or "")[: len(failure)] == failure


def test_of_several_processes_the_reason_of_the_first_to_fail_stays(container: Container) -> None:
    for text in ('{"seeed": 1}', '{"sed": 1}'):
        assert train.main({**container.environment, "SM_HPS": text, "RANK": "0"}) == 1
    assert "'seeed'" in container.failure


def test_a_job_with_a_place_for_checkpoints_goes_on_from_there(container: Container) -> None:
    write_vectors(container.channel("vectors") / "mine.npy")
    container.set(**{"model.level_sizes": "[4, 4]"})
    kept = container.base / "elsewhere"
    kept.mkdir()
    container.environment["WOTD_CHECKPOINTS"] = str(kept)
    assert train.main(container.environment) == 0
    assert {path.name for path in (kept / "run").iterdir()} == {"checkpoints", "csv"}
    assert sorted(path.name for path in (container.output / "data").iterdir()) == [
        "csv", "plots", "report.html", "training_config.yaml", "training_results.json",
    ]  # fmt: skip

    container.set(**{"model.level_sizes": "[4, 4]", "trainer.max_epochs": "2"})
    assert train.main(container.environment) == 0
    results = json.loads((container.output / "data/training_results.json").read_text(encoding="utf-8"))
    assert results["counts"]["epochs"] == 2
    assert "ckpt_path: last" in (container.model / "training_config.yaml").read_text(encoding="utf-8")

    container.set(**{"model.level_sizes": "[8, 8]"})
    assert train.main(container.environment) == 1
    assert "whose model has another shape" in container.failure


@pytest.mark.slow
def test_processes_of_one_host_make_one_run(container: Container) -> None:
    write_vectors(container.channel("vectors") / "mine.npy")
    settings = {"model.level_sizes": "[4, 4]", "trainer.devices": "2", "trainer.accelerator": "cpu"}
    container.set(**settings, **{"data.batch_size": "20"})
    done = container.run_script()
    assert done.returncode == 0, done.stderr
    counts = json.loads((container.output / "data/training_results.json").read_text(encoding="utf-8"))["counts"]
    assert counts["steps"] == counts["train"] // 40
    assert SemanticIDModel.load(container.model).level_sizes == (4, 4)


def test_a_failure_that_cannot_be_written_still_ends_the_job(container: Container) -> None:
    (container.base / "file").touch()
    container.environment |= {"SM_HPS": "{", "SM_OUTPUT_DIR": str(container.base / "file/output")}
    assert train.main(container.environment) == 1


# --- hyperparameters


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("64", 64),
        ("1e-3", 1e-3),
        ("true", True),
        ("True", True),
        ("null", None),
        ("None", None),
        ("[16, 16]", [16, 16]),
        ('"1984"', "1984"),
        ("files", "files"),
        ("NaN", "NaN"),
        ("", ""),
        ("[" * 5000, "[" * 5000),
        (0.5, 0.5),
        (True, True),
    ],
)
def test_values_are_decoded(given: object, value: object) -> None:
    decoded = train.decoded(given)
    assert (type(decoded), decoded) == (type(value), value)


def test_sagemakers_own_hyperparameters_are_left_out() -> None:
    given = {"seed": "1", "sagemaker_program": "train.py", "_tuning_objective_metric": "val/loss"}
    assert train.hyperparameters({"SM_HPS": json.dumps(given)}) == {"seed": 1}
    assert train.hyperparameters({}) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"experimnt": "deep"}', "unknown key 'experimnt'; the nearest is 'experiment'"),
        ('{"weight_decay": "1"}', "the nearest is 'model.optimizer.weight_decay'"),
        ('{"hydra.run.dir": "here"}', "unknown key 'hydra.run.dir'"),
        ('{"+seed": "1"}', "unknown key"),
        ("{", "SM_HPS is not valid JSON"),
        ("[]", "SM_HPS is a list; expected an object"),
    ],
)
def test_unknown_names_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        train.hyperparameters({"SM_HPS": text})


@pytest.mark.parametrize(
    "value", ["C:\\new\\", "it's", "\\'", "\\\\'", "\\\\", "a, b", "1984", "null", "{a: 1}", " x "]
)
def test_any_text_reaches_the_config_as_it_was_given(value: str) -> None:
    assert compose(overrides_of({"name": value})).name == value


# --- channels


def test_channels_become_settings_that_hyperparameters_complete(tmp_path: Path) -> None:
    corpus = {"corpus": tmp_path}
    assert train.with_channels({}, corpus) == {"provider": "files", "provider.root": str(tmp_path)}
    assert train.with_channels({"provider": "gutenberg"}, corpus)["provider"] == "gutenberg"
    write_vectors(tmp_path / "x.npy")
    vectors = {"vectors": tmp_path}
    assert train.with_channels({}, vectors) == {"experiment": "deep", "data.vectors": str(tmp_path / "x.npy")}
    assert train.with_channels({"experiment": "mine"}, vectors)["experiment"] == "mine"


def test_a_channel_and_a_hyperparameter_may_not_say_the_same_thing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hyperparameter provider\.root and channel corpus"):
        train.with_channels({"provider.root": "elsewhere"}, {"corpus": tmp_path})


@pytest.mark.parametrize(("files", "named"), [([], "0 .npy files .none."), (["a.npy", "b.npy"], "a.npy, b.npy")])
def test_the_channel_of_vectors_holds_one_file(tmp_path: Path, files: list[str], named: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(CorpusError, match=named):
        train.with_channels({}, {"vectors": tmp_path})


# --- the model folder


def test_the_config_comes_last_into_a_mount(
    container: Container, text_artifacts: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == container.model)
    arrived, replace = [], Path.replace

    def noted(self: Path, target: Path) -> Path:
        arrived.append(target.relative_to(container.model).as_posix())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    train.publish(text_artifacts, container.model, tiny_model_path)
    assert arrived[-1] == "config.json"
    assert "embedding_model/config.json" in arrived
    assert SemanticIDModel.load(container.model).level_sizes


def test_a_mount_that_cannot_be_told_is_filled_all_the_same(
    container: Container, text_artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def busy(self: Path, target: Path) -> Path:
        if self == container.model:
            raise OSError(errno.EBUSY, "busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", busy)
    train.publish(text_artifacts, container.model, None)
    assert SemanticIDModel.load(container.model).level_sizes
    assert [path.name for path in container.base.glob(".*")] == []
