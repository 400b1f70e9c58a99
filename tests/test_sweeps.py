"""Sweeps: failures that stay where they are, going on, several processes, Optuna, what is said at the end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pipeline_runs import codes, on_vectors, on_works, stopped_at
from training_processes import Answer, Door, finished, started

from wotd import run_lock, sweeps
from wotd.artifacts import Artifacts
from wotd.configuration import config_directory
from wotd.sweeps import command

pytest_plugins = ["training_door"]


def results(run: Path) -> dict:
    return json.loads((run / "artifacts" / "training_results.json").read_text())


def jobs(sweep: Path) -> list[str]:
    """Names of the folders of a sweep's jobs."""
    return sorted(path.name for path in sweep.iterdir() if (path / ".hydra").is_dir())


def told_to_go_on(answer: Answer) -> list[str]:
    """The arguments of the command that is printed last."""
    last = answer.err.splitlines()[-1]
    assert last.startswith("wotd-train: "), last
    return shlex.split(last.partition("go on with: wotd-train ")[2])


@pytest.fixture
def vectors(tmp_path: Path) -> list[str]:
    """Overrides of a small run on vectors, without a dropout of its own, which draws no pictures."""
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=1", "logger=csv")
    return [each for each in overrides if not each.startswith("model.dropout=") and each != "trainer.max_epochs=4"]


# --- what a sweep leaves and says


def test_a_sweep_leaves_runs_a_comparison_and_a_command(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, "model.dropout=0.1", "data.batch_size=16,32", "hydra.sweep.dir=sweep")
    assert answer.status == 0
    assert answer.err == ""
    assert jobs(tmp_path / "sweep") == ["0", "1"]
    assert [results(tmp_path / "sweep" / name)["counts"]["steps"] for name in "01"] == [15, 7]
    table = pq.read_table(tmp_path / "sweep" / "comparison.parquet").to_pylist()
    assert sorted(row["run"] for row in table) == ["sweep/0", "sweep/1"]
    measured = [results(tmp_path / row["run"])["metrics"]["val/nmse"] for row in table]
    assert [row["val/nmse"] for row in table] == sorted(measured)
    best, repeat, where = answer.out.splitlines()[-3:]
    assert best.startswith("best by val/nmse (least, 0.")
    assert best.endswith(f": {table[0]['run']}")
    assert where == "all metrics: sweep/comparison.parquet; charts: sweep/comparison.html"
    assert best in (tmp_path / "sweep" / "comparison.html").read_text()
    words = shlex.split(repeat.removeprefix("repeat it with: "))
    assert words[:4] == ["python", "-m", "wotd.train", "+experiment=deep"]
    assert door(*words[3:], "hydra.run.dir=again").status == 0
    assert codes(tmp_path / "again") == codes(tmp_path / table[0]["run"])
    assert results(tmp_path / "again")["metrics"] == results(tmp_path / table[0]["run"])["metrics"]


def test_what_is_swept_in_a_file_needs_no_flag(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    own = [each for each in vectors if not each.startswith("model.level_sizes=")]
    answer = door(*own, "model.dropout=0.1", "+sweep=levels", "model.level_sizes=[4,4],[2,2]", "hydra.sweep.dir=sweep")
    assert answer.status == 0
    assert jobs(tmp_path / "sweep") == ["0", "1"]
    assert "+sweep" not in answer.out.splitlines()[-2]


@pytest.mark.parametrize("name", ["embeddings", "levels", "losses", "learning_rate", "optuna"])
def test_a_sweep_of_ours_says_what_varies_and_nothing_of_a_single_run(name: str) -> None:
    """So that the command that repeats a job may leave it out, and with it alone a sweep is asked for."""
    path = config_directory() / "sweep" / f"{name}.yaml"
    assert OmegaConf.load(path).keys() <= {"defaults", "objective", "hydra"}
    assert f"+sweep={name}" in path.read_text().splitlines()[1]
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        assert compose("train", [f"+sweep={name}"], return_hydra_config=True).hydra.mode.name == "MULTIRUN"


# --- failures


def test_a_failing_job_lets_the_others_go_on(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    arguments = ["-m", *vectors, "model.dropout=1.5,0.1", "hydra.sweep.dir=sweep"]
    answer = door(*arguments)
    assert answer.status == 1
    Artifacts.open(tmp_path / "sweep" / "1" / "artifacts")
    failed, rest = answer.err.splitlines()
    assert failed == (
        "wotd-train: sweep/0 (model.dropout=1.5) failed: model.dropout is 1.5; expected 0 or more and less than 1."
    )
    assert rest.startswith("wotd-train: 1 of 2 jobs are finished, 1 failed; go on with: wotd-train -m ")
    assert told_to_go_on(answer) == arguments
    assert "ERROR   sweep/0 failed: model.dropout is 1.5" in answer.out
    assert "best by val/nmse" in answer.out
    assert json.loads((tmp_path / "sweep" / "0" / "failure.json").read_text())["traceback"] == ""


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.nightly)])
def test_bugs_fail_alone_and_keep_their_traceback(
    launcher: str, door: Door, tmp_path: Path, vectors: list[str]
) -> None:
    stop = [each for each in stopped_at(3, "error") if "step" not in each]
    arguments = ["-m", *vectors, "model.dropout=0.1", *stop, "+callbacks.stop.step=3,1000", "hydra.sweep.dir=sweep"]
    if launcher == "joblib":
        arguments += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        answer = finished(started(*arguments, cwd=tmp_path), 200)
    else:
        answer = door(*arguments)
    assert answer.status == 1
    assert "sweep/0 (+callbacks.stop.step=3) failed: RuntimeError: a bug in the middle of training\n" in answer.err
    failure = json.loads((tmp_path / "sweep" / "0" / "failure.json").read_text())
    assert "in on_train_batch_end" in failure["traceback"]
    assert "in on_train_batch_end" in (tmp_path / "sweep" / "0" / "wotd-train.log").read_text()
    Artifacts.open(tmp_path / "sweep" / "1" / "artifacts")
    assert not (tmp_path / "sweep" / "0" / "artifacts").exists()


