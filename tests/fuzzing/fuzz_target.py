"""What a target is, and what several of them do with what they read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fuzz_mutations import MAX_BYTES

from wotd.configuration import config_directory
from wotd.errors import WOTDError
from wotd.providers.base import Provider
from wotd.providers.corpora import collect
from wotd.providers.text import Block, cut_passages
from wotd.taxonomy import Taxonomy

Run = Callable[[bytes, Path], object]


def _nothing(folder: Path) -> None:
    del folder


@dataclass(frozen=True)
class Target:
    """One door that inputs come through.

    Attributes:
        name: of the target.
        kind: which mutations suit its inputs.
        run: reads the bytes of one case; the folder is its own.
        seeds: sound inputs, the first of which has to be read without an error.
        hostile: harmful ones.
        allowed: errors it may raise.
        share: of the usual number of cases; less where one takes long.
        prepare: lays out the folder.
        max_bytes: of a spoiled input; less where reading rightly takes long for its size.
    """

    name: str
    kind: str
    run: Run
    seeds: Sequence[bytes]
    hostile: Sequence[bytes] = ()
    allowed: tuple[type[Exception], ...] = (WOTDError,)
    share: float = 1.0
    prepare: Callable[[Path], object] = _nothing
    max_bytes: int = MAX_BYTES


def placed(case: bytes, folder: Path, names: Sequence[str]) -> str:
    """Write the case as the file that its first line names, else whole as the first of them; the file's name."""
    name, _, content = case.partition(b"\n")
    found = name.decode("latin-1")
    if found not in names:
        found, content = names[0], case
    (folder / found).write_bytes(content)
    return found


def within(name: str, cases: Sequence[bytes]) -> list[bytes]:
    """Cases for :func:`placed`."""
    return [name.encode() + b"\n" + case for case in cases]


def provided(provider: Provider) -> None:
    """Read a provider to the end, label what it gave, and see that all of it can be written down."""
    try:
        corpora = collect(provider, _taxonomy())
    finally:
        written(provider.dropped.to_mapping())
    for text in corpora.texts:
        text.encode()
    for work in corpora.works:
        known = {name: (fact.value, fact.origin.value) for name, fact in work.facts.items()}
        written([work.id, work.title, work.authors, known])


def written(data: Any) -> bytes:
    """As files and answers hold it."""
    return json.dumps(data, ensure_ascii=False).encode()


def cut(chapters: Sequence[Sequence[Block]]) -> None:
    """The passages of chapters, each of which has to be text."""
    for chapter in chapters:
        for passage in cut_passages(chapter)[0]:
            passage.encode()


@cache
def _taxonomy() -> Taxonomy:
    data = yaml.safe_load((config_directory() / "taxonomy" / "literature.yaml").read_text(encoding="utf-8"))
    return Taxonomy.from_mapping({name: data[name] for name in ("name", "version", "levels")})
