"""The one place where everything meets: config → data → training → evaluation → artifacts."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from wotd import artifacts as artifact_folder
from wotd.callbacks import MixedPrecision
from wotd.configuration import check, compose, overrides_of
from wotd.data import WOTDDataModule
from wotd.data.splits import SPLIT_NAMES, TRAIN, VAL
from wotd.embeddings.embedder import Embedder
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError, TrainingError
from wotd.evaluation import encode_vectors, evaluate, row_errors
from wotd.model_card import write_model_card
from wotd.module import SemanticIDModule
from wotd.provenance import git_revision, library_versions
from wotd.publication import write_codes, write_semantic_ids
from wotd.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

OUT_OF_DOMAIN_QUANTILE = 0.95
"""A text is out of domain when its code reconstructs it worse than this share of unseen passages."""

Config = DictConfig | Mapping[str, Any] | Sequence[str]


@dataclass(frozen=True)
class TrainingResults:
    """What a run gave.

    Attributes:
        metrics: by name, ``train|val|test/…`` as :func:`wotd.evaluation.evaluate` names them.
        artifacts: the artifact folder.
        checkpoint: the best checkpoint.
        output_dir: the folder of the whole run.
        seconds: durations of reading, splitting, embedding, training, evaluation, total.
        counts: works, passages, passages per split, embeddings computed and found, epochs, steps.
        dropped: works and passages left out, by reason.
    """

    metrics: dict[str, float]
    artifacts: Path
    checkpoint: Path
    output_dir: Path
    seconds: dict[str, float]
    counts: dict[str, int]
    dropped: dict[str, Any] = field(default_factory=dict)

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
    """
    start = time.perf_counter()
    _quiet_lightning()
    config, output_dir = as_config(config), Path(output_dir).resolve()
    bare_vectors = bool(config.data.vectors)
    check(config, unused=("provider", "embedding") if bare_vectors else ())
    checkpoint = find_checkpoint(config.ckpt_path, output_dir)
    lightning.seed_everything(config.seed, workers=True, verbose=False)

    taxonomy = None if bare_vectors else Taxonomy.from_mapping(_plain(config.taxonomy))
    data = _data_module(config, taxonomy)
    data.setup()
    module: SemanticIDModule = instantiate(config.model, _partial_=True, _convert_="all")(
        data.dimension,
        taxonomy,
        seed=config.seed,
        provenance=_provenance(config, data, taxonomy),
    )
    seconds = dict(data.seconds)
    training = time.perf_counter()
    if checkpoint is None:
        _start(module, data, output_dir)
    trainer = _trainer(config, output_dir)
    _fit(trainer, module, data, checkpoint)
    seconds["training"] = time.perf_counter() - training

    best = _best_checkpoint(trainer, output_dir)
    results = TrainingResults(
        metrics={},
        artifacts=output_dir / "artifacts",
        checkpoint=best,
        output_dir=output_dir,
        seconds=seconds,
        counts=_counts(data, trainer),
        dropped=data.corpora.dropped.to_mapping() if data.corpora else {},
    )
    if trainer.is_global_zero:
        _load_weights(module, best)
        evaluation = time.perf_counter()
        module.model.eval()
        results.metrics.update(_measure(module, data, taxonomy))
        seconds["evaluation"] = time.perf_counter() - evaluation
        seconds["total"] = time.perf_counter() - start
        _write_artifacts(config, results, module, data, taxonomy)
    trainer.strategy.barrier()
    return results


