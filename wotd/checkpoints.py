"""Training checkpoints: which one to go on from, whether it fits, and the encoder within.

Lightning writes them; each carries the encoder's shape and the provenance of its run (the key
``wotd``), as plain data that ``torch.load(weights_only=True)`` reads.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wotd.callbacks.checkpoint_files import write_whole
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError, TrainingError

FOLDER = "checkpoints"
BEST, LAST, START = "best.ckpt", "last.ckpt", "start.ckpt"

_SHAPE = ("input_dim", "latent_dim", "level_sizes", "hidden", "quantizer")


def named_checkpoint(ckpt_path: str | None, output_dir: Path) -> Path | None:
    """Where the checkpoint to go on from is said to be; ``last`` is the newest of the run's folder."""
    if ckpt_path is None:
        return None
    return output_dir / FOLDER / LAST if ckpt_path == "last" else Path(ckpt_path).expanduser()


def find_checkpoint(ckpt_path: str | None, output_dir: Path) -> Path | None:
    """The checkpoint to go on from, which is there.

    Raises:
        ConfigurationError: if there is none; the message names the newest runs that have one.
    """
    path = named_checkpoint(ckpt_path, output_dir)
    if path is None or path.is_file():
        return path
    found = sorted(Path("outputs").glob(f"**/{FOLDER}/{LAST}"), key=lambda p: p.stat().st_mtime, reverse=True)
    runs = ", ".join(f"hydra.run.dir={p.parent.parent}" for p in found[:3])
    hint = f"the newest runs that have one: {runs}" if runs else "no run under outputs/ has one"
    raise ConfigurationError(
        f"ckpt_path is {ckpt_path}, but {path} does not exist; {hint}. A run that had none yet starts anew without it."
    )


def refuse_misfit(path: Path, encoder: SemanticEncoder, provenance: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of another model, another embedding space or other features.

    Args:
        path: the checkpoint.
        encoder: the model that is to go on.
        provenance: of the run that is to go on, as checkpoints carry it.

    Raises:
        ConfigurationError: in one sentence, what differs.
    """
    checkpoint = _read(path, "ckpt_path", ConfigurationError)
    if "loops" not in checkpoint:
        raise ConfigurationError(f"ckpt_path is {path}, which holds weights alone; go on from a {LAST} or {BEST}.")
    theirs, ours = checkpoint["wotd"]["encoder"], encoder.config
    if differing := [key for key in _SHAPE if theirs.get(key) != ours[key]]:
        pairs = ", ".join(f"{key} {theirs.get(key)} there and {ours[key]} here" for key in differing)
        raise ConfigurationError(f"ckpt_path is {path}, whose model has another shape: {pairs}.")
    before, now = (_fingerprint(found, "embedding") for found in (checkpoint["wotd"], provenance))
    if before != now:
        there, here = (found["model"] if found else "bare vectors" for found in (before, now))
        reason = "; its files, its settings or the texts it was fitted on have changed" if there == here else ""
        raise ConfigurationError(
            f"ckpt_path is {path}, which learned from vectors of {there}, not from those of {here} as they are{reason}."
        )
    before, now = (_fingerprint(found, "features") for found in (checkpoint["wotd"], provenance))
    if before != now:
        there, here = (
            f"{found['model']}, {', '.join(found['features'])}" if found else "none" for found in (before, now)
        )
        raise ConfigurationError(f"ckpt_path is {path}, which learned with the features {there}, not {here}.")


def _fingerprint(provenance: Mapping[str, Any], part: str) -> Mapping[str, Any] | None:
    found = provenance.get(part)
    return None if found is None else found["fingerprint"]


def save_start(state: Mapping[str, Any], output_dir: Path) -> None:
    """Keep the state of a model that was started and not trained, whole or not at all."""
    write_whole(state, output_dir / FOLDER / START)


def load_checkpoint(path: str | Path) -> tuple[SemanticEncoder, dict[str, Any]]:
    """The encoder of a checkpoint, in eval mode, and the provenance it carries.

    Raises:
        TrainingError: if it is no checkpoint of ours.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise TrainingError(f"checkpoint is {file}, which is not a file.")
    checkpoint = _read(file, "checkpoint", TrainingError)
    own = dict(checkpoint["wotd"])
    prefix = "model."
    try:
        state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        encoder = SemanticEncoder.restored(own.pop("encoder"), state)
    except Exception as error:  # weights and shape of unlike versions fail in many ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise TrainingError(f"checkpoint is {file}, which this version of wotd cannot read: {reason}.") from error
    return encoder, own


def _read(path: Path, argument: str, kind: type[ConfigurationError] | type[TrainingError]) -> dict[str, Any]:
    try:
        _refuse_packed(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file raises kinds of zip, pickle and torch, and none says much
        raise kind(f"{argument} is {path}, which is not one of wotd's checkpoints, or is damaged.") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("wotd"), dict):
        raise kind(f"{argument} is {path}, which is not one of wotd's checkpoints.")
    return checkpoint


def _refuse_packed(path: Path) -> None:
    """Refuse an archive that is larger within than without; torch packs nothing, but would unpack.

    Raises:
        BadZipFile: if it is, or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise zipfile.BadZipFile("it holds more than its own size")
