"""Artifacts in buckets: the real client of S3 against a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wotd import SemanticIDModel
from wotd.artifacts import CONFIG
from wotd.errors import ArtifactError
from wotd.hub import open_artifacts, pull, push

pytest_plugins = ["bucket_server"]

PLACE = "s3://bucket/models/fog"


@pytest.fixture(autouse=True)
def _served(cache: Path, bucket: str) -> None:
    """A server with an empty bucket, to which the environment points."""


def test_there_and_back(vectors_sent: Path, tmp_path: Path) -> None:
    import s3fs

    assert push(vectors_sent, PLACE) == PLACE
    kept = {name.removeprefix("bucket/models/fog/") for name in s3fs.S3FileSystem().find(PLACE)}
    assert kept == {path.relative_to(vectors_sent).as_posix() for path in vectors_sent.rglob("*") if path.is_file()}
    vectors = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    model = SemanticIDModel.load(PLACE)
    np.testing.assert_array_equal(
        model.encode_vectors(vectors), SemanticIDModel.load(vectors_sent).encode_vectors(vectors)
    )
    pull(PLACE, tmp_path / "back")
    assert open_artifacts(tmp_path / "back").config == open_artifacts(vectors_sent).config


def test_another_client_changed_them(vectors_sent: Path, texts_sent: Path) -> None:
    import s3fs

    push(vectors_sent, PLACE)
    first = open_artifacts(PLACE)
    s3fs.S3FileSystem().ls(PLACE)  # which the client remembers
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-m", "wotd.cli", "push", "--artifacts", str(texts_sent), PLACE]
    assert subprocess.run(program, env=environment, capture_output=True, check=True).stdout.decode() == f"{PLACE}\n"
    second = open_artifacts(PLACE)
    assert second.config == open_artifacts(texts_sent).config
    assert first.folder != second.folder


def test_two_processes_fetch_once(vectors_sent: Path, cache: Path) -> None:
    push(vectors_sent, PLACE)
    program = [sys.executable, "-c", f"from wotd.hub import open_artifacts; print(open_artifacts('{PLACE}').folder)"]
    both = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (folder,) = answers
    assert [str(path) for path in cache.glob("artifacts/*/*") if path.name != ".lock"] == [folder]


def test_what_is_not_there(vectors_sent: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^s3://bucket/nothing holds no artifacts: there is no config\.json\.$"):
        open_artifacts("s3://bucket/nothing")
    with pytest.raises(ArtifactError, match=r"^s3://nobodys/fog cannot be written to: there is no such place"):
        push(vectors_sent, "s3://nobodys/fog")


def test_what_was_tampered_with_is_refused(vectors_sent: Path, cache: Path) -> None:
    import s3fs

    push(vectors_sent, PLACE)
    s3fs.S3FileSystem().pipe(f"{PLACE}/encoder.safetensors", b"x")
    with pytest.raises(ArtifactError, match=r"^s3://bucket/models/fog/encoder\.safetensors is not as it was written"):
        open_artifacts(PLACE)
    assert not list(cache.glob(f"artifacts/*/*/{CONFIG}"))


def test_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ArtifactError, match=r"^s3://bucket/models/fog cannot be fetched: .*") as caught:
        open_artifacts(PLACE)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert "\n" not in str(caught.value)
