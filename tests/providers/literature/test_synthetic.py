"""The synthetic corpus: its shape, its labels, its text, and that it is the same everywhere."""

import hashlib
import importlib
import inspect
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from wotd.errors import CorpusError
from wotd.providers.literature.synthetic import Synthetic
from wotd.providers.literature.synthetic_catalogue import Person, cell, plans, slug
from wotd.providers.literature.synthetic_lexicon import (
    Choice,
    Extra,
    Slot,
    archaic_verb,
    eras,
    lexicon,
    parse,
    slot_names,
    styles,
)
from wotd.providers.literature.synthetic_rooting import RUN, Rooting, mark, unmarked
from wotd.providers.text import MAX_WORDS, MIN_WORDS, count_words, reading_ease, sentences, words
from wotd.taxonomy import Origin, Taxonomy

CONF = Path(__file__).parents[3] / "conf"
STYLE, COMPLEXITY, ERA, VARIATION = range(4)

SCENE = {"hero", "other", "third", "to", "town", "far", "end"} | {
    f"{pronoun}{whose}" for pronoun in ("he", "him", "his") for whose in ("", " other", " third")
}


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy.from_mapping(yaml.safe_load((CONF / "taxonomy" / "literature.yaml").read_text("utf-8")))


@pytest.fixture(scope="module")
def corpus():
    """The default corpus: works and their passages."""
    return [(work, tuple(work.passages())) for work in Synthetic().works()]


@pytest.fixture(scope="module")
def labels(corpus, taxonomy):
    return taxonomy.label_works((work.id, work.facts) for work, _ in corpus)


@pytest.fixture(scope="module")
def by_style(corpus, labels):
    """Style → passages."""
    found = defaultdict(list)
    for work, passages in corpus:
        found[labels[work.id].codes[STYLE]].extend(passages)
    return found


@pytest.fixture(scope="module")
def by_era(corpus, labels):
    """Era → all its text."""
    found = defaultdict(list)
    for work, passages in corpus:
        found[labels[work.id].codes[ERA]].extend(passages)
    return {era: "\n".join(passages) for era, passages in found.items()}


def digest(**arguments):
    content = repr([(work.id, work.facts, tuple(work.passages())) for work in Synthetic(**arguments).works()])
    return hashlib.sha256(content.encode()).hexdigest()


# What it holds


def test_the_default_corpus_is_large_enough(corpus):
    assert len(corpus) >= 160
    assert 7_000 <= sum(len(passages) for _, passages in corpus) <= 9_000


def test_ids_are_sorted_unique_and_made_of_author_and_title(corpus):
    ids = [work.id for work, _ in corpus]
    assert ids == sorted(set(ids))
    for work, _ in corpus:
        assert work.id == f"synthetic:{slug(work.authors[0])}_{slug(work.title)}"
        assert re.fullmatch(r"synthetic:[a-z0-9-]+_[a-z0-9-]+", work.id)


def test_every_level_of_every_label_is_known_and_from_the_right_origin(corpus, labels):
    for label in labels.values():
        assert None not in label.codes
        assert label.origins == (Origin.STATED, Origin.COMPUTED, Origin.STATED, Origin.COMPUTED)


def test_the_works_spread_over_cells_without_overfilling_any(labels, taxonomy):
    assert len({label.codes[:VARIATION] for label in labels.values()}) >= 60
    assert taxonomy.overflows(labels.values()) == []
    assert {label.codes[VARIATION] for label in labels.values()} > {0}


@pytest.mark.parametrize("level", [STYLE, COMPLEXITY, ERA])
def test_every_code_of_a_named_level_is_common(labels, level):
    counts = Counter(label.codes[level] for label in labels.values())
    assert sorted(counts) == list(range(8))
    assert min(counts.values()) >= 12


def test_the_measured_complexity_is_the_intended_one_almost_always(labels):
    wanted = Counter(plan.complexity for plan in plans(0, 168))
    measured = Counter(label.codes[COMPLEXITY] for label in labels.values())
    assert sum((wanted - measured).values()) <= 8


