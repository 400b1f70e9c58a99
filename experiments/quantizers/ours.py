"""wotd through its public doors: the training pipeline, then the artifacts it left, as any user has them.

Shape letters: N rows, D embedding, L levels.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import lightning
import lightning.pytorch.loggers
import numpy as np
from contract import Task
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from wotd.inference import SemanticIDModel
from wotd.pipeline import train_wotd_pipeline

COMMON = ["+experiment=deep", "data.val_fraction=0.02", "data.test_fraction=0", "~callbacks.progress"]
"""What every setting shares. The held-out rows are a file of their own, so none are kept for a test."""


class Stopwatch(Callback):
    """Notes when fitting ended; what the pipeline does afterwards (evaluate, write) is counted apart."""

    fit_ended_cpu_seconds = 0.0

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the CPU time of the process."""
        del trainer, pl_module
        Stopwatch.fit_ended_cpu_seconds = time.process_time()


class Ours:
    """The artifacts of a run behind the common contract."""

    decodes_prefixes = True

    def __init__(self, model: SemanticIDModel, uncounted_cpu_seconds: float) -> None:
        """Wrap a loaded model."""
        self.model, self.uncounted_cpu_seconds = model, uncounted_cpu_seconds
        self.level_sizes = tuple(model.level_sizes)

    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""
        return self.model.encode_vectors(x_ND)

    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """What codes, or prefixes of codes, stand for, N×D."""
        return self.model.decode(codes_NL)


def train(task: Task, *, overrides: list[str]) -> Ours:
    """Run the pipeline with these overrides on the command line and load its artifacts."""
    logging.getLogger("wotd").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        train_wotd_pipeline(
            [
                *COMMON,
                f"data.vectors='{task.path}'",
                f"model.level_sizes={list(task.level_sizes)}",
                f"seed={task.seed}",
                "+callbacks.stopwatch._target_=ours.Stopwatch",
                *overrides,
            ],
            folder,
        )
        model = SemanticIDModel.load(Path(folder) / "artifacts")
    return Ours(model, time.process_time() - Stopwatch.fit_ended_cpu_seconds)
