"""The regression on indicators of codes against scikit-learn and against the normal equations written out."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from clustered_latents import rows, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor

from wotd.errors import ConfigurationError
from wotd.quantization import ridge
from wotd.quantization.ridge import CodewordRidge, NormalEquations

DIM = 3
LEVEL_SIZES = st.lists(st.integers(2, 4), min_size=1, max_size=4).map(tuple)


def codes_of(number: int, sizes: tuple[int, ...], seed: int = 0) -> Tensor:
    generator = seeded(seed)
    return torch.stack([torch.randint(size, (number,), generator=generator) for size in sizes], 1)


def design(codes: Tensor, sizes: tuple[int, ...], tables: int) -> Tensor:
    """One column for each index of each level, then one for each longer prefix with a table; written out."""
    columns = [codes[:, level] == code for level, size in enumerate(sizes) for code in range(size)]
    for level in range(1, tables):
        prefixes = product(*map(range, sizes[: level + 1]))
        columns += [(codes[:, : level + 1] == torch.tensor(prefix)).all(1) for prefix in prefixes]
    return torch.stack(columns, 1).double()


def penalties(sizes: tuple[int, ...], tables: int, ridge: float, prefix_ridge: float) -> list[float]:
    prefixes = sum(prod(sizes[: level + 1]) for level in range(1, tables))
    return [ridge] * sum(sizes) + [prefix_ridge] * prefixes


@given(
    sizes=LEVEL_SIZES,
    tables=st.integers(1, 4),
    number=st.integers(1, 60),
    ridge=st.sampled_from([0.5, 3.0]),
    prefix_ridge=st.sampled_from([1.0, 64.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_it_solves_what_the_written_out_design_says(
    sizes: tuple[int, ...], tables: int, number: int, ridge: float, prefix_ridge: float, seed: int
) -> None:
    tables = min(tables, len(sizes))
    x, codes = rows(number, DIM, seed), codes_of(number, sizes, seed)
    problem = CodewordRidge(sizes, tables, ridge=ridge, prefix_ridge=prefix_ridge)
    weights = problem.solve(problem.equations(x, codes))

    written_out, penalty = design(codes, sizes, tables), penalties(sizes, tables, ridge, prefix_ridge)
    assert problem.size == written_out.shape[1]
    left = written_out.T @ written_out + torch.tensor(penalty, dtype=torch.float64).diag()
    expected = torch.linalg.solve(left, written_out.T @ x.double())
    torch.testing.assert_close(weights.double(), expected, atol=1e-5, rtol=1e-4)

    scale = np.sqrt(penalty)  # so that one penalty does for all columns
    theirs = Ridge(alpha=1.0, fit_intercept=False, solver="cholesky").fit(written_out.numpy() / scale, x.double())
    np.testing.assert_allclose(weights.numpy(), (theirs.coef_ / scale).T, atol=1e-5, rtol=1e-4)

    decoded = problem.codewords(weights).decode(codes)
    torch.testing.assert_close(decoded.double(), written_out @ expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_prefixes_stand_for_the_weights_of_what_they_bear(tables: int) -> None:
    sizes = (4, 3, 3)
    problem = CodewordRidge(sizes, tables, ridge=1.0, prefix_ridge=2.0)
    weights, codes = rows(problem.size, DIM), codes_of(20, sizes)
    for depth in range(4):
        # A prefix bears what rows with other indices behind it bear alike.
        others = torch.cat([codes[:, :depth], torch.full((20, 3 - depth), -1)], 1)
        expected = design(others, sizes, tables).float() @ weights
        torch.testing.assert_close(problem.codewords(weights).decode(codes[:, :depth]), expected)


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize("prefix_weight", [0.3, 2.0])
def test_prefixes_that_count_are_rows_of_their_own(tables: int, prefix_weight: float) -> None:
    sizes = (4, 3, 3)
    x, codes = rows(50, DIM), codes_of(50, sizes)
    problem = CodewordRidge(sizes, tables, ridge=1.0, prefix_ridge=8.0, prefix_weight=prefix_weight)
    parts = [design(codes, sizes, tables)]
    for depth in (1, 2):
        prefixes = torch.cat([codes[:, :depth], torch.full((50, 3 - depth), -1)], 1)
        parts.append(design(prefixes, sizes, tables) * prefix_weight**0.5)
    stacked, targets = torch.cat(parts), torch.cat([x, *[x * prefix_weight**0.5] * 2]).double()
    left = stacked.T @ stacked + torch.tensor(penalties(sizes, tables, 1.0, 8.0), dtype=torch.float64).diag()
    expected = torch.linalg.solve(left, stacked.T @ targets)
    torch.testing.assert_close(problem.solve(problem.equations(x, codes)).double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_a_row_bears_the_indicators_of_its_column_in_the_design(tables: int) -> None:
    sizes, codes = (4, 3, 3), codes_of(20, (4, 3, 3))
    problem = CodewordRidge(sizes, tables, ridge=1.0, prefix_ridge=1.0)
    borne = torch.zeros(20, problem.size, dtype=torch.float64).scatter_(1, problem.indicators(codes), 1.0)
    assert torch.equal(borne, design(codes, sizes, tables))


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_equations_count_what_the_design_multiplies(tables: int) -> None:
    """All but the block of the last kind with itself, by far the largest, which is a diagonal."""
    sizes, codes = (4, 3, 3), codes_of(200, (4, 3, 3))
    problem = CodewordRidge(sizes, tables, ridge=1.0, prefix_ridge=8.0)
    x, written_out = rows(200, DIM), design(codes, sizes, tables).float()
    equations, expected = problem.equations(x, codes), written_out.T @ written_out
    last = problem.size - (3 if tables == 1 else prod(sizes[:tables]))
    assert torch.equal(equations.gram, expected[:last])
    assert torch.equal(equations.own.diag(), expected[last:, last:])
    torch.testing.assert_close(equations.sums, written_out.T @ x)


@given(cuts=st.lists(st.integers(0, 50), max_size=3).map(sorted), tables=st.integers(1, 3))
@settings(max_examples=15)
def test_equations_of_parts_add_up_to_those_of_all_rows(cuts: list[int], tables: int) -> None:
    sizes = (4, 3, 3)
    problem = CodewordRidge(sizes, tables, ridge=1.0, prefix_ridge=8.0)
    x, codes = rows(50, DIM), codes_of(50, sizes)
    parts = [problem.equations(*part) for part in zip(x.tensor_split(cuts), codes.tensor_split(cuts), strict=True)]
    added, whole = NormalEquations.added(parts), problem.equations(x, codes)
    assert torch.equal(added.gram, whole.gram)
    assert torch.equal(added.own, whole.own)
    torch.testing.assert_close(added.sums, whole.sums)


def test_a_codeword_shrinks_by_the_rows_that_bear_it() -> None:
    problem = CodewordRidge((3,), 1, ridge=3.0, prefix_ridge=1.0)
    x, codes = rows(10, DIM), torch.tensor([0] * 9 + [1]).unsqueeze(1)
    weights = problem.solve(problem.equations(x, codes))
    torch.testing.assert_close(weights[0], x[:9].mean(0) * 9 / 12)
    torch.testing.assert_close(weights[1], x[9] * 1 / 4)
    assert not weights[2].any()


def test_a_prefix_that_no_row_bears_stands_for_the_sum_of_its_codewords() -> None:
    problem = CodewordRidge((3, 2), 2, ridge=1.0, prefix_ridge=1.0)
    codes = codes_of(40, (3, 2))
    codes = codes[~((codes[:, 0] == 2) & (codes[:, 1] == 1))]
    weights = problem.solve(problem.equations(rows(len(codes), DIM), codes))
    stands_for = problem.codewords(weights).decode(torch.tensor([[2, 1]]))[0]
    torch.testing.assert_close(stands_for, weights[2] + weights[3 + 1])


def test_the_penalty_of_prefixes_draws_them_to_the_sum() -> None:
    codes, x = codes_of(60, (3, 2)), rows(60, DIM)
    apart = []
    for prefix_ridge in (0.1, 10.0, 1e6):
        problem = CodewordRidge((3, 2), 2, ridge=1.0, prefix_ridge=prefix_ridge)
        apart.append(float(problem.solve(problem.equations(x, codes))[5:].norm()))
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 1e-3


def test_more_codewords_than_can_be_solved_for_are_refused() -> None:
    assert CodewordRidge((8192, 8192), 1, ridge=1.0, prefix_ridge=1.0).size == 16384
    with pytest.raises(ConfigurationError, match=r"level_sizes is \[8192, 8193\], which makes 16385 codewords"):
        CodewordRidge((8192, 8193), 1, ridge=1.0, prefix_ridge=1.0)
    with pytest.raises(ConfigurationError, match=r"at most 16384 are possible: lower a size, or .*max_prefixes"):
        CodewordRidge((128, 128), 2, ridge=1.0, prefix_ridge=1.0)


@pytest.mark.parametrize("name", ["ridge", "prefix_ridge"])
@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_penalties_are_above_nought_and_finite(name: str, penalty: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"model\.quantizer\.{name} is {penalty}; expected more than 0"):
        CodewordRidge((3, 2), 2, **{"ridge": 1.0, "prefix_ridge": 1.0, name: penalty})


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), number=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_in_steps_it_comes_to_what_factorising_gives(
    sizes: tuple[int, ...], tables: int, number: int, seed: int
) -> None:
    problem = CodewordRidge(sizes, min(tables, len(sizes)), ridge=1.0, prefix_ridge=2.0, prefix_weight=0.1)
    equations = problem.equations(rows(number, DIM, seed), codes_of(number, sizes, seed))
    at_once = problem.solve(equations)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodewordRidge, "_sparse", lambda *_: True)
        in_steps = problem.solve(equations)
    torch.testing.assert_close(in_steps, at_once, rtol=1e-5, atol=1e-5)


def test_many_codes_that_seldom_meet_are_solved_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = CodewordRidge((1100, 1100, 1100), 1, ridge=1.0, prefix_ridge=1.0)
    x, codes = rows(3000, DIM), codes_of(3000, problem.level_sizes)
    with monkeypatch.context() as patch:
        patch.setattr(ridge, "_solved_at_once", None)
        weights = problem.solve(problem.equations(x, codes))
    indicators = problem.indicators(codes)
    missing = x - weights[indicators].sum(1)
    gradient = torch.zeros_like(weights).index_add_(0, indicators.flatten(), missing.repeat_interleave(3, 0))
    torch.testing.assert_close(gradient, weights, rtol=1e-3, atol=1e-4)  # penalty of 1: the normal equations hold
