"""What is known of embedding models before any of their files is there: the table ``models.csv``, read once.

A text that gets a semantic ID is a document or a point to cluster, never a question, and all texts
of one space must carry the same prompt. ``prompt_name`` therefore names one side per model: the
clustering prompt where the model has one, else the document side, else (e5) the side its authors
give for symmetric tasks; None where documents carry no prompt.

Dimension, max tokens, parameters, licence, the need of ``trust_remote_code`` and the commit are those of
the models' metadata in MTEB 2.26.24 (``mteb/models/model_implementations``). Where these name a layer or
a tokenizer instead of the model, the model's own settings count: 128 tokens of the multilingual models and
of all-MiniLM-L12-v2, 512 of the e5 family (two of 514 positions are reserved) and of stella, 4,096 of
mxbai-embed-xsmall-v1, 1,024 numbers of stella, 1,536 of gte-Qwen2-1.5B. Other commits than there have minilm,
that whose files the package ``wotd[minilm]`` holds, and bge-m3, one whose listing on the hub has its weights
as safetensors. Not pinned are all-distilroberta-v1, which MTEB does not list, granite-embedding-30m-english,
whose commit there has its weights as a pickle only, and the potions, whose commits there were not seen to hold
the settings of sentence-transformers. Prompts, pooling and Matryoshka sizes are in the models' cards.

Models that choose their task by an argument of the forward pass instead of a prompt, such as
jina-embeddings-v3, would give vectors of no task here and are not in the table.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wotd.errors import EmbeddingError


@dataclass(frozen=True)
class EmbeddingModel:
    """What is known of one model."""

    name: str
    """Short name, as in ``embedding=NAME``."""
    repository: str
    """ID on the Hugging Face hub."""
    dimension: int
    max_tokens: int | None
    """Longer texts are cut there by the model; None: it reads texts of any length."""
    parameters_millions: float
    licence: str
    """SPDX identifier in lower case; ``gemma`` for Google's own terms."""
    pooling: str
    """How a text's vector is made of its tokens': ``mean``, ``cls`` or ``lasttoken``; ``StaticEmbedding`` for models
    without a network. Files that say otherwise are warned of."""
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The model's prompts by name; each stands before the text as it is."""
    prompt_name: str | None = None
    """The prompt texts get before they become IDs; None: none."""
    matryoshka: tuple[int, ...] = ()
    """Sizes to which vectors may be cut, as far as the authors name them; the last one is whole."""
    layer_norm_before_cut: bool = False
    """Whether vectors are layer-normalised before they are cut."""
    trust_remote_code: bool = False
    """Whether the model runs code of its repository, which a user must allow by name."""
    revision: str | None = None
    """Commit that is fetched unless another is named; None: the newest, which artifacts then pin."""

    @property
    def prompt(self) -> str:
        """The prompt of texts that become IDs, empty if there is none."""
        return self.prompts[self.prompt_name] if self.prompt_name else ""


_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query"

_PROMPTS: dict[str, dict[str, str]] = {
    "": {},
    "arctic2": {"query": "query: "},
    "bge": {"query": "Represent this sentence for searching relevant passages: "},
    "e5": {"query": "query: ", "passage": "passage: "},
    "gemma": {
        "query": "task: search result | query: ",
        "document": "title: none | text: ",
        "clustering": "task: clustering | query: ",
    },
    "instruct": {"query": f"{_SEARCH}\nQuery: "},
    "nomic": {
        "query": "search_query: ",
        "document": "search_document: ",
        "clustering": "clustering: ",
        "classification": "classification: ",
    },
    "qwen3": {"query": f"{_SEARCH}\nQuery:"},
    "stella": {"query": f"{_SEARCH}.\nQuery: "},
}
"""Prompts by the name that the column ``prompts`` of the table has for them."""


def _table() -> dict[str, EmbeddingModel]:
    with Path(__file__).with_name("models.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: _model(row) for row in csv.DictReader(file)}


def _model(row: Mapping[str, str]) -> EmbeddingModel:
    return EmbeddingModel(
        name=row["name"],
        repository=row["repository"],
        dimension=int(row["dimension"]),
        max_tokens=int(row["max_tokens"]) if row["max_tokens"] else None,
        parameters_millions=float(row["parameters_millions"]),
        licence=row["licence"],
        pooling=row["pooling"],
        prompts=_PROMPTS[row["prompts"]],
        prompt_name=row["prompt_name"] or None,
        matryoshka=tuple(map(int, row["matryoshka"].split())),
        layer_norm_before_cut=row["layer_norm_before_cut"] == "yes",
        trust_remote_code=row["trust_remote_code"] == "yes",
        revision=row["revision"] or None,
    )


MODELS: dict[str, EmbeddingModel] = _table()
"""Every registered model by its short name."""

_BY_REPOSITORY = {model.repository: model for model in MODELS.values()}

MODEL_DIMENSIONS: dict[str, int] = {
    name: model.dimension for model in MODELS.values() for name in (model.name, model.repository)
}
"""Dimension of every registered model, by short name and by hub ID."""


def find_model(name: str) -> EmbeddingModel:
    """The registered model of that short name or hub ID.

    Raises:
        EmbeddingError: if there is none; the message names the nearest ones.
    """
    model = registered(name)
    if model is None:
        near = difflib.get_close_matches(name, [*MODELS, *_BY_REPOSITORY], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}" if near else f"registered are {', '.join(MODELS)}"
        raise EmbeddingError(
            f"the embedding model '{name}' is not registered; {hint}? "
            "A hub ID (owner/name) or a local folder works without being registered."
        )
    return model


def registered(name: str) -> EmbeddingModel | None:
    """The registered model of that short name or hub ID, or None."""
    return MODELS.get(name) or _BY_REPOSITORY.get(name)
