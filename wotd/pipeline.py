"""The one place where everything meets: config → data → training → evaluation → artifacts."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError

from wotd import artifacts as artifact_folder
from wotd import processes
from wotd.assembly import Config, as_config, build_data_module, build_module, build_taxonomy, build_trainer
from wotd.callbacks import LastCheckpoint
from wotd.callbacks.boards import forget
from wotd.callbacks.stopping import StopAfterBatch
from wotd.capacity import starving_levels
from wotd.checkpoints import (
    FOLDER,
    LAST,
    START,
    find_checkpoint,
    load_checkpoint,
    named_checkpoint,
    refuse_misfit,
    save_start,
)
from wotd.configuration import check
from wotd.continuity import Continuity, align_to
from wotd.data import WOTDDataModule
from wotd.data.splits import SPLIT_NAMES, TRAIN, VAL
from wotd.embeddings.base import Embedder
from wotd.embeddings.cache import EmbeddingCache
from wotd.embeddings.embedder import load_embedder
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError, LostProcessError, TrainingError
from wotd.evaluation import encode_vectors, evaluate, fit_probes, frontier
from wotd.metrics import spread
from wotd.module import SemanticIDModule
from wotd.passage_map import check_method, place
from wotd.progress import progress, track
from wotd.provenance import git_revision, library_versions
from wotd.publication import write_codes, write_semantic_ids
from wotd.report import write_report
from wotd.results_board import show_results
from wotd.run_lock import alone
from wotd.semantic_ids import SemanticID
from wotd.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a process that SIGTERM ended, as shells count."""

MEASURED_ROWS = 262_144
"""Rows of a side, at most, that its metrics are measured on."""

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}


@dataclass(frozen=True)
class TrainingResults:
    """What a run gave.

    Attributes:
        metrics: by name, ``train|val|test/…`` as :func:`wotd.evaluation.evaluate` names them.
        artifacts: the artifact folder.
        checkpoint: the best checkpoint; in processes other than the first, the best that training kept.
        output_dir: the folder of the whole run.
        seconds: durations of reading, splitting, embedding, training, evaluation, total.
        counts: works, passages, passages per split, embeddings computed and found, epochs, steps.
        dropped: works and passages left out, by reason.
        full_cells: cells of the taxonomy with more works than the last level has codes, the fullest first.
        ids: how the IDs of works were made; empty for bare vectors.
        alignment: what ``artifacts.align_to`` did, and how many codes changed; empty without it.
        frontier: what codes say of labels and keep of embeddings under other weights, on the validation side
            (:func:`wotd.evaluation.frontier`), and the weight that they have; empty where no level is taught.
    """

    metrics: dict[str, float]
    artifacts: Path
    checkpoint: Path
    output_dir: Path
    seconds: dict[str, float]
    counts: dict[str, int]
    dropped: dict[str, Any] = field(default_factory=dict)
    full_cells: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[str, Any] = field(default_factory=dict)
    alignment: dict[str, Any] = field(default_factory=dict)
    frontier: dict[str, Any] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as ``training_results.json`` holds it; paths relative to the run's folder."""
        data = asdict(self)
        del data["output_dir"]
        for name in ("artifacts", "checkpoint"):
            data[name] = os.path.relpath(data[name], self.output_dir)
        return data


def train_wotd_pipeline(config: Config, output_dir: str | Path) -> TrainingResults:
    """Train semantic IDs and leave artifacts.

    Args:
        config: a composed config; or a mapping of keys to values, nested or dotted, of what differs
            from the defaults (``{"experiment": "minilm", "data.batch_size": 64}``); or a list of
            overrides as the command line takes them (``["+experiment=minilm"]``).
        output_dir: where checkpoints, TensorBoard events and ``artifacts/`` go.

    Raises:
        WOTDError: in one sentence, what of the config or the data cannot be used.
        KeyboardInterrupt: after Ctrl-C; ``checkpoints/last.ckpt`` is what to go on from.
        SystemExit: with status 143, after SIGTERM; likewise.
    """
    start = time.perf_counter()
    _quiet()
    config, output_dir = as_config(config), Path(output_dir).resolve()
    bare_vectors = bool(config.data.vectors)
    check(config, unused=("provider", "embedding", "taxonomy") if bare_vectors else ())
    if not 0 <= config.seed < 2**32:
        raise ConfigurationError(f"seed is {config.seed}; expected 0 to {2**32 - 1}.")
    check_method(config.artifacts.map)
    checkpoint = (find_checkpoint if first_process() else named_checkpoint)(config.ckpt_path, output_dir)
    artifact_folder.check_target(output_dir / "artifacts")
    with alone(output_dir) if first_process() else nullcontext():
        return _trained(config, output_dir, checkpoint, start)


