"""A server in a process of its own, and what befalls servers: it stays up, drops nothing it accepted, and says so."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import psutil
import pytest
from running_server import Serving, serving

from wotd import SemanticIDModel, artifacts
from wotd.errors import ConfigurationError
from wotd.serving import ServerSettings, serve

pytest_plugins = ("artifact_fixtures",)

SEA = {"text": "the sea at night"}
KEY = "a-key-of-forty-characters-or-so-0123456789"
HEAD = b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"


def connected(server: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(server.address).port), timeout=20)


def put(source: Path, target: Path) -> None:
    """Artifacts in the place of others, as training puts them there."""
    with artifacts.writing(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def other_artifacts(text_artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of the same texts whose encoder is another one."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("other") / "artifacts"
    shutil.copytree(text_artifacts, folder)
    weights = load_file(folder / "encoder.safetensors")
    scale = next(name for name in weights if name.endswith("weight") and weights[name].ndim == 2)
    weights[scale] = weights[scale] * 1.5
    save_file(weights, folder / "encoder.safetensors")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    artifacts.seal(folder, {name: value for name, value in config.items() if name not in ("schema", "files")})
    return folder


class Asking:
    """Clients that ask all the time; what they were answered."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self._over, self.answers, self.errors = threading.Event(), [], []
        self._threads = [threading.Thread(target=self._ask, args=(address,)) for _ in range(clients)]

    def _ask(self, address: str) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            while not self._over.is_set():
                try:
                    self.answers.append(client.post("/encode", json=SEA))
                except httpx.HTTPError as error:
                    self.errors.append(error)

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("way", ["--watch", "SIGHUP"])
def test_new_artifacts_answer_without_a_request_dropped(
    way: str, text_artifacts: Path, other_artifacts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    put(text_artifacts, folder)
    confidence = [SemanticIDModel.load(each).encode(SEA["text"])[0].error for each in (text_artifacts, other_artifacts)]
    assert confidence[0] != confidence[1]
    with serving(folder, *(["--watch", "0.2"] if way == "--watch" else [])) as server, Asking(server.address) as asking:
        while len(asking.answers) < 20:
            time.sleep(0.01)
        put(other_artifacts, folder)
        if way == "SIGHUP":
            server.tell(signal.SIGHUP)
        server.await_line("serving artifacts ")
        seen = len(asking.answers)
        while len(asking.answers) < seen + 20:
            time.sleep(0.01)
        assert httpx.get(f"{server.address}/health").json()["artifacts"] in server.await_line("serving artifacts ")
    assert not asking.errors
    assert {answer.status_code for answer in asking.answers} == {200}
    errors = [answer.json()["results"][0]["error"] for answer in asking.answers]
    assert set(errors) == set(confidence)
    assert errors[0] == confidence[0]
    assert errors[-1] == confidence[1]


def test_damaged_artifacts_are_not_taken_and_the_old_ones_go_on_answering(
    text_artifacts: Path, other_artifacts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    put(text_artifacts, folder)
    with serving(folder, "--watch", "0.2") as server:
        before = httpx.post(f"{server.address}/encode", json=SEA).json()
        config = (folder / "config.json").read_text(encoding="utf-8")
        (folder / "config.json").write_text(config.replace('"schema": 1', '"schema": 99', 1), encoding="utf-8")
        line = server.await_line("cannot be loaded anew")
        assert "the old ones go on answering" in line
        assert "newer than this wotd reads" in line
        assert httpx.post(f"{server.address}/encode", json=SEA).json() == before
        put(other_artifacts, folder)
        server.await_line("serving artifacts ")
        assert httpx.post(f"{server.address}/encode", json=SEA).json() != before
        metrics = httpx.get(f"{server.address}/metrics").text
    assert 'wotd_reloads_total{outcome="failed"} 1.0' in metrics
    assert 'wotd_reloads_total{outcome="done"} 1.0' in metrics


def test_a_reload_that_fails_for_no_reason_of_ours_leaves_the_next_one_its_chance(
    text_artifacts: Path, other_artifacts: Path
) -> None:
    from wotd.serving.served import Served

    outcomes: list[object] = [RuntimeError("out of memory"), SemanticIDModel.load(other_artifacts)]

    def load() -> SemanticIDModel:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def reloaded_twice() -> list[bool]:
        made = Served(SemanticIDModel.load(text_artifacts), ServerSettings(), load)
        return [await made.reload(), await made.reload()]

    assert anyio.run(reloaded_twice) == [False, True]


def test_what_cannot_be_watched_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="only folders are watched"):
        serve("hf://user/name", settings=ServerSettings(watch_seconds=1))


def test_what_was_accepted_is_answered_before_it_stops(text_artifacts: Path) -> None:
    body = {"texts": [f"the sea at night and {number} ships" for number in range(2000)]}
    with serving(text_artifacts) as server, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(httpx.post, f"{server.address}/encode", json=body, timeout=60) for _ in range(3)]
        while not httpx.get(f"{server.address}/health").json()["waiting_texts"]:
            time.sleep(0.01)
        assert server.stopped(signal.SIGTERM, seconds=60) == 128 + signal.SIGTERM
        found = [answer.result() for answer in answers]
    assert [answer.status_code for answer in found] == [200] * 3
    assert all(len(answer.json()["results"]) == 2000 for answer in found)
    assert "Traceback" not in "".join(server.log)


