"""Small runs of the pipeline for tests: settings, and ways to stop a run from within."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from invented_works import invented_works
from lightning.pytorch.callbacks import Callback
from small_training import clusters


def on_vectors(folder: Path, *more: str, rows: int = 300) -> list[str]:
    """Overrides of a run on clustered vectors of length 12: three levels of four codes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vectors.npy"
    if not path.exists():
        np.save(path, clusters(rows))
    return [
        "+experiment=deep",
        f"data.vectors={path}",
        "data.batch_size=32",
        "model.level_sizes=[4,4,4]",
        "model.latent_dim=6",
        "model.hidden=[16]",
        "model.dropout=0.3",
        "model.optimizer.learning_rate=0.01",
        "trainer.max_epochs=4",
        "trainer.accelerator=cpu",
        "callbacks.early_stopping.patience=100",
        *more,
    ]


def on_works(folder: Path, *more: str, rows: list[dict[str, Any]] | None = None) -> list[str]:
    """Overrides of a run on invented works with named levels, embedded with lsa."""
    folder.mkdir(parents=True, exist_ok=True)
    works = folder / "works.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in (invented_works() if rows is None else rows))
    works.write_text(text, encoding="utf-8")
    return [
        "+experiment=lsa",
        "embedding.dimension=16",
        "provider=files",
        f"provider.root={works}",
        "provider.passages=keep",
        "model.latent_dim=8",
        "model.hidden=[16]",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        *more,
    ]


def codes(run: Path) -> list[list[int]]:
    """Codes of all passages of a run."""
    found: list[list[int]] = pq.read_table(run / "artifacts" / "codes.parquet")["code"].to_pylist()
    return found


class Stop(Callback):
    """Sends this process a signal, or raises, once that many steps are taken; an entry of ``callbacks``."""

    def __init__(self, step: int, how: str = "SIGTERM") -> None:
        self.step, self.how = step, how

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            if self.how == "error":
                raise RuntimeError("a bug in the middle of training")
            signal.raise_signal(signal.Signals[self.how])


def stopped_at(step: int, how: str = "SIGTERM") -> list[str]:
    """Overrides that stop a run there."""
    return ["+callbacks.stop._target_=pipeline_runs.Stop", f"+callbacks.stop.step={step}", f"+callbacks.stop.how={how}"]
