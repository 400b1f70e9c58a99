"""Data as training sees it: corpora, splits, batches.

Names are loaded when first used, so that who only reads vectors needs no Lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wotd.data.batches import EmbeddingBatch
    from wotd.data.datamodule import WOTDDataModule
    from wotd.data.splits import SplitBy

_HOMES = {"EmbeddingBatch": "batches", "SplitBy": "splits", "WOTDDataModule": "datamodule"}

__all__ = ["EmbeddingBatch", "SplitBy", "WOTDDataModule"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
