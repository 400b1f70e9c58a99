"""The passages and works that artifacts hold, found by semantic ID, by work and by word.

Shape letters: N passages, C distinct codes, L levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.artifacts import Artifacts
from wotd.collision_policy import published_id
from wotd.concordance import Word
from wotd.errors import InputError
from wotd.id_index.code_groups import NO_CODE, CodeGroups, Whole
from wotd.semantic_ids import IDPattern, SemanticID

MAX_BRANCHES = 2048
"""The most branches that a :class:`Tree` shows at once."""

_SHOWN = ("corpus", "passage", "text", "code")
"""Columns of ``codes.parquet`` that say what a passage is."""


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


@dataclass(frozen=True)
class Passage:
    """A stored passage.

    Attributes:
        corpus: ID of its work; empty for bare vectors.
        title: title of its work.
        author: authors of its work, joined.
        passage: its place in the work, or its row.
        text: the passage itself; None where the artifacts keep no texts.
        id: text form of its code.
        places: where in the text the word stands that was looked for: pairs of the first character and the one behind
            the last, in code points.
    """

    corpus: str
    title: str
    author: str | None
    passage: int
    text: str | None
    id: str
    places: list[tuple[int, int]] = field(default_factory=list)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON lines carry it."""
        return asdict(self)


@dataclass(frozen=True)
class Passages:
    """Some of the passages that were asked for, and how many there are in all."""

    total: int
    passages: list[Passage]


@dataclass(frozen=True)
class WordGroup:
    """The passages of one ID that contain a word.

    Attributes:
        id: the ID, or the prefix that they were grouped by.
        names: names of its codes.
        passages: how many contain the word.
        examples: some of them, of as many works as can be.
    """

    id: str
    names: list[str]
    passages: int
    examples: list[Passage]


