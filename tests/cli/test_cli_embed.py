"""wotd embed and wotd models: what is written, what it says of itself, what is refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_works import invented_works

from wotd import SemanticIDModel
from wotd.cli.embed import _survey
from wotd.cli.inputs import Record, TextSource
from wotd.cli.vector_tables import Part, VectorTable, write_vectors
from wotd.embeddings import EmbeddingCache, Fingerprint, SentenceTransformerEmbedder
from wotd.embeddings.registry import MODELS

pytest_plugins = ["artifact_fixtures"]

ROWS = invented_works(2, seed=1)
TEXTS = [str(row["text"]) for row in ROWS]


@pytest.fixture
def texts(tmp_path):
    return written(tmp_path, [{"text": text} for text in TEXTS])


@pytest.fixture
def embedder(tiny_model_path):
    return SentenceTransformerEmbedder(str(tiny_model_path))


def written(folder, rows):
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- matrices


def test_embed_gives_the_vectors_of_the_model(shell, texts, tiny_model_path, tmp_path, monkeypatch):
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("wotd.cli.embed._TEXTS_AT_ONCE", 20)
    output = tmp_path / "e.npy"
    assert shell("embed", "--model", tiny_model_path, "--input", texts, "--output", output) == (0, "", "")
    vectors = np.load(output)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), 32))
    embedder = SentenceTransformerEmbedder(str(tiny_model_path))
    assert np.allclose(vectors, embedder.embed(TEXTS), atol=1e-6)
    assert EmbeddingCache().embed(embedder, TEXTS).computed == 0, "all of them are in the cache"


def test_embed_with_artifacts_feeds_encode(shell, texts, text_artifacts, tmp_path):
    vectors, codes = tmp_path / "e.npy", tmp_path / "c.npy"
    assert shell("embed", "--artifacts", text_artifacts, "--input", texts, "--output", vectors).status == 0
    said = shell("encode", "--artifacts", text_artifacts, "--vectors", vectors, "--output", codes)
    assert said.status == 0
    expected = [entry.code for entry in SemanticIDModel.load(text_artifacts).encode(TEXTS)]
    assert np.load(codes).tolist() == expected


def test_embed_refuses_before_it_works(refused, texts, tmp_path):
    start = ["embed", "--output", tmp_path / "e.npy", "--model"]
    assert "did you mean minilm" in refused(*start, "minilmm", "--input", texts)
    assert "lsa has to be fitted" in refused(*start, "lsa", "--input", texts)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "late.txt").write_text("one\n" * 9 + "\n\ntwo\n")
    assert "holds no texts" in refused(*start, "minilm", "--input", tmp_path / "empty.jsonl")
    assert "late.txt line 10 is blank" in refused(*start, "minilm", "--input", tmp_path / "late.txt")
    assert not (tmp_path / "e.npy").exists()


# --- tables


def test_a_table_has_a_row_a_text_and_says_what_made_it(shell, embedder, tiny_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr("wotd.cli.embed._TEXTS_AT_ONCE", 5)
    source = written(tmp_path, [{"id": 10 * place, "text": text} for place, text in enumerate(TEXTS)])
    output = tmp_path / "e.parquet"
    command = ["embed", "--model", tiny_model_path, "--input", source, "--output", output]
    assert shell(*command) == (0, "", "")
    table = pq.read_table(output)
    assert table.schema.types == [pa.int64(), pa.string(), pa.list_(pa.float32(), 32)]
    assert table.column_names == ["id", "text_sha256", "vector"]
    assert table["id"].to_pylist() == [10 * place for place in range(len(TEXTS))]
    assert table["text_sha256"].to_pylist() == [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(TEXTS), 32)
    np.testing.assert_allclose(vectors, embedder.embed(TEXTS), atol=1e-6)
    fingerprint = Fingerprint.from_mapping(json.loads(table.schema.metadata[b"wotd.fingerprint"]))
    assert fingerprint == embedder.fingerprint
    assert pq.ParquetFile(output).num_row_groups == -(-len(TEXTS) // 5), "written as it comes"
    assert shell(*command, "--texts").status == 0
    assert pq.read_table(output)["text"].to_pylist() == TEXTS


@pytest.mark.parametrize(
    ("ids", "expected", "kind"),
    [
        ([None, None, None], None, None),
        ([7, None, 9], [7, None, 9], pa.int64()),
        (["a", 7, None], ["a", "7", None], pa.string()),
        ([1, 2**63, 3], ["1", "9223372036854775808", "3"], pa.string()),
        ([True, 1, "x"], ["True", "1", "x"], pa.string()),
    ],
)
def test_ids_keep_their_kind_where_they_share_one(ids, expected, kind, shell, tiny_model_path, tmp_path):
    rows = [{"text": text, **({} if value is None else {"id": value})} for text, value in zip(TEXTS, ids, strict=False)]
    output = tmp_path / "e.parquet"
    shell("embed", "--model", tiny_model_path, "--input", written(tmp_path, rows), "--output", output)
    table = pq.read_table(output)
    assert ("id" in table.column_names) == (kind is not None)
    if kind is not None:
        assert table.schema.field("id").type == kind
        assert table["id"].to_pylist() == expected


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_numbers_can_take_half_the_room(suffix, shell, texts, embedder, tiny_model_path, tmp_path):
    output = tmp_path / f"e{suffix}"
    shell("embed", "--model", tiny_model_path, "--input", texts, "--output", output, "--dtype", "float16")
    if suffix == ".npy":
        vectors = np.load(output)
    else:
        column = pq.read_table(output)["vector"].combine_chunks()
        vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(TEXTS), 32)
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, embedder.embed(TEXTS), atol=1e-3)


@given(st.lists(st.one_of(st.none(), st.text(max_size=5), st.integers()), min_size=1, max_size=30), st.integers(1, 7))
def test_any_ids_come_back_in_order(tmp_path_factory, ids, at_once):
    class Given(TextSource):
        def records(self):
            for place, value in enumerate(ids):
                yield Record(f"row {place}", {"text": f"text {place}", "id": value})

    survey = _survey(Given("given"))
    vectors = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    target = tmp_path_factory.mktemp("table") / "e.parquet"
    cuts = range(0, len(ids), at_once)
    parts = [Part(ids[at:][:at_once], ["t"] * len(ids[at:][:at_once]), vectors[at : at + at_once]) for at in cuts]
    write_vectors(target, VectorTable(2, "float32", survey.id_kind, False, {}), parts)
    table = pq.read_table(target)
    assert np.array_equal(np.stack(table["vector"].to_numpy()), vectors)
    if survey.id_kind is not None:
        assert [None if value is None else str(value) for value in ids] == [
            None if value is None else str(value) for value in table["id"].to_pylist()
        ]


def test_artifacts_write_rows_with_both_fingerprints(shell, texts, text_artifacts, tmp_path):
    output = tmp_path / "e.parquet"
    assert shell("embed", "--artifacts", text_artifacts, "--input", texts, "--output", output).status == 0
    table, model = pq.read_table(output), SemanticIDModel.load(text_artifacts)
    np.testing.assert_allclose(np.stack(table["vector"].to_numpy()), model.embed(TEXTS), atol=1e-6)
    kept = {key: json.loads(value) for key, value in table.schema.metadata.items()}
    assert kept[b"wotd.fingerprint"]["kind"] == "lsa"
    assert kept[b"wotd.features_fingerprint"]["kind"] == "stylometry"


# --- interruptions


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_an_interrupted_run_leaves_what_was_there_and_goes_on(
    suffix, shell, texts, tiny_model_path, tmp_path, monkeypatch
):
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("wotd.cli.embed._TEXTS_AT_ONCE", 10)
    output = tmp_path / f"e{suffix}"
    output.write_text("earlier")
    embed, asked, most = SentenceTransformerEmbedder.embed, [], 10

    def noted(self, some):
        asked.extend(text for text in some if text in TEXTS)  # not those by which the cache proves the model
        if len(asked) > most:
            raise KeyboardInterrupt
        return embed(self, some)

    command = ["embed", "--model", tiny_model_path, "--input", texts, "--output", output]
    monkeypatch.setattr(SentenceTransformerEmbedder, "embed", noted)
    assert shell(*command).status == 130
    assert output.read_text() == "earlier"
    assert not list(tmp_path.glob(".*partial"))
    asked.clear()
    most = len(TEXTS)
    assert shell(*command).status == 0
    assert set(asked) == set(TEXTS[10:]) - set(TEXTS[:10]), "the first ten were kept"


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "minilm", "--texts"], "--texts needs an --output that is .parquet"),
        (["--artifacts", "A", "--prompt", "p"], "--prompt goes with --model"),
        (["--artifacts", "A", "--truncate-dim", "8"], "--truncate-dim goes with --model"),
        (["--artifacts", "A", "--device", "cpu"], "--device goes with --model"),
        (["--model", "minilm", "--embedding-model", "D"], "--embedding-model goes with --artifacts"),
        (["--model", "minilm", "--dtype", "float64"], "--dtype"),
    ],
)
def test_options_without_effect_are_refused(arguments, sentence, refused, texts, tmp_path):
    start = ["embed", "--input", texts, "--output", tmp_path / "e.npy"]
    assert sentence in refused(*start, *arguments, status=2)


# --- models


def test_models_are_listed(shell):
    rows = shell("models").rows
    assert [row["name"] for row in rows] == list(MODELS)
    (gemma,) = (row for row in rows if row["name"] == "embeddinggemma")
    assert (gemma["prompt"], gemma["matryoshka"]) == ("task: clustering | query: ", [128, 256, 512, 768])
    table = shell("models", "--format", "table").out
    assert all(model.repository in table for model in MODELS.values())
    assert table.count(" code ") == sum(model.trust_remote_code for model in MODELS.values())
