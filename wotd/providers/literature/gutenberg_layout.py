"""Which files of a folder are texts of Project Gutenberg, what stands beside them, and what they are called.

Names: the book's number; where several texts are of one book, the one whose file name carries the
number has it alone and the others add their stem (``11``, ``11-alice30``); without a number, the stem.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wotd.errors import UnreadableWorkError
from wotd.providers.literature.gutenberg_envelope import decode
from wotd.providers.literature.gutenberg_metadata import read_header, read_record

logger = logging.getLogger(__name__)

MAX_DEPTH = 10
HEAD_BYTES = 20_000
"""How much of a text is read to find its number."""

_NAMED = re.compile(r"(?:pg)?(?P<number>\d{1,7})(?P<variant>-[0-9a-z]+)?", re.IGNORECASE)
_FOLDER_NUMBER = re.compile(r".*_(\d{1,7})")
_VARIANTS = {"-0": 0, "": 1, "-8": 2}
"""Of one text in several encodings one is kept: UTF-8 first, then the file without a mark, then Latin-1."""

_NOT_BOOKS = frozenset({"readme", "license", "licence", "copying", "robots", "requirements"})


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text, the book it is of, and whether its own name says so."""

    path: Path
    number: int | None
    named: bool


def find_texts(root: Path) -> list[TextFile]:
    """All texts at or below a folder in order of path; links that lead out of it are not followed."""
    found = []
    for path in sorted(_text_paths(root, root.resolve(), MAX_DEPTH)):
        match = _NAMED.fullmatch(path.stem)
        number = int(match["number"]) if match else _number_of_unnamed(path, root)
        found.append(TextFile(path, number, named=bool(match)))
    return found


def name_texts(texts: Sequence[TextFile]) -> tuple[dict[str, TextFile], list[TextFile]]:
    """A name for each text, in order of name; and the texts that only repeat another in a different encoding."""
    by_number: dict[int | None, list[TextFile]] = defaultdict(list)
    for text in sorted(texts, key=_preference):
        by_number[text.number].append(text)
    names: dict[str, TextFile] = {}
    repeated: list[TextFile] = []
    for number, group in by_number.items():
        folders: set[Path] = set()
        for place, text in enumerate(group):
            if number is not None and text.named and text.path.parent in folders:
                repeated.append(text)
                continue
            if text.named:
                folders.add(text.path.parent)
            stem = "-".join(text.path.stem.split())
            names[_unused(stem if number is None else f"{number}-{stem}" if place else str(number), names)] = text
    return dict(sorted(names.items())), repeated


def metadata_files(path: Path, number: int | None, root: Path) -> list[Path]:
    """``metadata.yaml`` and the RDF beside a text, or beside the folder ``old`` it lies in."""
    folder = path.parent.parent if path.parent.name.lower() == "old" and path.parent != root else path.parent
    descriptions = sorted(folder.glob("pg*.rdf"))
    exact = [rdf for rdf in descriptions if rdf.stem.lower() == f"pg{number}"]
    candidates = [folder / "metadata.yaml", *(exact or descriptions[: len(descriptions) == 1])]
    return [file for file in candidates if is_inside(file, root.resolve())]


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path is a file that really lies below a resolved folder."""
    try:
        return path.is_file() and path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _text_paths(folder: Path, root: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            children = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        logger.warning("skipped the folder %s: %s", folder, error)
        return
    for child in children:
        path = Path(child.path)
        if child.is_dir(follow_symlinks=False):
            if depth:
                yield from _text_paths(path, root, depth - 1)
            else:
                logger.warning("skipped the folder %s, which lies more than %d levels deep", path, MAX_DEPTH)
        elif (
            path.suffix.lower() == ".txt"
            and path.stem.lower().split("-")[-1] not in _NOT_BOOKS
            and is_inside(path, root)
        ):
            yield path


def _number_of_unnamed(path: Path, root: Path) -> int | None:
    """The number in the header of a text, in the metadata beside it, or at the end of its folder's name."""
    try:
        with path.open("rb") as file:
            stated = read_header(decode(file.read(HEAD_BYTES))).number
    except (UnreadableWorkError, OSError):
        stated = None  # the text will be dropped with its reason when it is read
    records = (read_record(description) for description in metadata_files(path, None, root))
    known = next((record.number for record in records if record.number is not None), None)
    if stated is not None or known is not None:
        return stated if stated is not None else known
    folder = path.parent.parent if path.parent.name.lower() == "old" else path.parent
    match = _FOLDER_NUMBER.fullmatch(folder.name)
    return int(match[1]) if match else None


def _preference(text: TextFile) -> tuple[bool, int, str]:
    match = _NAMED.fullmatch(text.path.stem)
    variant = (match["variant"] or "").lower() if match else ""
    return not text.named, _VARIANTS.get(variant, len(_VARIANTS)), text.path.as_posix()


def _unused(name: str, names: dict[str, TextFile]) -> str:
    unused, count = name, 1
    while unused in names:
        count += 1
        unused = f"{name}-{count}"
    return unused
