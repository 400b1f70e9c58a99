"""describe, neighbors, browse and inspect: what the model says, for people and for programs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from wotd import SemanticIDModel
from wotd.alignment import align_artifacts
from wotd.artifacts import Artifacts, seal
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
    assert (facts["quantizer"], facts["encode_mode"]) == ("hvq", "beam 16")
    assert facts["embedding"]["model"] == "lsa"
    assert (facts["embedding"]["computed_by"], facts["embedding"]["fidelity"]) == ("numpy float32", None)
    assert facts["taxonomy"] == {"name": "literature", "version": 1}
    assert facts["seed"] == 0
    assert facts["files"]["encoder.safetensors"] == (text_artifacts / "encoder.safetensors").stat().st_size
    table = shell("inspect", "--artifacts", text_artifacts, "--format", "table").out
    for part in (
        "style 8 · complexity 8",
        "11.3 bits, hvq, found by beam 16",
        "36 works, 144 passages, texts kept",
        "nmse",
        "torch",
    ):
        assert part in table


def test_inspect_says_how_near_another_backend_came(shell, text_artifacts, tmp_path):
    copy = shutil.copytree(text_artifacts, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["embedding"]["fidelity"] = {"mean_cosine": 0.9975, "least_cosine": 0.98765, "texts": 8}
    config["embedding"]["fingerprint"] |= {"backend": "onnx", "precision": "int8"}
    (copy / "config.json").write_text(json.dumps(config))
    assert said_of(shell, copy)["computed by"] == "onnx int8, cosine 0.98765 or more with torch float32"


def test_inspect_of_bare_vectors(shell, vector_artifacts):
    facts = json.loads(shell("inspect", "--artifacts", vector_artifacts, "--format", "json").out)
    assert (facts["embedding"], facts["taxonomy"], facts["works"]) == (None, None, 0)
    assert (
        "none: trained on vectors of length 12"
        in shell("inspect", "--artifacts", vector_artifacts, "--format", "table").out
    )


def said_of(shell, artifacts):
    """The lines of the table by what stands before them."""
    lines = shell("inspect", "--artifacts", artifacts, "--format", "table").out.splitlines()
    halves = (line.strip().partition("  ") for line in lines)
    return {name: value.strip() for name, _, value in halves}


def with_results(folder, artifacts, **results):
    """A copy of artifacts whose run says something else of itself."""
    shutil.copytree(artifacts, folder)
    path = folder / "training_results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | results))
    config = json.loads((folder / "config.json").read_text())
    seal(folder, {name: value for name, value in config.items() if name != "files"})
    return folder


def test_inspect_says_how_the_ids_of_works_were_made(shell, text_artifacts, vector_artifacts, tmp_path):
    entries = json.loads((text_artifacts / "semantic_ids.json").read_text())["corpora"].values()
    distinct = len({entry["id"] for entry in entries})
    facts = shell("inspect", "--artifacts", text_artifacts).rows[0]
    assert facts["published_ids"] == distinct < 36
    assert facts["ids"]["policy"] == "none"
    assert facts["ids"]["collision_rate"]["after"] == pytest.approx(1 - distinct / 36)
    assert "alignment" in facts
    assert facts["alignment"] is None
    lines = said_of(shell, text_artifacts)
    rate = f"{1 - distinct / 36:.3f}"
    assert lines["IDs"] == f"{distinct} for 36 works, artifacts.collisions=none"
    assert lines["collisions"] == f"{rate} of works by their code, {rate} by their ID"
    assert not lines.keys() & {"kept", "aligned to", "churn"}
    bare = said_of(shell, vector_artifacts)
    assert not bare.keys() & {"IDs", "collisions", "kept"}, "vectors are of no works"

    ids = facts["ids"] | {
        "policy": "spread",
        "kept": 1200,
        "outdated": 7,
        "collision_rate": {"before": 0.5, "after": 0},
    }
    lines = said_of(shell, with_results(tmp_path / "kept", text_artifacts, ids=ids))
    assert lines["IDs"].endswith("for 36 works, artifacts.collisions=spread")
    assert lines["collisions"] == "0.500 of works by their code, 0.000 by their ID"
    assert lines["kept"] == "1,200 published earlier, 7 of them where the model has others"


def test_inspect_says_what_the_codes_are_aligned_to(shell, text_artifacts, vector_run, vector_artifacts, tmp_path):
    churn = {"before": {"whole": 0.75}, "after": {"whole": 0.125}}
    alignment = {"align_to": "old/artifacts", "matched_by": "texts", "passages": 1440, "churn": churn}
    aligned = with_results(tmp_path / "aligned", text_artifacts, alignment=alignment)
    assert shell("inspect", "--artifacts", aligned).rows[0]["alignment"] == alignment
    lines = said_of(shell, aligned)
    assert lines["aligned to"] == "old/artifacts, by 1,440 texts in common"
    assert lines["churn"] == "0.750 of codes as trained, 0.125 aligned"

    exported = Artifacts.open(export_checkpoint(next((vector_run / "checkpoints").glob("*.ckpt")), tmp_path / "a"))
    assert "aligned to" not in said_of(shell, exported.folder)
    vectors = np.load(vector_run.parent / "vectors.npy")
    align_artifacts(exported, Artifacts.open(vector_artifacts), tmp_path / "b", vectors)
    lines = said_of(shell, tmp_path / "b")
    assert lines["aligned to"] == str(vector_artifacts)
    assert "churn" not in lines, "what a run measures is not in the artifacts of a checkpoint"


def test_artifacts_without_passages_still_answer(shell, refused, vector_run, tmp_path):
    artifacts = export_checkpoint(next((vector_run / "checkpoints").glob("*.ckpt")), tmp_path / "a")
    assert shell("describe", "--artifacts", artifacts, "1-2").rows[0]["passages"] == 0
    assert shell("browse", "--artifacts", artifacts, "--format", "table").status == 0
    assert shell("inspect", "--artifacts", artifacts, "--format", "table").status == 0
    assert "holds no metrics of a training run" in refused("evaluate", "--artifacts", artifacts)
