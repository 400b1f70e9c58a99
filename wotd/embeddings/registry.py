"""The table of embedding models: dimensions, lengths, prompts, licences. Data only, nothing is loaded here.

A text that gets a semantic ID is a document or a point to cluster, never a question, and all texts
of one space must carry the same prompt. ``prompt_name`` therefore names one side per model: the
clustering prompt where the model has one, else the document side, else (e5) the side its authors
give for symmetric tasks; None where documents carry no prompt.

Where values come from: dimension, max tokens, parameters, licence, the need of ``trust_remote_code`` and
the commits are those of the models' metadata in MTEB 2.26.24 (``mteb/models/model_implementations``), with
which its leaderboard was measured. Where these name a layer or a tokenizer instead of the model, the model's
own settings count: 128 tokens of the multilingual models and of all-MiniLM-L12-v2 (their
``sentence_bert_config.json``), 512 of the e5 family (two of 514 positions are reserved), 4,096 of
mxbai-embed-xsmall-v1 (its vendor's documentation), 1,024 numbers of stella, 1,536 of gte-Qwen2-1.5B. Prompts,
pooling and Matryoshka sizes are in the models' cards.

Models that choose their task by an argument of the forward pass instead of a prompt, such as
jina-embeddings-v3, would give vectors of no task here and are not in the table.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
    """SPDX identifier, in lower case; ``gemma`` for Google's own terms."""
    pooling: str
    """How a text's vector is made of its tokens' (mean, cls, lasttoken), or a class that needs none; files that say
    otherwise are warned of when they are found."""
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
    """Commit that is fetched unless another is named; None: the newest, which artifacts then pin."""

    @property
    def prompt(self) -> str:
        """The prompt of texts that become IDs, empty if there is none."""
        return self.prompts[self.prompt_name] if self.prompt_name else ""


_APACHE, _MIT, _GEMMA_TERMS = "apache-2.0", "mit", "gemma"
_STATIC = "StaticEmbedding"

_BGE = {"query": "Represent this sentence for searching relevant passages: "}
_E5 = {"query": "query: ", "passage": "passage: "}
_ARCTIC2 = {"query": "query: "}
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
_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query"
_INSTRUCT = {"query": f"{_SEARCH}\nQuery: "}
_QWEN3 = {"query": f"{_SEARCH}\nQuery:"}
_STELLA = {"query": f"{_SEARCH}.\nQuery: "}

_QWEN3_SIZES = (32, 64, 128, 256, 512, 768, 1024)
_STATIC_SIZES = (32, 64, 128, 256, 512, 1024)

