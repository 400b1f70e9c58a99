"""The work of a job in shards: which files there are, what is finished, and how one shard is done.

A shard is a file of the output: all rows of one file of the input, or ``rows_per_file`` of them. It is written complete
or not at all, says in its metadata what it was made of, and is the same whoever makes it and how often. So a job that
was interrupted goes on by leaving out what is there, and a shard that two workers made is there once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from wotd.artifacts import WEIGHTS, Artifacts
from wotd.assignment.batches import Assigner, Choices
from wotd.assignment.inputs import MATRIX, WINDOW, InputFile, Piece, input_file, is_read
from wotd.assignment.threads import ahead, behind, meanwhile
from wotd.errors import InputError
from wotd.hub.folders import Folder, LocalFolder, find_file, open_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from wotd.inference import SemanticIDModel

logger = logging.getLogger(__name__)

_ORIGIN = b"wotd.origin"
"""Key in a Parquet file's metadata: which artifacts and which input made it."""

_VERSION = "source_sha256"
"""Of the origin: which content the input had."""

_MOST_PARTS = 1_000_000
"""What a file of the output may say to have beside it; where there are more, the input is looked at again."""


@dataclass(frozen=True)
class Pair:
    """A file of the input and where its IDs go: a file, or a folder of files where it is split."""

    source: str
    target: str


@dataclass(frozen=True)
class Shard:
    """One file of the output, still to be written.

    Attributes:
        pair: which file of the input it is made of.
        target: its name in the output.
        part: its number among those of the pair.
        piece: which rows.
        rows: how many, where that is known.
        stamp: of the file of the input when it was looked at.
        fields: columns of the input.
        origin: what it is made of, as its metadata say; the version of the input may be left to whoever writes it.
    """

    pair: Pair
    target: str
    part: int
    piece: Piece
    rows: int | None
    stamp: str
    fields: pa.Schema = field(repr=False)
    origin: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Done:
    """What came of a shard: rows, those that got no code, and the number of the first of them, from 1."""

    target: str
    rows: int
    gaps: int = 0
    first_gap: int | None = None


