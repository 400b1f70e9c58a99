"""Latent semantic analysis: TF-IDF and a truncated SVD, fitted on the corpus; needs no download.

A weak but honest embedder: it knows the words of the corpus it was fitted on and nothing else. A
text without any known word has no direction; its vector is all zeros, the only rows that are not of
length 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.base import Embedder, Vectors, checked_texts, normalized
from wotd.embeddings.fingerprint import Fingerprint
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

WEIGHTS_FILE = "lsa.safetensors"
VOCABULARY_FILE = "lsa_vocabulary.json"

_NEGLIGIBLE = 1e-5
"""Directions with a singular value below that share of the largest are noise of the factorisation."""


@dataclass(frozen=True)
class _Learned:
    """What fitting leaves behind; F features, D dimensions."""

    vocabulary: list[str]
    idf: NDArray[np.float32]
    """Weight of each feature, [F]."""
    components: NDArray[np.float32]
    """Directions, [D, F]."""

    @cached_property
    def fingerprint_hashes(self) -> tuple[str, str]:
        """SHA-256 of the weights and of the vocabulary."""
        weights = hashlib.sha256(self.components.tobytes() + self.idf.tobytes())
        vocabulary = hashlib.sha256(json.dumps(self.vocabulary).encode("ascii"))
        return weights.hexdigest(), vocabulary.hexdigest()


class LSAEmbedder(Embedder):
    """TF-IDF over words and word pairs, projected on the main directions of the corpus."""

    def __init__(
        self,
        dimension: int = 256,
        seed: int = 0,
        ngrams: int = 2,
        min_documents: int = 2,
        max_features: int = 50_000,
    ) -> None:
        """Say how to fit; nothing is learned before :meth:`fit`.

        Args:
            dimension: width of the vectors, or less where the corpus has fewer directions.
            seed: start of the randomised SVD.
            ngrams: longest run of words that is one feature.
            min_documents: a feature occurs in at least that many texts.
            max_features: keep the most frequent features.

        Raises:
            EmbeddingError: if a number is out of range.
        """
        for name, value, least in (
            ("dimension", dimension, 2),
            ("ngrams", ngrams, 1),
            ("min_documents", min_documents, 1),
            ("max_features", max_features, 2),
        ):
            if value < least:
                raise EmbeddingError(f"embedding.{name} is {value}; expected at least {least}.")
        self.seed = seed
        self.ngrams = ngrams
        self.min_documents = min_documents
        self.max_features = max_features
        self._requested = dimension
        self._learned: _Learned | None = None
        self._vectorizer: TfidfVectorizer | None = None

    @property
    def needs_fit(self) -> bool:  # type: ignore[override]  # true only until it is fitted
        """Whether it has not seen a corpus yet."""
        return self._learned is None

    @property
    def dimension(self) -> int:
        """Width of the vectors; before fitting, the width asked for."""
        return self._requested if self._learned is None else len(self._learned.components)

    def fit(self, texts: Sequence[str]) -> None:
        """Learn vocabulary, weights and directions from the texts; does nothing if already fitted.

        Raises:
            EmbeddingError: if fewer than two features occur often enough.
        """
        if not self.needs_fit:
            return
        from sklearn.utils.extmath import randomized_svd

        vectorizer = self._new_vectorizer()
        try:
            weights_NF = vectorizer.fit_transform(checked_texts(texts))
        except ValueError as error:  # scikit-learn: the vocabulary is empty
            raise EmbeddingError(self._too_little(len(texts), 0)) from error
        features = weights_NF.shape[1]
        if min(features, len(texts)) < 2:
            raise EmbeddingError(self._too_little(len(texts), features))
        size = min(self._requested, features, len(texts))
        _, values, components_DF = randomized_svd(weights_NF, size, random_state=self.seed)
        kept = values > _NEGLIGIBLE * values[0]
        if kept.sum() < 2:
            raise EmbeddingError(self._too_little(len(texts), int(kept.sum())))
        self._learned = _Learned(
            vocabulary=[str(term) for term in vectorizer.get_feature_names_out()],
            idf=np.asarray(vectorizer.idf_, dtype=np.float32),
            components=np.ascontiguousarray(components_DF[kept], dtype=np.float32),
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in order, float32 [N, D]; a text without a known word is all zeros."""
        checked = checked_texts(texts)
        learned = self._fitted()
        if not checked:
            return np.empty((0, self.dimension), np.float32)
        weights_NF = self._transformer().transform(checked)
        return normalized(np.asarray(weights_NF @ learned.components.T, dtype=np.float32))

    @property
    def fingerprint(self) -> Fingerprint:
        """The hash of what was learned.

        Raises:
            EmbeddingError: before fitting.
        """
        weights, vocabulary = self._fitted().fingerprint_hashes
        return Fingerprint(
            kind="lsa",
            model="lsa",
            revision=None,
            weights_sha256=weights,
            tokenizer_sha256=vocabulary,
            configuration_sha256="",
            prompt="",
            pooling="tf-idf",
            max_tokens=None,
            truncate_dim=None,
            normalized=True,
            precision="float32",
            dimension=self.dimension,
            features=(f"words 1-{self.ngrams}", "sublinear tf"),
        )

    def settings(self) -> dict[str, Any]:
        """Plain data; what was learned is in the files of :meth:`save_state`."""
        return {
            "kind": "lsa",
            "dimension": self._requested,
            "seed": self.seed,
            "ngrams": self.ngrams,
            "min_documents": self.min_documents,
            "max_features": self.max_features,
        }

    def save_state(self, folder: Path) -> list[str]:
        """Write weights and vocabulary; no pickle."""
        from safetensors.numpy import save_file

        learned = self._fitted()
        save_file({"components": learned.components, "idf": learned.idf}, folder / WEIGHTS_FILE)
        text = json.dumps(learned.vocabulary, ensure_ascii=False)
        (folder / VOCABULARY_FILE).write_text(text, encoding="utf-8")
        return [WEIGHTS_FILE, VOCABULARY_FILE]

    @classmethod
    def load(cls, settings: Mapping[str, Any], folder: Path) -> LSAEmbedder:
        """Rebuild a fitted embedder from its settings and the files of :meth:`save_state`.

        Raises:
            EmbeddingError: if a file is missing, unreadable or does not fit the others.
        """
        from safetensors.numpy import load_file

        try:
            embedder = cls(**settings)
            tensors = load_file(folder / WEIGHTS_FILE)
            vocabulary = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
            components_DF, idf_F = tensors["components"], tensors["idf"]
        except EmbeddingError:
            raise
        except Exception as error:  # damaged files raise kinds of several libraries
            raise EmbeddingError(f"the fitted LSA embedder in {folder} cannot be read: {error}") from error
        if not components_DF.shape[1] == len(idf_F) == len(vocabulary):
            raise EmbeddingError(
                f"the fitted LSA embedder in {folder} is damaged: components for {components_DF.shape[1]} features, "
                f"weights for {len(idf_F)}, names for {len(vocabulary)}."
            )
        embedder._learned = _Learned(vocabulary, idf_F, components_DF)
        return embedder

    def _fitted(self) -> _Learned:
        if self._learned is None:
            raise EmbeddingError("the LSA embedder is not fitted yet; fit it on the texts of the corpus first.")
        return self._learned

    def _new_vectorizer(self, vocabulary: Mapping[str, int] | None = None) -> TfidfVectorizer:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, self.ngrams),
            min_df=self.min_documents,
            max_features=self.max_features,
            sublinear_tf=True,
            dtype=np.float32,
            vocabulary=vocabulary,
        )

    def _transformer(self) -> TfidfVectorizer:
        """Rebuilt from the learned state alone, so that a reloaded embedder computes the very same."""
        if self._vectorizer is None:
            learned = self._fitted()
            vectorizer = self._new_vectorizer({term: index for index, term in enumerate(learned.vocabulary)})
            vectorizer.idf_ = learned.idf
            self._vectorizer = vectorizer
        return self._vectorizer

    def _too_little(self, texts: int, features: int) -> str:
        return (
            f"{texts} texts give {features} independent features that occur in at least {self.min_documents} of them; "
            "an LSA embedder needs two: give it more texts or lower embedding.min_documents."
        )
