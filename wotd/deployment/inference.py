"""SageMaker inference: the four functions that its toolkit calls, in their order.

Bodies come as JSON, JSON lines, CSV or plain text, answers go as JSON, JSON lines or CSV: see
:mod:`wotd.serving.formats`.

A batch transform may cut its input into any number of records: there is an answer for each, in order.
What the caller can mend is answered with a status of 4xx and a sentence.

The embedding model is the one that the artifacts name, from the folder beside them where training or
packaging put one; nothing here chooses another. One that runs Python code of its repository does so only if the
environment says ``WOTD_TRUST_REMOTE_CODE=1``. ``WOTD_BACKEND`` and ``WOTD_PRECISION`` let another backend or number
format compute embeddings, as ``--backend`` and ``--precision`` do on the shell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from os import environ
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from wotd import SemanticIDModel
from wotd.encoded import EncodedText
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError, InputError
from wotd.serving.formats import read_request, status_of, written
from wotd.serving.payload import TextsRequest

logger = logging.getLogger("wotd.deployment.inference")

EMBEDDING_MODEL = "embedding_model"
"""The folder of the embedding model, where it travels with the artifacts."""

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


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
            raise GenericInferenceToolkitError(status_of(error), str(error)) from None

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
    return read_request(data, content_type or "")


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
    return written(prediction, accept)


def _warm_up(encoder: SemanticEncoder, row_dim: int, device: torch.device) -> None:
    """One pass, so that the first request does not pay for it and a broken encoder shows at once."""
    codes_BL = encoder.encode(torch.zeros(1, row_dim, device=device))
    if codes_BL.shape != (1, len(encoder.level_sizes)):
        raise ArtifactError(f"the encoder gives codes of the shape {tuple(codes_BL.shape)}; the artifacts are damaged.")
