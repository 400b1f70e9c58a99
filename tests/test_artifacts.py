"""Artifact folders: complete or absent, and refused in one sentence where anything is wrong."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_artifacts import TAXONOMY, make_text_artifacts, make_vector_artifacts
from safetensors.torch import load_file, save_file

from wotd.artifacts import CODES, CONFIG, SEMANTIC_IDS, WEIGHTS, Artifacts, read_semantic_ids, seal, write_json, writing
from wotd.embeddings import SentenceTransformerEmbedder
from wotd.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vector_artifacts(tmp_path_factory.mktemp("made") / "artifacts")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """Artifacts of bare vectors that a test may spoil."""
    return shutil.copytree(pristine, tmp_path / "artifacts")


def refused(folder: Path, sentence: str) -> None:
    """Opening fails with one line that matches."""
    with pytest.raises(ArtifactError, match=sentence) as caught:
        Artifacts.open(folder).encoder()
    assert "\n" not in str(caught.value)


def reconfigure(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


# --- what is right opens


def test_artifacts_come_back_as_they_were(folder: Path) -> None:
    artifacts = Artifacts.open(folder)
    encoder = artifacts.encoder()
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    vectors = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    assert encoder.encode(torch.from_numpy(vectors)).tolist() == artifacts.codes()["code"].to_pylist()
    assert artifacts.codes(["passage"]).column_names == ["passage"]
    assert artifacts.semantic_ids()["corpora"] == {}
    assert (artifacts.taxonomy, artifacts.named, artifacts.fingerprint) == (None, False, None)


def test_artifacts_of_texts_name_taxonomy_and_embedding_model(tiny_model_path: Path, tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    artifacts = Artifacts.open(make_text_artifacts(tmp_path / "artifacts", embedder))
    assert artifacts.taxonomy == TAXONOMY
    assert artifacts.named
    assert artifacts.fingerprint == embedder.fingerprint


def test_the_folder_may_be_named_from_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert Artifacts.open("~/artifacts").folder == folder


def test_files_beside_the_listed_ones_do_not_matter(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    Artifacts.open(folder)


# --- what is wrong is refused


def test_what_is_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", r"nowhere, which is not a folder")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", r"file, which is not a folder")
    refused(tmp_path, r"holds no config\.json; it is no artifact folder, or its writing was cut short\.$")


def test_the_folder_of_a_run_leads_to_its_artifacts(folder: Path) -> None:
    refused(folder.parent, r"cut short\. Did you mean \S*/artifacts\?$")


@pytest.mark.parametrize("name", [WEIGHTS, SEMANTIC_IDS, CODES])
@pytest.mark.parametrize("damage", ["tampered", "truncated", "emptied", "missing", "a folder"])
def test_a_file_that_is_not_as_it_was_written(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    sentence = rf"{name} is not as it was written"
    if damage == "tampered":
        path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    elif damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
        sentence = rf"{name} is missing; the artifacts are incomplete"
        if damage == "a folder":
            path.mkdir()
    refused(folder, sentence)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / WEIGHTS).chmod(0)
    refused(folder, "cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (2, r"has schema 2, newer than this wotd reads \(1\); upgrade wotd"),
        (10**30, "newer than this wotd reads"),
        (0, "has the schema 0; expected a number from 1 to 1"),
        (-1, "has the schema -1"),
        ("1", "has the schema '1'; expected a number"),
        (1.0, r"has the schema 1\.0; expected a number"),
        (True, "has the schema True; expected a number"),
        (None, "has the schema None; expected a number"),
        ([1], r"has the schema \[1\]; expected a number"),
    ],
)
def test_schemas_that_cannot_be_read(folder: Path, schema: object, sentence: str) -> None:
    reconfigure(folder, lambda config: config.update(schema=schema))
    refused(folder, sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"config\.json is not readable JSON"),
        (b'{"schema": 1, "files"', r"config\.json is not readable JSON"),
        (b"\xff\xfe\x00", r"config\.json is not readable JSON"),
        (b"[" * 200_000, r"config\.json is not readable JSON"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", r"config\.json is not readable JSON"),
        (b"[1, 2]", r"config\.json holds a list; expected an object"),
        (b'"text"', r"config\.json holds a str; expected an object"),
        (b"null", r"config\.json holds a NoneType; expected an object"),
        (b'{"schema": 1}', r"config\.json lacks 'files' or 'encoder'"),
        (b'{"schema": 1, "files": [], "encoder": {}}', r"config\.json lacks 'files' or 'encoder'"),
        (b'{"schema": 1, "files": {}, "encoder": 3}', r"config\.json lacks 'files' or 'encoder'"),
        (b'{"schema": 1, "files": {}, "encoder": {}}', r"does not list encoder\.safetensors"),
    ],
)
def test_configs_that_are_none(folder: Path, content: bytes, sentence: str) -> None:
    (folder / CONFIG).write_bytes(content)
    refused(folder, sentence)


def test_a_config_that_is_a_folder_or_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.artifacts.MAX_CONFIG_BYTES", 100)
    refused(folder, r"config\.json has \d+ bytes; at most 100 are read")
    (folder / CONFIG).unlink()
    (folder / CONFIG).mkdir()
    refused(folder, r"holds no config\.json")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "plots/../../secret", "..", "x/../../secret", "a\0b", "y" * 5000, ""]
)
def test_names_that_lead_out_of_the_folder_or_nowhere(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("a")
    digest = hashlib.sha256(b"a").hexdigest()
    reconfigure(folder, lambda config: config["files"].update({name: digest}))
    refused(folder, "lies outside the folder" if ".." in name or name.startswith("/") else "is missing|cannot be read")


@pytest.mark.parametrize("digest", [None, 3, "", "0" * 64, ["x"]])
def test_checksums_that_are_none(folder: Path, digest: object) -> None:
    reconfigure(folder, lambda config: config["files"].update({WEIGHTS: digest}))
    refused(folder, "its checksum differs")


@pytest.mark.parametrize(
    "change",
    [
        {"level_sizes": [4, 3]},
        {"level_sizes": [4, 3, 5]},
        {"level_sizes": []},
        {"level_sizes": "443"},
        {"input_dim": 7},
        {"input_dim": -1},
        {"input_dim": 10**30},
        {"latent_dim": 5},
        {"hidden": [9]},
        {"hidden": None},
        {"quantizer": "fsq", "quantizer_options": {}},
        {"quantizer": "pq"},
        {"quantizer_options": {"taught": [7]}},
        {"quantizer_options": {"max_prefixes": 4}},
        {"quantizer_options": {"decay": 0.99}},
        {"quantizer_options": 3},
        {"unknown": 1},
        {"input_dim": None},
    ],
    ids=str,
)
def test_weights_that_do_not_fit_the_config(folder: Path, change: dict[str, Any]) -> None:
    reconfigure(folder, lambda config: config["encoder"].update(change))
    refused(folder, r"encoder\.safetensors does not fit config\.json: \S")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 100, b"\x80\x04K\x01."])
def test_weights_that_are_none_though_their_checksum_is_right(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    reconfigure(folder, lambda config: config["files"].update({WEIGHTS: hashlib.sha256(content).hexdigest()}))
    refused(folder, r"encoder\.safetensors does not fit config\.json")


def test_a_tensor_that_is_missing_is_named(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights["quantizer.points_1"]
    save_file(weights, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    reconfigure(folder, lambda config: config["files"].update({WEIGHTS: digest}))
    refused(folder, r"does not fit config\.json: .*quantizer\.points_1")


@pytest.mark.parametrize(
    "embedding",
    [
        3,
        {},
        {"settings": {}, "fingerprint": {}},
        {"settings": [], "fingerprint": {}, "probe": []},
        {"settings": {}, "fingerprint": {}, "probe": []},
        {"settings": {}, "fingerprint": {}, "probe": [[1.0], [1.0, 2.0]]},
        {"settings": {}, "fingerprint": {}, "probe": [1.0, [1.0]]},
        {"settings": {}, "fingerprint": {}, "probe": [["1"]]},
        {"settings": {}, "fingerprint": {}, "probe": ["1"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("part", ["embedding", "features"])
def test_embeddings_and_features_that_cannot_be_read(folder: Path, embedding: object, part: str) -> None:
    reconfigure(folder, lambda config: config.update({part: embedding}))
    refused(folder, "it is damaged")


def test_rows_are_as_wide_as_embedding_and_features_together(folder: Path) -> None:
    assert Artifacts.open(folder).row_dim == 6
    assert Artifacts.open(folder).features_fingerprint is None
    reconfigure(folder, lambda config: config["encoder"].update(feature_dim=3))
    assert Artifacts.open(folder).row_dim == 9


@pytest.mark.parametrize("fingerprint", [{}, {"kind": "lsa"}, {"strange": 1}])
def test_fingerprints_that_cannot_be_read(folder: Path, fingerprint: dict[str, object]) -> None:
    embedding = {"settings": {}, "fingerprint": fingerprint, "probe": [1.0]}
    reconfigure(folder, lambda config: config.update(embedding=embedding))
    artifacts = Artifacts.open(folder)
    with pytest.raises(ArtifactError, match="holds a fingerprint that cannot be read"):
        _ = artifacts.fingerprint


@pytest.mark.parametrize("taxonomy", [3, [], {"name": "x"}, {"name": "x", "version": 1, "levels": [{}]}], ids=str)
def test_taxonomies_that_cannot_be_read(folder: Path, taxonomy: object) -> None:
    reconfigure(folder, lambda config: config.update(taxonomy=taxonomy, named=True))
    with pytest.raises(ArtifactError, match="holds a taxonomy that cannot be read"):
        Artifacts.open(folder)


def test_a_taxonomy_of_other_levels_than_the_encoder_is_refused(tiny_model_path: Path, tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    folder = make_text_artifacts(tmp_path / "artifacts", embedder)
    reconfigure(folder, lambda config: config["taxonomy"]["levels"][1].update(size=7))
    with pytest.raises(ArtifactError, match=r"levels of \[4, 3\] codes, but names them by a taxonomy of \[4, 7\]"):
        Artifacts.open(folder)


# --- semantic_ids.json by itself


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist; expected a semantic_ids"),
        ("{", "is not a readable semantic_ids"),
        ("[" * 200_000, "is not a readable semantic_ids"),
        ("[]", "has no 'corpora'"),
        ('{"schema": 1}', "has no 'corpora'"),
        ('{"corpora": {}}', "has the schema None"),
        ('{"corpora": {}, "schema": 9}', "newer than this wotd reads"),
    ],
)
def test_semantic_ids_that_are_none(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / SEMANTIC_IDS
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=sentence):
        read_semantic_ids(path)


# --- writing: complete or absent


class MishapError(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_half(folder: Path, content: bytes = b"new") -> None:
    with writing(folder) as place:
        (place / WEIGHTS).write_bytes(content)
        raise MishapError


def write_all(folder: Path, content: bytes = b"new") -> None:
    with writing(folder) as place:
        (place / "plots").mkdir()
        (place / "plots" / CONFIG).write_bytes(content)
        (place / WEIGHTS).write_bytes(content)
        seal(place, {"encoder": {}})


def test_new_artifacts_replace_the_old_ones_whole(folder: Path) -> None:
    (folder / "plots").mkdir()
    (folder / "plots" / "old.png").write_bytes(b"old")
    write_all(folder)
    assert set(content_of(folder)) == {CONFIG, WEIGHTS, f"plots/{CONFIG}"}
    assert names(folder.parent) == [folder.name]


def test_an_exception_leaves_the_old_ones_untouched(folder: Path) -> None:
    before = content_of(folder)
    with pytest.raises(MishapError):
        write_half(folder)
    assert content_of(folder) == before
    assert names(folder.parent) == [folder.name]


def test_an_exception_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with pytest.raises(MishapError):
        write_half(tmp_path / "deep" / "artifacts")
    assert names(tmp_path / "deep") == []


def test_nothing_is_there_before_the_end(tmp_path: Path) -> None:
    with writing(tmp_path / "artifacts") as place:
        assert not (tmp_path / "artifacts").exists()
        (place / WEIGHTS).write_bytes(b"x")
        seal(place, {"encoder": {}})
    assert (tmp_path / "artifacts" / CONFIG).is_file()


def test_a_failed_renaming_brings_the_old_ones_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = content_of(folder), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if Path(target) == folder and self.name != folder.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="No space left"):
        write_all(folder)
    assert content_of(folder) == before
    assert names(folder.parent) == [folder.name]


def test_artifacts_whose_names_begin_alike_are_written_side_by_side(tmp_path: Path) -> None:
    with writing(tmp_path / "artifacts-v2") as place:
        (place / WEIGHTS).write_bytes(b"two")
        write_all(tmp_path / "artifacts")
    assert (tmp_path / "artifacts-v2" / WEIGHTS).read_bytes() == b"two"
    assert names(tmp_path) == ["artifacts", "artifacts-v2"]


def test_artifacts_that_a_killed_writer_had_put_aside_come_back(folder: Path) -> None:
    before = content_of(folder)
    code = (
        "import os, signal, sys; from pathlib import Path; from wotd.artifacts import seal, writing\n"
        "rename = Path.rename\n"
        "Path.rename = lambda self, to: (rename(self, to), os.kill(os.getpid(), signal.SIGKILL))\n"
        "with writing(sys.argv[1]) as place: seal(place, {'encoder': {}})"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not folder.exists()
    with pytest.raises(MishapError):
        write_half(folder)
    assert content_of(folder) == before
    assert names(folder.parent) == [folder.name]


@pytest.fixture(params=["seen", "unseen"])
def mount(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The folder can be filled but not renamed; collects the order in which its files came."""
    order: list[str] = []
    rename, replace = Path.rename, Path.replace
    if request.param == "seen":
        ismount = os.path.ismount
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder or ismount(path))

    def refusing(self: Path, target: Path) -> Path:
        if self == folder:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(self, target)

    def noting(self: Path, target: Path) -> Path:
        assert not (folder / CONFIG).exists(), "readable while files still come"
        order.append(str(Path(target).relative_to(folder)))
        return replace(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    monkeypatch.setattr(Path, "replace", noting)
    yield order
    assert names(folder.parent) == [folder.name]


def test_a_mount_is_filled_with_the_config_last(folder: Path, mount: list[str]) -> None:
    inode = folder.stat().st_ino
    write_all(folder)
    assert mount[-1] == CONFIG
    assert set(mount) == {CONFIG, WEIGHTS, f"plots/{CONFIG}"}
    assert folder.stat().st_ino == inode
    assert not list(folder.rglob("*.partial"))
    assert json.loads((folder / CONFIG).read_text())["files"].keys() == {WEIGHTS, f"plots/{CONFIG}"}


def test_an_exception_leaves_a_mount_untouched(folder: Path, mount: list[str]) -> None:
    before = content_of(folder)
    with pytest.raises(MishapError):
        write_half(folder)
    assert content_of(folder) == before


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_all(tmp_path / "artifacts")
    assert all(
        path.stat().st_mode & 0o044 == 0o044 for path in [tmp_path / "artifacts", tmp_path / "artifacts" / WEIGHTS]
    )


def test_a_link_to_a_folder_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(folder)
    write_all(link)
    assert link.is_symlink()
    assert (folder / WEIGHTS).read_bytes() == b"new"


def test_other_things_than_artifacts_are_not_replaced(tmp_path: Path) -> None:
    thesis = tmp_path / "documents"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("years of work")
    (thesis / CONFIG).write_text('{"model_type": "bert"}')
    with pytest.raises(ArtifactError, match="documents holds other things than artifacts, which would be lost"):
        write_all(thesis)
    with pytest.raises(ArtifactError, match="is not a folder; artifacts would replace it"):
        write_all(thesis / "thesis.tex")
    assert (thesis / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("left", [{}, {WEIGHTS: "half"}, {CONFIG: "{", WEIGHTS: "half"}], ids=str)
def test_empty_folders_and_artifacts_cut_short_are_replaced(tmp_path: Path, left: dict[str, str]) -> None:
    target = tmp_path / "artifacts"
    target.mkdir()
    for name, content in left.items():
        (target / name).write_text(content)
    write_all(target)
    assert (target / WEIGHTS).read_bytes() == b"new"


def test_json_is_such_as_any_parser_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(
        path, {"a": float("nan"), "b": [float("inf"), np.float64(0.5)], "c": {"d": (1, -float("inf"))}, "é": "ü"}
    )
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "a": None,
        "b": [None, 0.5],
        "c": {"d": [1, None]},
        "é": "ü",
    }
    assert "ü" in path.read_text(encoding="utf-8")


# --- nothing is ever unpickled, nothing heavy is needed


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, str], int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            arguments = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
            yield ast.unparse(node.func), arguments, node.lineno


