"""``wotd compare``: runs side by side, the best first."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inputs import schema_of
from wotd.cli.inspection import training_results
from wotd.cli.options import FormatOption
from wotd.cli.outputs import check_output, rows_to
from wotd.cli.tables import add_row, new_table, number, show
from wotd.errors import ArtifactError

if TYPE_CHECKING:
    from rich.console import RenderableType

_LESS_IS_BETTER = ("nmse", "collisions/", "/dead", "/gini", "/mean_absolute_error", "/ece", "seconds")


@command(
    "wotd compare outputs/",
    "wotd compare outputs/minilm outputs/lsa --by test/agreement/style/accuracy",
    "wotd compare outputs/sweeps --output runs.csv",
)
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Runs, artifact folders, or folders searched for runs.")
    ],
    by: Annotated[str, typer.Option("--by", metavar="METRIC", help="What the order goes by.")] = "test/nmse",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write all metrics: .jsonl, .csv, .parquet.")
    ] = None,
    format_: FormatOption = None,
) -> None:
    """Compare training runs, best first.

    Each run shows the settings in which it differs from others. Distortion (nMSE) compares runs on the same
    vectors; across embedding models look at agreement and collisions. JSON and --output carry every metric, the
    table the key ones.
    """
    if output is not None and format_ is not None:
        raise WrongUsageError("--format is for printing; what --output holds is decided by its suffix.")
    target = None if output is None else check_output(output)
    runs = _ordered(_with_differences([_row(folder) for folder in _found(folders)]), by)
    if target is None:
        show(runs, format_, lambda: _drawn(runs, by))
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
        **{f"seconds/{name}": value for name, value in (results.get("seconds") or {}).items()},
        **results["metrics"],
    }


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
    known = [name for name, value in {k: v for run in runs for k, v in run.items()}.items() if _measured(value)]
    if by not in known:
        near = difflib.get_close_matches(by, known, n=3) or known[:5]
        raise WrongUsageError(f"--by is {by}, which no run measured; try {', '.join(near)}.")
    sign = 1 if any(part in by for part in _LESS_IS_BETTER) else -1

    def place(run: dict[str, Any]) -> tuple[bool, float, str]:
        value: Any = run.get(by)
        if not _measured(value) or value != value:
            return True, 0.0, run["run"]
        return False, sign * float(value), run["run"]

    return sorted(runs, key=place)


def _measured(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _drawn(runs: Sequence[dict[str, Any]], by: str) -> Iterator[RenderableType]:
    metrics = {"test/nmse": "nMSE", "test/collisions/rate": "collisions"}
    metrics |= {name: name.split("/")[2] for run in runs for name in run if _is_accuracy(name)}
    metrics = {**({by: by} if by not in metrics else {}), **metrics, "seconds/total": "seconds"}
    shown = {name: title for name, title in metrics.items() if any(name in run for run in runs)}
    table = new_table("run", "embedding", "levels", *shown.values(), numbers=tuple(shown.values()), ids=("levels",))
    for run in runs:
        cells = [number(run.get(name), 1 if name.startswith("seconds") else 3) for name in shown]
        add_row(table, run["run"], run["embedding"].rpartition("/")[2], "·".join(map(str, run["level_sizes"])), *cells)
    yield table
    if any(run["overrides"] for run in runs):
        settings = new_table("run", "settings of its own", ids=())
        for run in runs:
            add_row(settings, run["run"], " ".join(run["overrides"]))
        yield ""
        yield settings


def _is_accuracy(name: str) -> bool:
    return name.startswith("test/agreement/") and name.endswith("/accuracy")
