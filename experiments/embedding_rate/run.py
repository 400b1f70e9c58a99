"""How many texts a second are embedded, beside sentence-transformers itself, and how near are the vectors?

python experiments/embedding_rate/run.py --output OUT

All contenders embed the same fresh texts in turn, round after round, in one run on one machine; a figure is the
median over rounds, a ratio the median of the rounds' ratios. Sentence-transformers may choose its batch size after
the fact: the best of several counts. Needs what `pip install 'wotd[minilm,onnx,openvino]'` brings; a backend that is
not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from wotd.embeddings import SentenceTransformerEmbedder
from wotd.embeddings.base import Vectors
from wotd.embeddings.sources import locate_model
from wotd.embeddings.verification import Fidelity
from wotd.providers.literature.synthetic import Synthetic

BATCH_SIZES = (8, 16, 32, 64, 128)
BACKENDS = (
    ("onnxruntime", "onnx", "float32"),
    ("onnxruntime", "onnx", "int8"),
    ("openvino", "openvino", "float32"),
    ("openvino", "openvino", "bfloat16"),
    ("openvino", "openvino", "int8"),
)


@dataclass(frozen=True)
class Contender:
    """Somebody who embeds."""

    name: str
    against: str
    """Name of the group whose best its rate is divided by."""
    embed: Callable[[Sequence[str]], Vectors]
    group: str = ""
    """Contenders of one group differ in a setting; the best of them counts."""


def contenders(model: str, cores: int) -> Iterator[Contender]:
    """Everyone, each warmed up when first called."""
    peer = SentenceTransformer(str(locate_model(model).path), device="cpu")
    alone, together = "sentence-transformers, 1 core", f"sentence-transformers, {cores} cores"
    for count, group in ((1, alone), (cores, together)):
        for size in BATCH_SIZES:
            yield Contender(f"{group}, batch {size}", group, partial(raw, peer, count, size), group)
    pool = peer.start_multi_process_pool(["cpu"] * cores)
    yield Contender(f"sentence-transformers, pool of {cores}", alone, partial(pooled, peer, pool))
    yield Contender("wotd, 1 core", alone, partial(ours, embedder(model), 1))
    yield Contender(f"wotd, {cores} cores, one process", alone, partial(ours, embedder(model), cores))
    yield Contender(f"wotd, {cores} worker processes", alone, partial(ours, embedder(model, workers=cores), cores))
    for package, backend, precision in BACKENDS:
        if find_spec(package) is not None:
            made = embedder(model, backend=backend, precision=precision)
            yield Contender(f"wotd, {backend} {precision}, 1 core", alone, partial(ours, made, 1))


def embedder(model: str, **settings: Any) -> SentenceTransformerEmbedder:
    """Ours, on the CPU."""
    return SentenceTransformerEmbedder(model, device="cpu", **settings)


def raw(peer: SentenceTransformer, threads: int, batch_size: int, texts: Sequence[str]) -> Vectors:
    """What everybody calls."""
    with torch_threads(threads):
        return np.asarray(
            peer.encode(list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)
        )


def pooled(peer: SentenceTransformer, pool: Any, texts: Sequence[str]) -> Vectors:
    """Sentence-transformers' own processes, which share the texts in equal chunks."""
    chunk = -(-len(texts) // (4 * len(pool["processes"])))
    return np.asarray(
        peer.encode(
            list(texts), pool=pool, chunk_size=chunk, batch_size=16, normalize_embeddings=True, show_progress_bar=False
        )
    )


def ours(made: SentenceTransformerEmbedder, threads: int, texts: Sequence[str]) -> Vectors:
    """The embedder, without the cache."""
    with torch_threads(threads):
        return made.embed(texts)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def passages(path: Path | None, count: int) -> list[str]:
    """Texts to embed: lines of JSON with a text, or passages of the built-in corpus, in a fixed random order."""
    if path is None:
        texts = [text for work in Synthetic().works() for text in work.passages()]
    else:
        texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    if len(chosen) < count:
        raise SystemExit(f"there are {len(texts)} texts; {count} are needed.")
    return [texts[row] for row in chosen]


def measured(everyone: list[Contender], texts: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Rates by contender and round, and how near their vectors are to the first one's."""
    size = len(texts) // (rounds + 1)
    results: dict[str, dict[str, Any]] = {each.name: {"rates": [], "cosines": []} for each in everyone}
    for number in range(rounds + 1):
        chunk = texts[number * size : (number + 1) * size]
        reference = None
        for each in everyone:
            started = time.perf_counter()
            vectors = each.embed(chunk)
            seconds = time.perf_counter() - started
            reference = vectors if reference is None else reference
            if number:  # the first round warms up: it loads models and starts processes
                results[each.name]["rates"].append(size / seconds)
                agreement = Fidelity.between(vectors, reference)
                results[each.name]["cosines"].append((agreement.mean_cosine, agreement.least_cosine))
        print(f"round {number} of {rounds}", flush=True)
    return results


def table(everyone: list[Contender], results: dict[str, dict[str, Any]]) -> str:
    """Markdown; ratios against the best of the group that a contender is held against."""
    best = {
        group: max(
            (each for each in everyone if each.group == group), key=lambda each: median(results[each.name]["rates"])
        )
        for group in {each.against for each in everyone}
    }
    lines = [
        "| | texts / s | of sentence-transformers on 1 core | mean cosine | least cosine |",
        "|---|---|---|---|---|",
    ]
    alone = next(iter(best[group] for group in best if group.endswith(" 1 core")))
    for each in everyone:
        if each.group and each is not best[each.group]:
            continue
        rates, cosines = results[each.name]["rates"], results[each.name]["cosines"]
        pairs = zip(rates, results[alone.name]["rates"], strict=True)
        ratio = median(mine / theirs for mine, theirs in pairs)
        mean = float(np.mean([cosine for cosine, _ in cosines]))
        least = min(cosine for _, cosine in cosines)
        lines.append(f"| {each.name} | {median(rates):.1f} | {ratio:.2f} | {mean:.5f} | {least:.5f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, and write it beside the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--input", type=Path, help="JSONL with a text a line; by default the built-in corpus")
    parser.add_argument("--texts", type=int, default=192, help="texts a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json and table.md")
    arguments = parser.parse_args()
    torch.set_num_interop_threads(1)
    cores = torch.get_num_threads()
    texts = passages(arguments.input, arguments.texts * (arguments.rounds + 1))
    everyone = list(contenders(arguments.model, cores))
    results = measured(everyone, texts, arguments.rounds)
    about = {
        "model": arguments.model,
        "texts": len(texts),
        "words": float(np.mean([len(text.split()) for text in texts])),
        "cores": cores,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "results.json").write_text(json.dumps({"about": about, "contenders": results}, indent=1))
    report = table(everyone, results)
    (arguments.output / "table.md").write_text(report)
    print(report)


if __name__ == "__main__":
    main()
