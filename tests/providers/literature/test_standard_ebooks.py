import inspect
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from tiny_standard_ebooks import (
    CONTAINER,
    NEW_WORDS,
    PARAGRAPH,
    WRITTEN,
    chapter,
    metadata,
    tiny_work,
    write_epub,
    write_tree,
    xhtml,
)

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.literature.standard_ebooks import StandardEbooks
from wotd.taxonomy import Origin

BOMB = '<!DOCTYPE html [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def _provider(root, **settings) -> StandardEbooks:
    return StandardEbooks(root, **settings)


def _read(provider: StandardEbooks) -> dict[str, list[str]]:
    """The passages of each work; a work whose text turns out unreadable is dropped, as a run drops it."""
    read: dict[str, list[str]] = {}
    for work in provider.works():
        try:
            read[work.id] = list(work.passages())
        except UnreadableWorkError as error:
            provider.dropped.work(work.id, str(error))
    return read


def test_a_tree_becomes_a_work_with_its_facts(tmp_path):
    write_tree(tmp_path / "ada-finch_the-clocks", tiny_work())
    provider = _provider(tmp_path)
    (work,) = provider.works()
    assert work.id == "standard_ebooks:ada-finch_the-clocks"
    assert (work.title, work.authors) == ("The Clocks of Oakham", ("Ada Finch",))
    assert work.fact("year_written").value == 1847
    assert work.fact("year_written").origin is Origin.STATED
    assert not work.fact("year_of_text").known
    assert work.fact("reading_ease").value == 71.5
    assert list(work.passages()) == [PARAGRAPH]
    assert provider.dropped.to_mapping() == {"works": {}, "passages": {}, "examples": {}}


def test_a_translation_has_the_year_of_its_text(tmp_path):
    sentence = "was completed circa 458 BC by<br/> <a>Ada</a>.<br/> It was translated from Heron in 1920 by<br/>"
    write_tree(tmp_path / "a", tiny_work(sentence=sentence))
    (work,) = _provider(tmp_path).works()
    assert (work.fact("year_written").value, work.fact("year_of_text").value) == (-458, 1920)


@pytest.mark.parametrize("sentence", [None, "was written nobody knows when by<br/>"])
def test_a_work_without_a_date_is_kept(tmp_path, sentence):
    write_tree(tmp_path / "a", tiny_work(sentence=sentence))
    (work,) = _provider(tmp_path).works()
    assert not work.fact("year_written").known
    assert len(work.passages()) == 1


def test_reading_ease_is_computed_where_it_is_not_stated(tmp_path):
    write_tree(tmp_path / "a", tiny_work(meta=metadata(NEW_WORDS, ease=None)))
    (work,) = _provider(tmp_path).works()
    assert work.fact("reading_ease").origin is Origin.COMPUTED
    assert 60 < work.fact("reading_ease").value < 100


def test_works_come_in_order_of_name_from_trees_and_archives_alike(tmp_path):
    write_tree(tmp_path / "b", tiny_work())
    write_epub(tmp_path / "c.epub", tiny_work())
    write_epub(tmp_path / "a.EPUB", tiny_work())
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("not a work")
    provider = _provider(tmp_path)
    read = _read(provider)
    assert list(read) == ["standard_ebooks:a", "standard_ebooks:b", "standard_ebooks:c"]
    assert all(passages == [PARAGRAPH] for passages in read.values())
    assert _read(provider) == read


def test_one_tree_is_a_corpus_too(tmp_path):
    (work,) = _provider(write_tree(tmp_path / "the-clocks", tiny_work())).works()
    assert work.id == "standard_ebooks:the-clocks"


def test_a_second_source_of_the_same_name_is_counted_and_dropped(tmp_path):
    write_tree(tmp_path / "a", tiny_work())
    write_epub(tmp_path / "a.epub", tiny_work())
    provider = _provider(tmp_path)
    assert list(_read(provider)) == ["standard_ebooks:a"]
    assert provider.dropped.works == {"another source has its name": 1}


def test_reading_order_is_the_spine_and_missing_files_are_passed_over(tmp_path):
    texts = {f"chapter-{n}": chapter(f"<p>Chapter {n}. {PARAGRAPH}</p>") for n in (1, 2, 10)}
    write_tree(tmp_path / "a", tiny_work(texts, missing=("chapter-11", "chapter-12")))
    (work,) = _provider(tmp_path).works()
    assert [passage.split(".")[0] for passage in work.passages()] == ["Chapter 1", "Chapter 2", "Chapter 10"]


def test_passages_never_cross_chapters_and_scraps_are_counted(tmp_path):
    poems = "".join(
        f'<article epub:type="z3998:poem"><p><span>{PARAGRAPH}</span><br/><span>Poem {n}</span></p></article>'
        for n in range(3)
    )
    texts = {"poetry": xhtml(poems + "<article><p>A scrap.</p></article>"), "last": chapter("<p>Another scrap.</p>")}
    write_tree(tmp_path / "a", tiny_work(texts))
    provider = _provider(tmp_path)
    (work,) = provider.works()
    assert [passage.splitlines()[-1] for passage in work.passages()] == ["Poem 0", "Poem 1", "Poem 2"]
    assert provider.dropped.passages == {"shorter than 20 words": 2}
    work.passages()
    list(provider.works())
    assert provider.dropped.passages == {"shorter than 20 words": 2}