def test_where_all_fail_there_is_no_table(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, "model.dropout=1.5,1.6", "hydra.sweep.dir=sweep")
    assert answer.status == 1
    assert "0 of 2 jobs are finished, 2 failed" in answer.err
    assert not (tmp_path / "sweep" / "comparison.parquet").exists()


def test_earlier_failures_of_other_jobs_are_not_this_sweeps(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    assert door("-m", *vectors, "model.dropout=1.5,0.1", "hydra.sweep.dir=sweep").status == 1
    answer = door("-m", *vectors, "model.dropout=0.1,0.2", "hydra.sweep.dir=sweep")
    assert answer.status == 0
    assert answer.err == ""


def test_what_cannot_be_composed_ends_a_sweep_before_it_starts(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, "data.batchsize=16,32", "hydra.sweep.dir=sweep")
    assert answer.status == 2
    assert answer.err == "wotd-train: unknown key 'data.batchsize'; the nearest is 'data.batch_size'.\n"
    assert answer.out == ""


def test_distributed_runs_are_not_swept_in_one_command(door: Door, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data")
    answer = door("-m", *overrides, "trainer=ddp", "trainer.devices=2", "seed=0,1", "hydra.sweep.dir=sweep")
    assert answer.status == 1
    assert "trainer=ddp cannot be swept with -m in one command" in answer.err


@pytest.mark.parametrize(
    ("override", "extra"), [("hydra/launcher=joblib", "joblib"), ("hydra/launcher=submitit_slurm", "slurm"),
                            ("+sweep=optuna", "optuna")],
)  # fmt: skip
def test_a_launcher_that_is_not_installed_is_named_with_its_extra(
    override: str, extra: str, door: Door, vectors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_installed", lambda module: False)
    answer = door("-m", *vectors, override)
    assert answer == (
        1, "", f"wotd-train: {override} needs a package that is not installed: pip install 'wotd[{extra}]'.\n"
    )  # fmt: skip


# --- going on


def test_a_stopped_sweep_goes_on_where_it_was(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    more = [*vectors, "model.dropout=0.1", "trainer.max_epochs=4"]
    stop = [each for each in stopped_at(10, "SIGINT") if "step" not in each]
    answer = door("-m", *more, *stop, "+callbacks.stop.step=1000,10,1001", "hydra.sweep.dir=my sweep")
    assert answer.status == 130
    last = answer.err.splitlines()[-1]
    assert last.startswith("wotd-train: interrupted; 1 of 3 jobs are finished, 0 failed; go on with: wotd-train -m ")
    assert "best by val/nmse" in answer.out
    assert jobs(tmp_path / "my sweep") == ["0", "1"]
    assert not (tmp_path / "my sweep" / "1" / "artifacts").exists()
    first = (tmp_path / "my sweep" / "0" / "artifacts" / "config.json").stat().st_mtime_ns

    again = door(*told_to_go_on(answer))
    assert again.status == 0, again.err
    assert "my sweep/0 is finished already" in again.out
    assert "going on from " in again.out
    assert (tmp_path / "my sweep" / "0" / "artifacts" / "config.json").stat().st_mtime_ns == first
    assert jobs(tmp_path / "my sweep") == ["0", "1", "2"]
    assert codes(tmp_path / "my sweep" / "1") == codes(tmp_path / "my sweep" / "0"), "stopped and gone on, or in one go"


def test_a_sweep_may_grow_and_overwrites_nothing(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    arguments = ["-m", *vectors, "model.dropout=0.1", "hydra.sweep.dir=sweep"]
    assert door(*arguments, "seed=0,1").status == 0
    kept = {name: results(tmp_path / "sweep" / name)["seconds"] for name in "01"}
    answer = door(*arguments, "seed=5,0,1")
    assert answer.status == 0
    assert answer.out.count("is finished already") == 2
    (new,) = set(jobs(tmp_path / "sweep")) - {"0", "1"}
    assert re.fullmatch(r"0-[0-9a-f]{6}", new)
    assert kept == {name: results(tmp_path / "sweep" / name)["seconds"] for name in "01"}
    assert pq.read_table(tmp_path / "sweep" / "comparison.parquet")["seed"].to_pylist() != []
    assert door(*arguments, "seed=5,0,1").out.count("is finished already") == 3


def test_artifacts_of_other_settings_are_left_alone(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    arguments = ["-m", *vectors, "model.dropout=0.1", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert door(*arguments).status == 0
    path = tmp_path / "sweep" / "0" / "artifacts"
    settings = OmegaConf.load(path / "training_config.yaml")
    settings.model.dropout, settings.ckpt_path, settings.data.cache_dir = 0.2, "last", "elsewhere"
    OmegaConf.save(settings, path / "training_config.yaml")
    config = json.loads((path / "config.json").read_text())
    config["files"].pop("training_config.yaml")
    (path / "config.json").write_text(json.dumps(config))
    answer = door(*arguments)
    assert answer.status == 1
    differing = "sweep/0/artifacts was made with other settings (model.dropout 0.2 there and 0.1 here); "
    assert f"failed: {differing}" in answer.err
    assert "1 of 2 jobs are finished, 1 failed" in answer.err
    assert OmegaConf.load(path / "training_config.yaml") == settings


def test_damaged_artifacts_are_made_once_more(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    arguments = ["-m", *vectors, "model.dropout=0.1", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert door(*arguments).status == 0
    (tmp_path / "sweep" / "1" / "artifacts" / "encoder.safetensors").write_bytes(b"cut sh")
    answer = door(*arguments)
    assert answer.status == 0
    assert re.search(r"made once more: .*sweep/1/artifacts/encoder.safetensors is not as it was written", answer.out)
    Artifacts.open(tmp_path / "sweep" / "1" / "artifacts")


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    stop = [each for each in stopped_at(4, "SIGINT") if "step" not in each]
    arguments = ["-m", *vectors, "model.dropout=0.1", *stop, "hydra.sweep.dir=sweep"]
    assert door(*arguments, "+callbacks.stop.step=4,1000").status == 130
    begun = tmp_path / "sweep" / "0" / "training_config.yaml"
    begun.write_text(begun.read_text().replace("dropout: 0.1", "dropout: 0.2"))
    begun.write_text(begun.read_text().replace("step: 4", "step: 1000"))
    answer = door(*arguments, "+callbacks.stop.step=4,1000")
    assert "sweep/0 starts anew, for its settings have changed: model.dropout 0.2 there and 0.1 here" in answer.out
    assert "going on from" not in answer.out


def test_folders_are_known_by_what_jobs_were_told(tmp_path: Path) -> None:
    def begin(name: str, *overrides: str) -> None:
        (tmp_path / name / ".hydra").mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(list(overrides)), tmp_path / name / ".hydra" / "overrides.yaml")

    assert sweeps.job_folder(str(tmp_path / "none"), 3, ["a=1"]) == "3"
    begin("0", "a=1", "b=2")
    begin("1", "a=2", "b=2")
    assert sweeps.job_folder(str(tmp_path), 0, ["b=2", "a=1"]) == "0"
    assert sweeps.job_folder(str(tmp_path), 0, ["b=2", "a=1", "objective=val/loss", "ckpt_path=last"]) == "0"
    assert sweeps.job_folder(str(tmp_path), 7, ["a=2", "b=2"]) == "1"
    assert sweeps.job_folder(str(tmp_path), 2, ["a=3", "b=2"]) == "2"
    other = sweeps.job_folder(str(tmp_path), 0, ["a=3", "b=2"])
    assert re.fullmatch("0-[0-9a-f]{6}", other)
    begin(other, "a=3", "b=2")
    assert sweeps.job_folder(str(tmp_path), 0, ["a=3", "b=2"]) == other
    assert sweeps.job_folder(str(tmp_path), 0, ["a=4", "b=2"]) not in (other, "0", "1")


def test_a_job_is_waited_for_that_another_process_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(1)"
    )
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen(
        [os.sys.executable, "-c", code, str(tmp_path / run_lock.LOCK)], stdout=subprocess.PIPE, text=True
    ) as other, caplog.at_level("INFO"):  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with run_lock.alone(tmp_path, wait=True):
            assert other.wait(10) == 0, "it let go before we were let in"
    assert ".: waiting for the process that has it" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "signum", "status", "word"),
    [("basic", signal.SIGTERM, 143, "terminated"), ("joblib", signal.SIGINT, 130, "interrupted")],
)
def test_signals_end_a_sweep_in_good_order(launcher: str, signum: int, status: int, word: str, tmp_path: Path) -> None:
    overrides = [*on_vectors(tmp_path / "data", rows=3000), "seed=0,1,2", "trainer.max_epochs=200"]
    arguments = ["-m", *overrides, "hydra.sweep.dir=sweep"]
    if launcher == "joblib":
        arguments += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    process = started(*arguments, cwd=tmp_path, start_new_session=True)
    assert process.stdout is not None
    kept = tmp_path / "sweep" / "0" / "checkpoints" / "last.ckpt"
    for line in process.stdout:
        if "epoch " in line and kept.is_file():  # of two jobs side by side either may be ahead
            break
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)  # as a terminal does
    else:
        process.send_signal(signum)
    answer = finished(process, 60)
    assert answer.status == status, answer.err
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith(f"wotd-train: {word}")
    assert "0 of 3 jobs are finished, 0 failed; go on with: " in last
    assert "Traceback" not in answer.err
    assert kept.is_file()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_said_and_gone_on_without(tmp_path: Path) -> None:
    arguments = ["-m", *on_vectors(tmp_path / "data"), "seed=0,1", "trainer.max_epochs=9", "hydra.sweep.dir=sweep"]
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    killed = finished(started(*arguments, *joblib, *stopped_at(50, "SIGKILL"), cwd=tmp_path))
    assert killed.status == 1
    assert "wotd-train: TerminatedWorkerError: " in killed.err
    last = killed.err.splitlines()[-1]
    assert "broken off; 0 of 2 jobs are finished, 0 failed; go on with: " in last
    again = [each for each in told_to_go_on(killed) if "callbacks.stop" not in each and each not in joblib]
    assert again == arguments
    answer = finished(started(*again, cwd=tmp_path))
    assert answer.status == 0, answer.err
    assert len(list((tmp_path / "sweep").glob("*/artifacts/config.json"))) == 2


# --- several processes


@pytest.mark.slow
def test_jobs_in_parallel_embed_each_text_once(tmp_path: Path, tiny_model_path: Path) -> None:
    overrides = on_works(tmp_path / "data", "trainer.max_epochs=1")
    overrides = ["+experiment=minilm", f"embedding.model={tiny_model_path}", "features=none", *overrides[2:]]
    sweep = ["-m", *overrides, "data.batch_size=16,32,64", "hydra.sweep.dir=sweep"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    cache = {"WOTD_CACHE": str(tmp_path / "cache")}
    answer = finished(started(*sweep, *launcher, cwd=tmp_path, env=cache), 200)
    assert answer.status == 0, answer.err
    counts = [results(tmp_path / "sweep" / name)["counts"] for name in "012"]
    assert [count["passages"] for count in counts] == [144] * 3
    assert sum(count["embeddings_computed"] for count in counts) == 144
    assert "best by val/nmse" in answer.out


@pytest.mark.slow
def test_submitit_runs_jobs_as_processes_of_their_own(tmp_path: Path, vectors: list[str]) -> None:
    arguments = ["-m", *vectors, "model.dropout=0.1,1.5", "hydra/launcher=submitit_local", "hydra.sweep.dir=sweep"]
    answer = finished(started(*arguments, cwd=tmp_path), 200)
    assert answer.status == 1
    assert "sweep/1 (model.dropout=1.5) failed: model.dropout is 1.5" in answer.err
    assert "1 of 2 jobs are finished, 1 failed" in answer.err
    Artifacts.open(tmp_path / "sweep" / "0" / "artifacts")


@pytest.mark.slow
def test_a_sweep_over_embedding_models_and_batch_sizes(tmp_path: Path, tiny_model_path: Path) -> None:
    overrides = on_works(tmp_path / "data", "trainer.max_epochs=1")[2:]  # as the sweep chooses the embedding
    conf = tmp_path / "conf" / "embedding"
    conf.mkdir(parents=True)
    (conf / "tiny.yaml").write_text(f"defaults:\n  - sentence_transformer\nmodel: {tiny_model_path}\n")
    arguments = ["-m", "+experiment=minilm", "+sweep=embeddings", "embedding=tiny,lsa", "data.batch_size=16,32"]
    arguments += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep"]
    cache = {"WOTD_CACHE": str(tmp_path / "cache")}
    answer = finished(started("--config-dir", "conf", *arguments, *overrides, cwd=tmp_path, env=cache), 300)
    assert answer.status == 0, answer.err
    folders = sorted((tmp_path / "sweep").glob("*/artifacts"))
    kinds = [Artifacts.open(folder).config["embedding"]["fingerprint"]["kind"] for folder in folders]
    assert len(folders) == 4
    assert kinds[0] == kinds[1] != kinds[2] == kinds[3] == "lsa"
    assert "best by val/agreement/*/accuracy (most, 0." in answer.out
    for pair in ("01", "23"):  # lsa is fitted anew in each process and gives the same vectors
        counts = [results(tmp_path / "sweep" / name)["counts"] for name in pair]
        assert sum(count["embeddings_computed"] for count in counts) == 144
    repeat = next(line for line in answer.out.splitlines() if line.startswith("repeat it with: "))
    assert shlex.split(repeat)[6:9] == ["--config-dir", str(tmp_path / "conf"), "+experiment=minilm"]


# --- sweepers that seek


OPTUNA = ("+sweep=optuna", "hydra.sweep.dir=sweep")


def test_optuna_goes_by_the_validation_side_and_goes_on(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, *OPTUNA, "hydra.sweeper.n_trials=2")
    assert answer.status == 0, answer.err
    assert "objective: val/nmse, to minimize" in answer.out
    found = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml")
    measured = {name: results(tmp_path / "sweep" / name)["metrics"] for name in jobs(tmp_path / "sweep")}
    assert found.best_value == min(metrics["val/nmse"] for metrics in measured.values())
    more = door("-m", *vectors, *OPTUNA, "hydra.sweeper.n_trials=3")
    assert more.status == 0
    assert jobs(tmp_path / "sweep") == ["0", "1", "2"]
    assert more.out.count("is finished already") == 2


def test_the_direction_is_that_of_the_objective(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, *OPTUNA, "hydra.sweeper.n_trials=2", "objective=test/cosine")
    assert answer.status == 0
    assert "objective: test/cosine, to maximize" in answer.out
    assert "what is chosen by the test side is no longer measured by it" in answer.out
    found = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml")
    cosines = [results(tmp_path / "sweep" / name)["metrics"]["test/cosine"] for name in "01"]
    assert found.best_value == max(cosines)
    assert "best by test/cosine (most, 0." in answer.out


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        ("nmse", "objective is nmse; expected a metric of one side, such as val/nmse or val/agreement/*/accuracy."),
        ("val/nmze", "objective is val/nmze, which was not measured; try val/nmse"),
    ],
)
def test_an_objective_that_is_none_is_named(
    objective: str, sentence: str, door: Door, tmp_path: Path, vectors: list[str]
) -> None:
    answer = door("-m", *vectors, *OPTUNA, "hydra.sweeper.n_trials=1", f"objective={objective}")
    assert answer.status == 1
    assert f"failed: {sentence}" in answer.err
    assert "Traceback" not in answer.err


def test_a_grid_needs_no_objective(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    answer = door("-m", *vectors, "model.dropout=0.1,0.2", "objective=val/nmze", "hydra.sweep.dir=sweep")
    assert answer.status == 0
    assert answer.err.startswith("wotd-train: objective is val/nmze, which no run measured; try val/nmse, ")
    assert answer.err.count("\n") == 1
    assert "best by val/nmse (" in answer.out


def test_the_same_trial_twice_is_trained_once(door: Door, tmp_path: Path, vectors: list[str]) -> None:
    sought = ["hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "model.dropout=choice(0.1)", "hydra.sweep.dir=sweep"]
    answer = door("-m", *vectors, *sought, "hydra.sweeper.n_trials=3")
    assert answer.status == 0
    assert jobs(tmp_path / "sweep") == ["0"]
    assert answer.out.count("is finished already") == 2
