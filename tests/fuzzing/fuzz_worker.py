"""One process that runs a group of targets and writes down what it found; ``python fuzz_worker.py --help``.

Each target gets its sound and hostile inputs first, then as many spoiled ones as are asked for. A case that fails is
made smaller, stored as it is, and told on a line of JSON; the next failure of the same kind is not told again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[n] / part) for n, part in ((0, ""), (1, ""), (1, "providers/literature"))]

from fuzz_mutations import mutate  # noqa: E402
from fuzz_target import Target  # noqa: E402
from fuzz_watch import FoundError, Watch  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import seed as seeded  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.errors import Flaky  # noqa: E402

GROUPS = ("markup", "texts", "rows", "models", "requests", "misbehaviour")
"""Targets that one process runs, since they need the same imports; a module each. The last one is there to fail."""

MOST_FAILURES = 5
"""Of one target; after that it is broken enough."""


class Session:
    """Runs cases of targets, and keeps what fails."""

    def __init__(self, watch: Watch, findings: Path, every: int) -> None:
        self._watch, self._findings, self._every = watch, findings, every
        self.cases = 0
        self._known: set[str] = set()

    def target(self, target: Target, examples: int, seed: int | None) -> dict[str, Any]:
        """All cases of a target: how many, how long, what failed."""
        self.cases, began = 0, time.perf_counter()
        self._known.clear()
        for path in sorted(self._watch.folder.iterdir()):
            _remove(path)
        target.prepare(self._watch.folder)
        self._watch.settle()
        failures = list(self._made(target))
        self._watch.settle()  # what the first cases have imported, too
        while examples and len(failures) < MOST_FAILURES and (found := self._spoiled(target, examples, seed)):
            failures.append(found)
        seconds = round(time.perf_counter() - began, 2)
        return {"target": target.name, "cases": self.cases, "seconds": seconds, "failures": failures}

    def replay(self, target: Target, case: bytes) -> str | None:
        """What one case does that it may not."""
        target.prepare(self._watch.folder)
        self._watch.settle()
        try:
            self._run(target, case)
        except FoundError as found:
            return str(found)
        return None

    def _made(self, target: Target) -> Iterator[dict[str, str]]:
        try:
            if refusal := self._run(target, target.seeds[0]):
                raise FoundError(f"it refused what is sound: {refusal}")
        except FoundError as found:
            yield self._kept(target, target.seeds[0], found)
        for case in (*target.seeds[1:], *target.hostile)[:: self._every]:
            try:
                self._run(target, case)
            except FoundError as found:
                if self._is_new(found):
                    yield self._kept(target, case, found)

    def _spoiled(self, target: Target, examples: int, seed: int | None) -> dict[str, str] | None:
        """The first failure of a new kind among so many spoiled inputs, as small as it could be made."""
        inputs = [case for case in (*target.seeds, *target.hostile) if len(case) <= 200_000]
        failed: list[tuple[bytes, FoundError]] = []

        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            derandomize=seed is None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
        )
        @given(
            st.sampled_from(inputs),
            st.sampled_from((target.kind,) * 9 + ("bytes",)),
            st.randoms(use_true_random=False),
        )
        def every(begin: bytes, kind: str, random: Random) -> None:
            case = mutate(random, begin, inputs, kind, max_bytes=target.max_bytes)
            try:
                self._run(target, case)
            except FoundError as found:
                if self._is_new(found, remember=False):
                    failed.append((case, found))
                    raise

        try:
            (every if seed is None else seeded(seed)(every))()
        except (FoundError, Flaky):  # the latter where it took long once and not again
            case, found = failed[-1]
            self._is_new(found)
            return self._kept(target, case, found)
        return None

    def _run(self, target: Target, case: bytes) -> Exception | None:
        self.cases += 1
        (self._findings / "running.bin").write_bytes(case)
        (self._findings / "running.txt").write_text(target.name, encoding="utf-8")
        return self._watch.run(lambda: target.run(case, self._watch.folder), target.allowed)

    def _is_new(self, found: FoundError, *, remember: bool = True) -> bool:
        """Whether nothing failed in this way and at this place yet."""
        cause = found.__cause__
        trace, place = (cause.__traceback__ if cause else None), ""
        while trace:
            if f"{os.sep}wotd{os.sep}" in trace.tb_frame.f_code.co_filename:
                place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
            trace = trace.tb_next
        words = str(found).split(":")[0].split("(")[0]
        kind = f"{''.join(c for c in words if not c.isdigit())} {place}"
        new = kind not in self._known
        if remember:
            self._known.add(kind)
        return new

    def _kept(self, target: Target, case: bytes, found: FoundError) -> dict[str, str]:
        name = f"{target.name.replace(' ', '_').replace(',', '')}-{hashlib.sha256(case).hexdigest()[:16]}.bin"
        (self._findings / name).write_bytes(case)
        return {"why": str(found), "file": str(self._findings / name)}


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def main() -> None:
    """Run a group, or one stored case of one of its targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--examples", type=int, default=300, help="spoiled inputs a target")
    parser.add_argument("--every", type=int, default=1, help="of the sound and hostile inputs, each so manieth")
    parser.add_argument("--seed", type=int, help="of the choices; left out: the same ones each time")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzzing"), help="folder of the cases that fail")
    parser.add_argument("--target", help="that one alone")
    parser.add_argument("--case", type=Path, help="one stored case of the target, and nothing else")
    asked = parser.parse_args()
    findings = asked.findings.resolve() / asked.group
    findings.mkdir(parents=True, exist_ok=True)
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as place:
        root = Path(place).resolve()
        (root / "made").mkdir()
        os.environ["FUZZ_MADE"] = str(root / "made")
        targets = [
            target
            for target in importlib.import_module(f"fuzz_{asked.group}").targets()
            if asked.target in (None, target.name)
        ]
        case = asked.case.read_bytes() if asked.case else None
        (root / "watched").mkdir()
        session = Session(Watch(root / "watched"), findings, asked.every)
        for target in targets:
            if case is not None:
                sys.stdout.write(f"{session.replay(target, case) or 'nothing amiss'}\n")
                continue
            with redirect_stdout(sys.stderr):  # where hypothesis warns
                said = session.target(target, math.ceil(asked.examples * target.share), asked.seed)
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        os.chdir(findings)


if __name__ == "__main__":
    main()
