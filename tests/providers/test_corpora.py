"""Reading a provider to its end: one table of works and passages, and an account of what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from wotd.errors import ConfigurationError, CorpusError, UnreadableWorkError
from wotd.providers.base import Provider, Work
from wotd.providers.corpora import collect
from wotd.taxonomy import Fact, Taxonomy

TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "test",
        "version": 1,
        "levels": [
            {"name": "age", "fact": "year_written", "rule": "edges", "edges": [1800], "codes": ["old", "new"]},
            {"name": "rank", "rule": "rank", "size": 2},
        ],
    }
)


class Shelf(Provider):
    """Works by ID, each a list of passages or an error, written in 1900 unless unknown."""

    name = "shelf"

    def __init__(self, works: Sequence[tuple[str, Sequence[str] | Exception]], dated: bool = True) -> None:
        super().__init__()
        self.given, self.dated = works, dated

    def works(self) -> Iterator[Work]:
        for name, passages in self.given:
            facts = {"year_written": Fact.stated(1900)} if self.dated else {}

            def read(found: Sequence[str] | Exception = passages) -> Sequence[str]:
                if isinstance(found, Exception):
                    raise found
                return found

            yield Work(f"shelf:{name}", facts | {"title": Fact.stated(name.upper())}, read)


def test_passages_stand_together_with_their_work_and_label() -> None:
    corpora = collect(Shelf([("b", ["one", "two"]), ("a", ["three"]), ("c", ["four", "five"])]), TAXONOMY)
    assert [work.id for work in corpora.works] == ["shelf:b", "shelf:a", "shelf:c"]
    assert corpora.texts == ["one", "two", "three", "four", "five"]
    assert [(work.first, work.passages) for work in corpora.works] == [(0, 2), (2, 1), (3, 2)]
    assert corpora.work_of_passage.tolist() == [0, 0, 1, 2, 2]
    # Ranks go by ID, for all works arrive together.
    assert corpora.labels.tolist() == [[1, 1], [1, 1], [1, 0], [1, 2], [1, 2]]
    assert corpora.labels.dtype == np.int64
    assert [work.title for work in corpora.works] == ["B", "A", "C"]


def test_unknown_is_minus_one() -> None:
    assert collect(Shelf([("a", ["one"])], dated=False), TAXONOMY).labels.tolist() == [[-1, -1]]


def test_works_without_passages_are_counted_with_their_reason() -> None:
    shelf = Shelf([("a", []), ("b", ["one"]), ("c", UnreadableWorkError("torn")), ("d", UnreadableWorkError("torn"))])
    corpora = collect(shelf, TAXONOMY)
    assert [work.id for work in corpora.works] == ["shelf:b"]
    assert corpora.dropped.works == {"no passage of 20 words or more": 1, "torn": 2}
    assert corpora.dropped.examples["torn"] == ["shelf:c", "shelf:d"]


def test_a_bug_of_a_provider_is_no_dropped_work() -> None:
    with pytest.raises(ZeroDivisionError):
        collect(Shelf([("a", ZeroDivisionError())]), TAXONOMY)


@pytest.mark.parametrize(
    ("works", "sentence"),
    [
        ([], r"^the provider shelf gave no passage \(no work found\)\.$"),
        ([("a", []), ("b", UnreadableWorkError("torn"))], r"\(1 no passage of 20 words or more, 1 torn\)"),
        ([("a", ["one"]), ("a", ["two"])], "^two works have the ID shelf:a; IDs must be unique"),
    ],
)
def test_what_is_no_corpus(works: list, sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence):
        collect(Shelf(works), TAXONOMY)


def test_published_labels_stay_and_newcomers_take_the_next_rank() -> None:
    published = {"shelf:b": [0, 1], "shelf:gone": [1, 4]}
    corpora = collect(Shelf([("b", ["one"]), ("a", ["two"])]), TAXONOMY, published=published)
    assert [work.label.codes for work in corpora.works] == [(0, 1), (1, 5)]


def test_a_full_cell_names_what_to_raise() -> None:
    shelf = Shelf([(name, [name]) for name in "abc"])
    assert [full.works for full in collect(shelf, TAXONOMY).overflows] == [3]
    sentence = r"1 cell holds more works than the level 'rank' has codes \(2\); the fullest \(new\) holds 3"
    with pytest.raises(ConfigurationError, match=sentence):
        collect(shelf, TAXONOMY, strict=True)
