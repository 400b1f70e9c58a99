"""SageMaker inference: the four functions that its toolkit calls, in their order.

============================= ===================================================================
``application/json``          ``{"texts": ["…"]}`` or ``{"text": "…"}``; out: ``{"results": [{…}]}``
``application/jsonlines``     ``{"text": "…"}`` a line; out: a result a line
``text/csv``                  a text a row, or the column ``text`` under a header; out: a row a text,
                              without a header: ID, names, confidences, out of domain, error
``text/plain``                the body is one text; in only
============================= ===================================================================

A batch transform may cut its input into any number of records: there is an answer for each, in order.
``text/csv; header=absent`` says that the first row is a text like the others, even if it reads *text*;
``header=present`` that it is not.

What the caller can mend is answered with a status of 4xx and a sentence.

The embedding model is the one that the artifacts name, from the folder beside them where training or
packaging put one; nothing here chooses another. One that runs Python code of its repository does so only if the
environment says ``WOTD_TRUST_REMOTE_CODE=1``. ``WOTD_BACKEND`` and ``WOTD_PRECISION`` let another backend or number
format compute embeddings, as ``--backend`` and ``--precision`` do on the shell.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Iterator
from functools import wraps
from os import environ
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from wotd import SemanticIDModel
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError, InputError
from wotd.inference import EncodedText, check_text
from wotd.serving.payload import MalformedError, TextsRequest, checked, read_json, read_texts

logger = logging.getLogger("wotd.deployment.inference")

JSON, JSON_LINES, CSV, PLAIN = "application/json", "application/jsonlines", "text/csv", "text/plain"
EMBEDDING_MODEL = "embedding_model"
"""The folder of the embedding model, where it travels with the artifacts."""

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


class ContentTypeError(InputError):
    """A body of a type that is not read."""


class AcceptError(InputError):
    """Nothing but types that are not written was asked for."""


_STATUSES = ((ContentTypeError, 415), (AcceptError, 406), (MalformedError, 400), (InputError, 422))


def _says_who_can_mend_it(function: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
    """Let SageMaker's toolkit, where it is the caller, answer an error of the request with its status.

    The toolkit makes a 500 of every exception but its own, which carry a status.
    """

    @wraps(function)
    def answering(*args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            try:
                from sagemaker_inference.errors import GenericInferenceToolkitError
            except ImportError:
                raise error from None
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
            raise GenericInferenceToolkitError(status, str(error)) from None

    return answering


def model_fn(model_dir: str) -> SemanticIDModel:
    """Artifacts, loaded whole: encoder warmed up, embedding model and features verified.

    Raises:
        WOTDError: in one sentence, why they cannot answer for texts.
    """
    beside = Path(model_dir) / EMBEDDING_MODEL
    model = SemanticIDModel.load(
        model_dir,
        device="cuda" if torch.cuda.is_available() else "cpu",
        embedding_model=str(beside) if beside.is_dir() else None,
        trust_remote_code=environ.get("WOTD_TRUST_REMOTE_CODE") == "1",
        backend=environ.get("WOTD_BACKEND") or None,
        precision=environ.get("WOTD_PRECISION") or None,
    )
    _warm_up(model.encoder, model.artifacts.row_dim, model.device)
    logger.info("ready: %s, %s levels", model.view.embedder.fingerprint.model, len(model.level_sizes))
    return model


@_says_who_can_mend_it
def input_fn(body: bytes | bytearray | str, content_type: str | None) -> TextsRequest:
    """The texts of a request.

    Raises:
        InputError: if the body cannot be used; the sentence names the place.
    """
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    kind = _media_type(content_type or "")
    if kind == JSON:
        return read_texts(data)
    if kind not in (JSON_LINES, CSV, PLAIN):
        given = f"content type {kind} is not taken" if kind else "the content type is missing"
        raise ContentTypeError(f"{given}; expected {JSON}, {JSON_LINES}, {CSV} or {PLAIN}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 at byte {error.start}.") from error
    if kind == PLAIN:
        return TextsRequest(checked([text]))
    return TextsRequest(checked(_lines(text) if kind == JSON_LINES else _cells(text, _header(content_type or ""))))


@_says_who_can_mend_it
def predict_fn(data: TextsRequest, model: SemanticIDModel) -> list[EncodedText]:
    """Semantic IDs of the texts, in order.

    Raises:
        WOTDError: in one sentence, what cannot be encoded.
    """
    return model.encode(data.texts, min_confidence=data.min_confidence)


@_says_who_can_mend_it
def output_fn(prediction: list[EncodedText], accept: str) -> tuple[str, str]:
    """The answer in the first of the accepted types that there is, and which that is.

    Raises:
        InputError: if there is none of them.
    """
    for choice in accept.split(","):
        kind = _media_type(choice)
        if kind in (JSON, "*/*", "application/*", ""):
            return json.dumps({"results": [result.to_mapping() for result in prediction]}, ensure_ascii=False), JSON
        if kind == JSON_LINES:
            lines = (json.dumps(result.to_mapping(), ensure_ascii=False) + "\n" for result in prediction)
            return "".join(lines), JSON_LINES
        if kind in (CSV, "text/*"):
            return _as_csv(prediction), CSV
    raise AcceptError(f"accept is {accept}; answers are {JSON}, {JSON_LINES} or {CSV}.")


def _warm_up(encoder: SemanticEncoder, row_dim: int, device: torch.device) -> None:
    """One pass, so that the first request does not pay for it and a broken encoder shows at once."""
    codes_BL = encoder.encode(torch.zeros(1, row_dim, device=device))
    if codes_BL.shape != (1, len(encoder.level_sizes)):
        raise ArtifactError(f"the encoder gives codes of the shape {tuple(codes_BL.shape)}; the artifacts are damaged.")


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
        check_text(row["text"], len(texts))
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


def _as_csv(results: list[EncodedText]) -> str:
    """A row a text; several values of one cell are joined by semicolons."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    for result in results:
        confidence = ";".join(map(str, result.confidence))
        writer.writerow(
            [result.id, ";".join(result.names), confidence, str(result.out_of_domain).lower(), result.error]
        )
    return file.getvalue()
