"""How close do codes of equal bits come to the vectors they stand for, and at what cost?

python experiments/quantizers/run.py --train TRAIN.npy --val VAL.npy --output OUT \
    --level-sizes 256,256,256,256 --level-sizes 8,8,8,5 --seeds 0,1,2

Needs what `pip install 'wotd[bench]'` brings. Writes OUT/results.json, OUT/table.md and plots.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from methods import METHODS, Method, ours
from report import write_report

HERE = Path(__file__).resolve().parent
LIBRARIES = ("wotd", "torch", "lightning", "faiss-cpu", "scikit-learn", "vector-quantize-pytorch", "numpy")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def measured(method: Method, level_sizes: list[int], seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What :mod:`measure` says of a method, in a process of its own with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        asked = {
            "method": asdict(method),
            "level_sizes": level_sizes,
            "seed": seed,
            "train": str(arguments.train.resolve()),
            "val": str(arguments.val.resolve()),
            "groups": str(arguments.groups.resolve()) if arguments.groups else None,
            "result": str(result),
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "measure.py")],
            input=json.dumps(asked), text=True, capture_output=True, check=False, cwd=folder,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(HERE)},
        )  # fmt: skip
        if done.returncode or not result.is_file():
            return {"failed": done.stderr.strip()[-2000:] or f"it ended with status {done.returncode}"}
        answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return answer


def measure_all(arguments: argparse.Namespace, methods: dict[str, Method]) -> list[dict[str, Any]]:
    """One row per level sizes, method and seed; kept on disk as they come."""
    rows: list[dict[str, Any]] = []
    for level_sizes in arguments.level_sizes:
        for name, method in methods.items():
            for seed in arguments.seeds:
                row = {"method": name, "label": method.label, "level_sizes": level_sizes, "seed": seed}
                rows.append(row | measured(method, level_sizes, seed, arguments))
                print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
                write_results(arguments, rows)
                if "unsuited" in rows[-1]:
                    break
    return rows


def write_results(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Rows, and what they were measured on and with."""
    shapes = {name: list(np.load(getattr(arguments, name), mmap_mode="r").shape) for name in ("train", "val")}
    data = {"shapes": shapes, "libraries": {name: version(name) for name in LIBRARIES}, "rows": rows}
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (arguments.output / "results.json").write_text(text + "\n", encoding="utf-8")


def chosen(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Method]:
    """The methods asked for by name, and our settings given on the command line."""
    extra = {}
    for setting in arguments.ours:
        name, equals, overrides = setting.partition("=")
        if not equals:
            parser.error(f"--ours is {setting!r}; expected NAME='OVERRIDE OVERRIDE …'")
        extra[f"wotd_{name}"] = ours(name, overrides.split())
    known = METHODS | extra
    names = arguments.methods or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--methods names {', '.join(unknown)}; expected some of {', '.join(known)}")
    return {name: known[name] for name in dict.fromkeys([*names, *extra])}


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(number) for number in text.split(",")]


def main() -> int:
    """Measure, write, print; 1 where a method failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="an .npy file of N×D vectors to fit on")
    parser.add_argument("--val", type=Path, required=True, help="an .npy file of held-out vectors")
    parser.add_argument("--level-sizes", type=numbers, action="append", required=True, help="may come several times")
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2])
    parser.add_argument("--methods", type=lambda text: text.split(","), help="names, separated by commas; default: all")
    parser.add_argument("--ours", action="append", default=[], metavar="NAME='OVERRIDE …'",
                        help="a setting of ours besides those in methods.py; may come several times")  # fmt: skip
    parser.add_argument("--groups", type=Path, help="an .npz file with author_val and work_val, an index for each row")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = measure_all(arguments, chosen(arguments, parser))
    print(write_report(rows, arguments.output))
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
