"""Artifacts in use: codes of texts and vectors, what they mean, what is near, and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_artifacts import TAXONOMY, invented_corpora, make_text_artifacts, make_vector_artifacts, started, write
from tiny_model import build_tiny_model

from wotd.artifacts import CONFIG, WEIGHTS, save_encoder
from wotd.embeddings import SentenceTransformerEmbedder
from wotd.embeddings.lsa import LSAEmbedder
from wotd.embeddings.verification import LEAST_COSINES, Fidelity
from wotd.errors import ArtifactError, EmbeddingError, InputError, VectorsError
from wotd.inference import SemanticIDModel
from wotd.semantic_ids import SemanticID
from wotd.text_checks import MAX_TEXT_CHARACTERS

pytest_plugins = ("artifact_fixtures",)

TEXTS = ["the old house by the sea", "she read the letter", "wind and rain", "the lamp by the door was still"]


@pytest.fixture(scope="module")
def embedder(tiny_model_path: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")


@pytest.fixture(scope="module")
def artifacts(embedder: SentenceTransformerEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_artifacts(tmp_path_factory.mktemp("made") / "artifacts", embedder)


@pytest.fixture(scope="module")
def model(artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(artifacts)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> SemanticIDModel:
    return SemanticIDModel.load(make_vector_artifacts(tmp_path_factory.mktemp("bare") / "artifacts"))


# --- encoding texts


def test_a_text_gets_code_names_confidence_and_error(model: SemanticIDModel) -> None:
    (encoded,) = model.encode(TEXTS[0])
    assert list(encoded.to_mapping()) == [
        *("code", "id", "names", "confidence", "out_of_domain", "error", "facts"),
    ]
    assert encoded.id == "-".join(map(str, encoded.code))
    assert encoded.names == TAXONOMY.describe(encoded.code)
    assert len(encoded.code) == len(encoded.confidence) == 2
    assert all(0 <= sure <= 1 for sure in encoded.confidence)
    assert encoded.error >= 0
    assert all(type(index) is int for index in encoded.code)


def test_what_can_be_measured_of_a_passage_is_said_beside_its_code(text_artifacts: Path) -> None:
    """Flesch by hand: 206.835 − 1.015 words a sentence − 84.6 syllables a word, and where it lies among the edges."""
    model = SemanticIDModel.load(text_artifacts)
    easy, hard, none = model.encode(
        ["The cat sat. The dog ran.", "Incomprehensibility characterises philosophy.", "— … !"]
    )
    ease = 206.835 - 1.015 * 6 / 2 - 84.6 * 6 / 6
    assert easy.facts == [
        {"level": "complexity", "fact": "reading_ease", "value": round(ease, 2), "code": 0, "name": "effortless"}
    ]
    assert hard.facts[0]["code"] == 7
    assert hard.facts[0]["value"] < 50.8
    assert none.facts == [], "no word, nothing to measure"


def test_of_levels_that_rest_on_metadata_nothing_is_measured(model: SemanticIDModel) -> None:
    assert model.encode(TEXTS[0])[0].facts == []


def test_codes_are_those_of_the_embeddings(model: SemanticIDModel, embedder: SentenceTransformerEmbedder) -> None:
    vectors = embedder.embed(TEXTS)
    codes = model.encode_vectors(vectors)
    encoded = model.encode(TEXTS)
    assert [each.code for each in encoded] == codes.tolist()
    decoded = model.decode(codes)
    errors = ((decoded - vectors) ** 2).mean(1) / float(model.encoder.scale) ** 2
    np.testing.assert_allclose([each.error for each in encoded], errors, rtol=1e-3, atol=1e-6)


def test_confidence_is_the_probability_of_the_code_among_all(
    model: SemanticIDModel, embedder: SentenceTransformerEmbedder
) -> None:
    distances = model.encoder.level_distances(torch.from_numpy(embedder.embed(TEXTS)))
    encoded = model.encode(TEXTS)
    for level, logits in enumerate(model.encoder.logits(distances)):
        probabilities = logits.softmax(1)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(len(TEXTS)))
        for row, each in enumerate(encoded):
            assert each.confidence[level] == pytest.approx(float(probabilities[row, each.code[level]]), abs=1e-5)


def test_the_same_text_gets_the_same_code_in_any_company(model: SemanticIDModel) -> None:
    together = model.encode(TEXTS)
    assert [model.encode([text])[0].code for text in TEXTS] == [each.code for each in together]
    assert [each.code for each in model.encode(TEXTS[::-1])][::-1] == [each.code for each in together]


def test_min_confidence_keeps_the_prefix_it_is_sure_of(model: SemanticIDModel) -> None:
    texts = [*TEXTS, "sea wind", "a cold letter of the house at the sea"]  # two kinds at once: less sure than one
    whole = model.encode(texts)
    for least in (0.0, 0.3, 0.6, 0.9, 1.0):
        for full, cut in zip(whole, model.encode(texts, min_confidence=least), strict=True):
            depth = next((level for level, sure in enumerate(full.confidence) if sure < least), 2)
            assert cut.code == full.code[:depth]
            assert cut.id == "-".join(map(str, full.code[:depth]))
            assert (cut.names, cut.confidence) == (full.names[:depth], full.confidence[:depth])
            assert (cut.error, cut.out_of_domain) == (full.error, full.out_of_domain)
    low, high, *_ = sorted({each.confidence[0] for each in whole})
    cut = model.encode(texts, min_confidence=(low + high) / 2)
    assert [each.id for each in cut].count("") == sum(each.confidence[0] == low for each in whole)
    assert all(each.code == each.names == each.confidence == [] for each in cut if not each.id)


@pytest.mark.parametrize("least", [-0.1, 1.1, math.nan])
def test_confidences_that_are_none_are_refused(model: SemanticIDModel, least: float) -> None:
    with pytest.raises(InputError, match=r"min_confidence is .*; expected 0 to 1"):
        model.encode(TEXTS, min_confidence=least)


def test_what_lies_farther_off_than_the_limit_is_out_of_domain(
    artifacts: Path, embedder: SentenceTransformerEmbedder
) -> None:
    model = SemanticIDModel.load(artifacts)
    domain = model.encoder.domain
    scores = domain.score(torch.from_numpy(embedder.embed(TEXTS)))
    between = float(scores.sort().values[1:3].mean())
    for limit, strange in ((between, (scores > between).tolist()), (0.0, [True] * 4), (1e9, [False] * 4)):
        domain.limit.fill_(limit)
        assert [each.out_of_domain for each in model.encode(TEXTS)] == strange


def test_without_a_limit_nothing_is_said_of_the_domain(artifacts: Path, tmp_path: Path) -> None:
    """What was not measured is not denied: the limit of artifacts whose training saw no unseen rows is infinite."""
    folder = shutil.copytree(artifacts, tmp_path / "artifacts")
    model = SemanticIDModel.load(artifacts)
    model.encoder.domain.limit.fill_(torch.inf)
    save_encoder(folder, model.encoder)
    config = json.loads((folder / CONFIG).read_text())
    config["files"][WEIGHTS] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / CONFIG).write_text(json.dumps(config))
    encoded = SemanticIDModel.load(folder).encode(TEXTS)
    assert [each.out_of_domain for each in encoded] == [None] * 4
    assert encoded[0].to_mapping()["out_of_domain"] is None


def test_streams_of_any_length_keep_their_order(model: SemanticIDModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.inference._TEXTS_AT_ONCE", 3)
    pulled: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS * 2:
            pulled.append(text)
            yield text

    stream = model.encode_stream(texts())
    first = next(stream)
    assert len(pulled) == 3  # no more than are embedded at a time
    assert [first.code, *(each.code for each in stream)] == [each.code for each in model.encode(TEXTS * 2)]


def test_no_texts_have_no_codes_and_load_no_embedding_model(artifacts: Path) -> None:
    model = SemanticIDModel.load(artifacts)
    assert model.encode([]) == []
    assert "embedder" not in vars(model)


# --- texts that cannot be used


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "text 4 is empty; expected words"),
        (" \n\t\u2003", "text 4 is blank; expected words"),
        (None, "text 4 is a NoneType; expected a string"),
        (3, "text 4 is a int; expected a string"),
        (b"bytes", "text 4 is a bytes; expected a string"),
        ("half a \ud83e pair", "text 4 has a lone surrogate at 7; expected valid Unicode"),
        ("x" * (MAX_TEXT_CHARACTERS + 1), rf"text 4 has {MAX_TEXT_CHARACTERS + 1} characters; at most"),
    ],
    ids=["empty", "blank", "none", "number", "bytes", "surrogate", "long"],
)
def test_a_text_that_cannot_be_used_is_named_by_its_place(
    model: SemanticIDModel, monkeypatch: pytest.MonkeyPatch, text: Any, sentence: str
) -> None:
    for at_once in (256, 3):  # the place is that among all, not within what is embedded at a time
        monkeypatch.setattr("wotd.inference._TEXTS_AT_ONCE", at_once)
        with pytest.raises(InputError, match=sentence):
            model.encode([*TEXTS, text])
    with pytest.raises(InputError, match=sentence.replace("text 4", "text 0")):
        model.neighbors(text)


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_encoded_or_refused_in_one_sentence(model: SemanticIDModel, text: str) -> None:
    try:
        (encoded,) = model.encode([text])
    except InputError:
        assert not text.strip()
    else:
        assert len(encoded.code) == 2


# --- the embedding model


def test_another_embedding_model_of_the_same_width_is_refused(artifacts: Path, tmp_path: Path) -> None:
    other = build_tiny_model(tmp_path / "other", seed=1)
    model = SemanticIDModel.load(artifacts, embedding_model=str(other))
    with pytest.raises(EmbeddingError, match=r"is not as it was for the artifacts, .*weights: sha256"):
        model.encode(TEXTS)


def test_the_same_embedding_model_elsewhere_is_taken(
    artifacts: Path, tiny_model_path: Path, tmp_path: Path, model: SemanticIDModel
) -> None:
    moved = shutil.copytree(tiny_model_path, tmp_path / "moved")
    there = SemanticIDModel.load(artifacts, embedding_model=str(moved))
    assert there.encode(TEXTS) == model.encode(TEXTS)


def test_vectors_that_have_changed_are_refused(artifacts: Path) -> None:
    model = SemanticIDModel.load(artifacts)
    embedding = dict(model.artifacts.config["embedding"])
    embedding["probe"] = [[value + 0.01 for value in row] for row in embedding["probe"]]
    model.artifacts = type(model.artifacts)(artifacts, {**model.artifacts.config, "embedding": embedding})
    with pytest.raises(EmbeddingError, match=r"its probe vector is off by 0\.01"):
        model.encode(TEXTS)


def test_another_precision_is_taken_if_its_vectors_are_near_enough(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _ = SemanticIDModel.load(artifacts).embedder
    assert "some IDs may differ" not in caplog.text
    half = SemanticIDModel.load(artifacts, precision="bfloat16")
    assert half.embedder.fingerprint.arithmetic == "torch bfloat16"
    assert "computed by torch bfloat16, those of the artifacts were by torch float32 (cosine 0.99" in caplog.text
    expected = SemanticIDModel.load(artifacts).embed(TEXTS)
    assert Fidelity.between(half.embed(TEXTS), expected).least_cosine > 0.995
    assert len(half.encode(TEXTS)) == len(TEXTS)
    for precision in ("bfloat16", "float32"):
        monkeypatch.setitem(LEAST_COSINES, precision, 0.99999999)
    with pytest.raises(EmbeddingError, match="computed by torch bfloat16 strays too far from the artifacts"):
        SemanticIDModel.load(artifacts, precision="bfloat16").encode(TEXTS)


@pytest.mark.slow
def test_workers_embed_for_artifacts_too(artifacts: Path) -> None:
    several = SemanticIDModel.load(artifacts, workers=2)
    try:
        assert several.encode(TEXTS) == SemanticIDModel.load(artifacts).encode(TEXTS)
    finally:
        several.embedder.close()


def test_an_embedding_model_of_another_width_is_refused(
    embedder: SentenceTransformerEmbedder, tiny_model_path: Path, tmp_path: Path
) -> None:
    texts = invented_corpora().texts
    narrow = SentenceTransformerEmbedder(str(tiny_model_path), truncate_dim=16, device="cpu")
    vectors = narrow.embed(texts)
    folder = write(tmp_path / "artifacts", started(vectors, (4, 3)), vectors, embedder=embedder)  # 32 wide
    with pytest.raises(ArtifactError, match="dimension mismatch: the embedding model gives vectors of length 32"):
        SemanticIDModel.load(folder).encode(TEXTS)


def test_code_of_a_repository_runs_only_if_it_is_trusted(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(*_: object, trust_remote_code: bool, **__: object) -> None:
        asked.append(trust_remote_code)
        raise EmbeddingError("stop here")

    monkeypatch.setattr("wotd.inference.load_embedder", load)
    for trust in (False, True):
        with pytest.raises(EmbeddingError, match="stop here"):
            SemanticIDModel.load(artifacts, trust_remote_code=trust).encode(TEXTS)
    assert asked == [False, True]


def test_a_fitted_embedding_model_comes_with_the_artifacts(tmp_path: Path) -> None:
    corpora = invented_corpora()
    embedder = LSAEmbedder(dimension=12, min_documents=1)
    embedder.fit(corpora.texts)
    folder = make_text_artifacts(tmp_path / "artifacts", embedder)
    embedder.save_state(folder)
    model = SemanticIDModel.load(folder)
    stored = model.artifacts.codes()["code"].to_pylist()
    assert [each.code for each in model.encode(corpora.texts)] == stored
    assert len(model.encode("qwerty zxcvb")[0].code) == 2  # no word that it knows


# --- codes are those of training


def test_codes_of_training_come_back_for_the_same_texts(text_artifacts: Path) -> None:
    model = SemanticIDModel.load(text_artifacts)
    table = model.artifacts.codes()
    encoded = model.encode(table["text"].to_pylist())
    assert [each.code for each in encoded] == table["code"].to_pylist()


def test_codes_that_were_stored_come_back_for_texts_embedded_afresh(model: SemanticIDModel) -> None:
    table = model.artifacts.codes()
    assert [each.code for each in model.encode(table["text"].to_pylist())] == table["code"].to_pylist()


def test_codes_of_training_come_back_for_the_same_vectors(vector_run: Path) -> None:
    model = SemanticIDModel.load(vector_run / "artifacts")
    vectors = np.load(vector_run.parent / "vectors.npy")
    stored = np.array(model.artifacts.codes()["code"].to_pylist())
    assert np.array_equal(model.encode_vectors(vectors), stored)
    order = np.random.default_rng(0).permutation(len(vectors))
    assert np.array_equal(model.encode_vectors(vectors[order]), stored[order])
    assert np.array_equal(
        np.concatenate([model.encode_vectors(vectors[row : row + 1]) for row in range(20)]), stored[:20]
    )


# --- vectors


def test_vectors_are_encoded_in_chunks_from_memory_maps_of_any_precision(
    bare: SemanticIDModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(1).normal(size=(600, 6)).astype(np.float16)
    np.save(tmp_path / "x.npy", vectors)
    whole = bare.encode_vectors(vectors.astype(np.float32))
    monkeypatch.setattr("wotd.inference._CHUNK_ROWS", 256)
    assert np.array_equal(bare.encode_vectors(np.load(tmp_path / "x.npy", mmap_mode="r")), whole)
    assert np.array_equal(bare.encode_vectors(np.asfortranarray(vectors)), whole)
    assert whole.dtype == np.int64
    assert bare.encode_vectors(np.empty((0, 6), dtype=np.float32)).shape == (0, 3)
    assert np.array_equal(bare.decode(whole), bare.encoder.decode(torch.from_numpy(whole)).numpy())


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (np.zeros(6), r"shape \(6,\); expected N×6"),
        (np.zeros((2, 7)), r"shape \(2, 7\); expected N×6"),
        (np.zeros((1, 2, 6)), r"shape \(1, 2, 6\); expected N×6"),
        (np.full((2, 6), "x"), "vectors hold <U1; expected numbers"),
        (np.full((2, 6), None), "vectors hold object; expected numbers"),
        (np.zeros((2, 6), dtype=complex), "vectors hold complex128; expected numbers"),
        (np.array([[0.0] * 6, [0.0] * 5 + [np.nan]]), "vectors row 1 has values that are not finite"),
        (np.array([[np.inf] * 6]), "vectors row 0 has values that are not finite"),
    ],
)
def test_vectors_that_cannot_be_used(bare: SemanticIDModel, vectors: np.ndarray, sentence: str) -> None:
    with pytest.raises(VectorsError, match=sentence):
        bare.encode_vectors(vectors)


def test_prefixes_decode_too(bare: SemanticIDModel) -> None:
    codes = bare.encode_vectors(np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32))
    for depth in (1, 2, 3):
        decoded = bare.decode(codes[:, :depth].astype(np.uint8))
        assert decoded.dtype == np.float32
        expected = bare.encoder.decode(torch.from_numpy(codes[:, :depth])).numpy()
        assert np.array_equal(decoded, expected)
    assert bare.decode(np.empty((0, 3), dtype=np.int64)).shape == (0, 6)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        ([[0, 0, 0], [1, 3, 0]], "codes row 1: level 1 is 3; expected 0 to 2"),
        ([[-1]], "codes row 0: level 0 is -1; expected 0 to 3"),
        ([[0, 0, 0, 0]], r"int64 of the shape \(1, 4\); expected whole numbers, N×3 or a prefix"),
        ([0, 0], r"shape \(2,\)"),
        ([[]], r"shape \(1, 0\)"),
        ([[0.0, 1.0]], "codes are float64"),
        ([[True]], "codes are bool"),
    ],
)
def test_codes_out_of_range_are_refused(bare: SemanticIDModel, codes: list[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        bare.decode(np.array(codes))


# --- what an ID means


def test_describing_an_id_says_its_levels_and_what_bears_it(model: SemanticIDModel) -> None:
    stored = [tuple(code) for code in model.artifacts.codes()["code"].to_pylist()]
    code, count = Counter(stored).most_common(1)[0]
    described = model.describe(list(code))
    assert described["id"] == "-".join(map(str, code))
    assert described["levels"] == [
        {"level": level, "code": index, "name": name}
        for level, index, name in zip(TAXONOMY.level_names, code, TAXONOMY.describe(code), strict=True)
    ]
    assert described["passages"] == count
    corpora = model.artifacts.semantic_ids()["corpora"]
    assert [work["corpus"] for work in described["works"]] == [
        k for k, v in corpora.items() if tuple(v["code"]) == code
    ]
    assert (
        model.describe(described["id"])
        == model.describe(SemanticID(code))
        == model.describe(np.array(code))
        == described
    )


def test_browsing_counts_what_lies_below(model: SemanticIDModel) -> None:
    stored = [tuple(code) for code in model.artifacts.codes()["code"].to_pylist()]
    root = model.browse()
    assert (root.id, root.names, root.passages) == ("", [], len(stored))
    assert {child["id"]: child["passages"] for child in root.children} == {
        str(index): count for index, count in sorted(Counter(code[0] for code in stored).items())
    }
    assert [child["name"] for child in root.children] == [
        TAXONOMY.describe([int(child["id"])])[0] for child in root.children
    ]
    assert len(root.works) == 4
    below = model.browse(root.children[0]["id"])
    assert below.passages == root.children[0]["passages"] == sum(child["passages"] for child in below.children)
    assert all(work["id"].startswith(f"{below.id}-") for work in below.works)
    leaf = model.browse(below.children[0]["id"])
    assert leaf.children == []
    assert leaf.passages == below.children[0]["passages"]


def test_what_nothing_bears_is_empty(tmp_path: Path) -> None:
    bare = SemanticIDModel.load(make_vector_artifacts(tmp_path / "artifacts", rows=20))  # fewer than the 24 codes
    stored = {tuple(code) for code in bare.artifacts.codes()["code"].to_pylist()}
    unborne = next((a, b, c) for a in range(4) for b in range(3) for c in range(2) if (a, b, c) not in stored)
    assert bare.browse(unborne).passages == 0
    assert bare.describe(unborne)["works"] == []


@given(st.lists(st.integers(0, 3), max_size=3))
@settings(max_examples=40)
def test_counts_are_those_of_the_table(bare: SemanticIDModel, prefix: list[int]) -> None:
    if any(index >= size for index, size in zip(prefix, (4, 3, 2), strict=False)):
        with pytest.raises(InputError, match="expected 0 to"):
            bare.browse(prefix)
        return
    stored = bare.artifacts.codes()["code"].to_pylist()
    assert bare.browse(prefix).passages == sum(code[: len(prefix)] == prefix for code in stored)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("4-0", r"semantic ID 4-0: level 0 is 4; expected 0 to 3"),
        ("1-2-1-0", r"has 4 levels; these artifacts have 3"),
        ("1-x", r"semantic ID is '1-x'; expected indices joined by hyphens"),
        ([1, -1], "negative index"),
        ([1.5], r"semantic ID is \[1\.5\]; expected a text such as 2-3-5-1, or whole numbers"),
        (["1"], r"semantic ID is \['1'\]; expected a text"),
        (7, "semantic ID is 7; expected a text"),
        (None, "semantic ID is None; expected a text"),
    ],
)
def test_ids_that_cannot_be(bare: SemanticIDModel, code: Any, sentence: str) -> None:
    for verb in (bare.describe, bare.browse):
        with pytest.raises(InputError, match=sentence):
            verb(code)


# --- neighbors


@pytest.mark.parametrize("k", [1, 5, 36, 1000])
def test_neighbors_are_those_of_brute_force(
    model: SemanticIDModel, embedder: SentenceTransformerEmbedder, k: int
) -> None:
    table = model.artifacts.codes()
    codes = np.array(table["code"].to_pylist())
    for text in TEXTS:
        distances = ((model.decode(codes) - embedder.embed([text])[0]) ** 2).sum(1)
        found = model.neighbors(text, k)
        assert len(found) == min(k, 36)
        np.testing.assert_allclose([each.distance for each in found], np.sort(distances)[:k], atol=2e-6)
        assert [each.distance for each in found] == sorted(each.distance for each in found)
        assert len({(each.corpus, each.passage) for each in found}) == len(found)
        rows = {(table["corpus"][row].as_py(), table["passage"][row].as_py()): row for row in range(36)}
        for each in found:
            row = rows[each.corpus, each.passage]
            assert each.text == table["text"][row].as_py()
            assert each.id == "-".join(map(str, codes[row]))
            assert each.distance == pytest.approx(distances[row], abs=2e-6)
            assert each.title == each.corpus.removeprefix("files:").title()
            assert each.author == f"Author of {each.corpus.removeprefix('files:')}"


def test_passages_of_one_code_come_in_stored_order(model: SemanticIDModel) -> None:
    found = model.neighbors(TEXTS[0], 36)
    table = model.artifacts.codes()
    place = {
        (c, p): row
        for row, (c, p) in enumerate(zip(table["corpus"].to_pylist(), table["passage"].to_pylist(), strict=True))
    }
    for one, other in pairwise(found):
        if one.id == other.id:
            assert place[one.corpus, one.passage] < place[other.corpus, other.passage]


def test_without_stored_texts_neighbors_still_name_their_place(
    embedder: SentenceTransformerEmbedder, model: SemanticIDModel, tmp_path: Path
) -> None:
    folder = make_text_artifacts(tmp_path / "artifacts", embedder, texts=False)
    found = SemanticIDModel.load(folder).neighbors(TEXTS[0], 3)
    assert [each.text for each in found] == [None] * 3
    assert [(each.corpus, each.passage) for each in found] == [
        (each.corpus, each.passage) for each in model.neighbors(TEXTS[0], 3)
    ]


@pytest.mark.parametrize("k", [0, -1])
def test_neighbors_are_one_or_more(model: SemanticIDModel, k: int) -> None:
    with pytest.raises(InputError, match=f"k is {k}; expected 1 or more"):
        model.neighbors(TEXTS[0], k)


# --- bare vectors, and artifacts without passages


def test_bare_vectors_refuse_texts_in_one_sentence(bare: SemanticIDModel) -> None:
    for verb in (lambda: bare.encode(TEXTS), lambda: bare.neighbors(TEXTS[0]), lambda: bare.embed(TEXTS)):
        with pytest.raises(ArtifactError, match="was trained on vectors alone and knows no embedding model") as caught:
            verb()
        assert "\n" not in str(caught.value)
    assert bare.level_names == ("level_0", "level_1", "level_2")
    assert bare.describe("1")["levels"] == [{"level": "level_0", "code": 1, "name": "1"}]


def test_artifacts_without_passages_encode_but_have_no_neighbors(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    vectors = embedder.embed(invented_corpora().texts)
    folder = write(tmp_path / "artifacts", started(vectors, (4, 3)), vectors, embedder=embedder, rows=0)
    empty = SemanticIDModel.load(folder)
    assert len(empty.encode(TEXTS)) == 4
    assert empty.browse() == type(empty.browse())("", [], 0, [], [])
    with pytest.raises(ArtifactError, match="holds no passages to compare with"):
        empty.neighbors(TEXTS[0])
