"""Runs side by side as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wotd import charts
from wotd.charts import Chart
from wotd.report.pictures import Picture
from wotd.report.tables import Table, figure
from wotd.report.templates import rendered, shown
from wotd.runs import Run, judgement, less_is_better, value_of

_ACCURACY = "val/agreement/*/accuracy"
_METRICS = (
    *("val/nmse", "test/nmse", _ACCURACY, "test/agreement/*/accuracy", "test/collisions/rate"),
    *("test/recall/prefix", "seconds/training"),
)
"""What is drawn of all runs, after what decides their order; ``*`` stands for a mean over levels."""


def comparison_page(runs: Sequence[Run], by: str, unfinished: Sequence[str] = ()) -> str:
    """A page of runs, one file that asks nothing of any network.

    Args:
        runs: the best first, as :func:`wotd.runs.compared` gives them.
        by: the metric that decided.
        unfinished: a line for each run that left nothing to compare.
    """
    drawn: dict[str, Chart] = {}
    names, groups = _names(runs), [run["embedding"].rpartition("/")[2] for run in runs]
    metrics = [
        metric for metric in dict.fromkeys((by, *_METRICS)) if any(value_of(run, metric) is not None for run in runs)
    ]
    values = {metric: [value_of(run, metric) for run in runs] for metric in metrics}
    told = {key: [_told(run, key) for run in runs] for key in _keys(runs)}
    best = f"{'the least' if less_is_better(by) else 'the most'} first"
    cut = f"; the first {charts.MOST_RUNS} of {len(runs)}" if len(runs) > charts.MOST_RUNS else ""
    measured = [
        Picture("measured", f"What each run measured, {best} by {by}{cut}", charts.values_by_run(values, names, groups))
    ]
    if {"val/nmse", _ACCURACY} <= set(values):
        measured.append(
            Picture(
                "trade_off",
                "What codes keep and what they name",
                charts.trade_off(("val/nmse", values["val/nmse"]), (_ACCURACY, values[_ACCURACY]), names, groups),
            )
        )
    settings = [
        Picture(
            "settings",
            f"{by} by setting: a circle a run, a tick their mean",
            charts.values_by_setting(by, told, values[by]),
        )
    ]
    return rendered(
        "comparison.html",
        drawn,
        heading=f"{len(runs)} runs, {best} by {by}.",
        judgement=judgement(runs, by),
        command=runs[0]["command"],
        unfinished=list(unfinished),
        measured=[*shown(measured, drawn)],
        settings=[*shown(settings, drawn)],
        tables=[_table(runs, names, values)],
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The end of each run's folder that tells it from the others."""
    parts = [Path(run["run"]).parts for run in runs]
    depth = next(
        (n for n in range(1, max(map(len, parts)) + 1) if len({part[-n:] for part in parts}) == len(parts)), None
    )
    return [run["run"] if depth is None else "/".join(part[-depth:]) for run, part in zip(runs, parts, strict=True)]


def _keys(runs: Sequence[Run]) -> list[str]:
    """The settings in which runs differ, in the order in which they were given."""
    return list(dict.fromkeys(each.partition("=")[0].lstrip("+") for run in runs for each in run["overrides"]))


def _told(run: Run, key: str) -> str | None:
    told = [value for name, _, value in (each.partition("=") for each in run["overrides"]) if name.lstrip("+") == key]
    return told[-1] if told else None


def _table(runs: Sequence[Run], names: Sequence[str], values: dict[str, list[float | None]]) -> Table:
    rows = [
        (name, " ".join(run["overrides"]), *(figure(column[place]) for column in values.values()))
        for place, (name, run) in enumerate(zip(names, runs, strict=True))
    ]
    return Table("All runs", ("run", "settings of its own", *values), rows)
