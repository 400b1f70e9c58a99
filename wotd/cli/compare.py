"""``wotd compare``: runs side by side, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.assignment.schemas import schema_of
from wotd.cli.app import WrongUsageError, command
from wotd.cli.options import FormatOption
from wotd.cli.outputs import SUFFIXES, check_output, rows_to
from wotd.cli.run_tables import drawn
from wotd.cli.tables import Format, chosen_format, note, print_line, show
from wotd.replacing import replacing

if TYPE_CHECKING:
    from wotd.runs import Begun, Run

PAGE = ".html"
"""Suffix of a comparison with charts."""


@command(
    "wotd compare outputs/",
    "wotd compare outputs/minilm outputs/lsa --by 'val/agreement/*/accuracy'",
    "wotd compare outputs/sweeps --metrics val/nmse,test/level_0/usage,ids/collision_rate/after",
    "wotd compare outputs/sweeps --output runs.parquet",
    "wotd compare outputs/sweeps --output runs.html",
)
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Runs, artifact folders, or folders searched for runs.")
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="METRIC", help="What the order goes by; val/nmse where it was measured."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="METRIC,…", help="These instead of the key ones, such as val/nmse,epochs."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write all metrics: .jsonl, .csv, .parquet; or a page: .html."),
    ] = None,
    format_: FormatOption = None,
) -> None:
    """Compare training runs, best first.

    Each run shows the settings in which it differs from others; below stand the command that repeats the best, and
    the runs that are not finished. Distortion (nMSE) compares runs on the same vectors; across embedding models look
    at agreement and collisions. The order goes by the validation side, and a * in its metric stands for any name: the
    mean over all that it fits counts. The table has the key figures of the test side: usage and perplexity/K are
    means over levels, a level's accuracy stands beside that of the probe of its embeddings. JSON and --output carry
    every metric unless --metrics chooses some: those of training_results.json by their names, and its other numbers
    as seconds/total or alignment/churn/after/whole.
    """
    from wotd.runs import UnmeasuredError, compared, found_below, verdict

    if output is not None and format_ is not None:
        raise WrongUsageError("--format is for printing; what --output holds is decided by its suffix.")
    target = None if output is None else check_output(output, (*SUFFIXES, PAGE))
    try:
        runs, order = compared(found_below(folders), by)
    except UnmeasuredError as error:
        raise WrongUsageError(f"--by {error}") from error
    left = _unfinished(folders)
    conclusion = [*verdict(runs, order), *left]
    if target is not None and target.suffix.lower() == PAGE:
        if metrics is not None:
            raise WrongUsageError("--metrics chooses columns; a page has those of its own.")
        write_page(runs, order, target, left)
        note("\n".join(conclusion))
        return
    chosen = None if metrics is None else _chosen(runs, metrics, order)
    rows = runs if chosen is None else [_only(run, chosen) for run in runs]
    if target is not None:
        write_runs(rows, target)
        note("\n".join(conclusion))
        return
    show(rows, format_, lambda: drawn(rows, order, chosen))
    if chosen_format(format_) is Format.TABLE:
        for line in ("", *conclusion):  # not by rich, which would break a command into lines
            print_line(line)


def write_page(runs: Sequence[Run], by: str, target: Path, left: Sequence[str] = ()) -> None:
    """Write runs as a page with charts.

    Args:
        runs: the best first.
        by: the metric that decided.
        target: as :func:`wotd.cli.outputs.check_output` gave it.
        left: a line for each run that left nothing to compare.
    """
    from wotd.report.comparison import comparison_page

    with replacing(target) as temporary:
        temporary.write_text(comparison_page(runs, by, left), encoding="utf-8")


def write_runs(runs: Sequence[Run], target: Path) -> None:
    """Write runs to a file of rows.

    Args:
        runs: in the order they are to have.
        target: as :func:`wotd.cli.outputs.check_output` gave it.
    """
    with rows_to(target, lambda: schema_of(runs, "the runs")) as write:
        for run in runs:
            write(run)


def _chosen(runs: Sequence[Run], metrics: str, by: str) -> list[str]:
    """The metrics of a list with commas, after the one that decides the order."""
    from wotd.runs import UnmeasuredError, check_measured

    names = [name.strip() for name in metrics.split(",")]
    try:
        for name in names:
            check_measured(runs, name)
    except UnmeasuredError as error:
        raise WrongUsageError(f"--metrics {error}") from error
    return list(dict.fromkeys(names if by in names else [by, *names]))


def _only(run: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """What is said of a run beside its metrics, and those of them that were chosen."""
    from wotd.runs import DESCRIBED, value_of

    plain = {name: run[name] for name in (*DESCRIBED, *chosen) if name in run}
    return plain | {name: value_of(run, name) for name in chosen if "*" in name}


def _unfinished(folders: Sequence[Path]) -> list[str]:
    """A line for each run that left no artifacts, and why."""
    from wotd.runs import begun_below

    left = [begun for folder in folders for begun in begun_below(folder) if not begun.finished]
    return [*map(unfinished, left)]


def unfinished(begun: Begun) -> str:
    """Why a run has left no artifacts, in a line."""
    return f"{begun.run} {f'failed: {begun.failure.error}' if begun.failure else 'is not finished.'}"
