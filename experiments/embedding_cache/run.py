"""What does the embedding cache cost: to read, to look up, to open, to stream through?

python experiments/embedding_cache/run.py --output OUT

Each figure stands beside a bare one taken in the same run: reading beside a copy out of one memory-mapped matrix,
a full hit beside the hashing of the texts. The embedder is a stand-in that takes no time, so that nothing but the
cache is measured. Needs some 6 GB below OUT, which are removed at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from wotd.embeddings import Embedder, EmbeddingCache, Fingerprint
from wotd.embeddings.base import Vectors
from wotd.embeddings.shards import ShardFolder

WIDTH = 384
WORDS = ["the", "wind", "of", "sea", "and", "lamp", "cold", "hill", "ship", "rain", "a", "door", "slow", "king", "over"]


class Instant(Embedder):
    """Takes no time: rows of one fixed matrix."""

    def __init__(self, dimension: int = WIDTH) -> None:
        """Draw the rows."""
        self._rows = np.random.default_rng(0).normal(size=(1_024, dimension)).astype(np.float32)

    @property
    def dimension(self) -> int:
        """Width of the rows."""
        return self._rows.shape[1]

    @property
    def fingerprint(self) -> Fingerprint:
        """Of nobody else."""
        return Fingerprint(
            kind="instant", model="instant", revision=None, weights_sha256="", tokenizer_sha256="",
            configuration_sha256="", prompt="", pooling="", max_tokens=None, truncate_dim=None, normalized=False,
            precision="float32", dimension=self.dimension,
        )  # fmt: skip

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows by the length of the text."""
        return self._rows[[len(text) % len(self._rows) for text in texts]]

    def settings(self) -> dict[str, Any]:
        """None."""
        return {}


def passages(count: int) -> Iterator[str]:
    """Distinct texts of 75 words."""
    for number in range(count):
        turn = number % len(WORDS)
        yield f"{number} " + " ".join((WORDS[turn:] + WORDS[:turn]) * 5)[:400]


