"""A polite HTTP client that fills files: it waits between requests, backs off, and goes on where it broke off."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from itertools import count
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from wotd import __version__
from wotd.errors import WOTDError
from wotd.providers.download.parts import Part

logger = logging.getLogger(__name__)

USER_AGENT = f"wotd/{__version__} (reads literature; fetches only texts named by a person)"

_CHUNK_BYTES = 64 * 1024
_MAX_REDIRECTS = 5
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_OUT_OF_RANGE = 416
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class DownloadError(WOTDError):
    """A download cannot go on; what is complete stays, what is half done is kept aside."""


class UnavailableError(DownloadError):
    """One file cannot be had from the server; others may."""


class _TryAgainError(Exception):
    """What may well work a little later, and how many seconds the server asks to wait."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


@dataclass(frozen=True)
class Politeness:
    """How a client behaves towards a server. Times are in seconds."""

    interval: float = 2.0
    """Between the starts of two requests, at least."""
    retries: int = 4
    """After the first attempt, for each file."""
    backoff: float = 1.0
    """Before the first retry; doubles with each, up to ``longest_wait``."""
    longest_wait: float = 120.0
    """A server that asks to wait longer is left alone, with an error that says so."""
    timeout: float = 30.0
    """Without a sign of life from the server."""
    max_bytes: int = 64 * 1024 * 1024
    """A larger file is refused."""
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts to which a server may redirect, besides itself."""


class Client:
    """Fetches files one after the other."""

    def __init__(
        self,
        politeness: Politeness | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.politeness = politeness or Politeness()
        self._clock, self._sleep = clock, sleep
        self._last_request: float | None = None
        self._opener = build_opener(_Redirects(self.politeness.allowed_hosts, self._pace))

    def fill(self, url: str, part: Part) -> None:
        """Fetch a URL into a part file, going on from what it holds where the server can.

        Raises:
            UnavailableError: if the server does not have the file, refuses it, or it is too large.
            DownloadError: if the server cannot be reached, or asks to be left alone for long.
        """
        retries = self.politeness.retries
        for attempt in count():
            try:
                return self._attempt(url, part)
            except UnavailableError:
                part.discard()
                raise
            except _TryAgainError as problem:
                if attempt == retries:
                    raise DownloadError(
                        f"{url}: {problem}; gave up after {retries + 1} attempts. Started again, it goes on from there."
                    ) from problem
                self._wait(url, problem, attempt)

    def _wait(self, url: str, problem: _TryAgainError, attempt: int) -> None:
        longest = self.politeness.longest_wait
        if problem.wait > longest:
            raise DownloadError(
                f"{url}: {problem}, and asks to come back in {problem.wait:.0f} seconds; try again then."
            )
        seconds = max(problem.wait, min(longest, self.politeness.backoff * 2**attempt))
        logger.info("%s: %s; trying again in %.0f seconds", url, problem, seconds)
        self._sleep(seconds)

    def _pace(self) -> None:
        if self._last_request is not None:
            early = self._last_request + self.politeness.interval - self._clock()
            if early > 0:
                self._sleep(early)
        self._last_request = self._clock()

    def _attempt(self, url: str, part: Part) -> None:
        # Compressed on the way, sizes and ranges would be those of other bytes.
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        start, validator = part.resumable(url)
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        self._pace()
        try:
            response = self._opener.open(Request(url, headers=headers), timeout=self.politeness.timeout)
        except HTTPError as error:
            with error:
                raise self._refusal(url, error, part) from error
        except ValueError as error:
            raise UnavailableError(f"{url}: the server redirects to an address that is none ({error}).") from error
        except (HTTPException, OSError) as error:
            raise _TryAgainError(f"no answer ({getattr(error, 'reason', None) or error!r})") from error
        with response:
            self._receive(url, response, part, start, validator)

    def _refusal(self, url: str, error: HTTPError, part: Part) -> Exception:
        if error.code in _BUSY:
            return _TryAgainError(
                f"the server answered {error.code} {error.reason}", _retry_after(error.headers.get("Retry-After", ""))
            )
        if error.code == _OUT_OF_RANGE and part.size:
            part.discard()
            return _TryAgainError("what was fetched before no longer fits the file")
        reason = "has no such file" if error.code in (404, 410) else "refuses"
        return UnavailableError(f"{url}: the server {reason} ({error.code} {error.reason}).")

    def _receive(self, url: str, response: HTTPResponse, part: Part, start: int, validator: str) -> None:
        begins, total = _extent(response)
        if response.status not in (200, 206) or response.headers.get("Content-Encoding", "identity") != "identity":
            raise UnavailableError(f"{url}: the server answered {response.status} in a form that is not read here.")
        if begins and (begins != start or _validator(response.headers) not in ("", validator)):
            part.discard()
            raise _TryAgainError("the server went on with another part, or another file, than was asked for")
        self._refuse_oversize(url, total or 0)
        if not begins:
            part.begin(url, _validator(response.headers))
        size = begins
        with part.path.open("ab") as stream:
            for chunk in _chunks(response):
                size += len(chunk)
                self._refuse_oversize(url, size)
                stream.write(chunk)
        if total is not None and size != total:
            raise _TryAgainError(f"the connection broke off after {size} of {total} bytes")

    def _refuse_oversize(self, url: str, size: int) -> None:
        if size > self.politeness.max_bytes:
            raise UnavailableError(
                f"{url}: the file is larger than {self.politeness.max_bytes} bytes, the most allowed."
            )


class _Redirects(HTTPRedirectHandler):
    """Follows redirects on the same host, or to hosts that are allowed by name, and never away from https."""

    max_redirections = _MAX_REDIRECTS

    def __init__(self, allowed_hosts: frozenset[str], pace: Callable[[], None]) -> None:
        self._allowed_hosts, self._pace = allowed_hosts, pace

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to send instead."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        same = _origin(req.full_url) == _origin(newurl) or new.hostname in self._allowed_hosts
        if not same or new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            fp.close()
            raise UnavailableError(
                f"{req.full_url}: the server redirects to {newurl}, which is refused; only the same host is followed."
            )
        self._pace()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str | None, int | None]:
    """Host and port; a default port is none, so that http may lead to https."""
    parts = urlsplit(url)
    return parts.hostname, None if parts.port == _DEFAULT_PORTS.get(parts.scheme) else parts.port


def _extent(response: HTTPResponse) -> tuple[int, int | None]:
    """Where the bytes of an answer begin in the file, and the size of the whole file if it is said."""
    length = response.headers.get("Content-Length", "")
    begins, total = 0, int(length) if length.isdigit() else None
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        begins = int(match[1]) if match else -1
        total = int(match[2]) if match and match[2].isdigit() else None if total is None else begins + total
    return begins, total


def _validator(headers: HTTPMessage) -> str:
    """What tells later whether the file is still the same; a weak ETag does not, so it is not used."""
    etag = str(headers.get("ETag") or "")
    return etag if etag and not etag.startswith("W/") else str(headers.get("Last-Modified") or "")


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (HTTPException, OSError) as error:
            raise _TryAgainError(f"the connection broke off ({error!r})") from error
        if not chunk:
            return
        yield chunk


def _retry_after(value: str) -> float:
    """Seconds to wait; the header holds seconds or a date."""
    value = value.strip()
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
