"""How much may come from elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from wotd.errors import ArtifactError, ConfigurationError

_MAX_FILES = 10_000
_MAX_BYTES, _VARIABLE = 64 * 1024**3, "WOTD_MAX_FETCH_BYTES"


def check_sizes(sizes: Collection[int], address: str, folder: Path) -> None:
    """Refuse what no artifacts are, and what the disk cannot hold.

    Args:
        sizes: of the files that would be fetched, in bytes.
        address: where they lie, as people may see it.
        folder: where they would go, or one of its parents.

    Raises:
        ArtifactError: how much it is, and how much may be.
    """
    if len(sizes) > _MAX_FILES:
        raise ArtifactError(f"{address} lists {len(sizes)} files; at most {_MAX_FILES} are fetched.")
    total, most = sum(sizes), max_bytes()
    if total > most:
        raise ArtifactError(f"{address} has {total} bytes; at most {most} are fetched, unless {_VARIABLE} says more.")
    while not folder.is_dir():
        folder = folder.parent
    if total > (free := shutil.disk_usage(folder).free):
        raise ArtifactError(f"{address} has {total} bytes, but {folder} has room for {free}.")


def max_bytes() -> int:
    """The most bytes that are fetched at a time.

    Raises:
        ConfigurationError: if the environment says no number.
    """
    said = os.environ.get(_VARIABLE, "").strip()
    if said and not (said.isascii() and said.isdigit()):
        raise ConfigurationError(f"{_VARIABLE} is {said!r}; expected a number of bytes.")
    return int(said) if said else _MAX_BYTES
