"""XML from strangers, parsed without entity expansion, external DTDs, network or unbounded size."""

from __future__ import annotations

from lxml import etree

from wotd.errors import UnreadableWorkError

MAX_BYTES = 64 * 1024 * 1024
"""The largest XML document that is parsed, in bytes."""


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