@pytest.mark.slow
def test_of_several_processes_one_that_is_killed_is_replaced_and_metrics_are_of_all(text_artifacts: Path) -> None:
    with serving(text_artifacts, "--workers", "2") as server:
        parent = psutil.Process(server.process.pid)
        with Asking(server.address, clients=2) as asking:
            before = processes(parent)
            os.kill(before[0], signal.SIGKILL)
            server.await_line(f"process {before[0]} died with status -9 and is replaced")
            while len(after := processes(parent)) < 2 or before[0] in after:
                time.sleep(0.05)
            seen = len(asking.answers)
            while len(asking.answers) < seen + 20:
                time.sleep(0.01)
        assert {answer.status_code for answer in asking.answers} == {200}
        assert len(asking.errors) <= 4  # those that the killed process was answering
        metrics = httpx.get(f"{server.address}/metrics").text
        counted = next(line for line in metrics.splitlines() if 'route="/encode",status="200"' in line)
        assert float(counted.rpartition(" ")[2]) >= len(asking.answers)


def processes(parent: psutil.Process) -> list[int]:
    """The processes that answer: not the tracker of resources."""
    return [each.pid for each in parent.children() if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_of_several_processes_the_others_go_on_where_one_cannot_be_replaced(
    text_artifacts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    put(text_artifacts, folder)
    with serving(folder, "--workers", "2") as server:
        parent = psutil.Process(server.process.pid)
        config = (folder / "config.json").read_text(encoding="utf-8")
        (folder / "config.json").write_text(config.replace('"schema": 1', '"schema": 99', 1), encoding="utf-8")
        os.kill(processes(parent)[0], signal.SIGKILL)
        server.await_line("newer than this wotd reads")
        with Asking(server.address, clients=2) as asking:
            while len(asking.answers) < 20:
                time.sleep(0.01)
        assert {answer.status_code for answer in asking.answers} == {200}
        (folder / "config.json").write_text(config, encoding="utf-8")
        started = sum("startup complete" in line for line in server.log)
        while sum("startup complete" in line for line in server.log) == started:
            assert server.process.poll() is None
            time.sleep(0.05)
        began = time.monotonic()
        server.stopped()
        assert time.monotonic() - began < 20
    assert "Traceback" not in "".join(server.log)


# --- clients that are broken, slow or hostile


def test_it_stays_up_whatever_comes(text_artifacts: Path) -> None:
    with serving(text_artifacts, "--read-seconds", "2", WOTD_API_KEY=KEY) as server:
        right = {"Authorization": f"Bearer {KEY}"}
        client = httpx.Client(base_url=server.address, timeout=30)

        def works() -> None:
            assert client.post("/encode", json=SEA, headers=right).status_code == 200

        works()
        before = psutil.Process(server.process.pid).memory_info().rss
        bodies = {
            "malformed": (b'{"texts": ["a",', 400),
            "deep": (b'{"texts": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
            "invalid UTF-8": (b'{"text": "\xff\xfe"}', 400),
            "a lone surrogate": (b'{"text": "\\ud800"}', 422),
            "NaN": (b'{"text": "a", "min_confidence": NaN}', 422),
            "infinity": (b'{"text": "a", "min_confidence": 1e999}', 422),
            "nulls": (b'{"text": "\\u0000"}', 200),
            "too much": (b"x" * (17 * 1024 * 1024), 413),
        }
        for name, (body, status) in bodies.items():
            answer = client.post("/encode", content=body, headers=right)
            assert answer.status_code == status, (name, answer.text[:200])
            works()
        for body in (b'{"codes": [[NaN]]}', b'{"codes": [[1e400]]}', b'{"codes": [[' + b"9" * 4000 + b"]]}"):
            assert client.post("/decode", content=body, headers=right).status_code == 422
        with connected(server) as large:  # 100 MB, of which nothing is read
            large.sendall(HEAD.replace(b"Host", b"Authorization: Bearer %s\r\nHost" % KEY.encode()) % 100_000_000)
            assert large.recv(4096).startswith(b"HTTP/1.1 413 ")
        for path in ("/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/..%5c..%5capp.py", "/static//etc/passwd"):
            with connected(server) as raw:
                raw.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
                assert raw.recv(4096).split(b" ")[1] in (b"401", b"404"), path
        assert client.post("/encode", json=SEA, headers={"Authorization": f"Bearer {KEY}x"}).status_code == 401
        works()

        with connected(server) as half:  # the client closes its side; to us that means it has gone
            half.sendall(HEAD % 100 + b"{")
            half.shutdown(socket.SHUT_WR)
            half.recv(4096)
        for _ in range(50):  # gone in the middle of a body, some with a reset
            gone = connected(server)
            gone.sendall(HEAD % 100_000 + b"{" * 100)
            if random.random() < 0.5:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
        with connected(server) as slow:
            slow.sendall(HEAD.replace(b"Host", b"Authorization: Bearer %s\r\nHost" % KEY.encode()) % 100 + b"{")
            assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x00" * 1000,
            b"POST /encode\r\n\r\n",
        ):
            with connected(server) as raw:
                raw.sendall(nonsense)
                raw.shutdown(socket.SHUT_WR)
                raw.recv(4096)
        works()
        grown = psutil.Process(server.process.pid).memory_info().rss - before
        client.close()
        status = server.stopped()
    log = "".join(server.log)
    assert status == 128 + signal.SIGTERM
    assert grown < 150 * 1024 * 1024
    assert "Traceback" not in log
    assert KEY not in log
    assert "sea" not in log
