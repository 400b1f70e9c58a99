"""``wotd word``: a word in the passages that contain it, for people and for programs."""

from __future__ import annotations

import json

import pytest

from wotd import SemanticIDModel

pytest_plugins = ["artifact_fixtures"]


@pytest.fixture(scope="module")
def model(text_artifacts):
    return SemanticIDModel.load(text_artifacts)


def plain(data):
    return json.loads(json.dumps(data))


def test_programs_get_what_the_model_says(shell, text_artifacts, model):
    found = plain(model.word("the").to_mapping())
    assert shell("word", "the", "--artifacts", text_artifacts).rows == found["groups"]
    assert json.loads(shell("word", "the", "--artifacts", text_artifacts, "--format", "json").out) == found


def test_where_and_id_narrow_and_the_rest_bounds(shell, text_artifacts, model):
    chosen = ["--where", "era=victorian", "--id", "*-0", "-n", 1, "--examples", 1, "--depth", 2, "--format", "json"]
    said = shell("word", "The", "--artifacts", text_artifacts, *chosen)
    expected = model.word("the", "*-0-5", limit=1, examples=1, depth=2)
    assert json.loads(said.out) == plain(expected.to_mapping())


@pytest.mark.parametrize("columns", ["80", "120"])
def test_people_see_the_word_in_its_context(shell, text_artifacts, model, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    out = shell("word", "the", "--artifacts", text_artifacts, "-n", 2, "--format", "table").out
    found = model.word("the", limit=2)
    lines = out.splitlines()
    assert lines[0] == f"the: {found.total} of 144 passages, in {found.ids} IDs"
    assert max(map(len, lines)) <= int(columns)
    contexts = [line for line in lines if "[the]" in line.lower()]
    assert len(contexts) == sum(len(group.examples) for group in found.groups)
    for group in found.groups:
        assert any(line.startswith(group.id) for line in lines)
    assert f"… and {found.ids - 2} more IDs (-n {found.ids} shows all)" in lines
    assert any(found.works[0]["title"] in line for line in lines)


def test_a_word_that_nobody_wrote_is_no_error(shell, text_artifacts):
    said = shell("word", "zygote", "--artifacts", text_artifacts, "--format", "table")
    assert (said.status, said.out) == (0, "zygote: 0 of 144 passages, in 0 IDs\n")


def test_wrong_choices_are_refused_in_a_sentence(refused, text_artifacts, vector_artifacts):
    def word(*arguments, status=1):
        return refused("word", "sea", "--artifacts", text_artifacts, *arguments, status=status)

    assert "expected LEVEL=NAME, such as style=satirical" in word("--where", "style", status=2)
    assert "the nearest is style" in word("--where", "stile=poetic")
    assert "the nearest is satirical" in word("--where", "style=satiric")
    assert "style is to be both poetic and satirical" in word("--id", "1", "--where", "style=satirical")
    assert "ID pattern is '1-x'" in word("--id", "1-x")
    assert "expected letters or digits" in refused("word", "...", "--artifacts", text_artifacts)
    assert "keep no texts" in refused("word", "sea", "--artifacts", vector_artifacts)
