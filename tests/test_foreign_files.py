"""Files of strangers run nothing: what loads them unpickles not a thing, and files made to run something do not.

``test_no_pickle.py`` says the same of the source.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_training import small_data, small_module, small_trainer

from wotd import SemanticIDModel
from wotd.artifacts import CODES, CONFIG, WEIGHTS, Artifacts, seal
from wotd.checkpoints import load_checkpoint, refuse_misfit
from wotd.cli.matrices import open_codes
from wotd.data.vectors import open_vectors
from wotd.embeddings import SentenceTransformerEmbedder
from wotd.encoders import SemanticEncoder
from wotd.errors import (
    ArtifactError,
    ConfigurationError,
    EmbeddingError,
    InputError,
    TrainingError,
    VectorsError,
)
from wotd.providers.literature.gutenberg_metadata import read_yaml
from wotd.runs import overrides_of

FOREIGN = Path(__file__).parent / "fixtures" / "earlier_artifacts" / "features"

LOADS = """
import sys

from wotd.checkpoints import load_checkpoint
from wotd.embeddings import SentenceTransformerEmbedder
from wotd.inference import SemanticIDModel

import pickle, sentence_transformers, sklearn.decomposition  # whatever libraries do while they are imported

found = []
sys.addaudithook(lambda event, arguments: event == "pickle.find_class" and found.append(arguments))

artifacts, checkpoint, embedding_model = sys.argv[1:]
model = SemanticIDModel.load(artifacts)
assert len(model.encode(["It was a dark night."])[0].code) == 4
assert model.neighbors("It was a dark night.", k=1) and model.browse().passages
load_checkpoint(checkpoint)
assert len(SentenceTransformerEmbedder(embedding_model, device="cpu").embed(["It was a dark night."]))
print(found)
pickle.loads(pickle.dumps(print))
print(found)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lightning writes of a small model."""
    folder = tmp_path_factory.mktemp("checkpoint")
    data = small_data(folder)
    trainer = small_trainer(max_epochs=1)
    trainer.fit(small_module(data), datamodule=data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.slow
def test_nothing_is_unpickled_of_artifacts_checkpoints_and_models(checkpoint: Path, tiny_model_path: Path) -> None:
    command = [sys.executable, "-c", LOADS, str(FOREIGN), str(checkpoint), str(tiny_model_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, then = done.stdout.splitlines()
    assert ours == "[]"
    assert then == "[('builtins', 'print')]", "a pickle would have been seen"


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    """One that has not run; if it has at the end of the test, that fails."""
    return Payload(tmp_path / "it-ran")


@pytest.fixture(autouse=True)
def _nothing_ran(tmp_path: Path) -> object:
    yield
    assert not (tmp_path / "it-ran").exists()


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """Artifacts that a test may change."""
    return shutil.copytree(FOREIGN, tmp_path / "artifacts")


def sealed_anew(folder: Path) -> Path:
    """The same with right checksums, as a stranger would make them."""
    config = json.loads((folder / CONFIG).read_text())
    seal(folder, {key: value for key, value in config.items() if key not in {"schema", "files"}})
    return folder


def as_yaml(payload: Payload) -> str:
    return f"!!python/object/apply:os.mkdir ['{payload.folder}']\n"


def test_the_payload_does_run_where_it_is_let(tmp_path: Path) -> None:
    elsewhere = Payload(tmp_path / "elsewhere")
    torch.save({"wotd": elsewhere}, tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert elsewhere.folder.is_dir()


@pytest.mark.parametrize("place", ["wotd", "state_dict", "whole", "bare pickle"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_runs_nothing(place: str, payload: Payload, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    if place == "bare pickle":
        path.write_bytes(pickle.dumps(payload))
    else:
        whole = torch.load(checkpoint, weights_only=True)
        torch.save(payload if place == "whole" else {**whole, place: payload}, path)
    with pytest.raises(TrainingError, match="not one of wotd's checkpoints"):
        load_checkpoint(path)
    with pytest.raises(ConfigurationError, match="not one of wotd's checkpoints"):
        refuse_misfit(path, SemanticEncoder(4, [2], latent_dim=2, hidden=()), {})


@pytest.mark.parametrize("name", [WEIGHTS, "lsa.safetensors"])
@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_weights_run_nothing(name: str, write: Callable[..., None], payload: Payload, artifacts: Path) -> None:
    with (artifacts / name).open("wb") as file:
        write(payload, file)
    with pytest.raises((ArtifactError, EmbeddingError), match=f"{artifacts}.* (does not fit|cannot be read)"):
        SemanticIDModel.load(sealed_anew(artifacts)).encode(["It was a dark night."])


def test_an_extension_type_of_a_table_runs_nothing(payload: Payload, artifacts: Path) -> None:
    """Arrow once had a type that it unpickled; the table is read as if that were not there."""
    table = pq.read_table(artifacts / CODES)
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(payload)}
    field = table.schema.field("text").with_metadata(extension)
    place = table.schema.get_field_index("text")
    pq.write_table(table.cast(table.schema.set(place, field)), artifacts / CODES)
    codes = Artifacts.open(sealed_anew(artifacts)).codes()
    assert codes.schema.field("text").metadata[b"ARROW:extension:name"] == b"arrow.py_extension_type"
    assert codes["text"].to_pylist() == table["text"].to_pylist()


@pytest.mark.parametrize("read", [open_vectors, lambda path: open_codes(path, [4, 4])], ids=["vectors", "codes"])
def test_an_array_of_objects_runs_nothing(read: Callable[[Path], object], payload: Payload, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[payload, payload]], dtype=object), allow_pickle=True)
    with pytest.raises((VectorsError, InputError), match=r"rows\.npy"):
        read(tmp_path / "rows.npy")


def test_yaml_makes_no_objects(payload: Payload, tmp_path: Path) -> None:
    assert read_yaml(f"title: {as_yaml(payload)}".encode(), "metadata.yaml").title is None
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(f"- {as_yaml(payload)}")
    assert overrides_of(tmp_path) == []


def test_an_embedding_model_of_pickles_is_refused(payload: Payload, tiny_model_path: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_path, tmp_path / "model")
    for weights in folder.rglob("*.safetensors"):
        torch.save({"embeddings.weight": payload}, weights.with_name("pytorch_model.bin"))
        weights.unlink()
    with pytest.raises(EmbeddingError, match=r"is a pickle"):
        SentenceTransformerEmbedder(str(folder), device="cpu").embed(["It was a dark night."])
