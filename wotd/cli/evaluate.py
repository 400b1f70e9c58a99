"""``wotd evaluate``: what artifacts are worth, as measured in training or on other data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inspection import metrics_table, training_results
from wotd.cli.options import (
    ArtifactsOption,
    DeviceOption,
    EmbeddingModelOption,
    FormatOption,
    ProviderOption,
    RootOption,
    SetOption,
    load_model,
)
from wotd.cli.tables import show
from wotd.cli.works import read_works, refuse_settings_without_provider
from wotd.errors import ArtifactError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.inference import SemanticIDModel
    from wotd.providers.corpora import Corpora


@command(
    "wotd evaluate --artifacts A",
    "wotd evaluate --artifacts A --vectors X.npy",
    "wotd evaluate --artifacts A --provider standard_ebooks --root BOOKS",
    "wotd evaluate --artifacts A --provider files --root texts.csv --set provider.columns.text=body",
)
def evaluate(
    artifacts: ArtifactsOption,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", metavar="FILE", help="Measure on the N×D vectors of an .npy file.")
    ] = None,
    provider: ProviderOption = None,
    root: RootOption = None,
    settings: SetOption = None,
    format_: FormatOption = None,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
) -> None:
    """Print the metrics of the run, or measure on other data.

    Works of a provider are embedded with the artifacts' own model, through the cache, and labelled by the
    artifacts' own taxonomy; trained_on counts the passages that were in the training split.
    """
    refuse_settings_without_provider(provider, root, settings)
    if vectors is not None and provider is not None:
        raise WrongUsageError("--vectors and --provider exclude each other.")
    data: dict[str, Any] = {"artifacts": str(artifacts)}
    if vectors is not None:
        data["vectors"] = str(vectors)
        data["metrics"] = _on_vectors(load_model(artifacts, device), vectors)
    elif provider is not None:
        data |= {"provider": provider, "root": root}
        model = load_model(artifacts, device, embedding_model)
        data["metrics"], data["dropped"] = _on_works(model, provider, root, settings or [])
    else:
        data["metrics"] = _of_training(artifacts)
    show(data, format_, lambda: _drawn(data["metrics"]))


def _drawn(metrics: dict[str, float]) -> Iterator[RenderableType]:
    yield metrics_table(metrics)


def _of_training(folder: Path) -> dict[str, float]:
    from wotd.artifacts import Artifacts

    metrics: dict[str, float] = training_results(Artifacts.open(folder).folder).get("metrics", {})
    if not metrics:
        raise ArtifactError(f"{folder} holds no metrics of a training run; give --vectors or --provider to measure.")
    return metrics


def _on_vectors(model: SemanticIDModel, path: Path) -> dict[str, float]:
    import numpy as np

    from wotd.data.vectors import open_vectors
    from wotd.evaluation import evaluate as measure

    vectors_ND = open_vectors(path, argument="--vectors", dimension=model.encoder.input_dim)
    return measure(model.encoder, vectors_ND, np.arange(len(vectors_ND)))


def _on_works(
    model: SemanticIDModel, provider: str, root: str | None, settings: Sequence[str]
) -> tuple[dict[str, float], dict[str, Any]]:
    import numpy as np

    from wotd.embeddings.cache import EmbeddingCache
    from wotd.evaluation import evaluate as measure

    embedder = model.embedder  # first: artifacts of bare vectors have none, and say so
    corpora, taxonomy = read_works(provider, root, settings, model.artifacts.taxonomy)
    vectors_ND = EmbeddingCache().embed(embedder, corpora.texts).vectors
    labels_NL = None
    if model.artifacts.named:
        described = [not level.ranked for level in taxonomy.levels]
        labels_NL = np.where(described, corpora.labels, -1)
    metrics = measure(
        model.encoder,
        vectors_ND,
        np.arange(len(vectors_ND)),
        labels_NL=labels_NL,
        level_names=taxonomy.level_names,
    )
    return metrics | {"trained_on": float(_trained_on(model, corpora))}, corpora.dropped.to_mapping()


def _trained_on(model: SemanticIDModel, corpora: Corpora) -> int:
    from wotd.publication import text_hash

    table = model.artifacts.codes()
    if "text_hash" not in table.column_names:
        return 0
    rows = zip(table["split"].to_pylist(), table["text_hash"].to_pylist(), strict=True)
    seen = {digest for split, digest in rows if split == "train"}
    return sum(text_hash(text) in seen for text in corpora.texts)