def _trained(config: DictConfig, output_dir: Path, checkpoint: Path | None, start: float) -> TrainingResults:
    taxonomy = build_taxonomy(config)
    lightning.seed_everything(config.seed, workers=True, verbose=False)

    # Trainer and model come before the data: what they refuse should not be found out after hours of embedding.
    trainer = build_trainer(config, output_dir)
    processes.leave_at_exit()
    with torch.device("meta"):
        sketch = build_module(config, int(config.model.latent_dim), taxonomy).model
    continuity = Continuity.of(config, taxonomy, sketch)
    data = build_data_module(config, taxonomy)
    data.setup()
    seconds = dict(data.seconds)
    for sentence in starving_levels(len(data.rows(TRAIN)), sketch.level_sizes):
        logger.warning("%s", sentence)
    earlier = continuity.match(data)
    training = time.perf_counter()
    module = build_module(
        config, data.dimension, taxonomy, _provenance(config, data, taxonomy, continuity), feature_dim=data.feature_dim
    )
    with _disk_errors(output_dir, "training cannot write to"), _lost_processes(trainer):
        checkpoint = _agreed(trainer, module, checkpoint)
        if checkpoint is None:
            forget(trainer)
            _start(module, data, output_dir)
        _fit(trainer, module, data, checkpoint)
        best = _best_checkpoint(trainer, module, data, output_dir)
    seconds["training"] = time.perf_counter() - training

    metrics: dict[str, float] = {}
    alignment = ids = None
    trade_off: dict[str, Any] = {}
    if trainer.is_global_zero:
        evaluation = time.perf_counter()
        alignment = align_to(module.model, data, earlier) if earlier else None
        metrics = _measure(module, data, taxonomy)
        count = len(data.sides)
        with progress("encoding", count, "rows", logged=count > MEASURED_ROWS) as advance:
            codes_NL = encode_vectors(module.model, data.vectors, np.arange(count), advance)
        ids = continuity.publish(module.model, data, codes_NL)
        trade_off = _frontier(module, data, taxonomy)
        seconds["evaluation"] = time.perf_counter() - evaluation
        seconds["total"] = time.perf_counter() - start
    results = TrainingResults(
        metrics=metrics,
        artifacts=output_dir / "artifacts",
        checkpoint=best,
        output_dir=output_dir,
        seconds=seconds,
        counts=_counts(data, trainer),
        dropped=data.corpora.dropped.to_mapping() if data.corpora else {},
        full_cells=[{"cell": list(each.cell), "works": each.works} for each in data.corpora.overflows]
        if data.corpora
        else [],
        ids=ids.to_mapping() if ids else {},
        alignment=alignment.to_mapping() if alignment else {},
        frontier=trade_off,
    )
    if trainer.is_global_zero:
        with _disk_errors(results.artifacts, "the artifacts cannot be written to"):
            _write_artifacts(config, results, module, data, taxonomy, codes_NL, ids.ids if ids else None)
        with _disk_errors(output_dir, "the results cannot be logged to"):
            show_results(trainer, config, metrics, data, module.model, codes_NL, taxonomy, results.artifacts)
    return results


