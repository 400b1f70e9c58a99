"""Mixed precision on CUDA, float32 elsewhere."""

from __future__ import annotations

import pytest
import torch

from wotd.callbacks import MixedPrecision
from wotd.errors import ConfigurationError


@pytest.mark.parametrize(
    ("precision", "accelerator", "supports_bf16", "expected"),
    [
        ("auto", "cuda", True, "bf16-mixed"),
        ("auto", "gpu", True, "bf16-mixed"),
        ("auto", "cuda", False, "16-mixed"),
        ("16-mixed", "cuda", True, "16-mixed"),
        ("bf16-mixed", "cuda", False, "bf16-mixed"),
        ("32-true", "cuda", True, "32-true"),
        ("auto", "cpu", True, "32-true"),
        ("16-mixed", "cpu", True, "32-true"),
        ("auto", "mps", True, "32-true"),
        ("bf16-mixed", "mps", True, "32-true"),
    ],
)
def test_the_flag_for_each_device(
    precision: str, accelerator: str, supports_bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supports_bf16)
    assert MixedPrecision(precision).for_accelerator(accelerator) == expected


def test_another_precision_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"callbacks\.amp\.precision is 'fp8'; expected one of auto, bf16-mixed"
    ):
        MixedPrecision("fp8")
