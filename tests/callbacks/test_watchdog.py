"""A run that collapses is mended or stopped with its cause said; a healthy one is not touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from broken_level import break_level
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from pipeline_runs import on_vectors
from small_training import FAST, small_data, small_module, small_trainer
from torch import Tensor

from wotd.callbacks import CodebookUsage, CosineWarmup, GradientClipping, Watchdog
from wotd.data import WOTDDataModule
from wotd.data.splits import TRAIN
from wotd.errors import ConfigurationError, TrainingError
from wotd.losses import LossWeights
from wotd.module import OptimizerSettings, SemanticIDModule
from wotd.pipeline import train_wotd_pipeline

UNMOVED = {"kind": "hvq", "revive_below": 0.0}
"""A quantizer whose dead codes stay dead, so that a broken level stays broken."""


class Break(Callback):
    """Breaks a level at the beginning of these epochs."""

    def __init__(self, *epochs: int, level: int = 1) -> None:
        self.epochs, self.level = epochs, level

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch in self.epochs:
            break_level(pl_module, self.level)


class Poison(Callback):
    """Makes a weight not a number after the last batch of an epoch, or after its second."""

    def __init__(self, epoch: int, *, last: bool) -> None:
        self.epoch, self.last = epoch, last

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and (trainer.is_last_batch if self.last else batch_idx == 1):
            with torch.no_grad():
                pl_module.model.encoder.linear.weight[0, 0] = torch.nan


def trained(folder: Path, *callbacks: Callback, module: dict[str, Any] | None = None, **options: Any) -> Any:
    """Trainer and module after training on clusters."""
    data = small_data(folder)
    torch.manual_seed(0)
    made = small_module(data, **(module or {}))
    trainer = small_trainer(*callbacks, **options)
    trainer.fit(made, datamodule=data)
    return trainer, made


def taught_module(data: WOTDDataModule) -> SemanticIDModule:
    """A started module whose first level says in which quarter the first number of a row is."""
    quarter = data.vectors[:, 0].argsort().argsort() * 4 // len(data.vectors)
    data.labels = np.stack([quarter, np.full_like(quarter, -1), np.full_like(quarter, -1)], 1)
    module = small_module(quantizer={"kind": "hvq", "taught": [0]})
    module.supervised = True
    module.start(data.dataset(TRAIN))
    return module


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the watchdog said, by first words."""
    return [" ".join(r.getMessage().split()[:3]) for r in caplog.records if r.name == "wotd.callbacks.watchdog"]


# --- levels that collapse


def test_a_level_that_collapses_is_repaired_before_it_is_validated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, module = trained(
        tmp_path, Break(1), Watchdog(), CodebookUsage(), module={"quantizer": UNMOVED}, max_epochs=2
    )
    assert said(caplog) == ["level 1 has", "started all codewords"]
    assert "set model.quantizer.revive_below, which is 0, to 0.02" in caplog.text
    assert "started all codewords anew, since levels 1 had collapsed" in caplog.text
    assert float(trainer.callback_metrics["val/level_1/perplexity"]) > 2
    assert all(bool((getattr(module.model.quantizer, f"points_{level}").abs() < 100).all()) for level in range(3))


def test_a_repair_is_the_seeds(tmp_path: Path) -> None:
    """Fails where it draws from torch's own generator, which processes do not share."""
    states = []
    for name, drawn in (("one", 0), ("other", 100)):
        data = small_data(tmp_path / name)
        torch.manual_seed(0)
        module = small_module(data, quantizer=UNMOVED)
        torch.rand(drawn)
        small_trainer(Break(1), Watchdog(), max_epochs=2).fit(module, datamodule=data)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_repair_spares_what_taught_levels_have_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Keys(Callback):
        """Notes the keys of the taught level at the end of each epoch."""

        def __init__(self, seen: list[Tensor]) -> None:
            self.seen = seen

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if trainer.is_last_batch:
                self.seen.append(pl_module.model.quantizer.readings["0"].keys_KM.detach().clone())

    data = small_data(tmp_path)
    module = taught_module(data)
    before, after = Keys([]), Keys([])
    small_trainer(Break(1), before, Watchdog(), after, max_epochs=2).fit(module, datamodule=data)
    assert said(caplog) == ["level 1 has", "started all codewords"]
    assert all(torch.equal(one, other) for one, other in zip(before.seen, after.seen, strict=True))


