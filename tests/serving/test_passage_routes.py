"""Works, passages, words and the tree of IDs over HTTP: what the model says, and refusals in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from running_server import running

from wotd import SemanticIDModel
from wotd.serving import create_app

pytest_plugins = ("artifact_fixtures",)


@pytest.fixture(scope="module")
def model(text_artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(text_artifacts)


@pytest.fixture(scope="module")
def client(model: SemanticIDModel) -> Iterator[httpx.Client]:
    with running(create_app(model)) as url, httpx.Client(base_url=url, timeout=20) as made:
        yield made


def plain(data) -> dict:
    """A dataclass as JSON carries it: tuples are lists."""
    return httpx.Response(200, json=asdict(data)).json()


def test_levels_have_names_and_say_what_they_describe(client: httpx.Client, model: SemanticIDModel) -> None:
    answer = client.get("/levels").json()
    assert [(level["level"], level["described"]) for level in answer["levels"]] == [
        ("style", True),
        ("complexity", True),
        ("era", True),
        ("variation", False),
    ]
    assert answer["levels"][0]["codes"][4] == "satirical"
    assert (answer["passages"], answer["works"], answer["texts"]) == (144, 36, True)


def test_works_by_pattern_in_pages(client: httpx.Client, model: SemanticIDModel) -> None:
    for pattern in ("", "1", "*-*-5"):
        works = model.works(pattern)
        assert client.get("/works", params={"id": pattern}).json() == {"total": len(works), "works": works}
    paged = client.get("/works", params={"limit": 2, "offset": 3}).json()
    assert paged == {"total": 36, "works": model.works()[3:5]}


def test_all_that_is_known_of_a_work(client: httpx.Client, model: SemanticIDModel) -> None:
    corpus = model.works()[0]["corpus"]
    for path in (corpus, quote(corpus, safe="")):
        assert client.get(f"/works/{path}").json() == model.work(corpus)


def test_passages_by_pattern_and_work(client: httpx.Client, model: SemanticIDModel) -> None:
    corpus = model.works()[1]["corpus"]
    for wanted in (
        {},
        {"id": "1", "limit": 3, "offset": 1},
        {"work": corpus},
        {"work": corpus, "id": "*-1"},
        {"turns": True},
    ):
        named = {("pattern" if name == "id" else name): value for name, value in wanted.items()}
        pattern = named.pop("pattern", "")
        assert client.get("/passages", params=wanted).json() == plain(model.passages(pattern, **named))


@pytest.mark.parametrize("word", ["the", "The", "of the", "a/b", "zygote", "d’or"])
def test_words(client: httpx.Client, model: SemanticIDModel, word: str) -> None:
    assert client.get(f"/words/{quote(word, safe='')}").json() == plain(model.word(word))
    narrowed = {"id": "*-*-5", "limit": 2, "examples": 1, "depth": 1}
    expected = model.word(word, "*-*-5", limit=2, examples=1, depth=1)
    assert client.get(f"/words/{quote(word)}", params=narrowed).json() == plain(expected)


def test_the_hierarchy(client: httpx.Client, model: SemanticIDModel) -> None:
    assert client.get("/hierarchy").json() == plain(model.hierarchy())
    assert client.get("/hierarchy?id=1&depth=2").json() == plain(model.hierarchy("1", 2))


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/works?id=x", 422, "ID pattern is 'x'"),
        ("/works?id=9", 422, "level 0 is 9"),
        ("/works?limit=501", 422, "limit: "),
        ("/works/files:nothing", 404, "know no work of that ID"),
        ("/works/../secret", 404, "nothing is served here"),
        ("/passages?work=files:nothing", 404, "know no work of that ID"),
        ("/passages?offset=-1", 422, "offset: "),
        ("/words/%2C", 422, "expected letters or digits"),
        ("/words/fog?depth=9", 422, "1 to 4"),
        (f"/words/{'a' * 201}", 422, "at most 200"),
        ("/hierarchy?id=1-*", 422, "semantic ID is '1-*'"),
        ("/hierarchy?depth=0", 422, "depth: "),
    ],
)
def test_refusals_are_a_sentence(client: httpx.Client, path: str, status: int, sentence: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert list(response.json()) == ["detail"]
    assert sentence in response.json()["detail"]
    assert response.json()["detail"].endswith(".")


def test_bare_vectors_have_numbered_levels_and_no_words(vector_artifacts: Path) -> None:
    app = create_app(SemanticIDModel.load(vector_artifacts))
    with running(app) as url, httpx.Client(base_url=url) as client:
        answer = client.get("/levels").json()
        assert [level["codes"] for level in answer["levels"]] == [["0", "1", "2", "3"]] * 3
        assert not any(level["described"] for level in answer["levels"])
        assert (answer["passages"], answer["works"], answer["texts"]) == (300, 0, False)
        assert client.get("/works").json() == {"total": 0, "works": []}
        assert client.get("/passages?limit=1").json()["passages"][0]["text"] is None
        assert client.get("/words/sea").status_code == 422


def test_the_description_names_the_routes(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/levels", "/works", "/works/{corpus}", "/passages", "/words/{word}", "/hierarchy"} <= {*paths}
