"""``wotd embed``: texts to the vectors of an embedding model, through the cache."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inputs import TextSource, file_source
from wotd.cli.options import TextColumnOption, TrustRemoteCodeOption, load_model
from wotd.cli.outputs import check_output
from wotd.cli.tables import note
from wotd.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wotd.embeddings.views import TextView

_TEXTS_AT_ONCE = 32768


@command(
    "wotd embed --model minilm --input texts.jsonl --output E.npy",
    "wotd embed --model qwen3_0_6b --truncate-dim 256 --input texts.parquet --output E.npy",
    "wotd embed --artifacts A --input texts.csv --text-column body --output E.npy",
)
def embed(
    input_: Annotated[
        Path,
        typer.Option("--input", metavar="FILE", help='Texts: .jsonl ({"text": …} a line), .txt, .csv, .parquet.'),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The N×D vectors, float32, .npy.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Short name such as minilm, hub ID, or folder.")
    ] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option("--artifacts", metavar="DIR", help="Instead: that of artifacts, with their features behind."),
    ] = None,
    text_column: TextColumnOption = "text",
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
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    trust_remote_code: TrustRemoteCodeOption = False,
) -> None:
    """Turn texts into vectors, through the cache.

    What the cache knows is not computed again, so an interrupted run goes on where it was. The texts are read
    twice: first all of them are checked, so that nothing fails after hours.
    """
    if (model is None) == (artifacts is None):
        raise WrongUsageError("give either --model or --artifacts.")
    target = check_output(output, (".npy",))
    source = file_source(input_, text_column)
    if artifacts is not None:
        view = load_model(artifacts, trust_remote_code=trust_remote_code).view
    else:
        view = _view(
            str(model), prompt, truncate_dim, batch_tokens, workers, device, revision, precision, trust_remote_code
        )
    total = sum(1 for _ in source.texts())
    if not total:
        raise InputError(f"{source.name} holds no texts; expected at least one.")
    _write(target, view, source, total)
    note(f"{total:,} vectors of length {view.dimension} in {output}")


def _view(
    model: str,
    prompt: str | None,
    truncate_dim: int | None,
    batch_tokens: int | None,
    workers: int,
    device: str,
    revision: str | None,
    precision: str,
    trust_remote_code: bool,
) -> TextView:
    from wotd.embeddings.embedder import SentenceTransformerEmbedder
    from wotd.embeddings.views import TextView

    if model == "lsa":
        raise InputError("lsa has to be fitted: train with embedding=lsa, then embed with --artifacts.")
    embedder = SentenceTransformerEmbedder(
        model,
        prompt=prompt,
        truncate_dim=truncate_dim,
        batch_tokens=batch_tokens,
        workers=workers,
        device=device,
        revision=revision,
        precision=precision,
        trust_remote_code=trust_remote_code,
    )
    return TextView(embedder)


def _write(target: Path, view: TextView, source: TextSource, total: int) -> None:
    from wotd.cli.matrices import write_matrix

    # The cache draws the bar, for it knows what is computed and what was there.
    write_matrix(target, (total, view.dimension), "float32", _vectors(view, source, total), None)


def _vectors(view: TextView, source: TextSource, total: int) -> Iterator[NDArray[np.float32]]:
    from wotd.embeddings.cache import EmbeddingCache

    cache = EmbeddingCache()
    stream = (text for text, _ in source.texts())
    done = 0
    while texts := list(islice(stream, _TEXTS_AT_ONCE)):
        part = "" if total <= _TEXTS_AT_ONCE else f" {done + 1:,} to {done + len(texts):,} of {total:,}"
        yield view.cached(cache, texts, description=f"embedding{part}").vectors
        done += len(texts)
