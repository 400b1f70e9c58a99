"""XML from strangers, parsed without entity expansion, external DTDs, network or unbounded size."""

from __future__ import annotations

import codecs
import re

from lxml import etree

from wotd.errors import UnreadableWorkError

MAX_BYTES = 16 * 1024 * 1024
"""The largest XML document that is parsed, in bytes; the longest chapters there are have one million."""

MAX_MARKS = 300_000
"""How many signs a document may hold that open a tag, a reference or an attribute's value; each may cost 200 bytes.

The longest chapters there are have 50,000.
"""

_MARKS = (b"<", b"&", b"=")
_ENCODINGS = re.compile(rb"(utf-?(8|16)|us-ascii|iso-8859-\d{1,2}|windows-125\d)", re.IGNORECASE)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([^"']*)["']""")


def parse_xml(data: bytes, name: str) -> etree._Element:
    """The root of a well-formed document that declares no entities.

    Args:
        data: the document, as stored.
        name: what to call it in an error.

    Raises:
        UnreadableWorkError: if it is too large, malformed, or declares entities of its own.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableWorkError(f"{name} has {len(data)} bytes; at most {MAX_BYTES} are parsed")
    _check_encoding(data, name)
    if (marks := sum(map(data.count, _MARKS))) > MAX_MARKS:
        raise UnreadableWorkError(f"{name} has {marks} tags, references and attributes; at most {MAX_MARKS} are parsed")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableWorkError(f"{name} is not well-formed XML: {str(error).splitlines()[0]}") from error
    subset = root.getroottree().docinfo.internalDTD
    if subset is not None and list(subset.iterentities()):  # type: ignore[union-attr]  # missing from the stubs
        raise UnreadableWorkError(f"{name} declares entities, which are not expanded here")
    return root


def _check_encoding(data: bytes, name: str) -> None:
    """Refuse encodings in which the marks that are counted look otherwise, such as EBCDIC or UTF-7."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE):
        return
    data = data.removeprefix(codecs.BOM_UTF8)
    declared = _DECLARED.match(data)
    if not data.lstrip().startswith(b"<") or (declared and not _ENCODINGS.fullmatch(declared[1])):
        raise UnreadableWorkError(f"{name} is in no encoding that XML is read in; expected UTF-8 or UTF-16")
