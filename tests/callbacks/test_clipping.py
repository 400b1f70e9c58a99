"""Gradients are cut to the norm, and both norms are logged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import GradientClipping
from wotd.errors import ConfigurationError


class Norms(Callback):
    """The norm of the gradients that stand when this callback is reached."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.logged: list[tuple[float, float]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        found = [trainer.callback_metrics.get(f"train/gradient_norm{name}") for name in ("", "_clipped")]
        if found[0] is not None:
            self.logged.append((float(found[0]), float(found[1])))


@pytest.mark.parametrize("max_norm", [1e-3, 1e6])
def test_what_the_step_uses_is_within_the_norm(tmp_path: Path, max_norm: float) -> None:
    data = small_data(tmp_path)
    before, after = Norms(), Norms()
    trainer = small_trainer(before, GradientClipping(max_norm), after, max_epochs=1, log_every_n_steps=1)
    trainer.fit(small_module(data), datamodule=data)
    assert len(before.norms) == 6
    assert after.norms == pytest.approx([min(norm, max_norm) for norm in before.norms], rel=1e-3)
    assert [norm for norm, _ in after.logged] == pytest.approx(before.norms, rel=1e-3)
    assert [clipped for _, clipped in after.logged] == pytest.approx(
        [min(norm, max_norm) for norm, _ in after.logged], rel=1e-3
    )


@pytest.mark.parametrize("max_norm", [0, -1, float("nan")])
def test_a_norm_that_cannot_be_meant(max_norm: float) -> None:
    with pytest.raises(ConfigurationError, match=r"callbacks\.gradient_clipping\.max_norm is .*; expected more than 0"):
        GradientClipping(max_norm)
