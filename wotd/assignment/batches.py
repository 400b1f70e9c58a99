"""The one way in which rows get their IDs, whatever reads, spreads and writes them: a table in, a table out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wotd.assignment.columns import CodeColumns, sure_depths
from wotd.assignment.schemas import CODE, FACTS, SURENESS, row_schema
from wotd.assignment.vectors import bad_row, check_width, vectors_of
from wotd.errors import InputError, VectorsError
from wotd.text_checks import check_text

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from wotd.encoded import EncodedRows
    from wotd.inference import SemanticIDModel


@dataclass(frozen=True)
class Choices:
    """What is read and what is written.

    Attributes:
        text_column: holds the texts.
        vector_column: holds vectors, which are then used instead of texts; None: there are none.
        drop_texts: leave the texts out of the output.
        min_confidence: shorten each ID to the levels that are all at least this sure.
        confidence: say how sure codes are; None: of texts, where that is little beside embedding them.
        rows_per_file: split the output of each input into files of so many rows; None: one file.
    """

    text_column: str = "text"
    vector_column: str | None = None
    drop_texts: bool = False
    min_confidence: float | None = None
    confidence: bool | None = None
    rows_per_file: int | None = None

    def says_sureness(self, *, vectors: bool) -> bool:
        """Whether confidence, out_of_domain and error are said."""
        if self.min_confidence is not None:
            return True
        return not vectors if self.confidence is None else self.confidence


@dataclass(frozen=True)
class Encoded:
    """Rows and what the model says of them, before it is made columns.

    Attributes:
        rows: as they came.
        column: of the texts, or of the vectors.
        present_N: whether a row has one.
        said: of the rows that have one: their codes, or more than that.
        texts: of those rows; None where vectors were read.
    """

    rows: pa.Table
    column: str
    present_N: NDArray[np.bool_]
    said: NDArray[np.int64] | EncodedRows
    texts: list[str] | None

    @property
    def gaps(self) -> int:
        """How many rows get no code."""
        return int((~self.present_N).sum())

    @property
    def first_gap(self) -> int:
        """Number of the first of them, from 0; 0 as well where there are none."""
        return int((~self.present_N).argmax())


class Assigner:
    """A model that gives IDs to the rows of tables. Vectors in the input are left out of the output."""

    def __init__(self, model: SemanticIDModel, choices: Choices) -> None:
        """Take a loaded model; of texts, its embedding model is loaded with the first table."""
        self.model, self.choices = model, choices

    def schema(self, fields: pa.Schema, column: str, *, vectors: bool) -> pa.Schema:
        """Names and types of what :meth:`assign` gives for tables with these fields."""
        ours = (*CODE, *(SURENESS if self.choices.says_sureness(vectors=vectors) else ()), *(() if vectors else FACTS))
        left_out = {column} if vectors else set()
        if self.choices.drop_texts:
            left_out.add(self.choices.text_column)
        return row_schema(_without(fields, left_out), ours)

    def assign(self, rows: pa.Table, column: str, *, vectors: bool, place: Callable[[int], str] = str) -> pa.Table:
        """The rows with their IDs: :meth:`encode`, then :meth:`table`."""
        return self.table(self.encode(rows, column, vectors=vectors, place=place))

    def encode(self, rows: pa.Table, column: str, *, vectors: bool, place: Callable[[int], str] = str) -> Encoded:
        """What the model says of rows, which is where the time goes.

        Args:
            rows: any columns.
            column: of the texts, or of the vectors.
            vectors: which of them it holds.
            place: names a row to a person.

        Raises:
            WOTDError: naming the first row that cannot be used.
        """
        sureness = self.choices.says_sureness(vectors=vectors)
        present_N, given, vectors_ND = (self._of_vectors if vectors else self._of_texts)(rows.column(column), place)
        said = self.model.encode_rows(vectors_ND) if sureness else self.model.encode_vectors(vectors_ND)
        return Encoded(rows, column, present_N, said, given)

    def table(self, encoded: Encoded) -> pa.Table:
        """The rows with their IDs, in order; nulls where a row has no text or no vector."""
        import pyarrow as pa

        rows, vectors, present_N = encoded.rows, encoded.texts is None, encoded.present_N
        schema = self.schema(rows.schema, encoded.column, vectors=vectors)
        ours = self._said(encoded.said)
        if encoded.texts is not None:
            ours["facts"] = pa.array([self.model.facts(text) for text in encoded.texts], schema.field("facts").type)
        if not present_N.all():
            numbers_N = np.where(present_N, present_N.cumsum() - 1, 0)
            taken = pa.array(numbers_N, mask=~present_N)
            ours = {name: values.take(taken) for name, values in ours.items()}
        kept = [name for name in rows.column_names if name != encoded.column or not vectors]
        if self.choices.drop_texts:
            kept = [name for name in kept if name != self.choices.text_column]
        columns = [*rows.select(kept).columns, *(ours[name] for name in schema.names[len(kept) :])]
        return pa.table(columns, schema=schema)

    def _of_texts(self, column: pa.ChunkedArray, place: Callable[[int], str]) -> tuple[Any, list[str], Any]:
        try:
            texts = column.to_pylist()
        except UnicodeDecodeError as error:
            raise InputError(f"a text from {place(0)} on is not UTF-8; expected valid Unicode.") from error
        present = [not _is_blank(text) for text in texts]
        for row, text in enumerate(texts):
            if present[row]:
                check_text(text, f"{place(row)}: the text")
        given = [text for text, there in zip(texts, present, strict=True) if there]
        return np.asarray(present, dtype=bool), given, self.model.embed(given)

    def _of_vectors(self, column: pa.ChunkedArray, place: Callable[[int], str]) -> tuple[Any, None, Any]:
        artifacts = self.model.artifacts
        if hasattr(column.type, "list_size"):
            check_width(column.type.list_size, artifacts, f"the table from {place(0)} on")
        present_N = column.is_valid().to_numpy()
        given = vectors_of(column, artifacts.row_dim, f"the table from {place(0)} on")
        given = given.astype(np.float32, copy=False)
        if found := bad_row(given):
            raise VectorsError(
                f"{place(int(np.flatnonzero(present_N)[found[0]]))} is {found[1]}; expected a vector, or null for none."
            )
        return present_N, None, given

    def _said(self, said: NDArray[np.int64] | EncodedRows) -> dict[str, pa.Array]:
        if isinstance(said, np.ndarray):
            return self._columns.code(said)
        depth_N = sure_depths(said.confidence, self.choices.min_confidence)
        return self._columns.code(said.codes, depth_N) | self._columns.sureness(said, depth_N)

    @cached_property
    def _columns(self) -> CodeColumns:
        return CodeColumns(self.model)


def _is_blank(text: Any) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def _without(fields: pa.Schema, names: set[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in fields if field.name not in names])
