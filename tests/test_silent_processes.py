"""How long processes that train together wait for one that neither ends nor answers."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
from pipeline_runs import on_vectors
from training_processes import finished, started

from wotd.assembly import build_trainer, distributed_strategy
from wotd.configuration import compose
from wotd.errors import ConfigurationError

TIMEOUT_S = 25
"""Enough for processes to find each other on a busy machine."""


@pytest.mark.parametrize("seconds", ["0", "-1", "1e300", "inf", "nan"])
def test_what_is_no_time_to_wait_is_refused(seconds: str, tmp_path: Path) -> None:
    config = compose(["trainer=ddp", "trainer.accelerator=cpu", f"trainer.strategy.timeout_s={seconds}"])
    with pytest.raises(
        ConfigurationError,
        match=r"^trainer\.strategy\.timeout_s is .*; expected seconds, more than 0 and less than 1e9\.$",
    ):
        build_trainer(config, tmp_path)


def test_the_time_is_that_of_the_strategy() -> None:
    assert distributed_strategy(90)._timeout.total_seconds() == 90


@pytest.mark.slow
def test_one_that_is_silent_for_too_long_is_lost(tmp_path: Path) -> None:
    several = (
        "trainer=ddp",
        "trainer.devices=2",
        f"trainer.strategy.timeout_s={TIMEOUT_S}",
        "trainer.max_epochs=100000",
    )
    run = started(*on_vectors(tmp_path / "data"), *several, "hydra.run.dir=run", cwd=tmp_path)
    assert run.stdout is not None
    for line in run.stdout:
        if "epoch 3 of" in line:
            break
    [silent] = [each for each in psutil.Process(run.pid).children(recursive=True) if _trains(each)]
    silent.suspend()
    since = time.monotonic()
    try:
        run.wait(TIMEOUT_S + 20)
    finally:
        silent.send_signal(signal.SIGKILL)
    assert time.monotonic() - since > TIMEOUT_S - 5
    answer = finished(run)
    assert answer.status == 1
    assert answer.err.count("wotd-train: another process of this run has ended, ") == 1, answer.err
    assert "go on with ckpt_path=last and the same hydra.run.dir." in answer.err


def _trains(process: psutil.Process) -> bool:
    return process.environ().get("LOCAL_RANK") == "1"