def test_without_a_watchdog_it_would_stay_collapsed(tmp_path: Path) -> None:
    trainer, _ = trained(tmp_path, Break(1), CodebookUsage(), module={"quantizer": UNMOVED}, max_epochs=4)
    assert float(trainer.callback_metrics["val/level_1/perplexity"]) == 1


@pytest.mark.parametrize(
    ("action", "epochs", "sayings"),
    [
        ("repair", 3, ["level 1 has", "started all codewords"] * 2 + ["level 1 has", "stopping after epoch"]),
        ("stop", 3, ["level 1 has"] * 3 + ["stopping after epoch"]),
        ("warn", 5, ["level 1 has"] * 5),
    ],
)
def test_what_goes_on_ends_training_in_good_order(
    action: str, epochs: int, sayings: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callbacks = (Break(*range(5)), Watchdog(action), CodebookUsage())
    trainer, _ = trained(tmp_path, *callbacks, module={"quantizer": UNMOVED}, max_epochs=5)
    assert trainer.current_epoch == epochs
    assert said(caplog) == sayings
    assert "val/loss" in trainer.callback_metrics, "the last epoch is validated too"
    if action != "warn":
        assert "stopping after epoch 3: 3 epochs in a row were unhealthy, more than callbacks.watchdog." in caplog.text


def test_healthy_epochs_between_unhealthy_ones_begin_the_count_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, _ = trained(tmp_path, Break(0, 2, 4), Watchdog(patience=1), module={"quantizer": UNMOVED}, max_epochs=6)
    assert trainer.current_epoch == 6
    assert said(caplog).count("started all codewords") == 3


def test_a_level_that_never_lived_is_named_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = small_data(tmp_path)
    module = small_module(data, quantizer=UNMOVED)
    break_level(module, 2)
    trainer = small_trainer(Watchdog(patience=0), max_epochs=3)
    trainer.fit(module, datamodule=data)
    assert trainer.current_epoch == 3
    assert said(caplog) == ["level 2 has"]


def test_a_taught_level_is_named_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Forget(Callback):
        """All keys but one of the taught level out of reach, at the beginning of each epoch but the first."""

        def on_train_epoch_start(self, trainer, pl_module) -> None:
            if trainer.current_epoch:
                pl_module.model.quantizer.readings["0"].keys_KM.data[1:] = 1e3

    data = small_data(tmp_path)
    module = taught_module(data)
    trainer = small_trainer(Forget(), Watchdog(patience=0, explosion=1e9), max_epochs=3)
    trainer.fit(module, datamodule=data)
    assert trainer.current_epoch == 3
    assert said(caplog) == ["level 0 has"] * 2
    assert "see what labels the texts have" in caplog.text


def test_a_quantizer_without_codebooks_is_stopped_unrepaired(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Flatten(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            pl_module.model.quantizer.read.weight.data[1] = 0

    settings = {"quantizer": {"kind": "fsq"}, "level_sizes": [5, 5, 5], "optimizer": OptimizerSettings(1e-5)}
    trainer, _ = trained(tmp_path, Flatten(), Watchdog(patience=1), module=settings, max_epochs=5)
    assert trainer.current_epoch == 2
    assert said(caplog) == ["level 1 has", "level 1 has", "stopping after epoch"]


# --- losses


def test_a_loss_that_explodes_names_the_learning_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"optimizer": OptimizerSettings(learning_rate=3.0)}
    trainer, _ = trained(tmp_path, GradientClipping(), Watchdog(patience=1), module=settings, max_epochs=9)
    assert trainer.current_epoch == 2
    assert "the training loss explodes (loss " in caplog.text
    assert "gradients of norm " in caplog.text
    assert "the learning rate of 3 is too high; lower model.optimizer.learning_rate (3), or warm up" in caplog.text


def test_a_loss_near_or_below_zero_may_multiply(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(patience=0)
    watchdog.load_state_dict({"lived": [], "least": -0.01, "unhealthy": 0, "total": None, "batches": 0})
    trainer, _ = trained(tmp_path, watchdog, max_epochs=2)
    assert trainer.current_epoch == 2
    assert said(caplog) == []


def test_a_heavy_loss_is_named_instead(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"optimizer": OptimizerSettings(learning_rate=3.0), "losses": LossWeights(commitment=50.0)}
    trained(tmp_path, CosineWarmup(), Watchdog(action="warn"), module=settings, max_epochs=2)
    assert "model.losses.commitment is 50, which outweighs all else; lower it." in caplog.text


@pytest.mark.parametrize("last", [False, True])
def test_what_is_not_finite_ends_in_an_error_and_leaves_what_was_saved(tmp_path: Path, last: bool) -> None:
    kept = ModelCheckpoint(tmp_path, "last", save_on_exception=True)
    words = "the weights are no longer finite" if last else "the training loss is not finite"
    with pytest.raises(TrainingError, match=f"^{words} .*lower model.optimizer.learning_rate .*are kept.$") as caught:
        trained(tmp_path, Poison(1, last=last), Watchdog(), kept, max_epochs=3, enable_checkpointing=True)
    assert "\n" not in str(caught.value)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 6, "the epoch before"
    assert all(bool(torch.isfinite(value).all()) for value in checkpoint["state_dict"].values())


def test_a_run_whose_loss_is_not_finite_leaves_its_start(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the training loss is not finite .*lower model.optimizer.learning_rate"):
        train_wotd_pipeline(on_vectors(tmp_path, "model.optimizer.learning_rate=1e30"), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["start.ckpt"]


def test_a_stopped_run_still_leaves_artifacts_of_its_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    overrides = on_vectors(tmp_path, "model.optimizer.learning_rate=3", "callbacks.watchdog.patience=0")
    results = train_wotd_pipeline(overrides, tmp_path / "run")
    assert results.counts["epochs"] == 1
    assert results.checkpoint.name == "start.ckpt"
    assert results.metrics["test/nmse"] < 0.5
    assert "stopping after epoch 1" in caplog.text


# --- healthy runs


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({}, {"precision": "bf16-mixed"}),
        ({"quantizer": {"kind": "fsq"}}, {}),
        pytest.param({"compile": True}, {}, marks=pytest.mark.nightly),
    ],
    ids=["hvq", "mixed precision", "fsq", "compiled"],
)
def test_a_healthy_run_is_not_touched(
    settings: dict[str, Any], options: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = []
    for watch in ([], [Watchdog()]):
        module: SemanticIDModule
        _, module = trained(tmp_path, *watch, module={"dropout": 0.5, "optimizer": FAST, **settings}, **options)
        states.append(module.state_dict())
    assert said(caplog) == []
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_run_that_goes_on_judges_as_before(tmp_path: Path) -> None:
    watchdog, other = Watchdog(), Watchdog()
    trained(tmp_path, Break(1), watchdog, module={"quantizer": UNMOVED})
    state = watchdog.state_dict()
    assert state["unhealthy"] == 1
    assert state["lived"] == [0, 1, 2]
    other.load_state_dict(state)
    assert other.state_dict() == state


@pytest.mark.parametrize(
    "settings",
    [
        {"action": "bark"},
        {"patience": -1},
        {"perplexity_below": 0.5},
        {"perplexity_below": 2.0},
        {"share_below": 1.0},
        {"explosion": 1.0},
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any]) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(ConfigurationError, match=rf"callbacks\.watchdog\.{name} is '?{value}'?; expected "):
        Watchdog(**settings)
