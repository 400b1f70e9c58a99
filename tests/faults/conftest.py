"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import small_disk
from warm_processes import WarmParent, warm_parent


@pytest.fixture(scope="session")
def parent() -> Iterator[WarmParent]:
    """A process that starts doors at once."""
    with warm_parent() as parent:
        yield parent


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 24 kB."""
    with small_disk("24k") as disk:
        yield disk
