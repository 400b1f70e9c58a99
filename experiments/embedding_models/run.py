"""Which embedding model and which batch size serve named IDs of unseen authors?

python -m experiments.embedding_models.run --root BOOKS --output OUT      a folder of Standard Ebooks

Every embedding model × every batch size × every seed by the recipe. ``--models`` takes options of the config group
``embedding`` and folders of sentence-transformers models; ``words`` is the table of word vectors at the bottom of
MiniLM, as a model of its own. Writes OUT/results.json, OUT/table.md and OUT/models.png; goes on where it was stopped.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from experiments.runs import Results, Row, Setting, arguments, choice_of_settings, corpus, measure, numbers
from experiments.tables import NAMED, differences, plot, settings_of, table
from wotd.embeddings.sources import locate_model

MODELS, BATCH_SIZES = ("minilm", "words", "lsa"), (32, 64, 128, 256)
WORDS = "words"
RECIPE = "minilm, 128"
COLUMNS = {
    **NAMED,
    "style by work": "metrics:test/agreement/style/by_work",
    "era by work": "metrics:test/agreement/era/by_work",
    "collisions": "metrics:test/collisions/rate",
    "recall": "metrics:test/recall/reconstruction",
}
COMPARED = {heading: where for heading, where in COLUMNS.items() if heading != "nMSE"}
"""Errors are in units of the variance of each model's own vectors: they say nothing across models."""


def chosen(model: str, words: Path) -> list[str]:
    """Overrides that choose an embedding model; the folder is where ``words`` is kept."""
    if model == WORDS:
        return ["embedding=static", f"embedding.model='{words}'"]
    if Path(model).is_dir():
        return ["embedding=sentence_transformer", f"embedding.model='{Path(model).resolve()}'"]
    return [f"embedding={model}"]


def save_words(folder: Path) -> None:
    """Make a static model of MiniLM's word vectors: a text is their mean, whatever their order."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    network = SentenceTransformer(str(locate_model("minilm").path), device="cpu")
    body: Any = network[0]
    table = body.auto_model.get_input_embeddings().weight.detach()
    static = StaticEmbedding(body.tokenizer.backend_tokenizer, embedding_weights=table)
    SentenceTransformer(modules=[static], device="cpu").save(str(folder))


def settings(models: list[str], sizes: list[int], words: Path) -> list[Setting]:
    """Each model with each batch size."""
    return [
        Setting(f"{Path(model).name}, {size}", [*chosen(model, words), f"data.batch_size={size}"])
        for model in models
        for size in sizes
    ]


def main() -> None:
    """Train, print, write."""
    parser = arguments(__doc__)
    choice_of_settings(parser)
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    parser.add_argument("--batch-sizes", type=numbers, default=list(BATCH_SIZES))
    asked = parser.parse_args()
    with corpus(asked) as (recipe, about), tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / WORDS
        if WORDS in asked.models:
            save_words(words)
        results = Results.open(asked.output, about)
        write(measure(results, recipe, settings(asked.models, asked.batch_sizes, words), asked), asked.output)


def report(results: Row) -> str:
    """Means with their spread, and what each has more than the recipe, seed by seed."""
    rows, found = results["rows"], table(results["rows"], COLUMNS)
    if RECIPE in settings_of(rows):
        found += f"\n\nLess {RECIPE}, under the same seed:\n\n{differences(rows, RECIPE, COMPARED)}"
    return found + "\n"


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    plot(results["rows"], NAMED, output / "models.png")
    print(report(results))


if __name__ == "__main__":
    main()
