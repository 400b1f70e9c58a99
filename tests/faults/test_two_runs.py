"""Two runs in one folder at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipeline_runs import codes, on_vectors
from training_processes import Door

from wotd import train_wotd_pipeline
from wotd.errors import TrainingError
from wotd.run_lock import LOCK, alone

pytest_plugins = ["training_door"]

_HOLD = (
    "import sys, time; from pathlib import Path; from wotd.run_lock import alone\n"
    "with alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a run's folder, as one that trains there."""
    with subprocess.Popen([sys.executable, "-c", _HOLD, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_second_is_refused_and_leaves_no_trace(door: Door, tmp_path: Path) -> None:
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=1")
    assert door(*overrides, "hydra.run.dir=run").status == 0
    expected, whole = codes(tmp_path / "run"), files(tmp_path / "run")
    assert LOCK not in whole
    sentence = "another run is going on in run; wait for its end, or set another hydra.run.dir."
    with held(tmp_path / "run") as other:
        answer = door(*overrides, "seed=1", "hydra.run.dir=run")
        assert (answer.status, answer.err) == (1, f"wotd-train: {sentence}\n")
        with pytest.raises(TrainingError, match=r"^another run is going on in run; "):
            train_wotd_pipeline(overrides, tmp_path / "run")
        assert files(tmp_path / "run") == whole | {LOCK: b""}
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / "run" / LOCK).exists(), "a killed run leaves the file, and it is no lock"
    assert door(*overrides, "hydra.run.dir=run").status == 0
    assert codes(tmp_path / "run") == expected
    assert not (tmp_path / "run" / LOCK).exists()


def test_within_one_process_it_is_held_once_more_and_freed_last(tmp_path: Path) -> None:
    with alone(tmp_path):
        with alone(tmp_path, wait=True):
            pass
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


@pytest.mark.skipif(os.name != "posix", reason="flock is one of POSIX")
def test_a_file_system_without_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import errno
    import fcntl

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with alone(tmp_path / "run"):
        pass
    assert "lies on a file system without locks; see that no other run uses it" in caplog.text