_COMMITS = {
    "minilm": "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    "minilm_l12": "364dd28d28dcd3359b537f3cf1f5348ba679da62",
    "mpnet": "9a3225965996d404b775526de6dbfe85d3368642",
    "multilingual_minilm": "e8f8c211226b894fcb81acc59f3b34ba3efd5f42",
    "multilingual_mpnet": "79f2382ceacceacdf38563d7c5d16b9ff8d725d6",
    "bge_small": "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
    "bge_base": "a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
    "bge_large": "d4aa6901d3a41ba39fb536a557fa166f842b0e09",
    "e5_small": "dca8b1a9dae0d4575df2bf423a5edb485a431236",
    "e5_base": "1c644c92ad3ba1efdad3f1451a637716616a20e8",
    "e5_large": "b322e09026e4ea05f42beadf4d661fb4e101d311",
    "multilingual_e5_small": "fd1525a9fd15316a2d503bf26ab031a61d056e98",
    "multilingual_e5_base": "d13f1b27baf31030b7fd040960d60d909913633f",
    "multilingual_e5_large": "ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb",
    "multilingual_e5_instruct": "baa7be480a7de1539afce709c8f13f833a510e0a",
    "e5_mistral": "07163b72af1488142a360786df853f237b1a3ca1",
    "gte_small": "17e1f347d17fe144873b1201da91788898c639cd",
    "gte_base": "c078288308d8dee004ab72c6191778064285ec0c",
    "gte_large": "4bef63f39fcc5e2d6b0aae83089f307af4970164",
    "gte_modernbert": "7ca8b4ca700621b67618669f5378fe5f5820b8e4",
    "gte_multilingual": "ca1791e0bcc104f6db161f27de1340241b13c5a4",
    "gte_qwen2_1_5b": "c6c1b92f4a3e1b92b326ad29dd3c8433457df8dd",
    "gte_qwen2_7b": "e26182b2122f4435e8b3ebecbf363990f409b45b",
    "nomic": "b0753ae76394dd36bcfb912a46018088bca48be0",
    "modernbert_embed": "5960f1566fb7cb1adf1eb6e816639cf4646d9b12",
    "mxbai_xsmall": "2f741ec33328bb57e4704e1238fc59a4a5745705",
    "mxbai_large": "990580e27d329c7408b3741ecff85876e128e203",
    "arctic_xs": "742da4f66e1823b5b4dbe6c320a1375a1fd85f9e",
    "arctic_s": "d3c1d2d433dd0fdc8e9ca01331a5f225639e798f",
    "arctic_m": "cc17beacbac32366782584c8752220405a0f3f40",
    "arctic_m_v1_5": "97eab2e17fcb7ccb8bb94d6e547898fa1a6a0f47",
    "arctic_l": "9a9e5834d2e89cdd8bb72b64111dde496e4fe78c",
    "arctic_m_v2": "f2a7d59d80dfda5b1d14f096f3ce88bb6bf9ebdc",
    "arctic_l_v2": "edc2df7b6c25794b340229ca082e7c78782e6374",
    "granite_small": "54a8d2616a0844355a5164432d3f6dafb37b17a3",
    "granite": "6e7b8ce0e76270394ac4669ba4bbd7133b60b7f9",
    "jina_v2_small": "44e7d1d6caec8c883c2d4b207588504d519788d0",
    "jina_v2_base": "6e85f575bc273f1fd840a658067d0157933c83f0",
    "stella_400m": "1bb50bc7bb726810eac2140e62155b88b0df198f",
    "stella_1_5b": "d03be74b361d4eb24f42a2fe5bd2e29917df4604",
    "qwen3_0_6b": "b22da495047858cce924d27d76261e96be6febc0",
    "qwen3_4b": "636cd9bf47d976946cdbb2b0c3ca0cb2f8eea5ff",
    "qwen3_8b": "4e423935c619ae4df87b646a3ce949610c66241c",
    "embeddinggemma": "64614b0b8b64f0c6c1e52b07e4e9a4e8fe4d2da2",
    "static_retrieval": "f60985c706f192d45d218078e49e5a8b6f15283a",
    "static_similarity": "7264ea07c5365a11d7e6d87dbb6195889a13054f",
    "potion_2m": "389b9f64be5aa4ae7a6bc6fe95ef20ce485ae5da",
    "potion_8m": "bf8b056651a2c21b8d2565580b8569da283cab23",
    "potion_32m": "1e5a03f8eeb2c98b928fbbd846f22f816360919f",
    "potion_retrieval": "6fc8051fab2a1e0ee76689cf08c853792ac285e7",
    "potion_multilingual": "73908c3438cf03b6a01bcb9611d62b23d0726f08",
}
"""Commits by short name: of MTEB's metadata; of minilm the one whose files the package ``wotd[minilm]`` holds.

Absent are models that MTEB does not list (distilroberta) or lists at a commit that holds its weights as a pickle
only (granite_30m, bge_m3), which would be refused.
"""

