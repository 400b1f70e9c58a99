"""What does assigning cost beside the embedding or the encoding that it cannot do without?

python -m experiments.assignment.run --artifacts A --output OUT

Texts in a Parquet file are given IDs by the very code of ``wotd assign``, and only embedded, in turns in one process;
vectors in ``.npy`` and in Parquet are given IDs, and only encoded from memory, likewise. Rates go by the median of
the rounds, by the clock and by the time that the process had; a ratio is that of two rates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from wotd import SemanticIDModel
from wotd.assignment.batches import Choices
from wotd.assignment.local import assign_here
from wotd.assignment.shards import Job, find_pairs, made_by

CHUNK = 16_384
"""Rows of a step of the bare loop."""

PROJECTED = 1_000_000_000

TEXTS, VECTORS = "texts", "vectors"


@dataclass(frozen=True)
class Way:
    """One way to the codes: its name, of what, and what is timed."""

    name: str
    of: str
    run: Callable[[], object]
    whole: bool = True
    """Whether it is the whole of assigning; else what the others of its kind are held against."""


def main() -> None:
    """Measure, print the tables, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=Path, required=True, help="with texts, of any run")
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json and table.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=4_096, help="of a round")
    parser.add_argument("--vectors", type=int, default=100_000, help="of a round, those of the texts again and again")
    arguments = parser.parse_args()
    model = SemanticIDModel.load(arguments.artifacts)
    with tempfile.TemporaryDirectory(prefix="wotd-") as folder:
        ways = list(prepared(model, arguments.artifacts, Path(folder), arguments.texts, arguments.vectors))
        seconds: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
        for number in range(arguments.rounds + 1):
            for way in ways if number % 2 else reversed(ways):  # whatever comes first gains nothing by it
                start, had = time.perf_counter(), time.process_time()
                way.run()
                if number:  # the first warms up
                    seconds[way.name].append((time.perf_counter() - start, time.process_time() - had))
    count = {TEXTS: arguments.texts, VECTORS: arguments.vectors}
    results = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "dimension": model.artifacts.row_dim,
        "level_sizes": list(model.level_sizes),
        "embedding": model.embedder.fingerprint.model,
        "rows": count,
        "ways": [told(way, ways, seconds, count[way.of]) for way in ways],
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (arguments.output / "table.md").write_text(as_markdown(results), encoding="utf-8")
    print(as_markdown(results))


def prepared(model: SemanticIDModel, artifacts: Path, folder: Path, texts: int, vectors: int) -> Iterator[Way]:
    """Write the inputs, and say what is timed."""
    given = stored_texts(artifacts, texts)
    (folder / "texts").mkdir()
    pq.write_table(pa.table({"text": given}), folder / "texts" / "texts.parquet")
    embedded_ND = model.embed(given)
    x_ND = np.ascontiguousarray(embedded_ND[np.arange(vectors) % len(embedded_ND)])
    for name in ("npy", "parquet"):
        (folder / name).mkdir()
    np.save(folder / "npy" / "vectors.npy", x_ND)
    column = pa.FixedSizeListArray.from_arrays(pa.array(x_ND.reshape(-1)), x_ND.shape[1])
    pq.write_table(pa.table({"vector": column}), folder / "parquet" / "vectors.parquet", compression="zstd")

    def assign(source: str, choices: Choices) -> Callable[[], None]:
        return lambda: assigned(model, folder / source, folder / "ids", choices)

    yield Way("texts embedded, and nothing else", TEXTS, lambda: model.embed(given), whole=False)
    yield Way("texts assigned", TEXTS, assign("texts", Choices()))
    yield Way("vectors in memory encoded, and nothing else", VECTORS, lambda: encoded(model, x_ND), whole=False)
    yield Way("vectors assigned, .npy", VECTORS, assign("npy", Choices()))
    yield Way("vectors assigned, Parquet", VECTORS, assign("parquet", Choices(vector_column="vector")))
    yield Way("vectors assigned with confidence, .npy", VECTORS, assign("npy", Choices(confidence=True)))


def stored_texts(artifacts: Path, count: int) -> list[str]:
    """Passages spread over the artifacts."""
    texts = pq.read_table(artifacts / "codes.parquet", columns=["text"])["text"]
    rows = np.random.default_rng(0).permutation(len(texts))
    return [str(text) for text in texts.take(rows[np.arange(count) % len(rows)]).to_pylist()]


def assigned(model: SemanticIDModel, source: Path, output: Path, choices: Choices) -> None:
    """All of it but loading the model: files found, read, written."""
    shutil.rmtree(output, ignore_errors=True)
    folder, target, pairs = find_pairs(str(source), str(output), vectors=choices.vector_column is not None)
    assign_here(Job(folder, target, choices, made_by(model, texts=True)), pairs, model)


def encoded(model: SemanticIDModel, x_ND: np.ndarray) -> None:
    """The bare loop."""
    for first in range(0, len(x_ND), CHUNK):
        model.encoder.encode(torch.from_numpy(x_ND[first : first + CHUNK]))


def told(way: Way, ways: list[Way], seconds: dict[str, list[tuple[float, float]]], rows: int) -> dict[str, Any]:
    """Rates of a way by the medians over the rounds, their ratios to those of the bare way, and each round's ratios."""
    bare = next(other for other in ways if other.of == way.of and not other.whole)
    ratios = [
        [theirs / ours for theirs, ours in zip(alone, mine, strict=True)]
        for alone, mine in zip(seconds[bare.name], seconds[way.name], strict=True)
    ]
    clock, had = (median(column) for column in zip(*seconds[way.name], strict=True))
    bare_clock, bare_had = (median(column) for column in zip(*seconds[bare.name], strict=True))
    return {
        "name": way.name,
        "whole": way.whole,
        "per_second": rows / clock,
        "per_cpu_second": rows / had,
        "ratio": bare_clock / clock,
        "cpu_ratio": bare_had / had,
        "ratios": ratios,
    }


def as_markdown(results: dict[str, Any]) -> str:
    """The rates, and what 10^9 passages would take."""
    lines = [
        f"{results['machine']}; {results['embedding']}, rows of {results['dimension']} numbers, levels "
        f"{'·'.join(map(str, results['level_sizes']))}",
        "",
        "| | a second | of that alone | of a core's time |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {way['name']} | {way['per_second']:,.0f} | {way['ratio']:.2f} | {way['cpu_ratio']:.2f} |"
        for way in results["ways"]
    ]
    lines += ["", "| | per CPU-hour | CPU-hours of 10⁹ | hours of 10⁹ on 1,000 cores |", "|---|---|---|---|"]
    for way in results["ways"]:
        if way["whole"]:
            hourly = way["per_cpu_second"] * 3600
            hours = PROJECTED / hourly
            lines.append(f"| {way['name']} | {hourly:,.0f} | {hours:,.0f} | {hours / 1000:,.2g} |")
    lines += ["| on a GPU | not measured | | |"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("WOTD_PROGRESS", "0")
    main()
