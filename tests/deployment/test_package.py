"""The archive for an endpoint: what is in it, that it is the same every time, and what is refused."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from tiny_model import build_tiny_model

from wotd import __version__
from wotd.artifacts import Artifacts
from wotd.deployment import inference
from wotd.deployment.package import main, package, requirements_of
from wotd.embeddings.registry import find_model
from wotd.errors import ArtifactError, ConfigurationError, EmbeddingError

pytest_plugins = ("artifact_fixtures", "sagemaker_image", "packaged")

WHEEL = f"wotd-{__version__}-py3-none-any.whl"


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return opened.getnames()


def read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        return opened.extractfile(name).read()


def test_artifacts_lie_at_the_root_and_the_handler_in_code(text_artifacts: Path, wheel: Path, tmp_path: Path) -> None:
    archive = tmp_path / "new/model.tar.gz"
    listed = package(text_artifacts, archive, wheel=wheel)
    files = {path.relative_to(text_artifacts).as_posix() for path in text_artifacts.rglob("*") if path.is_file()}
    assert set(listed) == files | {"code/inference.py", "code/requirements.txt", f"code/{WHEEL}"}
    assert names(archive) == sorted(listed)
    assert read(archive, "code/inference.py") == Path(inference.__file__).read_bytes()
    assert read(archive, f"code/{WHEEL}") == wheel.read_bytes()
    assert read(archive, "code/requirements.txt").decode() == f"--find-links .\nwotd=={__version__}\n"
    assert list(archive.parent.iterdir()) == [archive]


def test_the_same_input_gives_the_same_bytes(text_artifacts: Path, wheel: Path, tmp_path: Path) -> None:
    package(text_artifacts, tmp_path / "a.tar.gz", wheel=wheel)
    times = text_artifacts.joinpath("config.json").stat()
    os.utime(text_artifacts / "config.json", (1, 1))
    package(text_artifacts, tmp_path / "b.tar.gz", wheel=wheel)
    os.utime(text_artifacts / "config.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as opened:
        assert {(each.mtime, each.uid, each.gid, each.uname, each.mode) for each in opened} == {(0, 0, 0, "", 0o644)}


def test_the_embedding_model_travels_with_them(packaged) -> None:
    carried = {name.removeprefix("embedding_model/") for name in names(packaged.archive) if "embedding_model/" in name}
    files = [path for path in packaged.embedding_model.rglob("*") if path.suffix in (".json", ".safetensors")]
    assert carried == {path.relative_to(packaged.embedding_model).as_posix() for path in files}


def test_one_that_lies_beside_the_artifacts_travels_unasked(packaged, tmp_path: Path, wheel: Path) -> None:
    folder = tmp_path / "unpacked"
    with tarfile.open(packaged.archive) as opened:
        opened.extractall(folder, filter="data")
    again = tmp_path / "again.tar.gz"
    package(folder, again, wheel=wheel)
    assert again.read_bytes() == packaged.archive.read_bytes()


def test_another_embedding_model_is_refused(packaged, tmp_path: Path, wheel: Path) -> None:
    other = build_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(EmbeddingError, match="is not as it was for the artifacts"):
        package(packaged.artifacts, tmp_path / "x.tar.gz", embedding_model=str(other), wheel=wheel)
    assert not (tmp_path / "x.tar.gz").exists()


def test_lsa_has_no_model_to_carry(text_artifacts: Path, wheel: Path, tmp_path: Path) -> None:
    assert not [n for n in package(text_artifacts, tmp_path / "m", embedding_model=True, wheel=wheel) if "model/" in n]


@pytest.mark.parametrize(
    ("settings", "carried", "wanted"),
    [
        ({"model": find_model("minilm").repository, "revision": find_model("minilm").revision}, False, "wotd[minilm]"),
        ({"model": find_model("minilm").repository, "revision": find_model("minilm").revision}, True, "wotd"),
        ({"model": find_model("minilm").repository, "revision": "another"}, False, "wotd"),
        ({"model": "mine", "revision": None, "backend": "onnx"}, True, "wotd[onnx]"),
        ({"model": "mine", "revision": None, "backend": "torch"}, False, "wotd"),
        ({"kind": "lsa", "dimension": 16}, False, "wotd"),
    ],
)
def test_requirements_have_what_the_embedding_model_needs(settings: dict, carried: bool, wanted: str) -> None:
    artifacts = Artifacts(Path(), {"embedding": {"settings": settings}})
    assert requirements_of(artifacts, carried=carried).splitlines() == ["--find-links .", f"{wanted}=={__version__}"]


def test_what_cannot_be_packaged_is_refused(
    text_artifacts: Path, vector_artifacts: Path, wheel: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="trained on vectors alone; an endpoint answers for texts"):
        package(vector_artifacts, tmp_path / "x", wheel=wheel)
    with pytest.raises(ConfigurationError, match=r"--output is .*, which is a folder"):
        package(text_artifacts, tmp_path, wheel=wheel)
    with pytest.raises(ConfigurationError, match=rf"--wheel is .*; expected a file {WHEEL}"):
        package(text_artifacts, tmp_path / "x", wheel=tmp_path / "wotd-9.9.9-py3-none-any.whl")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        package(text_artifacts, tmp_path / "file/x", wheel=wheel)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_door(
    text_artifacts: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--artifacts", str(text_artifacts), "--wheel", str(wheel)]) == 0
    assert f"model.tar.gz: wotd {__version__} and" in capsys.readouterr().out
    assert "config.json" in names(tmp_path / "model.tar.gz")
    assert main(["--artifacts", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no config.json")
