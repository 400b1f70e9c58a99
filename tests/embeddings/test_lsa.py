"""The embedder that needs no download: fitted on its corpus, saved without a pickle, reloaded bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wotd.embeddings import LSAEmbedder, load_embedder, verify_embedder
from wotd.errors import EmbeddingError

SEA = [
    "the grey ship sailed over the cold sea",
    "a ship and its crew upon the stormy sea",
    "the sea broke over the ship",
]
LAW = [
    "the judge read the law in the court",
    "a court of law and its old judge",
    "the judge spoke of the law to the court",
]
FARM = [
    "the farmer led his horse to the field",
    "a field of wheat and a tired horse",
    "horse and farmer crossed the field",
]
CORPUS = SEA + LAW + FARM


@pytest.fixture
def fitted() -> LSAEmbedder:
    embedder = LSAEmbedder(dimension=4)
    embedder.fit(CORPUS)
    return embedder


def test_vectors_have_length_one_and_the_order_of_the_texts(fitted: LSAEmbedder) -> None:
    vectors = fitted.embed(CORPUS)
    assert vectors.shape == (9, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(fitted.embed(CORPUS[::-1]), vectors[::-1])


def test_a_vector_does_not_depend_on_the_batch_at_all(fitted: LSAEmbedder) -> None:
    together = fitted.embed(CORPUS)
    np.testing.assert_array_equal(np.concatenate([fitted.embed([text]) for text in CORPUS]), together)


def test_texts_on_one_subject_lie_together(fitted: LSAEmbedder) -> None:
    sea, law, other_sea = fitted.embed(["a ship at sea", "a judge in court", "the stormy sea and the crew of a ship"])
    assert sea @ other_sea > sea @ law + 0.5


def test_a_text_without_a_known_word_is_all_zeros(fitted: LSAEmbedder) -> None:
    vectors = fitted.embed(["zyzzyva quux", "", "ship"])
    assert not vectors[:2].any()
    assert vectors[2].any()


def test_no_texts_give_no_rows(fitted: LSAEmbedder) -> None:
    assert fitted.embed([]).shape == (0, 4)


def test_fitting_is_deterministic(fitted: LSAEmbedder) -> None:
    again = LSAEmbedder(dimension=4)
    again.fit(CORPUS)
    np.testing.assert_array_equal(again.embed(CORPUS), fitted.embed(CORPUS))
    assert again.fingerprint == fitted.fingerprint


def test_it_must_be_fitted_once(fitted: LSAEmbedder) -> None:
    fresh = LSAEmbedder()
    assert fresh.needs_fit
    assert fresh.dimension == 256
    for use in (lambda: fresh.embed(CORPUS), fresh.probe, lambda: fresh.fingerprint, lambda: fresh.save_state(Path())):
        with pytest.raises(EmbeddingError, match="not fitted yet"):
            use()
    assert not fitted.needs_fit
    before = fitted.embed(CORPUS)
    fitted.fit(LAW)
    np.testing.assert_array_equal(fitted.embed(CORPUS), before)


def test_the_dimension_shrinks_to_what_the_corpus_has() -> None:
    embedder = LSAEmbedder(dimension=256)
    embedder.fit(CORPUS)
    assert 2 <= embedder.dimension <= len(CORPUS)
    assert embedder.embed(CORPUS).shape == (9, embedder.dimension)
    assert embedder.fingerprint.dimension == embedder.dimension
    doubled = LSAEmbedder(dimension=256)
    doubled.fit(CORPUS * 4)
    assert doubled.dimension <= len(CORPUS), "texts that repeat bring no new directions"


@pytest.mark.parametrize(
    "texts",
    [[], ["one text alone"], ["", ""], ["nothing shared", "between these"], ["same words", "same words"], ["!", "?"]],
)
def test_a_corpus_of_fewer_than_two_features_is_refused(texts: list[str]) -> None:
    with pytest.raises(EmbeddingError, match="an LSA embedder needs two: give it more texts or lower"):
        LSAEmbedder().fit(texts)


@pytest.mark.parametrize("name", ["dimension", "ngrams", "min_documents", "max_features"])
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(EmbeddingError, match=rf"embedding\.{name} is 0; expected at least"):
        LSAEmbedder(**{name: 0})


def test_what_is_no_text_is_refused(fitted: LSAEmbedder) -> None:
    with pytest.raises(EmbeddingError, match="single string"):
        fitted.embed("ship")
    with pytest.raises(EmbeddingError, match=r"texts\[0\] is of type int"):
        LSAEmbedder().fit([3])  # type: ignore[list-item]


def test_saved_state_gives_the_very_same_vectors(fitted: LSAEmbedder, tmp_path: Path) -> None:
    files = fitted.save_state(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
    settings = json.loads(json.dumps(fitted.settings()))
    again = load_embedder(settings, tmp_path)
    np.testing.assert_array_equal(
        again.embed([*CORPUS, "new words of the sea"]), fitted.embed([*CORPUS, "new words of the sea"])
    )
    assert again.fingerprint == fitted.fingerprint
    assert again.settings() == fitted.settings()
    verify_embedder(again, fitted.fingerprint, fitted.probe())


def test_words_of_any_script_survive(tmp_path: Path) -> None:
    embedder = LSAEmbedder(4)
    embedder.fit(["море корабль", "море шторм корабль", "naïve café", "naïve café 海辺 海辺", "海辺 шторм \ud800"])
    embedder.save_state(tmp_path)
    texts = ["корабль", "café", "海辺"]
    again = load_embedder(embedder.settings(), tmp_path)
    np.testing.assert_array_equal(again.embed(texts), embedder.embed(texts))
    assert embedder.embed(texts).any(axis=1).all()


def test_another_corpus_is_refused(fitted: LSAEmbedder) -> None:
    other = LSAEmbedder(dimension=4)
    other.fit([*CORPUS, "judge and ship"])
    with pytest.raises(EmbeddingError, match=r"made with lsa: weights: sha256"):
        verify_embedder(other, fitted.fingerprint, fitted.probe())


@pytest.mark.parametrize("name", ["lsa.safetensors", "lsa_vocabulary.json"])
def test_missing_or_damaged_state_is_refused(fitted: LSAEmbedder, tmp_path: Path, name: str) -> None:
    fitted.save_state(tmp_path)
    content = (tmp_path / name).read_bytes()
    for damage in (content[: len(content) // 2], b"", b"[]"):
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(EmbeddingError, match=r"fitted LSA embedder in .* (cannot be read|is damaged)"):
            load_embedder(fitted.settings(), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(EmbeddingError, match="cannot be read"):
        load_embedder(fitted.settings(), tmp_path)


def test_there_is_no_backend_to_choose(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="made with lsa, which has neither backends nor precisions to choose"):
        load_embedder({"kind": "lsa"}, tmp_path, backend="onnx")
