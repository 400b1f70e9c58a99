"""Builders of tiny, invented works in the layout of Standard Ebooks."""

import zipfile
from pathlib import Path

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="{path}" media-type="application/oebps-package+xml"/></rootfiles></container>'
)

OLD_WORDS = {"genre": "se:subject", "ease": "se:reading-ease.flesch", "words": "se:word-count"}
NEW_WORDS = {"genre": "schema:genre", "ease": "schema:educationalLevel", "words": "schema:wordCount"}

PARAGRAPH = (
    "The miller of Oakham had three clocks and trusted none of them. Every morning he walked down to the weir "
    "and asked the heron for the time. The heron, who was polite, always answered that it was early."
)
WRITTEN = "was published in <time>1847</time> by<br/>"


def xhtml(body: str, kind: str = "bodymatter z3998:fiction") -> str:
    """A text file with the given content of its body."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="en-GB">\n'
        f'<head><title>A head that is not text</title></head>\n<body epub:type="{kind}">\n{body}\n</body></html>'
    )


def chapter(body: str, name: str = "chapter-1") -> str:
    """A chapter with a heading."""
    return xhtml(f'<section id="{name}" epub:type="chapter">\n<h2 epub:type="title">A Heading</h2>\n{body}\n</section>')


def colophon(sentence: str) -> str:
    """A colophon whose first paragraph is about the work and whose second is about the ebook."""
    return xhtml(
        '<section id="colophon" epub:type="colophon"><header><h2 epub:type="title">Colophon</h2></header>\n'
        f'<p><i epub:type="se:name.publication.book">Nineteen Clocks of 1799</i><br/>\n{sentence}\n'
        '<a href="https://example.org/">Ada the 4th</a>.</p>\n'
        "<p>This ebook was produced for<br/> Standard Ebooks<br/> in <time>2019</time>.</p></section>",
        "backmatter",
    )


def metadata(vocabulary: dict[str, str], *, ease: str | None = "71.5", language: str = "en-GB") -> str:
    """Metadata in one of the two vocabularies."""
    stated = f'<meta property="{vocabulary["ease"]}">{ease}</meta>' if ease is not None else ""
    return f"""
<dc:title id="title">The Clocks of Oakham</dc:title>
<meta property="title-type" refines="#title">main</meta>
<dc:title id="subtitle">Or, the Heron</dc:title>
<meta property="title-type" refines="#subtitle">subtitle</meta>
<dc:subject id="subject-1">Clocks--Fiction</dc:subject>
<dc:subject id="subject-2">Herons -- England -- Fiction</dc:subject>
<meta property="{vocabulary["genre"]}">Comedy</meta>
<meta property="{vocabulary["genre"]}">Fiction</meta>
<meta property="{vocabulary["genre"]}" refines="#subject-1">Not a genre of the work</meta>
<dc:language>{language}</dc:language>
<dc:source>https://example.org/scans</dc:source>
<dc:source>https://example.org/transcription</dc:source>
<dc:rights>Dedicated to the public.</dc:rights>
<meta property="{vocabulary["words"]}">1234</meta>{stated}
<meta property="{vocabulary["ease"]}" refines="#title">1.5</meta>
<dc:creator id="author">Ada Finch</dc:creator>
<meta property="schema:alternateName" refines="#author">Ada Maria Finch</meta>
<meta property="role" refines="#author" scheme="marc:relators">aut</meta>
<dc:contributor id="translator">Bo Reed</dc:contributor>
<meta property="role" refines="#translator" scheme="marc:relators">trl</meta>
<dc:contributor id="artist">Cy Wren</dc:contributor>
<meta property="role" refines="#artist" scheme="marc:relators">art</meta>
"""


def package(hrefs: list[str], meta: str) -> str:
    """A package document whose spine is the given texts in order; the manifest lists them sorted."""
    items = "".join(f'<item href="{h}" id="{h}" media-type="application/xhtml+xml"/>' for h in sorted(hrefs))
    spine = "".join(f'<itemref idref="{h}"/>' for h in hrefs)
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{meta}</metadata>'
        f'<manifest><item href="images/cover.svg" id="cover" media-type="image/svg+xml"/>{items}</manifest>'
        f"<spine>{spine}</spine></package>"
    )


def tiny_work(
    texts: dict[str, str] | None = None,
    *,
    sentence: str | None = WRITTEN,
    meta: str | None = None,
    missing: tuple[str, ...] = (),
) -> dict[str, str]:
    """The files of a work below ``src/epub``: package document, texts, colophon; ``missing`` are only listed."""
    texts = {"chapter-1": chapter(f"<p>{PARAGRAPH}</p>")} if texts is None else texts
    files = {f"text/{name}.xhtml": text for name, text in texts.items()}
    hrefs = [*files, *(f"text/{name}.xhtml" for name in missing), "text/colophon.xhtml"]
    if sentence is not None:
        files["text/colophon.xhtml"] = colophon(sentence)
    return {"content.opf": package(hrefs, metadata(NEW_WORDS) if meta is None else meta), **files}


def write_tree(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a work as a source tree."""
    for name, text in files.items():
        path = folder / "src/epub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_epub(path: Path, files: dict[str, str], *, extra: dict[str, bytes] | None = None) -> Path:
    """Write the files of a work as an archive, with further entries under their full names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER.format(path="epub/content.opf"))
        for name, text in files.items():
            archive.writestr(f"epub/{name}", text)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path
