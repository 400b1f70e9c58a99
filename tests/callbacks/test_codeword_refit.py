"""Codewords are fitted anew before each validation of a fit, and at no other time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from small_training import FAST, small_data, small_module, small_trainer
from torch import Tensor

from wotd.callbacks import CodewordRefit
from wotd.data import WOTDDataModule
from wotd.data.splits import TRAIN, VAL
from wotd.errors import ConfigurationError
from wotd.module import SemanticIDModule


class Diary(Callback):
    """What happens in which order, and the last level's points each time."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.points: list[Tensor] = []

    def _note(self, entry: str, module: SemanticIDModule) -> None:
        self.entries.append(entry)
        self.points.append(module.model.quantizer.points_2.clone())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._note("step", pl_module)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        self._note("sanity" if trainer.sanity_checking else "validation", pl_module)


def watched(data: WOTDDataModule, monkeypatch: pytest.MonkeyPatch, diary: Diary, **options: Any) -> SemanticIDModule:
    """A started module that notes its refits in the diary."""
    torch.manual_seed(0)
    module = small_module(data, optimizer=FAST, **options)
    refit = module.refit

    def noted(*arguments: Any, **keywords: Any) -> None:
        refit(*arguments, **keywords)
        diary._note("refit", module)

    monkeypatch.setattr(module, "refit", noted)
    return module


def test_each_epoch_ends_with_a_refit_that_validation_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, diary = small_data(tmp_path, batch_size=96), Diary()
    module = watched(data, monkeypatch, diary)
    small_trainer(CodewordRefit(), diary, num_sanity_val_steps=2).fit(module, datamodule=data)
    assert diary.entries == ["sanity", *["step", "step", "refit", "validation"] * 2]
    start, *points = diary.points
    for first, second, fitted, validated in (points[:4], points[4:]):
        assert torch.equal(first, start), "codewords stand still while the encoder learns"
        assert torch.equal(second, start)
        assert not torch.equal(fitted, start)
        assert torch.equal(validated, fitted)
        start = fitted


@pytest.mark.parametrize("every", [1, 2, 3])
def test_it_fits_every_so_many_epochs(every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, diary = small_data(tmp_path, batch_size=192), Diary()
    module = watched(data, monkeypatch, diary)
    small_trainer(CodewordRefit(every), diary, max_epochs=6).fit(module, datamodule=data)
    epoch = ["step", "validation"]
    last = ["step", "refit", "validation"]
    assert diary.entries == [*epoch * (every - 1), *last] * (6 // every)


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_outside_of_a_fit_it_touches_nothing(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, diary = small_data(tmp_path), Diary()
    module = watched(data, monkeypatch, diary)
    monkeypatch.setattr(SemanticIDModule, "test_step", SemanticIDModule.validation_step, raising=False)
    monkeypatch.setattr(WOTDDataModule, "test_dataloader", WOTDDataModule.val_dataloader, raising=False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    getattr(small_trainer(CodewordRefit(), diary), verb)(module, datamodule=data, verbose=False)
    assert "refit" not in diary.entries
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_it_fits_to_training_rows_and_calibrates_by_those_of_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, given = small_data(tmp_path), []
    module = small_module(data)
    monkeypatch.setattr(module, "refit", lambda *datasets: given.extend(datasets))
    small_trainer(CodewordRefit(), max_epochs=1).fit(module, datamodule=data)
    whole = [dataset[torch.arange(len(dataset))].embeddings for dataset in given]
    for embeddings, side in zip(whole, (TRAIN, VAL), strict=True):
        dataset = data.dataset(side)
        assert torch.equal(embeddings, dataset[torch.arange(len(dataset))].embeddings)


def test_codewords_that_have_followed_serve_the_encoder_better(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    module = small_module(data, dropout=0.0)
    with torch.no_grad():  # an encoder that has turned its latents since the start
        module.model.encoder.linear.weight.copy_(module.model.encoder.linear.weight.roll(1, 0))
        module.model.decoder.linear.weight.copy_(module.model.decoder.linear.weight.roll(1, 1))
    before = module.validation_loss(data.dataset(VAL))
    for _ in range(3):
        module.refit(data.dataset(TRAIN), data.dataset(VAL))
    assert module.validation_loss(data.dataset(VAL)) < 0.5 * before


def test_a_run_that_goes_on_fits_what_it_would_have_fitted(tmp_path: Path) -> None:
    """And what was drawn in the meantime does not count, for every process has drawn something else."""
    states = []
    for name, pause in (("whole", False), ("paused", True)):
        data = small_data(tmp_path / name)
        torch.manual_seed(0)
        module = small_module(data, dropout=0.5, optimizer=FAST)
        kept = ModelCheckpoint(tmp_path / name, "kept")
        options = {"enable_checkpointing": True, "max_epochs": 1 if pause else 3}
        small_trainer(CodewordRefit(), kept, **options).fit(module, datamodule=data)
        if pause:
            torch.rand(100)
            module = small_module(data, dropout=0.5, optimizer=FAST)
            trainer = small_trainer(CodewordRefit(), kept, enable_checkpointing=True, max_epochs=3)
            trainer.fit(module, datamodule=data, ckpt_path=tmp_path / name / "kept.ckpt", weights_only=True)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_epochs_draw_folds_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds that were dealt alike would let rows and codewords settle on each other."""
    data, seeds = small_data(tmp_path), []
    module = small_module(data)
    monkeypatch.setattr(module.model, "refit", lambda x, generator: seeds.append(generator.initial_seed()))
    small_trainer(CodewordRefit(), max_epochs=3).fit(module, datamodule=data)
    assert len(set(seeds)) == 3


@pytest.mark.parametrize("kind", ["hvq", "fsq"])
def test_any_quantizer_can_be_fitted_anew(kind: str, tmp_path: Path) -> None:
    data = small_data(tmp_path)
    trainer = small_trainer(CodewordRefit(), max_epochs=1)
    trainer.fit(small_module(data, quantizer={"kind": kind}), datamodule=data)
    assert float(trainer.callback_metrics["val/loss"]) < 1


@pytest.mark.parametrize("epochs", [0, -1])
def test_epochs_that_cannot_be_meant(epochs: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"codeword_refit\.every_n_epochs is {epochs}; expected 1 or more\."):
        CodewordRefit(epochs)
