"""Code of an embedding model's repository runs at no door unless it is allowed there by name."""

from __future__ import annotations

import json

import pytest
from invented_works import invented_works
from made_artifacts import make_text_artifacts

from wotd import SemanticIDModel
from wotd.embeddings import SentenceTransformerEmbedder
from wotd.errors import EmbeddingError

REFUSAL = "runs code of its repository; if you trust it, allow that by name: "
TEXT = "the rain fell on the sea and the old house"


@pytest.fixture(scope="module")
def coded(tiny_model_path, tmp_path_factory):
    """Artifacts of a model that was allowed to run code when they were made."""
    folder = make_text_artifacts(
        tmp_path_factory.mktemp("coded") / "artifacts", SentenceTransformerEmbedder(str(tiny_model_path))
    )
    config = json.loads((folder / "config.json").read_text())
    config["embedding"]["settings"]["trust_remote_code"] = True
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "texts").mkdir()
    path = tmp_path / "texts" / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in invented_works(2, seed=1)))
    return path


DOORS = {
    "encode": ("encode", TEXT),
    "neighbors": ("neighbors", TEXT),
    "evaluate": ("evaluate", "--provider", "files", "--root", "{texts}", "--set", "provider.passages=keep"),
    "assign": ("assign", "--input", "{texts}", "--output", "{out}"),
    "embed": ("embed", "--input", "{texts}", "--output", "{out}.npy"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_command_runs_it_only_with_the_flag(door, shell, refused, coded, texts, tmp_path):
    name, *rest = (part.format(texts=texts, out=tmp_path / "out") for part in DOORS[door])
    said = refused(name, "--artifacts", coded, *rest)
    assert REFUSAL in said
    assert "--trust-remote-code on the shell" in said
    assert shell(name, "--artifacts", coded, *rest, "--trust-remote-code").status == 0


def test_python_and_the_server_run_it_only_if_told(coded, monkeypatch):
    from wotd.serving import ServerSettings, server

    with pytest.raises(EmbeddingError, match=REFUSAL):
        SemanticIDModel.load(coded).encode(TEXT)
    assert SemanticIDModel.load(coded, trust_remote_code=True).encode(TEXT)
    started = []
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda *_, **__: started.append(True))
    options = {"host": "127.0.0.1", "port": 0, "workers": 1, "settings": ServerSettings()}
    with pytest.raises(EmbeddingError, match=REFUSAL):
        server.run(coded, **options, embedding={"trust_remote_code": False})
    assert not started
    server.run(coded, **options, embedding={"trust_remote_code": True})
    assert started


@pytest.mark.parametrize(("value", "allowed"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_sagemaker_runs_it_only_if_the_environment_says_so(value, allowed, coded, monkeypatch):
    from wotd.deployment.inference import model_fn

    monkeypatch.delenv("WOTD_TRUST_REMOTE_CODE", raising=False)
    if value is not None:
        monkeypatch.setenv("WOTD_TRUST_REMOTE_CODE", value)
    if allowed:
        assert model_fn(str(coded)).encode(TEXT)
    else:
        with pytest.raises(EmbeddingError, match="WOTD_TRUST_REMOTE_CODE=1 on SageMaker"):
            model_fn(str(coded))


def test_serve_hands_the_flag_over(shell, coded, monkeypatch):
    calls = []
    monkeypatch.setattr("wotd.serving.serve", lambda _, **options: calls.append(options["trust_remote_code"]))
    shell("serve", "--artifacts", coded)
    shell("serve", "--artifacts", coded, "--trust-remote-code")
    assert calls == [False, True]
