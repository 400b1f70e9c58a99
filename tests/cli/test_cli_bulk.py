"""cache and assign: many texts, again and again, in pieces."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from invented_works import invented_works

from wotd import SemanticIDModel
from wotd.cli.app import WrongUsageError
from wotd.cli.assign import _shard

pytest_plugins = ["artifact_fixtures"]

ROWS = invented_works(2, seed=1)
TEXTS = [str(row["text"]) for row in ROWS]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


# --- cache


def test_the_cache_is_listed_and_verified(shell, texts, text_artifacts, tmp_path, monkeypatch):
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    assert "keeps no embeddings yet" in shell("cache", "list", "--format", "table").out
    shell("embed", "--artifacts", text_artifacts, "--input", texts, "--output", tmp_path / "e.npy")
    kept = {row["model"]: row["texts"] for row in shell("cache", "list").rows}
    (features,) = kept.keys() - {"lsa"}
    assert "stylometry" in features
    assert set(kept.values()) == {len(set(TEXTS))}
    table = shell("cache", "list", "--format", "table").out
    assert all(name in table for name in kept)
    assert shell("cache", "verify").status == 0
    shard = next((tmp_path / "cache").rglob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 255
    shard.write_bytes(content)
    said = shell("cache", "verify")
    assert said.status == 1
    assert f"damaged, moved aside: {shard}" in said.out
    assert shell("cache", "verify", "--dir", tmp_path / "none").out.endswith("0 texts sound, 0 damaged files\n")


# --- assign


@pytest.fixture
def folder(tmp_path):
    """Texts in three files of three formats, one of them a folder below; one row has no text."""
    source = tmp_path / "in"
    (source / "more").mkdir(parents=True)
    (source / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:20]))
    rows = [*ROWS[20:30], {**ROWS[30], "text": None}, *ROWS[31:40], {**ROWS[40], "text": " "}]
    pq.write_table(pa.Table.from_pylist(rows), source / "more" / "b.parquet")
    (source / "c.txt").write_text("\n".join(TEXTS[41:]))
    (source / "notes.md").write_text("no texts")
    (source / "_hidden.jsonl").write_text("")
    return source


OUTPUTS = ["a.jsonl.parquet", "c.txt.parquet", "more/b.parquet"]


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_assign_writes_a_file_for_each_file(shell, text_artifacts, folder, tmp_path):
    out = tmp_path / "out"
    said = shell("assign", "--artifacts", text_artifacts, "--input", folder, "--output", out)
    assert said.status == 0
    assert files_in(out) == OUTPUTS
    rows = pq.read_table(out / "a.jsonl.parquet").to_pylist()
    expected = SemanticIDModel.load(text_artifacts).encode(TEXTS[:20])
    assert [row["code"] for row in rows] == [entry.code for entry in expected]
    assert [row["id"] for row in rows] == [entry.id for entry in expected]
    assert [row["input_id"] for row in rows] == [row["id"] for row in ROWS[:20]]
    assert rows[0]["title"] == ROWS[0]["title"]


def test_rows_without_a_text_keep_their_place(shell, text_artifacts, folder, tmp_path, caplog):
    shell("assign", "--artifacts", text_artifacts, "--input", folder / "more", "--output", tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "b.parquet").to_pylist()
    assert [row["input_id"] for row in rows] == [row["id"] for row in ROWS[20:41]]
    assert [n for n, row in enumerate(rows) if row["code"] is None] == [10, 20]
    assert rows[10]["id"] is None
    assert "2 rows without a text got no code, the first is row 11" in caplog.text


def test_assign_goes_on_where_it_was(shell, refused, text_artifacts, folder, tmp_path):
    out = tmp_path / "out"
    arguments = ["assign", "--artifacts", text_artifacts, "--input", folder, "--output", out]
    shell(*arguments)
    before = {name: (out / name).stat().st_mtime_ns for name in OUTPUTS}
    (out / "c.txt.parquet").unlink()
    assert shell(*arguments).status == 0
    after = {name: (out / name).stat().st_mtime_ns for name in OUTPUTS}
    assert [name for name in OUTPUTS if before[name] != after[name]] == ["c.txt.parquet"]
    sentence = refused(*arguments, "--min-confidence", "0.5")
    assert "exists, but not from this a.jsonl with these artifacts and options" in sentence
    written = (folder / "a.jsonl").read_bytes()
    (folder / "a.jsonl").write_bytes(written.replace(b"e", b"a", 1))  # as long as it was
    assert "exists, but not from this a.jsonl" in refused(*arguments)
    (folder / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    assert "exists, but not from this a.jsonl" in refused(*arguments)


def test_shards_together_are_the_whole(shell, text_artifacts, folder, tmp_path, monkeypatch):
    arguments = ["assign", "--artifacts", text_artifacts, "--input", folder, "--output"]
    shell(*arguments, tmp_path / "whole", "--drop-texts")
    shell(*arguments, tmp_path / "parts", "--drop-texts", "--shard", "0/2")
    assert len(files_in(tmp_path / "parts")) == 2
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    shell(*arguments, tmp_path / "parts", "--drop-texts")
    for name in OUTPUTS:
        part = pq.read_table(tmp_path / "parts" / name)
        assert part.equals(pq.read_table(tmp_path / "whole" / name))
        assert "text" not in part.column_names


def test_a_shard_is_a_rank_below_the_world():
    assert _shard(None, {}) == (0, 1)
    assert _shard(None, {"RANK": "3", "WORLD_SIZE": "8"}) == (3, 8)
    assert _shard("1/2", {"RANK": "3", "WORLD_SIZE": "8"}) == (1, 2)
    for wrong in ("2/2", "-1/2", "1", "a/b", "1/2/3"):
        with pytest.raises(WrongUsageError, match="rank below the world size"):
            _shard(wrong, {})


def test_assign_refuses_folders_that_are_in_the_way(refused, text_artifacts, folder, tmp_path):
    start = ["assign", "--artifacts", text_artifacts, "--input"]
    assert "which holds the input" in refused(*start, folder, "--output", folder)
    assert "which is a file" in refused(*start, folder, "--output", folder / "c.txt")
    (tmp_path / "empty").mkdir()
    assert "holds no file of texts" in refused(*start, tmp_path / "empty", "--output", tmp_path / "out")
    assert "does not exist" in refused(*start, tmp_path / "none", "--output", tmp_path / "out")
    shutil.copy(folder / "a.jsonl", folder / "d.jsonl")
    pq.write_table(pa.table({"text": ["x"]}), folder / "d.jsonl.parquet")
    assert "would both be written to" in refused(*start, folder, "--output", tmp_path / "out")


def test_a_bad_file_names_its_row_and_leaves_nothing_half_done(refused, text_artifacts, folder, tmp_path):
    (folder / "b.csv").write_text("text\none\ntwo,three\n")
    out = tmp_path / "out"
    sentence = refused("assign", "--artifacts", text_artifacts, "--input", folder, "--output", out)
    assert "b.csv row 2" in sentence
    assert files_in(out) == ["a.jsonl.parquet"]


# --- serve


def test_serve_hands_over_to_the_server(shell, text_artifacts, monkeypatch):
    calls = []
    monkeypatch.setattr("wotd.serving.serve", lambda artifacts, **options: calls.append((artifacts, options)))
    assert shell("serve", "--artifacts", text_artifacts, "--port", 9000, "--precision", "bfloat16").status == 0
    ((artifacts, options),) = calls
    assert artifacts == str(text_artifacts)
    assert options.pop("settings").max_body_bytes == 16 * 1024 * 1024
    use = {"device": "cpu", "embedding_model": None, "trust_remote_code": False, "backend": None}
    assert options == {"host": "127.0.0.1", "port": 9000, "workers": 1, "precision": "bfloat16", **use}
