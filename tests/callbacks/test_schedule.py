"""The learning rate: the curve of transformers, one step ahead during warm-up, the same after a resume."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from small_training import small_data, small_module, small_trainer
from transformers import get_cosine_schedule_with_warmup

from wotd.callbacks import CosineWarmup
from wotd.errors import ConfigurationError
from wotd.module import OptimizerSettings


def of_transformers(steps: int, warmup: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(("steps", "fraction"), [(100, 0.1), (37, 0.1), (20, 0.5), (1000, 0.01), (10, 0)])
def test_the_curve_is_that_of_transformers_but_for_the_warm_up(steps: int, fraction: float) -> None:
    warmup = math.ceil(fraction * steps)
    schedule = CosineWarmup(warmup_fraction=fraction)
    ours = [schedule.factor(step, steps) for step in range(steps)]
    theirs = of_transformers(steps, warmup)
    assert ours[warmup:] == pytest.approx(theirs[warmup:])
    # Theirs begins at 0, so that the first step changes nothing; ours is one step ahead until the peak.
    assert ours[:warmup] == pytest.approx([*theirs[1:warmup], 1.0][:warmup])
    assert min(ours) > 0
    assert max(ours) == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_runs(steps: int) -> None:
    assert CosineWarmup(0.1).factor(0, steps) == 1


def test_the_floor_is_where_it_ends() -> None:
    schedule = CosineWarmup(0.1, floor=0.2)
    assert schedule.factor(1000, 1000) == pytest.approx(0.2)
    assert schedule.factor(5000, 1000) == pytest.approx(0.2), "steps beyond the end do not swing back"
    assert schedule.factor(550, 1000) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "arguments", [{"warmup_fraction": 1}, {"warmup_fraction": -0.1}, {"floor": 1.5}, {"floor": -1}]
)
def test_settings_that_cannot_be_meant(arguments: dict) -> None:
    with pytest.raises(ConfigurationError, match=f"callbacks.cosine_warmup.{next(iter(arguments))} is "):
        CosineWarmup(**arguments)


class Recorded(Callback):
    """The rate each optimizer step is taken with."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.rates.append([group["lr"] for group in optimizer.param_groups])


def test_every_group_follows_it_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    optimizer = OptimizerSettings(learning_rate=0.02)
    whole, begun, rest = Recorded(), Recorded(), Recorded()
    small_trainer(CosineWarmup(), whole, max_epochs=4).fit(small_module(data, optimizer=optimizer), datamodule=data)
    steps = len(whole.rates)
    assert steps == 24
    expected = [0.02 * CosineWarmup().factor(step, steps) for step in range(steps)]
    assert [rates[0] for rates in whole.rates] == pytest.approx(expected)
    assert all(first == second for first, second in whole.rates)

    checkpoint = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    trainer = small_trainer(CosineWarmup(), begun, checkpoint, max_epochs=4, enable_checkpointing=True)
    trainer.fit(small_module(data, optimizer=optimizer), datamodule=data)
    small_trainer(CosineWarmup(), rest, max_epochs=4).fit(
        small_module(data, optimizer=optimizer), datamodule=data, ckpt_path=tmp_path / "epoch=1.ckpt"
    )
    assert rest.rates == whole.rates[12:]


def test_training_without_an_end_has_no_curve(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    with pytest.raises(ConfigurationError, match=r"trainer.max_epochs is -1.*~callbacks\.cosine_warmup"):
        small_trainer(CosineWarmup(), max_epochs=-1).fit(small_module(data), datamodule=data)