_ROWS = (
    EmbeddingModel("minilm", "sentence-transformers/all-MiniLM-L6-v2", 384, 256, 22.7, _APACHE, pooling="mean"),
    EmbeddingModel("minilm_l12", "sentence-transformers/all-MiniLM-L12-v2", 384, 128, 33.4, _APACHE, pooling="mean"),
    EmbeddingModel("mpnet", "sentence-transformers/all-mpnet-base-v2", 768, 384, 109, _APACHE, pooling="mean"),
    EmbeddingModel(
        "distilroberta", "sentence-transformers/all-distilroberta-v1", 768, 512, 82, _APACHE, pooling="mean"
    ),
    EmbeddingModel(
        "multilingual_minilm",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        384,
        128,
        118,
        _APACHE,
        pooling="mean",
    ),
    EmbeddingModel(
        "multilingual_mpnet",
        "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        768,
        128,
        278,
        _APACHE,
        pooling="mean",
    ),
    EmbeddingModel("bge_small", "BAAI/bge-small-en-v1.5", 384, 512, 33.4, _MIT, pooling="cls", prompts=_BGE),
    EmbeddingModel("bge_base", "BAAI/bge-base-en-v1.5", 768, 512, 109, _MIT, pooling="cls", prompts=_BGE),
    EmbeddingModel("bge_large", "BAAI/bge-large-en-v1.5", 1024, 512, 335, _MIT, pooling="cls", prompts=_BGE),
    EmbeddingModel("bge_m3", "BAAI/bge-m3", 1024, 8192, 568, _MIT, pooling="cls"),
    EmbeddingModel(
        "e5_small", "intfloat/e5-small-v2", 384, 512, 33, _MIT, pooling="mean", prompts=_E5, prompt_name="query"
    ),
    EmbeddingModel(
        "e5_base", "intfloat/e5-base-v2", 768, 512, 109, _MIT, pooling="mean", prompts=_E5, prompt_name="query"
    ),
    EmbeddingModel(
        "e5_large", "intfloat/e5-large-v2", 1024, 512, 335, _MIT, pooling="mean", prompts=_E5, prompt_name="query"
    ),
    EmbeddingModel(
        "multilingual_e5_small",
        "intfloat/multilingual-e5-small",
        384,
        512,
        118,
        _MIT,
        pooling="mean",
        prompts=_E5,
        prompt_name="query",
    ),
    EmbeddingModel(
        "multilingual_e5_base",
        "intfloat/multilingual-e5-base",
        768,
        512,
        278,
        _MIT,
        pooling="mean",
        prompts=_E5,
        prompt_name="query",
    ),
    EmbeddingModel(
        "multilingual_e5_large",
        "intfloat/multilingual-e5-large",
        1024,
        512,
        560,
        _MIT,
        pooling="mean",
        prompts=_E5,
        prompt_name="query",
    ),
    EmbeddingModel(
        "multilingual_e5_instruct",
        "intfloat/multilingual-e5-large-instruct",
        1024,
        512,
        560,
        _MIT,
        pooling="mean",
        prompts=_INSTRUCT,
    ),
    EmbeddingModel(
        "e5_mistral", "intfloat/e5-mistral-7b-instruct", 4096, 32768, 7111, _MIT, pooling="lasttoken", prompts=_INSTRUCT
    ),
    EmbeddingModel("gte_small", "thenlper/gte-small", 384, 512, 33.4, _MIT, pooling="mean"),
    EmbeddingModel("gte_base", "thenlper/gte-base", 768, 512, 109, _MIT, pooling="mean"),
    EmbeddingModel("gte_large", "thenlper/gte-large", 1024, 512, 335, _MIT, pooling="mean"),
    EmbeddingModel("gte_modernbert", "Alibaba-NLP/gte-modernbert-base", 768, 8192, 149, _APACHE, pooling="cls"),
    EmbeddingModel(
        "gte_multilingual",
        "Alibaba-NLP/gte-multilingual-base",
        768,
        8192,
        305,
        _APACHE,
        pooling="cls",
        matryoshka=(128, 256, 512, 768),
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "gte_qwen2_1_5b",
        "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
        1536,
        32768,
        1543,
        _APACHE,
        pooling="lasttoken",
        prompts=_INSTRUCT,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "gte_qwen2_7b",
        "Alibaba-NLP/gte-Qwen2-7B-instruct",
        3584,
        32768,
        7069,
        _APACHE,
        pooling="lasttoken",
        prompts=_INSTRUCT,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "nomic",
        "nomic-ai/nomic-embed-text-v1.5",
        768,
        8192,
        137,
        _APACHE,
        pooling="mean",
        prompts=_NOMIC,
        prompt_name="clustering",
        matryoshka=(64, 128, 256, 512, 768),
        layer_norm_before_cut=True,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "modernbert_embed",
        "nomic-ai/modernbert-embed-base",
        768,
        8192,
        149,
        _APACHE,
        pooling="mean",
        prompts=_NOMIC,
        prompt_name="clustering",
        matryoshka=(256, 768),
    ),
    EmbeddingModel(
        "mxbai_xsmall", "mixedbread-ai/mxbai-embed-xsmall-v1", 384, 4096, 24.1, _APACHE, pooling="mean", prompts=_BGE
    ),
    EmbeddingModel(
        "mxbai_large",
        "mixedbread-ai/mxbai-embed-large-v1",
        1024,
        512,
        335,
        _APACHE,
        pooling="cls",
        prompts=_BGE,
        matryoshka=(512, 1024),
    ),
    EmbeddingModel(
        "arctic_xs", "Snowflake/snowflake-arctic-embed-xs", 384, 512, 22.7, _APACHE, pooling="cls", prompts=_BGE
    ),
    EmbeddingModel(
        "arctic_s", "Snowflake/snowflake-arctic-embed-s", 384, 512, 33.4, _APACHE, pooling="cls", prompts=_BGE
    ),
    EmbeddingModel(
        "arctic_m", "Snowflake/snowflake-arctic-embed-m", 768, 512, 109, _APACHE, pooling="cls", prompts=_BGE
    ),
    EmbeddingModel(
        "arctic_m_v1_5",
        "Snowflake/snowflake-arctic-embed-m-v1.5",
        768,
        512,
        109,
        _APACHE,
        pooling="cls",
        prompts=_BGE,
        matryoshka=(256, 768),
    ),
    EmbeddingModel(
        "arctic_l", "Snowflake/snowflake-arctic-embed-l", 1024, 512, 335, _APACHE, pooling="cls", prompts=_BGE
    ),
    EmbeddingModel(
        "arctic_m_v2",
        "Snowflake/snowflake-arctic-embed-m-v2.0",
        768,
        8192,
        305,
        _APACHE,
        pooling="cls",
        prompts=_ARCTIC2,
        matryoshka=(256, 768),
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "arctic_l_v2",
        "Snowflake/snowflake-arctic-embed-l-v2.0",
        1024,
        8192,
        568,
        _APACHE,
        pooling="cls",
        prompts=_ARCTIC2,
        matryoshka=(256, 1024),
    ),
    EmbeddingModel("granite_30m", "ibm-granite/granite-embedding-30m-english", 384, 512, 30.3, _APACHE, pooling="cls"),
    EmbeddingModel(
        "granite_small", "ibm-granite/granite-embedding-small-english-r2", 384, 8192, 47.7, _APACHE, pooling="cls"
    ),
    EmbeddingModel("granite", "ibm-granite/granite-embedding-english-r2", 768, 8192, 149, _APACHE, pooling="cls"),
    EmbeddingModel(
        "jina_v2_small",
        "jinaai/jina-embeddings-v2-small-en",
        512,
        8192,
        32.7,
        _APACHE,
        pooling="mean",
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "jina_v2_base",
        "jinaai/jina-embeddings-v2-base-en",
        768,
        8192,
        137,
        _APACHE,
        pooling="mean",
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "stella_400m",
        "NovaSearch/stella_en_400M_v5",
        1024,
        512,
        435,
        _MIT,
        pooling="mean",
        prompts=_STELLA,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "stella_1_5b",
        "NovaSearch/stella_en_1.5B_v5",
        1024,
        512,
        1540,
        _MIT,
        pooling="mean",
        prompts=_STELLA,
        trust_remote_code=True,
    ),
    EmbeddingModel(
        "qwen3_0_6b",
        "Qwen/Qwen3-Embedding-0.6B",
        1024,
        32768,
        596,
        _APACHE,
        pooling="lasttoken",
        prompts=_QWEN3,
        matryoshka=_QWEN3_SIZES,
    ),
    EmbeddingModel(
        "qwen3_4b",
        "Qwen/Qwen3-Embedding-4B",
        2560,
        32768,
        4022,
        _APACHE,
        pooling="lasttoken",
        prompts=_QWEN3,
        matryoshka=(*_QWEN3_SIZES, 2560),
    ),
    EmbeddingModel(
        "qwen3_8b",
        "Qwen/Qwen3-Embedding-8B",
        4096,
        32768,
        7567,
        _APACHE,
        pooling="lasttoken",
        prompts=_QWEN3,
        matryoshka=(*_QWEN3_SIZES, 4096),
    ),
    EmbeddingModel(
        "embeddinggemma",
        "google/embeddinggemma-300m",
        768,
        2048,
        308,
        _GEMMA_TERMS,
        pooling="mean",
        prompts=_GEMMA,
        prompt_name="clustering",
        matryoshka=(128, 256, 512, 768),
    ),
    EmbeddingModel(
        "static_retrieval",
        "sentence-transformers/static-retrieval-mrl-en-v1",
        1024,
        None,
        31.3,
        _APACHE,
        pooling=_STATIC,
        matryoshka=_STATIC_SIZES,
    ),
    EmbeddingModel(
        "static_similarity",
        "sentence-transformers/static-similarity-mrl-multilingual-v1",
        1024,
        None,
        108,
        _APACHE,
        pooling=_STATIC,
        matryoshka=_STATIC_SIZES,
    ),
    EmbeddingModel("potion_2m", "minishlab/potion-base-2M", 64, None, 2, _MIT, pooling=_STATIC),
    EmbeddingModel("potion_8m", "minishlab/potion-base-8M", 256, None, 7.6, _MIT, pooling=_STATIC),
    EmbeddingModel("potion_32m", "minishlab/potion-base-32M", 512, None, 32.3, _MIT, pooling=_STATIC),
    EmbeddingModel("potion_retrieval", "minishlab/potion-retrieval-32M", 512, None, 32.3, _MIT, pooling=_STATIC),
    EmbeddingModel("potion_multilingual", "minishlab/potion-multilingual-128M", 256, None, 128, _MIT, pooling=_STATIC),
)

_TABLE = tuple(replace(model, revision=_COMMITS.get(model.name)) for model in _ROWS)

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
