"""The study of growth measures what it says: every case can be prepared, and slopes are those of power laws."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from experiments.growth import lookups, measures, run


@pytest.mark.parametrize("curve", run.CURVES, ids=lambda curve: f"{curve.name}, {curve.axis}")
def test_cases_fit_what_they_are_for(curve: run.Curve) -> None:
    assert list(curve.values) == sorted(curve.values)
    assert 3 <= curve.quick <= len(curve.values)
    inspect.signature(getattr(measures, curve.measure)).bind(**curve.fixed, **{curve.axis: curve.values[0]})


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_a_slope_is_the_power_of_the_last_three_points(power: float) -> None:
    assert run.slope([1, 10, 100, 1000], [0.9, 1, 10**power, 100**power]) == pytest.approx(power)


@pytest.mark.parametrize("measure", ["index_build", "ids_read", "library_open", "library_browse", "library_passages"])
def test_small_cases_run(measure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "SCRATCH", tmp_path)
    cases = {"index_build": {"rows": 500, "levels": 3, "codes": 300}, "ids_read": {"works_": 20}}
    getattr(measures, measure)(**cases.get(measure, {"passages": 500}))()


def test_questions_are_asked_and_answered_alike_by_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "SCRATCH", tmp_path)
    found = lookups.look_up(2_000, times=20)
    assert set(found["questions"]) == set(lookups.questions(0))
    assert all(0 < each["p50"] <= each["p99"] <= each["max"] for each in found["questions"].values())
    engines = lookups.engines(2_000, times=20)
    assert "Arrow compute, mapped file" in engines
