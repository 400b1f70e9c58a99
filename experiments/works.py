"""Works of a provider as rows that `provider=files` reads: parsed once, for however many runs a study has."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from wotd.assembly import build_taxonomy
from wotd.configuration import build, compose
from wotd.providers.corpora import Corpora, collect

LABELLED_BY = ("genres", "reading_ease", "year_written")
"""Facts of a work that decide its label."""


def read(overrides: Sequence[str]) -> Corpora:
    """The works of the provider that the overrides name, labelled by the taxonomy of literature."""
    config = compose(overrides)
    taxonomy = build_taxonomy(config)
    assert taxonomy is not None
    return collect(build(config.provider, "provider"), taxonomy)


def write_rows(corpora: Corpora, path: Path, ids: Collection[str] | None = None) -> list[str]:
    """Write passages one a line, those of all works or of some, and return the overrides under which runs read them.

    Passages, authors and labels come out as they were.
    """
    with path.open("w", encoding="utf-8") as file:
        for work in corpora.works:
            if ids is not None and work.id not in ids:
                continue
            facts = {name: work.facts[name].value for name in LABELLED_BY if name in work.facts}
            for index, text in enumerate(corpora.texts[work.first : work.first + work.passages]):
                row = {"id": work.id, "index": index, "text": text, "authors": list(work.authors), **facts}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    settings = {"root": f"'{path}'", "passages": "keep", "max_passages_per_work": "null"}
    return ["provider=files", *(f"provider.{name}={value}" for name, value in settings.items())]
