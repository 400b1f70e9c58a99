"""The script that measures assigning runs, and prints what it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest_plugins = ("artifact_fixtures",)


@pytest.mark.slow
def test_a_round(text_artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from experiments.assignment import run

    options = ("--rounds", "1", "--texts", "64", "--vectors", "5000")
    monkeypatch.setattr("sys.argv", ["run", "--artifacts", str(text_artifacts), "--output", str(tmp_path), *options])
    run.main()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    ways = {way["name"]: way for way in results["ways"]}
    assert [way["ratio"] for way in ways.values() if not way["whole"]] == [1, 1]
    assert all(way["per_second"] > 0 and way["cpu_ratio"] > 0 for way in ways.values())
    assert ways["vectors assigned, .npy"]["ratio"] > 0.2
    bare = ways["vectors in memory encoded, and nothing else"]
    for way in (way for name, way in ways.items() if name.startswith("vectors")):
        assert way["ratio"] == pytest.approx(way["per_second"] / bare["per_second"])
    assert (tmp_path / "table.md").read_text(encoding="utf-8") in capsys.readouterr().out
