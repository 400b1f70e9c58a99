import zipfile

import pytest

from wotd.errors import UnreadableWorkError
from wotd.providers.epub import FolderFiles, open_publication, path_inside


@pytest.mark.parametrize(
    ("base", "href", "path"),
    [
        ("content.opf", "text/a.xhtml", "text/a.xhtml"),
        ("epub/content.opf", "text/a.xhtml", "epub/text/a.xhtml"),
        ("epub/content.opf", "../text/a.xhtml", "text/a.xhtml"),
        ("epub/content.opf", "text/./b/../a.xhtml#note-1", "epub/text/a.xhtml"),
        ("content.opf", "text/caf%C3%A9%20noir.xhtml?x=1", "text/café noir.xhtml"),
        ("content.opf", "../a.xhtml", None),
        ("epub/content.opf", "../../a.xhtml", None),
        ("content.opf", "%2e%2e/a.xhtml", None),
        ("content.opf", "..", None),
        ("content.opf", "/etc/passwd", None),
        ("content.opf", "//host/a.xhtml", None),
        ("content.opf", "file:///etc/passwd", None),
        ("content.opf", "http://[broken", None),
        ("content.opf", "..\\a.xhtml", None),
        ("content.opf", "a%00.xhtml", None),
        ("content.opf", "", None),
        ("content.opf", "#only-a-fragment", None),
    ],
)
def test_a_reference_never_leads_out_of_its_publication(base, href, path):
    assert path_inside(base, href) == path


def test_a_folder_gives_its_own_files_and_no_others(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.xhtml").write_bytes(b"a")
    (tmp_path / "b.xhtml").write_bytes(b"b")
    (inside / "link.xhtml").symlink_to(tmp_path / "b.xhtml")
    (inside / "own-link.xhtml").symlink_to(inside / "a.xhtml")
    files = FolderFiles(inside)
    assert files.read("a.xhtml") == files.read("own-link.xhtml") == b"a"
    for path in ("../b.xhtml", "link.xhtml", "nothing.xhtml", ".", "x" * 5000, "a\0b"):
        assert files.read(path) is None
        assert not files.has(path)


def test_a_name_that_is_no_text(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.epub", "w") as archive:
        archive.writestr("n\u00e4me", "x")
    content = (tmp_path / "x.epub").read_bytes()
    (tmp_path / "x.epub").write_bytes(content.replace("n\u00e4me".encode(), b"n\xff\xffme"))
    sentence = "the archive cannot be read: 'utf-8' codec can't decode"
    with pytest.raises(UnreadableWorkError, match=sentence), open_publication(tmp_path / "x.epub"):
        pass


def test_entries_without_a_name_and_entries_that_unpack_to_mountains(tmp_path):
    nameless = zipfile.ZipInfo("x")
    nameless.filename = ""
    mountain = "<a>" + " " * 5_000_000 + "</a>"
    for entry, content, reason in (
        (nameless, "", "without a name"),
        ("META-INF/container.xml", mountain, "more than 50"),
    ):
        with zipfile.ZipFile(tmp_path / "x.epub", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(entry, content)
        with pytest.raises(UnreadableWorkError, match=reason), open_publication(tmp_path / "x.epub"):
            pass
