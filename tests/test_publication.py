"""Codes as they are published: majority codes, semantic_ids.json, codes.parquet."""

from __future__ import annotations

import gc
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_artifacts import started

from wotd.artifacts import read_semantic_ids, write_works
from wotd.collision_policy import CollisionPolicy
from wotd.providers.base import Dropped
from wotd.providers.corpora import Corpora, Corpus
from wotd.publication import majority_code, publish_works, text_hash, write_codes, write_semantic_ids
from wotd.semantic_ids import SemanticID
from wotd.taxonomy import Fact, Label, Origin, Taxonomy

KINDS = [{"name": "verse", "any": ["Poetry"]}, {"name": "prose", "any": ["Fiction"]}]
TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "two",
        "version": 3,
        "levels": [
            {"name": "kind", "fact": "genres", "rule": "first_match", "codes": KINDS},
            {"name": "rank", "rule": "rank", "size": 3},
        ],
    }
)
TEXTS = ["the sea", "a “naïve” wind 🦉", "rain", "snow", "the sea"]
CODES = np.array([[0, 2], [1, 1], [0, 0], [1, 1], [1, 2]])


def corpora() -> Corpora:
    """Two works, the first of them last by ID; one without a known label."""
    facts = {"genres": Fact.stated(("Poetry",)), "year_written": Fact.estimated(1801), "title": Fact()}
    works = [
        Corpus("files:z", "Zed", ("B. Author", "C. Author"), facts, Label((0, 0), (Origin.STATED,) * 2), 0, 3),
        Corpus("files:a", "Ay", (), {}, Label((None, None), (Origin.UNKNOWN,) * 2), 3, 2),
    ]
    return Corpora(works, TEXTS, Dropped(), [])


# --- the code of a work


def test_a_work_bears_the_commonest_code_level_by_level() -> None:
    # 1 is commonest on the first level; of its two passages both say 3, though 2 is commoner over all.
    codes = np.array([[1, 3, 0], [1, 3, 4], [0, 2, 1], [1, 2, 1], [2, 2, 1]])
    assert majority_code(codes) == ([1, 3, 0], [0.6, 0.4, 0.2])


def test_the_lower_index_wins_a_tie() -> None:
    assert majority_code(np.array([[2, 0], [1, 5], [1, 4], [2, 0]])) == ([1, 4], [0.5, 0.25])


def test_a_work_of_one_passage_has_its_code() -> None:
    assert majority_code(np.array([[7, 0, 3]])) == ([7, 0, 3], [1.0, 1.0, 1.0])


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=20))
def test_no_prefix_is_shared_by_more_passages_at_any_level(codes: list[tuple[int, ...]]) -> None:
    code, agreement = majority_code(np.array(codes))
    assert agreement == sorted(agreement, reverse=True)
    for depth in range(3):
        counts = Counter(c[depth] for c in codes if list(c[:depth]) == code[:depth])
        assert code[depth] == min(index for index, count in counts.items() if count == max(counts.values()))
        assert agreement[depth] == counts[code[depth]] / len(codes)


# --- the IDs of works


def test_works_that_collide_move_to_the_code_that_stands_for_them_best() -> None:
    """Three works of one code; the embeddings of the two that move say where to."""
    encoder = started(np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32), (2, 4))
    decoded = encoder.decode(torch.tensor([[1, index] for index in range(4)])).numpy()
    works = [
        Corpus(f"files:{name}", name, (), {}, Label((None, None), (Origin.UNKNOWN,) * 2), first, 2)
        for name, first in (("a", 0), ("b", 2), ("c", 4))
    ]
    aims = np.repeat([0, 3, 2], 2)  # one passage lies off to the one side, the other as far to the other
    vectors = decoded[aims] + np.tile([[1.0], [-1.0]], (3, 6)).astype(np.float32)
    codes = np.full((6, 2), [1, 0])
    three = Corpora(works, [""] * 6, Dropped(), [])
    made = publish_works(three, codes, vectors, encoder, CollisionPolicy.SPREAD)
    assert {corpus: str(own) for corpus, own in made.ids.items()} == {
        "files:a": "1-0",
        "files:b": "1-3",
        "files:c": "1-2",
    }
    half = vectors.astype(np.float16)
    assert (
        publish_works(Corpora(works, [], Dropped(), []), codes, half, encoder, CollisionPolicy.SPREAD).ids == made.ids
    )


# --- semantic_ids.json


def test_semantic_ids_say_of_every_work_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "semantic_ids.json"
    write_semantic_ids(path, corpora(), TAXONOMY, CODES)
    data = read_semantic_ids(path)
    assert data["schema"] == 1
    assert Taxonomy.from_mapping(data["taxonomy"]) == TAXONOMY
    assert list(data["corpora"]) == ["files:a", "files:z"]
    assert data["corpora"]["files:z"] == {
        "title": "Zed",
        "author": "B. Author; C. Author",
        "label": [0, 0],
        "origins": ["stated", "stated"],
        "id": "0-0",
        "code": [0, 0],
        "agreement": [0.666667, 0.333333],
        "passages": 3,
        "facts": {
            "genres": {"value": ["Poetry"], "origin": "stated"},
            "year_written": {"value": 1801, "origin": "estimated"},
        },
    }
    unknown = data["corpora"]["files:a"]
    assert (unknown["author"], unknown["label"], unknown["origins"]) == (None, [None, None], ["unknown"] * 2)
    assert unknown["code"] == [1, 1]


