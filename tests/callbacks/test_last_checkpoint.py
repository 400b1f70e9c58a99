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


class Seen(Callback):
    """The vectors of an epoch's batches, and the epochs that came to their end."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.rows, self.rates, self.ended = epoch, [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch:
            self.rows += [tuple(row) for row in batch.embeddings.tolist()]
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.ended.append(trainer.current_epoch)


def trained(
    folder: Path, *more: Callback, every: int = 4, ckpt_path: Path | None = None, batch_size: int = 32
) -> dict[str, torch.Tensor]:
    data = small_data(folder, batch_size=batch_size)
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


@pytest.mark.parametrize(("before", "after"), [(8, 32), (8, 160), (32, 8), (32, 24), (64, 48), (8, 1000)])
@pytest.mark.parametrize("epoch", [0, 1])
def test_batches_of_another_size_go_on_where_the_others_stopped(
    before: int, after: int, epoch: int, tmp_path: Path
) -> None:
    rows = 192
    batches_before = rows // before
    begun, rest = Seen(epoch), Seen(epoch)
    stopped = epoch * batches_before + batches_before - 1
    with pytest.raises(RuntimeError, match="in the middle"):
        trained(tmp_path, begun, Bug(stopped), every=1, batch_size=before)
    seen = begun.rows[: (batches_before - 1) * before]  # the last one was not kept
    trained(tmp_path, rest, ckpt_path=tmp_path / "last.ckpt", batch_size=after)
    size = min(after, rows)
    assert rest.ended == list(range(epoch, 2)), "every epoch ends"
    again = set(seen) & set(rest.rows)
    assert len(again) < size or (len(again) == size == len(rest.rows)), "fewer than one batch, or one, comes once more"
    assert len(set(seen) | set(rest.rows)) > rows - size
    assert len(set(rest.rows)) == len(rest.rows)
    assert len(rest.rates) == len(rest.rows) // size + (1 - epoch) * (rows // size)


def test_the_learning_rate_ends_where_it_should_after_another_size(tmp_path: Path) -> None:
    begun, rest = Seen(0), Seen(1)
    with pytest.raises(RuntimeError, match="in the middle"):
        trained(tmp_path, begun, Bug(24), every=1, batch_size=8)
    trained(tmp_path, rest, ckpt_path=tmp_path / "last.ckpt", batch_size=32)
    schedule = CosineWarmup()
    assert rest.rates == pytest.approx([0.01 * schedule.factor(step, 12) for step in range(6, 12)])


def test_how_often_is_a_number_of_steps() -> None:
    with pytest.raises(ConfigurationError, match=r"callbacks.last_checkpoint.every_n_steps is 0; expected 1 or more"):
        LastCheckpoint(0)
