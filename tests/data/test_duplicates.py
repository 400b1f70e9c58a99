"""Near-duplicates, against a reference that compares every pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.data import duplicates
from wotd.data.duplicates import RUN_WORDS, SHARED, near_duplicates


def runs_of(text: str) -> set[tuple[str, ...]]:
    words = text.casefold().split()
    return {tuple(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1)}


def brute_force(texts: list[str], *, common: int = 50) -> list[tuple[int, int]]:
    runs = [runs_of(text) for text in texts]
    holders = {run: sum(run in one for one in runs) for run in set().union(*runs)}
    counted = {run for run, count in holders.items() if count <= common}
    found = []
    for a, b in combinations(range(len(texts)), 2):
        shared = len(runs[a] & runs[b] & counted)
        if shared >= 2 and shared >= SHARED * min(len(runs[a]), len(runs[b])):
            found.append((a, b))
    return found


def pairs(texts: list[str]) -> list[tuple[int, int]]:
    found = near_duplicates(texts)
    assert found.dtype == np.int64
    assert found.shape[1:] == (2,)
    return [tuple(pair) for pair in found.tolist()]


@pytest.fixture(scope="module", autouse=True)
def _every_run():
    """Compare every run, so that the reference can be exact; the sample is tested by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_SAMPLED", 1)
        yield


text = st.lists(st.sampled_from(["a", "b", "c"]), max_size=20).map(" ".join)


@given(texts=st.lists(text, max_size=8))
@settings(max_examples=60)
def test_the_pairs_are_those_of_the_reference(texts: list[str]) -> None:
    assert pairs(texts) == brute_force(texts) if texts else pairs(texts) == []


def prose(words: int, seed: int) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 3000, words)]


def test_passages_cut_elsewhere_from_one_text_are_found() -> None:
    story = prose(600, 1)
    first = [" ".join(story[i : i + 60]) for i in range(0, 600, 60)]
    second = [" ".join(story[i : i + 80]) for i in range(13, 573, 80)]
    texts = first + second + [" ".join(prose(60, 2))]
    found = pairs(texts)
    assert found == brute_force(texts)
    # Where a cut falls into the middle of a passage, neither half is half of its runs; one in a work is enough.
    assert len({a for pair in found for a in pair}) >= 0.8 * (len(first) + len(second))


@pytest.mark.parametrize(("shared", "found"), [(29, True), (27, False)])
def test_half_of_the_shorter_one_is_the_limit(shared: int, found: bool) -> None:
    one, other = prose(50, 3), prose(90, 4)  # 43 runs are in the shorter one, 22 of them in 29 words
    copied = " ".join(other[:20] + one[:shared] + other[20:])
    assert pairs([" ".join(one), copied]) == ([(0, 1)] if found else [])


@pytest.mark.parametrize("copies", [50, 51])
def test_what_stands_everywhere_is_a_formula(copies: int) -> None:
    texts = [" ".join(prose(30, 5))] * copies
    assert len(pairs(texts)) == (copies * (copies - 1) // 2 if copies <= 50 else 0)


def test_case_and_typography_do_not_hide_a_copy() -> None:
    plain = "it was the best of times it was the worst of times it was the age of wisdom it was the age"
    assert pairs(
        [plain, "“It was the Best of times; it was the worst of times — it was the age of wisdom, it was the age"]
    )


@pytest.mark.parametrize(
    "texts", [[], [""], ["", "", ""], ["too few words"], ["one two three four five six seven"] * 2]
)
def test_texts_without_a_run_have_no_pairs(texts: list[str]) -> None:
    assert pairs(texts) == []


def test_a_run_does_not_reach_into_the_next_passage() -> None:
    words = prose(14, 6)
    halves = [" ".join(words[:7]), " ".join(words[7:])]
    assert pairs(halves + halves) == []


def test_a_run_that_a_passage_repeats_counts_once() -> None:
    chorus = " ".join(prose(9, 7))  # two runs, and those where it meets itself
    texts = [f"{chorus} {chorus} {chorus} " + " ".join(prose(40, 8)), f"{chorus} " + " ".join(prose(40, 9))]
    assert pairs(texts) == brute_force(texts) == []


def test_the_sample_of_runs_finds_copies_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    texts = [" ".join(prose(20, seed)) for seed in range(400)]  # the shortest passages there are
    found = pairs(texts + texts)
    assert set(found) <= {(i, i + 400) for i in range(400)}
    assert len(found) >= 396


def test_the_sample_of_runs_decides_as_the_whole_does_on_longer_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_SAMPLED", 2)
    texts = []
    for seed in range(30):
        story = prose(120, 100 + seed)
        texts += [" ".join(story[:80]), " ".join(story[20:110]), " ".join(story[60:])]
    clear = {pair for pair in brute_force(texts) if pair[1] - pair[0] == 1 and pair[0] % 3 == 0}
    assert clear <= set(pairs(texts))
    assert all(a // 3 == b // 3 for a, b in pairs(texts))
