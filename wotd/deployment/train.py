"""SageMaker script mode: hyperparameters and channels in, artifacts in the model folder out.

=========================== ==========================================================================
hyperparameter              a key of the config (``data.batch_size``), a group (``embedding``), or
                            ``experiment``, which names the recipe
channel ``corpus``          ``provider.root``; the provider is ``files`` unless a hyperparameter says else
channel ``vectors``         its one .npy file is ``data.vectors``; the recipe is ``deep`` unless said else
channel ``embedding_model`` ``embedding.model``; travels with the artifacts, so that inference needs no hub
=========================== ==========================================================================

The model folder is the artifact folder; the folder of output data gets ``training_results.json``, the
report, plots and TensorBoard events. Where the job has a place for checkpoints (``/opt/ml/checkpoints``,
or what ``WOTD_CHECKPOINTS`` names), the run's folder is ``run`` below it, and a job that was interrupted
goes on from there. On several hosts or GPUs, :mod:`wotd.deployment.cluster` makes one run of them.

An embedding model that runs Python code of its repository does so only with the hyperparameter
``embedding.trust_remote_code``; the channel of a model grants nothing.

Arguments of the command line are ignored: they repeat the hyperparameters in a form that loses types.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any

from wotd import artifacts
from wotd.configuration import known_keys, unknown_key
from wotd.deployment.cluster import Cluster, launch
from wotd.errors import ConfigurationError, CorpusError, WOTDError
from wotd.redaction import redacted

logger = logging.getLogger("wotd.deployment.train")

_BASE = "/opt/ml"
_RUN = "run"
"""The run's folder among the checkpoints, which may hold other things, such as a cache of embeddings."""

_RESULTS = (artifacts.RESULTS, artifacts.TRAINING_CONFIG, artifacts.PAGE, "plots")
_TERMINATED = 128 + signal.SIGTERM
_EMBEDDING_MODEL = "embedding_model"
_CHANNEL = "SM_CHANNEL_"
_PYTHON_WORDS = {"True": True, "False": False, "None": None}


def main(environment: Mapping[str, str] = environ) -> int:
    """Train as the environment says; returns the exit status, with the reason of a failure where SageMaker reads it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    status = 1
    try:
        run(environment)
    except WOTDError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = _stopped(environment)
    except SystemExit as stop:
        if stop.code != _TERMINATED:
            raise
        if int(environment.get("RANK") or 0):
            return 0  # the first process speaks for all; to a launcher another status is a reason to kill it
        status, reason = _TERMINATED, _stopped(environment)
    except Exception as error:
        logger.exception("an error that is not the user's")
        reason = f"unexpected {type(error).__name__}: {redacted(str(error))}"
    else:
        return 0
    logger.error("%s", reason)
    _write_failure(_folder(environment, "SM_OUTPUT_DIR", "output"), reason, first="RANK" in environment)
    return status


def run(environment: Mapping[str, str]) -> None:
    """Train, put the artifacts into the model folder and the results into that of output data.

    On several hosts or GPUs, this process becomes the launcher of those that train, and does not come back.

    Raises:
        WOTDError: in one sentence, what of the hyperparameters or channels cannot be used.
        SystemExit: with status 143, after SIGTERM.
    """
    channels = channels_of(environment)
    settings = with_channels(hyperparameters(environment), channels)
    cluster = Cluster.of(environment, settings)
    cluster.refuse_shards(environment, channels)
    settings = cluster.settings(settings)
    if not cluster.alone and not cluster.launched:
        launch(cluster, Path(__file__), environment)
    # Imported here: a bad hyperparameter need not wait for torch.
    from wotd.checkpoints import FOLDER, LAST
    from wotd.pipeline import train_wotd_pipeline

    folder = run_folder(environment)
    if (folder / FOLDER / LAST).is_file():
        settings = {"ckpt_path": "last", **settings}
    logger.info("settings: %s", redacted(str(settings)))
    results = train_wotd_pipeline(settings, folder)
    if not results.metrics:  # a process other than the first of a distributed run
        return
    publish(results.artifacts, _folder(environment, "SM_MODEL_DIR", "model"), channels.get(_EMBEDDING_MODEL))
    leave_results(folder, results.artifacts, _folder(environment, "SM_OUTPUT_DATA_DIR", "output/data"))


def run_folder(environment: Mapping[str, str]) -> Path:
    """Where the run writes: among the checkpoints that SageMaker keeps, if the job has any, else the output data."""
    checkpoints = _folder(environment, "WOTD_CHECKPOINTS", "checkpoints")
    return checkpoints / _RUN if checkpoints.is_dir() else _folder(environment, "SM_OUTPUT_DATA_DIR", "output/data")


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

    SageMaker turns every value into text, and its toolkit reads that as JSON once already. A text that should
    stay one though it reads as a number keeps quotes of its own: ``"1984"`` here, one layer more where it is typed.
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


def leave_results(run: Path, source: Path, output: Path) -> None:
    """Put what is to be looked at into the folder of output data: figures, report, plots, and what the logger wrote.

    Artifacts do not stay there a second time.

    Args:
        run: the run's folder.
        source: the artifacts in it.
        output: the folder of output data, which may be the run's.
    """
    from wotd.checkpoints import FOLDER

    found = [source / name for name in _RESULTS]
    if run != output:
        found += [each for each in sorted(run.iterdir()) if each.name != FOLDER and each != source]
    output.mkdir(parents=True, exist_ok=True)
    for each in found:
        if each.is_dir():
            shutil.copytree(each, output / each.name, dirs_exist_ok=True)
        elif each.is_file():
            shutil.copyfile(each, output / each.name)
    shutil.rmtree(source)
    logger.info("results are in %s", output)


def _is_sagemakers(name: str) -> bool:
    return name.startswith("sagemaker_") or name == "_tuning_objective_metric"


def _only_npy(folder: Path) -> Path:
    found = sorted(folder.rglob("*.npy"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise CorpusError(f"channel vectors at {folder} holds {len(found)} .npy files ({names}); expected one.")
    return found[0]


def _folder(environment: Mapping[str, str], name: str, default: str) -> Path:
    return Path(environment.get(name) or Path(environment.get("SAGEMAKER_BASE_DIR") or _BASE) / default)


def _refused(constant: str) -> Any:
    raise ValueError(constant)


def _stopped(environment: Mapping[str, str]) -> str:
    folder = run_folder(environment)
    if folder.name == _RUN and any(folder.glob("*/last.ckpt")):
        return f"training was stopped before its end; a job with the same checkpoints goes on with what is in {folder}."
    return (
        "training was stopped before its end and has left nothing to go on from; a job that has a place for "
        "checkpoints (CheckpointConfig) keeps each epoch there."
    )


def _write_failure(output_dir: Path, reason: str, *, first: bool) -> None:
    """Write the reason; of several processes, that of the first one to fail stays."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with (output_dir / "failure").open("x" if first else "w", encoding="utf-8") as file:
            file.write(reason + "\n")
    except FileExistsError:
        return
    except OSError as error:
        logger.warning("the reason cannot be written to %s: %s", output_dir, error)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that what was begun is cleaned up
    sys.exit(main())