_PICKLERS = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
_SAFELY = (
    (("torch.load",), "weights_only", "True"),
    (("np.load", "numpy.load"), "allow_pickle", "False"),
    (("pd.read_pickle", "pandas.read_pickle"), "never", "read"),
)


def test_no_source_unpickles() -> None:
    found = []
    for path in sorted((ROOT / "wotd").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}:{node.lineno} imports {n}" for n in names if n.split(".")[0] in _PICKLERS]
        for name, arguments, line in calls(tree):
            for loaders, argument, value in _SAFELY:
                if name in loaders and arguments.get(argument) != value:
                    found.append(f"{path.name}:{line} {name} without {argument}={value}")
    assert found == []


def test_artifacts_load_without_lightning_and_hydra(folder: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('lightning', 'pytorch_lightning', 'hydra', 'omegaconf', 'sentence_transformers'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np\n"
        "from wotd import SemanticIDModel\n"
        "model = SemanticIDModel.load(sys.argv[1])\n"
        "codes = model.encode_vectors(np.ones((2, 6), dtype=np.float32))\n"
        "print(model.decode(codes).shape, model.browse().passages)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(2, 6) 60", done.stderr


@pytest.mark.parametrize("size", [10**6, 10**12])
@pytest.mark.parametrize("name", ["input_dim", "latent_dim", "feature_dim"])
def test_encoders_far_larger_than_their_weights_are_refused_before_they_are_made(
    folder: Path, name: str, size: int
) -> None:
    changes = {name: size} if name != "latent_dim" else {name: size, "input_dim": size}
    reconfigure(folder, lambda config: config["encoder"].update(changes))
    with pytest.raises(ArtifactError, match="does not fit"):
        Artifacts.open(folder).encoder()


def test_a_table_of_passages_that_is_none_or_unpacks_to_a_mountain(folder: Path) -> None:
    for content in (b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b""):
        (folder / "codes.parquet").write_bytes(content)
        with pytest.raises(ArtifactError, match="cannot be read"):
            Artifacts(folder, {}).codes()
    for texts in (["x" * 30_000] * 4000, ["x" * 1_000_000] * 300):
        pq.write_table(pa.table({"text": texts}), folder / "codes.parquet", compression="zstd")
        with pytest.raises(ArtifactError, match="times its size"):
            Artifacts(folder, {}).codes()
    assert Artifacts(folder, {}).codes([]).num_columns == 0


def test_broken_metadata_of_a_column_end_no_process(folder: Path) -> None:
    """The accessors of Arrow 26 end it; nothing is unpacked before that is known."""
    shutil.copyfile(Path(__file__).parent / "fixtures" / "broken_histogram.parquet", folder / CODES)
    with pytest.raises(ArtifactError, match=r"cannot be read: .*histogram size mismatch"):
        Artifacts(folder, {}).codes()


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize(
    "column",
    [pa.array(["x" * 4_000_000] * 20), pa.array(np.zeros(8_000_000)), pa.array([[0] * 4_000_000] * 2)],
    ids=["texts", "numbers", "lists"],
)
def test_tables_of_rows_that_are_all_alike_are_refused_however_they_are_packed(
    folder: Path, column: pa.Array, dictionary: bool
) -> None:
    pq.write_table(pa.table({"a": column}), folder / CODES, compression="zstd", use_dictionary=dictionary)
    assert (folder / CODES).stat().st_size < 60_000
    with pytest.raises(ArtifactError, match="times its size; it is damaged"):
        Artifacts(folder, {}).codes()
