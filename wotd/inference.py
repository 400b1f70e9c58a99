"""Artifacts in use: text or vectors in, semantic IDs out, by the embedding model they were trained with.

Needs neither Lightning nor Hydra. The embedding model is loaded when the first text comes, and is
refused unless its fingerprint and its vector of a probe sentence are those in the artifacts.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wotd.artifacts import Artifacts
from wotd.concordance import Word
from wotd.embeddings.embedder import Embedder, load_embedder
from wotd.embeddings.verification import verify_embedder
from wotd.embeddings.views import TextView
from wotd.encoded import EncodedRows, EncodedText
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError, InputError, UnknownWorkError, VectorsError
from wotd.hub import open_artifacts
from wotd.id_names import IDNames
from wotd.library import Branch, Library, Neighbor, Passages, Tree, WordFound, WordGroup
from wotd.providers.text import reading_ease
from wotd.semantic_ids import IDPattern, SemanticID
from wotd.taxonomy import Fact
from wotd.text_checks import check_text

MEASURED = "reading_ease"
"""The fact of a work that can be measured on any text."""

_CHUNK_ROWS = 16384
_TEXTS_AT_ONCE = 256

logger = logging.getLogger(__name__)


class SemanticIDModel:
    """Trained artifacts, ready to encode, decode, describe, search and browse."""

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        device: str = "cpu",
        embedding_model: str | None = None,
        trust_remote_code: bool = False,
        backend: str | None = None,
        precision: str | None = None,
        workers: int = 1,
    ) -> None:
        """Use checked artifacts; see :meth:`load`."""
        self.artifacts = artifacts
        self.device = torch.device(device)
        self.encoder: SemanticEncoder = artifacts.encoder().to(self.device)
        self._load_embedder = partial(
            load_embedder,
            model=embedding_model,
            trust_remote_code=trust_remote_code,
            backend=backend,
            precision=precision,
            workers=workers,
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "cpu",
        embedding_model: str | None = None,
        trust_remote_code: bool = False,
        backend: str | None = None,
        precision: str | None = None,
        workers: int = 1,
    ) -> SemanticIDModel:
        """Load artifacts from a folder or an address.

        Args:
            folder: what a training run wrote; or an address of it, such as ``hf://user/name@revision`` or
                ``s3://bucket/path`` (:mod:`wotd.hub`).
            device: torch device of the encoder.
            embedding_model: a folder with the same embedding model, where it is not found by itself.
            trust_remote_code: let an embedding model that needs it run the code of its repository.
            backend: what computes embeddings: torch, onnx or openvino; None: what did when the artifacts were made.
                One whose vectors stray from theirs is refused.
            precision: number format of the embedding model; None: that of the artifacts.
            workers: processes that embed side by side; worth it for many texts.

        Raises:
            ArtifactError: in one sentence, what is wrong with them, or why they cannot be had.
        """
        return cls(
            open_artifacts(folder),
            device=device,
            embedding_model=embedding_model,
            trust_remote_code=trust_remote_code,
            backend=backend,
            precision=precision,
            workers=workers,
        )

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Codes per level."""
        return self.encoder.level_sizes

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels; ``level_0`` … where they are free."""
        return self._names.levels

    @cached_property
    def _names(self) -> IDNames:
        return IDNames(self.level_sizes, self.artifacts.taxonomy if self.artifacts.named else None)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model of the artifacts, verified.

        Raises:
            ArtifactError: if they were trained on bare vectors.
            EmbeddingError: if the model cannot be had, or is not the one they were trained with.
        """
        embedding = self.artifacts.config.get("embedding")
        fingerprint = self.artifacts.fingerprint
        if embedding is None or fingerprint is None:
            raise ArtifactError(
                f"{self.artifacts.folder} was trained on vectors alone and knows no embedding model; give vectors "
                f"instead of texts."
            )
        embedder = self._load_embedder(embedding["settings"], self.artifacts.folder)
        if embedder.dimension != self.encoder.input_dim:
            raise ArtifactError(
                f"dimension mismatch: the embedding model gives vectors of length {embedder.dimension}, the encoder "
                f"expects {self.encoder.input_dim}."
            )
        agreement = verify_embedder(embedder, fingerprint, embedding["probe"])
        if embedder.fingerprint.arithmetic != fingerprint.arithmetic:
            logger.warning(
                "embeddings are computed by %s, those of the artifacts were by %s (cosine %.5f or more); "
                "some IDs may differ",
                *(embedder.fingerprint.arithmetic, fingerprint.arithmetic, agreement.least_cosine),
            )
        return embedder

    @cached_property
    def features(self) -> Embedder | None:
        """What the artifacts see of a text beside its embedding, verified; None for nothing.

        Raises:
            EmbeddingError: if this wotd computes them otherwise than the one that made the artifacts.
        """
        features, fingerprint = self.artifacts.config.get("features"), self.artifacts.features_fingerprint
        if features is None or fingerprint is None:
            return None
        embedder = load_embedder(features["settings"], self.artifacts.folder)
        verify_embedder(embedder, fingerprint, features["probe"])
        return embedder

    @cached_property
    def view(self) -> TextView:
        """Embedding model and features, both verified: what turns texts into the rows that the encoder reads.

        Raises:
            ArtifactError: if they were trained on bare vectors, or do not give rows as the encoder reads them.
            EmbeddingError: if one of them cannot be had, or is not the one they were trained with.
        """
        view = TextView(self.embedder, self.features)
        if view.feature_dim != self.artifacts.feature_dim:
            raise ArtifactError(
                f"dimension mismatch: the features of a text are {view.feature_dim}, the encoder expects "
                f"{self.artifacts.feature_dim}."
            )
        return view

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Rows of texts as the encoder reads them, float32 N×(D+F): embeddings, and features where there are any.

        Raises:
            InputError: if a text is no string, empty, blank, too long or not encodable.
        """
        return self._embed(texts, first=0)

    def _embed(self, texts: Sequence[str], *, first: int) -> NDArray[np.float32]:
        """Rows of texts of which the first has that position among all that were given."""
        for position, text in enumerate(texts, first):
            check_text(text, f"text {position}")
        return self.view.embed(list(texts))

    def encode(self, texts: str | Sequence[str], *, min_confidence: float | None = None) -> list[EncodedText]:
        """Semantic IDs of texts, in order.

        Args:
            texts: one text or several.
            min_confidence: cut each ID before the first level that is less sure than this.

        Raises:
            InputError: if a text cannot be used.
        """
        listed = [texts] if isinstance(texts, str) else list(texts)
        return list(self.encode_stream(listed, min_confidence=min_confidence))

    def encode_stream(self, texts: Iterable[str], *, min_confidence: float | None = None) -> Iterator[EncodedText]:
        """As :meth:`encode`, for any number of texts; holds a few hundred at a time."""
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise InputError(f"min_confidence is {min_confidence}; expected 0 to 1.")
        first = 0
        for batch in _batched(texts, _TEXTS_AT_ONCE):
            encoded = self.encode_embedded(self._embed(batch, first=first), batch)
            yield from (each.confident(min_confidence) for each in encoded)
            first += len(batch)

    def encode_embedded(self, vectors_ND: NDArray[np.float32], texts: Sequence[str]) -> list[EncodedText]:
        """As :meth:`encode`, for texts whose rows :meth:`embed` has given, N×(D+F)."""
        rows = self.encode_rows(vectors_ND)
        out_N = [None] * len(rows.codes) if rows.out_of_domain is None else rows.out_of_domain.tolist()
        told = zip(texts, rows.codes.tolist(), rows.confidence.tolist(), rows.error.tolist(), out_N, strict=True)
        return [
            EncodedText(
                code=code,
                id=str(SemanticID(tuple(code))),
                names=self.names(SemanticID(tuple(code))),
                confidence=confidence,
                out_of_domain=out_of_domain,
                error=error,
                facts=self.facts(text),
            )
            for text, code, confidence, error, out_of_domain in told
        ]

    def encode_rows(self, vectors_ND: NDArray[np.float32]) -> EncodedRows:
        """What the model says of rows as :meth:`embed` gives them, N×(D+F), as arrays."""
        x_ND = torch.from_numpy(np.require(vectors_ND, requirements=["C", "W"])).to(self.device)
        codes_NL, confidence_NL = self.encoder.encode_with_confidence(x_ND)
        foreign = self.encoder.domain.is_foreign(x_ND)
        return EncodedRows(
            codes=codes_NL.cpu().numpy(),
            confidence=_rounded(confidence_NL),
            error=_rounded(self.encoder.errors(x_ND, codes_NL)),
            out_of_domain=None if foreign is None else foreign.cpu().numpy(),
        )

    def facts(self, text: str) -> list[dict[str, Any]]:
        """What the rules say of a text where they rest on a fact that can be measured on it: its reading ease."""
        taxonomy = self.artifacts.taxonomy
        levels = [level for level in taxonomy.levels if level.fact == MEASURED] if taxonomy is not None else []
        ease = reading_ease([text]) if levels else None
        if ease is None:
            return []
        facts = {MEASURED: Fact.computed(ease)}
        return [
            {"level": level.name, "fact": MEASURED, "value": round(ease, 2), "code": code, "name": level.codes[code]}
            for level in levels
            if (code := level.code(facts)[0]) is not None
        ]

    def names(self, semantic_id: SemanticID) -> list[str]:
        """Names of the codes of an ID or a prefix, level by level; indices as text where levels have no names."""
        return self._names.of(semantic_id)

    def encode_vectors(self, vectors_ND: NDArray[np.floating]) -> NDArray[np.int64]:
        """Codes of rows as :meth:`embed` gives them (N×(D+F), float32 or float16, may be memory-mapped), int64 N×L.

        Raises:
            VectorsError: if their length is not that of the encoder's input, or a value is no finite number.
        """
        if vectors_ND.ndim != 2 or vectors_ND.shape[1] != self.artifacts.row_dim:
            raise VectorsError(f"vectors have the shape {vectors_ND.shape}; expected N×{self.artifacts.row_dim}.")
        if vectors_ND.dtype.kind not in "fiu":
            raise VectorsError(f"vectors hold {vectors_ND.dtype}; expected numbers such as float32.")
        parts = [
            self.encoder.encode(torch.from_numpy(chunk).to(self.device)).cpu().numpy() for chunk in _chunks(vectors_ND)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.level_sizes)), dtype=np.int64)

    def decode(self, codes_NL: NDArray[np.integer]) -> NDArray[np.float32]:
        """What codes, or prefixes of codes, stand for: float32 N×D in the space of the input vectors.

        Raises:
            InputError: if the codes are not whole numbers within the level sizes.
        """
        codes = np.asarray(codes_NL)
        self._check_codes(codes)
        parts = [
            self.encoder.decode(torch.from_numpy(codes[first : first + _CHUNK_ROWS].astype(np.int64)).to(self.device))
            for first in range(0, len(codes), _CHUNK_ROWS)
        ]
        if not parts:
            return np.empty((0, self.encoder.input_dim), dtype=np.float32)
        decoded: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return decoded

    def _check_codes(self, codes: NDArray[np.integer]) -> None:
        levels = len(self.level_sizes)
        if codes.ndim != 2 or not 1 <= codes.shape[1] <= levels or not np.issubdtype(codes.dtype, np.integer):
            raise InputError(
                f"codes are {codes.dtype} of the shape {codes.shape}; expected whole numbers, N×{levels} or a prefix."
            )
        for level, size in enumerate(self.level_sizes[: codes.shape[1]]):
            bad = np.flatnonzero((codes[:, level] < 0) | (codes[:, level] >= size))
            if len(bad):
                row = int(bad[0])
                raise InputError(f"codes row {row}: level {level} is {codes[row, level]}; expected 0 to {size - 1}.")

    def describe(self, code: str | Sequence[int] | SemanticID) -> dict[str, Any]:
        """What an ID or a prefix means, and how many stored passages and works bear it.

        Raises:
            InputError: if these artifacts have no such ID.
        """
        semantic_id = self._parsed(code)
        branch = self.browse(semantic_id)
        levels = zip((*self.level_names, "suffix"), semantic_id, branch.names, strict=False)
        return {
            "id": str(semantic_id),
            "levels": [{"level": level, "code": index, "name": name} for level, index, name in levels],
            "passages": branch.passages,
            "works": branch.works,
        }

    def browse(self, prefix: str | Sequence[int] | SemanticID = "") -> Branch:
        """What lies below a prefix; the empty prefix is the root.

        Raises:
            InputError: if these artifacts have no such prefix.
        """
        semantic_id = self._parsed(prefix)
        library = self.library
        children = [
            {"id": str(child), "name": self.names(child)[-1], "passages": passages}
            for child, passages in library.children(semantic_id)
        ]
        return Branch(
            str(semantic_id), self.names(semantic_id), library.count(semantic_id), children, library.works(semantic_id)
        )

    def neighbors(self, text: str, k: int = 10) -> list[Neighbor]:
        """The k stored passages whose codes decode nearest to the text, nearest first.

        Passages of one code are equally near and come in their stored order.

        Raises:
            InputError: if k is not positive or the text cannot be used.
        """
        return self.neighbors_of(self.embed([text])[0], k)

    def neighbors_of(self, row_D: NDArray[np.float32], k: int = 10) -> list[Neighbor]:
        """As :meth:`neighbors`, for a text whose row :meth:`embed` has given, D+F.

        Raises:
            InputError: if k is not positive.
        """
        if k < 1:
            raise InputError(f"k is {k}; expected 1 or more.")
        if not len(self.library):
            raise ArtifactError(f"{self.artifacts.folder} holds no passages to compare with.")
        query_D = row_D[: self.encoder.input_dim]
        decoded_CD, squares_C = self._decoded
        distance_C = (squares_C - 2 * (decoded_CD @ query_D) + query_D @ query_D).clip(0)
        order = np.argsort(distance_C, kind="stable")
        rows = ((int(row), float(distance_C[code])) for code in order for row in self.library.rows(int(code)))
        return [self.library.neighbor(row, distance) for row, distance in islice(rows, k)]

    def pattern(self, pattern: str | IDPattern = "", /, **levels: str | int) -> IDPattern:
        """A pattern of IDs, checked, with levels chosen by name: ``model.pattern(style="satirical", era="victorian")``.

        Args:
            pattern: one to begin with, such as ``5-*-6``.
            levels: names of levels, and of each the name or the number of a code.

        Raises:
            InputError: if these artifacts have no such level, code or ID, or a level is asked to be two things.
        """
        begun = IDPattern.parse(pattern) if isinstance(pattern, str) else pattern
        sizes = self.level_sizes
        suffixed = len(begun) == len(sizes) + 1 == self.library.id_levels
        (IDPattern(begun.indices[: len(sizes)]) if suffixed else begun).check_sizes(sizes)
        return self._names.narrowed(begun, levels)

    def code_names(self, level: int) -> tuple[str, ...]:
        """Names of all codes of a level; indices as text where levels have no names."""
        return self._names.codes(level)

    def works(self, pattern: str | IDPattern = "") -> list[dict[str, Any]]:
        """Corpus ID, title, author and ID of the works whose own ID matches.

        Raises:
            InputError: if these artifacts have no such IDs.
        """
        return self.library.works(self.pattern(pattern))

    def work(self, corpus: str) -> dict[str, Any]:
        """What ``semantic_ids.json`` says of a work, with the names of its code and its label.

        Raises:
            UnknownWorkError: if it knows no such work.
        """
        entry = self.library.work(corpus)
        if entry is None:
            raise UnknownWorkError(f"corpus is {corpus[:200]!r}; these artifacts know no work of that ID.")
        taxonomy = self.artifacts.taxonomy
        return {
            "corpus": corpus,
            **entry,
            "names": self.names(SemanticID(tuple(entry.get("code") or ()))),
            "label_names": [] if taxonomy is None else taxonomy.describe_label(entry.get("label") or []),
        }

    def passages(
        self,
        pattern: str | IDPattern = "",
        *,
        work: str | None = None,
        limit: int = 20,
        offset: int = 0,
        turns: bool = False,
    ) -> Passages:
        """Stored passages whose code matches, in stored order.

        Args:
            pattern: which IDs; by default all.
            work: corpus ID of the one work to look in; None: all.
            limit: at most that many are given.
            offset: so many of them are left out first.
            turns: works take turns: the first passage of each, then the second of each, and so on.

        Raises:
            InputError: if these artifacts have no such IDs or work, or a number is negative.
        """
        if limit < 0 or offset < 0:
            raise InputError(f"limit is {limit} and offset is {offset}; expected 0 or more.")
        if work is not None:
            self.work(work)
        rows = self.library.passages(self.pattern(pattern), work)
        if turns:
            rows = self.library.in_turns(rows)
        return Passages(len(rows), [self.library.passage(int(row)) for row in rows[offset : offset + limit]])

    def word(
        self, word: str, pattern: str | IDPattern = "", *, limit: int = 20, examples: int = 3, depth: int | None = None
    ) -> WordFound:
        """Passages that contain a word, grouped by ID; see :mod:`wotd.concordance` for what a word is.

        Args:
            word: one word, or several in a row.
            pattern: which IDs to look in; by default all.
            limit: at most that many groups and works are given.
            examples: passages of each group.
            depth: how many levels of their IDs passages are grouped by; None: all.

        Raises:
            InputError: if the artifacts keep no texts or have no such IDs, there is no letter in the word, or a number
                is out of range.
        """
        deepest = len(self.level_sizes)
        if limit < 0 or examples < 0 or not 1 <= (deepest if depth is None else depth) <= deepest:
            raise InputError(
                f"limit, examples and depth are {limit}, {examples} and {depth}; expected 0 or more, 0 or more, "
                f"and 1 to {deepest}."
            )
        sought, wanted, library = Word(word), self.pattern(pattern), self.library
        rows = library.containing(sought, wanted)
        groups = library.by_id(rows, depth or deepest)
        return WordFound(
            word=str(sought),
            pattern=str(wanted),
            total=len(rows),
            searched=len(library.passages(wanted)),
            ids=len(groups),
            groups=[
                WordGroup(
                    str(group),
                    self.names(group),
                    len(those),
                    [library.passage(int(row), sought) for row in library.in_turns(those)[:examples]],
                )
                for group, those in groups[:limit]
            ],
            works=library.by_work(rows)[:limit],
        )

    def hierarchy(self, prefix: str | Sequence[int] | SemanticID = "", depth: int | None = None) -> Tree:
        """The IDs below a prefix that passages bear, as a tree.

        Args:
            prefix: where it begins; by default the root.
            depth: how many levels it shows, or fewer where they would be more than 2,048 branches; None: all.

        Raises:
            InputError: if these artifacts have no such prefix, or depth is below 1.
        """
        if depth is not None and depth < 1:
            raise InputError(f"depth is {depth}; expected 1 or more.")

        def name(semantic_id: SemanticID) -> str:
            return "".join(self.names(semantic_id)[-1:])

        return self.library.tree(self._parsed(prefix), depth or len(self.level_sizes), name)

    def _parsed(self, code: str | Sequence[int] | SemanticID) -> SemanticID:
        if isinstance(code, str):
            semantic_id = SemanticID.parse(code)
        else:
            semantic_id = code if isinstance(code, SemanticID) else SemanticID(_whole_numbers(code))
        levels = len(self.level_sizes)
        suffixed = len(semantic_id) == levels + 1 == self.library.id_levels
        (semantic_id.prefix(levels) if suffixed else semantic_id).check_sizes(self.level_sizes)
        return semantic_id

    @cached_property
    def library(self) -> Library:
        """The passages and works that the artifacts hold."""
        return Library(self.artifacts, self.level_sizes)

    @cached_property
    def _decoded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the distinct codes decode to, C×D, and the squares of its lengths."""
        decoded_CD = self.decode(self.library.codes_CL)
        return decoded_CD, np.einsum("cd,cd->c", decoded_CD, decoded_CD)


def _rounded(values: torch.Tensor) -> NDArray[np.float64]:
    """In six digits, as people read them."""
    return np.round(values.cpu().double().numpy(), 6)


def _whole_numbers(code: Iterable[Any]) -> tuple[int, ...]:
    try:
        return tuple(operator.index(level) for level in code)
    except TypeError as error:
        raise InputError(f"semantic ID is {code!r}; expected a text such as 2-3-5-1, or whole numbers.") from error


def _chunks(vectors_ND: NDArray[np.floating]) -> Iterator[NDArray[np.float32]]:
    for first in range(0, len(vectors_ND), _CHUNK_ROWS):
        # A copy: torch warns of memory it may not write to, such as a read-only map.
        chunk = np.array(vectors_ND[first : first + _CHUNK_ROWS], dtype=np.float32, order="C")
        bad = np.flatnonzero(~np.isfinite(chunk).all(1))
        if len(bad):
            raise VectorsError(f"vectors row {first + int(bad[0])} has values that are not finite numbers.")
        yield chunk


def _batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
