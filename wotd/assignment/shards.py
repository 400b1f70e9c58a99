"""The work of a job in shards: which files there are, what is finished, and how one shard is done.

A shard is a file of the output: all rows of one file of the input, or ``rows_per_file`` of them. It is written complete
or not at all, says in its metadata what it was made of, and is the same whoever makes it and how often. So a job that
was interrupted goes on by leaving out what is there, and a shard that two workers made is there once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from wotd.artifacts import WEIGHTS, Artifacts
from wotd.assignment.batches import Assigner, Choices, Encoded
from wotd.assignment.finished import ORIGIN, Standing
from wotd.assignment.inputs import MATRIX, WINDOW, InputFile, Piece, Windows, input_file, is_read
from wotd.assignment.threads import ahead, behind, meanwhile
from wotd.errors import InputError
from wotd.hub.folders import Folder, LocalFolder, find_file, open_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from wotd.inference import SemanticIDModel

logger = logging.getLogger(__name__)

_VERSION = "source_sha256"
"""Of the origin: which content the input had."""


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

    def open_shards(
        self, pair: Pair, artifacts: Artifacts, share: Callable[[int], Collection[int]] = range
    ) -> tuple[list[Shard], int]:
        """The shards of a file of the input that are to be written, and how many there are with all others.

        Args:
            pair: the file, and where its IDs go.
            artifacts: what its rows have to fit.
            share: which of so many parts are meant, and looked at.

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

        standing = Standing(self.output, pair.target, pair.source, split=split is not None)
        if parts := _parts_if_finished(standing, share, origin):
            return [], parts
        survey = file.survey(rows_per_file, artifacts)
        parts, shards = len(survey.pieces), []
        finished = standing.finished(share(parts), lambda part: origin(part, parts))
        # Parts share one version; that of a whole file is found out while it is assigned, for hashing takes time.
        made_of = origin if rows_per_file else unversioned
        for part in (part for part in share(parts) if part not in finished):
            piece, left = survey.pieces[part], None
            if survey.rows is not None:
                left = min(survey.rows - piece.first, survey.rows if piece.rows is None else piece.rows)
            target = standing.name(part)
            shards.append(Shard(pair, target, part, piece, left, stamp, survey.schema, made_of(part, parts)))
        return shards, parts

    def reading(self, pair: Pair) -> AbstractContextManager[Windows]:
        """What gives the rows of shards of a file, to be shared by those that are done one after the other."""
        return self.input_file(pair).reading()

    def assign(
        self,
        shard: Shard,
        assigner: Assigner,
        advance: Callable[[int], object] = lambda _: None,
        windows: Windows | None = None,
    ) -> Done:
        """Write the file of a shard; the next rows are read and the last ones made columns and written meanwhile.

        Args:
            shard: one that is not finished.
            assigner: the model at work.
            advance: is told of rows that are done.
            windows: gives its rows, as :meth:`reading` has it; None: the file is opened for it.

        Raises:
            WOTDError: naming the first row that cannot be used, or the file if it is no longer what it was.
        """
        from pyarrow import parquet

        file = self.input_file(shard.pair)
        schema = assigner.schema(shard.fields, file.column, vectors=file.vectors)
        done, gaps, first_gap = 0, 0, None

        def write_out(encoded: Encoded) -> None:
            writer.write_table(assigner.table(encoded))

        version = meanwhile(lambda: {} if _VERSION in shard.origin else self._version(shard.pair))
        with (
            self.output.writing(shard.target) as path,
            parquet.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            with behind(write_out) as write:
                for window in ahead((windows or file.windows)(shard.piece, shard.fields)):
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
            writer.add_key_value_metadata({ORIGIN: json.dumps(origin, sort_keys=True)})
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


def _parts_if_finished(
    standing: Standing, share: Callable[[int], Collection[int]], origin: Callable[[int, int], dict[str, Any]]
) -> int:
    """How many parts there are where all that are meant are finished, for which the input need not be read; else 0."""
    parts = standing.claimed_parts()
    if not parts:
        return 0
    standing.finished([0], lambda part: origin(part, parts))  # before the input is read for nothing
    if not standing.are_there(share(parts)):
        return 0
    standing.finished(share(parts), lambda part: origin(part, parts))
    return parts


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
