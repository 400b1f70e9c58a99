"""``wotd assign``: semantic IDs for whole folders of texts or vectors, resumable, on one machine or on many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    MinConfidenceOption,
    PrecisionOption,
    TextColumnOption,
    TrustRemoteCodeOption,
    load_model,
)
from wotd.cli.tables import note


class Engine(StrEnum):
    """What spreads the work."""

    LOCAL = "local"
    RAY = "ray"


@command(
    "wotd assign --artifacts A --input texts/ --output ids/",
    "wotd assign --artifacts A --input s3://bucket/texts --output s3://bucket/ids --rows-per-file 100000",
    "wotd assign --artifacts A --input vectors.parquet --vector-column vector --output ids/",
    "wotd assign --artifacts A --input texts/ --output ids/ --shard 0/4",
    "torchrun --nproc-per-node 4 -m wotd.cli assign --artifacts A --input texts/ --output ids/",
    "wotd assign --artifacts A --input texts/ --output ids/ --rows-per-file 100000 --engine ray --ray-address auto",
)
def assign(
    artifacts: ArtifactsOption,
    input_: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="PLACE",
            help="A file, or a folder searched for files: .txt, .jsonl, .csv, .tsv (also with .gz), .parquet; vectors "
            "in .npy or .parquet. A path, s3://bucket/path or another URL.",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", metavar="PLACE", help="The folder where one .parquet for each file goes.")
    ],
    text_column: TextColumnOption = "text",
    vector_column: Annotated[
        str | None,
        typer.Option(
            "--vector-column",
            metavar="NAME",
            help="Column of a .parquet that holds vectors, as wotd embed writes them; no text is embedded then.",
        ),
    ] = None,
    rows_per_file: Annotated[
        int | None,
        typer.Option(
            "--rows-per-file",
            metavar="N",
            min=1,
            help="Split what comes of each file into files of N rows (rounded up to a multiple of 4096): in a folder "
            "of its name, part-00000.parquet and on. Large files can then be shared out, and go on where they were; "
            "a .gz is decompressed from its start for each.",
        ),
    ] = None,
    confidence: Annotated[
        bool | None,
        typer.Option(
            "--confidence/--no-confidence",
            help="Whether rows say confidence, out_of_domain and error. Texts do unless told otherwise; for vectors "
            "that takes longer than their codes.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="RANK/WORLD",
            help="Take every WORLD-th file from the RANK-th on, with --rows-per-file a run of each file's parts; by "
            "default as RANK and WORLD_SIZE in the environment say, which torchrun sets.",
            show_default=False,
        ),
    ] = None,
    drop_texts: Annotated[bool, typer.Option("--drop-texts", help="Leave the texts out of the output.")] = False,
    min_confidence: MinConfidenceOption = None,
    engine: Annotated[
        Engine, typer.Option(help="What does the work: this process, or a Ray cluster (wotd[ray]).")
    ] = Engine.LOCAL,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="Of the cluster, host:port or auto; by default as RAY_ADDRESS says, else Ray is started here.",
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float, typer.Option("--gpus-per-worker", min=0, help="GPUs of each worker on Ray; may be a part of one.")
    ] = 0,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Processes that embed side by side, each with the model loaded; by default one, on Ray one for each "
            "core of the cluster, or for each GPU where workers have one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Give semantic IDs to whole folders of texts or vectors.

    Each file gets a Parquet file with its columns and those of the code: code, id, names, confidence,
    out_of_domain, error and facts; a column of the input that has one of these names goes on as input_NAME.
    Vectors get code, id and names, and stay behind themselves.

    Files that are finished are passed over, so an interrupted run goes on when it is started again. A row
    without a text or vector keeps its place and gets no code; how many there were is said.
    """
    from wotd.assignment.batches import Choices
    from wotd.assignment.shards import Job, find_pairs, holds_vectors, made_by

    if confidence is False and min_confidence is not None:
        raise WrongUsageError("--min-confidence goes by the confidence that --no-confidence leaves out.")
    if engine is Engine.LOCAL and (ray_address or gpus_per_worker):
        raise WrongUsageError("--ray-address and --gpus-per-worker go with --engine ray.")
    if engine is Engine.RAY and shard:
        raise WrongUsageError("--shard is for --engine local; Ray shares out the work itself.")
    choices = Choices(text_column, vector_column, drop_texts, min_confidence, confidence, rows_per_file)
    use: dict[str, Any] = {
        "device": device,
        "embedding_model": embedding_model,
        "trust_remote_code": trust_remote_code,
        "backend": backend,
        "precision": precision,
    }
    rank, world = _shard(shard) if engine is Engine.LOCAL else (0, 1)
    source, target, pairs = find_pairs(input_, output, vectors=vector_column is not None)
    model = load_model(artifacts, workers=(workers or 1) if engine is Engine.LOCAL else 1, **use)
    texts = not all(holds_vectors(pair, choices) for pair in pairs)
    job = Job(source, target, choices, made_by(model, texts=texts))
    if engine is Engine.RAY:
        from wotd.assignment.on_ray import ModelPlan, assign_on_ray

        written, found = assign_on_ray(
            job, pairs, ModelPlan(artifacts, use), address=ray_address, workers=workers, gpus=gpus_per_worker
        )
    else:
        from wotd.assignment.local import assign_here

        written, found = assign_here(job, pairs, model, rank=rank, world=world)
    note(f"{written} files done in {target.shown}, {found} were done before")


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
