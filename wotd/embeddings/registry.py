"""The table of embedding models: dimensions, lengths, prompts, licences. Data only, nothing is loaded here.

A text that gets a semantic ID is a document or a point to cluster, never a question, and all texts
of one space must carry the same prompt. ``prompt_name`` therefore names one side per model: the
clustering prompt where the model has one, else the document side, else (e5) the side its authors
give for symmetric tasks; None where documents carry no prompt.

Values: dimension, max tokens, parameters and licence as in the models' MTEB metadata; prompts and
Matryoshka sizes as in their model cards.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from wotd.errors import EmbeddingError


@dataclass(frozen=True)
class EmbeddingModel:
    """What is known of a model before any of its files is there."""

    name: str
    """Short name, as in ``embedding=NAME``."""
    repository: str
    """ID on the Hugging Face hub."""
    dimension: int
    max_tokens: int | None
    """Longer texts are cut there by the model; None: it reads texts of any length."""
    parameters_millions: float
    licence: str
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The model's prompts by name; each stands before the text as it is."""
    prompt_name: str | None = None
    """The prompt texts get before they become IDs; None: none."""
    matryoshka: tuple[int, ...] = ()
    """Sizes to which vectors may be cut, as far as the authors name them."""
    layer_norm_before_cut: bool = False
    """Whether vectors are layer-normalised before they are cut."""
    trust_remote_code: bool = False
    """Whether the model runs code of its repository, which a user must allow by name."""
    revision: str | None = None
    """Commit whose files were seen; None: not pinned."""

    @property
    def prompt(self) -> str:
        """The prompt of texts that become IDs, empty if there is none."""
        return self.prompts[self.prompt_name] if self.prompt_name else ""


_APACHE, _MIT = "apache-2.0", "mit"
_BGE = {"query": "Represent this sentence for searching relevant passages: "}
_E5 = {"query": "query: ", "passage": "passage: "}
_NOMIC = {
    "query": "search_query: ",
    "document": "search_document: ",
    "clustering": "clustering: ",
    "classification": "classification: ",
}
_GEMMA = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "clustering": "task: clustering | query: ",
}
_QWEN3 = {
    "query": "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
}
_GTE_QWEN2 = {
    "query": "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
}
_QWEN3_SIZES = (32, 64, 128, 256, 512, 768, 1024)

_TABLE = (
    EmbeddingModel(
        "minilm",
        "sentence-transformers/all-MiniLM-L6-v2",
        384,
        256,
        22.7,
        _APACHE,
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    ),
    EmbeddingModel("minilm_l12", "sentence-transformers/all-MiniLM-L12-v2", 384, 128, 33.4, _APACHE),
    EmbeddingModel("mpnet", "sentence-transformers/all-mpnet-base-v2", 768, 384, 109, _APACHE),
    EmbeddingModel("distilroberta", "sentence-transformers/all-distilroberta-v1", 768, 512, 82, _APACHE),
    EmbeddingModel(
        "multilingual_minilm", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 128, 118, _APACHE
    ),
    EmbeddingModel(
        "multilingual_mpnet", "sentence-transformers/paraphrase-multilingual-mpnet-base-v2", 768, 128, 278, _APACHE
    ),
    EmbeddingModel("bge_small", "BAAI/bge-small-en-v1.5", 384, 512, 33, _MIT, _BGE),
    EmbeddingModel("bge_base", "BAAI/bge-base-en-v1.5", 768, 512, 109, _MIT, _BGE),
    EmbeddingModel("bge_large", "BAAI/bge-large-en-v1.5", 1024, 512, 335, _MIT, _BGE),
    EmbeddingModel("bge_m3", "BAAI/bge-m3", 1024, 8192, 568, _MIT),
    EmbeddingModel("e5_small", "intfloat/e5-small-v2", 384, 512, 33, _MIT, _E5, "query"),
    EmbeddingModel("e5_base", "intfloat/e5-base-v2", 768, 512, 109, _MIT, _E5, "query"),
    EmbeddingModel("e5_large", "intfloat/e5-large-v2", 1024, 512, 335, _MIT, _E5, "query"),
    EmbeddingModel("multilingual_e5_small", "intfloat/multilingual-e5-small", 384, 512, 118, _MIT, _E5, "query"),
    EmbeddingModel("multilingual_e5_base", "intfloat/multilingual-e5-base", 768, 512, 278, _MIT, _E5, "query"),
    EmbeddingModel("multilingual_e5_large", "intfloat/multilingual-e5-large", 1024, 512, 560, _MIT, _E5, "query"),
    EmbeddingModel("gte_small", "thenlper/gte-small", 384, 512, 33, _MIT),
    EmbeddingModel("gte_base", "thenlper/gte-base", 768, 512, 109, _MIT),
    EmbeddingModel("gte_large", "thenlper/gte-large", 1024, 512, 335, _MIT),
    EmbeddingModel("gte_modernbert", "Alibaba-NLP/gte-modernbert-base", 768, 8192, 149, _APACHE),
    EmbeddingModel(
        "gte_qwen2_1_5b",
        "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
        1536,
        32768,
        1540,
        _APACHE,
        _GTE_QWEN2,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "nomic",
        "nomic-ai/nomic-embed-text-v1.5",
        768,
        8192,
        137,
        _APACHE,
        _NOMIC,
        "clustering",
        matryoshka=(64, 128, 256, 512, 768),
        layer_norm_before_cut=True,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "mxbai_large", "mixedbread-ai/mxbai-embed-large-v1", 1024, 512, 335, _APACHE, _BGE, matryoshka=(512, 1024)
    ),
    EmbeddingModel(
        "arctic_m_v2",
        "Snowflake/snowflake-arctic-embed-m-v2.0",
        768,
        8192,
        305,
        _APACHE,
        {"query": "query: "},
        matryoshka=(256, 768),
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "qwen3_0_6b", "Qwen/Qwen3-Embedding-0.6B", 1024, 32768, 600, _APACHE, _QWEN3, matryoshka=_QWEN3_SIZES
    ),
    EmbeddingModel(
        "qwen3_4b", "Qwen/Qwen3-Embedding-4B", 2560, 32768, 4000, _APACHE, _QWEN3, matryoshka=(*_QWEN3_SIZES, 2560)
    ),
    EmbeddingModel(
        "qwen3_8b", "Qwen/Qwen3-Embedding-8B", 4096, 32768, 7600, _APACHE, _QWEN3, matryoshka=(*_QWEN3_SIZES, 4096)
    ),
    EmbeddingModel(
        "embeddinggemma",
        "google/embeddinggemma-300m",
        768,
        2048,
        308,
        "gemma",
        _GEMMA,
        "clustering",
        matryoshka=(128, 256, 512, 768),
    ),
    EmbeddingModel(
        "static_retrieval",
        "sentence-transformers/static-retrieval-mrl-en-v1",
        1024,
        None,
        31,
        _APACHE,
        matryoshka=(32, 64, 128, 256, 512, 1024),
    ),
    EmbeddingModel("potion_8m", "minishlab/potion-base-8M", 256, None, 7.6, _MIT),
)

MODELS: dict[str, EmbeddingModel] = {model.name: model for model in _TABLE}
"""Every registered model by its short name."""

_BY_REPOSITORY = {model.repository: model for model in _TABLE}

MODEL_DIMENSIONS: dict[str, int] = {
    name: model.dimension for model in _TABLE for name in (model.name, model.repository)
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
