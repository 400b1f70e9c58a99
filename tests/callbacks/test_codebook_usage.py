"""Use of the codebooks over a whole validation, by the names that TensorBoard shows."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from broken_level import break_level
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import CodebookUsage
from wotd.data.splits import VAL
from wotd.errors import ConfigurationError


def test_each_level_is_counted_over_all_batches(tmp_path: Path) -> None:
    data = small_data(tmp_path, rows=12_000)  # 1,200 rows of validation are two batches
    module = small_module(data)
    trainer = small_trainer(CodebookUsage(), max_epochs=1, limit_train_batches=2)
    trainer.fit(module, datamodule=data)
    codes_NL = module.model.encode(torch.from_numpy(np.array(data.vectors[data.rows(VAL)]))).numpy()
    for level in range(3):
        counts = np.bincount(codes_NL[:, level], minlength=4)
        shares = counts[counts > 0] / counts.sum()
        logged = {
            name: float(trainer.callback_metrics[f"val/level_{level}/{name}"])
            for name in ("perplexity", "usage", "dead", "entropy", "revived")
        }
        assert logged["perplexity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
        assert logged["usage"] == (counts > 0).mean()
        assert logged["dead"] == (counts == 0).sum()
        assert logged["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), rel=1e-5)
        assert logged["revived"] == 0


def test_a_collapsed_level_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = small_data(tmp_path)
    module = small_module(data)
    for level in (1, 2):
        break_level(module, level)
    with caplog.at_level(logging.WARNING, logger="wotd"):
        small_trainer(CodebookUsage(warn_below=0.3)).validate(module, datamodule=data, verbose=False)
    warnings = [record.getMessage()[:8] for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["level 1 ", "level 2 "]
    assert "uses 1.0 of 4 codes (perplexity), 3 are dead" in caplog.text


def test_healthy_levels_are_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = small_data(tmp_path)
    with caplog.at_level(logging.WARNING, logger="wotd"):
        small_trainer(CodebookUsage()).fit(small_module(data), datamodule=data)
    assert not caplog.records


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_cannot_be_meant(share: float) -> None:
    with pytest.raises(ConfigurationError, match=r"callbacks\.codebook_usage\.warn_below is "):
        CodebookUsage(share)


def test_codes_that_come_back_are_revived(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    usage = CodebookUsage()
    module = small_module(data)
    trainer = small_trainer(usage, max_epochs=1)
    trainer.fit(module, datamodule=data)
    (counts,) = usage.history
    used = [int((counts_K > 0).sum()) for counts_K in counts]
    again = CodebookUsage()
    again.load_state_dict({"sizes": [4, 4, 4], "history": [torch.tensor([9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0]).int()]})
    trainer = small_trainer(again, max_epochs=1, limit_train_batches=1)
    trainer.fit(module, datamodule=data)
    assert len(again.history) == 2
    for level, counts_K in enumerate(again.history[1]):
        expected = int((counts_K[1:] > 0).sum())
        assert float(trainer.callback_metrics[f"val/level_{level}/revived"]) == expected
        assert expected > 0 or used[level] == 1


def test_the_counts_of_all_epochs_outlast_a_checkpoint(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    usage = CodebookUsage()
    small_trainer(usage, max_epochs=3).fit(small_module(data), datamodule=data)
    torch.save(usage.state_dict(), tmp_path / "state.pt")
    other = CodebookUsage()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert len(other.history) == 3
    for ours, theirs in zip(usage.history, other.history, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    empty = CodebookUsage()
    empty.load_state_dict(CodebookUsage().state_dict())
    assert empty.history == []