@contextmanager
def _disk_errors(folder: Path, sentence: str) -> Iterator[None]:
    """Say in a sentence what a disk that is full or not ours refuses; nothing is left half-written."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in _DISK_ERRORS:
            raise
        reason = getattr(error, "strerror", None) or str(error)
        run = folder.parent if folder.name == "artifacts" else folder
        again = "go on with ckpt_path=last and" if (run / FOLDER / LAST).is_file() else "start again with"
        raise TrainingError(f"{sentence} {folder}: {reason}; mend that and {again} the same hydra.run.dir.") from error


def _quiet() -> None:
    """Silence what Lightning says of every run, and all processes of a distributed run but the first."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It kills the run of a process that ended before they all met, when those that wait cannot say anything themselves.
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    if not first_process():
        logging.getLogger("wotd").setLevel(logging.WARNING)
    for message in (".*LeafSpec.*", ".*exists and is not empty.*", ".*smaller than the logging interval.*",
                    ".*does not have many workers.*", ".*logger=False.*"):  # fmt: skip
        warnings.filterwarnings("ignore", message=message)


def first_process() -> bool:
    """Whether this process is the only one or the first of a distributed run, whoever launched it."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return not any(int(os.environ.get(name) or 0) for name in ranks)


def _provenance(
    config: DictConfig, data: WOTDDataModule, taxonomy: Taxonomy | None, continuity: Continuity
) -> dict[str, Any]:
    """What checkpoints and artifacts say of where they come from, as plain data."""
    seen = {"embedding": data.embedder, "features": data.features} if taxonomy else {}
    cache = EmbeddingCache(data.cache_dir)
    return {
        "embedding": None,
        "features": None,
        **{name: cache.described(embedder) for name, embedder in seen.items() if embedder},
        "taxonomy": None if taxonomy is None else taxonomy.to_mapping(),
        "named": config.model.get("level_sizes") is None,
        "align_to": str(continuity.align_to.folder) if continuity.align_to else None,
        "seed": int(config.seed),
        "libraries": library_versions(),
        "git_revision": git_revision(),
    }


def _start(module: SemanticIDModule, data: WOTDDataModule, output_dir: Path) -> None:
    """Start the model in closed form and keep that start: it is a candidate for the best checkpoint."""
    module.start(data.dataset(TRAIN), data.dataset(VAL))
    loss = module.validation_loss(data.dataset(VAL))
    logger.info("closed-form start: val/loss %.4f", loss)
    if first_process():
        state: dict[str, Any] = {"state_dict": module.state_dict(), "val/loss": loss}
        module.on_save_checkpoint(state)
        save_start(state, output_dir)


def _agreed(trainer: lightning.Trainer, module: SemanticIDModule, checkpoint: Path | None) -> Path | None:
    """The checkpoint that all processes go on from, or None: the first has decided, by what is on its disk.

    Those that Lightning starts meet in its ``fit`` and not before; until then each goes by the config, which is the
    same for them.
    """
    strategy = trainer.strategy
    if isinstance(strategy, ParallelStrategy) and not isinstance(strategy.cluster_environment, LightningEnvironment):
        strategy.setup_environment()  # fit does it again, which then has no effect

    def fitting() -> Path | None:
        if checkpoint is not None and first_process():
            refuse_misfit(checkpoint, module.model, module.provenance)
            logger.info("going on from %s", checkpoint)
        return checkpoint

    return processes.as_first(fitting)


def _fit(trainer: lightning.Trainer, module: SemanticIDModule, data: WOTDDataModule, checkpoint: Path | None) -> None:
    """Train; SIGTERM and Ctrl-C end it after the batch at hand, with a checkpoint to go on from.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SystemExit: with status 143, after SIGTERM.
    """
    stopping = StopAfterBatch()
    trainer.callbacks.append(stopping)  # type: ignore[attr-defined]
    received = None
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of either signal, whenever it came
        terminated = isinstance(stop, SIGTERMException) or stop.code == TERMINATED
        received = signal.SIGTERM if terminated else signal.SIGINT
    except MisconfigurationException as error:
        if "current_epoch" not in str(error):
            raise
        raise ConfigurationError(
            f"trainer.max_epochs is {trainer.max_epochs}, but {checkpoint} has more epochs behind it; expected as many."
        ) from error
    finally:
        stopping.release()
    received = stopping.received or received
    if received is signal.SIGTERM:
        raise SystemExit(TERMINATED)
    if received is signal.SIGINT:
        raise KeyboardInterrupt
    epochs = trainer.current_epoch
    logger.info("trained %d epoch%s (%d steps)", epochs, "" if epochs == 1 else "s", trainer.global_step)


@contextmanager
def _lost_processes(trainer: lightning.Trainer) -> Iterator[None]:
    """Say in a sentence that another process of a distributed run has ended."""
    try:
        yield
    except RuntimeError as error:
        if processes.is_lost(error):
            raise LostProcessError(_lost(trainer)) from error
        raise


def _lost(trainer: lightning.Trainer) -> str:
    # Other hosts than that of the first process may not see its file, but all know whether it was written.
    kept = any(isinstance(each, LastCheckpoint) and each.best_model_path for each in trainer.checkpoint_callbacks)
    there = kept or (Path(str(trainer.default_root_dir)) / FOLDER / LAST).is_file()
    again = "go on with ckpt_path=last and" if there else "there is no checkpoint yet, start again with"
    return (
        "another process of this run has ended, and training cannot go on without it; its output, or the system's log "
        f"where it was killed, says why: mend that and {again} the same hydra.run.dir."
    )


def _best_checkpoint(
    trainer: lightning.Trainer, module: SemanticIDModule, data: WOTDDataModule, output_dir: Path
) -> Path:
    """The checkpoint that was best by what is monitored, the last where none was kept; but the start if that is better.

    Leaves its weights in the module of the first process, which has the files; others need nothing more.
    """
    kept = [
        Path(callback.best_model_path)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.monitor and Path(callback.best_model_path).is_file()
    ]
    kept = processes.from_first(kept)
    best = kept[0] if kept else output_dir / FOLDER / LAST
    if not kept:
        trainer.save_checkpoint(best)
    if not trainer.is_global_zero:
        return best
    _load_weights(module, best)
    start, validation = output_dir / FOLDER / START, data.dataset(VAL)
    if not trainer.global_step or not start.is_file() or not len(validation):
        return best
    # Both by the same function: what the trainer logs depends on the size of its batches and on its processes.
    before = float(torch.load(start, map_location="cpu", weights_only=True)["val/loss"])
    after = module.validation_loss(validation)
    if after < before:
        return best
    logger.warning(
        "training did not improve on its closed-form start (val/loss %.4f against %.4f); the start is kept: "
        "try a lower model.optimizer.learning_rate or other model.losses",
        after,
        before,
    )
    _load_weights(module, start)
    return start


def _load_weights(module: SemanticIDModule, path: Path) -> None:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    module.to("cpu").eval()


def export_checkpoint(path: str | Path, output: str | Path) -> Path:
    """Make artifacts of a training checkpoint; they name no works and hold no passages.

    Their codes are numbered as trained, also where the run aligned those of its own artifacts: each checkpoint
    would have to be matched anew, by vectors that it does not hold. A warning says so.

    Raises:
        TrainingError: if it is no checkpoint of ours, or its embedding model has a fitted state,
            which only the run's own artifacts hold.
    """
    encoder, provenance = load_checkpoint(path)
    embedding = provenance.get("embedding")
    if embedding is not None and embedding["fingerprint"]["kind"] == "lsa":
        raise TrainingError(f"checkpoint {path} was trained on lsa, whose fitted state is in the run's artifacts only.")
    taxonomy = Taxonomy.from_mapping(provenance["taxonomy"]) if provenance["taxonomy"] else None
    calibrated = _calibrated_embedder(embedding, Path(path)) if embedding is not None else None
    with artifact_folder.writing(output) as folder:
        if calibrated is not None:
            calibrated.save_state(folder)
        empty = torch.empty(0, len(encoder.level_sizes), dtype=torch.int64).numpy()
        artifact_folder.save_encoder(folder, encoder)
        write_semantic_ids(folder / artifact_folder.SEMANTIC_IDS, None, taxonomy, empty)
        write_codes(folder / artifact_folder.CODES, codes_NL=empty, sides=[], corpora=None, texts=False)
        artifact_folder.seal(folder, {**provenance, **_encoder_facts(encoder), "align_to": None})
    if earlier := provenance.get("align_to"):
        logger.warning(
            "codes in %s are numbered as trained, not aligned to %s as those of the run's own artifacts; with vectors "
            "that both read: wotd align --artifacts %s --to %s --output %s --vectors FILE",
            *(output, earlier, output, earlier, output),
        )
    return Path(output)


def _calibrated_embedder(embedding: dict[str, Any], path: Path) -> Embedder | None:
    """The embedder of a checkpoint if it computes by a calibration, which is then that of the run.

    Raises:
        TrainingError: if another calibration is kept on this machine.
    """
    expected = embedding["fingerprint"].get("calibration_sha256")
    if not expected:
        return None
    embedder = load_embedder(embedding["settings"], path.parent)
    if embedder.fingerprint.calibration_sha256 != expected:
        raise TrainingError(
            f"checkpoint {path} was trained with an int8 calibration that this machine does not have; it is in the "
            "run's artifacts only."
        )
    return embedder


def _counts(data: WOTDDataModule, trainer: lightning.Trainer) -> dict[str, int]:
    sides = {name: len(data.rows(side)) for side, name in enumerate(SPLIT_NAMES)}
    return {
        "works": len(data.corpora.works) if data.corpora else 0,
        "passages": len(data.sides),
        **sides,
        "embeddings_computed": data.embedded["computed"],
        "embeddings_found": data.embedded["found"],
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
    }


def _measure(module: SemanticIDModule, data: WOTDDataModule, taxonomy: Taxonomy | None) -> dict[str, float]:
    """Measure every side; of many rows, a sample that is spread evenly over them."""
    encoder = module.model
    probes = fit_probes(data.vectors, data.rows(TRAIN), data.labels, taxonomy) if taxonomy else {}
    metrics: dict[str, float] = {}
    for side, name in enumerate(track(SPLIT_NAMES, "measuring", unit="sides", logged=False)):
        rows = spread(data.rows(side), MEASURED_ROWS)
        if not len(rows):
            continue
        measured = evaluate(
            encoder,
            data.vectors,
            rows,
            labels_NL=data.labels,
            taxonomy=taxonomy,
            named=module.supervised,
            works_N=data.corpora.work_of_passage if data.corpora else None,
            probes=None if side == TRAIN else probes,  # what a probe learned from says nothing of it
        )
        metrics |= {f"{name}/{key}": value for key, value in measured.items()}
    return metrics


def _frontier(module: SemanticIDModule, data: WOTDDataModule, taxonomy: Taxonomy | None) -> dict[str, Any]:
    """Measured on the validation side, where settings are chosen."""
    if taxonomy is None or not module.supervised:
        return {}
    points = frontier(module.model, data.vectors, data.rows(VAL), data.labels, taxonomy)
    return {"weight": module.model.quantizer.reconstruction_weight, "points": points} if points else {}


def _write_artifacts(
    config: DictConfig,
    results: TrainingResults,
    module: SemanticIDModule,
    data: WOTDDataModule,
    taxonomy: Taxonomy | None,
    codes_NL: NDArray[np.int64],
    ids: Mapping[str, SemanticID] | None,
) -> None:
    encoder = module.model
    with artifact_folder.writing(results.artifacts) as folder:
        artifact_folder.save_encoder(folder, encoder)
        if data.embedder is not None:
            data.embedder.save_state(folder)
        write_semantic_ids(folder / artifact_folder.SEMANTIC_IDS, data.corpora, taxonomy, codes_NL, ids)
        write_codes(
            folder / artifact_folder.CODES,
            codes_NL=codes_NL,
            sides=np.array(SPLIT_NAMES, dtype=object)[data.sides],
            corpora=data.corpora,
            texts=bool(config.artifacts.texts),
            positions=place(data.vectors[:, : data.dimension], config.artifacts.map, seed=config.seed),
        )
        artifact_folder.write_json(folder / artifact_folder.RESULTS, results.to_mapping())
        settings = OmegaConf.to_yaml(config, resolve=True)
        (folder / artifact_folder.TRAINING_CONFIG).write_text(settings, encoding="utf-8")
        facts = {**module.provenance, **_encoder_facts(encoder), "map": config.artifacts.map}
        write_report(folder, facts)
        artifact_folder.seal(folder, facts)


def _encoder_facts(encoder: SemanticEncoder) -> dict[str, Any]:
    return {"encoder": encoder.config, "encode_mode": encoder.quantizer.encode_mode}
