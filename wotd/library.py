"""The passages and works that artifacts hold, found by semantic ID.

Shape letters: N passages, C distinct codes, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.artifacts import Artifacts
from wotd.collision_policy import published_id
from wotd.semantic_ids import SemanticID


@dataclass(frozen=True)
class Neighbor:
    """A stored passage near a query.

    Attributes:
        corpus: ID of its work.
        title: title of its work.
        author: authors of its work, joined.
        passage: its place in the work.
        text: the passage itself; None where the artifacts keep no texts.
        id: text form of its code.
        distance: squared distance of the query's embedding from what the code decodes to.
    """

    corpus: str
    title: str
    author: str | None
    passage: int
    text: str | None
    id: str
    distance: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON lines carry it."""
        return asdict(self)


@dataclass(frozen=True)
class Branch:
    """What lies below a prefix.

    Attributes:
        id: the prefix.
        names: names of its codes.
        passages: how many stored passages bear it.
        children: IDs one level below with their names and counts.
        works: corpus IDs, titles and published IDs of works whose ID begins with the prefix.
    """

    id: str
    names: list[str]
    passages: int
    children: list[dict[str, Any]]
    works: list[dict[str, Any]]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON carries it."""
        return asdict(self)


class Library:
    """The stored passages grouped by code, and the works with their own; read when first asked for."""

    def __init__(self, artifacts: Artifacts, level_sizes: Sequence[int]) -> None:
        """Look into artifacts whose codes have levels of these sizes."""
        self._artifacts = artifacts
        self._level_sizes = tuple(level_sizes)

    def __len__(self) -> int:
        """How many passages there are."""
        return len(self._table)

    @property
    def codes_CL(self) -> NDArray[np.int64]:  # noqa: N802  shape letters
        """The distinct codes, in order."""
        return self._grouped.codes_CL

    def rows(self, code: int) -> NDArray[np.int64]:
        """Passages that bear the code of that place in ``codes_CL``, in stored order."""
        grouped = self._grouped
        return grouped.rows_N[grouped.ends_C[code] - grouped.passages_C[code] : grouped.ends_C[code]]

    @property
    def id_levels(self) -> int:
        """How many indices the longest ID has: as many as there are levels, one more where works bear a suffix."""
        return max([len(self._level_sizes), *(len(semantic_id) for _, _, semantic_id in self._works)])

    def count(self, prefix: SemanticID) -> int:
        """How many passages bear the prefix, or the code before its suffix: passages have none."""
        return int(self._grouped.passages_C[self._below(prefix)].sum())

    def children(self, prefix: SemanticID) -> list[tuple[SemanticID, int]]:
        """IDs one level below the prefix that passages bear, in order, and how many bear each."""
        depth = len(prefix)
        if depth >= len(self._level_sizes):
            return []
        below_C = self._below(prefix)
        counts_K = np.zeros(self._level_sizes[depth], dtype=np.int64)
        np.add.at(counts_K, self.codes_CL[below_C, depth], self._grouped.passages_C[below_C])
        return [(SemanticID((*prefix, int(index))), int(counts_K[index])) for index in np.flatnonzero(counts_K)]

    def works(self, prefix: SemanticID) -> list[dict[str, Any]]:
        """Corpus ID, title, author and ID of the works whose own ID begins with the prefix."""
        return [
            {"corpus": corpus, "title": entry["title"], "author": entry["author"], "id": str(semantic_id)}
            for corpus, entry, semantic_id in self._works
            if semantic_id.startswith(prefix)
        ]

    def neighbor(self, row: int, distance: float) -> Neighbor:
        """The passage in a row of the table, as something found at that distance."""
        values = {name: self._table[name][row].as_py() for name in self._table.column_names}
        entry = self._corpora.get(values["corpus"], {})
        return Neighbor(
            corpus=values["corpus"] or "",
            title=entry.get("title", ""),
            author=entry.get("author"),
            passage=values["passage"],
            text=values.get("text"),
            id=str(SemanticID(tuple(values["code"]))),
            distance=round(distance, 6),
        )

    def _below(self, prefix: SemanticID) -> NDArray[np.bool_]:
        wanted = np.asarray(prefix.indices[: len(self._level_sizes)], dtype=np.int64)
        below: NDArray[np.bool_] = (self.codes_CL[:, : len(wanted)] == wanted).all(1)
        return below

    @cached_property
    def _corpora(self) -> dict[str, Any]:
        corpora: dict[str, Any] = self._artifacts.semantic_ids()["corpora"]
        return corpora

    @cached_property
    def _works(self) -> list[tuple[str, dict[str, Any], SemanticID]]:
        ids = ((corpus, entry, published_id(entry)) for corpus, entry in self._corpora.items())
        return [(corpus, entry, semantic_id) for corpus, entry, semantic_id in ids if semantic_id is not None]

    @cached_property
    def _table(self) -> Any:
        return self._artifacts.codes()

    @cached_property
    def _grouped(self) -> _CodeGroups:
        column = self._table["code"].combine_chunks()
        flat: NDArray[np.int64] = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        return _CodeGroups.of(flat.reshape(len(column), len(self._level_sizes)))


@dataclass(frozen=True)
class _CodeGroups:
    """Distinct codes in order, how many passages bear each, and which, those of one code together."""

    codes_CL: NDArray[np.int64]
    passages_C: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    ends_C: NDArray[np.int64]

    @classmethod
    def of(cls, codes_NL: NDArray[np.int64]) -> _CodeGroups:
        codes_CL, code_N = np.unique(codes_NL, axis=0, return_inverse=True)
        passages_C = np.bincount(code_N.reshape(-1), minlength=len(codes_CL))
        return cls(codes_CL, passages_C, np.argsort(code_N.reshape(-1), kind="stable"), np.cumsum(passages_C))
