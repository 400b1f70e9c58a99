"""What made something can be named: bytes, libraries, code."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from wotd.provenance import file_sha256, library_versions


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 4096])
def test_a_file_has_the_hash_of_its_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()
    path.write_bytes(content + b"x")
    assert file_sha256(path) == hashlib.sha256(content + b"x").hexdigest()


def test_libraries_are_named_with_their_versions() -> None:
    versions = library_versions()
    assert {"python", "torch", "numpy"} <= versions.keys()
    assert all(versions.values())
