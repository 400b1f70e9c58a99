"""The study of speed: both ceilings are above the rate, and grow with what they are ceilings of."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments.speed import run


def test_rates_stand_below_their_ceilings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "WAYS", {"32-true": ("32-true", False)})
    options = ["--rows", "2000", "--dimension", "24", "--hidden", "32", "--batch-sizes", "64,256"]
    monkeypatch.setattr(sys, "argv", ["run", "--output", str(tmp_path), *options])
    run.main()
    small, large = json.loads((tmp_path / "results.json").read_text())["rows"]
    for row in (small, large):
        assert 0 < row["rate"] < row["arithmetic"]
        assert row["rate"] < row["memory"]
        # Two networks of 24 × 32 and of what follows: forward once, backward twice, two operations each.
        assert row["operations_a_row"] > 2 * 3 * 2 * 24 * 32
    assert small["operations_a_row"] == pytest.approx(large["operations_a_row"], rel=0.05)
    assert small["memory"] < large["memory"], "weights are moved once a batch"
    assert "batches of 256, 32-true" in (tmp_path / "table.md").read_text()
