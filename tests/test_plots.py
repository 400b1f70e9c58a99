"""Plots show the numbers they are given, whatever is missing among them."""

from __future__ import annotations

import matplotlib.figure
import numpy as np
import pytest

from wotd.plots import plot_distortion, plot_information, plot_reliability, plot_usage


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, instead of their files."""
    figures = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, path: figures.append(figure))
    return figures


def test_the_heat_map_has_a_panel_a_side_and_a_number_a_cell(tmp_path, drawn):
    metrics = {f"{side}/ami/level_{n}/style": n / 4 for side in ("train", "test") for n in range(3)}
    metrics |= {"test/ami/level_1/era": 0.625}
    plot_information(tmp_path / "a.png", metrics, ["style", "era", "free"], ["style", "era"])
    train, test = drawn[0].axes
    assert (train.get_title(), test.get_title()) == ("train", "test")
    assert [text.get_text() for text in test.texts] == ["0.00", "–", "0.25", "0.62", "0.50", "–"]
    assert [text.get_text() for text in test.get_xticklabels()] == ["style", "era"]
    assert [text.get_text() for text in train.get_yticklabels()] == ["style", "era", "free"]


def test_the_reliability_curve_goes_through_the_full_bins(tmp_path, drawn):
    bins = {3: (0.22, 0.5, 0.25), 14: (0.97, 0.75, 0.75)}
    metrics = {
        f"val/calibration/style/bin_{index:02}/{part}": value
        for index, values in bins.items()
        for part, value in zip(("confidence", "accuracy", "share"), values, strict=True)
    }
    plot_reliability(tmp_path / "a.png", metrics, ["style"])
    _, curve = drawn[0].axes[0].get_lines()
    assert curve.get_label() == "val"
    assert curve.get_xydata().tolist() == [[0.22, 0.5], [0.97, 0.75]]


def test_many_codes_are_a_curve_and_few_are_bars(tmp_path, drawn):
    codes = np.stack([np.arange(100) % 40, np.arange(100) % 3], 1)
    plot_usage(tmp_path / "a.png", codes, [("fine", list(map(str, range(40)))), ("coarse", ["a", "b", "c"])])
    fine, coarse = drawn[0].axes
    assert not fine.patches
    assert [bar.get_width() for bar in coarse.patches] == [34, 33, 33]


def test_distortion_begins_at_the_mean(tmp_path, drawn):
    plot_distortion(tmp_path / "a.png", {"test/nmse/depth_1": 0.5, "test/nmse/depth_2": 0.25, "val/nmse/depth_1": 1}, 2)
    (curve,) = drawn[0].axes[0].get_lines()
    assert curve.get_xydata().tolist() == [[0, 1], [1, 0.5], [2, 0.25]]
