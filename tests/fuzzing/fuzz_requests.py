"""Targets: what users and clients ask, which are IDs, patterns, addresses, bodies and overrides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_hostile_texts import csv_tables, json_values, overrides, prose
from fuzz_target import Target, within

from wotd.configuration import check, compose
from wotd.errors import InputError
from wotd.hub.addresses import HubAddress, folder_of, scheme_of
from wotd.semantic_ids import IDPattern, SemanticID
from wotd.serving.bodies import BodyLimits
from wotd.serving.formats import read_request, status_of
from wotd.serving.payload import read_codes, read_neighbors, read_texts
from wotd.serving.settings import ServerSettings

_IDS = (b"2-3-5-1", b"5-6", b"0", b"", b" 7-0 ")
_PATTERNS = (b"5-*-6", b"*", b"5-3", b"*-*-*")
_TEXTS = b'{"texts": ["It was a dark night.", "a"], "min_confidence": 0.5}'
_TEXT = b'{"text": "x", "k": 5}'
_CODES = b'{"codes": [[2, 3], "2-3"]}'
_TYPED = (
    *(b"application/json\n" + _TEXTS, b'application/jsonlines\n{"text": "a b"}\n{"text": "c"}\n', b"text/plain\nplain"),
    *(
        b'text/csv\ntext\n"a, ""b"""\n',
        b"text/csv; header=present\ntext\nx\n",
        b"text/csv; header=absent\nx\ny\n",
        b"\nx",
    ),
)
_ADDRESSES = (
    *(
        b"file:///tmp/x",
        b"hf://user/name",
        b"hf://user/name/folder@main",
        b"file://[",
        b"s3://bucket/key",
        b"file://h/x",
    ),
    *(b"hf://a/b/../c", b"hf://a/b@..", b"s3://key:secret@bucket/x?token=1", b"file:///%00", b"://", b"C:\\x"),
    *(b"simplecache::s3://b", b"http://[::1", b"hf://" + b"a/" * 5000, b"token" * 3000),
)
_SOUND = [
    *(b"+experiment=minilm", b"+experiment=deep\nmodel.level_sizes=[4,4,4]", b"model.losses.alignment=0.3\nseed=1"),
    *(
        b"provider=standard_ebooks\nprovider.root=X",
        b"trainer.max_epochs=2\n~callbacks.early_stopping",
        b"+a.b=${seed}",
    ),
    *(b"embedding=lsa\nembedding.dimension=16", b"model.hidden=[1,2]\ndata.batch_size=8", b"+x={a: 1, b: [c, 'd']}"),
]
_MAX_BODY = 1000


def targets() -> list[Target]:
    """All of them."""
    check(compose(["+experiment=minilm"]))  # what that imports makes folders of its own
    long = [b'{"texts": [' + b'"a",' * 100_000 + b'"b"]}', b'{"text": "' + b"a" * 3_000_000 + b'"}']
    values = [*json_values(), *long]
    bodies = {
        "texts": (read_texts, _TEXTS),
        "a text": (read_neighbors, _TEXT),
        "codes": (partial(read_codes, most=9), _CODES),
    }
    announced = [b"9" * 5000 + b"\nx", b"\xb2\nx", b"-1\nx", b"0" * 5000 + b"1\nx", b"1e3\nx", b" 5\nx"]
    return [
        Target("IDs", "text", partial(_parsed, SemanticID), _IDS, prose()),
        Target("patterns", "text", partial(_parsed, IDPattern), _PATTERNS, prose()),
        Target("addresses", "text", _address, _ADDRESSES, prose()[:40]),
        *(
            Target(f"body of {name}", "json", partial(_body, read), [sound, _TEXTS, _TEXT, _CODES], values)
            for name, (read, sound) in bodies.items()
        ),
        Target("bodies of other types", "csv", _typed, _TYPED, within("text/csv", csv_tables())),
        Target("body limits", "text", _limited, [b"5\nabc\nde", b"0\n", b"99999999999\nx"], announced, ()),
        Target("config overrides", "text", _overrides, _SOUND, overrides()[::3], share=0.1),
    ]


def _parsed(kind: type[SemanticID] | type[IDPattern], case: bytes, _: Path) -> None:
    read = kind.parse(case.decode("utf-8", "surrogateescape"))
    if kind.parse(str(read)) != read:
        raise ValueError("it does not read back as it was")
    read.check_sizes((8, 8, 8, 5))


def _address(case: bytes, _: Path) -> None:
    text = case.decode("utf-8", "surrogateescape")
    scheme_of(text)
    (HubAddress.parse if text.startswith("hf:") else folder_of)(text)


def _body(read: Callable[[bytes], object], case: bytes, _: Path) -> None:
    try:
        read(case)
    except InputError as error:
        _check_status(error)
        raise


def _typed(case: bytes, folder: Path) -> None:
    kind, _, body = case.partition(b"\n")
    _body(lambda content: read_request(content, kind.decode("latin-1")), body, folder)


def _check_status(error: InputError) -> None:
    if not 400 <= status_of(error) < 500:
        raise ValueError(f"it is answered {status_of(error)}")


def _overrides(case: bytes, _: Path) -> None:
    check(compose(case.decode("utf-8", "surrogateescape").split("\n")))


def _limited(case: bytes, _: Path) -> None:
    """A body in parts, announced as the first line says, through the limits of the server."""
    announced, *parts = case.split(b"\n")
    messages = deque({"type": "http.request", "body": part, "more_body": True} for part in parts)
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    statuses: list[int] = []

    async def receive() -> Any:
        return messages.popleft() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200})

    limits = BodyLimits(application, ServerSettings(max_body_bytes=_MAX_BODY))
    asyncio.run(limits({"type": "http", "headers": [(b"content-length", announced)]}, receive, send))
    if statuses != [413 if sum(map(len, parts)) > _MAX_BODY else 200] and statuses != [413]:
        raise ValueError(f"it was answered {statuses}")
