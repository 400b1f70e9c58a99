"""A stand-in for SageMaker's images: an environment with the real toolkits, our dependencies, and not our checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from borrowed_environment import Environment
from filelock import FileLock

from wotd.deployment.package import build_wheel

REQUIREMENTS = Path(__file__).with_name("sagemaker-requirements.txt")
_NOT_THERE = re.compile("No matching distribution|Could not fetch URL|Connection|timed out|ProxyError")
"""How pip says that no index has what is asked for, or that none answers."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the test processes of one run have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sagemaker"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wheel(shared: Path) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="NOT TESTED: hatchling is not installed; `make setup` brings it")
    with FileLock(shared / "wheel.lock"):
        return next(shared.glob("wheel/*.whl"), None) or build_wheel(shared / "wheel")


@pytest.fixture(scope="session")
def image(shared: Path) -> Environment:
    """SageMaker's toolkits for training and inference, from the package index, beside our dependencies."""
    made = Environment(shared / "image")
    with FileLock(shared / "image.lock"):
        if not (shared / "image.made").exists():
            made.make()
            done = made.run(made.python, "-m", "pip", "install", "--no-input", "--retries=1", "-r", REQUIREMENTS)
            unreachable = [line for line in done.stderr.splitlines() if _NOT_THERE.search(line)]
            assert done.returncode == 0 or unreachable, done.stderr
            (shared / "image.made").write_text("".join(unreachable[-1:]) if done.returncode else "", encoding="utf-8")
        if missing := (shared / "image.made").read_text(encoding="utf-8"):
            pytest.skip(f"NOT TESTED: SageMaker's toolkits cannot be had from a package index: {missing}")
    assert made.run(made.python, "-c", "import sagemaker_training, sagemaker_inference").returncode == 0
    return made


@pytest.fixture(scope="session")
def image_with_wotd(image: Environment, shared: Path, wheel: Path) -> Environment:
    """The same after wotd was installed there, as requirements of a job or an endpoint do."""
    with FileLock(shared / "image.lock"):
        done = image.run(image.python, "-m", "pip", "install", "--no-input", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    return image


@pytest.fixture
def clean(tmp_path: Path) -> Environment:
    """An environment with our dependencies alone."""
    return Environment(tmp_path / "clean").make()
