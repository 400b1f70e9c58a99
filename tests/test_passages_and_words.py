"""What a model says of works, passages and words, against plain searches through the artifact folder."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wotd import SemanticIDModel
from wotd.artifacts import seal
from wotd.concordance import Word
from wotd.errors import InputError, UnknownWorkError
from wotd.semantic_ids import IDPattern, SemanticID

pytest_plugins = ("artifact_fixtures",)


@pytest.fixture(scope="module")
def model(text_artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(text_artifacts)


@pytest.fixture(scope="module")
def stored(text_artifacts: Path) -> list[dict]:
    return pq.read_table(text_artifacts / "codes.parquet").to_pylist()


def bearing(stored: list[dict], pattern: str) -> list[dict]:
    wanted = IDPattern.parse(pattern)
    return [row for row in stored if wanted.matches(SemanticID(tuple(row["code"])))]


def test_levels_are_chosen_by_name_or_number(model: SemanticIDModel) -> None:
    assert str(model.pattern(style="satirical", era="victorian")) == "4-*-5"
    assert str(model.pattern(style="Satirical", complexity="fairly_easy", era=5, variation="2")) == "4-2-5-2"
    assert str(model.pattern("*-3", style=1)) == "1-3"
    assert str(model.pattern("4-*-5", era="victorian")) == "4-*-5"
    assert str(model.pattern()) == ""


@pytest.mark.parametrize(
    ("begun", "levels", "sentence"),
    [
        ("", {"stile": "poetic"}, r"level is 'stile', and there are style, complexity.*; the nearest is style\.$"),
        ("", {"style": "satiric"}, r"style is 'satiric', and there are .*; the nearest is satirical\.$"),
        ("", {"style": "zzz"}, r"style is 'zzz', and there are dramatic, .*literary\.$"),
        ("", {"style": 8}, "style is 8; expected 0 to 7, or a name"),
        ("4", {"style": "poetic"}, "style is to be both satirical and poetic; expected one"),
        ("9", {}, "ID pattern 9: level 0 is 9"),
        ("4-x", {}, "ID pattern is '4-x'"),
        ("*-*-*-*-*-1", {}, "has 6 levels; these artifacts have 4"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(model: SemanticIDModel, begun: str, levels: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        model.pattern(begun, **levels)


def test_levels_without_names_are_chosen_by_number(vector_artifacts: Path) -> None:
    model = SemanticIDModel.load(vector_artifacts)
    assert str(model.pattern(level_1="3", level_2=0)) == "*-3-0"
    with pytest.raises(InputError, match="level_1 is 17; expected 0 to 3"):
        model.pattern(level_1="17")


@pytest.mark.parametrize("pattern", ["", "1", "*-2", "*-*-5", "4-*-5"])
def test_works_and_passages_of_a_pattern(
    model: SemanticIDModel, stored: list[dict], text_artifacts: Path, pattern: str
) -> None:
    corpora = json.loads((text_artifacts / "semantic_ids.json").read_text())["corpora"]
    wanted = IDPattern.parse(pattern)
    assert [work["corpus"] for work in model.works(pattern)] == [
        corpus for corpus, entry in corpora.items() if wanted.matches(SemanticID.parse(entry["id"]))
    ]
    expected = bearing(stored, pattern)
    found = model.passages(pattern, limit=1000)
    assert found.total == len(expected)
    assert [(each.corpus, each.passage, each.text) for each in found.passages] == [
        (row["corpus"], row["passage"], row["text"]) for row in expected
    ]
    assert model.passages(pattern, limit=3, offset=2).passages == found.passages[2:5]
    assert model.passages(pattern, limit=0) == type(found)(found.total, [])


@pytest.mark.parametrize("pattern", ["", "1", "*-*-5"])
def test_works_take_turns(model: SemanticIDModel, stored: list[dict], pattern: str) -> None:
    earlier: Counter = Counter()
    turns = []
    for row in bearing(stored, pattern):
        turns.append((earlier[row["corpus"]], len(turns), row["corpus"], row["passage"]))
        earlier[row["corpus"]] += 1
    found = model.passages(pattern, limit=1000, turns=True).passages
    assert [(each.corpus, each.passage) for each in found] == [turn[2:] for turn in sorted(turns)]


def test_passages_of_a_work(model: SemanticIDModel, stored: list[dict]) -> None:
    corpus = stored[-1]["corpus"]
    found = model.passages(work=corpus)
    assert [each.passage for each in found.passages] == [0, 1, 2, 3]
    assert {each.title for each in found.passages} == {model.work(corpus)["title"]}
    with pytest.raises(UnknownWorkError, match="corpus is 'files:nothing'; these artifacts know no work of that ID"):
        model.passages(work="files:nothing")
    with pytest.raises(InputError, match="limit is -1 and offset is 0; expected 0 or more"):
        model.passages(limit=-1)


def test_a_work_is_all_that_is_said_of_it_with_names(model: SemanticIDModel, text_artifacts: Path) -> None:
    corpora = json.loads((text_artifacts / "semantic_ids.json").read_text())["corpora"]
    for corpus, entry in corpora.items():
        said = model.work(corpus)
        assert {name: said[name] for name in entry} == entry
        assert said["corpus"] == corpus
        assert said["names"] == [level["name"] for level in model.describe(entry["code"])["levels"]]
        for level, (code, name) in enumerate(zip(entry["label"], said["label_names"], strict=True)):
            assert name == (None if code is None else str(code) if level == 3 else model.code_names(level)[code])


@pytest.mark.parametrize("pattern", ["", "1", "*-*-5"])
@pytest.mark.parametrize("depth", [None, 1, 3])
def test_a_word_is_found_in_all_passages_that_contain_it(
    model: SemanticIDModel, stored: list[dict], pattern: str, depth: int | None
) -> None:
    word = Counter(stored[0]["text"].lower().split()).most_common(1)[0][0].strip(".,;:!?")
    rows = [row for row in bearing(stored, pattern) if Word(word).places(row["text"])]
    found = model.word(word.upper(), pattern, limit=1000, examples=2, depth=depth)
    assert (found.word, found.pattern, found.total) == (word, pattern, len(rows))
    assert found.searched == len(bearing(stored, pattern))
    groups = Counter("-".join(map(str, row["code"][:depth])) for row in rows)
    assert {group.id: group.passages for group in found.groups} == groups
    assert found.ids == len(groups)
    assert [group.passages for group in found.groups] == sorted(groups.values(), reverse=True)
    assert {work["corpus"]: work["passages"] for work in found.works} == Counter(row["corpus"] for row in rows)
    for group in found.groups:
        assert group.names == model.names(SemanticID.parse(group.id))
        assert len(group.examples) == min(2, group.passages)
        of_group = {
            row["corpus"] for row in rows if SemanticID(tuple(row["code"])).startswith(SemanticID.parse(group.id))
        }
        assert len({each.corpus for each in group.examples}) == min(2, len(of_group)), "as many works as can be"
        for each in group.examples:
            assert each.text is not None
            assert [each.text[a:b].lower() for a, b in each.places] == [word] * len(each.places) != []
    assert len(model.word(word, pattern, limit=1, depth=depth).groups) == min(1, len(groups))


def test_a_word_that_nobody_wrote(model: SemanticIDModel) -> None:
    found = model.word("zygote")
    assert (found.total, found.searched, found.ids, found.groups, found.works) == (0, 144, 0, [], [])


def test_words_are_found_from_many_threads(text_artifacts: Path) -> None:
    fresh = SemanticIDModel.load(text_artifacts)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fresh.word, ["the"] * 16))
    assert all(each == found[0] for each in found)


def test_bad_numbers_of_a_word_are_refused(model: SemanticIDModel) -> None:
    for numbers in ({"limit": -1}, {"examples": -1}, {"depth": 0}, {"depth": 5}):
        with pytest.raises(InputError, match=r"limit, examples and depth are .* 1 to 4"):
            model.word("sea", **numbers)


def test_artifacts_without_texts_say_so(text_artifacts: Path, vector_artifacts: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_artifacts, tmp_path / "wordless")
    table = pq.read_table(folder / "codes.parquet").drop_columns("text")
    pq.write_table(table, folder / "codes.parquet")
    config = json.loads((folder / "config.json").read_text())
    seal(folder, {name: value for name, value in config.items() if name != "files"})
    for artifacts in (folder, vector_artifacts):
        model = SemanticIDModel.load(artifacts)
        with pytest.raises(InputError, match="these artifacts keep no texts of passages"):
            model.word("sea")
        passage = model.passages(limit=1).passages[0]
        assert (passage.text, passage.passage) == (None, 0)


def test_the_hierarchy_is_that_of_browse(model: SemanticIDModel) -> None:
    tree = model.hierarchy(depth=2)
    assert [(child.id, child.name, child.passages) for child in tree.children] == [
        (child["id"], child["name"], child["passages"]) for child in model.browse().children
    ]
    below = tree.children[0]
    assert model.hierarchy(below.id, depth=1) == below
    assert all(not leaf.children for child in tree.children for leaf in child.children)
    assert model.hierarchy().children[0].children[0].children[0].children[0].id.count("-") == 3
    with pytest.raises(InputError, match="depth is 0; expected 1 or more"):
        model.hierarchy(depth=0)
