"""Runs that are killed at random moments of each phase, and end with the very codes of one that was left alone."""

from __future__ import annotations

import itertools
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from killed_assignments import Assignment
from killed_runs import PHASES, SIGNALS, Setting, Story, seed_of
from pipeline_runs import on_works
from warm_processes import WarmParent

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether a process runs is read of /proc")


def overrides(folder: Path, *more: str) -> list[str]:
    return on_works(folder, "trainer.max_epochs=3", "data.batch_size=16", "model.dropout=0.2", *more)


@pytest.fixture(scope="module")
def lsa(parent: WarmParent, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    home = tmp_path_factory.mktemp("lsa")
    return Setting.measured(parent, overrides(home / "data"), home / "whole")


@pytest.fixture(scope="module")
def network(parent: WarmParent, tmp_path_factory: pytest.TempPathFactory, tiny_model_path: Path) -> Setting:
    home = tmp_path_factory.mktemp("network")
    more = ("embedding=minilm", f"embedding.model={tiny_model_path}")
    told = [each for each in overrides(home / "data", *more) if not each.startswith("embedding.dimension=")]
    return Setting.measured(parent, told, home / "whole")


@pytest.mark.slow
def test_a_run_killed_in_every_phase_ends_with_the_same_codes(parent: WarmParent, lsa: Setting, tmp_path: Path) -> None:
    chooser = random.Random(seed_of("a run"))
    turns = itertools.cycle(chooser.sample(SIGNALS, 2))
    story = Story(lsa, parent, tmp_path / "story", chooser)
    story.tell(lambda: next(turns))
    assert sum(story.kills.values()) >= len(PHASES) - 1, story.kills


@pytest.mark.slow
def test_an_assignment_killed_again_and_again_gives_the_same_table(
    parent: WarmParent, lsa: Setting, tmp_path: Path
) -> None:
    assignment = Assignment(parent, lsa.run / "artifacts", tmp_path, random.Random(seed_of("an assignment")))
    assert sum(assignment.kill(6).values()) >= 6


@pytest.mark.nightly
def test_runs_and_assignments_killed_a_hundred_times_end_with_the_same_codes(
    parent: WarmParent, lsa: Setting, network: Setting, tmp_path: Path
) -> None:
    chooser, kills = random.Random(seed_of("nightly")), Counter[tuple[str, str]]()
    least = int(os.environ.get("WOTD_FAULTS_KILLS", "100"))
    for number in itertools.count():
        story = Story((lsa, network)[number % 2], parent, tmp_path / str(number), chooser)
        story.tell(lambda: chooser.choice(SIGNALS))
        kills += story.kills
        if sum(kills.values()) >= least:
            break
    kills += Assignment(parent, network.run / "artifacts", tmp_path, chooser).kill(least // 5)
    sys.stdout.write(
        f"{sum(kills.values())} kills of {number + 1} runs and an assignment: {dict(sorted(kills.items()))}\n"
    )
    for phase in (*PHASES, "assign"):
        assert sum(count for (at, _), count in kills.items() if at == phase) >= least / 20, kills
