"""What does a server bear: rate beside plain embedding, latency beside a direct call, memory over minutes?

python -m experiments.serving.load --artifacts A --output OUT

Server and clients share one machine and speak over its loopback. What is compared is measured in turns, round after
round in one run; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from experiments.serving.client import Answered, Request, load
from wotd import SemanticIDModel

CLIENTS = 32
SHORT = "The fog came in from the sea."


def main() -> None:
    """Measure, print tables, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=Path, required=True, help="with texts, of any run")
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passages", type=int, default=1_000, help="of a round of either kind")
    parser.add_argument("--seconds", type=float, default=600, help="of the mixed load")
    arguments = parser.parse_args()
    texts = stored_texts(arguments.artifacts, arguments.passages)
    model = SemanticIDModel.load(arguments.artifacts)
    with serving(arguments.artifacts) as (port, process):
        results = {
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "rate": compare_rates(model, texts, port, arguments.rounds),
            "latency": compare_latencies(model, port, arguments.rounds),
            "mixed": mixed_load(texts, port, process.pid, arguments.seconds),
        }
    with serving(arguments.artifacts, "--max-waiting-texts", "64", "--max-texts", "64") as (port, process):
        results["overload"] = overload(texts, port, process.pid, arguments.seconds / 20)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(as_markdown(results))


def stored_texts(artifacts: Path, count: int) -> list[str]:
    """Passages spread over the artifacts."""
    texts = pq.read_table(artifacts / "codes.parquet", columns=["text"])["text"]
    rows = np.random.default_rng(0).permutation(len(texts))[:count]
    return [str(text) for text in texts.take(rows).to_pylist()]


