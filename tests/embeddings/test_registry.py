"""The table of embedding models."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wotd.configuration import config_directory
from wotd.embeddings import registry
from wotd.embeddings.registry import MODEL_DIMENSIONS, MODELS, EmbeddingModel, find_model, registered
from wotd.errors import EmbeddingError


def test_the_table_is_large_and_covers_all_sizes() -> None:
    sizes = sorted(model.parameters_millions for model in MODELS.values())
    networks = [model.parameters_millions for model in MODELS.values() if model.max_tokens]
    assert len(MODELS) >= 50
    assert min(networks) <= 25
    assert sizes[-1] >= 7000
    assert {model.pooling for model in MODELS.values()} == {"mean", "cls", "lasttoken", "StaticEmbedding"}


def test_names_and_repositories_occur_once() -> None:
    lines = Path(registry.__file__).with_name("models.csv").read_text(encoding="utf-8").splitlines()
    assert len(MODELS) == len(lines) - 1, "a short name occurs twice in the table"
    assert len({model.repository for model in MODELS.values()}) == len(MODELS)
    assert len({model.revision for model in MODELS.values() if model.revision}) >= 45
    assert len(MODEL_DIMENSIONS) == 2 * len(MODELS)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_row_has_the_shape_of_a_model(model: EmbeddingModel) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", model.name)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
    assert MODEL_DIMENSIONS[model.name] == MODEL_DIMENSIONS[model.repository] == model.dimension
    assert 32 <= model.dimension <= 8192
    assert model.dimension % 32 == 0
    assert model.max_tokens is None or 128 <= model.max_tokens <= 131072
    assert (model.max_tokens is None) == (model.pooling == "StaticEmbedding")
    assert 1 <= model.parameters_millions <= 10_000
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9.]+)*", model.licence)
    assert model.revision is None or re.fullmatch(r"[0-9a-f]{40}", model.revision)
    assert model.prompt_name is None or model.prompt_name in model.prompts
    assert all(prompt and prompt == prompt.lstrip() for prompt in model.prompts.values())
    assert list(model.matryoshka) == sorted(set(model.matryoshka))
    assert model.matryoshka == () or (model.matryoshka[0] >= 32 and model.matryoshka[-1] == model.dimension)
    assert not model.layer_norm_before_cut or model.matryoshka


@given(model=st.sampled_from(list(MODELS.values())), data=st.data())
def test_a_name_with_a_letter_missing_is_understood(model: EmbeddingModel, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(model.repository) - 1))
    typo = model.repository[:at] + model.repository[at + 1 :]
    assume(registered(typo) is None)  # potion-base-32M is a letter from potion-base-2M
    with pytest.raises(EmbeddingError, match=f"did you mean .*{re.escape(model.repository)}"):
        find_model(typo)


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
    assert find_model("qwen3_8b").prompt == "", "its instruction is for questions"


def test_models_are_pinned_where_a_commit_is_known() -> None:
    assert find_model("minilm").revision == "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    loose = {name for name, model in MODELS.items() if not model.revision}
    assert {name for name in loose if not name.startswith("potion")} == {"distilroberta", "granite_30m"}


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


RECIPES = {path.stem: path.read_text(encoding="utf-8") for path in (config_directory() / "embedding").glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"lsa", "sentence_transformer", "static"}))
def test_a_recipe_is_named_like_its_model_and_says_what_the_table_says(name: str) -> None:
    model, recipe = find_model(name), RECIPES[name]
    assert f"\nmodel: {name}\n" in recipe
    assert f" {model.dimension:,} dimensions" in recipe
    assert f" {model.parameters_millions:,.0f} M parameters" in recipe
    assert ("embedding.trust_remote_code=true" in recipe) == model.trust_remote_code
    smaller = re.search(r" dimensions or ([\d, ]+?), \d+ M parameters", recipe)
    if smaller:
        assert {int(size) for size in smaller[1].split(", ")} == set(model.matryoshka) - {model.dimension}
    if model.prompt:
        assert f'"{model.prompt}"' in recipe or "its prompt" in recipe


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