def test_passages_are_limited_and_spread_over_the_work(tmp_path):
    texts = {f"chapter-{n}": chapter(f"<p>{n:02}. {PARAGRAPH}</p>") for n in range(12)}
    write_tree(tmp_path / "a", tiny_work(texts))
    (work,) = _provider(tmp_path, max_passages_per_work=4).works()
    assert [passage[:2] for passage in work.passages()] == ["00", "03", "06", "09"]
    (work,) = _provider(tmp_path, max_passages_per_work=None).works()
    assert len(work.passages()) == 12


@pytest.mark.parametrize(("wanted", "kept"), [("en", 1), ("fr", 0), (["de", "en-GB"], 1), (None, 1), ("en-US", 0)])
def test_languages_that_are_not_wanted_are_counted(tmp_path, wanted, kept):
    write_tree(tmp_path / "a", tiny_work())
    provider = _provider(tmp_path, language=wanted)
    assert len(list(provider.works())) == kept
    assert sum(provider.dropped.works.values()) == 1 - kept


def test_every_unusable_work_is_dropped_with_a_reason_and_the_others_go_on(tmp_path):
    write_tree(tmp_path / "a-good", tiny_work())
    write_tree(tmp_path / "b-bad-package", tiny_work() | {"content.opf": "<package"})
    write_tree(tmp_path / "c-no-metadata", tiny_work() | {"content.opf": "<package/>"})
    write_tree(tmp_path / "d-no-text", tiny_work({}, missing=("chapter-1",)))
    write_tree(tmp_path / "e-bad-colophon", tiny_work() | {"text/colophon.xhtml": "<html>"})
    write_tree(tmp_path / "f-bad-text", tiny_work({"chapter-1": "<html><p>"}))
    write_tree(tmp_path / "g-bomb", tiny_work({"chapter-1": BOMB + xhtml("<p>&b;</p>").split("?>")[1]}))
    write_tree(tmp_path / "h-only-scraps", tiny_work({"chapter-1": chapter("<p>A scrap.</p>")}))
    write_tree(tmp_path / "i-front-matter", tiny_work({"preface": xhtml(f"<p>{PARAGRAPH}</p>", "frontmatter")}))
    (tmp_path / "j-no-package").mkdir()
    write_tree(tmp_path / "k-good", tiny_work())
    provider = _provider(tmp_path)
    read = _read(provider)
    assert [name for name, passages in read.items() if passages] == ["standard_ebooks:a-good", "standard_ebooks:k-good"]
    dropped = {name for names in provider.dropped.examples.values() for name in names}
    assert {name.split(":")[1][0] for name in dropped} == set("bcdefghj")
    assert sum(provider.dropped.works.values()) == 7
    assert any("declares entities" in reason for reason in provider.dropped.works)
    assert read["standard_ebooks:h-only-scraps"] == read["standard_ebooks:i-front-matter"] == []


def test_what_is_dropped_is_counted_once_however_often_it_is_read(tmp_path):
    write_tree(tmp_path / "a", tiny_work() | {"content.opf": "<package"})
    write_tree(tmp_path / "b", tiny_work({"chapter-1": chapter("<p>A scrap.</p>")}))
    provider = _provider(tmp_path)
    assert _read(provider) == _read(provider) == {"standard_ebooks:b": []}
    assert sum(provider.dropped.works.values()) == sum(provider.dropped.passages.values()) == 1


def test_references_and_links_that_lead_out_of_the_tree_are_not_read(tmp_path):
    secret = chapter(f"<p>Secret. {PARAGRAPH}</p>")
    (tmp_path / "secret.xhtml").write_text(secret, encoding="utf-8")
    root = tmp_path / "corpus"
    files = tiny_work(missing=("../../../../../secret", "linked"))
    write_tree(root / "a", files)
    (root / "a/src/epub/text/linked.xhtml").symlink_to(tmp_path / "secret.xhtml")
    (root / "a/src/epub/text/loop.xhtml").symlink_to(root / "a/src/epub/text/loop.xhtml")
    (work,) = _provider(root).works()
    assert list(work.passages()) == [PARAGRAPH]


def _forge_size(path, size: int) -> None:
    """Make the directory of an archive state a wrong unpacked size of its last entry."""
    data = bytearray(path.read_bytes())
    header = data.rindex(b"PK\x01\x02")
    data[header + 24 : header + 28] = size.to_bytes(4, "little")
    path.write_bytes(bytes(data))