@contextlib.contextmanager
def serving(artifacts: Path, *options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server in a process of its own: its port, and the process."""
    command = [sys.executable, "-m", "wotd.cli", "serve", "--artifacts", str(artifacts), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"serving .* at http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                raise SystemExit("the server did not start")
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield int(found.group(1)), process
        finally:
            process.terminate()


def compare_rates(model: SemanticIDModel, texts: Sequence[str], port: int, rounds: int) -> dict[str, Any]:
    """Texts a second of plain embedding, of direct encoding, and of clients that send one passage at a time."""
    model.encode(texts[:64])
    embedding, encoding, served = [], [], []
    answered = Answered()
    for _ in range(rounds):
        embedding.append(len(texts) / seconds_of(lambda: model.embed(texts)))
        answered = load(port, CLIENTS, one_at_a_time(texts), 3600)
        served.append(answered.texts / answered.wall)
        encoding.append(len(texts) / seconds_of(lambda: model.encode(texts)))
    return {
        "embedding_texts_per_second": median(embedding),
        "encoding_texts_per_second": median(encoding),
        "served_texts_per_second": median(served),
        "of_embedding": median(mine / bare for mine, bare in zip(served, embedding, strict=True)),
        "of_encoding": median(mine / direct for mine, direct in zip(served, encoding, strict=True)),
        "last_round": answered.summary(),
    }


def compare_latencies(model: SemanticIDModel, port: int, rounds: int, calls: int = 200) -> dict[str, Any]:
    """Milliseconds of a short text: direct calls, and one client of an otherwise idle server."""
    model.encode(SHORT)
    rows = []
    for _ in range(rounds):
        direct = [seconds_of(lambda: model.encode(SHORT)) for _ in range(calls)]
        answered = load(port, 1, lambda _: itertools.repeat(("POST", "/encode", {"text": SHORT}), calls), 3600)
        rows.append(
            (
                *(float(np.percentile(direct, q)) * 1000 for q in (50, 99)),
                answered.percentile(0.5),
                answered.percentile(0.99),
            )
        )
    names = ("direct_p50_ms", "direct_p99_ms", "served_p50_ms", "served_p99_ms")
    return {
        **{name: median(row[place] for row in rows) for place, name in enumerate(names)},
        "served_p99_of_direct_p50": median(row[3] / row[0] for row in rows),
        "served_p99_of_direct_p99": median(row[3] / row[1] for row in rows),
    }


def mixed_load(texts: Sequence[str], port: int, process: int, seconds: float) -> dict[str, Any]:
    """All kinds of requests by many clients, and the server's memory meanwhile."""
    with memory_of(process) as resident:
        answered = load(port, CLIENTS, mixed(texts), seconds)
    settled = resident[len(resident) // 5 :]  # the first requests fill what is kept for later ones
    return {
        **answered.summary(),
        "seconds": answered.wall,
        "memory_mib": {"start": resident[0], "a_fifth_in": settled[0], "end": settled[-1], "peak": max(resident)},
        "memory_mib_by_minute": resident[::60],
    }


def overload(texts: Sequence[str], port: int, process: int, seconds: float) -> dict[str, Any]:
    """Many more clients than may wait, each with many texts: who is not refused is answered, and memory stays."""
    body = {"texts": list(texts[:16])}
    with memory_of(process) as resident:
        answered = load(port, 8 * CLIENTS, lambda _: itertools.repeat(("POST", "/encode", body)), seconds)
    return {**answered.summary(), "seconds": answered.wall, "memory_mib": {"start": resident[0], "peak": max(resident)}}


def one_at_a_time(texts: Sequence[str]) -> Callable[[int], Iterator[Request]]:
    """Each client's share of the texts, a text a request."""
    return lambda number: (("POST", "/encode", {"text": text}) for text in texts[number::CLIENTS])


def mixed(texts: Sequence[str]) -> Callable[[int], Iterator[Request]]:
    """Mostly single texts; sixteen at a time, neighbours and browsing between them."""

    def requests(number: int) -> Iterator[Request]:
        random = np.random.default_rng(number)
        while True:
            text, kind = texts[random.integers(len(texts))], random.random()
            if kind < 0.8:
                yield "POST", "/encode", {"text": text}
            elif kind < 0.85:
                yield "POST", "/encode", {"texts": [texts[row] for row in random.integers(len(texts), size=16)]}
            elif kind < 0.95:
                yield "POST", "/neighbors", {"text": text, "k": 10}
            else:
                yield "GET", "/browse", None

    return requests


@contextlib.contextmanager
def memory_of(process: int) -> Iterator[list[float]]:
    """Anonymous memory of a process in MiB, a sample a second."""
    samples, over = [anonymous_mib(process)], threading.Event()

    def watch() -> None:
        while not over.wait(1):
            samples.append(anonymous_mib(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def anonymous_mib(process: int) -> float:
    """Memory that is the process's own and no mapped file (Linux)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1024


def seconds_of(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def as_markdown(results: dict[str, Any]) -> str:
    """The tables of the README."""
    rate, latency, mixed_, over = (results[name] for name in ("rate", "latency", "mixed", "overload"))
    lines = [
        "| texts a second | | of embedding alone |",
        "|---|---|---|",
        f"| embedding alone | {rate['embedding_texts_per_second']:.1f} | 1 |",
        f"| encoding directly | {rate['encoding_texts_per_second']:.1f} | "
        f"{rate['of_embedding'] / rate['of_encoding']:.2f} |",
        f"| served, {CLIENTS} clients, a text a request | {rate['served_texts_per_second']:.1f} | "
        f"{rate['of_embedding']:.2f} |",
        "",
        "| one short text | p50, ms | p99, ms |",
        "|---|---|---|",
        f"| direct call | {latency['direct_p50_ms']:.1f} | {latency['direct_p99_ms']:.1f} |",
        f"| served | {latency['served_p50_ms']:.1f} | {latency['served_p99_ms']:.1f} |",
        "",
        "| load | seconds | requests/s | texts/s | p50, ms | p90, ms | p99, ms | answers | memory, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ((f"mixed, {CLIENTS} clients", mixed_), (f"overload, {8 * CLIENTS} clients", over)):
        statuses = ", ".join(f"{count:,} × {status}" for status, count in row["statuses"].items())
        memory = ", ".join(f"{key.replace('_', ' ')} {value:.0f}" for key, value in row["memory_mib"].items())
        figures = " | ".join(f"{row[key]:,.1f}" for key in ("requests_per_second", "texts_per_second"))
        times = " | ".join(f"{row[key]:,.0f}" for key in ("p50_ms", "p90_ms", "p99_ms"))
        lines.append(f"| {name} | {row['seconds']:.0f} | {figures} | {times} | {statuses} | {memory} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
