"""Artifacts that come file by file, or of two runs at once, and what killed writers leave."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from made_artifacts import make_vector_artifacts
from running_server import serving

from wotd.artifacts import CODES, CONFIG, SEMANTIC_IDS, WEIGHTS, Artifacts, copy_files, writing
from wotd.errors import ArtifactError


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vector_artifacts(tmp_path_factory.mktemp("old") / "artifacts")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vector_artifacts(tmp_path_factory.mktemp("new") / "artifacts", rows=90)


def refusal(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        Artifacts.open(folder)
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("order", list(itertools.permutations((CONFIG, WEIGHTS, SEMANTIC_IDS, CODES))), ids=str)
def test_a_copy_in_any_order_is_whole_at_its_end_and_not_before(
    order: tuple[str, ...], new: Path, tmp_path: Path
) -> None:
    for name in order:
        refusal(tmp_path)
        content = (new / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        refusal(tmp_path)
        (tmp_path / name).write_bytes(content)
    assert Artifacts.open(tmp_path).config == Artifacts.open(new).config


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, CODES])
@pytest.mark.parametrize("damage", ["missing", "cut", "zeros", "of the other run"])
def test_each_file_that_is_not_its_own_is_named(name: str, damage: str, old: Path, new: Path, tmp_path: Path) -> None:
    copy_files(Artifacts.open(old), tmp_path)
    path, content = tmp_path / name, (old / name).read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: random.Random(name).randrange(len(content))])
    elif damage == "zeros":
        path.write_bytes(bytes(len(content)))
    else:
        shutil.copyfile(new / name, path)
    sentence = refusal(tmp_path)
    if (name, damage) != (CONFIG, "of the other run"):  # then it is the others that differ from it
        assert name in sentence


def test_what_a_killed_writer_left_goes_and_nothing_else(old: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from wotd.artifacts import writing\n"
        "with writing(sys.argv[1]) as folder:\n"
        "    (folder / 'encoder.safetensors').write_bytes(b'half'); print('half', flush=True); time.sleep(60)"
    )
    target = tmp_path / "artifacts"
    copy_files(Artifacts.open(old), target)
    (tmp_path / ".artifacts-mine").mkdir()
    with subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert Artifacts.open(target)
    assert len(list(tmp_path.glob(".artifacts-*.partial"))) == 1
    with writing(target) as folder:
        copy_files(Artifacts.open(old), folder)
        assert list(tmp_path.glob(".artifacts-*.partial")) == [folder]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".artifacts-mine", "artifacts"]


@pytest.mark.slow
def test_a_server_answers_by_the_old_ones_until_the_copy_is_whole(old: Path, new: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    copy_files(Artifacts.open(old), folder)
    files = json.loads((new / CONFIG).read_text())["files"]
    with serving(folder, "--watch", "0.1") as server:

        def served() -> str:
            return str(httpx.get(f"{server.address}/health").json()["artifacts"])

        before = served()
        for name in (CONFIG, *files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            content = (new / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) // 2])
            time.sleep(0.3)
            assert served() == before
            (folder / name).write_bytes(content)
        assert "the old ones go on answering" in server.await_line("cannot be loaded anew")
        server.tell(signal.SIGHUP)
        server.await_line("serving artifacts ")
        assert served() != before
