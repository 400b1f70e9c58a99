"""``wotd assign`` on a folder of texts, killed at moments drawn over its whole length and started again."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from invented_works import invented_works
from killed_runs import SIGNALS
from warm_processes import Process, WarmParent

_FILES = 12


class Assignment:
    """An assignment as it is when nothing happens to it, to be killed."""

    def __init__(self, parent: WarmParent, artifacts: Path, home: Path, chooser: random.Random) -> None:
        """Let it run once, uninterrupted."""
        self._parent, self._artifacts, self._home, self._chooser = parent, artifacts, home, chooser
        self._texts = home / "texts"
        self._texts.mkdir()
        rows = invented_works(seed=1)
        for number in range(_FILES):
            lines = "".join(json.dumps({"text": row["text"]}) + "\n" for row in rows[number::_FILES])
            (self._texts / f"{number}.jsonl").write_text(lines)
        process = self._start("whole")
        begin = time.monotonic()
        assert process.wait_for(lambda: self._anything("whole")), process.err.read_text()
        self._seconds = {"before": time.monotonic() - begin}
        assert process.finished() == 0, process.err.read_text()
        self._seconds["after"] = time.monotonic() - begin - self._seconds["before"]
        self._whole = self._tables("whole")
        assert len(self._whole) == _FILES

    def kill(self, least: int) -> Counter[tuple[str, str]]:
        """Kill it so often, and check whatever was finished in between."""
        kills: Counter[tuple[str, str]] = Counter()
        while sum(kills.values()) < least:
            process = self._start("ids")
            if self._chooser.random() < 0.8 and process.wait_for(lambda: self._anything("ids")):
                time.sleep(self._chooser.random() * self._seconds["after"])
            else:
                time.sleep(self._chooser.random() * self._seconds["before"])
            signum = self._chooser.choice(SIGNALS)
            process.send(signum)
            status = process.finished()
            assert status in (0, -signum, 128 + signum), process.err.read_text()
            kills["assign", signum.name] += status != 0
            self._check(finished=status == 0)
        assert self._start("ids").finished() == 0
        self._check(finished=True)
        return kills

    def _check(self, *, finished: bool) -> None:
        """What is there is as it would be; when all is done, all is there and nothing else."""
        found = self._tables("ids")
        assert found.items() <= self._whole.items() if finished is False else found == self._whole
        if finished:
            assert not [path for path in (self._home / "ids").rglob(".*") if path.is_file()]
            shutil.rmtree(self._home / "ids")

    def _start(self, output: str) -> Process:
        return self._parent.start(
            *("wotd", "assign", "--artifacts", str(self._artifacts), "--input", "texts", "--output", output),
            cwd=self._home,
        )

    def _anything(self, output: str) -> bool:
        return (self._home / output).is_dir() and any((self._home / output).iterdir())

    def _tables(self, output: str) -> dict[str, list[dict[str, object]]]:
        """Every finished table, read whole."""
        return {
            path.relative_to(self._home / output).as_posix(): pq.read_table(path).to_pylist()
            for path in (self._home / output).rglob("*.parquet")
            if not path.name.startswith(".")
        }
