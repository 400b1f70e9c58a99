"""A job of a sweep: trained, gone on with, or found finished; never an end to the others."""

from __future__ import annotations

import difflib
import json
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from wotd.configuration import deciding_settings
from wotd.errors import ArtifactError, ConfigurationError, WOTDError
from wotd.run_lock import alone

logger = logging.getLogger(__name__)

Train = Callable[[DictConfig], Mapping[str, float]]
"""Trains a run and returns its metrics."""

_SIDES = ("train/", "val/", "test/")


def run_job(config: DictConfig, train: Train) -> float | None:
    """Do one job and return what ``objective`` names, which a sweeper may minimise or maximise.

    Whatever goes wrong is logged and written down in the job's folder; None is returned, and the sweep goes on.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        _check_objective(config.objective)
        _refuse_distributed(config)
        with alone(folder, wait=True):  # two sweeps of one folder share its jobs; a sweeper may ask for one twice
            metrics = _metrics(config, folder, train)
        return _objective(metrics, config.objective)
    except Exception as error:
        _write_failure(folder, error)
        return None


def _metrics(config: DictConfig, folder: Path, train: Train) -> Mapping[str, float]:
    """Of the artifacts where they are there, else of a training, which goes on where it was stopped."""
    from wotd.artifacts import TRAINING_CONFIG
    from wotd.runs import FAILURE, training_results

    (folder / FAILURE).unlink(missing_ok=True)
    if _finished(folder / "artifacts"):
        _refuse_other_settings(config, folder / "artifacts" / TRAINING_CONFIG)
        logger.info("%s is finished already", os.path.relpath(folder))
        metrics: Mapping[str, float] = training_results(folder / "artifacts")["metrics"]
        return metrics
    begun = folder / TRAINING_CONFIG  # a checkpoint does not say all of what it was trained with
    if begun.is_file() and (folder / "checkpoints" / "last.ckpt").is_file():
        if differing := _differences(config, begun):
            logger.warning("%s starts anew, for its settings have changed: %s", os.path.relpath(folder), differing)
        else:
            config = DictConfig(OmegaConf.merge(config, {"ckpt_path": "last"}))
    begun.write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    return train(config)


def _finished(artifacts: Path) -> bool:
    from wotd.artifacts import RESULTS, Artifacts

    if not (artifacts / RESULTS).is_file():
        return False
    try:
        Artifacts.open(artifacts)
    except ArtifactError as error:
        logger.warning("made once more: %s", error)
        return False
    return True


def _refuse_other_settings(config: DictConfig, before: Path) -> None:
    """Refuse to take artifacts for those of a job that they were not made by.

    Raises:
        ConfigurationError: in which settings they differ.
    """
    differing = _differences(config, before) if before.is_file() else "which, they do not say"
    if differing:
        raise ConfigurationError(
            f"{os.path.relpath(before.parent)} was made with other settings ({differing}); remove that folder to make "
            "it anew, or choose another hydra.sweep.dir."
        )


def _differences(config: DictConfig, before: Path) -> str:
    """In which settings, and how, a run differs from the one that left its settings there; empty for none."""
    here, there = deciding_settings(config), deciding_settings(OmegaConf.load(before))
    keys = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    return ", ".join(f"{key} {there.get(key)} there and {here.get(key)} here" for key in keys)


def _check_objective(objective: str) -> None:
    if not objective.startswith(_SIDES):
        raise ConfigurationError(
            f"objective is {objective}; expected a metric of one side, such as val/nmse or val/agreement/*/accuracy."
        )


def _objective(metrics: Mapping[str, float], objective: str) -> float | None:
    """The metric that was asked for; None where there is none and a grid is swept, which goes by no metric.

    Raises:
        ConfigurationError: if there is none and the sweeper goes by it.
    """
    from wotd.runs import value_of

    value = value_of(metrics, objective)
    if value is None and metrics and not str(HydraConfig.get().sweeper._target_).endswith(".BasicSweeper"):
        near = difflib.get_close_matches(objective, metrics, n=3)
        hint = f"; try {', '.join(near)}" if near else ""
        raise ConfigurationError(f"objective is {objective}, which was not measured{hint}.")
    return value


def _refuse_distributed(config: DictConfig) -> None:
    """Lightning would start the other processes of each job as sweeps of their own."""
    several = config.trainer.get("devices") not in (1, "1") or config.trainer.get("num_nodes", 1) != 1
    strategy = config.trainer.get("strategy")
    together = isinstance(strategy, DictConfig) or "ddp" in str(strategy)
    if several and together and "LOCAL_WORLD_SIZE" not in os.environ:
        raise ConfigurationError(
            "trainer=ddp cannot be swept with -m in one command: set trainer.devices=1, or start each run by itself."
        )


def _write_failure(folder: Path, error: Exception) -> None:
    """Say why the job failed, in its folder and in the log: a sentence of what the user can mend, all of a bug."""
    from wotd.runs import FAILURE

    mendable = isinstance(error, WOTDError)
    sentence = " ".join((str(error) if mendable else f"{type(error).__name__}: {error}").split())
    trace = "" if mendable else "".join(traceback.format_exception(error))
    logger.error("%s failed: %s%s", os.path.relpath(folder), sentence, f"\n{trace}" if trace else "")
    text = json.dumps({"error": sentence, "traceback": trace}, indent=2, ensure_ascii=False)
    try:
        (folder / FAILURE).write_text(text + "\n", encoding="utf-8")
    except OSError as second:  # the very disk may be what failed
        logger.error("%s cannot be written: %s", folder / FAILURE, second.strerror)
