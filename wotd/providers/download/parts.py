"""What a download leaves on disk: a part while it comes, then the file and its checksum on record.

A folder that is being filled holds, besides the texts, the record ``.downloads.json`` and for each
file under way ``.NAME.part`` with ``.NAME.part.json``; providers pass over hidden files.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wotd.provenance import file_sha256

logger = logging.getLogger(__name__)

RECORD = ".downloads.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """A file under way, and a note of where it comes from and how to tell whether it is still the same there."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the bytes are gathered."""
        return self.folder / f".{self.name}.part"

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def _note(self) -> Path:
        return self.folder / f".{self.name}.part.json"

    def resumable(self, url: str) -> tuple[int, str]:
        """How many bytes can be kept, and the validator that must still hold; (0, "") to start over."""
        note = _read_json(self._note)
        validator = note.get("validator")
        if note.get("url") != url or not isinstance(validator, str) or not validator:
            return 0, ""
        return self.size, validator

    def begin(self, url: str, validator: str) -> None:
        """Start with no bytes."""
        self.discard()  # in this order a crash never leaves old bytes beside the new note
        _write_json(self._note, {"url": url, "validator": validator})

    def head(self, size: int = 512) -> bytes:
        """The first bytes."""
        with self.path.open("rb") as stream:
            return stream.read(size)

    def discard(self) -> None:
        """Forget everything that was fetched."""
        for path in (self.path, self._note):
            with suppress(FileNotFoundError):
                path.unlink()

    def finish(self) -> str:
        """Give the file its name, once its bytes are safely on disk; returns their SHA-256."""
        checksum = file_sha256(self.path)
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self.folder / self.name)
        self.discard()
        return checksum


class Record:
    """Which files of a folder are complete, from where, and with which checksum."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = _read_json(folder / RECORD).get("files")
        self._files: dict[str, Any] = files if isinstance(files, dict) else {}

    def holds(self, name: str) -> bool:
        """Whether the file is there, whole and unchanged."""
        path, entry = self._folder / name, self._files.get(name)
        if not isinstance(entry, dict) or not path.is_file():
            return False
        if path.stat().st_size == entry.get("bytes") and file_sha256(path) == entry.get("sha256"):
            return True
        logger.warning("%s is not as it was downloaded; it is fetched again", path)
        return False

    def add(self, name: str, url: str, checksum: str) -> None:
        """Put a complete file on record."""
        size = (self._folder / name).stat().st_size
        self._files[name] = {"url": url, "bytes": size, "sha256": checksum}
        _write_json(self._folder / RECORD, {"schema": _SCHEMA, "files": dict(sorted(self._files.items()))})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        logger.warning("%s is damaged and passed over", path)
        return {}
    return data if isinstance(data, dict) else {}


def _write_json(path: Path, data: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(data, stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
