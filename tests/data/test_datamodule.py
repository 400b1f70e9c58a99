"""From works or vectors to labelled, split, cached batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from wotd.data import WOTDDataModule
from wotd.data.splits import TEST, TRAIN, VAL
from wotd.embeddings.base import Embedder
from wotd.embeddings.fingerprint import PROBE_TEXTS, Fingerprint
from wotd.embeddings.lsa import LSAEmbedder
from wotd.embeddings.stylometry import Stylometry
from wotd.errors import ConfigurationError, CorpusError, TrainingError, VectorsError
from wotd.providers.base import Provider, Work
from wotd.taxonomy import Fact, Taxonomy

TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "test",
        "version": 1,
        "levels": [
            {"name": "kind", "fact": "genres", "rule": "first_match",
             "codes": [{"name": "a", "any": ["A"]}, {"name": "b", "any": ["B"]}]},
            {"name": "age", "fact": "year_written", "rule": "edges", "edges": [1800], "codes": ["old", "new"]},
            {"name": "rank", "rule": "rank", "size": 2},
        ],
    }
)  # fmt: skip


class Invented(Provider):
    """Twelve works by as many authors, three passages each; every third one has no genre."""

    name = "invented"

    def __init__(self, works: int = 12) -> None:
        super().__init__()
        self.count = works

    def works(self) -> Iterator[Work]:
        for number in range(self.count):
            facts = {
                "authors": Fact.stated((f"author {number}",)),
                "year_written": Fact.stated(1700 + 100 * (number % 2)),
            }
            if number % 3:
                facts["genres"] = Fact.stated(["A" if number % 2 else "B"])
            yield Work(
                f"invented:{number:02}", facts, lambda n=number: [f"word{n} text{n}x{p} common" for p in range(3)]
            )


class Counting(Embedder):
    """Embeds by the letters of a text, and counts what it is asked."""

    dimension = 8
    needs_fit = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("test", "counting", None, "", "", "", "", "none", None, None, True, "float32", 8)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        seeds = [sum(map(ord, text)) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).standard_normal(8) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def settings(self) -> dict:
        return {"kind": "test"}


def made(cache: Path, **options) -> WOTDDataModule:
    given = {"provider": Invented(), "embedder": Counting(), "taxonomy": TAXONOMY, "cache_dir": str(cache)}
    return WOTDDataModule(**(given | {"val_fraction": 0.2, "test_fraction": 0.2} | options))


def ready(cache: Path, **options) -> WOTDDataModule:
    data = made(cache, **options)
    data.setup()
    return data


def test_vectors_labels_and_sides_belong_to_their_passages(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert data.corpora is not None
    assert data.dimension == 8
    assert len(data.vectors) == len(data.labels) == len(data.sides) == len(data.corpora.texts) == 36
    np.testing.assert_array_equal(data.vectors, Counting().embed(data.corpora.texts))
    assert data.labels[:9].tolist() == [[-1, 0, -1]] * 3 + [[0, 1, -1]] * 3 + [[1, 0, -1]] * 3
    np.testing.assert_array_equal(np.sort(np.concatenate([data.rows(s) for s in (TRAIN, VAL, TEST)])), np.arange(36))
    assert all(len(set(data.sides[3 * n : 3 * n + 3])) == 1 for n in range(12))
    assert set(data.seconds) == {"reading", "splitting", "embedding"}


def test_a_ranked_level_is_taught_to_no_one_but_stays_the_works_label(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert data.corpora is not None
    assert (data.labels[:, 2] == -1).all()
    assert {work.label.codes[2] for work in data.corpora.works} == {None, 0, 1, 2, 3}  # an unbounded rank
    assert (data.corpora.labels[:, 2] >= 0).any(), "the corpora keep it"


def test_a_second_setup_and_a_second_run_embed_nothing(tmp_path: Path) -> None:
    embedder = Counting()
    data = made(tmp_path, embedder=embedder)
    data.setup("fit")
    assert len(embedder.asked) == 36 + len(PROBE_TEXTS)
    assert data.embedded == {"computed": 36, "found": 0}
    data.setup("validate")
    again = ready(tmp_path, embedder=embedder)
    assert len(embedder.asked) == 36 + len(PROBE_TEXTS)
    assert again.embedded == {"computed": 0, "found": 36}
    np.testing.assert_array_equal(data.vectors, again.vectors)


def test_features_stand_right_of_the_embedding_and_embed_nothing_anew(tmp_path: Path) -> None:
    embedder = Counting()
    plain = ready(tmp_path, embedder=embedder)
    data = ready(tmp_path, embedder=embedder, features=Stylometry())
    assert len(embedder.asked) == 36 + len(PROBE_TEXTS)
    assert data.embedded == {"computed": 0, "found": 36}
    assert (plain.dimension, plain.feature_dim) == (8, 0)
    assert (data.dimension, data.feature_dim) == (8, Stylometry().dimension)
    assert data.vectors.dtype == np.float32
    np.testing.assert_array_equal(data.vectors[:, :8], plain.vectors)
    np.testing.assert_array_equal(data.vectors[:, 8:], Stylometry().embed(data.corpora.texts))
    assert data.dataset(TRAIN)[torch.arange(2)].embeddings.shape == (2, 8 + data.feature_dim)


def test_lsa_is_fitted_on_the_training_side_alone(tmp_path: Path) -> None:
    lsa = LSAEmbedder(dimension=4, min_documents=1)
    data = ready(tmp_path, embedder=lsa)
    assert data.corpora is not None
    known = set(lsa._learned.vocabulary) if lsa._learned else set()
    for row, text in enumerate(data.corpora.texts):
        own = text.split()[1]  # a word that stands in this passage only
        assert (own in known) == (data.sides[row] == TRAIN)


def test_published_labels_do_not_move(tmp_path: Path) -> None:
    data = ready(tmp_path, published={"invented:01": [1, 0, 7]})
    assert data.corpora is not None
    assert data.corpora.works[1].label.codes == (1, 0, 7)
    assert data.labels[3].tolist() == [1, 0, -1]
    assert {work.label.codes for work in data.corpora.works} >= {(1, 0, 8), (1, 0, 9)}


def test_full_cells_are_a_warning_or_strictly_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = ready(tmp_path)
    assert data.corpora is not None
    assert [full.works for full in data.corpora.overflows] == [4, 4]
    assert "raise the level's size to at least 4" in caplog.text
    with pytest.raises(ConfigurationError, match=r"at least 4, or set taxonomy\.strict=false"):
        ready(tmp_path, strict=True)


def test_batches_hold_the_rows_of_their_side(tmp_path: Path) -> None:
    data = ready(tmp_path, batch_size=5)
    train = list(data.train_dataloader())
    assert {len(batch.embeddings) for batch in train} == {5}
    assert {batch.embeddings.dtype for batch in train} == {torch.float32}
    rows = torch.from_numpy(data.vectors[data.rows(VAL)])
    assert torch.equal(torch.cat([batch.embeddings for batch in data.val_dataloader()]), rows)
    labels = torch.cat([batch.labels for batch in data.test_dataloader()])
    assert labels.tolist() == data.labels[data.rows(TEST)].tolist()
    of_train = {tuple(row) for row in data.vectors[data.rows(TRAIN)].tolist()}
    assert {tuple(row) for batch in train for row in batch.embeddings.tolist()} <= of_train


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_bare_vectors_are_mapped_and_have_no_labels(tmp_path: Path, dtype: type) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(dtype)
    np.save(tmp_path / "x.npy", vectors)
    data = WOTDDataModule(vectors=str(tmp_path / "x.npy"), batch_size=8)
    data.setup()
    assert data.corpora is None
    assert isinstance(data.vectors, np.memmap)
    assert data.labels.shape == (50, 0)
    assert [len(data.rows(side)) for side in (TRAIN, VAL, TEST)] == [40, 5, 5]
    batch = next(iter(data.val_dataloader()))
    assert batch.embeddings.dtype == torch.float32
    np.testing.assert_array_equal(batch.embeddings.numpy(), vectors[data.rows(VAL)].astype(np.float32))
    assert batch.labels.shape == (5, 0)


def test_the_split_is_the_seeds(tmp_path: Path) -> None:
    sides = [ready(tmp_path, seed=seed).sides.tolist() for seed in (0, 0, 1)]
    assert sides[0] == sides[1] != sides[2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "data.batch_size is 0; expected 1 or more."),
        ({"val_fraction": 1.0}, "data.val_fraction is 1.0; expected 0 or more and less than 1."),
        ({"test_fraction": -0.1}, "data.test_fraction is -0.1"),
        ({"val_fraction": 0.0}, "a val_fraction above 0"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "a sum below 1"),
        ({"val_fraction": float("nan")}, "data.val_fraction is nan"),
        ({"seed": -1}, "data.seed is -1; expected 0 or more."),
        ({"split_by": "title"}, "data.split_by is 'title'; expected one of author, work, passage."),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        made(tmp_path, **options)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set provider and embedding, or data\.vectors"):
        WOTDDataModule().setup()
    with pytest.raises(VectorsError, match=r"data\.vectors is .*none\.npy"):
        WOTDDataModule(vectors=str(tmp_path / "none.npy")).setup()
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    with pytest.raises(TrainingError, match="2 rows, too few"):
        WOTDDataModule(vectors=str(tmp_path / "x.npy")).setup()
    with pytest.raises(CorpusError, match=r"data\.split_by=author finds 1 separate author"):
        ready(tmp_path, provider=Invented(works=1))
