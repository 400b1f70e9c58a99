"""A clock that jumps by a year, back or ahead, and files that are of then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pipeline_runs import codes, on_vectors, stopped_at

from wotd import train_wotd_pipeline

_YEAR = 365 * 86_400.0


def jump(folder: Path, seconds: float) -> None:
    """Let all files of a folder be as old, or as new, as a clock says that has jumped."""
    for path in folder.rglob("*"):
        now = path.lstat().st_mtime + seconds
        os.utime(path, (now, now), follow_symlinks=False)


def test_a_run_goes_on_from_its_last_checkpoint_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = on_vectors(tmp_path, "trainer.max_epochs=2")
    whole = train_wotd_pipeline(overrides, tmp_path / "whole")
    run, real, again = tmp_path / "run", time.time, []
    for seconds, step in ((_YEAR, 3), (-_YEAR, 11)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda seconds=seconds: real() + seconds)
            with pytest.raises(SystemExit):
                train_wotd_pipeline([*overrides, *stopped_at(step), *again], run)
        jump(run / "checkpoints", seconds)
        again = ["ckpt_path=last"]
    gone_on = train_wotd_pipeline([*overrides, *again], run)
    assert codes(run) == codes(tmp_path / "whole")
    assert gone_on.counts["steps"] == whole.counts["steps"]
    assert all(value >= 0 for value in gone_on.seconds.values())
