"""Mixed precision where the hardware has it.

Lightning takes precision from the Trainer and lets no callback change it, so this entry of the
config group is a setting that the pipeline reads when it makes the Trainer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wotd.errors import ConfigurationError

_CHOICES = ("auto", "bf16-mixed", "16-mixed", "32-true")


@dataclass(frozen=True)
class MixedPrecision:
    """Which precision to train in on CUDA; CPU and MPS stay at float32.

    ``auto`` is bf16-mixed where the card supports bfloat16 and 16-mixed where it does not.
    """

    precision: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what the pipeline would not know how to choose."""
        if self.precision not in _CHOICES:
            raise ConfigurationError(
                f"callbacks.amp.precision is '{self.precision}'; expected one of {', '.join(_CHOICES)}."
            )

    def for_accelerator(self, accelerator: str) -> str:
        """The Trainer's flag for ``cpu``, ``mps``, ``cuda`` (or ``gpu``)."""
        if accelerator not in ("cuda", "gpu"):
            return "32-true"
        if self.precision != "auto":
            return self.precision
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