@dataclass(frozen=True)
class Job:
    """From where to where, by which artifacts, and how; plain data, so that workers elsewhere can take part.

    Attributes:
        source: of the input.
        output: where files go.
        choices: what is read and written.
        made_by: what of the model decides IDs, as :func:`made_by` says it.
    """

    source: Folder
    output: Folder
    choices: Choices
    made_by: dict[str, Any]

    def input_file(self, pair: Pair) -> InputFile:
        """The file of the input."""
        return input_file(self.source, pair.source, self.choices.text_column, self.choices.vector_column)

    def open_shards(self, pair: Pair, artifacts: Artifacts) -> tuple[list[Shard], int]:
        """The shards of a file of the input that are to be written, and how many there are with the finished ones.

        Raises:
            WOTDError: if the file cannot be read, or does not fit, or something else stands where IDs would go.
        """
        file, split = self.input_file(pair), self.choices.rows_per_file
        rows_per_file = None if split is None else -(-split // WINDOW) * WINDOW
        stamp = self.source.stamp(pair.source)
        source = self._origin(pair, file)

        def unversioned(part: int, parts: int) -> dict[str, Any]:
            return source | ({"rows_per_file": rows_per_file, "part": part, "parts": parts} if rows_per_file else {})

        @cache
        def version() -> dict[str, str]:
            return self._version(pair)

        def origin(part: int, parts: int) -> dict[str, Any]:
            return unversioned(part, parts) | version()

        if parts := self._parts(pair, origin):
            return [], parts
        survey = file.survey(rows_per_file, artifacts)
        parts, shards = len(survey.pieces), []
        for part, piece in enumerate(survey.pieces):
            left = None if survey.rows is None else survey.rows - piece.first
            rows = left if left is None or piece.rows is None else min(left, piece.rows)
            target, made_of = self._target(pair, part), partial(origin, part, parts)
            if self._is_finished(target, pair, made_of):
                continue
            # Parts share one version; that of a whole file is found out while it is assigned, for hashing takes time.
            made_of = made_of if rows_per_file else partial(unversioned, part, parts)
            shards.append(Shard(pair, target, part, piece, rows, stamp, survey.schema, made_of()))
        return shards, parts

    def _target(self, pair: Pair, part: int) -> str:
        return pair.target if self.choices.rows_per_file is None else f"{pair.target}/part-{part:05}.parquet"

    def _parts(self, pair: Pair, origin: Callable[[int, int], dict[str, Any]]) -> int:
        """How many parts there are where all are finished, for which the input need not be read; else 0."""
        first = self._target(pair, 0)
        found = self._origin_of(first) if self.output.is_file(first) else None
        parts = found.get("parts", 1) if found is not None else 0
        if type(parts) is not int or not 0 < parts <= _MOST_PARTS:
            return 0
        finished = (self._is_finished(self._target(pair, n), pair, partial(origin, n, parts)) for n in range(parts))
        return parts if all(finished) else 0

    def _is_finished(self, target: str, pair: Pair, origin: Callable[[], dict[str, Any]]) -> bool:
        """Whether a file is there, made of this very input in this very way.

        Raises:
            InputError: if something else stands there.
        """
        above = target.rpartition("/")[0]
        blocked = above if above and self.output.is_file(above) else target
        if blocked == target and not self.output.exists(target):
            return False
        if blocked == target and self.output.is_file(target) and self._origin_of(target) == origin():
            return True
        raise InputError(
            f"{self.output.shown}/{blocked} exists, but not from this {PurePosixPath(pair.source).name} with these "
            f"artifacts and options; remove it or choose another --output."
        )

    def assign(self, shard: Shard, assigner: Assigner, advance: Callable[[int], object] = lambda _: None) -> Done:
        """Write the file of a shard; the next rows are read and the last ones made columns and written meanwhile.

        Args:
            shard: one that is not finished.
            assigner: the model at work.
            advance: is told of rows that are done.

        Raises:
            WOTDError: naming the first row that cannot be used, or the file if it is no longer what it was.
        """
        from pyarrow import parquet

        file = self.input_file(shard.pair)
        schema = assigner.schema(shard.fields, file.column, vectors=file.vectors)
        done, gaps, first_gap = 0, 0, None
        version = meanwhile(lambda: {} if _VERSION in shard.origin else self._version(shard.pair))
        with (
            self.output.writing(shard.target) as path,
            parquet.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            with behind(lambda encoded: writer.write_table(assigner.table(encoded))) as write:
                for window in ahead(file.windows(shard.piece, shard.fields)):
                    encoded = assigner.encode(window.table, file.column, vectors=file.vectors, place=window.place)
                    if encoded.gaps and first_gap is None:
                        first_gap = shard.piece.first + done + encoded.first_gap + 1
                    gaps += encoded.gaps
                    write(encoded)
                    done += len(window.table)
                    advance(len(window.table))
            origin = shard.origin | version()
            if shard.rows not in (None, done) or self.source.stamp(shard.pair.source) != shard.stamp:
                raise InputError(f"{self.source.shown}/{shard.pair.source} changed while it was read; start again.")
            writer.add_key_value_metadata({_ORIGIN: json.dumps(origin, sort_keys=True)})
        return Done(shard.target, done, gaps, first_gap)

    def warn_of_gaps(self, pair: Pair, done: Collection[Done]) -> None:
        """Say how many rows of a file got no code."""
        numbers = [each.first_gap for each in done if each.first_gap is not None]
        if numbers:
            what = "vector" if self.input_file(pair).vectors else "text"
            logger.warning(
                "%s: %d rows without a %s got no code, the first is row %d",
                *(f"{self.source.shown}/{pair.source}", sum(each.gaps for each in done), what, min(numbers)),
            )

    def _origin(self, pair: Pair, file: InputFile) -> dict[str, Any]:
        choices, made_by = self.choices, self.made_by
        kind = {"text_column": choices.text_column}
        if file.vectors:
            made_by = made_by | {"embedding": None, "features": None}
            kind = {"vector_column": file.column}
        if choices.says_sureness(vectors=file.vectors) == file.vectors:  # not what is usual
            kind |= {"confidence": str(not file.vectors).lower()}
        return made_by | {
            "source": PurePosixPath(pair.source).name,
            **kind,
            "drop_texts": choices.drop_texts,
            "min_confidence": choices.min_confidence,
        }

    def _version(self, pair: Pair) -> dict[str, str]:
        return {_VERSION: self.source.version(pair.source)}

    def _origin_of(self, target: str) -> dict[str, Any] | None:
        """What a file of the output says it was made of; None where it says nothing that can be read."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with self.output.open(target) as stream:
                metadata = parquet.read_metadata(stream).metadata or {}
            origin = json.loads(metadata.get(_ORIGIN, b"null"))
            return origin if isinstance(origin, dict) else None
        except (pa.ArrowException, OSError, ValueError, RecursionError):
            return None


def made_by(model: SemanticIDModel, *, texts: bool) -> dict[str, Any]:
    """What of a model decides the IDs it gives; of texts, its embedding model is asked for that, and verified."""
    return {
        "encoder_sha256": model.artifacts.config["files"][WEIGHTS],
        "embedding": model.embedder.fingerprint.digest if texts else None,
        "features": model.features.fingerprint.digest if texts and model.features else None,
    }


def find_pairs(source: str, output: str, *, vectors: bool) -> tuple[Folder, Folder, list[Pair]]:
    """The folders of input and output, and files to read, sorted, with where the IDs of each go.

    Args:
        source: a file or a folder, by path or URL.
        output: a folder.
        vectors: whether files of vectors are sought instead of texts; they are also where there are none of texts.

    Raises:
        InputError: if there is nothing to read, or two files would be written to one.
    """
    folder, only = find_file(source, "--input")
    target = open_folder(output, "--output")
    if target.is_file(""):
        raise InputError(f"--output is {target.shown}, which is a file; expected a folder.")
    if _place(target) == _place(folder):
        raise InputError(f"--output is {target.shown}, which holds the input; expected another folder.")
    names = [only] if only is not None else list(_searched(folder, target, vectors))
    targets: dict[str, str] = {}
    for name in names:
        written = name if PurePosixPath(name).suffix.lower() == ".parquet" else f"{name}.parquet"
        if written in targets:
            raise InputError(
                f"{folder.shown}/{targets[written]} and {folder.shown}/{name} would both be written to "
                f"{target.shown}/{written}; rename one."
            )
        targets[written] = name
    return folder, target, [Pair(name, written) for written, name in targets.items()]


def _searched(folder: Folder, output: Folder, vectors: bool) -> Iterator[str]:
    inside = _place(output).removeprefix(f"{_place(folder)}/") + "/"
    names = [
        name
        for name in folder.files()
        if not name.startswith(inside) and not any(part.startswith((".", "_")) for part in name.split("/"))
    ]
    for wanted in (vectors, True):
        found = [name for name in names if is_read(name, vectors=wanted)]
        if found:
            return iter(found)
    expected = ".parquet, .npy" if vectors else ".txt, .jsonl, .ndjson, .csv, .tsv, .parquet, .npy"
    raise InputError(
        f"--input is {folder.shown}, which holds no file of {'vectors' if vectors else 'texts'}; expected {expected}."
    )


def holds_vectors(pair: Pair, choices: Choices) -> bool:
    """Whether vectors are read of it, and no texts."""
    return choices.vector_column is not None or pair.source.lower().endswith(MATRIX)


def _place(folder: Folder) -> str:
    return folder.path.resolve().as_posix() if isinstance(folder, LocalFolder) else folder.address
