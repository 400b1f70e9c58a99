"""Runs side by side as a page."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from wotd import charts
from wotd.report.comparison import comparison_page


def run(name: str, nmse: float | None, *overrides: str, embedding: str = "some/minilm") -> dict[str, Any]:
    measured = {} if nmse is None else {"val/nmse": nmse, "val/agreement/style/accuracy": 1 - nmse}
    return {
        "run": f"outputs/sweep/{name}",
        "overrides": list(overrides),
        "command": f"python -m wotd.train +experiment=minilm 'x=<b>{name}</b>'",
        "embedding": embedding,
        **measured,
    }


RUNS = [
    run("7", 0.25, "data.batch_size=64", "embedding=minilm"),
    run("10", 0.5, "data.batch_size=128", "embedding=minilm"),
    run("11", 0.75, "embedding=lsa", embedding="lsa"),
    run("12", None, "data.batch_size=64", embedding="lsa"),
]


@pytest.fixture(scope="module")
def page() -> str:
    return comparison_page(RUNS, "val/nmse", ["outputs/sweep/13 failed: <i>no memory</i>"])


def drawn(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="drawn">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    shown: dict[str, Any] = json.loads(found[1])
    return shown


def test_runs_are_drawn_the_best_first(page: str) -> None:
    panel = drawn(page)["measured-0"]
    assert panel["title"] == "val/nmse"
    assert panel["encoding"]["y"]["sort"] == ["7", "10", "11", "12"]
    assert [(p["run"], p["group"], p["value"]) for p in panel["data"]["values"]] == [
        ("7", "minilm", 0.25), ("10", "minilm", 0.5), ("11", "lsa", 0.75),
    ]  # fmt: skip


def test_settings_are_drawn_by_what_they_were_set_to(page: str) -> None:
    panels = {panel["title"]: panel for name, panel in drawn(page).items() if name.startswith("settings-")}
    assert set(panels) == {"data.batch_size", "embedding"}
    batch = panels["data.batch_size"]
    assert batch["encoding"]["y"]["sort"] == ["64", "128", "as it is"]
    assert [(p["setting"], p["value"]) for p in batch["data"]["values"]] == [
        ("64", 0.25),
        ("128", 0.5),
        ("as it is", 0.75),
    ]


def test_the_best_the_command_and_the_unfinished_are_named(page: str) -> None:
    assert "best by val/nmse (least, 0.2500): outputs/sweep/7" in page
    assert "<pre>python -m wotd.train +experiment=minilm &#39;x=&lt;b&gt;7&lt;/b&gt;&#39;</pre>" in page
    assert "outputs/sweep/13 failed: &lt;i&gt;no memory&lt;/i&gt;" in page
    assert "<td>0.250</td><td>0.750</td>" in page


def test_one_run_alone_is_shown_too() -> None:
    page = comparison_page(RUNS[:1], "val/nmse")
    assert set(drawn(page)) == {"measured-0", "measured-1"}
    assert 'id="settings"' not in page


def test_runs_of_several_folders_are_told_apart() -> None:
    runs = [{**RUNS[0], "run": "a/0"}, {**RUNS[1], "run": "b/0"}]
    assert drawn(comparison_page(runs, "val/nmse"))["measured-0"]["encoding"]["y"]["sort"] == ["a/0", "b/0"]


def test_the_charts_can_be_drawn() -> None:
    values, names, groups = [0.25, 0.5, None], ["a", "b", "c"], ["x", "y", "x"]
    for panels in (
        charts.values_by_run({"val/nmse": values}, names, groups),
        charts.values_by_setting("val/nmse", {"seed": ["0", "1", None]}, values),
        charts.trade_off(("p", values), ("q", [1.0, 2.0, 3.0]), names, groups),
    ):
        assert charts.png(panels).startswith(b"\x89PNG")
    assert charts.trade_off(("p", values), ("q", [None, 2.0, 3.0]), names, groups) == []
