"""Sound inputs to begin from: invented files, and real ones where ``shared/corpora`` lies beside the repository."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import tiny_gutenberg
import tiny_standard_ebooks
from fuzz_mutations import zipped

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
LONGEST = 60_000
"""Of a text, no more than so many bytes; thousands of cases are to end today."""


def packages() -> list[bytes]:
    """Package documents."""
    tiny = tiny_standard_ebooks
    made = [tiny.tiny_work()["content.opf"], tiny.package(["a.xhtml"], tiny.metadata(tiny.OLD_WORDS, ease=None))]
    return [*_encoded(made), *_some(_real("standard_ebooks/*/src/epub/content.opf"), 16)]


def texts() -> list[bytes]:
    """Text files of publications, of prose, verse, drama and all that is no text."""
    tiny = tiny_standard_ebooks
    made = [*tiny.tiny_work().values(), tiny.chapter(_TABLE), tiny.chapter(_VERSE)][1:]
    real = [p for p in _real("standard_ebooks/*/src/epub/text/*.xhtml") if p.stat().st_size < LONGEST]
    return [*_encoded(made), *_some(real, 40)]


def colophons() -> list[bytes]:
    """Colophons."""
    sentences = (
        "was written between 800 and 700 BC by",
        "was written in the early 15th century by",
        tiny_standard_ebooks.WRITTEN,
    )
    made = [tiny_standard_ebooks.colophon(sentence) for sentence in sentences]
    return [*_encoded(made), *_some(_real("standard_ebooks/*/src/epub/text/colophon.xhtml"), 24)]


def publication() -> list[tuple[str, bytes]]:
    """The files of a tiny publication as an archive holds them."""
    tiny = tiny_standard_ebooks
    container = tiny.CONTAINER.format(path="epub/content.opf")
    files = {f"epub/{name}": text for name, text in tiny.tiny_work().items()}
    return [("META-INF/container.xml", container.encode()), *((name, text.encode()) for name, text in files.items())]


def archives() -> list[bytes]:
    """Publications in one file: the tiny one, and the smallest real ones."""
    found = [zipped(publication())]
    trees = sorted(_real("standard_ebooks/*/src/epub"), key=lambda tree: sum(f.stat().st_size for f in tree.rglob("*")))
    for tree in trees[:4]:
        files = [
            (f"epub/{file.relative_to(tree).as_posix()}", file.read_bytes()) for file in sorted(tree.rglob("*.xhtml"))
        ]
        found.append(zipped([publication()[0], ("epub/content.opf", (tree / "content.opf").read_bytes()), *files]))
    return found


def descriptions() -> list[bytes]:
    """RDF of Project Gutenberg."""
    made = [tiny_gutenberg.RDF.format(number=12, doctype="")]
    return [*_encoded(made), *_some(_real("gutenberg/*/pg*.rdf"), 30)]


def records() -> list[bytes]:
    """``metadata.yaml`` of GITenberg."""
    made = [tiny_gutenberg.YAML.format(number=12, birth="-70")]
    return [*_encoded(made), *_some(_real("gutenberg/*/metadata.yaml"), 30)]


def catalogues() -> list[bytes]:
    """``pg_catalog.csv``."""
    made = [tiny_gutenberg.CATALOGUE + tiny_gutenberg.ROW.format(number=12) + tiny_gutenberg.ROW.format(number=84)]
    return [*_encoded(made), *(path.read_bytes()[:LONGEST] for path in _real("gutenberg/pg_catalog.csv"))]


def books() -> list[bytes]:
    """Texts of Project Gutenberg: head and tail of each, where the wrapping is."""
    made = [tiny_gutenberg.book(), tiny_gutenberg.book(title="The Weir", number=12, language=None, author=None)]
    long = [path.read_bytes() for path in _real("gutenberg/**/*.txt")]
    return [*_encoded(made), *(text[: LONGEST // 2] + text[-LONGEST // 4 :] for text in long)]


def rows() -> list[bytes]:
    """JSONL of texts with what may be known of them."""
    text = tiny_standard_ebooks.PARAGRAPH
    lines = [
        {
            "id": "a",
            "index": 1,
            "text": text,
            "title": "A",
            "authors": "X;Y",
            "year_written": "1850",
            "genres": "Fiction;Comedy",
        },
        {
            "id": "a",
            "index": 2.5,
            "text": text,
            "language": "en-GB",
            "year_written": "c. 458 BC",
            "reading_ease": "71.5",
        },
        {
            "id": "7",
            "index": None,
            "text": "Caf\u00e9 \u2014 na\u00efve.\n\nTwo\nlines",
            "subjects": None,
            "year_of_text": "27 BC \u2013 AD 14",
        },
    ]
    whole = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return _encoded([whole, json.dumps({"text": text}) + "\n", whole + "\n" + whole])


def tables() -> list[bytes]:
    """CSV of the same."""
    text = tiny_standard_ebooks.PARAGRAPH
    header = "id,index,text,title,authors,year_written,reading_ease\n"
    commas = header + f'a,1,"{text}",A,X;Y,1850,71.5\na,2,"one ""two""\nthree",,,458 BC,\n'
    return _encoded([commas, commas.replace(",", ";"), f"text\n{text!r}\n", f'id\ttext\n1\t"{text}"\n'])


def lines() -> list[bytes]:
    """Plain lines."""
    return _encoded([f"{tiny_standard_ebooks.PARAGRAPH}\nshort\n", "one line"])


def _encoded(made: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8") for text in made]


def _real(pattern: str) -> list[Path]:
    return sorted(CORPORA.glob(pattern)) if CORPORA.is_dir() else []


def _some(paths: list[Path], number: int) -> list[bytes]:
    step = max(1, len(paths) // number)
    return [path.read_bytes() for path in paths[::step]]


_TABLE = (
    '<table epub:type="z3998:drama"><tr><td epub:type="z3998:persona">Ann</td><td><p>Who goes '
    '<i epub:type="z3998:stage-direction">aside</i> there?</p></td></tr>'
    "<tr><td/><td><table><tr><th>x</th></tr></table></td></tr></table>"
)
_VERSE = (
    '<section epub:type="z3998:poem"><p><span>The heron stands</span><br/><span>upon the stone</span></p>'
    "<p>I<br/>am</p></section><blockquote><header><p>To whom</p></header><p>it<sup>2</sup> may "
    "<math><mi>x</mi></math></p></blockquote><dl><dt>A</dt><dd>b</dd></dl>"
)
