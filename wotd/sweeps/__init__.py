"""Sweeps: many runs in one command, each in a folder of its own below ``hydra.sweep.dir``.

A job of a sweep leaves artifacts in its folder, or says there why not, and never takes the others with it. The same
command once more skips what is finished and goes on with the rest. :mod:`wotd.sweeps.job` is a job's side of this, in
whatever process a launcher starts it; :mod:`wotd.sweeps.command` is that of the command that was typed. What configs
ask for as ``${wotd.…}`` is here, so that it is known wherever either is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from wotd.configuration import NO_PART_OF_THE_RESULT


def job_folder(sweep_dir: str, number: int, overrides: Sequence[str]) -> str:
    """The name of a job's folder within that of its sweep.

    It is the job's number, unless the same job (by its overrides) has a folder already, or another job has that one:
    then a digest of the overrides stands behind the number. So a sweep may grow, and nothing is overwritten.
    """
    from wotd.runs import overrides_of

    own = identity(overrides)
    jobs = [path for path in Path(sweep_dir).glob("*") if (path / ".hydra").is_dir()]
    taken = {path.name: identity(overrides_of(path)) for path in jobs}
    same = [name for name, theirs in taken.items() if theirs == own]
    if str(number) in same or not (same or str(number) in taken):
        return str(number)
    return min(same) if same else f"{number}-{hashlib.sha256(json.dumps(own).encode()).hexdigest()[:6]}"


def identity(overrides: Iterable[str]) -> list[str]:
    """What makes a job the one it is: its overrides without those that its result does not depend on, sorted."""
    return sorted(each for each in overrides if each.lstrip("+").partition("=")[0] not in NO_PART_OF_THE_RESULT)


def direction(objective: str) -> str:
    """Whether a sweeper is to ``minimize`` or to ``maximize`` that metric."""
    from wotd.runs import less_is_better

    return "minimize" if less_is_better(objective) else "maximize"


OmegaConf.register_new_resolver("wotd.job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("wotd.direction", direction, replace=True)
