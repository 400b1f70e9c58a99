"""Runs that are killed at moments drawn within their phases, and what has to hold right after and in the end."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from warm_processes import WarmParent

from wotd.artifacts import Artifacts
from wotd.provenance import file_sha256

PHASES = ("parse", "embed", "fit", "measure", "save")
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
_SLOW = 5.0  # a signal is answered within that many times the length of the longest phase


class Attempt:
    """A run that was started, or gone on with, and how far it has come."""

    def __init__(self, parent: WarmParent, overrides: list[str], home: Path) -> None:
        """Start it in ``home/run``, from its checkpoint where there is one; cache and temporary files lie beside it."""
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        self.run = home / "run"
        self._halves = halves(self.run)
        again = ["ckpt_path=last"] if (self.run / "checkpoints" / "last.ckpt").is_file() else []
        self.process = parent.start(
            "wotd-train", *overrides, *again, "hydra.run.dir=run",
            cwd=home, WOTD_CACHE=str(home / "cache"), TMPDIR=str(home / "tmp"),
        )  # fmt: skip

    def begun(self, phase: str) -> bool:
        """Whether it has come to a phase, by what it has said and by its files."""
        if phase == "parse":
            return (self.run / ".hydra" / "overrides.yaml").exists()
        mark = {"embed": " passages of ", "fit": "split by ", "measure": "INFO    trained ", "save": "repeat the code"}
        return mark[phase] in self.process.said() and (phase != "save" or self.new_halves() or self._written())

    def phase(self) -> str:
        """The phase it is in."""
        return next((phase for phase in reversed(PHASES) if self.begun(phase)), PHASES[0])

    def new_halves(self) -> bool:
        """Whether it has begun to write artifacts, and not ended."""
        return bool(halves(self.run) - self._halves)

    def _written(self) -> bool:
        return "everything is in " in self.process.said()

    def complaint(self) -> str:
        return self.process.err.read_text()


def halves(run: Path) -> set[Path]:
    """What artifacts are written to before they are whole."""
    return set(run.glob(".artifacts-*"))


@dataclass
class Setting:
    """A run as it is when nothing happens to it.

    Attributes:
        overrides: what it is told.
        seconds: how long each phase took.
        run: its folder.
    """

    overrides: list[str]
    seconds: dict[str, float]
    run: Path

    @classmethod
    def measured(cls, parent: WarmParent, overrides: list[str], home: Path) -> Setting:
        """Let it run once, uninterrupted, and look when each phase begins."""
        attempt = Attempt(parent, overrides, home)
        at = []
        for phase in PHASES:
            assert attempt.process.wait_for(partial(attempt.begun, phase)), attempt.complaint()
            at.append(time.monotonic())
        assert attempt.process.finished() == 0, attempt.complaint()
        lengths = np.diff([*at, time.monotonic()]).tolist()
        return cls(overrides, dict(zip(PHASES, lengths, strict=True)), attempt.run)


@dataclass
class Story:
    """One run from its start to its artifacts, killed in each phase.

    Attributes:
        kills: phase and signal of each kill that met a process at work.
    """

    setting: Setting
    parent: WarmParent
    home: Path
    chooser: random.Random
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)

    def tell(self, signals: Callable[[], signal.Signals]) -> None:
        """Kill it once in each phase, in their order, then let it end."""
        self.home.mkdir(parents=True)
        for phase in PHASES:
            self._kill_in(phase, signals())
        last = self._attempt()
        assert last.process.finished() == 0, last.complaint()
        self._check_end()

    @property
    def run(self) -> Path:
        return self.home / "run"

    def _attempt(self) -> Attempt:
        return Attempt(self.parent, self.setting.overrides, self.home)

    def _kill_in(self, phase: str, signum: signal.Signals) -> None:
        attempt = self._attempt()
        process = attempt.process
        if process.wait_for(partial(attempt.begun, phase)):
            time.sleep(self.chooser.random() * self.setting.seconds[phase])
        at = attempt.phase()
        process.send(signum)
        status = process.finished(_SLOW * max(1.0, *self.setting.seconds.values()))
        if (self.run / "artifacts").exists():
            Artifacts.open(self.run / "artifacts")
        if status == 0:  # it was faster than the signal
            assert (self.run / "artifacts").exists(), attempt.complaint()
            return
        self.kills[at, signum.name] += 1
        assert status in (-signum, 128 + signum), attempt.complaint()
        if signum == signal.SIGTERM:
            self._check_orderly(attempt, at)

    def _check_orderly(self, attempt: Attempt, at: str) -> None:
        """What was asked to end says so and takes its halves away."""
        complaint = attempt.complaint()
        if complaint or at != "parse":  # before the run is known, there is nothing to say
            assert complaint.startswith("wotd-train: terminated; "), complaint
            assert complaint.count("\n") == 1, complaint
        assert not attempt.new_halves()
        assert [path.name for path in self.run.rglob("*.lock")] == []
        assert unfinished(self.home / "cache") == []

    def _check_end(self) -> None:
        """All is as if nothing had happened: codes, weights, and which files there are."""
        whole = self.setting.run
        table, expected = (pq.read_table(each / "artifacts" / "codes.parquet") for each in (self.run, whole))
        assert table.equals(expected)
        for name in ("encoder.safetensors", "semantic_ids.json"):
            assert file_sha256(self.run / "artifacts" / name) == file_sha256(whole / "artifacts" / name), name
        assert names(self.run) == names(whole)
        assert unfinished(self.home / "cache") == []
        assert [path.name for path in (self.home / "tmp").rglob("*")] == []


def names(run: Path) -> list[str]:
    """Names of all files of a run but its TensorBoard events, of which each start has its own."""
    found = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith("tensorboard/"))


def unfinished(cache: Path) -> list[str]:
    """Files that only unfinished work may leave in a cache."""
    return sorted(path.name for path in cache.rglob(".*") if path.name != ".lock")


def seed_of(name: str) -> int:
    """The seed of a test: of the environment, else one that is drawn; printed, so that the test can be told again."""
    seed = int(os.environ.get("WOTD_FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"{name}: WOTD_FAULTS_SEED={seed}\n")
    return seed
