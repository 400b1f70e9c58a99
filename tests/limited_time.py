"""``pytest --seconds N``: as many tests as N seconds allow, other ones first in each commit. Loaded as a plugin."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seconds",
        type=float,
        metavar="N",
        help="begin no test after N seconds, and say which were not run; each commit begins with another file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = time.monotonic()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("seconds") is not None:
        items[:] = in_turn(items, commit())


@pytest.hookimpl(tryfirst=True)  # before fixtures are made
def pytest_runtest_setup(item: pytest.Item) -> None:
    seconds = item.config.getoption("seconds")
    if seconds is not None and time.monotonic() > item.config.stash[STARTED] + seconds:
        pytest.skip(f"NOT TESTED: it was not its turn within {seconds:g} seconds")


def in_turn(items: list[pytest.Item], turn: int) -> list[pytest.Item]:
    """The same tests, file by file, from another file on at each turn."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    first = turn % len(files) if files else 0
    return [item for path in [*files][first:] + [*files][:first] for item in files[path]]


def commit() -> int:
    """A number that each commit has for itself; 0 where there is none."""
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return 0 if found.returncode else int(found.stdout, 16)
