"""Slow tests take turns where time is short, and none is passed over in silence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from limited_time import in_turn

pytest_plugins = ["pytester"]


def test_each_turn_begins_with_another_file_and_leaves_none_out() -> None:
    items = [SimpleNamespace(path=Path(name), number=number) for number, name in enumerate("aabbbc")]
    orders = [[item.number for item in in_turn(items, turn)] for turn in range(4)]  # type: ignore[arg-type]
    assert orders == [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 0, 1], [5, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]]
    assert in_turn([], 1) == []


@pytest.mark.parametrize(("seconds", "outcomes"), [("100", {"passed": 1, "failed": 1}), ("0", {"skipped": 2})])
def test_what_is_not_run_is_said(pytester: pytest.Pytester, seconds: str, outcomes: dict[str, int]) -> None:
    pytester.makepyfile("def test_a():\n    pass\n\ndef test_b():\n    raise ValueError")
    result = pytester.runpytest_inprocess("-p", "limited_time", "--seconds", seconds, "-rs")
    result.assert_outcomes(**outcomes)
    assert ("NOT TESTED: it was not its turn within 0 seconds" in result.stdout.str()) == (seconds == "0")
