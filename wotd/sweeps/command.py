"""The command that was typed: what it knows of its sweep, and what it says when the sweep ends, however that comes."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from wotd.configuration import overrides_of
from wotd.errors import ConfigurationError, WOTDError
from wotd.sweeps import direction, identity

if TYPE_CHECKING:
    from wotd.runs import Begun

logger = logging.getLogger(__name__)

COMPARISON, PAGE = "comparison.parquet", "comparison.html"
"""All metrics of all finished jobs, and a page with charts of them, in the folder of the sweep."""

_FAILED, _INTERRUPTED, _TERMINATED = 1, 128 + signal.SIGINT, 128 + signal.SIGTERM
_EXTRAS = {
    "hydra/launcher=joblib": ("hydra_joblib_launcher", "joblib"),
    "hydra/launcher=submitit_slurm": ("hydra_submitit_launcher", "slurm"),
    "hydra/launcher=submitit_local": ("hydra_submitit_launcher", "slurm"),
    "hydra/sweeper=optuna": ("hydra_optuna_sweeper", "optuna"),
    "+sweep=optuna": ("hydra_optuna_sweeper", "optuna"),
}
"""Package below ``hydra_plugins`` and extra of ours that brings it, by what asks for it."""


def refuse_missing_extras(overrides: Sequence[str]) -> None:
    """Refuse a launcher or a sweeper that is not installed.

    Raises:
        ConfigurationError: naming the extra that brings it.
    """
    for override in overrides:
        package, extra = _EXTRAS.get(override, ("", ""))
        if package and not _installed(f"hydra_plugins.{package}"):
            raise ConfigurationError(f"{override} needs a package that is not installed: pip install 'wotd[{extra}]'.")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even hydra_plugins
        return False


class Sweep(Callback):
    """A sweep as it is known when it starts; Hydra makes one of ``hydra.callbacks``.

    Attributes:
        folder: where the folders of its jobs are.
        objective: the metric it goes by.
        jobs: the overrides of each job of a grid; None where the sweeper decides as it goes.
        failed_before: when what failed earlier did so, by its folder.
    """

    current: ClassVar[Sweep | None] = None
    """The sweep of this process, from its start."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.folder, self.objective = Path(), ""
        self.jobs: list[list[str]] | None = None
        self.failed_before: dict[Path, int] = {}

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Take note of it."""
        from wotd.runs import begun_below

        Sweep.current = self
        self.folder, self.objective = Path(str(config.hydra.sweep.dir)), str(config.objective)
        self.failed_before = {begun.run: begun.failed_at for begun in begun_below(self.folder) if begun.failure}
        self.jobs = _jobs(config)
        if str(config.hydra.sweeper._target_).endswith(".OptunaSweeper"):
            import optuna

            optuna.logging.disable_default_handler()  # what it says is logged as everything else is
        if self.jobs is None:
            logger.info("objective: %s, to %s", self.objective, direction(self.objective))
        if self.jobs is None and self.objective.startswith("test/"):
            logger.warning("what is chosen by the test side is no longer measured by it; objective=val/… leaves it be")

    def newly_failed(self, begun: Begun) -> bool:
        """Whether a job failed in this sweep rather than in an earlier one of the same folder."""
        return begun.failure is not None and begun.failed_at != self.failed_before.get(begun.run)

    def has(self, begun: Begun) -> bool:
        """Whether a folder is that of one of its jobs."""
        return self.jobs is None or identity(begun.overrides) in map(identity, self.jobs)


def _jobs(config: DictConfig) -> list[list[str]] | None:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    if not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
        return None
    params = [f"{key}={values}" for key, values in (config.hydra.sweeper.params or {}).items()]
    try:
        parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
        return BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException:  # the sweeper is about to say it
        return None


@contextmanager
def reported(arguments: Sequence[str]) -> Iterator[None]:
    """Let the block run; where it was a sweep, say at its end what came of it and how to go on.

    Args:
        arguments: the command line.

    Raises:
        SystemExit: with status 1 where a job failed, 130 after Ctrl-C.
    """
    Sweep.current = None
    try:
        yield
    except (HydraException, OmegaConfBaseException):
        raise  # what was asked for cannot be composed, and nothing ran
    except BaseException as error:
        if sweep := _running():
            _break_off(sweep, arguments, error)
        raise
    if (sweep := _running()) and not _conclude(sweep, arguments):
        sys.exit(_FAILED)


def _running() -> Sweep | None:
    return Sweep.current


def _break_off(sweep: Sweep, arguments: Sequence[str], error: BaseException) -> None:
    """Say what came of a sweep that something ended; leaves with a status unless the error is worth a traceback."""
    if isinstance(error, KeyboardInterrupt):
        _conclude(sweep, arguments, "interrupted")
        sys.exit(_INTERRUPTED)
    if isinstance(error, SystemExit):
        if error.code == _TERMINATED:
            _conclude(sweep, arguments, "terminated")
        return
    if "No trials are completed" in str(error):  # Optuna's word for: all of them failed
        _conclude(sweep, arguments)
        sys.exit(_FAILED)
    if type(error).__module__.partition(".")[0] in ("joblib", "submitit"):  # a process of a launcher died
        _say(f"{type(error).__name__}: {' '.join(str(error).split())}")
        _conclude(sweep, arguments, "broken off")
        sys.exit(_FAILED)
    _conclude(sweep, arguments, "broken off")


def _conclude(sweep: Sweep, arguments: Sequence[str], how: str = "") -> bool:
    """Print what a sweep gave; returns whether all of it ended well.

    Args:
        sweep: the sweep.
        arguments: the command line.
        how: what ended it early, if anything did.
    """
    from wotd.pipeline import first_process
    from wotd.runs import begun_below, own_overrides

    if not first_process():
        return True
    _print_comparison(sweep)
    jobs = [begun for begun in begun_below(sweep.folder) if sweep.has(begun)]
    failed = [begun for begun in jobs if sweep.newly_failed(begun)]
    for begun, own in zip(jobs, own_overrides([begun.overrides for begun in jobs]), strict=True):
        if begun.failure and begun in failed:
            told = f" ({' '.join(own)})" if own else ""
            _say(f"{os.path.relpath(begun.run)}{told} failed: {begun.failure.error}")
    if not failed and not how:
        return True
    finished = sum(begun.finished for begun in jobs)
    total = f" of {len(sweep.jobs)}" if sweep.jobs else ""
    counts = f"{finished}{total} jobs are finished, {len(failed)} failed"
    _say(f"{f'{how}; ' if how else ''}{counts}; go on with: {_command(arguments, sweep.folder)}")
    return False


def _print_comparison(sweep: Sweep) -> None:
    """Tables of all finished jobs of the folder, those of earlier sweeps too, and a file of all they measured."""
    from wotd.cli.compare import unfinished, write_page, write_runs
    from wotd.cli.outputs import check_output
    from wotd.cli.run_tables import drawn
    from wotd.cli.tables import print_line, print_parts
    from wotd.runs import UnmeasuredError, begun_below, compared, found_below, verdict

    if not any(begun.finished for begun in begun_below(sweep.folder)):
        return
    try:
        artifacts = found_below([sweep.folder])
        try:
            runs, by = compared(artifacts, sweep.objective)
        except UnmeasuredError as error:
            _say(f"objective {error}")
            runs, by = compared(artifacts)
        print_line("")
        print_parts(drawn(runs, by))
        target, page = (check_output(sweep.folder / name, (".parquet", ".html")) for name in (COMPARISON, PAGE))
        write_runs(runs, target)
        left = [begun for begun in begun_below(sweep.folder) if sweep.has(begun) and not begun.finished]
        write_page(runs, by, page, [unfinished(begun) for begun in left])
    except (WOTDError, OSError) as error:
        _say(f"the jobs cannot be compared: {error}")
        return
    for line in ("", *verdict(runs, by), f"all metrics: {os.path.relpath(target)}; charts: {os.path.relpath(page)}"):
        print_line(line)
    sys.stdout.flush()


def _command(arguments: Sequence[str], folder: Path) -> str:
    """The same command in the same folder."""
    kept = [each for each in arguments if not each.startswith("hydra.sweep.dir=")]
    return f"wotd-train {shlex.join([*kept, *overrides_of({'hydra.sweep.dir': os.path.relpath(folder)})])}"


def _say(sentence: str) -> None:
    print(f"wotd-train: {sentence}", file=sys.stderr)  # noqa: T201  a door speaks to people
