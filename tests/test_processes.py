"""Training by several processes: what one makes of the same common batches, and an end when one of them is lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import torch.distributed
from lightning.pytorch.callbacks import Callback
from pipeline_runs import codes, on_vectors
from small_training import FAST, clusters, small_data, small_module, small_trainer
from torch.testing import assert_close
from training_processes import finished, started

from wotd import processes
from wotd.assembly import distributed_strategy
from wotd.callbacks import CodebookUsage, CodewordRefit, CosineWarmup, GradientClipping, Watchdog

ROWS, COMMON_BATCH, WORLDS = 331, 24, (1, 2, 4)
"""265 rows to train on and 33 to validate on, which processes cannot divide evenly; rows of a step of all processes."""


class Recorder(Callback):
    """The scalars that each epoch ends with."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_end(self, trainer, pl_module) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def trained(folder: Path, world: int) -> dict[str, Any]:
    """Three epochs with dropout and a taught level, whose labels are so few that a process may have none in a batch."""
    data = small_data(folder, rows=ROWS, batch_size=COMMON_BATCH // world)
    known_N = np.random.default_rng(1).random(ROWS) < 0.1
    data.labels = np.full((ROWS, 3), -1)
    data.labels[:, 0] = np.where(known_N, np.random.default_rng(2).integers(4, size=ROWS), -1)
    torch.manual_seed(0)
    module = small_module(quantizer={"kind": "hvq", "taught": [0]}, dropout=0.3, optimizer=FAST)
    module.supervised = True
    module.start(data.dataset(0), data.dataset(1))
    recorder = Recorder()
    callbacks = [CosineWarmup(), GradientClipping(), CodewordRefit(), CodebookUsage(), Watchdog(), recorder]
    several: dict[str, Any] = {"strategy": distributed_strategy(), "devices": world} if world > 1 else {}
    small_trainer(*callbacks, max_epochs=3, log_every_n_steps=1, **several).fit(module, datamodule=data)
    rows = torch.from_numpy(clusters(2000, seed=5))
    return {"weights": module.model.state_dict(), "codes": module.model.encode(rows), "epochs": recorder.epochs}


def process(rank: int, folder: str, world: int, port: int) -> None:
    """One of several that train together."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    made = trained(Path(folder) / str(rank), world)
    torch.save(made, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What each process of 1, 2 and 4 made."""
    found = {}
    multiprocessing.set_forkserver_preload([__name__])
    for world in WORLDS:
        folder = tmp_path_factory.mktemp(f"world{world}")
        if world == 1:
            torch.save(trained(folder / "0", 1), folder / "0.pt")
        else:
            arguments = (str(folder), world, free_port())
            torch.multiprocessing.start_processes(process, arguments, nprocs=world, start_method="forkserver")
        found[world] = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS[1:])
def test_processes_train_to_the_codes_of_one(runs: dict[int, list[dict[str, Any]]], world: int) -> None:
    """To the last bit alike among themselves; of one process alone, within what sums in another order may differ."""
    [alone], first = runs[1], runs[world][0]
    assert len(alone["codes"].unique(dim=0)) > 30
    for other in runs[world][1:]:
        assert torch.equal(other["codes"], first["codes"])
        for name, value in first["weights"].items():
            assert torch.equal(other["weights"][name], value), name
    assert_close(first["weights"], alone["weights"], rtol=1e-3, atol=1e-4)
    assert (first["codes"] == alone["codes"]).all(1).float().mean() >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS[1:])
def test_what_they_log_is_of_all_their_rows(runs: dict[int, list[dict[str, Any]]], world: int) -> None:
    [alone], first = runs[1], runs[world][0]
    assert len(first["epochs"]) == 3
    for here, there in zip(first["epochs"], alone["epochs"], strict=True):
        assert {"val/loss", "train/loss", "train/alignment", "val/level_1/usage"} <= set(here) == set(there)
        assert here == pytest.approx(there, rel=1e-3, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "victim"), [("lightning", 0), ("torchrun", 1)])