def _quiet_lightning() -> None:
    """Silence what Lightning says of every run and what a run of ours means to do."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*LeafSpec.*", ".*exists and is not empty.*", ".*smaller than the logging interval.*",
                    ".*does not have many workers.*", ".*logger=False.*"):  # fmt: skip
        warnings.filterwarnings("ignore", message=message)


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


def find_checkpoint(ckpt_path: str | None, output_dir: Path) -> Path | None:
    """The checkpoint to go on from; ``last`` is the newest of the run's folder.

    Raises:
        ConfigurationError: if there is none; the message names the newest runs that have one.
    """
    if ckpt_path is None:
        return None
    path = output_dir / "checkpoints" / "last.ckpt" if ckpt_path == "last" else Path(ckpt_path).expanduser()
    if path.is_file():
        return path
    found = sorted(Path("outputs").glob("**/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime, reverse=True)
    runs = ", ".join(f"hydra.run.dir={p.parent.parent}" for p in found[:3])
    hint = f"the newest runs that have one: {runs}" if runs else "no run under outputs/ has one"
    raise ConfigurationError(f"ckpt_path is {ckpt_path}, but {path} does not exist; {hint}.")


def _data_module(config: DictConfig, taxonomy: Taxonomy | None) -> WOTDDataModule:
    if taxonomy is None:
        bare: WOTDDataModule = instantiate(config.data)
        return bare
    published = None
    if previous := config.taxonomy.get("previous"):
        published = _published_labels(previous, taxonomy)
    # Made in two steps, since Hydra would take the parts, dataclasses among them, for configs.
    module: WOTDDataModule = instantiate(config.data, _partial_=True)(
        provider=instantiate(config.provider, _convert_="all"),
        embedder=instantiate(config.embedding, _convert_="all"),
        taxonomy=taxonomy,
        published=published,
        strict=bool(config.taxonomy.get("strict", False)),
    )
    return module


def _published_labels(path: str, taxonomy: Taxonomy) -> dict[str, list[int | None]]:
    data = artifact_folder.read_semantic_ids(path)
    theirs = data.get("taxonomy") or {}
    if (theirs.get("name"), theirs.get("version")) != (taxonomy.name, taxonomy.version):
        raise ConfigurationError(
            f"taxonomy.previous is {path}, which follows the taxonomy {theirs.get('name')} version "
            f"{theirs.get('version')}; this run follows {taxonomy.name} version {taxonomy.version}."
        )
    return {corpus: entry["label"] for corpus, entry in data["corpora"].items()}


def _provenance(config: DictConfig, data: WOTDDataModule, taxonomy: Taxonomy | None) -> dict[str, Any]:
    """What checkpoints and artifacts say of where they come from, as plain data."""
    return {
        "embedding": None if taxonomy is None else _embedding(data.embedder),
        "taxonomy": None if taxonomy is None else taxonomy.to_mapping(),
        "named": config.model.get("level_sizes") is None,
        "encode_mode": "greedy",
        "seed": int(config.seed),
        "libraries": library_versions(),
        "git_revision": git_revision(),
    }


def _embedding(embedder: Embedder | None) -> dict[str, Any] | None:
    if embedder is None:
        return None
    return {
        "settings": embedder.settings(),
        "dimension": embedder.dimension,
        "fingerprint": embedder.fingerprint.to_mapping(),
        "probe": [float(value) for value in embedder.probe()],
    }


def _trainer(config: DictConfig, output_dir: Path) -> lightning.Trainer:
    callbacks: list[Callback] = []
    precision = "32-true"
    for name, node in (config.get("callbacks") or {}).items():
        if node is None:
            continue
        directory = {"dirpath": str(output_dir / "checkpoints")} if name == "checkpoint" else {}
        entry = instantiate(node, **directory, _convert_="all")
        if isinstance(entry, MixedPrecision):
            precision = entry.for_accelerator(_accelerator(config.trainer.get("accelerator", "auto")))
        else:
            callbacks.append(entry)
    settings: dict[str, Any] = {"precision": precision} if "precision" not in config.trainer else {}
    if os.environ.get("LOCAL_WORLD_SIZE") and config.trainer.get("devices") == "auto":
        # Under torchrun on CPUs, Lightning would count one device.
        settings["devices"] = int(os.environ["LOCAL_WORLD_SIZE"])
    if not any(isinstance(callback, ModelCheckpoint) for callback in callbacks):
        settings["enable_checkpointing"] = False
    trainer: lightning.Trainer = instantiate(config.trainer, _partial_=True, _convert_="all")(
        callbacks=callbacks,
        logger=instantiate(config.logger, save_dir=str(output_dir)) if config.get("logger") else False,
        default_root_dir=str(output_dir),
        use_distributed_sampler=False,  # the sampler of the data module knows its rank
        enable_progress_bar="progress" in (config.get("callbacks") or {}),
        **settings,
    )
    return trainer


def _accelerator(wanted: str) -> str:
    if wanted in ("auto", "gpu"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _start(module: SemanticIDModule, data: WOTDDataModule, output_dir: Path) -> None:
    """Start the model in closed form and keep that start: it is a candidate for the best checkpoint."""
    module.start(data.dataset(TRAIN))
    loss = module.validation_loss(data.dataset(VAL))
    logger.info("closed-form start: val/loss %.4f", loss)
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        checkpoint: dict[str, Any] = {"state_dict": module.state_dict(), "val/loss": loss}
        module.on_save_checkpoint(checkpoint)
        path = output_dir / "checkpoints" / "start.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)


def _fit(trainer: lightning.Trainer, module: SemanticIDModule, data: WOTDDataModule, checkpoint: Path | None) -> None:
    if checkpoint is not None:
        logger.info("going on from %s", checkpoint)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _best_checkpoint(trainer: lightning.Trainer, output_dir: Path) -> Path:
    """The checkpoint with the least ``val/loss``, the start among the candidates; the last where none was kept."""
    callback = trainer.checkpoint_callback
    if not (isinstance(callback, ModelCheckpoint) and callback.best_model_path and callback.best_model_score):
        path = output_dir / "checkpoints" / "last.ckpt"
        trainer.save_checkpoint(path)
        return path
    start = output_dir / "checkpoints" / "start.ckpt"
    if start.is_file():
        loss = float(torch.load(start, map_location="cpu", weights_only=True)["val/loss"])
        if loss <= float(callback.best_model_score):
            logger.warning(
                "training did not improve on its closed-form start (val/loss %.4f against %.4f); the start is kept: "
                "try a lower model.optimizer.learning_rate or other model.losses",
                float(callback.best_model_score),
                loss,
            )
            return start
    return Path(callback.best_model_path)


def _load_weights(module: SemanticIDModule, path: Path) -> None:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    module.to("cpu")


def load_checkpoint(path: str | Path) -> tuple[SemanticEncoder, dict[str, Any]]:
    """The encoder of a training checkpoint, in eval mode, and the provenance it carries.

    Raises:
        TrainingError: if it is no checkpoint of ours.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise TrainingError(f"checkpoint is {file}, which is not a file.")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        own = dict(checkpoint["wotd"])
        encoder = SemanticEncoder.from_config(own.pop("encoder"))
        prefix = "model."
        state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        encoder.load_state_dict(state)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"checkpoint {file} is not one of wotd's: {reason}") from error
    return encoder.eval(), own


