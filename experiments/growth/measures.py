"""What is measured: each function prepares a case of some size and gives back the action that is timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

Action = Callable[[], object]

SCRATCH = Path()
"""Where files of cases lie; each process is told."""


def vectors(rows: int, dim: int) -> np.ndarray:
    """Clusters in a subspace, and noise: float32, rows×dim."""
    draw = np.random.default_rng(0)
    rank = min(dim, 64)
    centres = draw.standard_normal((512, rank), dtype=np.float32)
    inner = centres[draw.integers(0, len(centres), rows)]
    inner += 0.5 * draw.standard_normal((rows, rank), dtype=np.float32)
    found = inner @ (draw.standard_normal((rank, dim), dtype=np.float32) / np.float32(rank**0.5))
    for start in range(0, rows, 4096):
        found[start : start + 4096] += 0.1 * draw.standard_normal(found[start : start + 4096].shape, dtype=np.float32)
    return found


def encoder(dim: int, levels: int, codes: int, rounds: int = 4) -> Any:
    """As the recipe deep makes it, unstarted; so many rounds of the closed-form fit."""
    from wotd.encoders import SemanticEncoder

    options = {"beam": 16, "fit_beam": 8, "rounds": rounds}
    return SemanticEncoder(dim, [codes] * levels, quantizer_options=options).eval()


def started(dim: int, levels: int, codes: int) -> Any:
    """One that is fitted, but not well: speed does not depend on that."""
    import torch

    made = encoder(dim, levels, codes, rounds=0)
    made.start(torch.from_numpy(vectors(max(1024, 2 * codes), dim)), torch.Generator().manual_seed(0))
    return made


# --- the model


def fit(rows: int, dim: int, levels: int, codes: int) -> Action:
    """The closed-form start and four rounds of fitting, which training does on at most 65,536 rows."""
    import torch

    x_ND, made = torch.from_numpy(vectors(rows, dim)), encoder(dim, levels, codes)
    return lambda: made.start(x_ND, torch.Generator().manual_seed(0))


def encode(rows: int, dim: int, levels: int, codes: int) -> Action:
    """Codes of rows of a mapped matrix."""
    from wotd.evaluation import encode_vectors

    path = SCRATCH / "vectors.npy"
    np.save(path, vectors(rows, dim))
    mapped, made = np.load(path, mmap_mode="r"), started(dim, levels, codes)
    return lambda: encode_vectors(made, mapped, np.arange(rows))


def decode(rows: int, dim: int, levels: int, codes: int) -> Action:
    """Vectors of codes, part by part, as the shell writes them."""
    import torch

    made = started(dim, levels, codes)
    codes_NL = np.random.default_rng(0).integers(0, codes, (rows, levels))
    out = np.lib.format.open_memmap(SCRATCH / "decoded.npy", "w+", np.float32, (rows, dim))

    def act() -> None:
        for start in range(0, rows, 8192):
            part = slice(start, start + 8192)
            out[part] = made.decode(torch.from_numpy(codes_NL[part])).numpy()

    return act


# --- the index of IDs


def codes_file(rows: int, levels: int, codes: int) -> Path:
    """Codes at random, all but a few of them distinct where they can be."""
    path = SCRATCH / f"codes-{rows}-{levels}-{codes}.npy"
    if not path.exists():
        kind = np.uint16 if codes <= 1 << 16 else np.uint32
        np.save(path, np.random.default_rng(0).integers(0, codes, (rows, levels), dtype=kind))
    return path


def index_build(rows: int, levels: int, codes: int) -> Action:
    """``wotd index build`` of a codes.npy."""
    from wotd.id_index.building import build_id_index

    source = codes_file(rows, levels, codes)
    return lambda: build_id_index(source, SCRATCH / "index.arrow")


# --- artifacts


def works(number: int) -> dict[str, Any]:
    """As many entries of ``semantic_ids.json``, with the facts that a real one has."""
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 8, (number, 4)).tolist()
    return {
        f"standard_ebooks:author-{work % 977}_title-of-work-{work:07}": {
            "title": f"The Title of Work {work}",
            "author": f"Author {work % 977}",
            "label": code,
            "origins": ["stated", "stated", "stated", "computed"],
            "id": "-".join(map(str, code)),
            "code": code,
            "agreement": [1.0, 0.75, 0.5, 0.25],
            "passages": 40,
            "facts": {
                "genres": {"value": ["Fiction", "Shorts"], "origin": "stated"},
                "reading_ease": {"value": 70.0 + work % 20, "origin": "stated"},
                "year_written": {"value": 1800 + work % 120, "origin": "stated"},
            },
        }
        for work, code in enumerate(codes)
    }


def ids_write(works_: int) -> Action:
    """Writing ``semantic_ids.json``."""
    from wotd.artifacts import write_works

    entries = works(works_)
    return lambda: write_works(SCRATCH / "semantic_ids.json", {"schema": 1, "taxonomy": None}, entries.items())


def ids_read(works_: int) -> Action:
    """Reading it."""
    import gc

    from wotd.artifacts import read_semantic_ids

    ids_write(works_)()
    gc.collect()
    return lambda: read_semantic_ids(SCRATCH / "semantic_ids.json")


LEVELS = [8, 8, 8, 8]


def stored(passages: int) -> Any:
    """What a library asks of artifacts, from memory: so many passages of named levels, forty of a work."""
    import pyarrow as pa

    from wotd.publication import code_column

    draw = np.random.default_rng(0)
    corpora = works(max(1, passages // 40))
    owners = np.sort(draw.integers(0, len(corpora), passages))
    names = pa.array(list(corpora), pa.string())
    table = pa.table(
        {
            "corpus": names.take(pa.array(owners)),
            "passage": pa.array(np.arange(passages), pa.int64()),
            "code": code_column(draw.integers(0, 8, (passages, 4))),
        }
    )
    return SimpleNamespace(codes=lambda: table, semantic_ids=lambda: {"corpora": corpora})


def opened(artifacts: Any) -> Any:
    """A library that has answered its first questions."""
    from wotd.library import Library

    made = Library(artifacts, LEVELS)
    made.count(_id("2-3"))
    made.works(_id("2-3-4-5"))
    return made


def library_open(passages: int) -> Action:
    """What the first question to a library costs: passages and works are grouped by ID."""
    artifacts = stored(passages)
    return lambda: opened(artifacts)


def library_browse(passages: int) -> Action:
    """``wotd browse`` of prefixes that 64 codes and so a 64th of all works are below, once it is open."""
    made = opened(stored(passages))

    def act() -> None:
        for first in range(8):
            prefix = _id(f"{first}-3")
            made.count(prefix), made.children(prefix), made.works(prefix)

    return act


def library_passages(passages: int) -> Action:
    """The passages of patterns, and the works of these."""
    from wotd.semantic_ids import IDPattern

    made = opened(stored(passages))

    def act() -> None:
        for first in range(8):
            made.by_work(made.passages(IDPattern.parse(f"{first}-*-5")))

    return act


def _id(text: str) -> Any:
    from wotd.semantic_ids import SemanticID

    return SemanticID.parse(text)
