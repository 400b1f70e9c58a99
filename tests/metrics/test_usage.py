"""Use of codebooks: perplexity, share in use, dead codes, over batches and processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from wotd.metrics import CodebookUsage, level_usage


@pytest.mark.parametrize("size", [2, 5, 256])
def test_perplexity_is_the_number_of_codes_when_uniform(size: int) -> None:
    usage = level_usage(torch.full((size,), 7))
    assert usage.perplexity == pytest.approx(size)
    assert (usage.usage, usage.dead) == (1.0, 0)
    assert usage.gini == pytest.approx(0)


@pytest.mark.parametrize("count", [1, 10**12])
def test_perplexity_is_one_when_collapsed(count: int) -> None:
    usage = level_usage(torch.tensor([0, count, 0, 0]))
    assert usage.perplexity == pytest.approx(1)
    assert (usage.usage, usage.dead) == (0.25, 3)
    assert usage.gini == pytest.approx(1 - 1 / 4)


def test_perplexity_is_not_a_number_when_nothing_was_counted() -> None:
    usage = level_usage(torch.zeros(4, dtype=torch.int64))
    assert math.isnan(usage.perplexity)
    assert math.isnan(usage.gini)
    assert (usage.usage, usage.dead) == (0.0, 4)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=20).filter(any))
def test_it_agrees_with_scipy(counts: list[int]) -> None:
    usage = level_usage(torch.tensor(counts))
    assert usage.perplexity == pytest.approx(np.exp(entropy(counts)))
    assert 1 - 1e-9 <= usage.perplexity <= len(counts) + 1e-9
    assert usage.usage == np.mean(np.array(counts) > 0)
    assert usage.dead == counts.count(0)
    gaps = np.abs(np.subtract.outer(counts, counts)).mean()
    assert usage.gini == pytest.approx(gaps / (2 * np.mean(counts)), abs=1e-9)


def codes(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack(
        [torch.randint(3, (rows,), generator=generator), torch.randint(9, (rows,), generator=generator)], 1
    )


def test_the_metric_agrees_with_the_function_over_batches() -> None:
    metric, every = CodebookUsage([4, 9]), codes(50)
    for batch in (every[:1], every[1:20], every[20:20], every[20:]):
        metric.update(batch)
    for level, size in enumerate((4, 9)):
        counts = torch.bincount(every[:, level], minlength=size)
        assert torch.equal(metric.counts()[level], counts)
        assert metric.compute()[level] == level_usage(counts)


def test_states_of_two_processes_add_up() -> None:
    one, two, both = CodebookUsage([4, 9]), CodebookUsage([4, 9]), CodebookUsage([4, 9])
    one.update(codes(30, 1))
    two.update(codes(20, 2))
    both.update(torch.cat([codes(30, 1), codes(20, 2)]))
    one.merge_state(two)
    assert one.compute() == both.compute()


def test_it_starts_anew_after_a_reset() -> None:
    metric = CodebookUsage([4, 9])
    metric.update(codes(30))
    metric.reset()
    assert [counts.tolist() for counts in metric.counts()] == [[0] * 4, [0] * 9]


def test_codes_of_another_number_of_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        CodebookUsage([4, 9]).update(torch.zeros(3, 1, dtype=torch.int64))
