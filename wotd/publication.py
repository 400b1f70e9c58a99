"""Codes as they are published: code and ID of a work from the codes of its passages, and the two tables of them.

Shape letters: N passages, D embedding, L levels, K codes of the last level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from wotd.artifacts import SCHEMA, write_works
from wotd.collision_policy import CollisionPolicy, PublishedIDs, publish_ids
from wotd.encoders import SemanticEncoder
from wotd.providers.corpora import Corpora, Corpus
from wotd.semantic_ids import SemanticID
from wotd.taxonomy import Taxonomy

_WRITTEN_ROWS = 1_000_000
"""Rows of ``codes.parquet`` that are put together at a time."""


def majority_code(codes_NL: NDArray[np.int64]) -> tuple[list[int], list[float]]:
    """The code of a work: level by level the commonest index among passages that share the prefix so far.

    The lower index wins a tie.

    Returns:
        the code, and per level the share of all passages that bear it up to that level.
    """
    code: list[int] = []
    agreement: list[float] = []
    sharing = codes_NL
    for level in range(codes_NL.shape[1]):
        index = int(np.bincount(sharing[:, level]).argmax())
        sharing = sharing[sharing[:, level] == index]
        code.append(index)
        agreement.append(len(sharing) / len(codes_NL))
    return code, agreement


def publish_works(
    corpora: Corpora,
    codes_NL: NDArray[np.int64],
    vectors_ND: NDArray[np.floating],
    encoder: SemanticEncoder,
    policy: CollisionPolicy,
    published: Mapping[str, SemanticID] | None = None,
) -> PublishedIDs:
    """The IDs of works; see :func:`wotd.collision_policy.publish_ids`.

    Near to a work is a code whose reconstruction is near to the mean of its passages' embeddings.
    """
    works = {work.id: work for work in corpora.works}
    codes = {corpus: majority_code(codes_NL[_rows(work)])[0] for corpus, work in works.items()}

    def closeness(corpus: str) -> list[int]:
        mean_D = np.asarray(vectors_ND[_rows(works[corpus]), : encoder.input_dim], dtype=np.float32).mean(0)
        return _nearest_last(encoder, torch.from_numpy(mean_D), codes[corpus][:-1])

    return publish_ids(codes, policy, last_size=encoder.level_sizes[-1], published=published, closeness=closeness)


def _nearest_last(encoder: SemanticEncoder, mean_D: torch.Tensor, prefix: Sequence[int]) -> list[int]:
    """The last level's codes by how near they decode to a vector, nearest first; equal ones by their index."""
    codes_KL = torch.tensor([[*prefix, index] for index in range(encoder.level_sizes[-1])])
    distances_K = (encoder.decode(codes_KL) - mean_D).square().sum(1)
    nearest: list[int] = distances_K.argsort(stable=True).tolist()
    return nearest


def _rows(work: Corpus) -> slice:
    return slice(work.first, work.first + work.passages)


def write_semantic_ids(
    path: Path,
    corpora: Corpora | None,
    taxonomy: Taxonomy | None,
    codes_NL: NDArray[np.int64],
    ids: Mapping[str, SemanticID] | None = None,
) -> None:
    """Write ``semantic_ids.json``; without corpora it names none, without IDs each work has its code for one."""
    works = sorted(corpora.works, key=lambda work: work.id) if corpora is not None else []
    entries = ((work.id, _entry(work, codes_NL[_rows(work)], ids[work.id] if ids else None)) for work in works)
    write_works(path, {"schema": SCHEMA, "taxonomy": taxonomy.to_mapping() if taxonomy else None}, entries)


def _entry(work: Corpus, codes_NL: NDArray[np.int64], semantic_id: SemanticID | None) -> dict[str, Any]:
    code, agreement = majority_code(codes_NL)
    facts = {
        name: {"value": list(fact.value) if isinstance(fact.value, tuple) else fact.value, "origin": fact.origin.value}
        for name, fact in work.facts.items()
        if fact.known
    }
    return {
        "title": work.title,
        "author": "; ".join(work.authors) or None,
        "label": list(work.label.codes),
        "origins": [origin.value for origin in work.label.origins],
        "id": str(semantic_id or SemanticID(tuple(code))),
        "code": code,
        "agreement": [round(share, 6) for share in agreement],
        "passages": work.passages,
        "facts": facts,
    }


def write_codes(
    path: Path,
    *,
    codes_NL: NDArray[np.int64],
    sides: Sequence[str] | NDArray[np.object_],
    corpora: Corpora | None,
    texts: bool,
    positions: Mapping[int, tuple[float, float]] | None = None,
) -> None:
    """Write ``codes.parquet``, one row a passage in the order of training, some at a time.

    Columns: corpus, passage, text (where ``texts``), text_hash (SHA-256 of the text), split, label,
    code, and where rows have a place on the map, position (x and y). For bare vectors passage is the row, corpus is
    null, and there are no columns of texts and labels.
    """

    def columns(first: int, end: int) -> dict[str, pa.Array]:
        rows = slice(first, end)
        found = _vector_columns(first, end) if corpora is None else _text_columns(corpora, rows, texts=texts)
        found["split"] = pa.array(sides[rows], pa.string())
        if corpora is not None:
            labels = pa.array([list(work.label.codes) for work in corpora.works], pa.list_(pa.int64()))
            found["label"] = labels.take(pa.array(corpora.work_of_passage[rows]))
        found["code"] = code_column(codes_NL[rows])
        if positions is not None:
            found["position"] = pa.array([positions.get(row) for row in range(first, end)], pa.list_(pa.float32()))
        return found

    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for first in range(0, max(1, len(codes_NL)), _WRITTEN_ROWS):
            table = pa.table(columns(first, min(first + _WRITTEN_ROWS, len(codes_NL))))
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writer.write_table(table)


def _vector_columns(first: int, end: int) -> dict[str, pa.Array]:
    return {"corpus": pa.nulls(end - first, pa.string()), "passage": pa.array(np.arange(first, end), pa.int64())}


def _text_columns(corpora: Corpora, rows: slice, *, texts: bool) -> dict[str, pa.Array]:
    owners = corpora.work_of_passage[rows]
    firsts = np.asarray([work.first for work in corpora.works])
    columns = {
        "corpus": pa.array([work.id for work in corpora.works], pa.string()).take(pa.array(owners)),
        "passage": pa.array(np.arange(rows.start, rows.stop) - firsts[owners], pa.int64()),
    }
    if texts:
        columns["text"] = pa.array(corpora.texts[rows], pa.string())
    columns["text_hash"] = pa.array([text_hash(text) for text in corpora.texts[rows]], pa.string())
    return columns


def code_column(codes_NL: NDArray[np.int64]) -> pa.ListArray:
    """Codes as a column of ``codes.parquet``: a list of L whole numbers a row."""
    ends = np.arange(len(codes_NL) + 1) * codes_NL.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(codes_NL.reshape(-1), pa.int64()))


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
