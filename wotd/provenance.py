"""Which code, which libraries and which bytes made something."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = (
    "wotd", "torch", "lightning", "sentence-transformers", "transformers", "tokenizers",
    "numpy", "scikit-learn", "safetensors", "hydra-core",
)  # fmt: skip


def library_versions() -> dict[str, str]:
    """Versions of what decides results, as installed; what is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_revision() -> str | None:
    """The commit of the checkout this package runs from, with ``-dirty`` if it was changed; None elsewhere."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
