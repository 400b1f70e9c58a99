"""How near does training come to what the hardware could do, with and without mixed precision and `torch.compile`?

python -m experiments.speed.run --output OUT

Vectors are drawn, written to a file and trained on by the recipe ``deep``, its networks widened, in all four ways.
A rate is that of the fastest epoch after the first one. Beside it stand two ceilings: as many rows a second as the
arithmetic of a step allows at the speed of a large product of matrices, and as many as memory allows at the speed
of a copy. Seconds are those of the CPU, or of a GPU's wall clock. Writes OUT/results.json and OUT/table.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.runs import Results, Row, described, numbers, train
from experiments.tables import markdown
from experiments.trace import Trace, seconds_so_far
from wotd.assembly import as_config, build_data_module, build_module
from wotd.data.splits import TRAIN
from wotd.progress import track

EPOCHS = 4
WAYS = {
    f"{precision}{', compiled' if compiled else ''}": (precision, compiled)
    for precision in ("32-true", "bf16-mixed")
    for compiled in (False, True)
}
_BYTES_OF_A_PARAMETER = 44
"""Moved in a step, at least: read by forward and backward, gradient and its norm, weight and two moments anew."""


def main() -> None:
    """Measure what is asked for, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="OUT", help="a folder; goes on with what it holds"
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--hidden", type=numbers, default=[1024, 512], help="widths of the networks' hidden layers")
    parser.add_argument("--batch-sizes", type=numbers, default=[1024, 8192])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = Path(folder) / "vectors.npy"
        draw = np.random.default_rng(0)
        centres = draw.normal(size=(256, asked.dimension)).astype(np.float32)
        noise = draw.normal(size=(asked.rows, asked.dimension)).astype(np.float32)
        np.save(vectors, centres[draw.integers(len(centres), size=asked.rows)] + noise / 2)
        results = Results.open(asked.output, described(vectors, 0, asked.rows))
        turns = [
            (size, name) for size in asked.batch_sizes for name in WAYS if torch.cuda.is_available() or "16" not in name
        ]
        for size, name in track(turns, "runs", unit="runs"):
            if not results.has(way=name, batch_size=size):
                results.add({"way": name, "batch_size": size, **measured(vectors, size, asked.hidden, *WAYS[name])})
    data = results.write()
    (asked.output / "table.md").write_text(report(data), encoding="utf-8")
    print(report(data))


def measured(vectors: Path, size: int, hidden: list[int], precision: str, compiled: bool) -> Row:
    """Rows a second of a run, and what arithmetic and memory would allow."""
    overrides = [
        *("+experiment=deep", "~logger", "~callbacks.early_stopping", f"data.vectors={vectors}"),
        *(f"data.batch_size={size}", f"model.hidden={hidden}".replace(" ", ""), f"trainer.max_epochs={EPOCHS}"),
        *(f"callbacks.amp.precision={precision}", f"model.compile={str(compiled).lower()}"),
    ]
    train([*overrides, Trace.OVERRIDE], 0)
    rates = [size * len(losses) / seconds for losses, seconds in zip(Trace.losses, Trace.seconds, strict=True)]
    operations, parameters, dimension = step_of([*overrides, "model.compile=false"], size)
    product, copied = speed_of_products(precision), speed_of_copies()
    return {
        "rate": max(rates[1:]),
        "rates": rates,
        "operations_a_row": operations / size,
        "products": product,
        "copies": copied,
        "arithmetic": size * product / operations,
        "memory": size * copied / (_BYTES_OF_A_PARAMETER * parameters + 4 * size * dimension),
    }


def step_of(overrides: list[str], size: int) -> tuple[int, int, int]:
    """Operations of forward and backward of a batch, parameters that are trained, and the length of a vector."""
    config = as_config(overrides)
    data = build_data_module(config, None)
    data.setup()
    dataset, module = data.dataset(TRAIN), build_module(config, data.dimension, None)
    module.start(dataset)
    with FlopCounterMode(display=False) as counter:
        terms, _ = module.terms(dataset[np.arange(size) % len(dataset)])
        terms.weighted(module.losses).total().backward()
    trained = sum(each.numel() for each in module.parameters() if each.requires_grad)
    return counter.get_total_flops(), trained, data.dimension


def speed_of_products(precision: str) -> float:
    """Operations a second of a large product of matrices."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = 8192 if device.type == "cuda" else 1024
    left = torch.randn(
        side, side, device=device, dtype=torch.bfloat16 if precision.startswith("bf16") else torch.float32
    )
    return 2 * side**3 / timed(lambda: left @ left)


def speed_of_copies() -> float:
    """Bytes a second that a copy reads and writes."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source = torch.empty(256 * 1024 * 1024 if device.type == "cuda" else 64 * 1024 * 1024, device=device).fill_(1)
    target = torch.empty_like(source)
    return 2 * source.nbytes / timed(lambda: target.copy_(source))


def timed(action: Callable[[], object], rounds: int = 9) -> float:
    """The median of some rounds, in seconds, after one that warms up."""

    def seconds() -> Iterator[float]:
        for _ in range(rounds + 1):
            began = seconds_so_far()
            action()
            yield seconds_so_far() - began

    return median(list(seconds())[1:])


def report(results: Row) -> str:
    """Rates beside their ceilings."""
    columns = ["rows / s", "arithmetic allows", "share", "memory allows", "share"]
    lines = {
        f"batches of {row['batch_size']}, {row['way']}": [
            f"{row['rate']:,.0f}",
            *(
                cell
                for name in ("arithmetic", "memory")
                for cell in (f"{row[name]:,.0f}", f"{row['rate'] / row[name]:.0%}")
            ),
        ]
        for row in results["rows"]
    }
    gpu = results["about"]["machine"]["gpu"]
    return f"{gpu or 'No GPU: ' + results['about']['machine']['processor']}\n\n{markdown(columns, lines)}\n"


if __name__ == "__main__":
    main()
