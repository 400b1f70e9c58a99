"""Nobody's words are on two sides, and the same data is split the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wotd.data.splits import TEST, TRAIN, VAL, SplitBy, assign_sides, author_key, split_passages, split_rows
from wotd.errors import CorpusError, TrainingError
from wotd.providers.base import Dropped
from wotd.providers.corpora import Corpora, Corpus
from wotd.taxonomy import Label


def prose(words: int, seed: int) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 5000, words)]


def corpora(works: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Corpora:
    """Works of these authors and passages."""
    listed, texts = [], []
    for index, (authors, passages) in enumerate(works):
        label = Label((), ())
        listed.append(Corpus(f"x:{index}", f"work {index}", tuple(authors), {}, label, len(texts), len(passages)))
        texts.extend(passages)
    return Corpora(listed, texts, Dropped(), [])


def distinct(works: Sequence[Sequence[str]], passages: int = 3) -> Corpora:
    """Works of these authors whose passages share nothing."""
    return corpora(
        [
            (authors, [" ".join(prose(25, 1000 * index + n)) for n in range(passages)])
            for index, authors in enumerate(works)
        ]
    )


def split(data: Corpora, by: str = "author", seed: int = 0, val: float = 0.2, test: float = 0.2) -> np.ndarray:
    return split_passages(data, by=SplitBy(by), val_fraction=val, test_fraction=test, seed=seed)


def sides_of_works(data: Corpora, sides: np.ndarray) -> list[set[int]]:
    return [set(sides[work.first : work.first + work.passages].tolist()) for work in data.works]


NAMES = ["Edgar Allan Poe", "Jane Austen", "Émile Zola", "Homer", "Li Bai", "George Eliot", "Mary Shelley"]


def turned(name: str) -> str:
    first, _, last = name.rpartition(" ")
    return f"{last}, {first}" if first else last


names = st.tuples(st.integers(0, len(NAMES) - 1), st.booleans()).map(
    lambda p: turned(NAMES[p[0]]) if p[1] else NAMES[p[0]]
)


@given(authors=st.lists(st.lists(names, min_size=1, max_size=2), min_size=9, max_size=14), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_no_author_is_on_two_sides(authors: list[list[str]], seed: int) -> None:
    data = distinct(authors, passages=1)
    try:
        sides = split(data, seed=seed)
    except CorpusError:  # co-authors have joined all into fewer than three groups
        return
    seen: dict[str, set[int]] = {}
    for work, found in zip(data.works, sides_of_works(data, sides), strict=True):
        for name in work.authors:
            seen.setdefault(author_key(name), set()).update(found)
    assert all(len(found) == 1 for found in seen.values())
    assert set(sides) == {TRAIN, VAL, TEST}


@pytest.mark.parametrize(
    "spelling",
    ["Poe, Edgar Allan", "Edgar Allan Poe", "EDGAR ALLAN POE", "Poe, Edgar  Allan.", "Édgar Allan Poe"],
)
def test_one_author_has_one_key_however_the_name_is_written(spelling: str) -> None:
    assert author_key(spelling) == author_key("Edgar Allan Poe")


@pytest.mark.parametrize("name", ["Anonymous", "unknown", "Various", " ", "Traditional"])
def test_who_is_not_named_is_not_one_author(name: str) -> None:
    assert author_key(name) == ""
    data = distinct([[name]] * 5 + [[]])
    assert len(set(split(data).tolist())) == 3  # joined, they would be one group and an error


def test_other_names_stay_apart() -> None:
    assert len({author_key(name) for name in [*NAMES, "Li Po", "Jane Eliot"]}) == len(NAMES) + 2


def test_coauthors_tie_their_works_together() -> None:
    data = distinct([["A"], ["A", "B"], ["B", "C"], ["C"], ["D"], ["E"], ["F"]])
    assert len(set().union(*sides_of_works(data, split(data))[:4])) == 1


@pytest.mark.parametrize("by", ["author", "work"])
def test_a_second_edition_that_is_cut_differently_stays_with_the_first(by: str) -> None:
    for seed in range(8):
        story = prose(800, seed)
        first = [" ".join(story[i : i + 70]) for i in range(0, 770, 70)]
        second = [" ".join(story[i : i + 50]) for i in range(31, 781, 50)]
        others = [([f"author {n}"], [" ".join(prose(40, 50 + n))]) for n in range(12)]
        data = corpora([(["The Author"], first), *others, (["An Editor"], second)])
        sides = sides_of_works(data, split(data, by=by, seed=seed))
        assert sides[0] == sides[-1]
        assert len(sides[0]) == 1


def test_by_passage_copies_stay_together_and_works_do_not() -> None:
    passages = [" ".join(prose(30, n)) for n in range(40)]
    data = corpora([(["A"], passages[:20]), (["A"], passages[20:]), (["B"], passages[:10])])
    sides = split(data, by="passage")
    np.testing.assert_array_equal(sides[:10], sides[40:])
    assert any(len(found) > 1 for found in sides_of_works(data, sides))


def test_by_work_an_author_may_be_on_two_sides_but_no_work() -> None:
    data = distinct([["A"]] * 12)
    sides = sides_of_works(data, split(data, by="work"))
    assert all(len(found) == 1 for found in sides)
    assert len(set.union(*sides)) == 3


@pytest.mark.parametrize("by", list(SplitBy))
def test_the_split_is_the_seeds(by: SplitBy) -> None:
    data = distinct([[f"author {n}"] for n in range(30)])
    np.testing.assert_array_equal(split(data, by=by, seed=4), split(data, by=by, seed=4))
    assert not np.array_equal(split(data, by=by, seed=4), split(data, by=by, seed=5))


@pytest.mark.parametrize(
    ("by", "works", "sentence"),
    [
        ("author", 1, "data.split_by=author finds 1 separate author .* need 3: .*data.split_by=work or"),
        ("author", 2, "finds 1 separate author "),
        ("work", 2, "data.split_by=work finds 2 separate works .* data.split_by=passage"),
        ("passage", 1, "data.split_by=passage finds 2 separate passages"),
    ],
)
def test_too_few_to_give_every_side_one(by: str, works: int, sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence) as caught:
        split(distinct([["A"]] * works, passages=2), by=by)
    assert str(caught.value).endswith(".")


def test_copies_may_leave_too_few() -> None:
    passage = " ".join(prose(40, 1))
    data = corpora([([name], [passage, " ".join(prose(40, n + 2))]) for n, name in enumerate("ABCD")])
    with pytest.raises(CorpusError, match="finds 1 separate author "):
        split(data)


def test_without_a_test_side_two_groups_are_enough() -> None:
    assert set(split(distinct([["A"], ["B"]]), val=0.3, test=0).tolist()) == {TRAIN, VAL}


@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=60),
    val=st.sampled_from([0.05, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 99),
)
@example(sizes=[19, 1, 25, 40, 35], val=0.05, test=0.3, seed=81)
def test_groups_are_whole_and_every_side_gets_one(sizes: list[int], val: float, test: float, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)) * 7, sizes)
    sides = assign_sides(groups, val_fraction=val, test_fraction=test, seed=seed)
    assert all(len(set(sides[groups == group])) == 1 for group in np.unique(groups))
    assert set(sides) == {TRAIN, VAL} | ({TEST} if test else set())
    for side, fraction in ((VAL, val), (TEST, test)):
        share = (sides == side).sum()
        assert share <= max(1.5 * fraction * sum(sizes), max(sizes)) + 1e-9  # 1.5 · 0.3 · 120 is a bit below 54


def test_the_sides_are_near_their_fractions() -> None:
    sizes = np.random.default_rng(0).integers(1, 200, 300)
    groups = np.repeat(np.arange(300), sizes)
    for seed in range(5):
        sides = assign_sides(groups, val_fraction=0.1, test_fraction=0.2, seed=seed)
        shares = np.bincount(sides) / len(groups)
        np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_a_giant_is_trained_on(seed: int) -> None:
    groups = np.repeat([0, 1, 2], [1, 1000, 2])
    sides = assign_sides(groups, val_fraction=0.1, test_fraction=0.1, seed=seed)
    assert sides[5] == TRAIN
    assert set(sides) == {TRAIN, VAL, TEST}


def test_rows_are_split_by_number() -> None:
    sides = split_rows(1000, val_fraction=0.1, test_fraction=0.25, seed=0)
    assert np.bincount(sides).tolist() == [650, 100, 250]
    np.testing.assert_array_equal(sides, split_rows(1000, val_fraction=0.1, test_fraction=0.25, seed=0))
    assert not np.array_equal(sides, split_rows(1000, val_fraction=0.1, test_fraction=0.25, seed=1))
    assert np.bincount(split_rows(50, val_fraction=0.1, test_fraction=0, seed=0)).tolist() == [45, 5]


@pytest.mark.parametrize("rows", [3, 4, 5, 9])
def test_few_rows_still_give_every_side_one(rows: int) -> None:
    assert set(split_rows(rows, val_fraction=0.1, test_fraction=0.1, seed=0)) == {TRAIN, VAL, TEST}


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows(rows: int) -> None:
    with pytest.raises(TrainingError, match=f"data.vectors has {rows} rows, too few"):
        split_rows(rows, val_fraction=0.1, test_fraction=0.1, seed=0)
