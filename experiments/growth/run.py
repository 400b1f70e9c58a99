"""How do time and memory grow with vectors, dimensions, levels, codes, works and passages?

python -m experiments.growth.run --output OUT [--quick]

Every point is measured in a process of its own: time of the action alone, and how much anonymous memory (RssAnon) it
adds at most, looked at every 2 ms. The slope is that of the line through the logarithms of the last three points: 1 is
linear. Needs some 3 GB of memory and 4 GB of disk, which are given back.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from experiments.growth import lookups, measures
from experiments.tables import markdown

LIMIT = 1.15
"""A slope up to this is called near-linear."""

_LONG = 0.3
"""An action is repeated, up to five times, until so many seconds have passed."""


PRELOADED = ["experiments.growth.measures", "torch", "wotd.encoders", "wotd.evaluation", "wotd.library"]
"""What processes of points begin with, so that importing is no part of what they measure."""


@dataclass(frozen=True)
class Curve:
    """One measure along one axis.

    Attributes:
        name: what is measured.
        measure: name of the function in :mod:`measures`.
        axis: its argument that varies.
        values: what it is in turn; the last of them are left out by ``--quick``.
        fixed: its other arguments.
        quick: how many values ``--quick`` keeps.
    """

    name: str
    measure: str
    axis: str
    values: Sequence[int]
    fixed: Mapping[str, int]
    quick: int = 3


MODEL = {"rows": 8192, "dim": 64, "levels": 4, "codes": 64}


def _without(axis: str, **changed: int) -> dict[str, int]:
    return {name: value for name, value in {**MODEL, **changed}.items() if name != axis}


IDS = {"levels": 4, "codes": 256}
CURVES = [
    Curve("index build", "index_build", "rows", [10**3, 10**4, 10**5, 10**6, 10**7], IDS, quick=4),
    Curve("index build", "index_build", "levels", [1, 2, 4, 8, 16], {"rows": 10**6, "codes": 256}),
    Curve("index build", "index_build", "codes", [16, 256, 4096, 65_536], {"rows": 10**6, "levels": 4}),
    Curve("semantic_ids.json, writing", "ids_write", "works_", [10**3, 10**4, 10**5, 10**6], {}),
    Curve("semantic_ids.json, reading", "ids_read", "works_", [10**3, 10**4, 10**5, 10**6], {}),
    Curve("library, first question", "library_open", "passages", [10**3, 10**4, 10**5, 10**6], {}),
    Curve("library, 8 prefixes browsed", "library_browse", "passages", [10**3, 10**4, 10**5, 10**6], {}),
    Curve("library, 8 patterns with works", "library_passages", "passages", [10**3, 10**4, 10**5, 10**6], {}),
    Curve("decode", "decode", "rows", [1000, 10_000, 100_000, 1_000_000], _without("rows")),
    Curve("decode", "decode", "dim", [64, 256, 1024, 4096], _without("dim", rows=65_536)),
    Curve("decode", "decode", "levels", [1, 2, 4, 8, 16], _without("levels", rows=65_536)),
    Curve("decode", "decode", "codes", [16, 64, 256, 1024], _without("codes", rows=65_536)),
    Curve("encode", "encode", "rows", [4096, 16_384, 65_536, 262_144], _without("rows")),
    Curve("encode", "encode", "dim", [64, 256, 1024, 4096], _without("dim", rows=16_384)),
    Curve("encode", "encode", "levels", [1, 2, 4, 8, 16], _without("levels", rows=16_384)),
    Curve("encode", "encode", "codes", [16, 64, 256, 1024], _without("codes", rows=16_384)),
    Curve("fit", "fit", "rows", [1024, 4096, 16_384, 65_536], _without("rows")),
    Curve("fit", "fit", "dim", [64, 256, 1024, 4096], _without("dim")),
    Curve("fit", "fit", "levels", [1, 2, 4, 8, 16], _without("levels")),
    Curve("fit", "fit", "codes", [16, 64, 256, 1024], _without("codes")),
]


# --- one point


class _Peak(threading.Thread):
    """The most anonymous memory that this process has while it is watched, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._over = anonymous(), threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.002):
            self.most = max(self.most, anonymous())

    def stop(self) -> float:
        """End watching and give the most there was."""
        self._over.set()
        self.join()
        return max(self.most, anonymous())


