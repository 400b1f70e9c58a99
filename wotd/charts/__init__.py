"""Pictures of codes, labels and training, each made once: as a PNG for a card, live in a report, an image in a log.

A picture is a Vega-Lite chart, or several side by side (*panels*). Metrics come by name, as :mod:`wotd.evaluation`
and ``training_results.json`` have them: ``test/nmse``.
"""

from wotd.charts.codes import SIDES, distortion, usage, usage_by_epoch
from wotd.charts.drawing import Chart, Panels, page_script, png, save_png
from wotd.charts.hierarchy import rings_of, sunburst
from wotd.charts.labels import confusion, confusion_counts, frontier, information, reliability
from wotd.charts.passages import passage_map
from wotd.charts.runs import MOST_RUNS, trade_off, values_by_run, values_by_setting

__all__ = [
    "MOST_RUNS",
    "SIDES",
    "Chart",
    "Panels",
    "confusion",
    "confusion_counts",
    "distortion",
    "frontier",
    "information",
    "page_script",
    "passage_map",
    "png",
    "reliability",
    "rings_of",
    "save_png",
    "sunburst",
    "trade_off",
    "usage",
    "usage_by_epoch",
    "values_by_run",
    "values_by_setting",
]
