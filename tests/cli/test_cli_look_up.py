"""describe, neighbors, browse and inspect: what the model says, for people and for programs."""

from __future__ import annotations

import json

import pytest

from wotd import SemanticIDModel
from wotd.pipeline import export_checkpoint

pytest_plugins = ["artifact_fixtures"]


@pytest.fixture(scope="module")
def model(text_artifacts):
    return SemanticIDModel.load(text_artifacts)


def test_describe_names_the_levels(shell, text_artifacts, model):
    said = shell("describe", "--artifacts", text_artifacts, "1-2")
    assert said.rows == [model.describe("1-2")]
    table = shell("describe", "--artifacts", text_artifacts, "1", "--format", "table").out
    assert "style  1     poetic" in table
    assert "passages: 24, works: 6" in table


def test_describe_refuses_what_is_no_id(refused, text_artifacts):
    assert "level 0 is 99; expected 0 to 7" in refused("describe", "--artifacts", text_artifacts, "99")
    assert "expected indices joined by hyphens" in refused("describe", "--artifacts", text_artifacts, "a-b")
    assert "has 5 levels; these artifacts have 4" in refused("describe", "--artifacts", text_artifacts, "0-0-0-0-0")


def test_neighbors_are_those_of_the_model(shell, text_artifacts, model):
    said = shell("neighbors", "--artifacts", text_artifacts, "rose and lark", "-k", 3)
    assert said.rows == [each.to_mapping() for each in model.neighbors("rose and lark", 3)]
    table = shell("neighbors", "--artifacts", text_artifacts, "rose and lark", "-k", 3, "--format", "table").out
    assert said.rows[0]["title"] in table
    assert said.rows[0]["id"] in table


def test_browse_goes_down_level_by_level(shell, text_artifacts, model):
    root = shell("browse", "--artifacts", text_artifacts).rows[0]
    assert root == model.browse("").to_mapping()
    assert sum(child["passages"] for child in root["children"]) == root["passages"] == 144
    table = shell("browse", "--artifacts", text_artifacts, "--format", "table", "--works", 2).out
    assert "… and 34 more (--works 36 lists all)" in table
    assert "dramatic" in table
    below = shell("browse", "--artifacts", text_artifacts, "1").rows[0]
    assert {child["id"].split("-")[0] for child in below["children"]} == {"1"}


def test_inspect_says_what_the_folder_is(shell, text_artifacts):
    facts = shell("inspect", "--artifacts", text_artifacts).rows[0]
    assert [level["size"] for level in facts["levels"]] == [8, 8, 8, 5]
    assert [level["name"] for level in facts["levels"]] == ["style", "complexity", "era", "variation"]
    assert facts["bits"] == 11.32
    assert (facts["works"], facts["passages"], facts["texts_kept"]) == (36, 144, True)
    assert facts["embedding"]["model"] == "lsa"
    assert facts["taxonomy"] == {"name": "literature", "version": 1}
    assert facts["seed"] == 0
    assert facts["files"]["encoder.safetensors"] == (text_artifacts / "encoder.safetensors").stat().st_size
    table = shell("inspect", "--artifacts", text_artifacts, "--format", "table").out
    for part in ("style 8 · complexity 8", "11.3 bits", "36 works, 144 passages, texts kept", "nmse", "torch"):
        assert part in table


def test_inspect_of_bare_vectors(shell, vector_artifacts):
    facts = json.loads(shell("inspect", "--artifacts", vector_artifacts, "--format", "json").out)
    assert (facts["embedding"], facts["taxonomy"], facts["works"]) == (None, None, 0)
    assert (
        "none: trained on vectors of length 12"
        in shell("inspect", "--artifacts", vector_artifacts, "--format", "table").out
    )


def test_artifacts_without_passages_still_answer(shell, refused, vector_run, tmp_path):
    artifacts = export_checkpoint(next((vector_run / "checkpoints").glob("*.ckpt")), tmp_path / "a")
    assert shell("describe", "--artifacts", artifacts, "1-2").rows[0]["passages"] == 0
    assert shell("browse", "--artifacts", artifacts, "--format", "table").status == 0
    assert shell("inspect", "--artifacts", artifacts, "--format", "table").status == 0
    assert "holds no metrics of a training run" in refused("evaluate", "--artifacts", artifacts)