def test_authors_have_one_era_and_one_to_four_works(corpus, labels):
    works, in_eras = Counter(), defaultdict(set)
    for work, _ in corpus:
        (author,) = work.authors
        works[author] += 1
        in_eras[author].add(labels[work.id].codes[ERA])
    assert 50 <= len(works) <= 70
    assert set(works.values()) <= {1, 2, 3, 4}
    assert sum(count > 1 for count in works.values()) > len(works) / 2
    assert all(len(found) == 1 for found in in_eras.values())


def test_every_style_of_every_era_has_several_authors(corpus, labels):
    authors = defaultdict(set)
    for work, _ in corpus:
        codes = labels[work.id].codes
        authors[codes[STYLE], codes[ERA]].update(work.authors)
    assert len(authors) == 64
    assert min(map(len, authors.values())) >= 2


def test_any_eight_works_in_a_row_use_every_style_complexity_and_era():
    for start in range(0, 192, 8):
        for codes in zip(*(cell(index) for index in range(start, start + 8)), strict=True):
            assert sorted(codes) == list(range(8))


# What it says of itself


def test_facts_are_measured_on_the_text(corpus):
    for work, passages in corpus:
        assert work.fact("reading_ease").value == reading_ease(passages)
        assert work.fact("word_count").value == sum(map(count_words, passages))


def test_facts_are_complete(corpus):
    for work, _ in corpus:
        assert all(fact.known for fact in work.facts.values())
        assert work.fact("language").value == "en"
        assert {"source", "licence"} <= set(work.facts)


