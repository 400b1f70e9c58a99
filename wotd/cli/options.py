"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError
from wotd.cli.tables import Format

if TYPE_CHECKING:
    from wotd.inference import SemanticIDModel

ArtifactsOption = Annotated[
    str,
    typer.Option(
        "--artifacts",
        metavar="PLACE",
        help="What a training run wrote: a folder, hf://user/name[@revision], s3://bucket/path or another URL.",
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="How to print: a table for people, jsonl with one object a line, json indented. "
        "By default a table on a terminal, jsonl in a pipe.",
        show_default=False,
    ),
]
TextColumnOption = Annotated[
    str, typer.Option("--text-column", metavar="NAME", help="Field or column that holds the text.")
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="P",
        min=0.0,
        max=1.0,
        help="Shorten each ID to the prefix whose levels are all at least this sure, 0 to 1.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="Torch device of the encoder; the embedding model takes a GPU by itself."
    ),
]
EmbeddingModelOption = Annotated[
    str | None,
    typer.Option(
        "--embedding-model",
        metavar="DIR",
        help="Folder with the embedding model of the artifacts, where it is not found by itself.",
    ),
]
TrustRemoteCodeOption = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Let the embedding model run Python code of its repository; some need it."
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="What computes embeddings: torch, onnx, openvino; by default what did when the artifacts were made. "
        "One that strays too far from it is refused.",
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="Number format of the embedding model: float32, bfloat16, float16, int8; by default the artifacts'.",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", metavar="N", min=1, help="Processes that embed side by side, each with the model loaded."
    ),
]
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Read works: synthetic, standard_ebooks, gutenberg, files, mixed."),
]
RootOption = Annotated[
    str | None, typer.Option("--root", metavar="DIR", help="What the provider reads; the same as provider.root=DIR.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting as wotd-train takes it, e.g. provider.columns.text=body; may be repeated.",
        show_default=False,
    ),
]


def load_model(
    artifacts: str,
    device: str = "cpu",
    embedding_model: str | None = None,
    trust_remote_code: bool = False,
    **use: Any,
) -> SemanticIDModel:
    """The model of artifacts, on a device that is there.

    Args:
        artifacts: their folder or address.
        device: of the encoder.
        embedding_model: where the embedding model is, if it is not found by itself.
        trust_remote_code: whether it may run code of its repository.
        use: how it computes: backend, precision, workers.

    Raises:
        ArtifactError: what is wrong with them.
        WrongUsageError: if torch knows no such device.
    """
    from wotd.inference import SemanticIDModel

    try:
        return SemanticIDModel.load(
            artifacts, device=device, embedding_model=embedding_model, trust_remote_code=trust_remote_code, **use
        )
    except (RuntimeError, AssertionError) as error:  # torch's words for a device it does not know or have
        reason = str(error).splitlines()[0].rstrip(".")
        raise WrongUsageError(f"--device is {device}, which cannot be used: {reason}.") from error
