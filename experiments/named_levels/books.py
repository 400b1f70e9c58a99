"""What the experiments of this folder read: passages of books, their MiniLM vectors, features, labels, authors.

Shape letters: N passages, D embedding, F features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wotd.assembly import build_taxonomy
from wotd.configuration import compose
from wotd.data.splits import author_key
from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder, Stylometry
from wotd.providers.corpora import collect
from wotd.providers.literature.standard_ebooks import StandardEbooks

LEVELS = ("style", "complexity", "era")


@dataclass(frozen=True)
class Views:
    """What is seen of N passages."""

    minilm_ND: NDArray[np.float32]
    stylometry_NF: NDArray[np.float32]

    @property
    def by_name(self) -> dict[str, NDArray[np.float32]]:
        """The embedding, the features, and both side by side."""
        both = np.concatenate([self.minilm_ND, self.stylometry_NF], 1)
        return {"MiniLM": self.minilm_ND, "stylometry": self.stylometry_NF, "both": both}


@dataclass(frozen=True)
class Books:
    """Passages of Standard Ebooks; an author has one index, whatever the spelling."""

    texts: list[str]
    labels_NL: NDArray[np.int64]
    works_N: NDArray[np.int64]
    authors_N: NDArray[np.int64]

    def evenly(self, passages: int) -> Books:
        """At most so many passages of each work, spread evenly over it."""
        rows = []
        for work in np.unique(self.works_N):
            own = np.flatnonzero(self.works_N == work)
            count = min(passages, len(own))
            rows.append(own[np.arange(count) * len(own) // count])
        kept = np.concatenate(rows)
        texts = [self.texts[row] for row in kept]
        return Books(texts, self.labels_NL[kept], self.works_N[kept], self.authors_N[kept])


def read_books(root: Path) -> Books:
    """The works of a folder of Standard Ebooks, labelled by the literature taxonomy."""
    taxonomy = build_taxonomy(compose(["provider=standard_ebooks", f"provider.root='{root}'"]))
    assert taxonomy is not None
    corpora = collect(StandardEbooks(root), taxonomy)
    names = [" & ".join(sorted(map(author_key, work.authors))) or work.id for work in corpora.works]
    authors = np.unique(names, return_inverse=True)[1][corpora.work_of_passage]
    return Books(corpora.texts, corpora.labels, corpora.work_of_passage, authors)


def views(texts: Sequence[str]) -> Views:
    """MiniLM vectors and stylometry of texts, from the cache where it has them."""
    cache = EmbeddingCache()
    return Views(*(cache.embed(each, texts).vectors for each in (SentenceTransformerEmbedder("minilm"), Stylometry())))


def report(rows: Mapping[str, Mapping[str, float]], results: Mapping[str, object], output: Path) -> None:
    """Print rows as a table and write the results as JSON."""
    columns = list(next(iter(rows.values())))
    print("| |", " | ".join(columns), "|")
    print("|---|", "---|" * len(columns))
    for name, values in rows.items():
        print(f"| {name} |", " | ".join(f"{values[column]:.3f}" for column in columns), "|")
    output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
