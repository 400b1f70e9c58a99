"""Runs that were trained: which there are, what each was told, measured and left, and which is best.

What is read is unverified: to compare runs nobody should have to read all their weights.
"""

from __future__ import annotations

import difflib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import yaml
from omegaconf.errors import OmegaConfBaseException

from wotd.artifacts import CONFIG, RESULTS, TRAINING_CONFIG
from wotd.errors import ArtifactError

Run = Mapping[str, Any]
"""A run's metrics by name beside what it is; :data:`DESCRIBED` are the latter."""

DESCRIBED = ("run", "artifacts", "overrides", "command", "embedding", "level_sizes", "quantizer", "seed")

FAILURE = "failure.json"
"""What a job of a sweep leaves in its folder instead of artifacts."""

_ARTIFACTS = "artifacts"
_OVERRIDES = Path(".hydra") / "overrides.yaml"
_ORDERS = ("val/nmse", "test/nmse")
_LESS_IS_BETTER = (
    *("nmse", "collisions/", "/dead", "/gini", "/mean_absolute_error", "/ece", "seconds", "loss"),
    *("/collision_rate/", "/left_over", "/churn/"),
)


class UnmeasuredError(ArtifactError):
    """A metric was asked for that no run measured."""


# --- finding and reading


def found_below(folders: Iterable[Path]) -> list[Path]:
    """The artifact folders of runs, of artifact folders, and of folders that hold any: each once, in sorted order.

    Raises:
        ArtifactError: if a folder is none, or holds no finished run.
    """
    found: dict[Path, None] = {}
    for given in folders:
        folder = given.expanduser()
        if not folder.is_dir():
            raise ArtifactError(f"{given} is not a folder; expected a run or a folder that holds runs.")
        direct = [path for path in (folder / _ARTIFACTS, folder) if (path / RESULTS).is_file()]
        inner = direct[:1] or [Path(path) for path, _, files in os.walk(folder) if RESULTS in files]
        readable = [path for path in sorted(inner, key=_natural) if not path.name.startswith(".")]
        if not readable:
            raise ArtifactError(f"{given} holds no finished run; expected a folder with artifacts/{RESULTS}.")
        found |= dict.fromkeys(readable)
    return list(found)


def described(artifacts: Path) -> dict[str, Any]:
    """What a run is and what it measured, as one flat row.

    Metrics have the names they have in ``training_results.json``; its other numbers have paths such as
    ``seconds/total``. ``overrides`` are all that the run was told, ``command`` repeats it (None where no
    command line made it, or the folder was begun anew since).

    Raises:
        ArtifactError: if a file of the artifacts cannot be read.
    """
    results, config = training_results(artifacts), _config(artifacts)
    run = artifacts.parent if artifacts.name == _ARTIFACTS else artifacts
    own = not _begun_anew(run, artifacts)
    embedding, encoder = config.get("embedding"), config.get("encoder") or {}
    return {
        "run": os.path.relpath(run),
        "artifacts": os.path.relpath(artifacts),
        "overrides": overrides_of(run) if own else [],
        "command": command_of(run) if own else None,
        "embedding": embedding["fingerprint"]["model"] if embedding else "vectors",
        "level_sizes": encoder.get("level_sizes", []),
        "quantizer": encoder.get("quantizer"),
        "seed": config.get("seed"),
        **{name: (results.get("counts") or {}).get(name) for name in ("works", "passages", "epochs", "steps")},
        **dict(_numbers({part: results.get(part) for part in ("seconds", "ids", "alignment")})),
        **results.get("metrics", {}),
    }


def _begun_anew(run: Path, artifacts: Path) -> bool:
    """Whether what the run's folder was told last is not what made the artifacts."""
    from wotd.configuration import deciding_settings  # brings Hydra, which most who ask for a run do without

    told, made = _yaml(run / ".hydra" / "config.yaml"), _yaml(artifacts / TRAINING_CONFIG)
    if not isinstance(told, dict) or not isinstance(made, dict):
        return False
    try:
        return deciding_settings(told) != deciding_settings(made)
    except OmegaConfBaseException:
        return False


def training_results(artifacts: Path) -> dict[str, Any]:
    """The content of ``training_results.json``; empty where there is none (a checkpoint was exported).

    Raises:
        ArtifactError: if it is damaged.
    """
    path = artifacts / RESULTS
    if not path.is_file():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not readable JSON: {error}.") from error
    if not isinstance(results, dict) or not isinstance(results.get("metrics"), dict):
        raise ArtifactError(f"{path} holds no metrics; it was not written by a training run.")
    return results


def overrides_of(run: Path) -> list[str]:
    """What a run was told on the command line; empty where Hydra did not write it down."""
    listed = _yaml(run / _OVERRIDES)
    return [str(entry) for entry in listed] if isinstance(listed, list) else []


