"""The polite downloader against a server of our own; time is told by the test, nobody waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from wotd.errors import ConfigurationError
from wotd.providers.download import (
    Client,
    DownloadError,
    Politeness,
    UnavailableError,
    download_gutenberg,
    download_standard_ebooks,
)
from wotd.providers.download.__main__ import main

TEXT = b"Call me Ishmael. " * 20_000
RDF = b'<?xml version="1.0"?><rdf:RDF/>'
EPUB = b"PK\x03\x04" + bytes(range(256)) * 10


class Handler(BaseHTTPRequestHandler):
    """Serves what the test put into ``server.files``; a callable takes the first requests of its path."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers.get(path, [])
        if answers:
            answers.pop(0)(self)
        elif path in self.server.files:
            send(self, self.server.files[path])
        else:
            answer(404)(self)

    def log_message(self, *args) -> None:
        pass


def send(request: Handler, body: bytes, *, cut: int | None = None, headers: dict[str, str] | None = None) -> None:
    """The body, or the range that is asked for if its ETag still fits; broken off after ``cut`` bytes."""
    headers = {"ETag": f'"{hash(body)}"'} if headers is None else headers
    begin = 0
    asked = request.headers.get("Range")
    if asked and request.headers.get("If-Range") in headers.values():
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(body):
            return answer(416)(request)
    request.send_response(206 if begin else 200)
    if begin:
        request.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
    request.send_header("Content-Length", str(len(body) - begin))
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body[begin : cut if cut is not None else len(body)])


def broken_after(cut: int, body: bytes = TEXT, **headers) -> Callable:
    return lambda request: send(request, body, cut=cut, **headers)


