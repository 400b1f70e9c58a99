"""The training door: what it prints, how it exits, where things end up, and what processes it survives."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_runs import codes, on_vectors, on_works, stopped_at
from training_processes import Door, finished, started

from wotd import train
from wotd.artifacts import Artifacts
from wotd.errors import WOTDError

pytest_plugins = ["training_door"]


# --- what is said


def test_a_run_reads_well(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))  # one that nothing was embedded into before
    answer = door(*on_works(tmp_path, "trainer.max_epochs=2"), "hydra.run.dir=run")
    assert answer.status == 0
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d (INFO|WARNING) +\S", line) for line in lines if line[:1].isdigit())
    said = "\n".join(line[17:] if line[:1].isdigit() else line for line in lines)
    for sentence in (
        "files: 144 passages of 36 works",
        "lsa: 144 texts embedded, 0 found in the cache",
        "split by author: ",
        "starting 4 levels on ",
        "closed-form start: val/loss ",
        "epoch 1 of 2: train/loss ",
        "epoch 2 of 2: train/loss ",
        "trained 2 epochs (",
        "everything is in run; look at run/artifacts/report.html; next: wotd encode --artifacts run/artifacts ",
    ):
        assert said.count(sentence) == 1, sentence
    assert len(lines) < 20
    header, *sides = said[said.index("results:\n") :].splitlines()[1:5]
    assert header.split()[:4] == ["nMSE", "collisions", "(floor)", "style"]
    assert [side.split()[0] for side in sides] == ["train", "val", "test"]
    assert len({len(side) for side in (header, *sides)}) == 1, "columns stand below each other"
    log = (tmp_path / "run" / "wotd-train.log").read_text()
    assert "[wotd.data.datamodule][INFO] - files: 144 passages of 36 works" in log


def test_the_table_of_results() -> None:
    metrics = {
        "train/nmse": 0.25, "train/collisions/rate": 0.5, "train/collisions/floor": 0.0,
        "train/agreement/style/accuracy": 0.75, "train/agreement/style/majority": 1 / 3,
        "test/nmse": 0.5, "test/collisions/rate": 0.25, "test/collisions/floor": 0.125,
    }  # fmt: skip
    assert train.summary(metrics) == (
        "        nMSE  collisions  (floor)  style  (majority)\n"
        "train  0.250       0.500    0.000  0.750       0.333\n"
        " test  0.500       0.250    0.125                   "
    )


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["data.batchsize=64"], 2, "unknown key 'data.batchsize'; the nearest is 'data.batch_size'."),
        (["data.batch_size=abc"], 1, "data.batch_size is 'abc'; expected a whole number."),
        (["embedding=minilmm"], 2, "embedding has no option 'minilmm'; the nearest is 'minilm'; it has .*bge_base, .*"),
        (["experiment=minilm"], 2, r"experiment=minilm adds to the config; .*: \+experiment=minilm\."),
        (["provider=[files,gutenberg]"], 1, ".*use provider=mixed and set a root for each."),
        (["provider=standard_ebooks", "data.seed=???"], 1, "2 keys have no value; set data.seed=…, provider.root=…."),
        (["+experiment=deep", "data.vectors=none.npy"], 1, "data.vectors is none.npy, which is not a file; .*"),
        (["provider=files", "provider.root=none"], 1, "provider.root is none, which does not exist; .*"),
        (["callbacks.amp.precision=fp8"], 1, "callbacks.amp.precision is 'fp8'; expected one of .*"),
        (["trainer.accelerator=abacus"], 1, "trainer: You selected an invalid accelerator name: .*"),
        (
            ["ckpt_path=last"],
            1,
            "ckpt_path is last, but .*last.ckpt does not exist; no run under outputs/ has one. "
            "A run that had none yet starts anew without it.",
        ),
        (["nonsense"], 2, "nonsense cannot be read; .*"),
        (["logger=null"], 1, "logger=null: .* ~logger leaves it out."),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(door: Door, arguments: list[str], status: int, sentence: str) -> None:
    answer = door(*arguments, "hydra.run.dir=run")
    assert answer.status == status
    assert re.fullmatch(f"wotd-train: {sentence}\n", answer.err), answer.err
    assert answer.out == ""


def test_a_bug_keeps_its_traceback(door: Door, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug in the middle of training"):
        door(*on_vectors(tmp_path), *stopped_at(3, "error"), "hydra.run.dir=run")


def test_a_bug_in_a_part_that_hydra_makes_keeps_its_traceback(door: Door, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Invalid literal for Fraction") as caught:
        door(*on_vectors(tmp_path), "+callbacks.bug={_target_: fractions.Fraction, numerator: x}", "hydra.run.dir=run")
    assert not isinstance(caught.value, WOTDError)


def test_help_says_what_there_is(tmp_path: Path) -> None:
    answer = finished(started("--help", cwd=tmp_path))
    assert answer.status == 0
    assert "Train semantic IDs of literature" in answer.out
    for line in ("embedding: arctic_", "provider: files, gutenberg", "experiment: deep, lsa, minilm"):
        assert line in answer.out
    assert "python -m wotd.train +experiment=minilm\n" in answer.out
    assert 'eval "$(wotd-train -sc install=bash)"' in answer.out
    assert len(answer.out.splitlines()) < 70, "a manual, not the whole config"
    assert not list(tmp_path.iterdir())


def test_the_door_opens_without_torch() -> None:
    code = "import sys, wotd.train; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "lightning", "numpy", "sklearn", "sentence_transformers"} & set(loaded)


def test_a_config_can_be_looked_at_without_running(door: Door, tmp_path: Path) -> None:
    answer = door("+experiment=lsa", "--cfg", "job")
    assert answer.status == 0
    assert "_target_: wotd.embeddings.lsa.LSAEmbedder" in answer.out
    assert not list(tmp_path.iterdir())


# --- where things end up


def test_runs_have_folders_of_their_own_below_outputs(door: Door, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=1")
    assert door(*overrides).status == 0
    (run,) = (tmp_path / "outputs" / "deep").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", run.name)
    assert {path.name for path in run.iterdir()} == {
        ".hydra", "artifacts", "checkpoints", "tensorboard", "wotd-train.log",
    }  # fmt: skip
    # Nothing else anywhere, and the folder may be used again.
    assert {path.name for path in tmp_path.iterdir()} == {"data", "outputs"}
    first = (run / "artifacts" / "config.json").stat().st_mtime_ns
    assert door(*overrides, f"hydra.run.dir={run}").status == 0
    assert (run / "artifacts" / "config.json").stat().st_mtime_ns > first


def test_a_folder_that_cannot_be_made_is_a_sentence(door: Door, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    answer = door("+experiment=deep", "data.vectors=x.npy", "hydra.run.dir=taken/run")
    assert answer.status == 1
    assert answer.err == (
        "wotd-train: the run's folder taken/run cannot be made: Not a directory; set another hydra.run.dir.\n"
    )


@pytest.mark.usefixtures("door")
def test_processes_agree_on_the_name_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WOTD_RUN", raising=False)
    train._name_run()
    assert "WOTD_RUN" not in os.environ, "a single process needs no name; Hydra's clock gives one"
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    train._name_run()
    assert os.environ.pop("WOTD_RUN") == "slurm_77"
    monkeypatch.setenv("WOTD_RUN", "mine")
    train._name_run()
    assert os.environ["WOTD_RUN"] == "mine"


def test_the_run_is_named_by_the_environment(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTD_RUN", "mine")
    answer = door("+experiment=deep", "--cfg", "hydra", "-p", "hydra.run")
    assert "dir: outputs/deep/mine" in answer.out.replace("${name}", "deep").replace(
        "${oc.env:WOTD_RUN,${now:%Y-%m-%d_%H-%M-%S}}", os.environ["WOTD_RUN"]
    )


# --- stopping and going on


def test_the_command_that_is_printed_goes_on(door: Door, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data")
    answer = door(*overrides, *stopped_at(10, "SIGINT"), "hydra.run.dir=run with space")
    assert answer.status == 130
    match = re.fullmatch(r"wotd-train: interrupted; go on with: wotd-train (.*)\n", answer.err)
    assert match, answer.err
    arguments = [each for each in shlex.split(match.group(1)) if "callbacks.stop" not in each]
    assert arguments == [*overrides, "ckpt_path=last", "hydra.run.dir=run with space"]
    assert door(*arguments).status == 0
    assert door(*overrides, "hydra.run.dir=whole").status == 0
    assert codes(tmp_path / "run with space") == codes(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "inter")]
)
def test_a_signal_in_the_middle_of_training(signum: int, status: int, word: str, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=100000", rows=3000)
    process = started(*overrides, "hydra.run.dir=run", cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 3 of" in line:
            break
    process.send_signal(signum)
    answer = finished(process, 30)
    assert answer.status == status
    lines = [line for line in answer.err.splitlines() if line]
    assert len(lines) == 1, answer.err
    assert lines[0].startswith(f"wotd-train: {word}")
    assert "ckpt_path=last hydra.run.dir=run" in lines[0]
    assert not list((tmp_path / "run").glob("*artifacts*")), "neither artifacts nor halves of them"
    again = [*overrides, "trainer.max_epochs=4", "ckpt_path=last", "hydra.run.dir=run"]
    assert finished(started(*again, cwd=tmp_path)).status == 0
    Artifacts.open(tmp_path / "run" / "artifacts")


@pytest.mark.slow
def test_a_signal_before_training_and_while_artifacts_are_written(tmp_path: Path) -> None:
    """Neither leaves anything half-written, and both end in a sentence."""
    slow = tmp_path / "slow_parts.py"
    slow.write_text(
        "import time, sys, runpy\n"
        "import wotd.pipeline as pipeline\n"
        "where = sys.argv.pop(1)\n"
        "def wait(*_, **__):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "setattr(pipeline, where, wait)\n"
        "from wotd.train import main\n"
        "main()\n"
    )
    for where, sentence in (
        ("_start", "wotd-train: terminated; there is no checkpoint to go on from yet."),
        ("write_codes", "wotd-train: terminated; go on with: "),
    ):
        overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=1")
        process = started(where, *overrides, f"hydra.run.dir={where}", cwd=tmp_path, module=(str(slow),))
        assert process.stdout is not None
        for line in process.stdout:
            if line == "waiting\n":
                break
        process.terminate()
        answer = finished(process, 30)
        assert answer.status == 143
        assert answer.err.startswith(sentence), answer.err
        assert not list((tmp_path / where).glob("*artifacts*"))
    assert finished(started(*overrides, "ckpt_path=last", "hydra.run.dir=write_codes", cwd=tmp_path)).status == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=100000", rows=3000)
    process = started(*overrides, "hydra.run.dir=run", cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 4 of" in line:
            break
    process.kill()
    process.communicate()
    arguments = [*overrides, "trainer.max_epochs=6", "ckpt_path=last", "hydra.run.dir=run"]
    answer = finished(started(*arguments, cwd=tmp_path))
    assert answer.status == 0, answer.err
    assert "epoch 3 of 6" not in answer.out
    assert not list((tmp_path / "run").rglob("*.partial"))


# --- several processes


def one_run(folder: Path) -> dict:
    """What the one run below a folder says of itself; there are artifacts once, and one folder for all processes."""
    runs = list(folder.iterdir())
    assert len(runs) == 1, runs
    Artifacts.open(runs[0] / "artifacts")
    assert not [path for path in runs[0].iterdir() if path.name.startswith(".artifacts")]
    return json.loads((runs[0] / "artifacts" / "training_results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["lightning", "torchrun"])
def test_two_processes_make_one_run(launcher: str, tmp_path: Path) -> None:
    overrides = [*on_vectors(tmp_path / "data", "trainer.max_epochs=2"), "trainer=ddp"]
    if launcher == "lightning":
        process = started(*overrides, "trainer.devices=2", cwd=tmp_path)
    else:
        module = ("-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "wotd.train")
        process = started(*overrides, cwd=tmp_path, module=module)
    answer = finished(process, 150)
    assert answer.status == 0, answer.err
    results = one_run(tmp_path / "outputs" / "deep")
    assert results["counts"]["steps"] == 2 * 3  # 240 rows, two processes, 32 a batch, all batches full
    assert answer.out.count("epoch 2 of 2") == 1
    assert answer.out.count("everything is in ") == 1
    assert results["metrics"]["test/nmse"] < 0.6


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(tmp_path: Path) -> None:
    overrides = [*on_vectors(tmp_path / "data", "trainer.max_epochs=100000"), "trainer=ddp", "trainer.devices=2"]
    process = started(*overrides, "hydra.run.dir=run", cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 3 of" in line:
            break
    process.terminate()
    answer = finished(process, 60)
    assert answer.status == 143
    assert answer.err.count("wotd-train: terminated; go on with: ") == 1, answer.err
    assert answer.err.count("\n") == 1, answer.err
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert not (tmp_path / "run" / "artifacts").exists()
