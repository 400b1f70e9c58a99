"""Trainings that take a second: clustered vectors, a small module, a Trainer that leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback

from wotd.data import WOTDDataModule
from wotd.data.splits import TRAIN, VAL
from wotd.module import OptimizerSettings, SemanticIDModule, build_module


def clusters(rows: int = 240, dimension: int = 12, centres: int = 10, seed: int = 0) -> np.ndarray:
    """Float32 vectors around a few centres."""
    generator = np.random.default_rng(seed)
    middles = generator.normal(size=(centres, dimension))
    noise = 0.3 * generator.normal(size=(rows, dimension))
    return (middles[generator.integers(centres, size=rows)] + noise).astype(np.float32)


def small_data(folder: Path, *, rows: int = 240, batch_size: int = 32, seed: int = 0) -> WOTDDataModule:
    """Clustered vectors, split and ready."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vectors.npy"
    np.save(path, clusters(rows))
    data = WOTDDataModule(vectors=str(path), batch_size=batch_size, seed=seed)
    data.setup()
    return data


def small_module(data: WOTDDataModule | None = None, **options: Any) -> SemanticIDModule:
    """Three free levels of four codes, started on the data where there is any."""
    settings = {"level_sizes": [4, 4, 4], "latent_dim": 6, "hidden": [16], **options}
    module = build_module(12, None, **settings)
    if data is not None:
        module.start(data.dataset(TRAIN), data.dataset(VAL))
    return module


def small_trainer(*callbacks: Callback, **options: Any) -> lightning.Trainer:
    """A Trainer on the CPU without files, logger and bars."""
    settings = {
        "max_epochs": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    return lightning.Trainer(callbacks=list(callbacks), **(settings | options))


FAST = OptimizerSettings(learning_rate=0.01)
