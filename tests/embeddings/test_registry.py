"""The table of embedding models."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from wotd.embeddings.registry import MODEL_DIMENSIONS, MODELS, EmbeddingModel, find_model
from wotd.errors import EmbeddingError


def test_the_table_is_as_large_as_promised_and_consistent() -> None:
    assert len(MODELS) >= 27
    assert len({model.repository for model in MODELS.values()}) == len(MODELS)
    for name, model in MODELS.items():
        assert name == model.name
        assert MODEL_DIMENSIONS[name] == MODEL_DIMENSIONS[model.repository] == model.dimension
        assert model.repository.count("/") == 1
        assert model.licence
        assert model.parameters_millions > 0
        assert model.max_tokens is None or model.max_tokens >= 128
        assert model.prompt_name is None or model.prompt_name in model.prompts
        assert all(1 <= size <= model.dimension for size in model.matryoshka)
        assert list(model.matryoshka) == sorted(model.matryoshka)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("minilm", 384),
        ("sentence-transformers/all-mpnet-base-v2", 768),
        ("BAAI/bge-m3", 1024),
        ("qwen3_4b", 2560),
        ("gte_qwen2_1_5b", 1536),
        ("potion_8m", 256),
    ],
)
def test_dimensions(name: str, dimension: int) -> None:
    assert MODEL_DIMENSIONS[name] == find_model(name).dimension == dimension


def test_texts_of_ids_carry_one_side() -> None:
    assert find_model("minilm").prompt == ""
    assert find_model("bge_small").prompt == "", "bge's prompt is for questions"
    assert find_model("e5_small").prompt == "query: "
    assert find_model("nomic").prompt == "clustering: "
    assert find_model("embeddinggemma").prompt == "task: clustering | query: "


def test_only_minilm_is_pinned() -> None:
    pinned = {name: model.revision for name, model in MODELS.items() if model.revision}
    assert pinned == {"minilm": "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"}


@pytest.mark.parametrize(("typo", "meant"), [("minlm", "minilm"), ("bge-smal", "bge_small"), ("e5small", "e5_small")])
def test_an_unknown_name_is_answered_with_the_nearest(typo: str, meant: str) -> None:
    with pytest.raises(EmbeddingError, match=f"'{typo}' is not registered; did you mean .*{meant}"):
        find_model(typo)


def test_a_name_like_nothing_is_answered_with_all() -> None:
    with pytest.raises(EmbeddingError, match="registered are minilm, minilm_l12"):
        find_model("zzzzzzzz")


def test_models_are_immutable_and_hashable() -> None:
    model = find_model("minilm")
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.dimension = 3  # type: ignore[misc]
    assert isinstance(hash(find_model("e5_small")), int)
    assert isinstance(model, EmbeddingModel)


@pytest.mark.parametrize("module", ["wotd.embeddings", "wotd.embeddings.registry", "wotd.embeddings.cache"])
def test_importing_is_light(module: str) -> None:
    heavy = "{'torch', 'sentence_transformers', 'transformers', 'sklearn', 'huggingface_hub', 'rich'}"
    code = f"import sys, {module}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_offers_its_names_lazily() -> None:
    code = (
        "import sys, wotd.embeddings as e\n"
        "assert 'numpy' not in sys.modules\n"
        "assert 'EmbeddingCache' in dir(e)\n"
        "assert [getattr(e, name) for name in e.__all__]\n"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules\n"
        "try:\n    e.nothing\nexcept AttributeError as error:\n    assert 'nothing' in str(error)\nelse:\n    assert 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