def test_archives_that_cannot_be_trusted_are_dropped_one_by_one(tmp_path):
    huge = b"<html>" + b" " * (65 * 1024 * 1024)
    bomb = tiny_work() | {"text/chapter-1.xhtml": huge.decode()}
    write_epub(tmp_path / "a-good.epub", tiny_work())
    write_epub(tmp_path / "b-bomb.epub", bomb)
    write_epub(tmp_path / "c-understated.epub", dict(reversed(bomb.items())) | {"text/colophon.xhtml": huge.decode()})
    _forge_size(tmp_path / "c-understated.epub", 100)
    write_epub(tmp_path / "d-parent.epub", tiny_work(), extra={"../outside.xhtml": b"x"})
    write_epub(tmp_path / "e-absolute.epub", tiny_work(), extra={"/outside.xhtml": b"x"})
    write_epub(tmp_path / "f-drive.epub", tiny_work(), extra={"C:/outside.xhtml": b"x"})
    (tmp_path / "g-no-archive.epub").write_bytes(b"PK\x03\x04 not really")
    (tmp_path / "h-empty.epub").write_bytes(b"")
    write_epub(tmp_path / "i-many.epub", tiny_work(), extra={f"x/{n}": b"" for n in range(10_001)})
    with zipfile.ZipFile(tmp_path / "j-no-container.epub", "w") as archive:
        archive.writestr("epub/content.opf", tiny_work()["content.opf"])
    outside = CONTAINER.format(path="../../etc/passwd")
    with zipfile.ZipFile(tmp_path / "k-outside.epub", "w") as archive:
        archive.writestr("META-INF/container.xml", outside)
    encrypted = write_epub(tmp_path / "l-encrypted.epub", tiny_work())
    data = bytearray(encrypted.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    encrypted.write_bytes(bytes(data))
    with zipfile.ZipFile(tmp_path / "m-lzma.epub", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("META-INF/container.xml", CONTAINER.format(path="epub/content.opf"))
    write_epub(tmp_path / "n-good.epub", tiny_work())

    provider = _provider(tmp_path)
    read = _read(provider)
    assert [name[-6:] for name, passages in read.items() if passages] == ["a-good", "n-good"]
    assert sum(provider.dropped.works.values()) == 12
    dropped = {name.split(":")[1][0]: reason for reason, names in provider.dropped.examples.items() for name in names}
    assert set(dropped) == set("bcdefghijklm")
    assert "unpacks to more than" in dropped["b"]
    assert "cannot be read" in dropped["c"]
    assert all("leads out of it" in dropped[name] for name in "def")
    assert "more than 10000 entries" in dropped["i"]
    assert "encrypted" in dropped["l"]
    assert not (tmp_path.parent / "outside.xhtml").exists()
    assert {path.suffix for path in tmp_path.iterdir()} == {".epub"}


def test_all_entries_of_an_archive_together_are_bounded(tmp_path, monkeypatch):
    texts = {f"chapter-{n}": chapter(f"<p>{PARAGRAPH}</p>") for n in range(40)}
    write_epub(tmp_path / "a.epub", tiny_work(texts))
    assert len(_read(_provider(tmp_path))["standard_ebooks:a"]) == 40
    monkeypatch.setattr("wotd.providers.epub.MAX_TOTAL_BYTES", 15_000)
    provider = _provider(tmp_path)
    assert _read(provider) == {}
    assert "unpacks to more than" in next(iter(provider.dropped.works))


def test_a_root_that_is_no_corpus_says_so(tmp_path):
    assert not StandardEbooks().configured
    assert StandardEbooks(tmp_path).configured
    with pytest.raises(CorpusError, match=r"provider\.root is not set"):
        next(StandardEbooks().works())
    with pytest.raises(CorpusError, match="does not exist"):
        next(StandardEbooks(tmp_path / "nowhere").works())
    with pytest.raises(CorpusError, match="is empty"):
        next(StandardEbooks(tmp_path).works())
    (tmp_path / "something").mkdir()
    with pytest.raises(CorpusError, match=r"<work>/src/epub/content\.opf"):
        next(StandardEbooks(tmp_path).works())


def test_the_configuration_names_the_arguments_and_their_defaults():
    file = Path(__file__).resolve().parents[3] / "conf/provider/standard_ebooks.yaml"
    configured = yaml.safe_load(file.read_text("utf-8"))
    assert configured.pop("_target_") == f"{StandardEbooks.__module__}.{StandardEbooks.__name__}"
    assert configured.pop("root") == "???"
    arguments = inspect.signature(StandardEbooks).parameters
    assert configured == {name: arguments[name].default for name in arguments if name != "root"}


def test_works_are_read_lazily(tmp_path):
    write_tree(tmp_path / "a", tiny_work())
    write_tree(tmp_path / "b", tiny_work() | {"content.opf": "<package"})
    provider = _provider(tmp_path)
    works = provider.works()
    first = next(works)
    assert not provider.dropped.works
    (tmp_path / "a/src/epub/text/chapter-1.xhtml").write_text(chapter(f"<p>Later. {PARAGRAPH}</p>"), encoding="utf-8")
    assert first.passages()[0].startswith("Later.")


def test_a_published_order_of_names_is_plain_code_point_order(tmp_path):
    for name in ("b", "a-b", "a_b", "a"):
        write_tree(tmp_path / name, tiny_work(sentence=WRITTEN))
    names = [work.id.split(":")[1] for work in _provider(tmp_path).works()]
    assert all(one < other for one, other in pairwise(names))
