"""A provider's works and passages as one table, with the label of each work."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wotd.errors import ConfigurationError, CorpusError, UnreadableWorkError
from wotd.progress import track
from wotd.providers.base import Dropped, Provider, Work
from wotd.taxonomy import UNKNOWN_CODE, Facts, Label, Overflow, Taxonomy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """One work that was read: its ID, what is known of it, its label, and where its passages lie."""

    id: str
    title: str
    authors: tuple[str, ...]
    facts: Facts
    label: Label
    first: int
    passages: int


@dataclass(frozen=True)
class Corpora:
    """All works of a run in order of arrival, their passages in one list, and what was left out."""

    works: list[Corpus]
    texts: list[str]
    dropped: Dropped
    overflows: list[Overflow]

    @cached_property
    def work_of_passage(self) -> NDArray[np.int64]:
        """For each passage, the index of its work; int64 of length N."""
        return np.repeat(np.arange(len(self.works)), [work.passages for work in self.works])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the passages (those of their works), int64 N×levels, -1 where unknown."""
        rows = [[UNKNOWN_CODE if c is None else c for c in work.label.codes] for work in self.works]
        return np.asarray(rows, dtype=np.int64)[self.work_of_passage]


def collect(
    provider: Provider,
    taxonomy: Taxonomy,
    *,
    published: Mapping[str, Sequence[int | None]] | None = None,
    strict: bool = False,
) -> Corpora:
    """Read a provider to the end and label what it gave.

    Args:
        provider: where works come from.
        taxonomy: the rules.
        published: labels that must not move, by corpus ID.
        strict: make a cell with more works than the last level has codes an error.

    Raises:
        CorpusError: if no passage came, or two works share an ID.
        ConfigurationError: if strict, and a cell overflows.
    """
    read: dict[str, tuple[Work, int, int]] = {}
    texts: list[str] = []
    for work, passages in _non_empty(provider):
        if work.id in read:
            raise CorpusError(f"two works have the ID {work.id}; IDs must be unique within a run.")
        read[work.id] = (work, len(texts), len(passages))
        texts.extend(passages)
    if not texts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in provider.dropped.works.items()) or "no work found"
        raise CorpusError(f"the provider {provider.name} gave no passage ({reasons}).")
    labels = taxonomy.label_works(((work.id, work.facts) for work, _, _ in read.values()), published)
    overflows = taxonomy.overflows(labels.values())
    _report_overflows(taxonomy, overflows, strict)
    works = [
        Corpus(work.id, work.title, work.authors, work.facts, labels[work.id], first, count)
        for work, first, count in read.values()
    ]
    return Corpora(works, texts, provider.dropped, overflows)


def _non_empty(provider: Provider) -> Iterator[tuple[Work, Sequence[str]]]:
    for work in track(provider.works(), "reading works", unit="works"):
        try:
            passages = work.passages()
        except UnreadableWorkError as error:
            provider.dropped.work(work.id, str(error))
            continue
        if passages:
            yield work, passages
        else:
            provider.dropped.work(work.id, "no passage of 20 words or more")


def _report_overflows(taxonomy: Taxonomy, overflows: Sequence[Overflow], strict: bool) -> None:
    if not overflows:
        return
    fullest = overflows[0]
    level = taxonomy.levels[-1]
    cell = ", ".join(taxonomy.describe(fullest.cell))
    sentence = (
        f"{len(overflows)} {'cell holds' if len(overflows) == 1 else 'cells hold'} more works than the level "
        f"'{level.name}' has codes ({level.size}); the fullest "
        f"({cell}) holds {fullest.works}: raise the level's size to at least {fullest.works}"
    )
    if strict:
        raise ConfigurationError(f"{sentence}, or set taxonomy.strict=false to let them share codes.")
    logger.warning("%s to give each a code of its own.", sentence)