def test_a_published_id_stands_beside_the_code(tmp_path: Path) -> None:
    path = tmp_path / "semantic_ids.json"
    ids = {"files:a": SemanticID((1, 1, 7)), "files:z": SemanticID((0, 2))}
    write_semantic_ids(path, corpora(), TAXONOMY, CODES, ids)
    entries = read_semantic_ids(path)["corpora"]
    assert {corpus: (entry["id"], entry["code"]) for corpus, entry in entries.items()} == {
        "files:a": ("1-1-7", [1, 1]),
        "files:z": ("0-2", [0, 0]),
    }


def test_a_work_is_a_line_and_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    path = tmp_path / "semantic_ids.json"
    works = {"files:é": {"title": 'A "title"\n', "code": [1, 2]}, "files:z": {"share": float("nan"), "code": (3,)}}
    write_works(path, {"schema": 1, "taxonomy": {"name": "t"}}, works.items())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.strip()[:10] for line in lines[-4:]] == ['"files:é":', '"files:z":', "}", "}"]
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "schema": 1,
        "taxonomy": {"name": "t"},
        "corpora": {"files:é": works["files:é"], "files:z": {"share": None, "code": [3]}},
    }


def test_works_are_written_as_they_come_and_read_without_a_search_for_cycles(tmp_path: Path) -> None:
    path, written = tmp_path / "semantic_ids.json", []

    def works() -> Iterator[tuple[str, dict]]:
        for number in range(3_000):
            written.append(path.stat().st_size)
            yield f"files:{number}", {"title": f"Title {number}", "code": [number], "facts": {"a": {"b": [number]}}}

    write_works(path, {"schema": 1, "taxonomy": None}, works())
    assert written[-1] > 0.9 * path.stat().st_size, "it was not kept until the end"
    searches = sum(each["collections"] for each in gc.get_stats())
    assert len(read_semantic_ids(path)["corpora"]) == 3_000
    assert sum(each["collections"] for each in gc.get_stats()) - searches < 10
    assert gc.isenabled()


def test_bare_vectors_name_no_corpus(tmp_path: Path) -> None:
    write_semantic_ids(tmp_path / "semantic_ids.json", None, None, CODES)
    assert read_semantic_ids(tmp_path / "semantic_ids.json") == {"schema": 1, "taxonomy": None, "corpora": {}}


def test_semantic_ids_are_the_same_bytes_for_the_same_works(tmp_path: Path) -> None:
    shuffled = corpora()
    shuffled.works.reverse()
    write_semantic_ids(tmp_path / "one.json", corpora(), TAXONOMY, CODES)
    write_semantic_ids(tmp_path / "two.json", shuffled, TAXONOMY, CODES)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))


# --- codes.parquet


@pytest.mark.parametrize("texts", [True, False])
def test_codes_come_back_row_by_row(texts: bool, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    sides = ["train", "val", "train", "test", "train"]
    write_codes(path, codes_NL=CODES, sides=sides, corpora=corpora(), texts=texts)
    table = pq.read_table(path)
    columns = ["corpus", "passage", *(["text"] if texts else []), "text_hash", "split", "label", "code"]
    assert table.column_names == columns
    assert table["corpus"].to_pylist() == ["files:z"] * 3 + ["files:a"] * 2
    assert table["passage"].to_pylist() == [0, 1, 2, 0, 1]
    assert table["split"].to_pylist() == sides
    assert table["label"].to_pylist() == [[0, 0]] * 3 + [[None, None]] * 2
    assert table["code"].to_pylist() == CODES.tolist()
    assert table.schema.field("code").type == pa.list_(pa.int64())
    assert table["text_hash"].to_pylist() == [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
    if texts:
        assert table["text"].to_pylist() == TEXTS


@pytest.mark.parametrize("rows", [0, 5])
def test_codes_of_bare_vectors_are_numbered(rows: int, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    write_codes(path, codes_NL=CODES[:rows], sides=["train"] * rows, corpora=None, texts=True)
    table = pq.read_table(path)
    assert table.column_names == ["corpus", "passage", "split", "code"]
    assert table["corpus"].to_pylist() == [None] * rows
    assert table["passage"].to_pylist() == list(range(rows))
    assert table["code"].to_pylist() == CODES[:rows].tolist()


def test_the_hash_of_a_text_is_that_of_its_bytes() -> None:
    assert text_hash("naïve") == hashlib.sha256(b"na\xc3\xafve").hexdigest()