def command_of(run: Path) -> str | None:
    """The command line that trains such a run once more, into a folder of its own; None where none made it."""
    if not (run / _OVERRIDES).is_file():
        return None
    hydra = _yaml(run / ".hydra" / "hydra.yaml")
    runtime = (hydra.get("hydra") or {}).get("runtime") or {} if isinstance(hydra, dict) else {}
    own = [each["path"] for each in runtime.get("config_sources", ()) if each.get("provider") == "command-line"]
    words = ["python", "-m", "wotd.train", *(word for path in own for word in ("--config-dir", path))]
    # A sweep of ours says what varies and nothing of a single run; one of the user's own may say more.
    left_out = ("ckpt_path=last", "objective=", *(() if own else ("+sweep=",)))
    told = [each for each in overrides_of(run) if not each.startswith(left_out)]
    return shlex.join([*words, *sorted(told, key=lambda each: not each.startswith("+experiment="))])


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _config(artifacts: Path) -> dict[str, Any]:
    try:
        config = json.loads((artifacts / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{artifacts / CONFIG} cannot be read: {error}.") from error
    return config if isinstance(config, dict) else {}


def _numbers(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested data, each by the path to it."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}/")
        elif _is_number(value):
            yield f"{above}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _natural(path: Path) -> list[tuple[int, str]]:
    """An order in which run 10 comes after run 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.parts]


# --- comparing


def compared(artifacts: Iterable[Path], by: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """The runs of artifact folders, the best first, and the metric that decided.

    Args:
        artifacts: their folders, at least one.
        by: a metric; ``*`` in it stands for any name, and the mean over what it fits counts. None: the
            distortion of validation, or of the test side where nothing was validated.

    Returns:
        Rows as :func:`described` gives them, but with those overrides only that not all runs share.

    Raises:
        ArtifactError: if a run cannot be read.
        UnmeasuredError: if no run measured the metric.
    """
    runs = [described(folder) for folder in artifacts]
    for run, own in zip(runs, own_overrides([run["overrides"] for run in runs]), strict=True):
        run["overrides"] = own
    if by is None:
        by = next((metric for metric in _ORDERS if any(value_of(run, metric) is not None for run in runs)), _ORDERS[-1])
    check_measured(runs, by)
    return sorted(runs, key=lambda run: _place(run, by)), by


def own_overrides(told: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of what each run was told only that which not all of them were."""
    shared = set.intersection(*map(set, told)) if told else set()
    return [[entry for entry in each if entry not in shared] for each in told]


def _place(run: Run, by: str) -> tuple[bool, float]:
    value = value_of(run, by)
    if value is None:
        return True, 0.0
    return False, value if less_is_better(by) else -value


def value_of(run: Run, metric: str) -> float | None:
    """What a run measured; of a name with ``*`` the mean over all metrics it fits; None if it was not measured."""
    if "*" not in metric:
        value = run.get(metric)
        return value if _is_number(value) and value == value else None
    values = [value for name in run if fnmatchcase(name, metric) and (value := value_of(run, name)) is not None]
    return fmean(values) if values else None


def less_is_better(metric: str) -> bool:
    """Whether the lower value of a metric is the better one."""
    return any(part in metric for part in _LESS_IS_BETTER)


def check_measured(runs: Sequence[Run], metric: str) -> None:
    """Refuse a metric that no run measured.

    Raises:
        UnmeasuredError: the message goes on after the name of the argument: "is …, which …".
    """
    if any(value_of(run, metric) is not None for run in runs):
        return
    known = list(dict.fromkeys(name for run in runs for name in run if value_of(run, name) is not None))
    near = difflib.get_close_matches(metric, known, n=3) or known[:5]
    raise UnmeasuredError(f"is {metric}, which no run measured; try {', '.join(near)}.")


def verdict(runs: Sequence[Run], by: str) -> list[str]:
    """Which of these runs is best and how to repeat it, in a few lines; see :func:`judgement`."""
    lines, command = judgement(runs, by), runs[0]["command"]
    repeated = f"repeat it with: {command}" if command else "no command line of it is kept."
    return [*lines, repeated] if lines else []


def judgement(runs: Sequence[Run], by: str) -> list[str]:
    """Which of these runs is best, in a line or two; nothing where it was not measured.

    Args:
        runs: the best first, as :func:`compared` gives them.
        by: the metric that decided.
    """
    best = runs[0]
    value = value_of(best, by)
    if value is None:
        return []
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
    lines = [f"best by {by} ({'least' if less_is_better(by) else 'most'}, {shown}): {best['run']}"]
    if "nmse" in by and len({run["embedding"] for run in runs}) > 1:
        lines.append(
            "their embeddings differ, and nMSE compares runs on the same vectors only; "
            "order them by val/agreement/*/accuracy or another metric of labels."
        )
    return lines


# --- runs that may not have ended well


class Failure(NamedTuple):
    """Why a job of a sweep failed."""

    error: str
    """One sentence."""
    traceback: str
    """Empty for what the user can mend."""


@dataclass(frozen=True)
class Begun:
    """A run that the command line began.

    Attributes:
        run: its folder.
        overrides: what it was told.
        finished: whether it has left artifacts and did not fail since.
        failure: why it failed; None for one that is finished, runs still, or was stopped.
        failed_at: when, in nanoseconds of the file system's clock; 0 where it did not.
    """

    run: Path
    overrides: list[str]
    finished: bool
    failure: Failure | None
    failed_at: int


def begun_below(folder: Path) -> list[Begun]:
    """The runs in a folder, at any depth, in sorted order; none where there is no folder."""
    runs = [Path(path) for path, _, _ in os.walk(folder) if (Path(path) / _OVERRIDES).is_file()]
    return [_begun(run) for run in sorted(runs, key=_natural)]


def _begun(run: Path) -> Begun:
    failure, failed_at = None, 0
    try:
        data = json.loads((run / FAILURE).read_text(encoding="utf-8"))
        failure, failed_at = Failure(data["error"], data["traceback"]), (run / FAILURE).stat().st_mtime_ns
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        failure = Failure(f"{FAILURE} cannot be read: {error}", "")
    finished = failure is None and (run / _ARTIFACTS / RESULTS).is_file()
    return Begun(run, overrides_of(run), finished, failure, failed_at)
