"""What a server does not let happen to it: too much, too long, too slow, without a key, from elsewhere."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from running_server import running

from wotd import SemanticID, SemanticIDModel
from wotd.errors import ConfigurationError
from wotd.serving import ServerSettings, connections, create_app
from wotd.serving.served import load_for_serving

pytest_plugins = ("artifact_fixtures",)

KEY = "a-key-of-forty-characters-or-so-0123456789"
SEA = {"text": "the sea at night"}


@pytest.fixture
def model(text_artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(text_artifacts)


class Gate:
    """Holds every batch of a model until it is opened."""

    def __init__(self, model: SemanticIDModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, embed = threading.Event(), model.embed

        def held(texts: list[str]):
            assert self.open.wait(30)
            return embed(texts)

        monkeypatch.setattr(model, "embed", held)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=15)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"max_texts": 0}, "max_texts is 0; expected more than 0"),
        ({"watch_seconds": -1}, "watch_seconds is -1"),
        ({"max_body_bytes": 10, "max_pending_bytes": 9}, "max_pending_bytes is 9; expected max_body_bytes"),
        ({"max_texts": 10, "max_waiting_texts": 9}, "max_waiting_texts is 9; expected max_texts"),
        ({"api_key": "short"}, "16 characters or more"),
        ({"allow_origins": ("example.org",)}, "expected an address like"),
        ({"allow_origins": ("https://example.org/page",)}, "expected an address like"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ServerSettings(**setting)


def test_the_key_is_shown_nowhere() -> None:
    assert KEY not in repr(ServerSettings(api_key=KEY))


def test_a_body_of_many_parts_does_not_have_the_whole_model_looked_through(text_artifacts: Path) -> None:
    try:
        load_for_serving(text_artifacts)
        assert gc.get_freeze_count() > 100_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()


def test_too_many_texts_and_too_long_ones_are_refused(model: SemanticIDModel) -> None:
    settings = ServerSettings(max_texts=2, max_text_characters=20)
    with running(create_app(model, settings)) as url:
        assert httpx.post(f"{url}/encode", json={"texts": ["sea"] * 2}).status_code == 200
        many = httpx.post(f"{url}/encode", json={"texts": ["sea"] * 3})
        long = httpx.post(f"{url}/encode", json={"texts": ["sea", "s" * 21]})
        codes = httpx.post(f"{url}/decode", json={"codes": [[0]] * 3})
        assert httpx.get(f"{url}/neighbors", params={"text": "s" * 21}).status_code == 422
    assert (many.status_code, many.json()["detail"]) == (422, "there are 3 texts; at most 2 are taken at a time.")
    assert (long.status_code, long.json()["detail"]) == (422, "text 1 has 21 characters; at most 20 are taken.")
    assert (codes.status_code, codes.json()["detail"]) == (422, "there are 3 codes; at most 2 are taken at a time.")


def test_a_full_queue_is_a_503_that_says_when_to_come_again(model: SemanticIDModel, monkeypatch) -> None:
    gate = Gate(model, monkeypatch)
    settings = ServerSettings(max_texts=200, max_waiting_texts=300)
    body = {"texts": ["the sea at night"] * 200}
    with running(create_app(model, settings)) as url, ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(httpx.post, f"{url}/encode", json=body, timeout=60) for _ in range(6)]
        end = time.monotonic() + 20
        while sum(answer.done() for answer in answers) < 4 and time.monotonic() < end:
            time.sleep(0.05)
        assert httpx.get(f"{url}/health").json()["waiting_texts"] > 0  # and the server still answers others
        gate.open.set()
        found = [answer.result() for answer in answers]
    refused = [answer for answer in found if answer.status_code == 503]
    assert len(refused) >= 4
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert all("the server is busy" in answer.json()["detail"] for answer in refused)
    whole = [answer.json()["results"] for answer in found if answer.status_code == 200]
    assert len(whole) + len(refused) == 6
    assert whole
    assert all(len(results) == 200 for results in whole)


def test_an_answer_that_takes_too_long_is_a_503(model: SemanticIDModel, monkeypatch) -> None:
    gate = Gate(model, monkeypatch)
    with running(create_app(model, ServerSettings(answer_seconds=0.2))) as url:
        answer = httpx.post(f"{url}/encode", json=SEA)
        gate.open.set()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "took longer than 0.2 s" in answer.json()["detail"]
        assert httpx.post(f"{url}/encode", json=SEA).status_code in (200, 503)


def test_bodies_of_all_requests_together_are_bounded(model: SemanticIDModel) -> None:
    settings = ServerSettings(max_body_bytes=1000, max_pending_bytes=1500)
    head = b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"
    body = json.dumps(SEA).encode().ljust(1000)
    with running(create_app(model, settings)) as url, connected(url) as slow:
        slow.sendall(head % 1000 + body[:990])
        until(lambda: httpx.post(f"{url}/encode", content=body).status_code != 200)  # as soon as that has been read
        refused = httpx.post(f"{url}/encode", content=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "busy with other large requests" in refused.json()["detail"]
        assert httpx.post(f"{url}/encode", json=SEA).status_code == 200  # there is room for a small one
        slow.sendall(body[990:])
        assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert httpx.post(f"{url}/encode", content=body).status_code == 200  # and now for a large one


def test_announcing_large_bodies_keeps_nobody_out(model: SemanticIDModel) -> None:
    settings = ServerSettings(max_body_bytes=1000, max_pending_bytes=1500)
    with running(create_app(model, settings)) as url, connected(url) as one, connected(url) as two:
        for idle in (one, two):
            idle.sendall(b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(0.2)
        assert httpx.post(f"{url}/encode", json=SEA).status_code == 200


def test_who_goes_away_gives_up_his_place(model: SemanticIDModel, monkeypatch) -> None:
    gate = Gate(model, monkeypatch)
    body = json.dumps({"texts": ["the sea at night"] * 200}).encode()
    with running(create_app(model)) as url:
        gone = [connected(url) for _ in range(3)]
        for connection in gone:
            connection.sendall(b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: httpx.get(f"{url}/health").json()["waiting_texts"] > 400)
        for connection in gone:
            connection.close()
        until(lambda: httpx.get(f"{url}/health").json()["waiting_texts"] == 0)
        gate.open.set()
        assert httpx.post(f"{url}/encode", json=SEA).status_code == 200
        assert 'route="/encode",status="499"} 3.0' in httpx.get(f"{url}/metrics").text


def test_too_many_connections_are_refused_as_everything_is(model: SemanticIDModel) -> None:
    with running(create_app(model), limit_concurrency=3) as url:
        held = [connected(url) for _ in range(3)]
        until(lambda: httpx.get(f"{url}/ping").status_code != 200)  # as soon as all of them have been accepted
        refused = httpx.get(f"{url}/ping")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "busy with other clients" in refused.json()["detail"]
        for connection in held:
            connection.close()
        until(lambda: httpx.get(f"{url}/ping").status_code == 200)


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"POST /encode\r\n\r\n"]
)
def test_what_is_no_http_is_refused_as_everything_is(model: SemanticIDModel, nonsense: bytes) -> None:
    with running(create_app(model)) as url, connected(url) as connection:
        connection.sendall(nonsense)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"detail": "invalid HTTP request received."}


def test_a_client_that_does_not_take_its_answer_is_let_go(model: SemanticIDModel, monkeypatch) -> None:
    monkeypatch.setattr(connections, "TAKING_SECONDS", 0.5)
    body = json.dumps({"codes": [[0]] * 4000}).encode()
    request = b"POST /decode HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with running(create_app(model)) as url, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(15)
        slow.connect(("127.0.0.1", httpx.URL(url).port))

        def let_go() -> bool:
            """Whether the server has dropped us; until then it is asked for more than any buffer holds."""
            try:
                slow.send(request, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        until(let_go)
        assert httpx.post(f"{url}/encode", json=SEA).status_code == 200


def test_vectors_of_one_answer_are_bounded(model: SemanticIDModel) -> None:
    settings = ServerSettings(max_texts=100_000, max_waiting_texts=100_000)
    most = 262_144 // model.encoder.input_dim
    with running(create_app(model, settings)) as url:
        refused = httpx.post(f"{url}/decode", json={"codes": [[0]] * (most + 1)})
        assert (refused.status_code, f"at most {most}" in refused.json()["detail"]) == (422, True)
        assert len(httpx.post(f"{url}/decode", json={"codes": [[0]] * most}, timeout=60).json()["results"]) == most


def test_a_body_that_comes_too_slowly_is_a_408(model: SemanticIDModel) -> None:
    with running(create_app(model, ServerSettings(read_seconds=0.3))) as url, connected(url) as slow:
        slow.sendall(b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: 20\r\n\r\n{")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert httpx.post(f"{url}/encode", json=SEA).status_code == 200


def test_a_client_that_never_finishes_its_head_is_let_go(model: SemanticIDModel, monkeypatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with running(create_app(model)) as url, connected(url) as silent, connected(url) as slow, connected(url) as kept:
        slow.sendall(b"POST /encode HTTP/1.1\r\nHost: he")
        kept.sendall(b"GET /ping HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = kept.recv(4096)
        while not answer.endswith(b"}"):
            answer += kept.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
        kept.sendall(b"GET /pi")
        for connection in (silent, slow, kept):
            assert connection.recv(4096) == b""
        assert httpx.get(f"{url}/ping").status_code == 200


# --- who may ask


def test_without_the_key_only_what_holds_nothing_is_answered(model: SemanticIDModel) -> None:
    right = {"Authorization": f"Bearer {KEY}"}
    with running(create_app(model, ServerSettings(api_key=KEY))) as url, httpx.Client(base_url=url) as client:
        for path in ("/", "/ping", "/health", "/docs", "/openapi.json", "/static/page.js", "/static/docs/start.js"):
            assert client.get(path).status_code == 200, path
        for path in ("/browse", "/metrics", "/describe/0", "/nothing", "/static", "/pinged"):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
            assert "Authorization: Bearer KEY" in refused.json()["detail"]
        for wrong in ("", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer \xff"):
            headers = {"Authorization": wrong.encode("latin-1")}
            assert client.post("/encode", json=SEA, headers=headers).status_code == 401, wrong
        assert client.post("/encode", content=b"x" * 1_000_000).status_code == 401
        assert client.post("/encode", json=SEA, headers=right).status_code == 200
        assert client.get("/metrics", headers={"authorization": f"bearer {KEY}"}).status_code == 200


def test_other_sites_may_ask_only_if_they_are_named(model: SemanticIDModel) -> None:
    origin = "https://example.org"
    settings = ServerSettings(allow_origins=(origin,), api_key=KEY)
    with running(create_app(model, settings)) as url:
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        allowed = httpx.options(f"{url}/encode", headers={"Origin": origin, **wanted})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
        right = {"Authorization": f"Bearer {KEY}", "Origin": origin}
        assert httpx.post(f"{url}/encode", json=SEA, headers=right).headers["access-control-allow-origin"] == origin
        refused = httpx.options(f"{url}/encode", headers={"Origin": "https://elsewhere.example", **wanted})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers


# --- what it tells of itself


def test_health_says_what_is_served(model: SemanticIDModel) -> None:
    with running(create_app(model)) as url:
        health = httpx.get(f"{url}/health").json()
    assert health["status"] == "ready"
    assert health["texts"] is True
    assert model.artifacts.config["files"]["encoder.safetensors"].startswith(health["artifacts"])
    assert health["embedding_model"] == model.artifacts.fingerprint.model
    assert health["waiting_texts"] == 0
    assert 0 <= health["uptime_seconds"] < 60


def test_prometheus_reads_counts_by_route_and_no_texts(model: SemanticIDModel) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    with running(create_app(model)) as url:
        httpx.post(f"{url}/encode", json={"texts": ["zebra", "sea"]})
        httpx.get(f"{url}/neighbors", params={"text": "zebra"})
        httpx.get(f"{url}/zebra")
        httpx.request("ZEBRA", f"{url}/ping")
        answer = httpx.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "zebra" not in answer.text.lower()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["wotd_requests_total", "/encode", "200", "POST"] == 1
    assert samples["wotd_requests_total", "/neighbors", "200", "GET"] == 1
    assert samples["wotd_requests_total", "404", "GET", "none"] == 1
    assert samples["wotd_batch_texts_sum",] == 3
    assert samples["wotd_waiting_texts",] == 0
    assert samples["process_resident_memory_bytes",] > 0


def test_vectors_of_ids_and_prefixes(model: SemanticIDModel) -> None:
    whole = model.encode("the sea at night")[0].code
    with running(create_app(model)) as url:
        results = httpx.post(f"{url}/decode", json={"codes": [whole, "2-3", [2]]}).json()["results"]
        for bad, sentence in (
            ([], "at least one code"),
            ([[99]], "level 0 is 99"),
            ([[0] * 9], "codes are"),
            ([[]], "code 0 is empty"),
            (["x"], "expected indices"),
            ([[1.5]], "code 0 is a list"),
            ([[True]], "code 0 is a list"),
            ([[-1]], "code 0 is a list"),
            ([None], "code 0 is null"),
        ):
            refused = httpx.post(f"{url}/decode", json={"codes": bad})
            assert (refused.status_code, sentence in refused.json()["detail"]) == (422, True), refused.text
    assert [each["id"] for each in results] == ["-".join(map(str, whole)), "2-3", "2"]
    assert results[1]["names"] == model.names(SemanticID.parse("2-3"))
    for each in results:
        assert each["vector"] == pytest.approx(model.decode(np.asarray([each["code"]]))[0].tolist())
