"""Training on hosts that share no disk: each sees a folder of its own where the others see theirs, and under one path.

The hosts are mount namespaces of this machine. The first process has the files of the run; what is on the disks of
others, or is not, decides nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_runs import codes, on_vectors, stopped_at
from training_processes import TESTS, Answer, finished

pytestmark = pytest.mark.slow

HOSTS = 2
IN_OWN_FOLDER = 'mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"'
LAST = Path("run/checkpoints/last.ckpt")
ON = ("ckpt_path=last",)
ANEW: tuple[str, ...] = ()


class Hosts:
    """Hosts with a folder each, which they all see at the same place."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "place"
        self.folders = [folder / f"host{number}" for number in range(HOSTS)]
        for each in (self.place, *self.folders):
            each.mkdir()

    def train(self, *overrides: str, told: tuple[tuple[str, ...], ...] = (ANEW,) * HOSTS) -> list[Answer]:
        """Train on all of them, each told something of its own, too."""
        port = free_port()
        runs = [self._started(rank, port, *overrides, *told[rank]) for rank in range(HOSTS)]
        return [finished(run) for run in runs]

    def _started(self, rank: int, port: int, *overrides: str) -> subprocess.Popen:
        torchruns = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "hosts"}
        torchruns |= {"WORLD_SIZE": str(HOSTS), "RANK": str(rank), "GROUP_RANK": str(rank)}
        torchruns |= {"LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        return subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", IN_OWN_FOLDER, "sh", self.folders[rank], self.place,
             sys.executable, "-m", "wotd.train", *overrides, "hydra.run.dir=run"],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)} | torchruns,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skips where a user may not mount, not even for himself."""
    command = ["unshare", "-rm", "mount", "--bind", "/tmp", "/mnt"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("hosts without a shared disk cannot be had here: there is no program unshare")
    if tried.returncode:
        pytest.skip(f"hosts without a shared disk cannot be had here: {tried.stderr.strip()}")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    more = ("trainer=ddp", "trainer.devices=1", f"trainer.num_nodes={HOSTS}", "trainer.max_epochs=3")
    return on_vectors(tmp_path_factory.mktemp("data"), *more)


@pytest.fixture(scope="module")
def whole(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a first host, after a run that nothing has stopped."""
    hosts = Hosts(tmp_path_factory.mktemp("whole"))
    assert_ended(hosts.train(*overrides))
    first, other = hosts.folders
    assert (first / LAST).is_file()
    assert not list((other / "run").rglob("*.ckpt"))
    assert not (other / "run" / "artifacts").exists()
    return first


@pytest.fixture
def stopped(overrides: list[str], tmp_path: Path) -> Hosts:
    """Hosts of a run that was stopped in its second epoch."""
    hosts = Hosts(tmp_path)
    first, other = hosts.train(*overrides, *stopped_at(6))
    assert (first.status, other.status) == (143, 0), first.err + other.err
    assert not (hosts.folders[1] / LAST).exists()
    return hosts


def assert_ended(answers: list[Answer]) -> None:
    for answer in answers:
        assert answer.status == 0, answer.err
        assert "Traceback" not in answer.err


def test_they_train_to_the_end_and_the_first_has_what_it_gave(whole: Path) -> None:
    assert len(codes(whole / "run")) == 300


@pytest.mark.parametrize(("other_told", "other_has"), [(ON, None), (ON, b"of another time"), (ANEW, None)])
def test_all_go_on_from_what_the_first_has(
    other_told: tuple[str, ...], other_has: bytes | None, stopped: Hosts, overrides: list[str], whole: Path
) -> None:
    if other_has is not None:
        (stopped.folders[1] / LAST).parent.mkdir(parents=True, exist_ok=True)
        (stopped.folders[1] / LAST).write_bytes(other_has)
    answers = stopped.train(*overrides, told=(ON, other_told))
    assert_ended(answers)
    assert "going on from" in answers[0].out
    assert codes(stopped.folders[0] / "run") == codes(whole / "run")


def test_all_start_anew_where_the_first_does(overrides: list[str], whole: Path, tmp_path: Path) -> None:
    hosts = Hosts(tmp_path)
    shutil.copytree(whole / LAST.parent, hosts.folders[1] / LAST.parent)
    assert_ended(hosts.train(*overrides, told=(ANEW, ON)))
    assert codes(hosts.folders[0] / "run") == codes(whole / "run")


def test_what_the_first_refuses_to_go_on_from_all_refuse(overrides: list[str], whole: Path, tmp_path: Path) -> None:
    hosts = Hosts(tmp_path)
    shutil.copytree(whole / LAST.parent, hosts.folders[0] / LAST.parent)
    for answer in hosts.train(*overrides, "model.latent_dim=5", told=(ON,) * HOSTS):
        assert answer.status == 1
        assert "last.ckpt, whose model has another shape: latent_dim 6 there and 5 here." in answer.err
        assert "Traceback" not in answer.err
