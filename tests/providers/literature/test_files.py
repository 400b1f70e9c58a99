"""The user's own texts: three formats, one meaning; and what happens to rows that are not as they should be."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from wotd.errors import ConfigurationError, CorpusError
from wotd.providers.literature import rows as rows_module
from wotd.providers.literature.cells import as_list, as_text, as_text_or_list, as_year
from wotd.providers.literature.files import Files
from wotd.providers.text import count_words
from wotd.taxonomy import Origin, Taxonomy

PROSE = "It is a truth that the sea was calm and the gulls were loud above the old grey town that morning. " * 4
VERSE = "\n".join(f"The {word} wind goes over the hill" for word in ("cold", "warm", "slow", "wild", "kind"))


def write_jsonl(path: Path, rows: list) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: list[dict], **options) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def read(root: Path, **options) -> list:
    return list(Files(root=root, **options).works())


ROWS = [
    {
        "id": "sea",
        "text": PROSE,
        "title": "The Sea",
        "authors": "A. One; B. Two",
        "year_written": "1847",
        "genres": "F",
    },
    {
        "id": "hill",
        "text": f"Canto\n\n{VERSE}",
        "title": "Hill",
        "authors": "C",
        "year_written": "458 BC",
        "genres": "",
    },
    {"id": "sea", "text": PROSE + "\nsecond", "title": "", "authors": "", "year_written": "", "genres": ""},
]


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_jsonl, "jsonl"), (write_csv, "csv"), (write_parquet, "parquet")],
    ids=["jsonl", "csv", "parquet"],
)
def test_formats_say_the_same(tmp_path, write, suffix):
    hill, sea = read(write(tmp_path / f"mine.{suffix}", ROWS))
    assert (hill.id, sea.id) == ("files:hill", "files:sea")
    assert (sea.title, sea.authors) == ("The Sea", ("A. One", "B. Two"))
    assert (sea.fact("year_written").value, hill.fact("year_written").value) == (1847, -458)
    assert sea.fact("year_written").origin is Origin.STATED
    assert sea.fact("reading_ease").origin is Origin.COMPUTED
    assert sea.fact("word_count").value == 2 * count_words(PROSE) + 1
    assert not hill.fact("genres").known
    assert [passage.count("\n") for passage in hill.passages()] == [5], "verse keeps its lines"
    assert sea.passages() == sea.passages()
    assert "second" in sea.passages()[-1]
    assert all(20 <= count_words(passage) <= 110 for passage in sea.passages())


def test_keep_takes_each_text_as_it_is(tmp_path):
    root = write_jsonl(tmp_path / "a.jsonl", [{"id": "a", "text": " two  words\n"}, {"id": "a", "text": "x"}])
    (work,) = read(root, passages="keep")
    assert list(work.passages()) == [" two  words\n", "x"]


def test_an_index_orders_the_rows_of_a_work(tmp_path):
    rows = [{"id": "a", "text": "third"}, {"id": "a", "text": "second", "index": 10}, {"id": "b", "text": "other"}]
    rows += [{"id": "a", "text": "first", "index": "9"}, {"id": "a", "text": "fourth", "index": "x"}]
    provider = Files(root=write_jsonl(tmp_path / "a.jsonl", rows), passages="keep")
    assert list(next(provider.works()).passages()) == ["first", "second", "third", "fourth"]
    assert provider.columns.unreadable == {"index": 1}


def test_without_ids_each_row_is_a_work(tmp_path):
    write_jsonl(tmp_path / "poems.jsonl", [{"text": PROSE}, "", {"text": PROSE}])
    write_csv(tmp_path / "poems.csv", [{"text": PROSE}])
    write_csv(tmp_path / "tales.csv", [{"text": PROSE}] * 11)
    ids = [work.id for work in read(tmp_path)]
    assert ids == sorted(ids)
    assert ids[:4] == [
        "files:poems.csv-0000001",
        "files:poems.jsonl-0000001",
        "files:poems.jsonl-0000003",
        "files:tales-0000001",
    ]
    assert len(ids) == 14


def test_a_folder_is_read_in_order_and_names_what_it_leaves(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", [{"id": "w", "text": "two"}])
    write_csv(tmp_path / "a.csv", [{"id": "w", "text": "one"}])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / ".hidden").write_text("x")
    provider = Files(root=tmp_path, passages="keep")
    (work,) = provider.works()
    assert list(work.passages()) == ["one", "two"]
    assert provider.dropped.works == {"a file of a format that is not read": 1, "a file without rows": 1}


def test_columns_and_facts_of_other_names(tmp_path):
    rows = [{"text": "decoy", "Body": PROSE, "Mood": "grave; slow", "Grade": 3, "wrote": ["X"], "key": 7.0}]
    columns = {"text": "Body", "authors": "wrote", "id": "key", "title": None}
    (work,) = read(write_jsonl(tmp_path / "a.jsonl", rows), columns=columns, facts={"tone": "Mood", "grade": "Grade"})
    assert work.id == "files:7"
    assert work.authors == ("X",)
    assert work.passages()[0].startswith("It is a truth")
    assert (work.fact("tone").value, work.fact("grade").value) == (["grave", "slow"], "3")
    taxonomy = Taxonomy.from_mapping(
        {
            "name": "mine",
            "version": 1,
            "levels": [
                {"name": "tone", "fact": "tone", "rule": "first_match", "codes": [{"name": "slow", "any": ["Slow"]}]},
                {"name": "grade", "fact": "grade", "rule": "edges", "edges": [2], "codes": ["low", "high"]},
            ],
        }
    )
    assert taxonomy.label_works([(work.id, work.facts)])[work.id].codes == (0, 1)


def test_languages(tmp_path):
    rows = [{"id": tag, "text": PROSE, "language": tag} for tag in ("en-GB", "fr", "de")] + [{"id": "x", "text": PROSE}]
    root = write_jsonl(tmp_path / "a.jsonl", rows)
    assert len(read(root)) == 4
    provider = Files(root=root, language=["en", "fr"])
    assert [work.id for work in provider.works()] == ["files:en-GB", "files:fr", "files:x"]
    assert provider.dropped.works == {"its language is de": 1}


def test_bad_cells_are_unknown_and_counted(tmp_path, caplog):
    rows = [{"id": "a", "text": PROSE, "year_written": "n/a", "reading_ease": "hard", "title": {"en": "T"}}]
    rows += [{"id": "a", "text": PROSE, "year_written": 1900}]
    provider = Files(root=write_jsonl(tmp_path / "a.jsonl", rows))
    (work,) = provider.works()
    assert work.fact("year_written").value == 1900
    assert work.fact("reading_ease").origin is Origin.COMPUTED
    assert not work.fact("title").known
    assert provider.columns.unreadable == {"year_written": 1, "reading_ease": 1, "title": 1}
    assert "year_written: 1 cells could not be read" in caplog.text


def test_bad_rows_are_dropped_with_their_lines(tmp_path):
    rows = [{"id": "a", "text": PROSE}, "{not json", "[1]", '{"id": "a", "text": "\\ud800 alone"}']
    rows += [
        {"id": "a"},
        {"id": "a", "text": " …\n"},
        {"text": PROSE},
        {"id": "b", "text": 5},
        {"id": "c", "text": "no"},
    ]
    provider = Files(root=write_jsonl(tmp_path / "a.jsonl", rows))
    (work,) = provider.works()
    assert provider.dropped.passages == {
        "a line that is not a JSON object": 3,
        "a row without text": 3,
        "a row without an ID": 1,
    }
    assert provider.dropped.examples["a line that is not a JSON object"] == [f"a.jsonl line {n}" for n in (2, 3, 4)]
    assert provider.dropped.works == {"a row without text": 1, "no passage of 20 words or more": 1}
    assert len(work.passages()) > 0


def test_scraps_are_counted_once(tmp_path):
    rows = [{"id": "a", "text": PROSE}, {"id": "a", "text": "Too short to be one."}]
    provider = Files(root=write_jsonl(tmp_path / "a.jsonl", rows))
    (work,) = provider.works()
    work.passages(), work.passages()
    assert provider.dropped.passages == {"shorter than 20 words": 1}


def test_passages_are_limited_evenly(tmp_path):
    rows = [{"id": "a", "text": f"word {n}"} for n in range(10)]
    (work,) = read(write_jsonl(tmp_path / "a.jsonl", rows), passages="keep", max_passages_per_work=5)
    assert list(work.passages()) == [f"word {n}" for n in (0, 2, 4, 6, 8)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"txet": "a"}\n', r"columns.text is 'text', a column that x.jsonl does not have.*did you mean 'txet'"),
        (b"{\n[\n", "x.jsonl: every line is a line that is not a JSON object"),
        ('{"text": "é"}\n'.encode("latin-1"), r"x.jsonl, line 1: byte 0xe9 is not UTF-8; expected"),
        ('{"text": "é"}\n'.encode("utf-16"), "not UTF-8"),
        (b"\n\n", "holds no rows"),
    ],
)
def test_files_that_cannot_serve(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / "x.jsonl")


def test_columns_that_are_named_must_exist(tmp_path):
    root = write_csv(tmp_path / "a.csv", [{"text": PROSE, "Titel": "T"}])
    with pytest.raises(CorpusError, match=r"columns.title is 'titel'.*did you mean 'Titel'"):
        read(root, columns={"title": "titel"})
    with pytest.raises(CorpusError, match=r"facts.tone is 'Mood'"):
        read(root, facts={"tone": "Mood"})
    with pytest.raises(ConfigurationError, match="did you mean title"):
        Files(columns={"titel": "x"})
    with pytest.raises(ConfigurationError, match=r"set provider.columns.genres"):
        Files(facts={"genres": "x"})
    with pytest.raises(ConfigurationError, match="cut or keep"):
        Files(passages="shred")


def test_roots_that_cannot_serve(tmp_path):
    assert not Files().configured
    with pytest.raises(CorpusError, match=r"provider.root is not set"):
        read(None)
    with pytest.raises(CorpusError, match="does not exist"):
        read(tmp_path / "nowhere")
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(CorpusError, match=r"holds a\.docx; expected \.jsonl"):
        read(tmp_path)
    with pytest.raises(CorpusError, match="format that is not read"):
        read(tmp_path / "a.docx")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(tmp_path, delimiter):
    path = write_csv(tmp_path / "a.csv", [{"id": "a", "text": f'{PROSE}\n\nHe said "no"; {PROSE}', "n": 1}], delimiter)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (work,) = read(path)
    assert 'He said "no"' in " ".join(work.passages())


def test_csv_rows_that_do_not_fit(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f'id,text\na,{PROSE}\nb,x,y\n\nc,"He said "no" to me"\nd\na,{PROSE}\ne,"never closed\nx\n')
    provider = Files(root=path)
    (work,) = provider.works()
    assert provider.dropped.passages == {"a row that does not fit the CSV header": 4}
    assert provider.dropped.examples["a row that does not fit the CSV header"][0] == "a.csv row 2"
    assert work.fact("word_count").value == 2 * count_words(PROSE)
    path.write_text("text,text\na,b\n")
    with pytest.raises(CorpusError, match="names text twice"):
        read(path)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_row_without_end_is_dropped_not_held(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1000)
    write = write_jsonl if suffix == "jsonl" else write_csv
    long = {"id": "a", "text": "long " * 5000 + "\nline" * 300}
    provider = Files(
        root=write(tmp_path / f"a.{suffix}", [{"id": "a", "text": PROSE}, long, {"id": "a", "text": PROSE}])
    )
    (work,) = provider.works()
    assert provider.dropped.passages["a row longer than 16 MiB"] >= 1
    assert work.fact("word_count").value == 2 * count_words(PROSE)


def test_parquet_is_copied_by_batches_and_the_copy_goes(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(rows_module.tempfile, "tempdir", str(temporary))
    rows = [
        {"id": f"w{n % 7}", "text": f"{n} {PROSE}", "year_written": date(1850, 1, 1), "x": b"\xff"} for n in range(3000)
    ]
    provider = Files(root=write_parquet(tmp_path / "a.parquet", rows, row_group_size=500), max_passages_per_work=None)
    works = list(provider.works())
    assert [work.id for work in works] == [f"files:w{n}" for n in range(7)]
    assert works[3].fact("year_written").value == 1850
    assert works[3].passages()[0].startswith("3 It is")
    assert len(list(temporary.iterdir())) == 1
    del works, provider
    assert list(temporary.iterdir()) == []


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(CorpusError, match=r"a.parquet cannot be read as Parquet"):
        read(tmp_path)
    write_parquet(tmp_path / "a.parquet", [{"text": b"\xff\xfe"}])
    with pytest.raises(CorpusError, match=r"not UTF-8"):
        read(tmp_path)
    write_parquet(tmp_path / "a.parquet", [{"body": "x"}])
    with pytest.raises(CorpusError, match=r"columns.text is 'text'.*it has body"):
        read(tmp_path)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    root = write_jsonl(tmp_path / "a.jsonl", [{"id": "a", "text": PROSE}])
    (work,) = read(root)
    write_jsonl(root, [{"id": "b", "text": "x"}])
    with pytest.raises(CorpusError, match=r"a.jsonl changed while it was being read"):
        work.passages()


def test_iterating_twice_gives_the_same(tmp_path):
    rows = [*ROWS, "{", {"id": "sea"}, {"id": "x", "text": "short"}, {"id": "sea", "text": "short", "index": "x"}]
    provider = Files(root=write_jsonl(tmp_path / "a.jsonl", rows))
    seen = []
    for _ in range(2):
        seen.append([(w.id, w.facts, w.passages()) for w in provider.works()])
        seen.append((provider.dropped.to_mapping(), provider.columns.unreadable.copy()))
    assert seen[:2] == seen[2:], "the account of what is dropped does not grow either"
    assert sum(provider.dropped.passages.values()) == 3


@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.text(min_size=1)), min_size=1, max_size=12))
def test_every_text_comes_once_in_order(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("files")
    mine = [{"id": name, "text": text + " word"} for name, text in rows if text.isprintable() or "\n" in text]
    mine = mine or [{"id": "a", "text": "word"}]
    expected = {f"files:{n}": [row["text"] for row in mine if row["id"] == n] for n in {row["id"] for row in mine}}
    for write, name in ((write_jsonl, "a.jsonl"), (write_csv, "a.csv"), (write_parquet, "a.parquet")):
        assert {w.id: w.passages() for w in read(write(folder / name, mine), passages="keep")} == expected


@pytest.mark.parametrize(
    ("cell", "year"),
    [
        (1847, 1847), (1847.0, 1847), ("1847", 1847), (" 1847.0 ", 1847), ("-458", -458), ("−458", -458),
        ("458 BC", -458), ("458 B.C.E.", -458), ("AD 120", 120), ("120 CE", 120), ("c. 1600", 1600), ("ca 1600?", 1600),
        ("1771–1790", 1780), ("1771-1790", 1780), ("1850-51", 1850), ("27 BC – AD 14", -7),
        ("458–400 BC", -429), ("-458--400", -429), ("1847-05-01", 1847), (date(1847, 5, 1), 1847), ("0", 0),
    ],
)  # fmt: skip
def test_years(cell, year):
    assert as_year(cell) == year


@pytest.mark.parametrize(
    "cell",
    [
        "n/a",
        "",
        "16th century",
        "1790–1771",
        "9999",
        20250101,
        True,
        1847.5,
        float("inf"),
        [1847],
        "18470",
        "1e3",
        "1898-02",
    ],
)
def test_no_years(cell):
    with pytest.raises(ValueError, match="is no year"):
        as_year(cell)


def test_cells():
    assert as_list("A; B;; C ", ";") == ["A", "B", "C"]
    assert as_list("A; B", "") == ["A; B"]
    assert as_list(["A;B", None, 3], ";") == ["A;B", "3"]
    assert as_text_or_list("one", ";") == "one"
    assert as_text_or_list(["one"], ";") == ["one"]
    assert as_text("a\u200b \n b") == "a b"
    with pytest.raises(ValueError, match="no text"):
        as_list([{"name": "A"}], ";")


def test_its_recipe(tmp_path):
    write_csv(tmp_path / "a.csv", [{"Body": PROSE}])
    conf = str(Path(__file__).parents[3] / "conf")
    with initialize_config_dir(conf, version_base="1.3"):
        config = compose(overrides=["+provider=files", f"provider.root={tmp_path}", "provider.columns.text=Body"])
    (work,) = instantiate(config.provider).works()
    assert work.id == "files:a-0000001"
