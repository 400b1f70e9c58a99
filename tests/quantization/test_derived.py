"""What is kept must never outlive what it was made of."""

from __future__ import annotations

import torch
from torch import Tensor

from wotd.quantization.derived import Derived


def test_it_is_made_anew_only_where_a_tensor_has_changed() -> None:
    made: list[float] = []
    doubled = Derived(lambda x, y: made.append(float(x + y)) or x * 2 + y)
    x, y = torch.tensor(1.0), torch.tensor(2.0)
    assert doubled.of(x, y) is doubled.of(x, y)
    x.add_(3.0)
    assert float(doubled.of(x, y)) == 10
    assert float(doubled.of(x, torch.tensor(5.0))) == 13
    assert made == [3.0, 6.0, 9.0]


def test_what_is_forgotten_is_made_anew_though_no_tensor_tells_of_a_change() -> None:
    same: Derived[Tensor] = Derived(lambda x: x.clone())
    x = torch.zeros(2)
    same.of(x)
    x.data.add_(1.0)  # as fused optimizers write
    same.forget()
    assert float(same.of(x).sum()) == 2


def test_tensors_of_inference_mode_do_not_tell_of_changes_and_nothing_made_of_them_is_kept() -> None:
    same: Derived[Tensor] = Derived(lambda x: x.clone())
    with torch.inference_mode():
        x = torch.zeros(2)
        assert float(same.of(x).sum()) == 0
        x.add_(1.0)
        assert float(same.of(x).sum()) == 2
