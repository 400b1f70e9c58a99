"""What is said of an epoch, and the rate that is logged."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import CosineWarmup, LearningRate, Progress


def test_a_line_an_epoch_where_nobody_watches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = small_data(tmp_path)
    with caplog.at_level(logging.INFO, logger="wotd.callbacks"):
        small_trainer(Progress(), max_epochs=2, enable_progress_bar=True).fit(small_module(data), datamodule=data)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("wotd")]
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"epoch {number} of 2: train/loss \d\.\d{{4}}, val/loss \d\.\d{{4}}", line), line
    assert "Epoch" not in "".join(capfd.readouterr())


def test_the_learning_rate_is_that_of_the_step(tmp_path: Path) -> None:
    class Seen(Callback):
        def __init__(self) -> None:
            self.rates: list[float] = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
            if batch_idx:
                assert float(trainer.callback_metrics["train/learning_rate"]) == pytest.approx(self.rates[-1])

    data, seen = small_data(tmp_path), Seen()
    trainer = small_trainer(CosineWarmup(), LearningRate(), seen, max_epochs=1, log_every_n_steps=1)
    trainer.fit(small_module(data), datamodule=data)
    assert len(set(seen.rates)) >= 5
