"""What is made of tensors at some cost, and kept until one of them changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

Made = TypeVar("Made")


class Derived(Generic[Made]):
    """Keeps the last thing made."""

    def __init__(self, make: Callable[..., Made]) -> None:
        """Make things of tensors by this function."""
        self._make = make
        self._kept: tuple[tuple[int, ...], Made] | None = None

    def of(self, *tensors: Tensor) -> Made:
        """What is made of these tensors, anew only where one of them is another or tells that it was written to."""
        if any(tensor.is_inference() for tensor in tensors):  # made in inference mode, they do not tell of changes
            return self._make(*tensors)
        state = tuple(number for tensor in tensors for number in (tensor.data_ptr(), tensor._version))
        if self._kept is None or self._kept[0] != state:
            self._kept = state, self._make(*tensors)
        return self._kept[1]

    def forget(self) -> None:
        """Make it anew next time, whatever the tensors tell: fused optimizers write to them in silence."""
        self._kept = None
