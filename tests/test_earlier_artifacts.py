"""Artifacts of schema 1 that earlier versions wrote stay readable, and say today what they said then.

``fixtures/earlier_artifacts/README.md`` tells where they come from. They are never made anew: a version that cannot
read them is wrong, or has to write another schema.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from wotd import SemanticID, SemanticIDModel
from wotd.artifacts import SCHEMA
from wotd.encoded import EncodedText
from wotd.evaluation import evaluate
from wotd.serving import create_app

EARLIER = Path(__file__).parent / "fixtures" / "earlier_artifacts"


@pytest.fixture(scope="module", params=["plain", "features"])
def folder(request: pytest.FixtureRequest) -> Path:
    return EARLIER / request.param


@pytest.fixture(scope="module")
def model(folder: Path) -> SemanticIDModel:
    return SemanticIDModel.load(folder)


@pytest.fixture(scope="module")
def passages(model: SemanticIDModel) -> dict[str, list]:
    """The columns of the stored passages."""
    return model.artifacts.codes().to_pydict()


@pytest.fixture(scope="module")
def encoded(model: SemanticIDModel, passages: dict[str, list]) -> list[EncodedText]:
    """What today's code says of the stored passages."""
    return model.encode(passages["text"])


def test_each_is_of_another_shape() -> None:
    plain, features = (json.loads((EARLIER / name / "config.json").read_text()) for name in ("plain", "features"))
    assert plain["schema"] == features["schema"] == SCHEMA == 1
    assert plain["features"] is None
    assert isinstance(plain["embedding"]["probe"][0], float), "once there was one probe text"
    assert isinstance(features["features"]["probe"][0], list)


def test_stored_passages_have_their_codes(encoded: list[EncodedText], passages: dict[str, list]) -> None:
    assert [list(each.code) for each in encoded] == passages["code"]
    assert len(encoded) == 74
    assert all(0 < share <= 1 for each in encoded for share in each.confidence)


def test_works_have_their_ids(model: SemanticIDModel, passages: dict[str, list]) -> None:
    stored = model.artifacts.semantic_ids()["corpora"]
    works = {work["corpus"]: work for work in model.works()}
    assert works.keys() == stored.keys() == set(passages["corpus"])
    assert all(works[corpus]["id"] == stored[corpus]["id"] for corpus in stored)


def test_what_was_measured_is_measured_again(model: SemanticIDModel, passages: dict[str, list]) -> None:
    results = json.loads((model.artifacts.folder / "training_results.json").read_text())["metrics"]
    rows = np.flatnonzero(np.array(passages["split"]) == "train")
    metrics = evaluate(model.encoder, model.embed(passages["text"]), rows)
    for name in ("passages", "nmse", "nmse/depth_1", "codes", "level_3/perplexity"):
        assert metrics[name] == pytest.approx(results[f"train/{name}"], rel=1e-4), name


def test_every_look_up_answers(model: SemanticIDModel, passages: dict[str, list]) -> None:
    code, text = SemanticID(tuple(passages["code"][0])), passages["text"][0]
    assert [level["name"] for level in model.describe(code)["levels"]] == model.names(code)
    assert sum(count for _, count in model.library.children(SemanticID(()))) == len(passages["text"])
    assert model.browse(code.prefix(1)).passages >= 1
    nearest = model.neighbors(text, k=3)
    assert [each.distance for each in nearest] == sorted(each.distance for each in nearest)
    assert all(each.text in passages["text"] for each in nearest)
    assert model.hierarchy().to_mapping()["children"]
    assert model.word(text.split()[0]).total >= 1


def test_it_is_served(folder: Path, passages: dict[str, list]) -> None:
    with TestClient(create_app(SemanticIDModel.load(folder))) as client:
        answer = client.post("/encode", json={"texts": passages["text"][:2]}).json()
        assert [result["code"] for result in answer["results"]] == passages["code"][:2]
        assert client.get("/hierarchy").json()["children"]
