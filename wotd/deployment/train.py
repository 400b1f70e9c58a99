"""SageMaker script mode: hyperparameters and channels in, artifacts in the model folder out.

=========================== ==========================================================================
hyperparameter              a key of the config (``data.batch_size``), a group (``embedding``), or
                            ``experiment``, which names the recipe
channel ``corpus``          ``provider.root``; the provider is ``files`` unless a hyperparameter says else
channel ``vectors``         its one .npy file is ``data.vectors``; the recipe is ``deep`` unless said else
channel ``embedding_model`` ``embedding.model``; travels with the artifacts, so that inference needs no hub
=========================== ==========================================================================

An embedding model that runs Python code of its repository does so only with the hyperparameter
``embedding.trust_remote_code``; the channel of a model grants nothing.

Arguments of the command line are ignored: they repeat the hyperparameters in a form that loses types.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any

from wotd import artifacts
from wotd.configuration import known_keys, unknown_key
from wotd.errors import ConfigurationError, CorpusError, WOTDError

logger = logging.getLogger("wotd.deployment.train")

_BASE = Path("/opt/ml")
_EMBEDDING_MODEL = "embedding_model"
_CHANNEL = "SM_CHANNEL_"
_PYTHON_WORDS = {"True": True, "False": False, "None": None}


def main(environment: Mapping[str, str] = environ) -> int:
    """Train as the environment says; returns the exit status, with the reason of a failure where SageMaker reads it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        run(environment)
    except WOTDError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "training was stopped before its end."
    except Exception as error:
        logger.exception("an error that is not the user's")
        reason = f"unexpected {type(error).__name__}: {error}"
    else:
        return 0
    logger.error("%s", reason)
    _write_failure(_folder(environment, "SM_OUTPUT_DIR", "output"), reason)
    return 1


def run(environment: Mapping[str, str]) -> None:
    """Train, and put the artifacts into the model folder.

    Raises:
        WOTDError: in one sentence, what of the hyperparameters or channels cannot be used.
    """
    channels = channels_of(environment)
    settings = with_channels(hyperparameters(environment), channels)
    logger.info("settings: %s", settings)
    from wotd.pipeline import train_wotd_pipeline  # imported here: a bad hyperparameter need not wait for torch

    results = train_wotd_pipeline(settings, _folder(environment, "SM_OUTPUT_DATA_DIR", "output/data"))
    if not results.metrics:  # a process other than the first of a distributed run
        return
    publish(results.artifacts, _folder(environment, "SM_MODEL_DIR", "model"), channels.get(_EMBEDDING_MODEL))


def hyperparameters(environment: Mapping[str, str]) -> dict[str, Any]:
    """The user's hyperparameters as settings of the config, decoded; SageMaker's own are left out.

    Raises:
        ConfigurationError: if they are no JSON object, or a name is no key.
    """
    try:
        given = json.loads(environment.get("SM_HPS") or "{}")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"SM_HPS is not valid JSON: {error}.") from error
    if not isinstance(given, dict):
        raise ConfigurationError(f"SM_HPS is a {type(given).__name__}; expected an object of hyperparameters.")
    users = {name: decoded(value) for name, value in given.items() if not _is_sagemakers(name)}
    known = ["experiment", *known_keys()]
    for name in users:
        # What stands further down depends on the options chosen; composing the config looks at that.
        if re.split(r"[./@]", name)[0] not in known:
            raise ConfigurationError(unknown_key(name, known))
    return users


def decoded(value: Any) -> Any:
    """A hyperparameter's value; text that reads as JSON or as a Python constant is what it says.

    SageMaker turns every value into text. A text that should stay one though it reads as a number
    is given with quotes of its own: ``"1984"``.
    """
    if not isinstance(value, str):
        return value
    if value in _PYTHON_WORDS:
        return _PYTHON_WORDS[value]
    try:
        return json.loads(value, parse_constant=_refused)
    except (ValueError, RecursionError):
        return value


def channels_of(environment: Mapping[str, str]) -> dict[str, Path]:
    """Folders of the input channels by name in lower case."""
    return {
        name.removeprefix(_CHANNEL).lower(): Path(folder)
        for name, folder in environment.items()
        if name.startswith(_CHANNEL)
    }


def with_channels(settings: Mapping[str, Any], channels: Mapping[str, Path]) -> dict[str, Any]:
    """The settings, and what the channels say.

    Raises:
        ConfigurationError: if a hyperparameter says the same thing as a channel.
        CorpusError: if the channel of vectors does not hold just one file of them.
    """
    known: dict[str, dict[str, Any]] = {}
    for name, folder in sorted(channels.items()):
        if name == "corpus":
            known[name] = {"provider.root": str(folder)}
        elif name == "vectors":
            known[name] = {"data.vectors": str(_only_npy(folder))}
        elif name == _EMBEDDING_MODEL:
            known[name] = {"embedding.model": str(folder)}
        else:
            logger.info("channel %s at %s is left alone", name, folder)
    defaults = {"provider": "files"} if "corpus" in known else {}
    if "vectors" in known:
        defaults["experiment"] = "deep"
    merged = {**defaults, **settings}
    for name, said in known.items():
        for key, value in said.items():
            if key in settings:
                raise ConfigurationError(f"hyperparameter {key} and channel {name} say the same thing; give one.")
            merged[key] = value
    return merged


def publish(source: Path, model_dir: Path, embedding_model: Path | None) -> None:
    """Copy artifacts into the model folder, and beside them the embedding model that came by a channel."""
    with artifacts.writing(model_dir) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        if embedding_model is not None:
            shutil.copytree(embedding_model, folder / _EMBEDDING_MODEL)
    logger.info("artifacts are in %s", model_dir)


def _is_sagemakers(name: str) -> bool:
    return name.startswith("sagemaker_") or name == "_tuning_objective_metric"


def _only_npy(folder: Path) -> Path:
    found = sorted(folder.rglob("*.npy"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise CorpusError(f"channel vectors at {folder} holds {len(found)} .npy files ({names}); expected one.")
    return found[0]


def _folder(environment: Mapping[str, str], name: str, default: str) -> Path:
    return Path(environment.get(name) or _BASE / default)


def _refused(constant: str) -> Any:
    raise ValueError(constant)


def _write_failure(output_dir: Path, reason: str) -> None:
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "failure").write_text(reason + "\n", encoding="utf-8")
    except OSError as error:
        logger.warning("the reason cannot be written to %s: %s", output_dir, error)


if __name__ == "__main__":
    sys.exit(main())
