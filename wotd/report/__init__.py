"""What people read of a run: the model card (README.md, plots/) and a page (report.html), with the same figures.

Both are made of an artifact folder alone, so that they can be made again whenever it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wotd.report.card import write_card
from wotd.report.findings import Findings
from wotd.report.page import write_page

__all__ = ["Findings", "write_report"]


def write_report(folder: Path, config: Mapping[str, Any]) -> None:
    """Write card, plots and page into an artifact folder that is being written and has all else.

    Args:
        folder: with codes, IDs and results.
        config: what its ``config.json`` will say.
    """
    findings = Findings.of(folder, config)
    write_card(findings)
    write_page(findings)
