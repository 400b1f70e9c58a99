"""Trains on a file of vectors that need not fit into memory: memory by phase, rate against vectors in memory."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from wotd.assembly import build_module
from wotd.configuration import compose
from wotd.data import WOTDDataModule, batches
from wotd.data.splits import TRAIN, VAL

DIMENSION, CENTRES, CHUNK_ROWS = 384, 4096, 100_000
PLANNED_ROWS = 50_000_000
SETTINGS = ["+experiment=deep", "trainer.max_epochs=1", "trainer.accelerator=cpu", "data.batch_size=1024"]
PHASES = {
    "reading": r"vectors of length",
    "closed-form start": r"split by",
    "training": r"closed-form start:",
    "evaluation and artifacts": r"trained \d+ epoch",
}
"""What begins when a line of the log says so."""

MIB = 2**20


def make_vectors(path: Path, rows: int) -> None:
    """Write clustered float16 rows of length one, whose columns fall off as those of text embeddings do."""
    generator = np.random.default_rng(0)
    spread_D = np.exp(-np.arange(DIMENSION, dtype=np.float32) / 120)
    centres = generator.standard_normal((CENTRES, DIMENSION), dtype=np.float32) * spread_D
    partial = path.with_suffix(".partial")
    out = np.lib.format.open_memmap(partial, "w+", np.float16, (rows, DIMENSION))
    for first in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - first)
        x = centres[generator.integers(CENTRES, size=count)]
        x += 0.7 * spread_D * generator.standard_normal((count, DIMENSION), dtype=np.float32)
        out[first : first + count] = x / np.linalg.norm(x, axis=1, keepdims=True)
    out.flush()
    partial.replace(path)


def forget(path: Path) -> None:
    """Ask the system to drop what it keeps of a file in memory, so that it has to be read anew."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# --- memory


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process (RssAnon): what is its own, not pages of files that can be dropped."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0


def measure_memory(vectors: Path, folder: Path) -> dict[str, Any]:
    """Run the door, and record the most anonymous memory and the seconds of each phase."""
    command = [sys.executable, "-m", "wotd.train", *SETTINGS, f"data.vectors={vectors}", f"hydra.run.dir={folder}"]
    forget(vectors)
    phase, most, seconds, begun = "imports", {}, {}, time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                most[phase] = max(most.get(phase, 0), anonymous(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            for name, pattern in PHASES.items():
                if re.search(pattern, line):
                    seconds[phase] = time.monotonic() - begun
                    phase, begun = name, time.monotonic()
        ended.set()
        watcher.join()
    seconds[phase] = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(f"training ended with status {process.returncode}")
    results = json.loads((folder / "artifacts" / "training_results.json").read_text(encoding="utf-8"))
    return {
        "most_mib": {name: round(value / MIB) for name, value in most.items()},
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "val_nmse": results["metrics"]["val/nmse"],
    }


def projected(memory: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Anonymous memory (MiB) of each phase with ``PLANNED_ROWS``, if it goes on growing by the row as measured."""
    if len(memory) < 2:
        return {}
    few, many = sorted(memory, key=int)[:: len(memory) - 1]
    little, much = (memory[rows]["most_mib"] for rows in (few, many))
    steps = (PLANNED_ROWS - int(many)) / (int(many) - int(few))
    return {phase: round(much[phase] + steps * max(0, much[phase] - little[phase])) for phase in much}


# --- rate


class Clock(Callback):
    """Rows a second of the steps of a fit, the first ones left out."""

    def __init__(self, warm: int) -> None:
        self.warm, self.since, self.rows, self.rate = warm, 0.0, 0, 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        del trainer, pl_module, outputs
        if batch_idx + 1 <= self.warm:
            self.since, self.rows = time.perf_counter(), 0
            return
        self.rows += len(batch.embeddings)
        self.rate = self.rows / (time.perf_counter() - self.since)


def measure_rates(vectors: Path, rounds: int, steps: int) -> Iterator[dict[str, float]]:
    """Rates of training from the file, cold, and from memory, in turns.

    In memory all rows are shuffled with each other; nothing else differs.
    """
    config = compose([*SETTINGS, f"data.vectors={vectors}"])
    memory = np.load(vectors)
    few, all_rows = batches.SHUFFLED_ROWS, len(memory)
    weights = None
    for _ in range(rounds):
        rates = {}
        for name in ("memory", "file"):
            data = WOTDDataModule(vectors=str(vectors), batch_size=int(config.data.batch_size))
            data.setup()
            batches.SHUFFLED_ROWS = all_rows if name == "memory" else few
            data.vectors = memory if name == "memory" else data.vectors
            module = build_module(config, data.dimension, None)
            if weights is None:
                module.start(data.dataset(TRAIN), data.dataset(VAL))
                weights = {key: value.clone() for key, value in module.state_dict().items()}
            module.load_state_dict(weights)
            clock = Clock(steps // 10)
            trainer = lightning.Trainer(
                max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[clock],
                enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
                limit_val_batches=0,
            )  # fmt: skip
            forget(vectors)
            trainer.fit(module, datamodule=data)
            rates[name] = clock.rate
            del data
            gc.collect()
        batches.SHUFFLED_ROWS = few
        print({name: round(rate) for name, rate in rates.items()}, flush=True)
        yield rates


def main() -> None:
    """Measure and write ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the vectors are kept, so that they are made once")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="where results.json goes")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_250_000, 5_000_000], help="sizes of files, ascending")
    parser.add_argument("--rounds", type=int, default=3, help="of the rates, on the largest file")
    parser.add_argument("--steps", type=int, default=400, help="of each rate")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beyond_memory-") as scratch:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        files = {rows: folder / f"{rows}x{DIMENSION}.npy" for rows in sorted(asked.rows)}
        for rows, path in files.items():
            if not path.exists():
                make_vectors(path, rows)
        memory = {str(rows): measure_memory(path, Path(scratch) / str(rows)) for rows, path in files.items()}
        rates = list(measure_rates(files[max(files)], asked.rounds, asked.steps)) if asked.rounds else []
    results = {
        "projected_mib": projected(memory),
        "dimension": DIMENSION, "dtype": "float16", "memory": memory, "rates": rates,
        "ratio": median(rate["file"] / rate["memory"] for rate in rates) if rates else None,
        "threads": torch.get_num_threads(), "machine": platform.machine(),
    }  # fmt: skip
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
