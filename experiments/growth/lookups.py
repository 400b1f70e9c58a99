"""How long a question to the index of IDs takes: just opened, and later; and what engines for tables need for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.growth import measures
from wotd.id_index import IDIndex
from wotd.id_index.building import build_id_index
from wotd.semantic_ids import IDPattern, SemanticID

LEVELS, CODES, SHOWN = 4, 256, 20

Ask = Callable[[IDIndex, np.ndarray, int], object]


def _prefix(code: np.ndarray, draw: np.random.Generator) -> SemanticID:
    return SemanticID(tuple(code[: draw.integers(0, LEVELS + 1)].tolist()))


def questions(seed: int) -> dict[str, Ask]:
    """What is asked of an index, about the code of a random row and that row; prefixes are of all depths."""
    draw = np.random.default_rng(seed)

    def pattern(code: np.ndarray) -> IDPattern:
        return IDPattern((int(code[0]), None, int(code[2])))

    return {
        "count": lambda index, code, _: index.count(_prefix(code, draw)),
        "first items": lambda index, code, _: index.items(_prefix(code, draw))[:SHOWN].tolist(),
        "children with counts": lambda index, code, _: index.children(_prefix(code, draw)),
        "pattern a-*-c, counted": lambda index, code, _: index.count(pattern(code)),
        "ID of an item": lambda index, _, row: index.item(row),
    }


def milliseconds(action: Callable[..., object], *arguments: object) -> float:
    """Wall milliseconds of an action."""
    started = time.perf_counter()
    action(*arguments)
    return (time.perf_counter() - started) * 1e3


def forget(path: Path) -> None:
    """Ask the system to drop what it holds of a file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def look_up(rows: int, times: int) -> dict[str, Any]:
    """Percentiles of each question, in milliseconds, from files just built."""
    source, path = measures.codes_file(rows, LEVELS, CODES), measures.SCRATCH / f"index-{rows}.arrow"
    build_id_index(source, path)
    codes = np.load(source, mmap_mode="r")
    draw = np.random.default_rng(1)
    found: dict[str, Any] = {"bytes per row": path.stat().st_size / rows, "questions": {}}
    found["opening"] = sorted(milliseconds(IDIndex.open, path) for _ in range(11))[5]
    for name, ask in questions(2).items():
        firsts = {"first": [], "first, from disk": []}
        for kind, waits in firsts.items():
            for _ in range(15):
                row = int(draw.integers(rows))
                code = np.array(codes[row])
                if kind == "first, from disk":
                    forget(path)
                opened = IDIndex.open(path)
                waits.append(milliseconds(ask, opened, code, row))
                del opened
        index = IDIndex.open(path)
        asked = draw.integers(0, rows, times)
        warm = [milliseconds(ask, index, np.array(codes[row]), int(row)) for row in asked]
        found["questions"][name] = {
            "p50": float(np.percentile(warm, 50)),
            "p99": float(np.percentile(warm, 99)),
            "max": max(warm),
            **{f"{kind}, max": max(waits) for kind, waits in firsts.items()},
        }
    return found


def engines(rows: int, times: int) -> Mapping[str, Mapping[str, float]]:
    """Count and first items of prefixes by engines for tables, on the same codes sorted by ID."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = np.load(measures.codes_file(rows, LEVELS, CODES))
    order = np.lexsort(codes.T[::-1])
    columns = {f"level_{level}": codes[order, level].astype(np.uint8) for level in range(LEVELS)}
    table = pa.table({**columns, "row": order})
    path = measures.SCRATCH / "sorted.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=122_880)
    mapped = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    draw = np.random.default_rng(3)
    prefixes = [_prefix(codes[row], draw) for row in draw.integers(0, rows, times)]
    prefixes = [prefix for prefix in prefixes if len(prefix)]

    def by_arrow(prefix: SemanticID) -> object:
        mask = None
        for level, index in enumerate(prefix):
            fits = pc.equal(mapped[f"level_{level}"], pa.scalar(index, pa.uint8()))
            mask = fits if mask is None else pc.and_(mask, fits)
        return pc.sum(mask).as_py(), mapped["row"].filter(mask)[:SHOWN].to_pylist()

    askers = {"Arrow compute, mapped file": by_arrow}
    try:
        import duckdb
    except ImportError:
        duckdb = None
    if duckdb is not None:
        database = duckdb.connect(str(measures.SCRATCH / "ids.duckdb"))
        database.register("sorted_ids", table)
        database.execute("CREATE OR REPLACE TABLE ids AS SELECT * FROM sorted_ids")

        def by_duckdb(prefix: SemanticID) -> object:
            fits = " AND ".join(f"level_{level} = {index}" for level, index in enumerate(prefix))
            count = database.execute(f"SELECT count(*) FROM ids WHERE {fits}").fetchall()
            return count, database.execute(f"SELECT row FROM ids WHERE {fits} LIMIT {SHOWN}").fetchall()

        askers[f"DuckDB {duckdb.__version__}, own file, sorted"] = by_duckdb
    results = {}
    for name, ask in askers.items():
        ask(prefixes[0])
        waits = [milliseconds(ask, prefix) for prefix in prefixes]
        results[name] = {
            "p50": float(np.percentile(waits, 50)),
            "p99": float(np.percentile(waits, 99)),
            "max": max(waits),
        }
    return results