def seconds(action: Callable[[], object], times: int = 1) -> float:
    """Median wall seconds of an action."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return median(taken)


def reading(folder: Path, count: int, times: int) -> dict[str, float]:
    """Reading by key beside a copy out of one mapped matrix, and a full hit beside hashing."""
    texts, embedder = list(passages(count)), Instant()
    EmbeddingCache(folder).embed(embedder, texts)
    raw = folder / "raw.npy"
    np.save(raw, embedder.embed(texts))
    shuffled = np.random.default_rng(1).permutation(count)
    gigabytes = count * WIDTH * 4 / 1e9
    mixed = [texts[row] for row in shuffled]
    results: dict[str, float] = {"rows": count}

    def bare() -> object:
        return np.load(raw, mmap_mode="r")[shuffled]

    def in_order() -> object:
        return np.array(np.load(raw, mmap_mode="r"))

    def hashes() -> object:
        return [hashlib.sha256(text.encode()).digest() for text in mixed]

    def first() -> object:
        return EmbeddingCache(folder).embed(embedder, mixed)

    warm = EmbeddingCache(folder)
    warm.embed(embedder, mixed)
    for name, action in (
        ("bare copy, shuffled", bare),
        ("bare copy, in order", in_order),
        ("hashing the texts", hashes),
        ("full hit, cache just opened", first),
        ("full hit, cache open", lambda: warm.embed(embedder, mixed)),
        ("full hit, texts in order", lambda: warm.embed(embedder, texts)),
    ):
        action()
        results[f"{name}, s"] = seconds(action, times)
    keyed = lookups(folder, texts, shuffled, times)
    results |= {f"{name}, s": taken for name, taken in keyed.items()}
    results |= {f"{name}, GB/s": gigabytes / taken for name, taken in keyed.items()}
    results["bare copy, shuffled, GB/s"] = gigabytes / results["bare copy, shuffled, s"]
    results["reading / bare copy"] = results["reading by key, s"] / results["bare copy, shuffled, s"]
    results["first reading / bare copy"] = results["first reading by key, s"] / results["bare copy, shuffled, s"]
    results["full hit / hashing"] = results["full hit, cache open, s"] / results["hashing the texts, s"]
    return results


def lookups(folder: Path, texts: list[str], shuffled: np.ndarray, times: int) -> dict[str, float]:
    """Reading rows whose keys are known: with the checksums compared, and later."""
    from wotd.embeddings.cache import text_keys

    keys = text_keys(texts)[shuffled]
    (path,) = (folder / "embeddings").iterdir()
    digest = Instant().fingerprint.digest

    def opened() -> ShardFolder:
        shards = ShardFolder(path, digest, WIDTH)
        shards.refresh()
        return shards

    def read(shards: ShardFolder) -> None:
        vectors = np.empty((len(keys), WIDTH), np.float32)
        if len(shards.fill(vectors, keys)):
            raise SystemExit("a row was not found")

    warm = opened()
    read(warm)
    return {
        "first reading by key": seconds(lambda: read(opened()), times),
        "reading by key": seconds(lambda: read(warm), times),
    }


def overhead(folder: Path, count: int, rate: float) -> dict[str, float]:
    """What hashing, look-up and storing add to embedding at so many texts a second."""
    texts, embedder = list(passages(count)), Instant()
    alone = seconds(lambda: embedder.embed(texts))
    stored = seconds(lambda: EmbeddingCache(folder).embed(embedder, texts))
    added = stored - alone
    return {"texts": count, "added, s": added, f"share of embedding at {rate:g} texts / s": added / (count / rate)}


def opening(folder: Path, count: int, width: int = 4) -> dict[str, float]:
    """Opening a cache of very many rows and looking up the first texts, in a new process."""
    cache = EmbeddingCache(folder)
    for _ in cache.stream(Instant(width), passages(count), rows=262_144, total=count):
        pass
    code = (
        "import sys, time\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from run import Instant, passages\n"
        "from wotd.embeddings import EmbeddingCache\n"
        "texts, embedder = list(passages(1000)), Instant(int(sys.argv[3]))\n"
        "started = time.perf_counter()\n"
        "found = EmbeddingCache(sys.argv[1]).embed(embedder, texts)\n"
        "print(time.perf_counter() - started, found.found)\n"
    )
    arguments = [sys.executable, "-c", code, str(folder), str(Path(__file__).parent), str(width)]
    taken, found = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    return {"rows": count, "found": int(found), "opened and 1,000 texts read, s": float(taken)}


def streaming(folder: Path, count: int) -> dict[str, float]:
    """Anonymous memory of a process that streams texts through the cache, none of them known, then all."""
    code = (
        "import sys, time\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from run import Instant, anonymous_memory, passages\n"
        "from wotd.embeddings import EmbeddingCache\n"
        "count, peak, rows = int(sys.argv[3]), 0, 0\n"
        "started = time.perf_counter()\n"
        "for part in EmbeddingCache(sys.argv[1]).stream(Instant(), passages(count), total=count):\n"
        "    rows += len(part)\n"
        "    peak = max(peak, anonymous_memory())\n"
        "print(rows, peak, time.perf_counter() - started)\n"
    )
    results: dict[str, float] = {"texts": count}
    for name in ("none known", "all known"):
        arguments = [sys.executable, "-c", code, str(folder), str(Path(__file__).parent), str(count)]
        rows, peak, taken = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
        if int(rows) != count:
            raise SystemExit(f"{rows} rows came, {count} were expected")
        results[f"{name}: most RssAnon, GB"] = int(peak) / 1e6
        results[f"{name}, s"] = float(taken)
    return results


def anonymous_memory() -> int:
    """RssAnon of this process in kB: memory that is not a mapped file's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1])
    raise SystemExit("the system does not tell RssAnon")


def main() -> None:
    """Measure, print, and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json")
    parser.add_argument("--rows", type=int, default=200_000, help="rows that are read")
    parser.add_argument("--streamed", type=int, default=1_000_000, help="texts that are streamed")
    parser.add_argument("--kept", type=int, default=10_000_000, help="rows of the cache that is opened")
    parser.add_argument("--rate", type=float, default=60.0, help="texts a second of the embedding that is compared")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    scratch = arguments.output / "scratch"
    results: dict[str, dict[str, float]] = {}
    parts: dict[str, Callable[[Path], dict[str, float]]] = {
        "reading": lambda folder: reading(folder, arguments.rows, arguments.times),
        "overhead": lambda folder: overhead(folder, 20_000, arguments.rate),
        "streaming": lambda folder: streaming(folder, arguments.streamed),
        "opening": lambda folder: opening(folder, arguments.kept),
    }
    try:
        for name, measure in parts.items():
            folder = scratch / name
            folder.mkdir(parents=True)
            results[name] = measure(folder)
            shutil.rmtree(folder)
            print(name, json.dumps(results[name], indent=1), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
