"""Charts show the numbers they are given, whatever is missing among them."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from wotd import charts


def values(chart: dict) -> list[dict]:
    return chart["data"]["values"]


def test_the_heat_map_has_a_panel_a_side_and_a_number_a_cell():
    metrics = {f"{side}/ami/level_{n}/style": n / 4 for side in ("train", "test") for n in range(3)}
    metrics |= {"test/ami/level_1/era": 0.625, "test/ami/level_0/era": math.nan}
    train, test = charts.information(metrics, ["style", "era", "free"], ["style", "era"])
    assert (train["title"], test["title"]) == ("AMI, train", "AMI, test")
    assert [cell["value"] for cell in values(test)] == [0, None, 0.25, 0.625, 0.5, None]
    assert test["encoding"]["y"]["sort"] == ["style", "era", "free"]


def test_the_reliability_curve_goes_through_the_full_bins():
    bins = {3: (0.22, 0.5, 0.25), 14: (0.97, 0.75, 0.75)}
    metrics = {
        f"val/calibration/style/bin_{index:02}/{part}": value
        for index, parts in bins.items()
        for part, value in zip(("confidence", "accuracy", "share"), parts, strict=True)
    }
    (panel,) = charts.reliability(metrics, ["style", "era"])
    points = [tuple(point.values()) for point in values(panel["layer"][1])]
    assert points == [("val", 0.22, 0.5, 0.25), ("val", 0.97, 0.75, 0.75)]


def test_many_codes_are_a_curve_and_few_are_bars():
    codes = np.stack([np.arange(100) % 40, np.arange(100) % 3], 1)
    fine, coarse = charts.usage(codes, [("fine", list(map(str, range(40)))), ("coarse", ["a", "b", "c"])])
    assert [point["passages"] for point in values(fine)] == [3] * 20 + [2] * 20
    assert [(bar["code"], bar["passages"]) for bar in values(coarse)] == [("0 a", 34), ("1 b", 33), ("2 c", 33)]


def test_a_curve_of_very_many_codes_stays_small():
    (panel,) = charts.usage(np.arange(65536)[:, None], [("fine", list(map(str, range(65536))))])
    assert len(values(panel)) <= 512
    assert values(panel)[-1]["rank"] == 65536


def test_distortion_begins_at_the_mean_and_leaves_out_a_side_that_was_not_measured():
    metrics = {"test/nmse/depth_1": 0.5, "test/nmse/depth_2": 0.25, "val/nmse/depth_1": 1, "train/nmse/depth_1": 1}
    (panel,) = charts.distortion({**metrics, "train/nmse/depth_2": math.nan}, [4, 8])
    assert [(p["side"], p["levels"], p["bits"], p["nMSE"]) for p in values(panel)] == [
        ("test", 0, 0, 1), ("test", 1, 2, 0.5), ("test", 2, 5, 0.25),
    ]  # fmt: skip


def test_confusion_counts_known_labels_by_label_and_code():
    labels, codes = np.array([0, 0, 0, 2, -1]), np.array([0, 1, 1, 2, 1])
    counts = charts.confusion_counts(codes, labels, 3)
    assert counts.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1]]
    (panel,) = charts.confusion("style", counts, ["a", "b", "c"], "test")
    shares = {(cell["label"], cell["code"]): cell["value"] for cell in values(panel)}
    assert shares["a", "b"] == pytest.approx(2 / 3)
    assert shares["b", "a"] is None, "no row has that label"
    assert charts.confusion("style", np.zeros((3, 3), np.int64), ["a", "b", "c"], "test") == []


def test_arcs_lie_outside_of_the_prefix_they_go_on_from():
    codes = np.random.default_rng(0).integers(0, 3, (500, 4))
    (panel,) = charts.sunburst(codes, [(f"level_{n}", ["a", "b", "c"]) for n in range(4)])
    arcs = {arc["ID"]: arc for arc in values(panel)}
    assert {arc["ring"] for arc in arcs.values()} == {0, 1, 2}
    for name, arc in arcs.items():
        assert arc["end"] - arc["start"] == pytest.approx(math.tau * arc["passages"] / 500)
        if arc["ring"]:
            inner = arcs[name.rpartition("-")[0]]
            assert inner["start"] - 1e-9 <= arc["start"] < arc["end"] <= inner["end"] + 1e-9
            assert arc["inner"] >= inner["outer"]
    for ring in range(3):
        assert sum(arc["passages"] for arc in arcs.values() if arc["ring"] == ring) == 500


def test_a_ring_of_too_many_arcs_is_left_out():
    codes = np.stack([np.arange(4096) % 16, np.arange(4096) // 16, np.arange(4096)], 1)
    (panel,) = charts.sunburst(codes, [(f"level_{n}", list(map(str, range(4096)))) for n in range(3)])
    assert {arc["ring"] for arc in values(panel)} == {0}


def test_the_frontier_has_a_curve_a_level_and_tells_which_point_is_ours():
    points = [{"weight": 1.0, "nmse": 0.9, "style": 0.5}, {"weight": 9.0, "nmse": 0.8, "style": 0.4, "era": 0.25}]
    (panel,) = charts.frontier(points, ["style", "era"], 9.0)
    assert [(p["level"], p["accuracy"], p["nMSE"]) for p in values(panel)] == [
        ("style", 0.5, 0.9), ("style", 0.4, 0.8), ("era", 0.25, 0.8),
    ]  # fmt: skip
    assert panel["layer"][1]["encoding"]["size"]["condition"]["test"] == "datum.weight == 9.0"
    assert charts.frontier([], ["style"], 1.0) == []


def test_shares_of_an_epoch_add_up():
    (panel,) = charts.usage_by_epoch("style", np.array([[1, 3], [0, 0]]))
    assert [cell["share"] for cell in values(panel)] == [0.25, 0.75, 0, 0]


@pytest.mark.parametrize(
    "panels",
    [
        charts.usage(np.zeros((5, 1), np.int64), [("one", ["only"])]),
        charts.usage_by_epoch("style", np.array([[1, 3], [2, 2]])),
        charts.confusion("style", np.eye(3, dtype=np.int64), ["a", "b", "c"], "val"),
        charts.sunburst(np.array([[0, 1], [1, 0]]), [("a", ["x", "y"]), ("b", ["0", "1"])]),
        charts.passage_map([{"x": 0.0, "y": 1.0, "level_0": "0 a", "ID": "0"}], ["style"], "map"),
        charts.frontier([{"weight": 1.0, "nmse": 0.9, "style": 0.5}], ["style"], 1.0),
        charts.distortion({"val/nmse/depth_1": 0.5}, [4]),
    ],
    ids=["usage", "by_epoch", "confusion", "sunburst", "map", "frontier", "distortion"],
)
def test_each_can_be_drawn_without_a_browser(panels, tmp_path):
    charts.save_png(tmp_path / "a.png", panels)
    image = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).convert("RGB")
    assert len(image.getcolors(1 << 20)) > 8, "there is something on it"
