"""``wotd evaluate``: what artifacts are worth, as measured in training or on other data, and beside others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.inspection import metrics_table
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    FormatOption,
    PrecisionOption,
    ProviderOption,
    RootOption,
    SetOption,
    TrustRemoteCodeOption,
    WorkersOption,
    load_model,
)
from wotd.cli.tables import show
from wotd.cli.works import read_works, refuse_settings_without_provider
from wotd.errors import ArtifactError
from wotd.taxonomy import UNKNOWN_CODE, Taxonomy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType
    from sklearn.pipeline import Pipeline

    from wotd.artifacts import Artifacts
    from wotd.inference import SemanticIDModel
    from wotd.providers.corpora import Corpora


@command(
    "wotd evaluate --artifacts A",
    "wotd evaluate --artifacts A --vectors X.npy",
    "wotd evaluate --artifacts A --provider standard_ebooks --root BOOKS",
    "wotd evaluate --artifacts A --provider files --root texts.csv --set provider.columns.text=body",
    "wotd evaluate --artifacts A --against B",
)
def evaluate(
    artifacts: ArtifactsOption,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", metavar="FILE", help="Measure on the N×D vectors of an .npy file.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="PLACE", help="Count what these other artifacts call by another code."),
    ] = None,
    provider: ProviderOption = None,
    root: RootOption = None,
    settings: SetOption = None,
    format_: FormatOption = None,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = 1,
) -> None:
    """Print the metrics of a run, or measure anew.

    Works of a provider are embedded with the artifacts' own model, through the cache, and labelled by the
    artifacts' own taxonomy; trained_on counts the passages that were in the training split. With --against,
    codes that only swapped names are matched first; without other data the passages that both artifacts hold
    are compared.
    """
    refuse_settings_without_provider(provider, root, settings)
    if vectors is not None and provider is not None:
        raise WrongUsageError("--vectors and --provider exclude each other.")
    data: dict[str, Any] = {"artifacts": artifacts}
    if against is not None:
        data["against"] = against
    if vectors is None and provider is None:
        data["metrics"] = _of_training(artifacts) if against is None else _of_stored(artifacts, against)
    else:
        model = load_model(
            artifacts, device, embedding_model, trust_remote_code, backend=backend, precision=precision, workers=workers
        )
        other = None if against is None else _other(model, against, device, trust_remote_code)
        if vectors is not None:
            data["vectors"] = str(vectors)
            data["metrics"] = _on_vectors(model, other, vectors)
        elif provider is not None:
            data |= {"provider": provider, "root": root}
            data["metrics"], data["dropped"] = _on_works(model, other, provider, root, settings or [])
    show(data, format_, lambda: _drawn(data["metrics"]))


def _drawn(metrics: dict[str, float]) -> Iterator[RenderableType]:
    yield metrics_table(metrics)


def _of_training(artifacts: str) -> dict[str, float]:
    from wotd.hub import open_artifacts
    from wotd.runs import training_results

    metrics: dict[str, float] = training_results(open_artifacts(artifacts).folder).get("metrics", {})
    if not metrics:
        raise ArtifactError(f"{artifacts} holds no metrics of a training run; give --vectors or --provider to measure.")
    return metrics


def _of_stored(artifacts: str, against: str) -> dict[str, float]:
    """Churn of the passages that both artifacts hold, by the codes they hold for them; nothing is encoded."""
    import numpy as np

    from wotd.alignment import earlier_codes
    from wotd.evaluation import evaluate_churn
    from wotd.hub import open_artifacts

    ours, theirs = open_artifacts(artifacts), open_artifacts(against)
    level_sizes, fixed = _shared_levels(ours, theirs)
    table = ours.codes()
    if "text_hash" not in table.column_names:
        raise ArtifactError(f"{artifacts} holds no passages of texts to compare; give --vectors.")
    known = earlier_codes(theirs, ours.fingerprint, hashes_N=table["text_hash"].to_pylist())
    codes_ML = np.asarray(table["code"].take(known.rows_M).to_pylist(), dtype=np.int64)
    return evaluate_churn(codes_ML, known.codes_ML, level_sizes, fixed)


def _shared_levels(ours: Artifacts, theirs: Artifacts) -> tuple[list[int], list[int]]:
    """The level sizes of both artifacts, and the levels whose codes have the same meaning in both.

    Raises:
        ArtifactError: if their level sizes differ.
    """
    sizes, others = (list(artifacts.config["encoder"]["level_sizes"]) for artifacts in (ours, theirs))
    if sizes != others:
        raise ArtifactError(f"{theirs.folder} has levels of {others} codes; expected {sizes}, as {ours.folder} has.")
    if not (ours.named and theirs.named) or ours.taxonomy is None or theirs.taxonomy is None:
        return sizes, []
    pairs = zip(ours.taxonomy.levels, theirs.taxonomy.levels, strict=True)
    return sizes, [index for index, (one, two) in enumerate(pairs) if one == two and not one.ranked]


def _other(model: SemanticIDModel, against: str, device: str, trust_remote_code: bool) -> SemanticIDModel:
    """The artifacts to compare with, refused before anything is embedded where they cannot be compared."""
    other = load_model(against, device, trust_remote_code=trust_remote_code)
    _shared_levels(model.artifacts, other.artifacts)
    return other


def _churn(
    model: SemanticIDModel,
    other: SemanticIDModel,
    vectors_ND: NDArray[np.floating],
    others_ND: NDArray[np.floating],
) -> dict[str, float]:
    import numpy as np

    from wotd.evaluation import encode_vectors, evaluate_churn

    rows = np.arange(len(vectors_ND))
    return evaluate_churn(
        encode_vectors(model.encoder, vectors_ND, rows),
        encode_vectors(other.encoder, others_ND, rows),
        *_shared_levels(model.artifacts, other.artifacts),
    )


def _on_vectors(model: SemanticIDModel, other: SemanticIDModel | None, path: Path) -> dict[str, float]:
    import numpy as np

    from wotd.cli.matrices import open_rows
    from wotd.evaluation import evaluate as measure

    vectors_ND = open_rows(path, model.artifacts)
    if other is not None:
        open_rows(path, other.artifacts)
    metrics = measure(model.encoder, vectors_ND, np.arange(len(vectors_ND)))
    return metrics if other is None else metrics | _churn(model, other, vectors_ND, vectors_ND)


def _on_works(
    model: SemanticIDModel, other: SemanticIDModel | None, provider: str, root: str | None, settings: Sequence[str]
) -> tuple[dict[str, float], dict[str, Any]]:
    import numpy as np

    from wotd.evaluation import evaluate as measure

    for each in (model, other) if other is not None else (model,):
        _ = each.view  # first: artifacts of bare vectors have none, and say so
    corpora, taxonomy = read_works(provider, root, settings, model.artifacts.taxonomy)
    vectors_ND = _embedded(model, corpora.texts)
    metrics = measure(
        model.encoder,
        vectors_ND,
        np.arange(len(vectors_ND)),
        labels_NL=corpora.labels,
        taxonomy=taxonomy,
        named=model.artifacts.named,
        works_N=corpora.work_of_passage,
        probes=_probes(model, taxonomy),
    )
    metrics["trained_on"] = float(_trained_on(model, corpora))
    if other is not None:
        alike = all(
            getattr(model.artifacts, part) == getattr(other.artifacts, part)
            for part in ("fingerprint", "features_fingerprint")
        )
        metrics |= _churn(model, other, vectors_ND, vectors_ND if alike else _embedded(other, corpora.texts))
    return metrics, corpora.dropped.to_mapping()


def _embedded(model: SemanticIDModel, texts: Sequence[str]) -> NDArray[np.floating]:
    from wotd.embeddings.cache import EmbeddingCache

    return model.view.cached(EmbeddingCache(), texts).vectors


def _probes(model: SemanticIDModel, taxonomy: Taxonomy) -> dict[str, Pipeline]:
    """Probes of the passages that the artifacts were trained on; none where they keep no texts."""
    import numpy as np

    from wotd.evaluation import PROBE_ROWS, fit_probes

    table = model.artifacts.codes()
    if not {"text", "label"} <= set(table.column_names):
        return {}
    table = table.filter([split == "train" for split in table["split"].to_pylist()])
    number = min(len(table), PROBE_ROWS)
    table = table.take(np.arange(number) * len(table) // max(1, number))
    labels = [[UNKNOWN_CODE if code is None else code for code in label] for label in table["label"].to_pylist()]
    if not labels:
        return {}
    vectors_ND = _embedded(model, table["text"].to_pylist())
    return fit_probes(vectors_ND, np.arange(number), np.asarray(labels, dtype=np.int64), taxonomy)


def _trained_on(model: SemanticIDModel, corpora: Corpora) -> int:
    from wotd.publication import text_hash

    table = model.artifacts.codes()
    if "text_hash" not in table.column_names:
        return 0
    rows = zip(table["split"].to_pylist(), table["text_hash"].to_pylist(), strict=True)
    seen = {digest for split, digest in rows if split == "train"}
    return sum(text_hash(text) in seen for text in corpora.texts)
