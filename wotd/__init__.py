"""Semantic IDs of literature: short, hierarchical, readable codes for passages and works.

Names are loaded when first used, so that ``import wotd`` needs neither torch nor Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wotd.encoded import EncodedText
    from wotd.inference import SemanticIDModel
    from wotd.library import Neighbor
    from wotd.pipeline import TrainingResults, train_wotd_pipeline
    from wotd.semantic_ids import SemanticID

__version__ = "0.1.0"

_HOMES = {
    "EncodedText": "wotd.encoded",
    "Neighbor": "wotd.library",
    "SemanticID": "wotd.semantic_ids",
    "SemanticIDModel": "wotd.inference",
    "TrainingResults": "wotd.pipeline",
    "train_wotd_pipeline": "wotd.pipeline",
}

__all__ = [
    "EncodedText",
    "Neighbor",
    "SemanticID",
    "SemanticIDModel",
    "TrainingResults",
    "__version__",
    "train_wotd_pipeline",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'wotd' has no attribute {name!r}")