def export_checkpoint(path: str | Path, output: str | Path) -> Path:
    """Make artifacts of a training checkpoint; they name no works and hold no passages.

    Raises:
        TrainingError: if it is no checkpoint of ours, or its embedding model has a fitted state,
            which only the run's own artifacts hold.
    """
    encoder, provenance = load_checkpoint(path)
    embedding = provenance.get("embedding")
    if embedding is not None and embedding["fingerprint"]["kind"] == "lsa":
        raise TrainingError(f"checkpoint {path} was trained on lsa, whose fitted state is in the run's artifacts only.")
    taxonomy = Taxonomy.from_mapping(provenance["taxonomy"]) if provenance["taxonomy"] else None
    with artifact_folder.writing(output) as folder:
        empty = torch.empty(0, len(encoder.level_sizes), dtype=torch.int64).numpy()
        _write_encoder(folder, encoder)
        write_semantic_ids(folder / artifact_folder.SEMANTIC_IDS, None, taxonomy, empty)
        write_codes(folder / artifact_folder.CODES, codes_NL=empty, sides=[], corpora=None, texts=False)
        artifact_folder.seal(folder, {**provenance, "encoder": encoder.config, "out_of_domain_error": None})
    return Path(output)


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
    """Calibrate on validation, then measure every side."""
    encoder = module.model
    labels = data.labels if module.supervised else None
    if labels is not None:
        rows = data.rows(VAL)
        encoder.calibrate(torch.from_numpy(data.vectors[rows].astype("float32")), torch.from_numpy(labels[rows]))
    metrics: dict[str, float] = {}
    for side, name in enumerate(SPLIT_NAMES):
        rows = data.rows(side)
        if not len(rows):
            continue
        measured = evaluate(
            encoder,
            data.vectors,
            rows,
            labels_NL=labels,
            reference_labels_NL=None if labels is None else labels[data.rows(TRAIN)],
            level_names=taxonomy.level_names if taxonomy else (),
        )
        metrics |= {f"{name}/{key}": value for key, value in measured.items()}
    return metrics


def _write_artifacts(
    config: DictConfig,
    results: TrainingResults,
    module: SemanticIDModule,
    data: WOTDDataModule,
    taxonomy: Taxonomy | None,
) -> None:
    encoder = module.model
    all_rows = torch.arange(len(data.sides)).numpy()
    codes_NL = encode_vectors(encoder, data.vectors, all_rows)
    val_rows = data.rows(VAL)
    errors_N = row_errors(encoder, data.vectors, val_rows, codes_NL[val_rows])
    with artifact_folder.writing(results.artifacts) as folder:
        _write_encoder(folder, encoder)
        state_files = data.embedder.save_state(folder) if taxonomy is not None and data.embedder else []
        logger.debug("embedding state: %s", state_files)
        write_semantic_ids(folder / artifact_folder.SEMANTIC_IDS, data.corpora, taxonomy, codes_NL)
        write_codes(
            folder / artifact_folder.CODES,
            codes_NL=codes_NL,
            sides=[SPLIT_NAMES[side] for side in data.sides],
            corpora=data.corpora,
            texts=bool(config.artifacts.texts),
        )
        artifact_folder.write_json(folder / artifact_folder.RESULTS, results.to_mapping())
        write_model_card(
            folder, results.to_mapping(), encoder, module.provenance, codes_NL, data.corpora, taxonomy,
            OmegaConf.to_yaml(config, resolve=True),
        )  # fmt: skip
        artifact_folder.seal(
            folder,
            {
                **module.provenance,
                "encoder": encoder.config,
                "out_of_domain_error": float(torch.from_numpy(errors_N).quantile(OUT_OF_DOMAIN_QUANTILE)),
            },
        )


def _write_encoder(folder: Path, encoder: SemanticEncoder) -> None:
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_file(state, folder / artifact_folder.WEIGHTS)


def _plain(node: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(OmegaConf.to_container(node, resolve=True)))
    return data
