"""``wotd compare``: runs side by side, the best first."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inputs import schema_of
from wotd.cli.inspection import training_results
from wotd.cli.options import FormatOption
from wotd.cli.outputs import check_output, rows_to
from wotd.cli.run_tables import ORDER, drawn
from wotd.cli.tables import show
from wotd.errors import ArtifactError

_LESS_IS_BETTER = (
    *("nmse", "collisions/", "/dead", "/gini", "/mean_absolute_error", "/ece", "seconds"),
    *("/collision_rate/", "/left_over", "/churn/"),
)
_DESCRIBED = ("run", "artifacts", "overrides", "embedding", "level_sizes", "quantizer", "seed")
"""What is said of a run beside its metrics."""


@command(
    "wotd compare outputs/",
    "wotd compare outputs/minilm outputs/lsa --by test/agreement/style/accuracy",
    "wotd compare outputs/sweeps --metrics val/nmse,test/level_0/usage,ids/collision_rate/after",
    "wotd compare outputs/sweeps --output runs.csv",
)
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Runs, artifact folders, or folders searched for runs.")
    ],
    by: Annotated[str, typer.Option("--by", metavar="METRIC", help="What the order goes by.")] = ORDER,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="METRIC,…", help="These instead of the key ones, such as val/nmse,epochs."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write all metrics: .jsonl, .csv, .parquet.")
    ] = None,
    format_: FormatOption = None,
) -> None:
    """Compare training runs, best first.

    Each run shows the settings in which it differs from others. Distortion (nMSE) compares runs on the same
    vectors; across embedding models look at agreement and collisions. The table has the key figures of the test
    side: usage and perplexity/K are means over levels, a level's accuracy stands beside that of the probe of its
    embeddings. JSON and --output carry every metric unless --metrics chooses some: those of
    training_results.json by their names, and its other numbers as seconds/total or alignment/churn/after/whole.
    """
    if output is not None and format_ is not None:
        raise WrongUsageError("--format is for printing; what --output holds is decided by its suffix.")
    target = None if output is None else check_output(output)
    runs = _ordered(_with_differences([_row(folder) for folder in _found(folders)]), by)
    chosen = None if metrics is None else _chosen(runs, metrics, by)
    if chosen is not None:
        runs = [{name: run[name] for name in (*_DESCRIBED, *chosen) if name in run} for run in runs]
    if target is None:
        show(runs, format_, lambda: drawn(runs, by, chosen))
        return
    with rows_to(target, lambda: schema_of(runs, "the runs")) as write:
        for run in runs:
            write(run)


def _found(folders: Sequence[Path]) -> list[Path]:
    """The artifact folders meant, each once, sorted within what was given."""
    from wotd.artifacts import RESULTS

    found: dict[Path, None] = {}
    for given in folders:
        folder = given.expanduser()
        if not folder.is_dir():
            raise ArtifactError(f"{given} is not a folder; expected a run or a folder that holds runs.")
        direct = [path for path in (folder / "artifacts", folder) if (path / RESULTS).is_file()]
        inner = direct[:1] or [Path(path) for path, _, files in os.walk(folder) if RESULTS in files]
        readable = [path for path in sorted(inner) if not path.name.startswith(".")]
        if not readable:
            raise ArtifactError(f"{given} holds no finished run; expected a folder with artifacts/{RESULTS}.")
        found |= dict.fromkeys(readable)
    return list(found)


def _row(artifacts: Path) -> dict[str, Any]:
    results, config = training_results(artifacts), _config(artifacts)
    run = artifacts.parent if artifacts.name == "artifacts" else artifacts
    embedding, encoder = config.get("embedding"), config.get("encoder") or {}
    return {
        "run": os.path.relpath(run),
        "artifacts": os.path.relpath(artifacts),
        "overrides": _overrides(run),
        "embedding": embedding["fingerprint"]["model"] if embedding else "vectors",
        "level_sizes": encoder.get("level_sizes", []),
        "quantizer": encoder.get("quantizer"),
        "seed": config.get("seed"),
        **{name: (results.get("counts") or {}).get(name) for name in ("works", "passages", "epochs", "steps")},
        **dict(_numbers({part: results.get(part) for part in ("seconds", "ids", "alignment")})),
        **results["metrics"],
    }


def _numbers(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested data, each by the path to it."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}/")
        elif _measured(value):
            yield f"{above}{key}", value


def _config(artifacts: Path) -> dict[str, Any]:
    """What the artifacts say of themselves, unverified: a comparison need not read all their weights."""
    from wotd.artifacts import CONFIG

    try:
        config = json.loads((artifacts / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{artifacts / CONFIG} cannot be read: {error}.") from error
    return config if isinstance(config, dict) else {}


def _overrides(run: Path) -> list[str]:
    """What the run was told on the command line, where Hydra wrote it down."""
    import yaml

    try:
        listed = yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    return [str(entry) for entry in listed] if isinstance(listed, list) else []


def _with_differences(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Only the overrides that not all runs share."""
    shared = set.intersection(*(set(run["overrides"]) for run in runs))
    for run in runs:
        run["overrides"] = [entry for entry in run["overrides"] if entry not in shared]
    return runs


def _ordered(runs: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    _check_measured(runs, by, "--by")
    sign = 1 if any(part in by for part in _LESS_IS_BETTER) else -1

    def place(run: dict[str, Any]) -> tuple[bool, float, str]:
        value: Any = run.get(by)
        if not _measured(value) or value != value:
            return True, 0.0, run["run"]
        return False, sign * float(value), run["run"]

    return sorted(runs, key=place)


def _chosen(runs: Sequence[Mapping[str, Any]], metrics: str, by: str) -> list[str]:
    """The metrics of a list with commas, after the one that decides the order."""
    names = [name.strip() for name in metrics.split(",")]
    for name in names:
        _check_measured(runs, name, "--metrics")
    return list(dict.fromkeys(names if by in names else [by, *names]))


def _check_measured(runs: Sequence[Mapping[str, Any]], metric: str, option: str) -> None:
    known = list(dict.fromkeys(name for run in runs for name, value in run.items() if _measured(value)))
    if metric not in known:
        near = difflib.get_close_matches(metric, known, n=3) or known[:5]
        raise WrongUsageError(f"{option} is {metric}, which no run measured; try {', '.join(near)}.")


def _measured(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
