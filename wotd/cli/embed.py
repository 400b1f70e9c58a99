"""``wotd embed``: texts to the vectors of an embedding model, through the cache; ``wotd models``: which there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inputs import TextSource, file_source
from wotd.cli.options import EmbeddingModelOption, FormatOption, TextColumnOption, TrustRemoteCodeOption, load_model
from wotd.cli.outputs import check_output
from wotd.cli.tables import add_row, new_table, note, show
from wotd.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.cli.vector_tables import Part
    from wotd.embeddings.views import TextView

_TEXTS_AT_ONCE = 32768
_ID = "id"
_AS_THE_MODEL_IS: dict[str, Any] = {
    "prompt": None,
    "truncate_dim": None,
    "batch_tokens": None,
    "workers": 1,
    "device": "auto",
    "revision": None,
    "backend": "torch",
    "precision": "float32",
}
"""Options that say how a model is used, where nobody says it; artifacts say it themselves."""


_FREE_FOR_ARTIFACTS = {"workers", "backend", "precision"}


class NumberFormat(StrEnum):
    """How numbers are written."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@command(
    "wotd embed --model minilm --input texts.jsonl --output E.npy",
    "wotd embed --model qwen3_0_6b --truncate-dim 256 --input texts.parquet --output E.parquet",
    "wotd embed --artifacts A --input texts.csv --text-column body --output E.npy",
)
def embed(
    input_: Annotated[
        Path,
        typer.Option("--input", metavar="FILE", help='Texts: .jsonl ({"text": …} a line), .txt, .csv, .parquet.'),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", help="The vectors: .npy, N×D; .parquet, a row a text."),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Short name such as minilm (wotd models), hub ID, or folder."),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option("--artifacts", metavar="PLACE", help="Instead: that of artifacts, with their features behind."),
    ] = None,
    text_column: TextColumnOption = "text",
    texts: Annotated[bool, typer.Option("--texts", help="Keep the texts in a .parquet.")] = False,
    dtype: Annotated[NumberFormat, typer.Option(help="How numbers are written.")] = NumberFormat.FLOAT32,
    prompt: Annotated[
        str | None,
        typer.Option(help="Stands before every text; by default what the model wants.", show_default=False),
    ] = None,
    truncate_dim: Annotated[int | None, typer.Option(min=1, help="Cut vectors to that size (Matryoshka).")] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens at a time through the network; by default as the device likes it."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that embed side by side.")] = 1,
    device: Annotated[str, typer.Option(help="cuda, mps, cpu; auto takes the first there is.")] = "auto",
    revision: Annotated[str | None, typer.Option(help="Commit of the model on the hub.")] = None,
    backend: Annotated[str, typer.Option(help="What computes: torch, onnx or openvino.")] = "torch",
    precision: Annotated[
        str, typer.Option(help="What the model computes in: float32, bfloat16, float16 or int8.")
    ] = "float32",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
) -> None:
    """Turn texts into vectors, through the cache.

    A .npy holds the numbers alone. A .parquet has a row a text, in order: id (where the input has one),
    text_sha256, text (with --texts) and vector, and says in its metadata (wotd.fingerprint) what made them.

    What the cache knows is not computed again, so an interrupted run goes on where it was. The texts are read
    twice: first all of them are checked, so that nothing fails after hours.
    """
    if (model is None) == (artifacts is None):
        raise WrongUsageError("give either --model or --artifacts.")
    use = {
        "prompt": prompt,
        "truncate_dim": truncate_dim,
        "batch_tokens": batch_tokens,
        "workers": workers,
        "device": device,
        "revision": revision,
        "backend": backend,
        "precision": precision,
    }
    target = check_output(output, (".npy", ".parquet"))
    if texts and target.suffix.lower() != ".parquet":
        raise WrongUsageError("--texts needs an --output that is .parquet; a .npy holds numbers alone.")
    source = file_source(input_, text_column)
    if artifacts is not None:
        changed: dict[str, Any] = {name: value for name, value in use.items() if value != _AS_THE_MODEL_IS[name]}
        if said := [f"--{name.replace('_', '-')}" for name in changed if name not in _FREE_FOR_ARTIFACTS]:
            raise WrongUsageError(f"{said[0]} goes with --model; artifacts say themselves how their model is used.")
        view = load_model(
            artifacts, embedding_model=embedding_model, trust_remote_code=trust_remote_code, **changed
        ).view
    elif embedding_model is not None:
        raise WrongUsageError("--embedding-model goes with --artifacts; --model takes a folder too.")
    else:
        view = _view(str(model), trust_remote_code=trust_remote_code, **use)
    survey = _survey(source)
    _write(target, view, source, survey, dtype.value, texts)
    note(f"{survey.texts:,} vectors of length {view.dimension} in {output}")


