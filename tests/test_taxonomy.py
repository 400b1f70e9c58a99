"""The rules of the taxonomy: what each fact becomes, what stays unknown, and that published labels never move."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wotd.errors import ConfigurationError
from wotd.taxonomy import Edges, Fact, FirstMatch, Label, Level, Origin, Overflow, Taxonomy

ROOT = Path(__file__).resolve().parents[1]
LITERATURE = yaml.safe_load((ROOT / "conf/taxonomy/literature.yaml").read_text(encoding="utf-8"))

STYLES = ("dramatic", "poetic", "philosophical", "expository", "satirical", "speculative", "popular", "literary")
ERAS = ("ancient", "medieval", "renaissance", "enlightenment", "romantic", "victorian", "modernist", "contemporary")
GENRES = (
    *("Drama", "Poetry", "Philosophy", "Spirituality", "Nonfiction", "Autobiography", "Biography", "Memoir", "Travel"),
    *("Comedy", "Satire", "Science Fiction", "Horror", "Fantasy", "Children’s", "Adventure", "Mystery"),
    *("Fiction", "Shorts", "Cookery"),
)


@pytest.fixture(scope="module")
def literature() -> Taxonomy:
    return Taxonomy.from_mapping(LITERATURE)


def facts(genres: Any = None, ease: Any = None, year: Any = None) -> dict[str, Fact]:
    return {
        "genres": Fact.stated(genres),
        "reading_ease": Fact.computed(ease),
        "year_written": Fact.estimated(year),
    }


def code_of(taxonomy: Taxonomy, level: str, given_facts: dict[str, Fact]) -> int | None:
    return taxonomy.levels[taxonomy.level_names.index(level)].code(given_facts)[0]


def style(taxonomy: Taxonomy, *genres: str) -> str | None:
    code = code_of(taxonomy, "style", facts(genres=list(genres)))
    return None if code is None else taxonomy.levels[0].codes[code]


# --- the literature taxonomy is the one that is documented


def test_literature_has_four_named_levels(literature: Taxonomy) -> None:
    assert literature.level_names == ("style", "complexity", "era", "variation")
    assert literature.sizes == (8, 8, 8, 5)
    assert literature.levels[0].codes == STYLES
    assert literature.levels[2].codes == ERAS
    assert [level.ranked for level in literature.levels] == [False, False, False, True]


@pytest.mark.parametrize(
    ("ease", "code"),
    [
        (121.2, 0),
        (80.9, 0),
        (80.89, 1),
        (77.3, 1),
        (77.29, 2),
        (74.7, 2),
        (74.69, 3),
        (71.4, 3),
        (71.39, 4),
        (66.9, 4),
        (66.89, 5),
        (60.7, 5),
        (60.69, 6),
        (50.8, 6),
        (50.79, 7),
        (-30.0, 7),
    ],
)
def test_an_edge_of_reading_ease_belongs_to_the_easier_code(literature: Taxonomy, ease: float, code: int) -> None:
    assert code_of(literature, "complexity", facts(ease=ease)) == code


@pytest.mark.parametrize(
    ("year", "era"),
    [
        (-800, "ancient"),
        (0, "ancient"),
        (499, "ancient"),
        (499.5, "ancient"),
        (500, "medieval"),
        (1499, "medieval"),
        (1500, "renaissance"),
        (1659, "renaissance"),
        (1660, "enlightenment"),
        (1784, "enlightenment"),
        (1785, "romantic"),
        (1836, "romantic"),
        (1837, "victorian"),
        (1900, "victorian"),
        (1901, "modernist"),
        (1944, "modernist"),
        (1945, "contemporary"),
        (2024, "contemporary"),
    ],
)
def test_an_era_begins_with_its_year(literature: Taxonomy, year: float, era: str) -> None:
    code = code_of(literature, "era", facts(year=year))
    assert code is not None
    assert ERAS[code] == era


@pytest.mark.parametrize(
    ("genres", "expected"),
    [
        (["Drama"], "dramatic"),
        (["Poetry"], "poetic"),
        (["Philosophy"], "philosophical"),
        (["Spirituality"], "philosophical"),
        (["Nonfiction"], "expository"),
        (["Autobiography"], "expository"),
        (["Biography"], "expository"),
        (["Memoir"], "expository"),
        (["Travel"], "expository"),
        (["Comedy"], "satirical"),
        (["Satire"], "satirical"),
        (["Science Fiction"], "speculative"),
        (["Horror"], "speculative"),
        (["Fantasy"], "speculative"),
        (["Children’s"], "popular"),
        (["Adventure"], "popular"),
        (["Mystery"], "popular"),
        (["Fiction"], "literary"),
        (["Shorts"], "literary"),
    ],
)
def test_every_genre_alone_has_its_style(literature: Taxonomy, genres: list[str], expected: str) -> None:
    assert style(literature, *genres) == expected


@pytest.mark.parametrize(
    ("genres", "expected"),
    [
        (["Poetry", "Drama"], "dramatic"),  # Faust: a play first
        (["Fiction", "Poetry"], "poetic"),
        (["Philosophy", "Nonfiction"], "philosophical"),
        (["Fiction", "Philosophy"], "literary"),  # a novel of ideas is a novel
        (["Fiction", "Philosophy", "Satire"], "satirical"),
        (["Fiction", "Travel"], "literary"),
        (["Nonfiction", "Comedy"], "expository"),
        (["Fiction", "Memoir", "Adventure"], "popular"),
        (["Fiction", "Satire", "Science Fiction"], "satirical"),
        (["Fiction", "Fantasy", "Children’s"], "speculative"),
        (["Fiction", "Shorts", "Mystery"], "popular"),
        (["Philosophy", "Drama"], "dramatic"),
    ],
)
def test_the_first_style_that_matches_wins_whatever_the_order_of_genres(
    literature: Taxonomy, genres: list[str], expected: str
) -> None:
    assert style(literature, *genres) == expected
    assert style(literature, *reversed(genres)) == expected


@pytest.mark.parametrize("spelling", ["Children's", "Children’s", "CHILDREN’S", " children's "])
def test_apostrophes_case_and_blanks_do_not_matter(literature: Taxonomy, spelling: str) -> None:
    assert style(literature, spelling) == "popular"


def test_one_genre_may_stand_without_a_list(literature: Taxonomy) -> None:
    assert code_of(literature, "style", facts(genres="Drama")) == 0


@given(st.lists(st.sampled_from(GENRES)))
def test_style_is_the_documented_cascade(genres: list[str]) -> None:
    has = set(genres).intersection
    fiction = "Fiction" in genres
    if has({"Drama"}):
        expected: int | None = 0
    elif has({"Poetry"}):
        expected = 1
    elif has({"Philosophy", "Spirituality"}) and not fiction:
        expected = 2
    elif has({"Nonfiction", "Autobiography", "Biography", "Memoir", "Travel"}) and not fiction:
        expected = 3
    elif has({"Comedy", "Satire"}):
        expected = 4
    elif has({"Science Fiction", "Horror", "Fantasy"}):
        expected = 5
    elif has({"Children’s", "Adventure", "Mystery"}):
        expected = 6
    elif has({"Fiction", "Shorts"}):
        expected = 7
    else:
        expected = None
    assert code_of(Taxonomy.from_mapping(LITERATURE), "style", facts(genres=genres)) == expected


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_complexity_never_falls_as_reading_gets_harder(one: float, other: float) -> None:
    level = Taxonomy.from_mapping(LITERATURE).levels[1]
    easy, hard = (level.code(facts(ease=ease))[0] for ease in sorted((one, other), reverse=True))
    assert easy is not None
    assert hard is not None
    assert 0 <= easy <= hard <= 7


@given(st.lists(st.floats(-1e6, 1e6), unique=True, max_size=12), st.floats(allow_nan=False), st.booleans())
def test_edges_reach_every_code_and_no_other(edges: list[float], value: float, descending: bool) -> None:
    rule = Edges(tuple(sorted(edges, reverse=descending)))
    assert 0 <= (rule.code(value) or 0) <= len(edges)
    if rule.descending:
        assert [rule.code(edge) for edge in rule.edges] == list(range(len(edges)))
    else:
        assert [rule.code(edge) for edge in rule.edges] == list(range(1, len(edges) + 1))


# --- unknown stays unknown


def test_without_facts_nothing_is_known(literature: Taxonomy) -> None:
    label = literature.label_works([("p:a", {})])["p:a"]
    assert label == Label((None,) * 4, (Origin.UNKNOWN,) * 4)


@pytest.mark.parametrize("missing", ["genres", "reading_ease", "year_written"])
def test_one_unknown_level_leaves_the_others_and_takes_the_variation(literature: Taxonomy, missing: str) -> None:
    known = facts(["Drama"], 60.0, 1605)
    del known[missing]
    label = literature.label_works([("p:a", known)])["p:a"]
    unknown = ("genres", "reading_ease", "year_written").index(missing)
    assert [code is None for code in label.codes] == [level in (unknown, 3) for level in range(4)]
    assert [origin is Origin.UNKNOWN for origin in label.origins] == [level in (unknown, 3) for level in range(4)]


def test_a_genre_that_no_rule_knows_is_unknown(literature: Taxonomy) -> None:
    level = literature.levels[0]
    assert level.code(facts(genres=["Cookery"])) == (None, Origin.UNKNOWN)


def test_not_a_number_is_unknown(literature: Taxonomy) -> None:
    assert literature.levels[1].code(facts(ease=float("nan"))) == (None, Origin.UNKNOWN)


@pytest.mark.parametrize("empty", [None, "", [], ()])
def test_an_empty_statement_is_no_fact(empty: Any) -> None:
    assert Fact.stated(empty) == Fact()
    assert not Fact.stated(empty).known


def test_zero_is_a_fact() -> None:
    assert Fact.stated(0).known
    assert Fact.computed(0.0).known
    assert Fact.estimated(0).known


def test_origins_say_where_each_code_comes_from(literature: Taxonomy) -> None:
    label = literature.label_works([("p:a", facts(["Drama"], 60.0, 1605))])["p:a"]
    assert label.origins == (Origin.STATED, Origin.COMPUTED, Origin.ESTIMATED, Origin.COMPUTED)


# --- variation: ranks within a cell

PLAY = facts(["Drama"], 60.0, 1605)
POEM = facts(["Poetry"], 60.0, 1605)


def ranks(labels: dict[str, Label]) -> dict[str, int | None]:
    return {corpus_id: label.codes[-1] for corpus_id, label in labels.items()}


def test_ranks_follow_the_ids_within_each_cell(literature: Taxonomy) -> None:
    labels = literature.label_works([("p:c", PLAY), ("p:a", PLAY), ("p:b", POEM), ("p:d", PLAY)])
    assert list(labels) == ["p:a", "p:b", "p:c", "p:d"]
    assert ranks(labels) == {"p:a": 0, "p:b": 0, "p:c": 1, "p:d": 2}


def test_ranks_are_not_bounded_by_the_codes_of_the_level(literature: Taxonomy) -> None:
    labels = literature.label_works([(f"p:{number:02}", PLAY) for number in range(12)])
    assert list(ranks(labels).values()) == list(range(12))


def test_works_of_unknown_cells_take_no_rank_from_others(literature: Taxonomy) -> None:
    labels = literature.label_works([("p:a", facts(["Drama"], None, 1605)), ("p:b", PLAY)])
    assert ranks(labels) == {"p:a": None, "p:b": 0}


def test_newcomers_take_the_next_rank_though_their_ids_sort_first(literature: Taxonomy) -> None:
    published = {"p:m": [0, 6, 2, 0], "p:n": [0, 6, 2, 1]}
    labels = literature.label_works([("p:a", PLAY), ("p:m", PLAY), ("p:n", PLAY), ("p:z", PLAY)], published)
    assert ranks(labels) == {"p:a": 2, "p:m": 0, "p:n": 1, "p:z": 3}


def test_the_rank_of_a_published_work_stays_taken_when_the_work_is_gone(literature: Taxonomy) -> None:
    labels = literature.label_works([("p:a", PLAY)], {"p:gone": [0, 6, 2, 0]})
    assert list(labels) == ["p:a"]
    assert labels["p:a"].codes == (0, 6, 2, 1)


def test_a_published_label_stays_though_its_facts_now_say_otherwise(literature: Taxonomy) -> None:
    labels = literature.label_works([("p:a", POEM), ("p:b", POEM)], {"p:a": [0, 6, 2, 4]})
    assert labels["p:a"].codes == (0, 6, 2, 4)
    assert labels["p:b"].codes == (1, 6, 2, 0)


def test_a_published_unknown_stays_unknown_and_a_code_without_a_fact_counts_as_stated(literature: Taxonomy) -> None:
    labels = literature.label_works([("p:a", facts(["Drama"]))], {"p:a": [0, 6, None, None]})
    assert labels["p:a"].codes == (0, 6, None, None)
    assert labels["p:a"].origins == (Origin.STATED, Origin.STATED, Origin.UNKNOWN, Origin.UNKNOWN)


@pytest.mark.parametrize("label", [[], [0, 6], [0, 6, 2, 0, 1]])
def test_a_published_label_of_another_taxonomy_is_refused(literature: Taxonomy, label: list[int]) -> None:
    with pytest.raises(ConfigurationError, match=rf"p:a.*has {len(label)} levels.*literature has 4"):
        literature.label_works([("p:b", PLAY)], {"p:a": label})


works_st = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.builds(
        facts,
        st.sampled_from([None, ["Drama"], ["Poetry"], ["Cookery"]]),
        st.sampled_from([None, 90.0, 10.0]),
        st.sampled_from([None, -300, 1900]),
    ),
    max_size=20,
)


@given(works_st)
def test_ranks_of_a_cell_are_0_to_n(works: dict[str, dict[str, Fact]]) -> None:
    labels = Taxonomy.from_mapping(LITERATURE).label_works(works.items())
    assert list(labels) == sorted(works)
    cells: dict[tuple[int | None, ...], list[int]] = {}
    for label in labels.values():
        *cell, rank = label.codes
        assert (rank is None) == (None in cell)
        if rank is not None:
            cells.setdefault(tuple(cell), []).append(rank)
    assert all(found == list(range(len(found))) for found in cells.values())


@given(works_st, works_st)
def test_labels_never_move_when_works_join(
    first: dict[str, dict[str, Fact]], later: dict[str, dict[str, Fact]]
) -> None:
    taxonomy = Taxonomy.from_mapping(LITERATURE)
    before = taxonomy.label_works(first.items())
    published = json.loads(json.dumps({corpus_id: label.codes for corpus_id, label in before.items()}))
    after = taxonomy.label_works({**later, **first}.items(), published)
    assert {corpus_id: after[corpus_id] for corpus_id in before} == before
    ranked = [label.codes for label in after.values() if label.codes[-1] is not None]
    assert len(set(ranked)) == len(ranked)


@given(works_st, st.randoms(use_true_random=False))
def test_the_order_of_arrival_within_a_run_does_not_matter(works: dict[str, dict[str, Fact]], random: Any) -> None:
    taxonomy = Taxonomy.from_mapping(LITERATURE)
    shuffled = list(works.items())
    random.shuffle(shuffled)
    assert taxonomy.label_works(shuffled) == taxonomy.label_works(works.items())


# --- overflow


def test_cells_with_more_works_than_codes_are_reported_fullest_first(literature: Taxonomy) -> None:
    works = [(f"p:{n}", PLAY) for n in range(6)] + [(f"q:{n}", POEM) for n in range(8)]
    works += [(f"r:{n}", facts(["Satire"], 60.0, 1605)) for n in range(5)] + [("s:0", {})]
    labels = literature.label_works(works)
    assert literature.overflows(labels.values()) == [Overflow((1, 6, 2), 8, 5), Overflow((0, 6, 2), 6, 5)]


def test_a_taxonomy_without_ranks_never_overflows() -> None:
    taxonomy = Taxonomy.from_mapping(SEASONS)
    labels = taxonomy.label_works([(f"p:{n}", {"month": Fact.stated(1)}) for n in range(9)])
    assert taxonomy.overflows(labels.values()) == []


# --- taxonomies of one's own

SEASONS: dict[str, Any] = {
    "name": "seasons",
    "version": 3,
    "levels": [
        {
            "name": "mood",
            "fact": "tags",
            "rule": "first_match",
            "codes": [{"name": "sad", "any": ["Tragedy"]}, {"name": "merry", "any": ["Farce"], "none": ["Tragedy"]}],
        },
        {"name": "half", "fact": "month", "rule": "edges", "edges": [7], "codes": ["first", "second"]},
    ],
}


def test_two_levels_of_other_names_work_alike() -> None:
    taxonomy = Taxonomy.from_mapping(SEASONS)
    labels = taxonomy.label_works(
        [("p:b", {"tags": Fact.stated("farce"), "month": Fact.stated(7)}), ("p:a", {"month": Fact.stated(6)})]
    )
    assert {corpus_id: label.codes for corpus_id, label in labels.items()} == {"p:a": (None, 0), "p:b": (1, 1)}
    assert taxonomy.describe((1, 1)) == ["merry", "second"]
    assert taxonomy.label_works([("p:a", {})], {"p:a": [1, None]})["p:a"].codes == (1, None)


def test_a_taxonomy_may_consist_of_a_rank_alone() -> None:
    taxonomy = Taxonomy.from_mapping({"name": "n", "version": 1, "levels": [{"name": "x", "rule": "rank", "size": 2}]})
    labels = taxonomy.label_works([("p:b", {}), ("p:a", {}), ("p:c", {})])
    assert [label.codes for label in labels.values()] == [(0,), (1,), (2,)]
    assert taxonomy.overflows(labels.values()) == [Overflow((), 3, 2)]


def test_a_fact_of_the_wrong_kind_is_refused_by_name() -> None:
    taxonomy = Taxonomy.from_mapping(SEASONS)
    with pytest.raises(ConfigurationError, match=r"level half: the fact 'month' is 'July'"):
        taxonomy.label_works([("p:a", {"month": Fact.stated("July")})])
    with pytest.raises(ConfigurationError, match=r"level mood: the fact 'tags' is 7"):
        taxonomy.label_works([("p:a", {"tags": Fact.stated(7)})])


def test_describe_names_ids_and_prefixes(literature: Taxonomy) -> None:
    assert literature.describe((2, 3, 5, 1)) == ["philosophical", "plain", "victorian", "1"]
    assert literature.describe((7,)) == ["literary"]
    assert literature.describe(()) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ((0, 0, 0, 0, 0), "code has 5 levels; the taxonomy literature has 4"),
        ((8,), "style is 8; expected 0 to 7"),
        ((0, -1), "complexity is -1; expected 0 to 7"),
        ((0, 0, 0, 5), "variation is 5; expected 0 to 4"),
    ],
)
def test_describe_refuses_what_no_code_is(literature: Taxonomy, code: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        literature.describe(code)


def test_what_is_written_is_read_back_equal(literature: Taxonomy) -> None:
    for taxonomy in (literature, Taxonomy.from_mapping(SEASONS)):
        assert Taxonomy.from_mapping(json.loads(json.dumps(taxonomy.to_mapping()))) == taxonomy
        assert Taxonomy.from_mapping(yaml.safe_load(yaml.safe_dump(taxonomy.to_mapping()))) == taxonomy


names_st = st.text(min_size=1, max_size=8)
edges_levels = st.lists(st.floats(-1e6, 1e6), unique=True, max_size=6).flatmap(
    lambda edges: st.builds(
        lambda name, fact, codes, descending: {
            "name": name,
            "fact": fact,
            "rule": "edges",
            "edges": sorted(edges, reverse=descending),
            "codes": codes,
        },
        names_st,
        names_st,
        st.lists(names_st, min_size=len(edges) + 1, max_size=len(edges) + 1, unique=True),
        st.booleans(),
    )
)
match_levels = st.builds(
    lambda name, fact, codes, lists: {
        "name": name,
        "fact": fact,
        "rule": "first_match",
        "codes": [
            {"name": c, "any": wanted, "none": refused} for c, (wanted, refused) in zip(codes, lists, strict=False)
        ],
    },
    names_st,
    names_st,
    st.lists(names_st, min_size=1, max_size=5, unique=True),
    st.lists(st.tuples(st.lists(names_st, max_size=3), st.lists(names_st, max_size=3)), min_size=5, max_size=5),
)
rank_levels = st.builds(lambda name, size: {"name": name, "rule": "rank", "size": size}, names_st, st.integers(1, 99))
taxonomies_st = st.builds(
    lambda name, version, levels, last: {"name": name, "version": version, "levels": [*levels, last]},
    names_st,
    st.integers(0, 99),
    st.lists(edges_levels | match_levels, max_size=4),
    edges_levels | match_levels | rank_levels,
).filter(lambda data: len({level["name"] for level in data["levels"]}) == len(data["levels"]))


@given(taxonomies_st)
def test_any_taxonomy_survives_the_round_trip(data: dict[str, Any]) -> None:
    taxonomy = Taxonomy.from_mapping(data)
    assert Taxonomy.from_mapping(json.loads(json.dumps(taxonomy.to_mapping()))) == taxonomy


# --- taxonomies that cannot be


def changed(level: int, **changes: Any) -> dict[str, Any]:
    """The literature taxonomy with other keys in one level; a key changed to None is left out."""
    levels = [dict(entry) for entry in LITERATURE["levels"]]
    levels[level] = {key: value for key, value in (levels[level] | changes).items() if value is not None}
    return LITERATURE | {"levels": levels}


BAD = {
    "no name": ({"version": 1, "levels": []}, "the key 'name' is missing"),
    "no version": ({"name": "n", "levels": []}, "the key 'version' is missing"),
    "no levels": ({"name": "n", "version": 1}, "the key 'levels' is missing"),
    "empty levels": (LITERATURE | {"levels": []}, "levels is empty"),
    "null levels": (LITERATURE | {"levels": None}, "levels is None; expected a list"),
    "levels a text": (LITERATURE | {"levels": "style"}, "levels is 'style'; expected a list"),
    "level a text": (LITERATURE | {"levels": ["style"]}, "'style'; expected a mapping"),
    "version a word": (LITERATURE | {"version": "new"}, "version is 'new'; expected a whole number"),
    "no level name": (changed(0, name=None), "level 0: the key 'name' is missing"),
    "twin names": (changed(1, name="style"), "two levels share a name"),
    "rank first": (changed(0, rule="rank", size=3), "only the last level"),
    "rank of none": (changed(3, size=0), "variation: size is 0"),
    "rank without size": (changed(3, size=None), "variation: size is"),
    "rank of a word": (changed(3, size="many"), "variation: size is 'many'"),
    "no rule": (changed(0, rule=None), "style: rule is None; expected first_match, edges or rank"),
    "other rule": (changed(0, rule="guess"), "style: rule is 'guess'; expected first_match, edges or rank"),
    "no fact": (changed(1, fact=None), "complexity: the key 'fact' is missing"),
    "edges and codes": (changed(2, edges=[500, 1500]), "era: 2 edges make 3 codes, but 8 are named"),
    "no edges": (changed(2, edges=None), "era: edges is None; expected a list"),
    "edges unsorted": (changed(2, edges=[5, 1, 2, 3, 4, 6, 7]), "era: edges .* neither rise nor fall"),
    "edges twice": (changed(2, edges=[1, 1, 2, 3, 4, 5, 6]), "era: edges .* neither rise nor fall"),
    "edges of words": (changed(2, edges=["a", 1, 2, 3, 4, 5, 6]), "era: edges holds 'a'; expected numbers"),
    "edges not a number": (changed(2, edges=[float("nan"), 1, 2, 3, 4, 5, 6]), "era: edges holds nan; expected num"),
    "edges a number": (changed(2, edges=500), "era: edges is 500; expected a list"),
    "codes a text": (changed(2, codes="ancient"), "era: codes is 'ancient'; expected a list"),
    "twin codes": (changed(2, codes=[*ERAS[:7], "ancient"]), "era: two codes are named 'ancient'"),
    "no codes": (changed(0, codes=[]), "style: codes is empty"),
    "codes of texts": (changed(0, codes=["dramatic"]), "style: .*'dramatic'; expected a mapping"),
    "code without name": (changed(0, codes=[{"any": ["Drama"]}]), "style: .*the key 'name' is missing"),
    "any a text": (changed(0, codes=[{"name": "d", "any": "Drama"}]), "style: any is 'Drama'; expected a list"),
    "misspelt none": (changed(0, codes=[{"name": "d", "any": ["Drama"], "non": ["Fiction"]}]), "style: .*'non'"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_taxonomy_is_refused_in_one_sentence(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Taxonomy.from_mapping(data)
    text = str(caught.value)
    assert text.startswith("taxonomy")
    assert text.endswith(".")
    assert "\n" not in text


# --- the same everywhere

_LABEL_IN_A_PROCESS = """
import json, sys, yaml
from wotd.taxonomy import Fact, Taxonomy
taxonomy = Taxonomy.from_mapping(yaml.safe_load(open(sys.argv[1], encoding="utf-8")))
genres = [["Drama", "Poetry"], ["Satire", "Fiction"], ["Travel"], []]
works = [(f"p:{n}", {"genres": Fact.stated(genres[n % 4]), "reading_ease": Fact.computed(40.0 + n % 3 * 20),
          "year_written": Fact.stated(1600 + n % 5 * 80)}) for n in range(60)]
labels = taxonomy.label_works({name: facts for name, facts in works}.items())
print(json.dumps({name: label.codes for name, label in labels.items()}), taxonomy.to_mapping())
"""


def test_labels_do_not_depend_on_the_process_and_its_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _LABEL_IN_A_PROCESS, "conf/taxonomy/literature.yaml"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1
    assert '"p:59"' in outputs.pop()


@pytest.mark.parametrize("module", ["taxonomy", "semantic_ids"])
def test_no_rule_hashes(module: str) -> None:
    tree = ast.parse((ROOT / f"wotd/{module}.py").read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "hash" not in called
    assert not imported & {"hashlib", "random", "uuid", "zlib"}


def test_rules_are_values(literature: Taxonomy) -> None:
    rule = FirstMatch((frozenset({"drama"}),), (frozenset(),))
    assert Level("style", ("dramatic",), "genres", rule) == Level("style", ("dramatic",), "genres", rule)
    assert literature == Taxonomy.from_mapping(LITERATURE)
