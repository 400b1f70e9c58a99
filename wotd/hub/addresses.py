"""How places of artifacts are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wotd.errors import ArtifactError
from wotd.redaction import redacted

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)(?:://|::)")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB = re.compile(rf"hf://({_NAME}/{_NAME})((?:/[^/@\s]+)*)/?(?:@(\S+))?")


@dataclass(frozen=True)
class HubAddress:
    """``hf://user/name[/folder][@revision]``.

    Attributes:
        repository: ``user/name``.
        folder: of the artifacts within it, with a slash behind; empty where they lie at its root.
        revision: branch, tag or commit; None: the main branch.
    """

    repository: str
    folder: str
    revision: str | None

    @classmethod
    def parse(cls, address: str) -> HubAddress:
        """Take an address apart.

        Raises:
            ArtifactError: if it is none of the hub.
        """
        found = _HUB.fullmatch(address)
        if found is None or ".." in found[2].split("/") or ".." in (found[3] or ""):
            raise ArtifactError(f"artifacts is {redacted(address)}; expected hf://user/name[/folder][@revision].")
        return cls(found[1], f"{found[2][1:]}/" if found[2] else "", found[3])


def scheme_of(address: str) -> str:
    """The scheme of a URL, in lower case; empty for the path of a folder."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""


def folder_of(address: str) -> Path:
    """The folder that a path or a ``file://`` URL means.

    Raises:
        ArtifactError: if the URL names another machine, or is no plain path.
    """
    if not scheme_of(address):
        return Path(address)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ArtifactError(f"artifacts is {redacted(address)}, which is no address: {error}.") from error
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ArtifactError(f"artifacts is {address}; expected a folder of this machine, as file:///folder.")
    return Path(unquote(parts.path))
