"""Rows per second of training, by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import Throughput


class Clock:
    """Stands still but for what the callback below says a step, a wait or a validation takes."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


def test_steps_and_waiting_count_and_validation_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.callbacks import Callback

    clock = Clock()
    monkeypatch.setattr("wotd.callbacks.throughput.time", clock)
    logged: list[float] = []

    class Work(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            clock.now += 0.5  # the step

        def on_validation_start(self, *_: Any) -> None:
            clock.now += 1000

        def on_train_epoch_end(self, *_: Any) -> None:
            clock.now += 1000

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if "train/rows_per_second" in trainer.logged_metrics:
                logged.append(float(trainer.logged_metrics["train/rows_per_second"]))

    data = small_data(tmp_path, rows=400, batch_size=32)
    trainer = small_trainer(Throughput(), Work(), max_epochs=3, log_every_n_steps=1)
    trainer.fit(small_module(data), datamodule=data)
    assert len(logged) > 10
    assert set(logged) == {64.0}, "32 rows in half a second, whatever lies between"
