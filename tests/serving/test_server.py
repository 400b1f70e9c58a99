"""The server as clients meet it: a real one on a free port of this machine."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from running_server import running, serving

from wotd import SemanticIDModel
from wotd.errors import ConfigurationError
from wotd.serving import ServerSettings, create_app, serve
from wotd.serving.formats import written

pytest_plugins = ("artifact_fixtures",)

LIMIT = 64 * 1024
TEXTS = ["The rose and the willow sigh in the meadow.", "A rocket to the orbit of the planet."]


@pytest.fixture(scope="module")
def model(text_artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(text_artifacts)


@pytest.fixture(scope="module")
def address(model: SemanticIDModel) -> Iterator[str]:
    with running(create_app(model, ServerSettings(max_body_bytes=LIMIT))) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=20) as made:
        yield made


def detail(response: httpx.Response) -> str:
    """The one sentence that a refusal consists of."""
    body = response.json()
    assert list(body) == ["detail"]
    assert re.fullmatch(r"\S.*\.", body["detail"])
    return body["detail"]


# --- answers


@pytest.mark.parametrize("path", ["/encode", "/invocations"])
def test_texts_are_encoded_as_the_model_does(client: httpx.Client, model: SemanticIDModel, path: str) -> None:
    response = client.post(path, json={"texts": TEXTS})
    assert response.status_code == 200
    assert response.json() == {"results": [result.to_mapping() for result in model.encode(TEXTS)]}


def test_one_text_and_its_least_confidence(client: httpx.Client, model: SemanticIDModel) -> None:
    response = client.post("/encode", json={"text": TEXTS[0], "min_confidence": 1})
    assert response.json() == {"results": [model.encode(TEXTS[0], min_confidence=1)[0].to_mapping()]}


@pytest.mark.parametrize("accept", ["application/json", "application/jsonlines", "text/csv"])
def test_invocations_speak_the_types_of_batch_jobs(client: httpx.Client, model: SemanticIDModel, accept: str) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    headers = {"content-type": "application/jsonlines", "accept": accept}
    response = client.post("/invocations", content=lines, headers=headers)
    content, media_type = written(model.encode(TEXTS), accept)
    assert response.text == content
    assert response.headers["content-type"].startswith(media_type)
    refused = client.post("/invocations", content=lines, headers={"content-type": "image/png"})
    assert (refused.status_code, "image/png is not taken" in detail(refused)) == (415, True)
    refused = client.post("/invocations", content=lines, headers={**headers, "accept": "image/png"})
    assert (refused.status_code, "accept is image/png" in detail(refused)) == (406, True)


def test_neighbors(client: httpx.Client, model: SemanticIDModel) -> None:
    expected = {"results": [neighbor.to_mapping() for neighbor in model.neighbors(TEXTS[0], 3)]}
    assert client.get("/neighbors", params={"text": TEXTS[0], "k": 3}).json() == expected
    assert client.post("/neighbors", json={"text": TEXTS[0], "k": 3}).json() == expected


def test_browse_and_describe(client: httpx.Client, model: SemanticIDModel) -> None:
    root = client.get("/browse").json()
    assert root == model.browse().to_mapping()
    child = root["children"][0]["id"]
    assert client.get(f"/browse/{child}").json() == model.browse(child).to_mapping()
    assert client.get(f"/describe/{child}").json() == model.describe(child)


def test_ping(client: httpx.Client) -> None:
    assert client.get("/ping").json() == {"status": "ready", "texts": True}
    assert client.head("/ping").status_code == 200


def test_many_clients_at_once_get_their_own_answers(client: httpx.Client, model: SemanticIDModel) -> None:
    def one(number: int) -> tuple[int, list[dict]]:
        return number, client.post("/encode", json={"text": TEXTS[number % 2]}).json()["results"]

    expected = [[result.to_mapping()] for result in model.encode(TEXTS)]
    with ThreadPoolExecutor(8) as pool:
        assert all(results == expected[number % 2] for number, results in pool.map(one, range(24)))


# --- refusals


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "is empty"),
        (b"{", 400, "not valid JSON"),
        (b"\xff\xfe\xfa", 400, "not valid JSON"),
        (b"[" * 30_000, 400, "nested too deeply"),
        (b'{"texts": ' + b"[" * 500 + b"]" * 500 + b"}", 422, "text 0 is a list"),
        (b'{"text": ' + b"1" * 5000 + b"}", 400, "too many digits"),
        (b"null", 422, "is null; expected an object"),
        (b'["a"]', 422, "is a list; expected an object"),
        (b"{}", 422, "needs either texts"),
        (b'{"text": "a", "texts": ["a"]}', 422, "needs either texts"),
        (b'{"texts": []}', 422, "empty list"),
        (b'{"texts": "a"}', 422, "texts is a string"),
        (b'{"texts": ["a", 7]}', 422, "text 1 is a"),
        (b'{"texts": ["a", " \\n"]}', 422, "text 1 is blank"),
        (b'{"text": ""}', 422, "text 0 is empty"),
        (b'{"text": "\\ud800"}', 422, "lone surrogate"),
        (b'{"text": "a", "min_confidence": 2}', 422, "min_confidence is the number 2"),
        (b'{"text": "a", "min_confidence": true}', 422, "min_confidence is true"),
        (b'{"text": "a", "txt": 1}', 422, "unknown name 'txt'"),
    ],
)
def test_a_bad_body_is_refused_in_a_sentence(client: httpx.Client, body: bytes, status: int, sentence: str) -> None:
    response = client.post("/encode", content=body)
    assert (response.status_code, sentence in detail(response)) == (status, True), response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/neighbors", 422, "text: "),
        ("GET", "/neighbors?text=sea&k=none", 422, "k: "),
        ("GET", "/neighbors?text=sea&k=0", 422, "k: "),
        ("GET", "/neighbors?text=%20", 422, "blank"),
        ("GET", "/browse/99", 422, "level 0 is 99"),
        ("GET", "/describe/one", 422, "expected indices joined by hyphens"),
        ("GET", "/redoc", 404, "nothing is served here"),
        ("GET", "/static/..%2Fapp.py", 404, "nothing is served here"),
        ("DELETE", "/encode", 405, "DELETE is not taken here"),
    ],
)
def test_a_bad_address_is_refused_in_a_sentence(
    client: httpx.Client, method: str, path: str, status: int, sentence: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code, sentence in detail(response)) == (status, True), response.text


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"k": 3}, "the body needs text, a string"),
        ({"text": " "}, "text is blank; expected words"),
        ({"text": "sea", "k": 0}, "k is the number 0; expected a whole number from 1 to 1000"),
    ],
)
def test_a_bad_question_for_neighbors_is_refused_in_a_sentence(client: httpx.Client, body: dict, sentence: str) -> None:
    response = client.post("/neighbors", json=body)
    assert (response.status_code, detail(response).startswith(sentence)) == (422, True), response.text


def test_a_body_as_large_as_the_limit_is_read_and_one_byte_more_is_not(client: httpx.Client) -> None:
    body = json.dumps({"text": "sea "}).encode()
    assert client.post("/encode", content=body.ljust(LIMIT)).status_code == 200
    response = client.post("/encode", content=body.ljust(LIMIT + 1))
    assert response.status_code == 413
    assert str(LIMIT) in detail(response)


def test_a_body_without_a_length_is_bounded_while_it_streams(client: httpx.Client) -> None:
    response = client.post("/encode", content=(b" " * 1024 for _ in range(2 * LIMIT // 1024)))
    assert response.status_code == 413
    assert str(LIMIT) in detail(response)
    body = json.dumps({"text": TEXTS[0]}).encode()
    assert client.post("/encode", content=iter([body[:5], body[5:]])).status_code == 200


def test_a_length_over_the_limit_is_refused_before_anything_is_sent(address: str) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(address).port), timeout=10) as connection:
        connection.sendall(b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: 999999999999\r\n\r\n")
        # Nothing of the body was sent, so a server that reads it first never answers.
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_unforeseen_error_is_a_plain_500_and_the_log_quotes_no_text(
    model: SemanticIDModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(texts) -> None:
        raise RuntimeError(texts)

    monkeypatch.setattr(model, "embed", fail)
    with running(create_app(model)) as url:
        response = httpx.post(f"{url}/encode", json={"text": "zebra"})
    assert response.status_code == 500
    assert "something went wrong" in detail(response)
    assert "nosniff" in response.headers["x-content-type-options"]
    assert "RuntimeError" in caplog.text
    assert "zebra" not in caplog.text


def test_artifacts_of_bare_vectors_are_browsed_and_refuse_texts(vector_artifacts: Path) -> None:
    app = create_app(SemanticIDModel.load(vector_artifacts))
    with running(app) as url, httpx.Client(base_url=url) as client:
        assert client.get("/ping").json() == {"status": "ready", "texts": False}
        assert client.get("/browse").json()["passages"] == 300
        for response in (client.post("/encode", json={"text": "sea"}), client.get("/neighbors?text=sea")):
            assert response.status_code == 422
            assert "vectors alone" in detail(response)


# --- the page and what surrounds it


class Links(HTMLParser):
    """What a page loads, and the IDs of its elements and of those that labels speak of."""

    def __init__(self) -> None:
        super().__init__()
        self.loads, self.ids, self.named = set(), set(), set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        assert not [name for name in values if name.startswith("on") or name == "style"], "the policy forbids inline"
        if tag in ("link", "script", "img"):
            self.loads.add(values.get("src") or values.get("href"))
        self.ids.add(values.get("id"))
        self.named |= {values.get(name) for name in ("for", "aria-labelledby", "aria-describedby")}


def test_the_page_loads_from_this_server_alone(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    links = Links()
    links.feed(page.text)
    assert links.named <= links.ids
    assert len(links.loads) == 3
    for path in links.loads:
        loaded = client.get(f"/{path}")
        assert loaded.status_code == 200
        assert "://" not in loaded.text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("path", ["/", "/ping", "/browse", "/browse/x", "/nothing", "/openapi.json"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path, headers={"Origin": "http://elsewhere.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]


def test_the_description_names_every_route(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    names = "encode invocations neighbors decode browse browse/{prefix} describe/{id} ping health metrics"
    assert {f"/{name}" for name in names.split()} <= {*paths}
    assert "texts" in json.dumps(paths["/encode"]["post"]["requestBody"])


# --- serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_and_stops_at_a_signal_without_logging_texts(
    text_artifacts: Path, number: signal.Signals
) -> None:
    with serving(text_artifacts, "--log-requests") as server:
        address = server.address
        assert httpx.get(f"{address}/neighbors", params={"text": "zebra", "k": 1}).status_code == 200
        assert httpx.post(f"{address}/encode", json={"text": "zebra"}).status_code == 200
        assert httpx.get(f"{address}/zebra").status_code == 404
        status = server.stopped(number)
    log = "".join(server.log)
    assert status == (0 if number == signal.SIGINT else 128 + number)
    assert "Application shutdown complete" in log
    assert re.search(r"POST /encode 200 \d+ ms", log)
    assert re.search(r"GET none 404 \d+ ms", log)
    assert "zebra" not in log
    assert "Traceback" not in log


def test_a_port_that_cannot_be_had_is_refused_in_a_sentence(text_artifacts: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1 port {port}: address already in use"):
            serve(text_artifacts, port=port)
    with pytest.raises(ConfigurationError, match="port is 70000; expected 0 to 65535"):
        serve(text_artifacts, port=70000)


def test_importing_the_server_brings_no_framework() -> None:
    code = "import sys, wotd.serving; print(*{'fastapi', 'uvicorn', 'torch', 'starlette'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
