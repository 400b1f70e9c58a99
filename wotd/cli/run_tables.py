"""What ``wotd compare`` draws: what is looked at first of a run, on the test side but for what decides the order.

Figures of codes and figures of labels are tables of their own, so that each fits a terminal of 80 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from wotd.cli.inspection import digits_of
from wotd.cli.tables import add_row, new_table, number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.runs import Run

_ACCURACY = ("test/agreement/", "/accuracy")


def drawn(runs: Sequence[Run], by: str, chosen: Sequence[str] | None = None) -> Iterator[RenderableType]:
    """Tables of runs in the order given.

    Args:
        runs: at least one.
        by: the metric that decided the order.
        chosen: metrics to show; None: the key ones.
    """
    if chosen is not None:
        yield from _table(runs, [_metric_column(name) for name in chosen])
    else:
        if by not in ("val/nmse", "test/nmse"):
            yield from _table(runs, [_metric_column(by)])
        yield from _table(runs, _code_columns(by))
        yield from _table(runs, _label_columns(runs))
    about = new_table("run", "embedding", "levels", "settings of its own", ids=("levels",))
    for run in runs:
        sizes = "·".join(map(str, run["level_sizes"]))
        add_row(about, run["run"], run["embedding"].rpartition("/")[2], sizes, " ".join(run["overrides"]))
    yield about


class _Column(NamedTuple):
    """A figure of a run, and how many digits it is worth."""

    title: str
    value: Callable[[Run], float | None]
    digits: int = 3


def _table(runs: Sequence[Run], columns: Sequence[_Column]) -> Iterator[RenderableType]:
    """A table and a blank line; nothing of what no run measured."""
    shown = [column for column in columns if any(column.value(run) is not None for run in runs)]
    if not shown:
        return
    titles = [column.title for column in shown]
    table = new_table("run", *titles, numbers=titles, ids=())
    for run in runs:
        add_row(table, run["run"], *(_cell(column.value(run), column.digits) for column in shown))
    yield table
    yield ""


def _cell(value: float | None, digits: int) -> str:
    return number(value, 0 if isinstance(value, int) else digits)


def _metric_column(metric: str, title: str | None = None, digits: int | None = None) -> _Column:
    """The metric of that name, a mean where it has a ``*``.

    Its title, unless another is given, is the name in lines that leave others room.
    """
    from wotd.runs import value_of

    return _Column(
        title or metric.replace("/", "/\n"),
        lambda run: value_of(run, metric),
        digits_of(metric) if digits is None else digits,
    )


def _code_columns(by: str) -> list[_Column]:
    """How well whole codes reconstruct, how their levels are used, what they find, what they took to fit."""
    return [
        *([_metric_column(by, "val nMSE")] if by == "val/nmse" else []),
        _metric_column("test/nmse", "nMSE"),
        _Column("usage", _usage),
        _Column("perplexity/K", _perplexity),
        _metric_column("test/recall/prefix", "prefix@10"),
        _metric_column("test/collisions/rate", "collisions"),
        _metric_column("seconds/training", "fit s", digits=1),
    ]


def _label_columns(runs: Sequence[Run]) -> list[_Column]:
    """How often the code is the label on each level that any run names, each beside the probe of the embeddings."""
    head, end = _ACCURACY
    names = dict.fromkeys(metric for run in runs for metric in run if metric.startswith(head) and metric.endswith(end))
    columns = []
    for metric in names:
        level = metric.removeprefix(head).removesuffix(end)
        columns += [_metric_column(metric, level), _metric_column(f"test/probe/{level}/accuracy", "probe")]
    return columns


def _usage(run: Run) -> float | None:
    """Mean over levels."""
    usage = _by_level(run, "usage")
    return fmean(usage) if usage else None


def _perplexity(run: Run) -> float | None:
    """Mean over levels of the share of the codes that it comes to."""
    perplexity = _by_level(run, "perplexity")
    shares = [value / size for value, size in zip(perplexity, run["level_sizes"], strict=False)]
    return fmean(shares) if shares else None


def _by_level(run: Run, figure: str) -> list[float]:
    """A figure of each level on the test side; empty where one is missing."""
    values = [run.get(f"test/level_{level}/{figure}") for level in range(len(run["level_sizes"]))]
    return [] if None in values else [float(value) for value in values if value is not None]
