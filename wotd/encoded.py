"""What a model says of texts and rows when it encodes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.semantic_ids import SemanticID


@dataclass(frozen=True)
class EncodedText:
    """What the model says of one text.

    Attributes:
        code: one index per level, or fewer where ``min_confidence`` cut it short.
        id: its text form.
        names: names of the codes, level by level; indices as text where levels have no names.
        confidence: probability of each index given the level's input, 0 to 1; calibrated on levels that labels
            teach, elsewhere a softmax of distances in units of the gap between the two nearest codes.
        out_of_domain: whether the text lies farther from what the model was trained on than 95 % of unseen
            passages do; None where it never saw any to compare with.
        error: squared error of the code's reconstruction over the variance of the training data.
        facts: what the taxonomy's rules say of the passage itself, for each level that rests on what can be
            measured on it: level, fact, value, and the code and name that the rule gives. A code is what the model
            takes the work for; a fact is what these very words measure.
    """

    code: list[int]
    id: str
    names: list[str]
    confidence: list[float]
    out_of_domain: bool | None
    error: float
    facts: list[dict[str, Any]] = field(default_factory=list)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON lines carry it."""
        return asdict(self)

    def confident(self, min_confidence: float | None) -> EncodedText:
        """The same, its ID cut before the first level that is less sure than this; None cuts nothing."""
        if min_confidence is None:
            return self
        depth = next((level for level, sure in enumerate(self.confidence) if sure < min_confidence), len(self.code))
        return replace(
            self,
            code=self.code[:depth],
            id=str(SemanticID(tuple(self.code[:depth]))),
            names=self.names[:depth],
            confidence=self.confidence[:depth],
        )


@dataclass(frozen=True)
class EncodedRows:
    """What the model says of N rows, as arrays; see :class:`EncodedText`.

    Attributes:
        codes: int64 N×L.
        confidence: float64 N×L, six digits.
        error: float64 N, six digits.
        out_of_domain: bool N; None where the model never saw any rows to compare with.
    """

    codes: NDArray[np.int64]
    confidence: NDArray[np.float64]
    error: NDArray[np.float64]
    out_of_domain: NDArray[np.bool_] | None