def test_a_limit_keeps_passages_spread_evenly_and_measures_the_whole_work():
    whole = list(Synthetic(n_works=8, passages_per_work=12).works())
    limited = list(Synthetic(n_works=8, passages_per_work=12, max_passages_per_work=3).works())
    for full, part in zip(whole, limited, strict=True):
        passages = full.passages()
        assert list(part.passages()) == [passages[n * len(passages) // 3] for n in range(3)]
        assert part.facts == full.facts


# Its text


def test_passages_keep_to_the_word_limits(corpus):
    sizes = [count_words(passage) for _, passages in corpus for passage in passages]
    assert min(sizes) >= MIN_WORDS
    assert max(sizes) <= MAX_WORDS


def test_no_two_passages_are_equal(corpus):
    passages = [passage for _, found in corpus for passage in found]
    assert len(set(passages)) == len(passages)


def test_hardly_a_passage_shares_eight_words_in_a_row_with_another_work(corpus):
    places = defaultdict(set)
    for work, passages in corpus:
        for number, passage in enumerate(passages):
            found = [word.casefold() for word in words(passage)]
            for start in range(len(found) - 7):
                places[tuple(found[start : start + 8])].add((work.id, number))
    shared = set().union(*(found for found in places.values() if len({work for work, _ in found}) > 1))
    assert len(shared) < 0.01 * sum(len(passages) for _, passages in corpus)


def test_a_work_does_not_ride_one_sentence_to_death(corpus):
    for _, passages in corpus:
        said = Counter(line for passage in passages for line in sentences(passage) if count_words(line) >= 6)
        assert said.most_common(1)[0][1] <= 4


def test_poetry_keeps_its_lines(by_style):
    for passage in by_style[1]:
        lines = passage.split("\n")
        assert len(lines) >= 4
        assert max(map(count_words, lines)) <= 20


def test_the_couplets_of_the_enlightenment_rhyme(corpus, labels):
    families = [set(family) for style in styles() for family in style.rhymes]
    for work, passages in corpus:
        if labels[work.id].codes[STYLE] == 1 and labels[work.id].codes[ERA] == 3:
            for passage in passages:
                ends = [words(line)[-1] for line in passage.split("\n")]
                for one, other in zip(ends[::2], ends[1::2], strict=True):
                    assert any({one, other} <= family for family in families)


def test_drama_has_speakers_and_nothing_but_directions_between_them(by_style):
    for passage in by_style[0]:
        lines = passage.split("\n")
        assert all(re.match(r"[A-Z][A-Z .]+: |\(.*\)$", line) for line in lines)
        assert any(not line.startswith("(") for line in lines)


@pytest.mark.parametrize("style", [2, 3, 4, 5, 6, 7])
def test_prose_is_one_paragraph(by_style, style):
    assert not any("\n" in passage for passage in by_style[style])


def test_only_old_english_has_old_forms(by_era):
    old = re.compile(r"\b(thou|hath|doth|\w+eth)\b", re.IGNORECASE)
    assert min(len(old.findall(by_era[era])) for era in (1, 2)) > 100
    for era in (0, 3, 4, 5, 6, 7):
        assert set(map(str.lower, old.findall(by_era[era]))) <= {"teeth"}


@pytest.mark.parametrize(("era", "word"), [(0, "amphorae"), (2, "rapier"), (5, "umbrella"), (7, "laptop")])
def test_an_era_speaks_of_its_own_things(by_era, era, word):
    assert by_era[era].count(word) > 10
    assert not any(word in text for other, text in by_era.items() if other != era)


@pytest.mark.parametrize(
    "flaw",
    [
        r"[\ue000-\uf8ff@^~<>{}\[\]|]",  # notation or marks left over
        r"  | [,.;:?!]",
        r"[,;]{2}|\.\.|[,;][.?!]",
        r"\b[Aa] (?:[aio]|e(?!u))(?!ne\b|ne-|nce\b)",
        r"\b[Aa]n [^aeiouAEIOUh]",
        r"\b(?:the|an?|his|her|my|your|thy) (?:the|an?)\b",
        r"’s’s|'",
    ],
)
def test_the_language_is_clean(corpus, flaw):
    pattern = re.compile(flaw)
    for work, passages in corpus:
        for text in (work.title, *passages):
            assert not pattern.search(text), text


def test_sentences_of_prose_begin_with_capitals_and_end_with_a_stop(by_style):
    for style in (2, 3, 4, 5, 6, 7):
        for passage in by_style[style]:
            assert passage[0].isupper() or passage[0] in "“’", passage
            assert passage[-1] in ".?!”", passage


# The same everywhere


def test_the_same_seed_gives_the_same_corpus_in_any_process():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_synthetic as t;"
        "print(t.digest(seed=5, n_works=12, passages_per_work=3))"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest(seed=5, n_works=12, passages_per_work=3)


def test_iterating_twice_gives_the_same_works():
    provider = Synthetic(n_works=4, passages_per_work=2)
    first, second = list(provider.works()), list(provider.works())
    assert [(work.id, work.facts, work.passages()) for work in first] == [
        (work.id, work.facts, work.passages()) for work in second
    ]


def test_other_seeds_give_other_corpora():
    ids = [{work.id for work in Synthetic(seed, n_works=16, passages_per_work=1).works()} for seed in (0, 1, -1)]
    assert not any(one & other for one, other in pairwise(ids))


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_spread_as_well(taxonomy, seed):
    works = list(Synthetic(seed=seed, passages_per_work=12).works())
    labels = taxonomy.label_works((work.id, work.facts) for work in works).values()
    assert len({label.codes[:VARIATION] for label in labels}) >= 60
    assert min(Counter(label.codes[COMPLEXITY] for label in labels).values()) >= 12
    assert taxonomy.overflows(labels) == []


@pytest.mark.parametrize("n_works", [1, 7, 200])
def test_any_number_of_works_will_do(n_works):
    works = list(Synthetic(n_works=n_works, passages_per_work=1).works())
    assert len({work.id for work in works}) == n_works
    assert all(len(work.passages()) == 1 for work in works)


# Its settings


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": "0"},
        {"seed": 1.5},
        {"seed": None},
        {"n_works": 0},
        {"n_works": -3},
        {"n_works": 2.0},
        {"n_works": True},
        {"passages_per_work": 0},
        {"passages_per_work": "many"},
        {"max_passages_per_work": 0},
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(CorpusError) as refusal:
        Synthetic(**arguments)
    message = str(refusal.value)
    assert message.startswith(f"provider.{name} is {value!r}; expected ")
    assert message.endswith(".")
    assert "\n" not in message


def test_the_shipped_settings_fit_the_constructor():
    settings = yaml.safe_load((CONF / "provider" / "synthetic.yaml").read_text("utf-8"))
    module, _, name = settings.pop("_target_").rpartition(".")
    provider = getattr(importlib.import_module(module), name)
    assert provider is Synthetic
    defaults = {key: parameter.default for key, parameter in inspect.signature(Synthetic).parameters.items()}
    assert settings == defaults


# Its parts


def test_every_slot_can_be_filled_in_every_style_and_era():
    for style in styles():
        for era in eras():
            found = lexicon(style, era)
            named = set().union(*(slot_names(text) for texts in found.values() for text in texts))
            assert named - SCENE <= set(found), (style.name, era.name)
            assert all(found.values())


def test_the_data_follow_the_taxonomy(taxonomy):
    assert [style.name for style in styles()] == list(taxonomy.levels[STYLE].codes)
    assert [era.name for era in eras()] == list(taxonomy.levels[ERA].codes)


def test_a_template_is_read_into_its_parts():
    assert parse("the {adj} [cat|dog of {town}] knows~<, {aside}>") == (
        "the ",
        Slot("adj"),
        " ",
        Choice((("cat",), ("dog of ", Slot("town")))),
        " ",
        Slot("~knows"),
        Extra((", ", Slot("aside"))),
    )


@pytest.mark.parametrize(
    ("verb", "archaic"),
    [
        ("carries", "carrieth"),
        ("loves", "loveth"),
        ("sits", "sitteth"),
        ("passes", "passeth"),
        ("weeps", "weepeth"),
        ("has", "hath"),
        ("does", "doth"),
        ("begins", "beginneth"),
    ],
)
def test_archaic_verbs(verb, archaic):
    assert archaic_verb(verb) == archaic


@pytest.fixture
def rooting():
    return Rooting(["Ismo", "Mrs. Podpole", "Damis"], ["Korissa", "Halos"], random.Random(0))


def test_a_name_is_put_where_eight_words_would_pass_without_one(rooting):
    text = f"she left it {mark('place', 'in the granary', 2)} and she never came again"
    rooted, tail = rooting.root(text, (), ["Ismo"])
    assert re.search(r"in the granary (?:in|at) (?:Korissa|Halos) and", unmarked(rooted))
    assert len(tail) == 5


def test_what_can_take_no_name_is_refused(rooting):
    assert rooting.root("she left the old lamp and she never came again", (), []) is None


def test_names_and_rare_words_need_no_help(rooting):
    named = "she left the old lamp with Ismo and never came again"
    rare = " ".join(mark("adj", word, 1000) for word in words("odd words drawn from long lists all the time"))
    assert rooting.root(named, (), [])[0] == named
    assert unmarked(rooting.root(rare, (), [])[0]) == unmarked(rare)


def test_the_words_before_count_too(rooting):
    assert rooting.root("she left the old lamp", (), [])
    assert rooting.root("she left the old lamp", (0.0,) * (RUN - 2), []) is None


def test_an_owner_is_somebody_who_is_not_there(rooting):
    rooted, _ = rooting.root("then they all went into ^the granary and never came back", (), ["Ismo", "Damis"])
    assert unmarked(rooted) == "then they all went into Mrs. Podpole's granary and never came back"


def test_works_of_an_era_share_no_people_and_no_towns():
    people, towns = defaultdict(Counter), defaultdict(Counter)
    for plan in plans(0, 168):
        people[plan.era.name].update(person.name for person in plan.cast)
        towns[plan.era.name].update(plan.towns)
        assert all(isinstance(person, Person) for person in plan.cast)
    assert max(count for found in (*people.values(), *towns.values()) for count in found.values()) == 1
