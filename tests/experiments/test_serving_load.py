"""The load script for half a minute: everybody is answered, nobody waits for ever, memory does not grow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest_plugins = ("artifact_fixtures",)


@pytest.mark.nightly
def test_half_a_minute_of_load(text_artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from experiments.serving import load

    options = ("--rounds", "1", "--passages", "320", "--seconds", "30")
    monkeypatch.setattr("sys.argv", ["load", "--artifacts", str(text_artifacts), "--output", str(tmp_path), *options])
    load.main()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(results["rate"]["last_round"]["statuses"]) == ["200"]
    assert list(results["mixed"]["statuses"]) == ["200"]
    assert results["mixed"]["statuses"]["200"] > 500
    memory = results["mixed"]["memory_mib"]
    assert memory["end"] < memory["a_fifth_in"] + 50
    assert set(results["overload"]["statuses"]) <= {"200", "503"}
    assert results["overload"]["statuses"]["200"] > 0
    overload = results["overload"]["memory_mib"]
    assert overload["peak"] < overload["start"] + 300
    assert "| served, 32 clients, a text a request |" in capsys.readouterr().out