def test_when_a_process_is_killed_the_run_ends_with_a_sentence_and_can_go_on(
    launcher: str, victim: int, tmp_path: Path
) -> None:
    overrides = [*on_vectors(tmp_path / "data"), "trainer=ddp", "data.batch_size=8", "hydra.run.dir=run"]
    overrides.append("callbacks.last_checkpoint.every_n_steps=5")
    if launcher == "lightning":
        process = started(*overrides, "trainer.max_epochs=100000", "trainer.devices=2", cwd=tmp_path)
    else:
        module = ("-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "wotd.train")
        process = started(*overrides, "trainer.max_epochs=100000", cwd=tmp_path, module=module)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 3 of" in line:
            break
    family = [process_ for process_ in _family(process.pid) if "distributed.run" not in " ".join(process_.cmdline())]
    [killed] = [each for each in family if _local_rank(each) == victim]
    killed.send_signal(signal.SIGKILL)
    answer = finished(process, 60)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert answer.status != 0
    assert answer.err.count("wotd-train: another process of this run has ended, ") == 1, answer.err
    assert "go on with ckpt_path=last and the same hydra.run.dir." in answer.err
    others = ["trainer=default"] if launcher == "lightning" else ["trainer.devices=3"]
    again = finished(started(*overrides, *others, "trainer.max_epochs=5", "ckpt_path=last", cwd=tmp_path))
    assert again.status == 0, again.err
    assert "epoch 5 of 5: train/loss " in again.out
    assert len(codes(tmp_path / "run")) == 300


@pytest.mark.slow
def test_a_process_that_ends_before_all_have_met_ends_the_run(tmp_path: Path) -> None:
    """The one that waits for it hears no signal then, so Lightning kills it, and says why."""
    process = started(*on_vectors(tmp_path), "trainer=ddp", "trainer.devices=2", "hydra.run.dir=run", cwd=tmp_path)
    met_by = time.monotonic() + 60
    while not (others := [each for each in _family(process.pid)[1:] if _local_rank(each) == 1]):
        assert time.monotonic() < met_by
        time.sleep(0.1)
    others[0].kill()
    answer = finished(process, 30)
    assert answer.status == -signal.SIGKILL
    assert f"Child process with PID {others[0].pid} terminated with code -9" in answer.out


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _local_rank(process: psutil.Process) -> int:
    try:
        return int(process.environ().get("LOCAL_RANK") or 0)
    except psutil.NoSuchProcess:  # a program that rank 0 had started, and that has ended meanwhile
        return 0


def test_a_process_alone_sums_and_follows_none() -> None:
    value = torch.ones(2, requires_grad=True)
    assert (processes.number(), processes.rank()) == (1, 0)
    assert not processes.summed(value).requires_grad
    processes.follow_first([value])
    assert torch.equal(value, torch.ones(2))
    assert not processes.is_lost(RuntimeError("gloo"))


def test_a_process_parts_from_the_others_before_it_ends() -> None:
    program = (
        "import atexit, torch.distributed\n"
        "from wotd import processes\n"
        "atexit.register(lambda: print('together:', processes.together()))  # the last that is called\n"
        "processes.leave_at_exit()\n"
        "torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)\n"
        "print('together:', processes.together())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "together: True\ntogether: False\n"), ended.stderr


@pytest.mark.parametrize(
    ("sentence", "lost"),
    [
        ("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:3467", True),
        ("[../gloo/transport/tcp/pair.cc:534] Read error [127.0.0.1]:3467: Connection reset by peer", True),
        ("[../gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation", True),
        ("Gloo connectFullMesh failed with [../gloo/transport/tcp/pair.cc:144] no error", True),
        ("[enforce fail at ../gloo/algorithm.h:41] elements == other. 4 vs 5", False),
        ("ProcessGroupGloo::allreduce: unsupported layout", False),
        ("cannot read /home/gloo/data.bin", False),
        ("Connection closed by peer", False),
    ],
)
def test_of_what_gloo_says_lost_connections_are_lost_processes(sentence: str, lost: bool) -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        assert processes.is_lost(RuntimeError(sentence)) is lost
    finally:
        torch.distributed.destroy_process_group()
