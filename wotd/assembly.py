"""A config's groups made into parts: data module, module, trainer. Nothing runs here."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

from wotd.artifacts import read_semantic_ids
from wotd.callbacks import MixedPrecision
from wotd.callbacks.checkpoint_files import WholeCheckpointFiles
from wotd.checkpoints import FOLDER
from wotd.configuration import build, compose, overrides_of
from wotd.data import WOTDDataModule
from wotd.errors import ConfigurationError
from wotd.module import SemanticIDModule
from wotd.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

Config = DictConfig | Mapping[str, Any] | Sequence[str]


def as_config(config: Config) -> DictConfig:
    """The composed config that was meant; see :func:`train_wotd_pipeline`."""
    if isinstance(config, DictConfig):
        return config
    if isinstance(config, str):
        raise ConfigurationError(
            f"config is the string {config!r}; expected a config, a mapping or a list of overrides."
        )
    if isinstance(config, Mapping):
        model = config.get("model")
        if isinstance(model, Mapping) and "_target_" in model:
            return OmegaConf.create(dict(config))
        return compose(overrides_of(config))
    return compose(list(config))


def build_taxonomy(config: DictConfig) -> Taxonomy | None:
    """The taxonomy of the config; None where bare vectors are to be learned from."""
    if config.data.vectors:
        return None
    plain = json.loads(json.dumps(OmegaConf.to_container(config.taxonomy, resolve=True)))
    return Taxonomy.from_mapping(plain)


def build_data_module(config: DictConfig, taxonomy: Taxonomy | None) -> WOTDDataModule:
    """The data module with its provider and embedder, or that of bare vectors; nothing is read yet."""
    if taxonomy is None:
        if config.taxonomy.get("previous"):
            raise ConfigurationError(
                "taxonomy.previous keeps the IDs of works, and data.vectors has none; set only one of them."
            )
        if config.get("features"):
            logger.warning("features are computed from texts, and data.vectors has none: levels see the vectors alone")
        bare: WOTDDataModule = build(config.data, "data")
        return bare
    previous = config.taxonomy.get("previous")
    module: WOTDDataModule = build(
        config.data,
        "data",
        provider=build(config.provider, "provider"),
        embedder=build(config.embedding, "embedding"),
        taxonomy=taxonomy,
        features=build(config.features, "features") if config.get("features") else None,
        published=_published_labels(previous, taxonomy) if previous else None,
        strict=bool(config.taxonomy.get("strict", False)),
    )
    return module


def build_module(
    config: DictConfig,
    dimension: int,
    taxonomy: Taxonomy | None,
    provenance: Mapping[str, Any] | None = None,
    *,
    feature_dim: int = 0,
) -> SemanticIDModule:
    """The module for embeddings of that dimension with so many features beside them, unstarted."""
    module: SemanticIDModule = build(
        config.model,
        "model",
        input_dim=dimension,
        taxonomy=taxonomy,
        feature_dim=feature_dim,
        seed=config.seed,
        provenance=provenance,
    )
    return module


def _published_labels(path: str, taxonomy: Taxonomy) -> dict[str, list[int | None]]:
    data = read_semantic_ids(path)
    theirs = data.get("taxonomy") or {}
    if (theirs.get("name"), theirs.get("version")) != (taxonomy.name, taxonomy.version):
        raise ConfigurationError(
            f"taxonomy.previous is {path}, which follows the taxonomy {theirs.get('name')} version "
            f"{theirs.get('version')}; this run follows {taxonomy.name} version {taxonomy.version}."
        )
    return {corpus: entry["label"] for corpus, entry in data["corpora"].items()}


def build_trainer(config: DictConfig, output_dir: Path) -> lightning.Trainer:
    """The trainer with its callbacks and logger, which write below the run's folder."""
    callbacks: list[Callback] = []
    settings: dict[str, Any] = {}
    entries = {name: node for name, node in (config.get("callbacks") or {}).items() if node is not None}
    for name, node in entries.items():
        entry = build(node, f"callbacks.{name}")
        if isinstance(entry, MixedPrecision):
            if "precision" not in config.trainer:
                settings["precision"] = entry.for_accelerator(_accelerator(config.trainer.get("accelerator", "auto")))
            continue
        if isinstance(entry, ModelCheckpoint) and entry.dirpath is None:
            entry.dirpath = str(output_dir / FOLDER)
        callbacks.append(entry)
    if os.environ.get("LOCAL_WORLD_SIZE") and config.trainer.get("devices") == "auto":
        # Under torchrun on CPUs, Lightning would count one device.
        settings["devices"] = int(os.environ["LOCAL_WORLD_SIZE"])
    if config.trainer.get("strategy") == "ddp":
        settings["strategy"] = distributed_strategy()
    trainer: lightning.Trainer = build(
        config.trainer,
        "trainer",
        callbacks=callbacks,
        logger=build(config.logger, "logger", save_dir=str(output_dir)) if config.get("logger") else False,
        default_root_dir=str(output_dir),
        use_distributed_sampler=False,  # the sampler of the data module knows its rank
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar="progress" in entries,
        **settings,
    )
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpointFiles()
    return trainer


def distributed_strategy(timeout_s: float = 1800) -> DDPStrategy:
    """Processes that share gradients at each step; codewords only where they change (:mod:`wotd.module`).

    Args:
        timeout_s: seconds that processes wait for one that is silent.

    Raises:
        ConfigurationError: if that is no time to wait.
    """
    if not 0 < timeout_s < 1e9:
        raise ConfigurationError(
            f"trainer.strategy.timeout_s is {timeout_s}; expected seconds, more than 0 and less than 1e9."
        )
    parameters = inspect.signature(torch.nn.parallel.DistributedDataParallel).parameters
    # Before torch 2.13 it is broadcast_buffers.
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in parameters else "broadcast_buffers"
    settings: dict[str, Any] = {buffers: False, "gradient_as_bucket_view": True}
    return DDPStrategy(timeout=timedelta(seconds=timeout_s), **settings)


def _accelerator(wanted: str) -> str:
    if wanted in ("auto", "gpu"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
