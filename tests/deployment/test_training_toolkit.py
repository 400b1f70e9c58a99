"""Training jobs run by SageMaker's toolkit, in trees like /opt/ml: to the end, refused, interrupted, on two hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from borrowed_environment import Environment, outside
from small_training import clusters
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wotd import SemanticIDModel, __version__
from wotd.artifacts import Artifacts
from wotd.deployment import train

pytest_plugins = ("sagemaker_image",)
pytestmark = pytest.mark.slow

EPOCHS = 20
SETTINGS = {
    "name": json.dumps(json.dumps("1984")),  # a text, though it reads as a number
    "data.batch_size": "32",
    "model.level_sizes": "[4, 4]",
    "model.latent_dim": "6",
    "model.hidden": "[16]",
    "trainer.max_epochs": str(EPOCHS),
    "callbacks.early_stopping": "null",
}


class Job:
    """The tree of one host of a training job, and the toolkit that runs it."""

    def __init__(self, image: Environment, base: Path, *, host: str = "localhost", hosts: tuple[str, ...] = ()) -> None:
        self.image, self.base, self.model, self.output = image, base, base / "model", base / "output"
        for folder in ("input/config", "input/data/vectors", "model", "output/data", "code"):
            (base / folder).mkdir(parents=True)
        np.save(base / "input/data/vectors/mine.npy", clusters(300))
        shutil.copy(train.__file__, base / "code/train.py")
        self.configure("resourceconfig", {"current_host": host, "hosts": list(hosts or (host,))})
        self.configure("inputdataconfig", {"vectors": {"S3DistributionType": "FullyReplicated"}})
        self.set()

    def configure(self, name: str, content: dict[str, Any]) -> None:
        (self.base / f"input/config/{name}.json").write_text(json.dumps(content), encoding="utf-8")

    def set(self, **hyperparameters: str) -> None:
        self.configure("hyperparameters", {**SETTINGS, "sagemaker_region": '"here"', **hyperparameters})

    def start(self, **environment: str) -> subprocess.Popen[str]:
        variables = {
            "SAGEMAKER_BASE_DIR": str(self.base),
            "SAGEMAKER_PROGRAM": "train.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": str(self.base / "code"),
            "PIP_NO_INDEX": "1",
        }
        return subprocess.Popen(
            [self.image.scripts / "train"],
            cwd=self.base,
            env={**outside(), **variables, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        process = self.start()
        said, _ = process.communicate(timeout=240)
        return process.returncode, said

    @property
    def failure(self) -> str | None:
        path = self.output / "failure"
        return path.read_text(encoding="utf-8") if path.exists() else None

    @property
    def codes(self) -> list[list[int]]:
        found: list[list[int]] = pq.read_table(self.model / "codes.parquet")["code"].to_pylist()
        return found


@pytest.fixture(scope="module")
def whole(image: Environment, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that nothing interrupts; the image learns of wotd from its requirements alone."""
    job = Job(image, tmp_path_factory.mktemp("whole") / "ml")
    shutil.copy(wheel, job.base / "code")
    (job.base / "code/requirements.txt").write_text(f"./{wheel.name}\n", encoding="utf-8")
    status, said = job.run()
    assert status == 0, said
    return job


def test_a_job_leaves_what_sagemaker_takes_away(whole: Job) -> None:
    assert (whole.output / "success").exists()
    assert whole.failure is None
    config = Artifacts.open(whole.model).config
    assert config["libraries"]["wotd"] == __version__
    assert "name: '1984'" in (whole.model / "training_config.yaml").read_text(encoding="utf-8")
    assert SemanticIDModel.load(whole.model).level_sizes == (4, 4)
    left = {path.name for path in (whole.output / "data").iterdir()}
    assert {"training_results.json", "report.html", "plots", "tensorboard", "checkpoints"} <= left
    assert "artifacts" not in left
    assert json.loads((whole.output / "data/training_results.json").read_text())["counts"]["epochs"] == EPOCHS
    assert epochs_seen(whole) == EPOCHS


def test_a_bad_hyperparameter_is_the_reason_of_the_failure(image_with_wotd: Environment, tmp_path: Path) -> None:
    job = Job(image_with_wotd, tmp_path / "ml")
    job.set(batch_size="64")
    status, said = job.run()
    assert status == 1
    assert job.failure == "unknown key 'batch_size'; the nearest is 'data.batch_size'.\n"
    assert "Traceback" not in said
    assert not (job.output / "success").exists()
    assert list(job.model.iterdir()) == []


