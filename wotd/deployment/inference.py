"""SageMaker inference: the four functions that its toolkit calls, in their order.

============================= ===================================================================
``application/json``          ``{"texts": ["…"]}`` or ``{"text": "…"}``; out: ``{"results": [{…}]}``
``application/jsonlines``     ``{"text": "…"}`` a line; out: a result a line
``text/csv``                  a text a row, or the column ``text`` under a header; out: a row a text,
                              without a header: ID, names, confidences, out of domain, error
``text/plain``                the body is one text; in only
============================= ===================================================================

The embedding model is the one that the artifacts name, from the folder beside them where training
put one; nothing here chooses another. One that runs Python code of its repository does so only if the
environment says ``WOTD_TRUST_REMOTE_CODE=1``. ``WOTD_BACKEND`` and ``WOTD_PRECISION`` let another backend or number
format compute embeddings, as ``--backend`` and ``--precision`` do on the shell.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterator
from os import environ
from pathlib import Path

import torch

from wotd import SemanticIDModel
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError, InputError
from wotd.inference import EncodedText, check_text
from wotd.serving.payload import TextsRequest, checked, read_json, read_texts

logger = logging.getLogger("wotd.deployment.inference")

JSON, JSON_LINES, CSV, PLAIN = "application/json", "application/jsonlines", "text/csv", "text/plain"
_EMBEDDING_MODEL = "embedding_model"


def model_fn(model_dir: str) -> SemanticIDModel:
    """Artifacts, loaded whole: encoder warmed up, embedding model and features verified.

    Raises:
        WOTDError: in one sentence, why they cannot answer for texts.
    """
    beside = Path(model_dir) / _EMBEDDING_MODEL
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


def input_fn(body: bytes | bytearray | str, content_type: str) -> TextsRequest:
    """The texts of a request.

    Raises:
        InputError: if the body cannot be used; the sentence names the place.
    """
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    kind = _media_type(content_type)
    if kind == JSON:
        return read_texts(data)
    if kind not in (JSON_LINES, CSV, PLAIN):
        raise InputError(f"content type {kind} is not taken; expected {JSON}, {JSON_LINES}, {CSV} or {PLAIN}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 at byte {error.start}.") from error
    if kind == PLAIN:
        return TextsRequest(checked([text]))
    return TextsRequest(checked(_lines(text) if kind == JSON_LINES else _cells(text)))


def predict_fn(data: TextsRequest, model: SemanticIDModel) -> list[EncodedText]:
    """Semantic IDs of the texts, in order.

    Raises:
        WOTDError: in one sentence, what cannot be encoded.
    """
    return model.encode(data.texts, min_confidence=data.min_confidence)


def output_fn(prediction: list[EncodedText], accept: str) -> str:
    """The answer in the first of the accepted types that there is.

    Raises:
        InputError: if there is none of them.
    """
    for choice in accept.split(","):
        kind = _media_type(choice)
        if kind in (JSON, "*/*", "application/*", ""):
            return json.dumps({"results": [result.to_mapping() for result in prediction]}, ensure_ascii=False)
        if kind == JSON_LINES:
            return "".join(json.dumps(result.to_mapping(), ensure_ascii=False) + "\n" for result in prediction)
        if kind in (CSV, "text/*"):
            return _as_csv(prediction)
    raise InputError(f"accept is {accept}; answers are {JSON}, {JSON_LINES} or {CSV}.")


def _warm_up(encoder: SemanticEncoder, row_dim: int, device: torch.device) -> None:
    """One pass, so that the first request does not pay for it and a broken encoder shows at once."""
    codes_BL = encoder.encode(torch.zeros(1, row_dim, device=device))
    if codes_BL.shape != (1, len(encoder.level_sizes)):
        raise ArtifactError(f"the encoder gives codes of the shape {tuple(codes_BL.shape)}; the artifacts are damaged.")


def _media_type(header: str) -> str:
    """The type alone, without parameters such as the charset."""
    return header.partition(";")[0].strip().lower()


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


def _cells(text: str) -> list[str]:
    rows = list(_rows(text))
    if not rows:
        return []
    _, header = rows[0]
    names = [cell.strip().lower() for cell in header]
    if "text" in names:
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
