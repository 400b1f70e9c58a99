"""The training door: ``python -m wotd.train +experiment=minilm``, also installed as ``wotd-train``."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from wotd.configuration import CONFIG_NAME, config_directory, explain, refuse_wrong_choices
from wotd.errors import LostProcessError, WOTDError
from wotd.run_lock import refuse_taken
from wotd.sweeps.command import refuse_missing_extras, reported
from wotd.sweeps.job import run_job

logger = logging.getLogger(__name__)

_FAILED, _WRONG_USAGE, _INTERRUPTED, _TERMINATED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM
_LOSS_SAID = ".lost_process"
"""In a run's folder: that one of its processes has told people of the loss of another."""


@hydra.main(version_base="1.3", config_path=str(config_directory()), config_name=CONFIG_NAME)
def run(config: DictConfig) -> float | None:
    """Train one run of a recipe; in a sweep, return what ``objective`` names."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return run_job(config, _train)
    try:
        _train(config)
    except LostProcessError as error:
        _lost(error)
    except KeyboardInterrupt:
        _stopped("interrupted", _INTERRUPTED)
    except SystemExit as stop:
        if stop.code != _TERMINATED:
            raise
        _stopped("terminated", _TERMINATED)
    except WOTDError as error:
        _exit(str(error), _FAILED)
    return None


class OneRunAFolder(Callback):
    """Refuses the folder of a run that goes on, before Hydra notes there what this one was told; of a single run."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Look whether another process holds the folder."""
        from wotd.pipeline import first_process

        try:
            if first_process():
                refuse_taken(Path(str(config.hydra.run.dir)))
        except WOTDError as error:
            _exit(str(error), _FAILED)


def _train(config: DictConfig) -> Mapping[str, float]:
    # Imported here: --help, --cfg and completion need no torch.
    from wotd.pipeline import first_process, train_wotd_pipeline

    output_dir = HydraConfig.get().runtime.output_dir
    if first_process():
        (Path(output_dir) / _LOSS_SAID).unlink(missing_ok=True)
    results = train_wotd_pipeline(config, output_dir)
    if not results.metrics:  # a process other than the first of a distributed run
        return {}
    logger.info("results:\n%s", summary(results.metrics))
    artifacts = os.path.relpath(results.artifacts)
    texts = results.counts["works"] > 0
    use = f'encode --artifacts {artifacts} "It was a dark night"' if texts else f"inspect --artifacts {artifacts}"
    report = os.path.relpath(results.artifacts / "report.html")
    logger.info("everything is in %s; look at %s; next: wotd %s", os.path.relpath(results.output_dir), report, use)
    return results.metrics


def summary(metrics: Mapping[str, float]) -> str:
    """The figures that matter as a table, one line a side."""
    columns = [("nMSE", "nmse"), ("collisions", "collisions/rate"), ("(floor)", "collisions/floor")]
    for key in metrics:
        if key.startswith("train/agreement/") and key.endswith("/accuracy"):
            agreement = key.removeprefix("train/").removesuffix("/accuracy")
            name = agreement.removeprefix("agreement/")
            columns += [(name, f"{agreement}/accuracy"), ("(majority)", f"{agreement}/majority")]
    rows = [["", *(title for title, _ in columns)]]
    for side in ("train", "val", "test"):
        if f"{side}/nmse" in metrics:
            values = [metrics.get(f"{side}/{key}") for _, key in columns]
            rows.append([side, *("" if value is None else f"{value:.3f}" for value in values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def _stopped(how: str, status: int) -> NoReturn:
    from wotd.pipeline import first_process

    if first_process():
        _exit(f"{how}; {_how_to_go_on()}", status)
    sys.exit(0)  # the first process speaks for all; to some launchers another status is a reason to kill it


def _lost(error: LostProcessError) -> NoReturn:
    """Say once what all processes that are left have found out, the first of the run perhaps not among them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a launcher, who has found out too
    said = Path(HydraConfig.get().runtime.output_dir) / _LOSS_SAID
    try:
        said.touch(exist_ok=False)
    except FileExistsError:
        sys.exit(_FAILED)
    except OSError:  # better twice than never
        pass
    _exit(str(error), _FAILED)


def _how_to_go_on() -> str:
    """The command that goes on from where the run was stopped, if it came so far."""
    hydra_config = HydraConfig.get()
    folder = os.path.relpath(hydra_config.runtime.output_dir)
    if not (Path(folder) / "checkpoints" / "last.ckpt").is_file():
        return "there is no checkpoint to go on from yet."
    overrides = [o for o in hydra_config.overrides.task if not o.startswith("ckpt_path=")]
    return f"go on with: wotd-train {shlex.join([*overrides, 'ckpt_path=last', f'hydra.run.dir={folder}'])}"


def main() -> None:
    """Run Hydra; what the user can mend is one sentence on stderr and exit status 1 (2 for bad keys)."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors through, to be said in a sentence below
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that what was begun is cleaned up
    overrides = sys.argv[1:]
    try:
        refuse_wrong_choices(overrides)
        refuse_missing_extras(overrides)
        _name_run()
        with reported(overrides):
            run()
    except WOTDError as error:
        _exit(str(error), _FAILED)
    except InstantiationException:  # a bug of whoever wrote the class
        raise
    except (HydraException, OmegaConfBaseException) as error:
        _exit(explain(error, overrides), _WRONG_USAGE)
    except BrokenPipeError:  # whoever read has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)
    except OSError as error:
        if any(frame.f_code is _train.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
            raise  # not while Hydra made the run's folder
        _exit(
            f"the run's folder {error.filename} cannot be made: {error.strerror}; set another hydra.run.dir.", _FAILED
        )
    except KeyboardInterrupt:
        _exit("interrupted.", _INTERRUPTED)


def _name_run() -> None:
    """Let the processes of a distributed run agree on the name of its folder, ``WOTD_RUN``.

    Each would read its own clock, and where a second turns in between there would be two folders.
    """
    if "WOTD_RUN" in os.environ:
        return
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # torchrun's own store, which all can reach
        import torch.distributed

        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = torch.distributed.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
        now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        os.environ["WOTD_RUN"] = store.compare_set("wotd/run", "", now).decode()
    elif int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ:
        os.environ["WOTD_RUN"] = f"slurm_{os.environ['SLURM_JOB_ID']}"


def _exit(message: str, status: int) -> NoReturn:
    print(f"wotd-train: {message}", file=sys.stderr)  # noqa: T201  a door speaks to people
    sys.exit(status)


if __name__ == "__main__":
    main()
