"""IDs of works: unique where the policy says so, the same for whoever asks, and never moved again."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.collision_policy import CollisionPolicy, choose_policy, earlier_ids, publish_ids, published_id
from wotd.errors import ConfigurationError, InputError
from wotd.semantic_ids import SemanticID

SIZES = (2, 3)
NONE, SUFFIX, SPREAD = CollisionPolicy

policies = st.sampled_from(list(CollisionPolicy))
codes_st = st.tuples(*(st.integers(0, size - 1) for size in SIZES))
works_st = st.dictionaries(st.text("abcd", min_size=1, max_size=3), codes_st, max_size=12)


def spelled(ids) -> dict[str, str]:
    return {corpus: str(semantic_id) for corpus, semantic_id in ids.items()}


def nearest(codes):
    """By the distance of the indices, as if codewords lay on a line."""
    return lambda corpus: sorted(range(SIZES[-1]), key=lambda index: (abs(index - codes[corpus][-1]), index))


def publish(codes, policy, published=None):
    return publish_ids(codes, policy, last_size=SIZES[-1], published=published, closeness=nearest(codes))


# --- what holds whatever comes


@given(works_st, policies, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(codes, policy, random) -> None:
    shuffled = list(codes.items())
    random.shuffle(shuffled)
    ids = publish(codes, policy).ids
    assert publish(dict(shuffled), policy).ids == ids
    assert list(ids) == sorted(codes)


@given(works_st, works_st, policies, policies)
def test_published_ids_never_move(earlier, codes, before, now) -> None:
    """Works come, go and change their codes, the policy changes, and what was published stands."""
    published = publish(earlier, before).ids
    ids = publish(codes, now, published).ids
    assert ids.keys() == codes.keys()
    assert all(ids[corpus] == published[corpus] for corpus in codes.keys() & earlier.keys())
    shuffled = dict(reversed(published.items()))
    assert publish(codes, now, shuffled).ids == ids
    once_more = publish(codes, now, published | ids).ids
    assert once_more == ids, "what is published twice is published the same"


@given(works_st, works_st)
def test_a_suffix_makes_every_id_unique_for_all_time(earlier, codes) -> None:
    published = publish(earlier, SUFFIX).ids
    made = publish(codes, SUFFIX, published)
    everything = [*(published | made.ids).values()]
    assert len(set(everything)) == len(everything), "nobody inherits the ID of a work that went away"
    assert not any(a != b and a.startswith(b) for a in everything for b in everything)
    assert all(made.ids[c].prefix(2).indices == codes[c] for c in codes if c not in earlier)
    assert made.after == (0 if codes else pytest.approx(math.nan, nan_ok=True))


@given(works_st, works_st)
def test_spread_shares_only_what_is_full(earlier, codes) -> None:
    published = publish(earlier, SPREAD).ids
    made = publish(codes, SPREAD, published)
    bearers = Counter((published | made.ids).values())
    taken = {semantic_id.indices for semantic_id in bearers}
    for corpus in codes.keys() - earlier.keys():
        semantic_id, code = made.ids[corpus], codes[corpus]
        assert semantic_id.indices[:-1] == code[:-1]
        if semantic_id.indices != code:
            assert code in taken, "it would not have had to move"
            assert bearers[semantic_id] == 1 or earlier, "and moved to where nobody was"
    full = {cell for (cell,) in ((c[:-1],) for c in taken) if sum(t[:-1] == cell for t in taken) == SIZES[-1]}
    shared = {semantic_id.indices[:-1] for semantic_id, count in Counter(made.ids.values()).items() if count > 1}
    assert shared <= full | {published[c].indices[:-1] for c in published}
    if not earlier:
        assert shared <= full
        works = Counter(code[:-1] for code in codes.values())
        assert made.needed_size == max([SIZES[-1], *works.values()])
        assert made.left_over == sum(max(0, count - SIZES[-1]) for count in works.values())
        assert made.after == pytest.approx(made.left_over / len(codes) if codes else math.nan, nan_ok=True)


@given(works_st)
def test_without_a_policy_the_id_is_the_code(codes) -> None:
    made = publish(codes, NONE)
    assert {corpus: semantic_id.indices for corpus, semantic_id in made.ids.items()} == codes
    assert made.before == made.after or not codes
    assert (made.kept, made.outdated, made.moved, made.left_over) == (0, 0, 0, 0)


# --- by hand

CODES = {"a": (1, 0), "b": (1, 0), "c": (1, 1), "d": (1, 0), "e": (1, 0), "f": (0, 2)}


def test_suffixes_are_ranks_by_id() -> None:
    assert spelled(publish(CODES, SUFFIX).ids) == {
        "a": "1-0-0", "b": "1-0-1", "c": "1-1-0", "d": "1-0-2", "e": "1-0-3", "f": "0-2-0"
    }  # fmt: skip


def test_spread_takes_the_nearest_free_code_and_says_what_is_left_over() -> None:
    made = publish(CODES, SPREAD)
    assert spelled(made.ids) == {"a": "1-0", "b": "1-2", "c": "1-1", "d": "1-0", "e": "1-0", "f": "0-2"}
    assert (made.moved, made.left_over, made.needed_size) == (1, 2, 5)
    assert (made.before, made.after) == (pytest.approx(3 / 6), pytest.approx(2 / 6))
    said = "; ".join(made.sentences())
    assert "of 6 works 50.0% repeat the code of another and 33.3% its ID" in said
    assert "found no free code and share one: 2; raise the size of the last level to 5" in said


def test_spread_asks_which_code_is_nearest() -> None:
    codes = {"a": (0, 0), "b": (0, 0)}
    for order in ([0, 2, 1], [0, 1, 2]):
        made = publish_ids(codes, SPREAD, last_size=3, closeness=lambda _, order=order: order)
        assert str(made.ids["b"]) == f"0-{order[1]}"
    assert str(publish_ids(codes, SPREAD, last_size=3).ids["b"]) == "0-1"


def test_newcomers_make_room_for_what_is_published() -> None:
    published = {"gone": SemanticID((1, 0, 4)), "e": SemanticID((0, 0)), "bare": SemanticID((0, 2))}
    made = publish(CODES, SUFFIX, published)
    assert spelled(made.ids) == {
        "a": "1-0-5", "b": "1-0-6", "c": "1-1-0", "d": "1-0-7", "e": "0-0", "f": "0-2-1"
    }  # fmt: skip
    assert (made.kept, made.outdated) == (1, 1)
    assert "keep the ID published earlier: 1, of which 1 lie where" in made.sentences()[-1]
    spread = publish(CODES, SPREAD, {"gone": SemanticID((1, 1)), "e": SemanticID((1, 2))})
    assert spelled(spread.ids)["c"] == "1-1", "nothing is free in its cell any more"
    assert (spread.kept, spread.outdated, spread.left_over) == (1, 0, 3)


def test_collisions_that_nobody_minds_are_still_said() -> None:
    made = publish(CODES, NONE)
    assert made.to_mapping() == {
        "policy": "none",
        "works": 6,
        "collision_rate": {"before": pytest.approx(0.5), "after": pytest.approx(0.5)},
        **{"kept": 0, "outdated": 0, "moved": 0, "left_over": 0, "needed_size": 3},
    }
    assert "artifacts.collisions=suffix or spread" in made.sentences()[1]
    assert len(publish({"a": (0, 0)}, NONE).sentences()) == 1


def test_a_policy_nobody_knows() -> None:
    assert choose_policy("spread") is SPREAD
    with pytest.raises(ConfigurationError, match=r"artifacts\.collisions is 'sufix'; expected one of none, suffix"):
        choose_policy("sufix")


# --- what an earlier file published


def test_earlier_ids_are_read_with_and_without_a_suffix() -> None:
    entries = {"new": {"id": "1-2-3", "code": [0, 0]}, "old": {"code": [1, 2]}, "label_alone": {"label": [1]}}
    ids = earlier_ids({"corpora": entries}, SIZES, "ids.json")
    assert spelled(ids) == {"new": "1-2-3", "old": "1-2"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": "1-3"}, "level 1 is 3; expected 0 to 2"),
        ({"code": [1]}, "has 1 levels; this model has 2"),
        ({"id": "1-2-0-0"}, "has 4 levels; this model has 2"),
        ({"id": "1-x"}, "'1-x'; expected indices"),
    ],
)
def test_an_id_that_the_levels_cannot_say_cannot_stay(entry, reason) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"taxonomy\.previous is ids\.json, whose ID of w cannot stay: .*{reason}"
    ):
        earlier_ids({"corpora": {"w": entry}}, SIZES, "ids.json")


def test_an_entry_with_a_broken_id_is_refused() -> None:
    with pytest.raises(InputError):
        published_id({"id": "one"})