def anonymous() -> float:
    """RssAnon of this process in MB: memory that is not a mapped file's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3
    raise SystemExit("the system does not tell RssAnon")


def point(measure: str, case: Mapping[str, int], scratch: Path, results: Any) -> None:
    """Measure one case, in a process of its own."""
    measures.SCRATCH = scratch
    action = getattr(measures, measure)(**case)
    gc.collect()
    before, peak = anonymous(), _Peak()
    peak.start()
    taken: list[float] = []
    kept = None
    while len(taken) < 5 and sum(taken) < _LONG:
        kept = None  # what the round before gave must not count beside this one's
        started = time.perf_counter()
        kept = action()
        taken.append(time.perf_counter() - started)
    results.put({"seconds": median(taken), "added_mb": peak.stop() - before})
    del kept


def measured(curve: Curve, quick: bool) -> dict[str, Any]:
    """All points of a curve, and its slopes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    points = []
    for value in curve.values[: curve.quick if quick else None]:
        results = context.Queue()
        process = context.Process(
            target=point, args=(curve.measure, {**curve.fixed, curve.axis: value}, measures.SCRATCH, results)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{curve.name} at {curve.axis} {value} ended with {process.exitcode}")
        points.append({"value": value, **results.get()})
        print(f"{curve.name:32} {curve.axis.rstrip('_'):9} {value:>10,} {points[-1]['seconds']:9.4f} s "
              f"{points[-1]['added_mb']:9.1f} MB", flush=True)  # fmt: skip
    return {
        "name": curve.name,
        "axis": curve.axis.rstrip("_"),
        "fixed": dict(curve.fixed),
        "points": points,
        "slope": slope([each["value"] for each in points], [each["seconds"] for each in points]),
        "memory_slope": slope([each["value"] for each in points], [max(each["added_mb"], 1) for each in points]),
    }


def slope(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """Of the line through the logarithms of the last three points."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(figures[-3:]), 1)[0])


# --- all of them


def tables(results: Mapping[str, Any]) -> str:
    """What was measured, as Markdown."""
    columns = ["from", "to", "seconds at the end", "MB added at the end", "slope of time", "slope of memory"]
    lines = {}
    for curve in results["curves"]:
        first, last = curve["points"][0], curve["points"][-1]
        lines[f"{curve['name']}, {curve['axis']}"] = [
            f"{first['value']:,}", f"{last['value']:,}", f"{last['seconds']:.3g}", f"{last['added_mb']:,.0f}",
            f"{curve['slope']:.2f}{'' if curve['slope'] <= LIMIT else ' (!)'}", f"{curve['memory_slope']:.2f}",
        ]  # fmt: skip
    parts = [markdown(columns, lines)]
    for rows, found in results["look_ups"].items():
        kinds = list(next(iter(found["questions"].values())))
        lines = {name: [f"{each[kind]:.3f}" for kind in kinds] for name, each in found["questions"].items()}
        parts.append(
            f"{int(rows):,} rows, {found['bytes per row']:.1f} bytes a row, opened in {found['opening']:.1f} ms; "
            f"milliseconds:\n\n{markdown(kinds, lines)}"
        )
    lines = {name: [f"{each[kind]:.1f}" for kind in ("p50", "p99", "max")] for name, each in results["engines"].items()}
    parts.append(f"Count and first 20 items of a prefix, engines for tables; milliseconds:\n\n"
                 f"{markdown(['p50', 'p99', 'max'], lines)}")  # fmt: skip
    return "\n\n".join(parts) + "\n"


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Seconds against size, a panel for each axis."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    axes_of = list(dict.fromkeys(curve["axis"] for curve in results["curves"]))
    drawing, panels = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for axes, axis in zip(panels.flat, axes_of, strict=False):
        for curve in (each for each in results["curves"] if each["axis"] == axis):
            sizes = [each["value"] for each in curve["points"]]
            label = f"{curve['name']} ({curve['slope']:.2f})"
            axes.plot(sizes, [each["seconds"] for each in curve["points"]], "o-", label=label)
        axes.set(xscale="log", yscale="log", xlabel=axis, ylabel="seconds")
        axes.legend(fontsize="x-small")
    for axes in panels.flat[len(axes_of) :]:
        axes.remove()
    drawing.savefig(path, dpi=90)
    plt.close(drawing)


def main() -> None:
    """Measure, print, and write results.json, tables.md and growth.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="leave the largest sizes out")
    parser.add_argument("--only", default="", help="curves whose name and axis contain this, and nothing else")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    measures.SCRATCH = arguments.output / "scratch"
    measures.SCRATCH.mkdir(exist_ok=True)
    chosen = [curve for curve in CURVES if arguments.only in f"{curve.name}, {curve.axis}"]
    asked = not arguments.only or arguments.only == "look-ups"
    sizes = [10**4, 10**5, 10**6] if arguments.quick else [10**5, 10**6, 10**7]
    results: dict[str, Any] = {"minutes": 0.0, "look_ups": {}, "engines": {}, "curves": []}
    started = time.perf_counter()
    try:
        for rows in sizes if asked else ():
            results["look_ups"][str(rows)] = lookups.look_up(rows, 2000)
        results["engines"] = lookups.engines(sizes[-1], 50) if asked else {}
        for curve in chosen:
            results["curves"].append(measured(curve, arguments.quick))
            results["minutes"] = (time.perf_counter() - started) / 60
            write(results, arguments.output)  # what is there counts, should it be stopped
    finally:
        shutil.rmtree(measures.SCRATCH, ignore_errors=True)
    write(results, arguments.output)
    print(f"\n{tables(results)}\n{results['minutes']:.1f} minutes")


def write(results: Mapping[str, Any], folder: Path) -> None:
    """The results as JSON, as tables and as a drawing."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "tables.md").write_text(tables(results))
    plot(results, folder / "growth.png")


if __name__ == "__main__":
    main()
