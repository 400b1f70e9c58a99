"""Runs of the pipeline that a study makes: settings × seeds, each kept on disk as it comes, none made twice.

A seed decides the split of the authors, too, so that the spread of a figure is that of both.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from experiments.works import read, write_rows
from wotd.pipeline import TrainingResults, train_wotd_pipeline
from wotd.progress import track

Row = dict[str, Any]

SIDES = ("train", "val", "test")
KEPT = re.compile(
    r"(train|val|test)/(nmse|cosine|codes|collisions/rate|recall/reconstruction|level_\d+/perplexity"
    r"|(agreement|probe)/\w+/(accuracy|majority|by_work))"
)
"""The metrics that results keep; the rest would bury them."""

SMALL = (
    *("provider=synthetic", "provider.n_works=24", "provider.passages_per_work=6", "embedding=lsa", "features=none"),
    *("model.latent_dim=8", "model.hidden=[16]", "trainer.max_epochs=2", "trainer.accelerator=cpu"),
)
"""What ``--check`` runs in place of the recipe on books: the same roads in seconds."""


@dataclass(frozen=True)
class Setting:
    """One line of a study's table: its name, and the overrides of the recipe that make it."""

    name: str
    overrides: Sequence[str] = ()


@dataclass
class Results:
    """Rows of a study in ``OUTPUT/results.json``, beside what they were measured on and with."""

    path: Path
    about: Row
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def open(cls, output: Path, about: Row) -> Results:
        """Go on with what is in the folder, or begin there.

        Raises:
            SystemExit: if it holds rows that were measured on other texts.
        """
        path = output / "results.json"
        if not path.is_file():
            output.mkdir(parents=True, exist_ok=True)
            return cls(path, about)
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["about"]["corpus"] != about["corpus"]:
            raise SystemExit(f"{path} holds runs on other texts; give another --output.")
        return cls(path, held["about"], held["rows"])

    def has(self, **key: Any) -> bool:
        """Whether there is a row with these values."""
        return any(all(row.get(name) == value for name, value in key.items()) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep a row, on disk too: the file holds all rows or those before, never half of one."""
        self.rows.append(row)
        self.write()

    def write(self, **more: list[Row]) -> Row:
        """Write the rows, and what follows from them, where there is more to say; returns all of it as written."""
        data = json.loads(json.dumps(_rounded({"about": self.about, "rows": self.rows, **more})))
        parts = [f' "about": {json.dumps(data["about"], ensure_ascii=False)}']
        for name in ("rows", *more):
            lines = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in data[name])
            parts.append(f' "{name}": [\n{lines}\n ]')
        beside = self.path.with_suffix(".tmp")
        beside.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
        beside.replace(self.path)
        return dict(data)


def arguments(description: str | None, passages: int = 48) -> argparse.ArgumentParser:
    """What every study is asked with."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, metavar="BOOKS", help="a folder of Standard Ebooks")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="OUT", help="a folder; goes on with what it holds"
    )
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="of run and split; default: 0,1,2")
    parser.add_argument(
        "--passages", type=int, default=passages, help="at most so many of a work; default: %(default)s"
    )
    parser.add_argument("--check", action="store_true", help="run on a few generated works, to see that all works")
    return parser


def choice_of_settings(parser: argparse.ArgumentParser) -> None:
    """Let some of a study's settings be asked for, as :func:`measure` understands it."""
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,…", help="of the settings")


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(number) for number in text.split(",")]


@contextmanager
def corpus(asked: argparse.Namespace) -> Iterator[tuple[list[str], Row]]:
    """Overrides of the recipe on the texts that were asked for, and what to say of these.

    Raises:
        SystemExit: if there is neither ``--root`` nor ``--check``.
    """
    if asked.root is None and not asked.check:
        raise SystemExit(
            "--root is missing; expected a folder of Standard Ebooks, or --check for a trial without books."
        )
    recipe = ["+experiment=minilm", "~logger"]
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "works.jsonl"
        if asked.check:
            works = read(SMALL)
            write_rows(works, rows)
            yield [*recipe, *SMALL], described(rows, len(works.works), len(works.texts))
            return
        limit = f"provider.max_passages_per_work={asked.passages}"
        works = read(["provider=standard_ebooks", f"provider.root='{asked.root.resolve()}'", limit])
        overrides = write_rows(works, rows)
        yield [*recipe, *overrides], described(rows, len(works.works), len(works.texts))


def described(rows: Path, works: int, passages: int) -> Row:
    """What results say of the texts and the machine."""
    return {
        "corpus": {"works": works, "passages": passages, "sha256": sha256(rows.read_bytes()).hexdigest()},
        "libraries": {name: version(name) for name in ("wotd", "torch", "lightning", "numpy")},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(),
                    "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None},
    }  # fmt: skip


def train(overrides: Iterable[str], seed: int, output: Path | None = None) -> TrainingResults:
    """One run; what it leaves is thrown away unless there is a folder for it."""
    with tempfile.TemporaryDirectory() as scratch:
        return train_wotd_pipeline([*overrides, f"seed={seed}", f"data.seed={seed}"], output or Path(scratch))


def measure(results: Results, recipe: Sequence[str], settings: Sequence[Setting], asked: argparse.Namespace) -> Row:
    """Train each setting under each seed, but for those that the results have; returns these as they are on disk.

    Seed by seed, so that a study that is stopped has some of everything.

    Raises:
        SystemExit: if ``--only`` names what is no setting.
    """
    known = {setting.name: setting for setting in settings}
    if unknown := [name for name in asked.only or () if name not in known]:
        raise SystemExit(f"--only names {', '.join(unknown)}; expected some of {', '.join(known)}.")
    chosen = [known[name] for name in asked.only or known]
    for seed, setting in track([(s, each) for s in asked.seeds for each in chosen], "runs", unit="runs"):
        if not results.has(setting=setting.name, seed=seed):
            done = train([*recipe, *setting.overrides], seed)
            results.add({"setting": setting.name, "seed": seed, **figures(done)})
    return results.write()


def figures(done: TrainingResults) -> Row:
    """What results keep of a run."""
    return {
        "metrics": {name: value for name, value in done.metrics.items() if KEPT.fullmatch(name)},
        "seconds": {name: done.seconds[name] for name in ("training", "total")},
        "counts": {name: done.counts[name] for name in (*SIDES, "epochs", "steps")},
        "start_kept": done.checkpoint.name == "start.ckpt",
    }


def _rounded(value: Any) -> Any:
    """Plain data with numbers of five digits; null where there is none."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
