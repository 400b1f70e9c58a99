"""How codes and labels come together over a whole validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from small_training import small_data, small_module, small_trainer

from wotd.callbacks import LabelAgreement
from wotd.metrics import Contingency, adjusted_mutual_information, information_of_counts


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_counts_are_those_of_the_whole_however_it_is_cut(seed: int, parts: int) -> None:
    generator = np.random.default_rng(seed)
    codes, labels = generator.integers(0, 4, (60, 2)), generator.integers(-1, 3, (60, 2))
    metric = Contingency((4, 4), (3, 3))
    for part in np.array_split(np.arange(60), parts):
        metric.update(torch.from_numpy(codes[part]), torch.from_numpy(labels[part]))
    counts = [[each.numpy() for each in row] for row in metric.compute()]
    for level in range(2):
        for column in range(2):
            known = labels[:, column] >= 0
            expected = confusion_matrix(labels[known, column], codes[known, level], labels=range(4))[:3]
            np.testing.assert_array_equal(counts[level][column], expected)
    np.testing.assert_allclose(information_of_counts(counts), adjusted_mutual_information(codes, labels))


def test_where_nothing_is_known_nothing_is_told() -> None:
    metric = Contingency((4,), (3,))
    metric.update(torch.zeros(5, 1, dtype=torch.int64), torch.full((5, 1), -1))
    counts = [[each.numpy() for each in row] for row in metric.compute()]
    assert counts[0][0].sum() == 0
    assert np.isnan(information_of_counts(counts)).all()


def test_without_labels_nothing_is_logged(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    callback = LabelAgreement()
    trainer = small_trainer(callback, max_epochs=1)
    trainer.fit(small_module(data), datamodule=data)
    assert callback.taxonomy is None
    assert not [name for name in trainer.callback_metrics if "agreement" in name]
