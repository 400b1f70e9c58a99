"""Pictures are drawn when there is time for them, and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import CodebookUsage, LabelAgreement, Pictures
from wotd.errors import ConfigurationError


def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, logger: Any, **options: Any) -> list[Any]:
    seen: list[Any] = []
    monkeypatch.setattr("wotd.callbacks.pictures.show", lambda boards, name, panels, step: seen.append((name, step)))
    data = small_data(tmp_path / "data")
    trainer: lightning.Trainer = small_trainer(
        CodebookUsage(), LabelAgreement(), Pictures(share), logger=logger, max_epochs=4, **options
    )
    trainer.fit(small_module(data), datamodule=data)
    return seen


def test_at_the_end_alone_where_there_is_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = drawn(tmp_path, monkeypatch, 0.0, TensorBoardLogger(tmp_path))
    steps = {step for _, step in seen}
    assert [name for name, _ in seen] == ["val/codes_by_epoch"]
    assert len(steps) == 1
    assert max(steps) > 0


def test_after_each_validation_where_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.callbacks.pictures._FIRST_GUESS", 0.0)
    seen = drawn(tmp_path, monkeypatch, 0.99, TensorBoardLogger(tmp_path))
    assert len({step for _, step in seen}) == 4, "the last one serves as the end"


def test_not_where_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(tmp_path, monkeypatch, 0.9, CSVLogger(tmp_path)) == []
    assert drawn(tmp_path, monkeypatch, 0.9, False) == []


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_cannot_be_meant(share: float) -> None:
    with pytest.raises(ConfigurationError, match=r"callbacks\.pictures\.share is "):
        Pictures(share)
