"""``wotd align``: what it writes, prints and refuses; what aligning means is tested with the library."""

from __future__ import annotations

import numpy as np
import pytest
from made_artifacts import make_vector_artifacts, started, write

from wotd.artifacts import Artifacts

pytest_plugins = ["artifact_fixtures"]


@pytest.fixture
def pair(tmp_path):
    """Two models of the same vectors, started apart."""
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    new = write(tmp_path / "new", started(x, (4, 3, 2), seed=4), x)
    return new, make_vector_artifacts(tmp_path / "old"), tmp_path / "x.npy"


def test_aligned_artifacts_say_what_changed(shell, pair, tmp_path):
    new, old, x = pair
    given = ("align", "--artifacts", new, "--to", old, "--output", tmp_path / "out", "--vectors", x)
    (row,) = shell(*given).rows
    assert (row["artifacts"], row["align_to"]) == (str(tmp_path / "out"), str(old))
    assert (row["passages"], row["matched_by"]) == (60, "vectors")
    codes = [np.array(Artifacts.open(folder).codes()["code"].to_pylist()) for folder in (old, new, tmp_path / "out")]
    assert row["churn"]["before"]["per_level"] == pytest.approx((codes[1] != codes[0]).mean(0).tolist())
    assert row["churn"]["after"]["per_level"] == pytest.approx((codes[2] != codes[0]).mean(0).tolist())
    table = shell(*given, "--format", "table").out
    assert table.startswith("60 vectors in common; share whose code differs")
    assert len(table.splitlines()) == 7


def test_what_cannot_be_aligned_is_one_sentence(refused, shell, pair, text_artifacts, tmp_path):
    new, old, x = pair
    out = ("--output", tmp_path / "out")
    assert "give vectors that both read" in refused("align", "--artifacts", new, "--to", old, *out)
    assert "of another embedding model" not in refused("align", "--artifacts", new, "--to", old, *out)
    assert "has levels of [8, 8, 8, 5] codes" in refused("align", "--artifacts", new, "--to", text_artifacts, *out)
    np.save(x, np.ones((3, 5), dtype=np.float32))
    sentence = refused("align", "--artifacts", new, "--to", old, *out, "--vectors", x)
    assert "--vectors has vectors of length 5" in sentence
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    np.save(x, np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32))
    assert "which would be lost" in refused("align", "--artifacts", new, "--to", old, *out, "--vectors", x)
