"""``last.ckpt``: saved between batches only, and as good as not having been stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_training import FAST, small_data, small_module, small_trainer

from wotd.callbacks import CodewordRefit, CosineWarmup, LastCheckpoint
from wotd.data import batches
from wotd.errors import ConfigurationError

BATCHES = 6
"""Of an epoch."""


class Bug(Callback):
    """Breaks off in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("a bug in the middle of a step")


def trained(folder: Path, *more: Callback, every: int = 4, ckpt_path: Path | None = None) -> dict[str, torch.Tensor]:
    data = small_data(folder)
    torch.manual_seed(0)
    module = small_module(data, dropout=0.3, optimizer=FAST)
    kept = LastCheckpoint(every, dirpath=folder)
    trainer = small_trainer(CosineWarmup(), CodewordRefit(), kept, *more, enable_checkpointing=True)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return module.state_dict()


@pytest.mark.parametrize(("stopped", "kept"), [(5, 4), (6, 6), (9, 8)])
def test_after_an_error_a_run_goes_on_from_the_last_whole_step_and_ends_as_if_nothing_had_been(
    stopped: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch, at its end and within the next; the rows come in runs, as those of a large file do."""
    monkeypatch.setattr(batches, "SHUFFLED_RUN", 8)
    monkeypatch.setattr(batches, "SHUFFLED_ROWS", 64)
    whole = trained(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="in the middle"):
        trained(tmp_path / "run", Bug(stopped))
    last = tmp_path / "run" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == kept
    again = trained(tmp_path / "run", ckpt_path=last)
    assert torch.load(last, weights_only=True)["global_step"] == 2 * BATCHES
    for name, value in whole.items():
        assert torch.equal(again[name], value), name
    assert [path.name for path in (tmp_path / "run").glob("*.ckpt")] == ["last.ckpt"]


def test_how_often_is_a_number_of_steps() -> None:
    with pytest.raises(ConfigurationError, match=r"callbacks.last_checkpoint.every_n_steps is 0; expected 1 or more"):
        LastCheckpoint(0)
