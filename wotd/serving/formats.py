"""Requests and answers about texts in the content types that batch jobs and pipes use, beside JSON.

============================= ===================================================================
``application/json``          ``{"texts": ["…"]}`` or ``{"text": "…"}``; out: ``{"results": [{…}]}``
``application/jsonlines``     ``{"text": "…"}`` a line; out: a result a line
``text/csv``                  a text a row, or the column ``text`` under a header; out: a row a text,
                              without a header: ID, names, confidences, out of domain, error
``text/plain``                the body is one text; in only
============================= ===================================================================

``text/csv; header=absent`` says that the first row is a text like the others, even if it reads *text*;
``header=present`` that it is not.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from wotd.encoded import EncodedText
from wotd.errors import InputError
from wotd.serving.payload import MalformedError, TextsRequest, checked, read_json, read_texts
from wotd.text_checks import check_text

JSON, JSON_LINES, CSV, PLAIN = "application/json", "application/jsonlines", "text/csv", "text/plain"


class ContentTypeError(InputError):
    """A body of a type that is not read."""


class AcceptError(InputError):
    """Nothing but types that are not written was asked for."""


_STATUSES = ((ContentTypeError, 415), (AcceptError, 406), (MalformedError, 400), (InputError, 422))


def status_of(error: InputError) -> int:
    """The HTTP status that says whose mistake it is, and which."""
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


def read_request(body: bytes, content_type: str) -> TextsRequest:
    """The texts of a request.

    Raises:
        InputError: if the body cannot be used; the sentence names the place.
    """
    kind = _media_type(content_type)
    if kind == JSON:
        return read_texts(body)
    if kind not in (JSON_LINES, CSV, PLAIN):
        given = f"content type {kind} is not taken" if kind else "the content type is missing"
        raise ContentTypeError(f"{given}; expected {JSON}, {JSON_LINES}, {CSV} or {PLAIN}.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 at byte {error.start}.") from error
    if kind == PLAIN:
        return TextsRequest(checked([text]))
    return TextsRequest(checked(_lines(text) if kind == JSON_LINES else _cells(text, _header(content_type))))


def written(results: Sequence[EncodedText], accept: str) -> tuple[str, str]:
    """The answer in the first of the accepted types that there is, and which that is.

    Raises:
        AcceptError: if there is none of them.
    """
    for choice in accept.split(","):
        kind = _media_type(choice)
        if kind in (JSON, "*/*", "application/*", ""):
            return json.dumps({"results": [result.to_mapping() for result in results]}, ensure_ascii=False), JSON
        if kind == JSON_LINES:
            lines = (json.dumps(result.to_mapping(), ensure_ascii=False) + "\n" for result in results)
            return "".join(lines), JSON_LINES
        if kind in (CSV, "text/*"):
            return _as_csv(results), CSV
    raise AcceptError(f"accept is {accept}; answers are {JSON}, {JSON_LINES} or {CSV}.")


def _media_type(header: str) -> str:
    """The type alone, without parameters such as the charset."""
    return header.partition(";")[0].strip().lower()


def _header(content_type: str) -> bool | None:
    """Whether a CSV says of itself that its first row is a header, as RFC 4180 has it; None: it says nothing."""
    parameters = [part.strip().lower() for part in content_type.split(";")[1:]]
    return True if "header=present" in parameters else False if "header=absent" in parameters else None


def _lines(text: str) -> list[str]:
    texts: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = read_json(line, f"line {number}")
        if not isinstance(row, dict) or set(row) != {"text"}:
            raise InputError(f'line {number} is no object with a text alone; expected {{"text": "…"}}.')
        check_text(row["text"], f"text {len(texts)}")
        texts.append(row["text"])
    return texts


def _cells(text: str, has_header: bool | None) -> list[str]:
    rows = list(_rows(text))
    if not rows:
        return []
    _, header = rows[0]
    names = [cell.strip().lower() for cell in header]
    if has_header and "text" not in names:
        raise InputError(f"the header on line {rows[0][0]} names no column text.")
    if "text" in names and has_header is not False:
        column = names.index("text")
        for number, row in rows[1:]:
            if len(row) != len(header):
                raise InputError(f"row ending on line {number} has {len(row)} cells, the header {len(header)}.")
        return [row[column] for _, row in rows[1:]]
    for number, row in rows:
        if len(row) != 1:
            raise InputError(
                f"row ending on line {number} has {len(row)} cells; expected one text, in quotes if it holds commas."
            )
    return [row[0] for _, row in rows]


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the number of the line on which each ends."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"the CSV cannot be read near line {reader.line_num}: {error}.") from error


def _as_csv(results: Sequence[EncodedText]) -> str:
    """A row a text; several values of one cell are joined by semicolons."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    for result in results:
        confidence = ";".join(map(str, result.confidence))
        writer.writerow(
            [result.id, ";".join(result.names), confidence, str(result.out_of_domain).lower(), result.error]
        )
    return file.getvalue()
