"""Loggers that need more said than a config can."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lightning.pytorch.loggers import MLFlowLogger, WandbLogger

from wotd.errors import ConfigurationError


def wandb_logger(save_dir: str, *, project: str = "wotd", name: str | None = None, offline: bool = True) -> WandbLogger:
    """A logger to Weights & Biases.

    Args:
        save_dir: the run's folder.
        project: what runs that belong together are found under.
        name: of this run; None: one is thought of.
        offline: keep all of it in the run's folder, for `wandb sync` to send, if anything is to send it.

    Raises:
        ConfigurationError: if it is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ConfigurationError("logger=wandb needs a package that is not installed: pip install 'wotd[wandb]'.")
    return WandbLogger(name, save_dir, project=project, offline=offline)


def mlflow_logger(
    save_dir: str, *, experiment_name: str = "wotd", run_name: str | None = None, tracking_uri: str | None = None
) -> MLFlowLogger:
    """A logger to MLflow that needs no server.

    Args:
        save_dir: the run's folder.
        experiment_name: what runs that belong together are found under.
        run_name: of this run; None: MLflow thinks of one.
        tracking_uri: a server, or a database that runs share; None: mlflow.db in the run's folder, with pictures and
            texts in mlartifacts beside it.

    Raises:
        ConfigurationError: if MLflow is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("mlflow", "sqlalchemy", "alembic")):
        raise ConfigurationError("logger=mlflow needs packages that are not installed: pip install 'wotd[mlflow]'.")
    if tracking_uri is not None:
        return MLFlowLogger(experiment_name, run_name, tracking_uri)
    folder = Path(save_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = (folder / "mlartifacts").as_uri()
    return MLFlowLogger(experiment_name, run_name, f"sqlite:///{folder / 'mlflow.db'}", artifact_location=artifacts)
