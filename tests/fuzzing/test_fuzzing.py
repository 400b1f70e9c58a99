"""Whatever strangers wrote is read, or refused in a sentence: soon, in little memory, and without leaving its folder.

Every parser and loader of files, bodies and addresses is fed sound, hostile and spoiled inputs, in processes that are
watched (``fuzz_watch``). The default tests do the same each time; the nightly ones choose anew, print the seed, and
take ``WOTD_FUZZ_SEED`` and ``WOTD_FUZZ_EXAMPLES``. What fails is stored below ``build/fuzzing``, and is run again by
``python tests/fuzzing/fuzz_worker.py GROUP --target NAME --case FILE``.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fuzz_misbehaviour import CAUGHT
from fuzz_seeds import CORPORA

HERE = Path(__file__).resolve().parent
FINDINGS = HERE.parents[1] / "build" / "fuzzing"
GROUPS = ("markup", "texts", "rows", "models", "requests")
EXAMPLES = {"markup": 60, "texts": 30, "rows": 30, "models": 40, "requests": 40}
NIGHTLY_EXAMPLES = 3000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a case opens is told by Linux alone")


def fuzzed(group: str, examples: int, *, seed: int | None = None, findings: Path = FINDINGS) -> list[dict[str, Any]]:
    """What each target of a group did, in a process of its own that ran to its end."""
    command = [sys.executable, "-W", "ignore", str(HERE / "fuzz_worker.py"), group, "--examples", str(examples)]
    command += ["--every", "3"] if seed is None and examples else []
    command += ["--findings", str(findings)] + ([] if seed is None else ["--seed", str(seed)])
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        running = (findings / group / "running.txt").read_text(encoding="utf-8")
        last = f"the target '{running}' ended its process on {findings / group / 'running.bin'}"
        pytest.fail(f"{last} ({done.returncode}):\n{done.stderr[-4000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(told: list[dict[str, Any]], examples: int) -> None:
    failures = [f"{each['target']}: {found['why']}\n    {found['file']}" for each in told for found in each["failures"]]
    assert not failures, "\n".join(failures)
    assert all(each["cases"] > examples // 50 for each in told)


@pytest.mark.parametrize("group", GROUPS)
def test_bad_input_is_refused_in_a_sentence(group: str) -> None:
    check(fuzzed(group, EXAMPLES[group]), EXAMPLES[group])


@pytest.mark.nightly
@pytest.mark.parametrize("group", GROUPS)
def test_bad_input_by_the_thousand(group: str) -> None:
    seed = int(os.environ.get("WOTD_FUZZ_SEED", random.randrange(2**32)))
    examples = int(os.environ.get("WOTD_FUZZ_EXAMPLES", NIGHTLY_EXAMPLES))
    print(f"WOTD_FUZZ_SEED={seed}")  # noqa: T201  shown with a failure
    check(fuzzed(group, examples, seed=seed), examples)


def test_the_watch_sees_what_it_is_there_to_see(tmp_path: Path) -> None:
    told = {each["target"]: each["failures"] for each in fuzzed("misbehaviour", 0, findings=tmp_path)}
    assert told.keys() == CAUGHT.keys()
    for name, expected in CAUGHT.items():
        assert any(expected in found["why"] for found in told[name]), (name, told[name])


@pytest.mark.skipif(not CORPORA.is_dir(), reason=f"only invented files to spoil: {CORPORA} is absent")
def test_real_files_are_among_those_that_are_spoiled() -> None:
    import fuzz_seeds as seeds

    for kind in (seeds.packages, seeds.texts, seeds.archives, seeds.descriptions, seeds.records, seeds.books):
        assert len(kind()) >= 5, kind.__name__


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("group", "target"),
    [("markup", "xhtml"), ("texts", "gutenberg text"), ("requests", "addresses"), ("models", "fingerprint")],
)
def test_bad_input_that_coverage_leads_to(group: str, target: str) -> None:
    pytest.importorskip("atheris", reason="fuzzing led by coverage needs atheris: pip install 'wotd[fuzz]'")
    command = [sys.executable, "-W", "ignore", str(HERE / "fuzz_atheris.py"), group, target]
    done = subprocess.run(
        [*command, "--findings", str(FINDINGS), "-runs=20000"], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr[-4000:]
    assert "Done 20000 runs" in done.stderr
