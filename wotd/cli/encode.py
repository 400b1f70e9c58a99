"""``wotd encode`` and ``wotd decode``: texts or vectors to codes, codes back to vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.assignment.schemas import row_schema
from wotd.cli.app import WrongUsageError, command
from wotd.cli.encoding import encoded_rows
from wotd.cli.inputs import TextSource, text_source
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    FormatOption,
    MinConfidenceOption,
    PrecisionOption,
    TextColumnOption,
    TrustRemoteCodeOption,
    WorkersOption,
    load_model,
)
from wotd.cli.outputs import check_output, rows_to
from wotd.cli.tables import (
    Format,
    add_row,
    chosen_format,
    json_line,
    new_table,
    note,
    print_line,
    print_parts,
    room_for_text,
    shortened,
    show,
)
from wotd.progress import track

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.inference import SemanticIDModel

_ROWS_A_TABLE = 1000


@command(
    'wotd encode --artifacts A "It was a dark and stormy night"',
    "cat texts.txt | wotd encode --artifacts A --format jsonl",
    "wotd encode --artifacts A --input texts.jsonl --output ids.parquet",
    "wotd encode --artifacts A --vectors X.npy --output codes.npy",
)
def encode(
    artifacts: ArtifactsOption,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, stdin is read.")
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Read texts: .txt (one a line), .jsonl, .csv, .parquet."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write rows: .jsonl, .csv, .parquet; codes of vectors: .npy."),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", metavar="FILE", help="Encode the N×D vectors of an .npy file.")
    ] = None,
    text_column: TextColumnOption = "text",
    min_confidence: MinConfidenceOption = None,
    format_: FormatOption = None,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = 1,
) -> None:
    """Give semantic IDs to texts, or codes to vectors.

    Reads texts from the arguments, from --input, or from stdin, one a line. Rows keep the fields of the
    input and add code, id, names, confidence, out_of_domain, error and facts; a field of the input that has one
    of these names goes on as input_NAME. Large files are streamed, and --output replaces its file only
    when everything is written.
    """
    if sum((bool(texts), input_ is not None, vectors is not None)) > 1:
        raise WrongUsageError("TEXT, --input and --vectors exclude each other.")
    if output is not None and format_ is not None:
        raise WrongUsageError("--format is for printing; what --output holds is decided by its suffix.")
    if vectors is not None:
        _encode_vectors(artifacts, vectors, output, device, min_confidence)
        return
    target = None if output is None else check_output(output)
    source = text_source(texts, input_, text_column)
    model = load_model(
        artifacts, device, embedding_model, trust_remote_code, backend=backend, precision=precision, workers=workers
    )
    rows = encoded_rows(model, source.texts(), min_confidence)
    if target is None:
        _print_rows(rows, model, source, chosen_format(format_))
        return
    written = 0
    with rows_to(target, lambda: row_schema(source.schema())) as write:
        for row in track(rows, "encoding", source.count(), "texts"):
            write(row)
            written += 1
    note(f"{written:,} texts encoded in {output}")


def _encode_vectors(
    artifacts: str, vectors: Path, output: Path | None, device: str, min_confidence: float | None
) -> None:
    if output is None:
        raise WrongUsageError("--vectors needs --output codes.npy.")
    if min_confidence is not None:
        raise WrongUsageError("--min-confidence shortens IDs of texts; a matrix of codes has one length.")
    from wotd.cli.matrices import chunks, open_rows, write_matrix

    target = check_output(output, (".npy",))
    model = load_model(artifacts, device)
    matrix_ND = open_rows(vectors, model.artifacts)
    shape = (len(matrix_ND), len(model.level_sizes))
    parts = (model.encode_vectors(chunk_BD) for chunk_BD in chunks(matrix_ND))
    write_matrix(target, shape, "int64", parts, "encoding")
    note(f"{shape[0]:,} codes of {shape[1]} levels in {output}")


@command("wotd decode --artifacts A --codes codes.npy --output reconstruction.npy")
def decode(
    artifacts: ArtifactsOption,
    codes: Annotated[Path, typer.Option("--codes", metavar="FILE", help="N×L codes in an .npy file, or prefixes.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The N×D vectors they stand for, .npy.")],
    device: DeviceOption = "cpu",
) -> None:
    """Turn codes back into vectors.

    The vectors are float32, in the space of those the codes were learned from. Codes with fewer columns than
    there are levels are prefixes and decode to coarser vectors.
    """
    from wotd.cli.matrices import chunks, open_codes, write_matrix

    target = check_output(output, (".npy",))
    model = load_model(artifacts, device)
    codes_NL = open_codes(codes, model.level_sizes)
    shape = (len(codes_NL), model.encoder.input_dim)
    parts = (model.decode(chunk_BL) for chunk_BL in chunks(codes_NL))
    write_matrix(target, shape, "float32", parts, "decoding")
    note(f"{shape[0]:,} vectors of length {shape[1]} in {output}")


def _print_rows(rows: Iterator[dict[str, Any]], model: SemanticIDModel, source: TextSource, format_: Format) -> None:
    if format_ is Format.JSONL:
        for row in rows:
            print_line(json_line(row))
    elif format_ is Format.JSON:
        show(list(rows), format_, lambda: ())
    else:
        while some := list(islice(rows, _ROWS_A_TABLE)):
            _print_table(some, model, source.text_column)


def _print_table(rows: Sequence[dict[str, Any]], model: SemanticIDModel, text_column: str) -> None:
    named = model.artifacts.named
    levels = list(model.level_names) if named else ["confidence"]
    headings = ["ID", *levels, ""]
    cells = [[row["id"] or "–", *_levels(row, len(levels), named), "*" if row["out_of_domain"] else ""] for row in rows]
    room = room_for_text(headings, cells)
    table = new_table(*headings, "text")
    for row, beside in zip(rows, cells, strict=True):
        add_row(table, *beside, shortened(row[text_column], room))
    parts: list[RenderableType] = [table]
    if any(row["out_of_domain"] for row in rows):
        parts += ["", "* out of domain: farther from what the model was trained on than 95% of unseen passages"]
    print_parts(parts)


def _levels(row: dict[str, Any], count: int, named: bool) -> list[str]:
    """A cell for each named level, or one for all where a name would only repeat the ID."""
    sure = [f"{100 * share:.0f}%" for share in row["confidence"]]
    if not named:
        return [" ".join(sure)]
    cells = [f"{name} {share}" for name, share in zip(row["names"], sure, strict=True)]
    return cells + ["–"] * (count - len(cells))
