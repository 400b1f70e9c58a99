"""Small invented books in the wrappings of Project Gutenberg, for its tests."""

from pathlib import Path

PROSE = (
    "The keeper of the lamp had counted the ships since morning, and by noon\n"
    "there were eleven of them behind the bar, waiting for the water to rise.\n"
    "He wrote each name in the long green book, with the hour beside it, and\n"
    "when the twelfth came round the point he put down his pen and went out."
)
STANZA = (
    "  The heron stands upon the stone,\n"
    "  And all the reeds are grey;\n"
    "  The miller keeps his wheel alone\n"
    "  Till night has drunk the day.\n"
    "  And none shall ask him when he goes\n"
    "  What water took away."
)
START = "*** START OF THE PROJECT GUTENBERG EBOOK {title} ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK {title} ***"
LICENCE = "This file may be copied under the terms of the Project Gutenberg License at www.gutenberg.org."
BODY = f"CHAPTER I\n\n\n{PROSE}\n\n{PROSE}\n\n\n\n\nCHAPTER II\n\n\n{STANZA}\n"

YAML = """\
title: "The Lamp\\r\\nA Tale of the Bar"
creator:
  author: {{agent_name: "Pell, Ada", birthdate: {birth}, deathdate: 1890}}
contributor:
  translator: {{agent_name: "Rook, John", birthdate: 1840}}
language: en
identifiers: {{gutenberg: '{number}'}}
rights: Public domain in the USA.
gutenberg_bookshelf: Harvard Classics
subjects:
- !lcsh 'Lighthouses -- Fiction'
- !lcc 'PR'
- GITenberg
"""
RDF = """\
<?xml version="1.0" encoding="utf-8"?>{doctype}
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dcam="http://purl.org/dc/dcam/"
  xmlns:dcterms="http://purl.org/dc/terms/" xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/"
  xmlns:marcrel="http://id.loc.gov/vocabulary/relators/">
  <pgterms:ebook rdf:about="ebooks/{number}">
    <dcterms:title>The Weir</dcterms:title>
    <dcterms:rights>Public domain in the USA.</dcterms:rights>
    <dcterms:language><rdf:Description><rdf:value>en</rdf:value></rdf:Description></dcterms:language>
    <dcterms:creator><pgterms:agent rdf:about="2009/agents/1">
      <pgterms:name>Marsh, Tobias</pgterms:name><pgterms:birthdate>-70</pgterms:birthdate>
    </pgterms:agent></dcterms:creator>
    <marcrel:trl><pgterms:agent rdf:about="2009/agents/2">
      <pgterms:name>Rook, John</pgterms:name><pgterms:birthdate>1840</pgterms:birthdate>
    </pgterms:agent></marcrel:trl>
    <dcterms:subject><rdf:Description>
      <dcam:memberOf rdf:resource="http://purl.org/dc/terms/LCSH"/><rdf:value>Rivers -- Poetry</rdf:value>
    </rdf:Description></dcterms:subject>
    <dcterms:subject><rdf:Description>
      <dcam:memberOf rdf:resource="http://purl.org/dc/terms/LCC"/><rdf:value>PA</rdf:value>
    </rdf:Description></dcterms:subject>
    <pgterms:bookshelf><rdf:Description><rdf:value>Poetry</rdf:value></rdf:Description></pgterms:bookshelf>
  </pgterms:ebook>
</rdf:RDF>
"""
CATALOGUE = "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves\n"
ROW = (
    "{number},Text,2001-01-01,The Mill Play,en,"
    '"Marsh, Tobias, 1730?-1774; Rook, John, 1840- [Translator]",Mills -- Drama,PR,\n'
)


def book(
    body: str = BODY,
    *,
    title: str = "The Lamp",
    number: int | None = None,
    language: str | None = "English",
    author: str | None = "Ada Pell",
) -> str:
    """The text of a file as the project writes it today."""
    labels = {
        "Title": title,
        "Author": author,
        "Release date": None if number is None else f"May 1, 2001 [eBook #{number}]",
        "Language": language,
    }
    header = "\n\n".join(f"{name}: {value}" for name, value in labels.items() if value)
    start, end = START.format(title=title.upper()), END.format(title=title.upper())
    return f"{header}\n\nCredits: Produced by hand\n\n{start}\n\n{body}\n\n{end}\n\n{LICENCE}\n"


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path