@dataclass(frozen=True)
class WordFound:
    """Where a word occurs.

    Attributes:
        word: what was looked for, in lower case.
        pattern: the IDs it was looked for in.
        total: how many passages contain it.
        searched: of how many.
        ids: how many IDs these passages have, or prefixes they were grouped by.
        groups: passages by ID, the ID with most of them first.
        works: the works they are of, with the number of them as ``passages``, the work with most of them first.
    """

    word: str
    pattern: str
    total: int
    searched: int
    ids: int
    groups: list[WordGroup]
    works: list[dict[str, Any]]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON carries it."""
        return asdict(self)


@dataclass(frozen=True)
class Tree:
    """IDs below an ID.

    Attributes:
        id: the prefix.
        name: name of its last code; empty for the root.
        passages: how many stored passages bear it.
        children: those one level below, in order.
        more: how many more there are one level below, of fewer passages each, than are shown as children.
    """

    id: str
    name: str
    passages: int
    children: list[Tree] = field(default_factory=list)
    more: int = 0

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

    def rows(self, code: int) -> NDArray[Whole]:
        """Passages that bear the code of that place in ``codes_CL``, in stored order."""
        return self._grouped.rows_of(slice(code, code + 1))

    @property
    def id_levels(self) -> int:
        """How many indices the longest ID has: as many as there are levels, one more where works bear a suffix."""
        return len(self._works_by_id.levels)

    def count(self, prefix: SemanticID) -> int:
        """How many passages bear the prefix, or the code before its suffix: passages have none."""
        return self._grouped.count(self._of_passages(prefix))

    def children(self, prefix: SemanticID) -> list[tuple[SemanticID, int]]:
        """IDs one level below the prefix that passages bear, in order, and how many bear each."""
        return self._grouped.children(prefix)

    def works(self, prefix: SemanticID | IDPattern) -> list[dict[str, Any]]:
        """Corpus ID, title, author and ID of the works whose own ID begins so."""
        return [self._work(place) for place in self._works_by_id.matching(prefix).tolist()]

    def _work(self, place: int) -> dict[str, Any]:
        corpus, entry, semantic_id = self._works[place]
        return {"corpus": corpus, "title": entry["title"], "author": entry["author"], "id": str(semantic_id)}

    def work(self, corpus: str) -> dict[str, Any] | None:
        """What ``semantic_ids.json`` says of a work; None where it knows none of that corpus ID."""
        return self._corpora.get(corpus)

    def passages(self, pattern: IDPattern, corpus: str | None = None) -> NDArray[np.int64]:
        """Rows of the passages whose code matches, of all works or of one, in stored order."""
        import pyarrow.compute as pc

        rows = self._grouped.matching(self._of_passages(pattern))
        if corpus is not None:
            rows = rows[pc.fill_null(pc.equal(self._table["corpus"], corpus), False).to_numpy()[rows]]
        return rows

    def passage(self, row: int, word: Word | None = None) -> Passage:
        """The passage in a row of the table, and where the word stands in it."""
        values = self._values(row)
        places = [] if word is None or values["text"] is None else word.places(values["text"])
        return Passage(**values, places=places)

    def neighbor(self, row: int, distance: float) -> Neighbor:
        """The passage in a row of the table, as something found at that distance."""
        return Neighbor(**self._values(row), distance=round(distance, 6))

    @property
    def keeps_texts(self) -> bool:
        """Whether the passages' texts are stored."""
        return "text" in self._table.column_names

    def containing(self, word: Word, pattern: IDPattern) -> NDArray[np.int64]:
        """Rows of the passages that contain a word and whose code matches, in stored order.

        Raises:
            InputError: if no texts are stored.
        """
        if not self.keeps_texts:
            raise InputError(
                "these artifacts keep no texts of passages, so no word can be found in them; those of a run on texts "
                "with artifacts.texts=true do."
            )
        return word.rows(self._table["text"], self.passages(pattern) if len(pattern) else None)

    def by_id(self, rows: NDArray[np.int64], depth: int) -> list[tuple[SemanticID, NDArray[np.int64]]]:
        """Rows grouped by the first levels of their code, the largest group first, then in order of ID."""
        begins_C = np.ones(
            len(self.codes_CL), dtype=np.bool_
        )  # codes are in order, so those of a prefix stand together
        begins_C[1:] = (np.diff(self.codes_CL[:, :depth], axis=0) != 0).any(1)
        prefixes_KL = self.codes_CL[begins_C, :depth]
        prefix_N = (np.cumsum(begins_C) - 1)[self._grouped.places[rows]]
        groups, counts = np.unique(prefix_N, return_counts=True)
        parts = np.split(rows[np.argsort(prefix_N, kind="stable")], np.cumsum(counts)[:-1])
        return [
            (SemanticID(tuple(prefixes_KL[groups[place]].tolist())), parts[place])
            for place in np.argsort(-counts, kind="stable")
        ]

    def by_work(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Works of rows, as :meth:`works` gives them, and how many of the rows each has; the most first."""
        counts = {
            each["values"]: each["counts"] for each in self._table["corpus"].take(rows).value_counts().to_pylist()
        }
        places = sorted(self._place_of_work[corpus] for corpus in counts if corpus in self._place_of_work)
        found = [{**work, "passages": counts[work["corpus"]]} for work in map(self._work, places)]
        return sorted(found, key=lambda work: -work["passages"])

    def in_turns(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same rows, works taking turns: the first of each work, in order, then the second of each, and so on."""
        work_N = self._work_N[rows]
        order = np.argsort(work_N, kind="stable")
        ends = np.flatnonzero(np.diff(work_N[order])) + 1
        starts = np.concatenate([[0], ends]) if len(rows) else ends
        turn_N = np.empty(len(rows), dtype=np.int64)
        turn_N[order] = np.arange(len(rows)) - np.repeat(starts, np.diff([*starts, len(rows)]))
        return rows[np.argsort(turn_N, kind="stable")]

    def tree(self, prefix: SemanticID, depth: int, name: Callable[[SemanticID], str]) -> Tree:
        """What passages bear below a prefix, so many levels deep, or fewer where that would be too many branches."""
        below = self._grouped.below(prefix.indices[: len(self._level_sizes)])
        places_C = np.arange(below.start, below.stop)
        deepest = min(len(prefix) + depth, len(self._level_sizes))
        while deepest > len(prefix) + 1 and self._branches(places_C, len(prefix), deepest) > MAX_BRANCHES:
            deepest -= 1
        return self._branch(prefix, places_C, deepest, name)

    def _branches(self, places_C: NDArray[np.int64], top: int, deepest: int) -> int:
        """How many prefixes longer than ``top`` and up to ``deepest`` these codes have; the codes are in order."""
        differ_CL = np.diff(self.codes_CL[places_C, :deepest], axis=0) != 0
        return sum(1 + int(differ_CL[:, :length].any(1).sum()) for length in range(top + 1, deepest + 1))

    def _branch(
        self, prefix: SemanticID, places_C: NDArray[np.int64], deepest: int, name: Callable[[SemanticID], str]
    ) -> Tree:
        passages_C = self._grouped.counts_C[places_C]
        children: list[Tree] = []
        more = 0
        if len(prefix) < deepest and len(places_C):
            indices, firsts = np.unique(self.codes_CL[places_C, len(prefix)], return_index=True)
            shown = np.sort(np.argsort(-np.add.reduceat(passages_C, firsts), kind="stable")[:MAX_BRANCHES])
            parts = np.split(places_C, firsts[1:])
            children = [
                self._branch(SemanticID((*prefix, int(indices[each]))), parts[each], deepest, name) for each in shown
            ]
            more = len(indices) - len(shown)
        return Tree(str(prefix), name(prefix), int(passages_C.sum()), children, more)

    def _values(self, row: int) -> dict[str, Any]:
        values = {name: self._table[name][row].as_py() for name in self._table.column_names if name in _SHOWN}
        entry = self._corpora.get(values["corpus"], {})
        return {
            "corpus": values["corpus"] or "",
            "title": entry.get("title", ""),
            "author": entry.get("author"),
            "passage": values["passage"],
            "text": values.get("text"),
            "id": str(SemanticID(tuple(values["code"]))),
        }

    def _of_passages(self, pattern: SemanticID | IDPattern) -> IDPattern:
        """The pattern without a suffix, which only IDs of works may have behind the last level."""
        return IDPattern(pattern.indices[: len(self._level_sizes)])

    @cached_property
    def _corpora(self) -> dict[str, Any]:
        corpora: dict[str, Any] = self._artifacts.semantic_ids()["corpora"]
        return corpora

    @cached_property
    def _works(self) -> list[tuple[str, dict[str, Any], SemanticID]]:
        ids = ((corpus, entry, published_id(entry)) for corpus, entry in self._corpora.items())
        return [(corpus, entry, semantic_id) for corpus, entry, semantic_id in ids if semantic_id is not None]

    @cached_property
    def _place_of_work(self) -> dict[str, int]:
        return {corpus: place for place, (corpus, _, _) in enumerate(self._works)}

    @cached_property
    def _works_by_id(self) -> CodeGroups:
        lengths_W = np.array([len(semantic_id) for _, _, semantic_id in self._works], dtype=np.int64)
        depth = int(lengths_W.max(initial=len(self._level_sizes)))
        ids_WL = np.full((len(lengths_W), depth), NO_CODE)
        indices = chain.from_iterable(semantic_id for _, _, semantic_id in self._works)
        ids_WL[np.arange(depth) < lengths_W[:, None]] = np.fromiter(indices, dtype=np.int64)
        return CodeGroups.of(ids_WL)

    @cached_property
    def _table(self) -> Any:
        return self._artifacts.codes()

    @cached_property
    def _work_N(self) -> NDArray[np.int64]:  # noqa: N802  shape letters
        """A number for the work of each passage, the same for the same work."""
        indices = self._table["corpus"].dictionary_encode().combine_chunks().indices
        return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    @cached_property
    def _grouped(self) -> CodeGroups:
        column = self._table["code"].combine_chunks()
        flat: NDArray[np.int64] = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        return CodeGroups.of(flat.reshape(len(column), len(self._level_sizes)))