def answer(status: int, **headers: str) -> Callable:
    def reply(request: Handler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()

    return reply


class Time:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {
        "/cache/epub/84/pg84.txt": TEXT,
        "/cache/epub/84/pg84.rdf": RDF,
        "/ebooks/jane-austen/emma/downloads/jane-austen_emma.epub": EPUB,
        "/ebooks/k-marx_f-engels/manifesto/downloads/k-marx_f-engels_manifesto.epub": EPUB,
    }
    server.answers, server.requests = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture
def server():
    server = serve()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def fetch(server, time, tmp_path):
    """Fetch book 84, or others, from the server into the test's folder."""

    def run(ids=(84,), **politeness):
        client = Client(Politeness(**politeness), clock=time.clock, sleep=time.sleep)
        return download_gutenberg(ids, tmp_path / "books", base_url=server.url, client=client)

    return run


def visible(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def parts(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if ".part" in path.name or path.suffix == ".new")


def test_fetches_text_and_metadata_and_records_them(fetch, server, tmp_path):
    paths = fetch([84, "84"])
    folder = tmp_path / "books"
    assert [path.name for path in paths] == ["pg84.txt", "pg84.rdf"]
    assert (folder / "pg84.txt").read_bytes() == TEXT
    assert visible(folder) == ["pg84.rdf", "pg84.txt"]
    assert parts(folder) == []
    record = json.loads((folder / ".downloads.json").read_text())
    assert record["files"]["pg84.txt"]["bytes"] == len(TEXT)
    assert len(record["files"]["pg84.txt"]["sha256"]) == 64
    agent = server.requests[0][1]["User-Agent"]
    assert agent.startswith("wotd/")


def test_standard_ebooks_by_name(server, time, tmp_path):
    client = Client(clock=time.clock, sleep=time.sleep)
    names = ["jane-austen_emma", "k-marx_f-engels/manifesto"]
    paths = download_standard_ebooks(names, tmp_path, base_url=f"{server.url}/", client=client)
    assert [path.name for path in paths] == ["jane-austen_emma.epub", "k-marx_f-engels_manifesto.epub"]
    assert paths[0].read_bytes() == EPUB
    assert server.requests[0][0].endswith(".epub?source=download")


def test_what_is_there_is_not_fetched_again_but_what_changed_is(fetch, server, tmp_path):
    fetch()
    fetch()
    assert len(server.requests) == 2
    text = tmp_path / "books" / "pg84.txt"
    text.write_bytes(TEXT[:-1] + b"!")
    fetch()
    assert len(server.requests) == 3
    assert text.read_bytes() == TEXT
    (tmp_path / "books" / ".downloads.json").write_text("{damaged")
    fetch()
    assert len(server.requests) == 5


def test_keeps_its_distance(fetch, server, time):
    fetch(interval=2.5)
    assert time.slept == [2.5]
    server.files["/cache/epub/85/pg85.txt"] = TEXT
    server.answers["/cache/epub/85/pg85.txt"] = [answer(302, Location="/cache/epub/84/pg84.txt")]
    with pytest.raises(DownloadError, match=r"pg85.rdf: the server has no such file"):
        fetch([85], interval=2.5)
    assert time.slept == [2.5, 2.5, 2.5], "a redirect is a request too"


@pytest.mark.parametrize("headers", [None, {"Last-Modified": "Sat, 01 Nov 2025 00:00:00 GMT", "ETag": 'W/"weak"'}])
def test_goes_on_where_it_broke_off(fetch, server, time, tmp_path, headers):
    broken = broken_after(100_000, headers=headers)
    server.answers["/cache/epub/84/pg84.txt"] = [broken, lambda request: send(request, TEXT, headers=headers)]
    fetch()
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT
    sent = server.requests[1][1]
    assert sent["Range"] == "bytes=100000-"
    assert sent["If-Range"] == (headers or {}).get("Last-Modified", sent["If-Range"])
    assert time.slept[0] == 1.0


def test_goes_on_in_the_next_run(fetch, server, tmp_path):
    server.answers["/cache/epub/84/pg84.txt"] = [broken_after(cut) for cut in (5_000, 9_000)]
    with pytest.raises(DownloadError, match=r"broke off after 9000 of \d+ bytes; gave up after 2 attempts"):
        fetch(retries=1)
    assert visible(tmp_path / "books") == []
    fetch()
    assert server.requests[2][1]["Range"] == "bytes=9000-"
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT
    assert parts(tmp_path / "books") == []


def test_starts_over_where_the_file_changed_meanwhile(fetch, server, tmp_path):
    server.answers["/cache/epub/84/pg84.txt"] = [broken_after(5_000, b"Another text. " * 1000)]
    fetch()
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT


def test_starts_over_without_a_validator(fetch, server, tmp_path):
    server.answers["/cache/epub/84/pg84.txt"] = [broken_after(5_000, headers={})]
    fetch()
    assert "Range" not in server.requests[1][1]
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT


def test_a_range_of_another_file_is_not_joined(fetch, server, tmp_path):
    def careless(request):  # goes on whatever If-Range says
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 5000-{len(TEXT) - 1}/{len(TEXT)}")
        request.send_header("Content-Length", str(len(TEXT) - 5000))
        request.send_header("ETag", '"another"')
        request.end_headers()
        request.wfile.write(b"x" * (len(TEXT) - 5000))

    server.answers["/cache/epub/84/pg84.txt"] = [broken_after(5_000), careless]
    fetch()
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT


def test_a_part_that_is_too_long_starts_over(fetch, server, tmp_path):
    server.answers["/cache/epub/84/pg84.txt"] = [broken_after(5_000)]
    with pytest.raises(DownloadError):
        fetch(retries=0)
    with (tmp_path / "books" / ".pg84.txt.part").open("ab") as stream:
        stream.write(TEXT)
    fetch()
    assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT


def test_waits_as_long_as_it_is_told(fetch, server, time):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    server.answers["/cache/epub/84/pg84.txt"] = [
        answer(429, Retry_After="17"),
        answer(503, Retry_After=date),
        answer(503),
    ]
    fetch()
    first, second, third, *_ = time.slept
    assert first == 17
    assert 40 < second <= 50
    assert third == 4


def test_does_not_wait_for_ever(fetch, server, time, tmp_path):
    server.answers["/cache/epub/84/pg84.txt"] = [answer(429, Retry_After="3600")]
    with pytest.raises(DownloadError, match=r"429 .*asks to come back in 3600 seconds"):
        fetch()
    assert time.slept == []
    server.answers["/cache/epub/84/pg84.txt"] = [answer(500)] * 9
    with pytest.raises(DownloadError, match=r"500 .*gave up after 3 attempts"):
        fetch(retries=2, interval=0)
    assert time.slept == [1.0, 2.0]
    assert visible(tmp_path / "books") == []


@pytest.mark.parametrize(("status", "reason"), [(404, "has no such file"), (410, "has no such file"), (403, "refuses")])
def test_one_missing_book_does_not_stop_the_others(fetch, server, tmp_path, status, reason):
    server.answers["/cache/epub/7/pg7.txt"] = [answer(status)]
    with pytest.raises(
        DownloadError, match=rf"^1 of 2 books could not be had: .*pg7.txt: the server {reason} \({status}"
    ):
        fetch([7, 84])
    assert visible(tmp_path / "books") == ["pg84.rdf", "pg84.txt"]
    assert parts(tmp_path / "books") == []


def test_no_server_at_all(fetch, server, time):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"no answer \(.*refused.*gave up after 5 attempts"):
        fetch()
    assert sum(time.slept) >= 15


@pytest.mark.parametrize("said", [True, False])
def test_what_is_too_large_is_refused(fetch, server, tmp_path, said):
    def endless(request):
        request.send_response(200)
        if said:
            request.send_header("Content-Length", str(10**12))
        request.end_headers()
        try:
            for _ in range(100):
                request.wfile.write(b"x" * 65536)
        except OSError:
            pass

    server.answers["/cache/epub/84/pg84.txt"] = [endless]
    with pytest.raises(DownloadError, match="larger than 1000000 bytes"):
        fetch(max_bytes=1_000_000)
    assert visible(tmp_path / "books") == []
    assert parts(tmp_path / "books") == []


def test_redirects_stay_on_the_host(fetch, server, tmp_path):
    other = serve()
    path = "/cache/epub/84/pg84.txt"
    try:
        for target in (f"{other.url}{path}", f"http://localhost:{server.server_port}{path}", "file:///etc/passwd"):
            server.answers[path] = [answer(302, Location=target)]
            with pytest.raises(DownloadError, match=r"redirects to|refuses"):
                fetch()
        assert other.requests == []
        server.answers[path] = [answer(301, Location=f"http://localhost:{other.server_port}{path}")]
        fetch(allowed_hosts=frozenset({"localhost"}))
        assert (tmp_path / "books" / "pg84.txt").read_bytes() == TEXT
    finally:
        other.shutdown()
        other.server_close()


def test_redirects_in_a_circle_end(fetch, server):
    server.answers["/cache/epub/84/pg84.txt"] = [answer(302, Location="/cache/epub/84/pg84.txt")] * 50
    with pytest.raises(DownloadError, match="302"):
        fetch()
    assert len(server.requests) < 10


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><p>Sorry</p>", b"\xef\xbb\xbf <html>"])
def test_a_page_is_no_text(fetch, server, tmp_path, body):
    server.files["/cache/epub/84/pg84.txt"] = body
    with pytest.raises(DownloadError, match="something else than plain text"):
        fetch()
    assert visible(tmp_path / "books") == []
    assert parts(tmp_path / "books") == []


@pytest.mark.parametrize(
    "name", ["../x_y", "a/../b", "/a/b", "emma", "A_b", "a_b.epub", "a_b\n/", "", "a" * 300 + "_b"]
)
def test_names_do_not_lead_out_of_the_folder(tmp_path, server, name):
    with pytest.raises(ConfigurationError, match="name of a Standard Ebook"):
        download_standard_ebooks([name], tmp_path, base_url=server.url)
    assert server.requests == []


@pytest.mark.parametrize("number", ["../84", "0", "-3", "84a", "", "٣", 12345678, 8.5])
def test_ids_are_numbers(tmp_path, server, number):
    with pytest.raises(ConfigurationError, match="ID of a Project Gutenberg book"):
        download_gutenberg([84, number], tmp_path, base_url=server.url)
    assert server.requests == []


@pytest.mark.parametrize(
    "url", ["ftp://x.org", "file:///etc", "x.org", "http://", "http://x:y", "https://x/?a=b", "http://["]
)
def test_sites_are_addresses(tmp_path, url):
    with pytest.raises(ConfigurationError, match="base_url is"):
        download_gutenberg([84], tmp_path, base_url=url)


def test_two_do_not_fill_one_folder(fetch, tmp_path):
    (tmp_path / "books").mkdir()
    with FileLock(tmp_path / "books" / ".downloads.lock"), pytest.raises(DownloadError, match="another download"):
        fetch()


def test_a_folder_that_cannot_be_made(fetch, tmp_path):
    (tmp_path / "books").write_text("a file")
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch()


def test_from_the_shell(server, time, tmp_path, capsys):
    client = Client(clock=time.clock, sleep=time.sleep)
    arguments = ["gutenberg", "84", "--folder", str(tmp_path), "--base-url", server.url]
    assert main(arguments, client) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"[1/1] pg84.txt: {len(TEXT)} bytes"
    assert out[-1] == f"2 files in {tmp_path}"
    assert main(["standard-ebooks", "no_such", *arguments[2:]], client) == 1
    assert "has no such file (404" in capsys.readouterr().err


def test_as_a_module(server, tmp_path):
    command = [sys.executable, "-m", "wotd.providers.download", "gutenberg", "84", "--interval", "0"]
    command += ["--folder", str(tmp_path), "--base-url", server.url]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"no_proxy": "*"}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "pg84.txt").read_bytes() == TEXT


def test_unavailable_is_a_kind_of_download_error():
    assert issubclass(UnavailableError, DownloadError)
