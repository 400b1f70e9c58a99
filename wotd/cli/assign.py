"""``wotd assign``: semantic IDs for whole folders of texts, file by file, resumable and in shards."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.encoding import encoded_rows, kept_fields, row_schema
from wotd.cli.inputs import SUFFIXES, TextSource, checked_text, file_source
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    MinConfidenceOption,
    PrecisionOption,
    TextColumnOption,
    TrustRemoteCodeOption,
    WorkersOption,
    load_model,
)
from wotd.cli.outputs import rows_to
from wotd.cli.tables import note
from wotd.errors import InputError
from wotd.progress import track
from wotd.provenance import file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

    from wotd.inference import SemanticIDModel

logger = logging.getLogger(__name__)

_ORIGIN = b"wotd.origin"
"""Key in a Parquet file's metadata: which artifacts and which input made it."""


@command(
    "wotd assign --artifacts A --input texts/ --output ids/",
    "wotd assign --artifacts A --input texts/ --output ids/ --shard 0/4",
    "torchrun --nproc-per-node 4 -m wotd.cli assign --artifacts A --input texts/ --output ids/",
)
def assign(
    artifacts: ArtifactsOption,
    input_: Annotated[
        Path, typer.Option("--input", metavar="PATH", help="A file of texts, or a folder searched for such files.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where one .parquet for each file goes.")],
    text_column: TextColumnOption = "text",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="RANK/WORLD",
            help="Take every WORLD-th file from the RANK-th on; by default as RANK and WORLD_SIZE in the "
            "environment say, which torchrun sets.",
            show_default=False,
        ),
    ] = None,
    drop_texts: Annotated[bool, typer.Option("--drop-texts", help="Leave the texts out of the output.")] = False,
    min_confidence: MinConfidenceOption = None,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = 1,
) -> None:
    """Give semantic IDs to whole folders of texts.

    Each file gets a Parquet file with its columns and those of the code. Files that are finished are passed
    over, so an interrupted run goes on when it is started again. A row without a text keeps its place and gets
    no code; how many there were is said.
    """
    rank, world = _shard(shard)
    pairs = _pairs(input_.expanduser(), output.expanduser())[rank::world]
    model = load_model(
        artifacts, device, embedding_model, trust_remote_code, backend=backend, precision=precision, workers=workers
    )
    work = _Assignment(model, text_column, drop_texts, min_confidence)
    open_pairs = [(source, target) for source, target in pairs if not work.finished(source, target)]
    for number, (source, target) in enumerate(open_pairs, start=1):
        work.assign(source, target, f"{number}/{len(open_pairs)} {source.name}")
    note(f"{len(open_pairs)} files done in {output}, {len(pairs) - len(open_pairs)} were done before")


class _Assignment:
    """One model at work on many files."""

    def __init__(
        self, model: SemanticIDModel, text_column: str, drop_texts: bool, min_confidence: float | None
    ) -> None:
        self.model, self.text_column = model, text_column
        self.drop_texts, self.min_confidence = drop_texts, min_confidence

    def finished(self, source: Path, target: Path) -> bool:
        """Whether the target was made of this source in this very way.

        Raises:
            InputError: if something else stands there.
        """
        if not target.exists():
            return False
        if _origin(target) == self._origin(source):
            return True
        raise InputError(
            f"{target} exists, but not from this {source.name} with these artifacts and options; remove it or choose "
            f"another --output."
        )

    def assign(self, path: Path, target: Path, description: str) -> None:
        """Write the target; rows without a text get nulls."""
        source = file_source(path, self.text_column)
        target.parent.mkdir(parents=True, exist_ok=True)
        gaps: list[int] = []
        with rows_to(target, lambda: self._schema(source, path)) as write:
            for row in track(self._rows(source, gaps), description, source.count(), "texts"):
                write(row)
        if gaps:
            logger.warning("%s: %d rows without a text got no code, the first is row %d", path, len(gaps), gaps[0])

    def _rows(self, source: TextSource, gaps: list[int]) -> Iterator[dict[str, Any]]:
        """The rows in order; those without a text wait for the codes of the texts before them."""
        empty: dict[int, dict[str, Any]] = {}
        place = 0

        def texts() -> Iterator[tuple[str, Mapping[str, Any]]]:
            for number, (where, fields) in enumerate(source.records(), start=1):
                if self.text_column in fields and _is_blank(fields[self.text_column]):
                    gaps.append(number)
                    empty[number] = kept_fields(fields)
                else:
                    yield checked_text(fields, self.text_column, where), fields

        for row in encoded_rows(self.model, texts(), self.min_confidence):
            place += 1
            while place in empty:
                yield self._kept(empty.pop(place))
                place += 1
            yield self._kept(row)
        yield from map(self._kept, empty.values())

    def _kept(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if not (self.drop_texts and name == self.text_column)}

    def _schema(self, source: TextSource, path: Path) -> pa.Schema:
        schema = row_schema(source.schema())
        if self.drop_texts and self.text_column in schema.names:
            schema = schema.remove(schema.get_field_index(self.text_column))
        return schema.with_metadata({_ORIGIN: json.dumps(self._origin(path)).encode()})

    def _origin(self, source: Path) -> dict[str, Any]:
        from wotd.artifacts import WEIGHTS

        return {
            "encoder_sha256": self.model.artifacts.config["files"][WEIGHTS],
            "embedding": self.model.embedder.fingerprint.digest,
            "features": self.model.features.fingerprint.digest if self.model.features else None,
            "source": source.name,
            "source_sha256": file_sha256(source),
            "text_column": self.text_column,
            "drop_texts": self.drop_texts,
            "min_confidence": self.min_confidence,
        }


def _is_blank(text: Any) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def _origin(target: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        metadata = parquet.read_schema(target).metadata or {}
        return json.loads(metadata.get(_ORIGIN, b"null"))
    except (pa.ArrowException, OSError, ValueError):
        return None


def _pairs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Files to read, sorted, and where the IDs of each go.

    Raises:
        InputError: if there is nothing to read, or two files would be written to one.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"--output is {output}, which is a file; expected a folder.")
    if output.resolve() in (source.resolve(), source.resolve().parent if source.is_file() else None):
        raise InputError(f"--output is {output}, which holds the input; expected another folder.")
    files = [source] if source.is_file() else _searched(source, output)
    root = source.parent if source.is_file() else source
    targets: dict[Path, Path] = {}
    for file in files:
        stem = file.relative_to(root)
        target = output / (stem if stem.suffix.lower() == ".parquet" else stem.with_name(f"{stem.name}.parquet"))
        if target in targets:
            raise InputError(f"{targets[target]} and {file} would both be written to {target}; rename one.")
        targets[target] = file
    return [(file, target) for target, file in targets.items()]


def _searched(folder: Path, output: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"--input is {folder}, which does not exist; expected a file or a folder of texts.")
    files = [
        file
        for file in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        and output.resolve() not in file.resolve().parents
    ]
    if not files:
        raise InputError(f"--input is {folder}, which holds no file of texts; expected {', '.join(SUFFIXES)}.")
    return files


def _shard(given: str | None, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Rank and world size: as given, else as a launcher says, else alone.

    Raises:
        WrongUsageError: if they are no such pair.
    """
    spelled = given or f"{environment.get('RANK', '0')}/{environment.get('WORLD_SIZE', '1')}"
    rank, _, world = spelled.partition("/")
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        where = "--shard" if given else "RANK/WORLD_SIZE"
        raise WrongUsageError(f"{where} is {spelled!r}; expected a rank below the world size, such as 0/4.")
    return int(rank), int(world)