@command("wotd models", "wotd models --format jsonl")
def models(format_: FormatOption = None) -> None:
    """List the embedding models that have a short name.

    Any other sentence-transformers ID of the hub, and any local folder, is taken as well. "code" marks models
    that run Python code of their repository and need --trust-remote-code.
    """
    from wotd.embeddings.registry import MODELS

    def draw() -> Iterator[RenderableType]:
        numbers = ("dimension", "tokens", "M parameters")
        table = new_table("name", *numbers, "licence", "", "repository", numbers=numbers)
        for model in MODELS.values():
            size, code = f"{model.parameters_millions:,.4g}", "code" if model.trust_remote_code else ""
            add_row(table, model.name, model.dimension, model.max_tokens, size, model.licence, code, model.repository)
        yield table

    show([{**asdict(model), "prompt": model.prompt} for model in MODELS.values()], format_, draw)


def _view(model: str, **use: Any) -> TextView:
    from wotd.embeddings.embedder import SentenceTransformerEmbedder
    from wotd.embeddings.views import TextView

    if model == "lsa":
        raise InputError("lsa has to be fitted: train with embedding=lsa, then embed with --artifacts.")
    return TextView(SentenceTransformerEmbedder(model, **use))


class _Survey(NamedTuple):
    """What a first reading says of a source."""

    texts: int
    id_kind: type | None
    """What all IDs can be written as, int or str; None where no text has one."""


def _survey(source: TextSource) -> _Survey:
    """Read all of a source.

    Raises:
        InputError: naming the place of the first text that cannot be used, or if there is none.
    """
    count, kinds = 0, set()
    for count, (_, fields) in enumerate(source.texts(), start=1):  # noqa: B007  the last count is that of all
        if (value := fields.get(_ID)) is not None and source.text_column != _ID:
            kinds.add(int if type(value) is int and -(2**63) <= value < 2**63 else str)
    if not count:
        raise InputError(f"{source.name} holds no texts; expected at least one.")
    return _Survey(count, None if not kinds else kinds.pop() if len(kinds) == 1 else str)


def _write(target: Path, view: TextView, source: TextSource, survey: _Survey, dtype: str, texts: bool) -> None:
    from wotd.cli.matrices import write_matrix
    from wotd.cli.vector_tables import VectorTable, write_vectors

    parts = _parts(view, source, survey)
    if target.suffix.lower() == ".npy":
        # The cache draws the bar, for it knows what is computed and what was there.
        write_matrix(target, (survey.texts, view.dimension), dtype, (part.vectors for part in parts), None)
        return
    fingerprints = {"wotd.fingerprint": view.embedder.fingerprint.to_mapping()}
    if view.features is not None:
        fingerprints["wotd.features_fingerprint"] = view.features.fingerprint.to_mapping()
    write_vectors(target, VectorTable(view.dimension, dtype, survey.id_kind, texts, fingerprints), parts)


def _parts(view: TextView, source: TextSource, survey: _Survey) -> Iterator[Part]:
    """Texts with their vectors and IDs, some thousands at a time."""
    from wotd.cli.vector_tables import Part
    from wotd.embeddings.cache import EmbeddingCache

    cache, stream, done = EmbeddingCache(), source.texts(), 0
    while records := list(islice(stream, _TEXTS_AT_ONCE)):
        texts = [text for text, _ in records]
        end = done + len(texts)
        place = "" if survey.texts <= _TEXTS_AT_ONCE else f" {done + 1:,} to {end:,} of {survey.texts:,}"
        found = view.cached(cache, texts, description=f"embedding{place}", total=survey.texts)
        yield Part([fields.get(_ID) for _, fields in records], texts, found.vectors)
        done = end
