import pytest

from wotd.providers.epub import FolderFiles, path_inside


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
