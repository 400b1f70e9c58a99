"""Data as training sees it: corpora, splits, batches."""

from wotd.data.batches import EmbeddingBatch
from wotd.data.datamodule import WOTDDataModule
from wotd.data.splits import SplitBy

__all__ = ["EmbeddingBatch", "SplitBy", "WOTDDataModule"]
