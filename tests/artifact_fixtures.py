"""Trained artifacts for tests of what uses them: one folder from texts, one from bare vectors.

Loaded as a plugin, so that one session trains each of them once.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

GENRES = ("Drama", "Poetry", "Philosophy", "Science Fiction", "Comedy", "Fiction")
_WORDS = {
    "Drama": "stage curtain crown dagger throne herald banquet traitor oath duel",
    "Poetry": "rose lark dew moonlight willow sigh meadow silver petal nightingale",
    "Philosophy": "reason virtue substance cause essence judgement truth doubt maxim soul",
    "Science Fiction": "rocket planet machine orbit signal crater engine martian beacon dome",
    "Comedy": "goose parson wager trousers pudding hiccup cousin umbrella blunder jest",
    "Fiction": "letter garden carriage supper window village cousin harvest lantern inn",
}
_COMMON = "the of and a to in was that his her with for as at by on from they said when then there over under".split()


def invented_works(works_of_each: int = 6, passages: int = 4, seed: int = 0) -> list[dict[str, object]]:
    """Rows of invented works: each by its own author, its words those of its genre, its year of some era."""
    chooser = random.Random(seed)
    rows: list[dict[str, object]] = []
    for genre in GENRES:
        for number in range(works_of_each):
            name = f"{genre.lower().replace(' ', '-')}-{number}"
            for _ in range(passages):
                rows.append(
                    {
                        "id": name,
                        "title": f"{genre} the {number}th",
                        "authors": f"Author of {name}",
                        "genres": genre,
                        "year_written": 1600 + 60 * number,
                        "text": _passage(chooser, _WORDS[genre].split()),
                    }
                )
    return rows


def _passage(chooser: random.Random, words: list[str]) -> str:
    sentences = []
    for _ in range(4):
        length = chooser.randint(6, 14)
        chosen = [chooser.choice(words if place % 2 else _COMMON) for place in range(length)]
        sentences.append(" ".join(chosen).capitalize() + ".")
    return " ".join(sentences)


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on invented works with named levels; its artifacts are in ``artifacts/``."""
    from wotd.pipeline import train_wotd_pipeline

    root = tmp_path_factory.mktemp("text_run")
    works = root / "works.jsonl"
    works.write_text("".join(json.dumps(row) + "\n" for row in invented_works()), encoding="utf-8")
    overrides = [
        "+experiment=lsa",
        "embedding.dimension=16",
        "provider=files",
        f"provider.root={works}",
        "provider.passages=keep",
        "trainer.max_epochs=2",
        "model.latent_dim=8",
        "model.hidden=[16]",
    ]
    return train_wotd_pipeline(overrides, root / "run").output_dir


@pytest.fixture(scope="session")
def text_artifacts(text_run: Path) -> Path:
    """Artifacts of invented works, named levels, embedded with lsa; texts kept."""
    return text_run / "artifacts"


@pytest.fixture(scope="session")
def vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on 300 clustered vectors of length 12, three levels of four codes."""
    from wotd.pipeline import train_wotd_pipeline

    root = tmp_path_factory.mktemp("vector_run")
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(10, 12))
    vectors = centres[generator.integers(10, size=300)] + 0.3 * generator.normal(size=(300, 12))
    np.save(root / "vectors.npy", vectors.astype(np.float32))
    overrides = [
        "+experiment=deep",
        f"data.vectors={root / 'vectors.npy'}",
        "model.level_sizes=[4,4,4]",
        "model.latent_dim=8",
        "model.hidden=[16]",
        "trainer.max_epochs=2",
    ]
    return train_wotd_pipeline(overrides, root / "run").output_dir


@pytest.fixture(scope="session")
def vector_artifacts(vector_run: Path) -> Path:
    """Artifacts of bare vectors of length 12; codes of three levels of four."""
    return vector_run / "artifacts"
