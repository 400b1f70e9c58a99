"""What every test may rely on: nothing reaches the network, the user's cache or the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tiny_model import build_tiny_model

pytest_plugins = ["limited_time"]

settings.register_profile("untimed", deadline=None)  # how long an example takes says something of the machine alone
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set for the whole session, child processes included; tests that need other values patch them."""
    values = {
        "WOTD_CACHE": str(tmp_path_factory.mktemp("cache")),
        "WOTD_PROGRESS": "0",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of 32 dimensions and about 70 KiB, the same in every session."""
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
