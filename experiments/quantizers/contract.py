"""What every method in this comparison is: fitted on training vectors, it encodes and decodes.

Shape letters: N rows, D embedding, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class UnsuitedError(Exception):
    """A method cannot have these level sizes; the sentence says why."""


@dataclass(frozen=True)
class Task:
    """What a method is fitted on.

    Attributes:
        path: an ``.npy`` file of N×D vectors, float32 or float16.
        level_sizes: codes per level, coarse to fine.
        seed: decides all that is drawn.
    """

    path: Path
    level_sizes: tuple[int, ...]
    seed: int

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The file's vectors, in memory."""
        return np.load(self.path).astype(np.float32)


class Fitted(Protocol):
    """A fitted method.

    Attributes:
        level_sizes: codes per level as the method has them, which may be more than was asked for.
        decodes_prefixes: whether ``decode`` takes codes of fewer levels.
        uncounted_cpu_seconds: CPU time within the fit that is not fitting, such as writing files.
    """

    level_sizes: tuple[int, ...]
    decodes_prefixes: bool
    uncounted_cpu_seconds: float

    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""

    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """What codes stand for, N×D."""