def test_an_interrupted_job_goes_on_in_another_container(
    image_with_wotd: Environment, tmp_path: Path, whole: Job
) -> None:
    first = Job(image_with_wotd, tmp_path / "first")
    kept = first.base / "checkpoints"
    kept.mkdir()
    process = first.start()
    last = kept / "run/checkpoints/last.ckpt"
    wait_for(last, process)
    for script in children(process.pid):
        os.kill(script, signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert first.failure == (
        "training was stopped before its end; a job with the same checkpoints goes on with what is in "
        f"{kept / 'run'}.\n"
    )
    assert list(first.model.iterdir()) == []
    assert 0 < torch.load(last, weights_only=True)["epoch"] < EPOCHS - 1

    second = Job(image_with_wotd, tmp_path / "second")
    shutil.move(kept, second.base / "checkpoints")
    status, said = second.run()
    assert status == 0, said
    assert "going on from" in said
    assert second.codes == whole.codes
    assert not (second.output / "data/checkpoints").exists()
    assert epochs_seen(second) == EPOCHS, "the curves go on, too"


@pytest.mark.parametrize("launcher", ["ours", "the toolkit's"])
def test_two_hosts_make_one_run(launcher: str, image_with_wotd: Environment, tmp_path: Path) -> None:
    hosts = ("127.0.0.1", "localhost")
    jobs = [Job(image_with_wotd, tmp_path / f"host-{host}", host=host, hosts=hosts) for host in hosts]
    for job in jobs:
        job.set(**{"trainer.max_epochs": "2"})
    ours = {"MASTER_PORT": str(free_port())}
    options = ours if launcher == "ours" else with_torch_distributed(image_with_wotd, tmp_path)
    processes = [job.start(**options) for job in jobs]
    said = all_said(processes, timeout_s=200)
    assert [process.returncode for process in processes] == [0, 0], said
    assert all((job.output / "success").exists() for job in jobs)
    results = json.loads((jobs[0].output / "data/training_results.json").read_text())
    rows = results["counts"]["train"]
    assert results["counts"]["steps"] == 2 * (rows // (2 * 32)), "each host trains on half of the rows"
    assert SemanticIDModel.load(jobs[0].model).level_sizes == (4, 4)
    assert list(jobs[1].model.iterdir()) == []
    assert list((jobs[1].output / "data").iterdir()) == []


def all_said(processes: list[subprocess.Popen[str]], *, timeout_s: float) -> str:
    """What they said until they ended, or were killed since one of them had not ended in time."""
    with ThreadPoolExecutor(len(processes)) as threads:
        said = [threads.submit(process.communicate) for process in processes]
        wait(said, timeout=timeout_s)
        for process in processes:
            if process.poll() is None:
                for each in (*psutil.Process(process.pid).children(recursive=True), process):
                    each.kill()
        return "\n".join(each.result()[0] for each in said)


def with_torch_distributed(image: Environment, folder: Path) -> dict[str, str]:
    """Variables of an image whose framework module starts jobs with the toolkit's torchrun, as PyTorch's image does
    where a job asks for the distribution ``torch_distributed``.
    """
    (folder / "container.py").write_text(
        "from sagemaker_training import entry_point, environment, runner\n"
        "def main():\n"
        "    job, kind = environment.Environment(), runner.RunnerType.TorchDistributed\n"
        "    given = job.module_dir, job.user_entry_point, job.to_cmd_args(), job.to_env_vars()\n"
        "    entry_point.run(*given, capture_error=True, runner_type=kind)\n",
        encoding="utf-8",
    )
    torchrun = folder / "torchrun"
    torchrun.write_text(f'#!/bin/sh\nexec {image.python} -m torch.distributed.run "$@"\n', encoding="utf-8")
    torchrun.chmod(0o755)
    return {
        "SAGEMAKER_TRAINING_MODULE": "container:main",
        "PYTHONPATH": str(folder),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """Process IDs of the toolkit's child, which is the script."""
    return [int(each) for each in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def epochs_seen(job: Job) -> int:
    """Of how many epochs the events tell a validation loss."""
    events = EventAccumulator(str(job.output / "data/tensorboard"), size_guidance={"scalars": 0}).Reload()
    return len({each.step for each in events.Scalars("val/loss")})
