"""Codes and codewords in turns: what rounds gain on unseen rows, and that dead codes really come back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from clustered_latents import clustered, nmse, rows, seeded
from torch import Tensor

from wotd.quantization import fitting
from wotd.quantization.codewords import Codewords
from wotd.quantization.fitting import fit_codewords, revived_codewords
from wotd.quantization.kmeans import assign, kmeans, means
from wotd.quantization.ridge import CodewordRidge
from wotd.quantization.search import CodewordSearch

DIM, SIZES = 64, (16, 16, 16)


def problem(sizes: tuple[int, ...] = SIZES, tables: int = 1) -> CodewordRidge:
    return CodewordRidge(sizes, tables, ridge=3.0, prefix_ridge=64.0)


def residual_codes(x: Tensor, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Tensor:
    """Codes to begin with: k-means of what is left over, level after level."""
    codes = []
    for size in sizes:
        codes.append(assign(x, kmeans(x, size, seeded(seed))))
        x = x - means(x, codes[-1], size)[0][codes[-1]]
    return torch.stack(codes, 1)


def fitted(x: Tensor, codes: Tensor, seed: int = 0, *, ridge: CodewordRidge | None = None, **options: Any) -> Codewords:
    return fit_codewords(
        ridge or problem(),
        x,
        codes,
        lambda words, picked: CodewordSearch(words).search(x[picked], 4),
        seeded(seed),
        **options,
    )


def unseen_nmse(words: Codewords, seed: int) -> float:
    unseen = clustered(2000, DIM, seed + 100)
    return nmse(unseen, words.decode(CodewordSearch(words).search(unseen, 4)))


# --- rounds


def test_no_rounds_fit_the_codes_as_they_are() -> None:
    x, ridge = clustered(300, DIM), problem()
    codes = residual_codes(x)
    expected = ridge.codewords(ridge.solve(ridge.equations(x, codes)))
    found = fitted(x, codes, rounds=0)
    torch.testing.assert_close((*found.tables, *found.added), (*expected.tables, *expected.added))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rounds_lower_the_error_of_unseen_rows_though_rows_are_few(seed: int) -> None:
    x = clustered(600, DIM, seed)
    codes = residual_codes(x, seed=seed)
    errors = [unseen_nmse(fitted(x, codes, seed, rounds=rounds), seed) for rounds in (0, 1, 10)]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_coded_by_codewords_that_they_shaped_serve_unseen_rows_worse(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the folds are for."""
    x = clustered(600, DIM, seed)
    codes = residual_codes(x, seed=seed)
    across = unseen_nmse(fitted(x, codes, seed, rounds=10), seed)
    added = fitting.NormalEquations.added
    ridge = problem()
    everything: list[fitting.NormalEquations] = []

    class OfAllRows(fitting.NormalEquations):
        @classmethod
        def added(cls, parts: Any) -> fitting.NormalEquations:
            return added(everything)

    def remembering(*args: Tensor) -> fitting.NormalEquations:
        everything.append(CodewordRidge.equations(ridge, *args))
        del everything[: -fitting.FOLDS]
        return everything[-1]

    monkeypatch.setattr(fitting, "NormalEquations", OfAllRows)
    monkeypatch.setattr(ridge, "equations", remembering)
    assert unseen_nmse(fitted(x, codes, seed, ridge=ridge, rounds=10), seed) > across + 0.002


def test_a_row_is_coded_by_codewords_it_had_no_part_in() -> None:
    """Each fold's codewords are those of the others, so a row far off everything is not coded by itself."""
    x, codes = torch.cat([rows(40, 3), torch.full((1, 3), 50.0)]), torch.arange(41).remainder(2).unsqueeze(1)
    codes[-1] = 2
    seen: list[tuple[float, bool]] = []

    def code(words: Codewords, picked: Tensor) -> Tensor:
        seen.append((float(words.tables[0][2].norm()), 40 in picked.tolist()))
        return CodewordSearch(words).search(x[picked], 1)

    fit_codewords(problem((3,)), x, codes, code, seeded(), rounds=1)
    assert sorted(holds_it for _, holds_it in seen) == [False, True]
    assert all((norm == 0) is holds_it for norm, holds_it in seen)


def test_every_round_codes_every_row_once_and_is_told() -> None:
    x, codes = rows(31, 3), torch.arange(31).remainder(4).unsqueeze(1)
    coded: list[int] = []
    told: list[int] = []

    def code(words: Codewords, picked: Tensor) -> Tensor:
        coded.extend(picked.tolist())
        return CodewordSearch(words).search(x[picked], 1)

    fit_codewords(problem((4,)), x, codes, code, seeded(), rounds=3, on_round=lambda: told.append(len(coded)))
    assert told == [31, 62, 93]
    assert all(sorted(coded[first : first + 31]) == list(range(31)) for first in (0, 31, 62))


def test_the_generator_alone_decides() -> None:
    x = clustered(200, DIM)
    codes = residual_codes(x)
    torch.manual_seed(1)
    first = fitted(x, codes, 5, rounds=2)
    torch.manual_seed(2)
    again, other = fitted(x, codes, 5, rounds=2), fitted(x, codes, 6, rounds=2)
    assert all(torch.equal(*both) for both in zip(first.tables + first.added, again.tables + again.added, strict=True))
    assert not torch.equal(first.tables[0], other.tables[0])


@pytest.mark.parametrize("number", [1, 2])
def test_a_fold_may_be_empty(number: int) -> None:
    words = fitted(rows(number, 3), torch.zeros(number, 1, dtype=torch.int64), ridge=problem((2,)), rounds=2)
    assert bool(torch.isfinite(words.tables[0]).all())


# --- dead codes


CENTRES = torch.tensor([[8.0, 0, 0], [-8, 0, 0], [0, 8, 0], [0, 8, 5]])


def with_a_dead_code() -> tuple[Tensor, Tensor]:
    """Four clusters, of which two share a code; the fourth code, which no row has, is at nought, far from all."""
    chosen = torch.arange(200) % 4
    return CENTRES[chosen] + 0.3 * rows(200, 3), chosen.clamp_max(2).unsqueeze(1)


def use(words: Codewords, x: Tensor, level: int = 0) -> list[int]:
    """How many rows each code of a level has."""
    return torch.bincount(CodewordSearch(words).search(x, 4)[:, level], minlength=words.level_sizes[level]).tolist()


def check_that_it_revives() -> None:
    x, codes = with_a_dead_code()
    words = fitted(x, codes, ridge=problem((4,)), rounds=3, movable=(0,), revive_below=0.1)
    assert use(words, x) == [50, 50, 50, 50]
    assert nmse(x, words.decode(CodewordSearch(words).search(x, 1))) < 0.05


def test_a_dead_code_revives_for_good() -> None:
    check_that_it_revives()


def test_a_codeword_that_moves_without_rows_taking_it_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that are given anew by the old codewords leave the next fit no rows for the moved one."""
    monkeypatch.setattr(fitting, "revived_codewords", lambda *_: {})
    with pytest.raises(AssertionError):
        check_that_it_revives()
    x, codes = with_a_dead_code()
    words = fitted(x, codes, ridge=problem((4,)), rounds=10, movable=(0,), revive_below=0.1)
    assert use(words, x)[3] == 0
    assert not words.tables[0][3].any()


@pytest.mark.parametrize("options", [{}, {"movable": (0,)}, {"revive_below": 0.1}])
def test_codes_that_may_not_move_stay_dead(options: dict[str, Any]) -> None:
    x, codes = with_a_dead_code()
    assert use(fitted(x, codes, ridge=problem((4,)), rounds=3, **options), x)[3] == 0


@pytest.mark.parametrize("tables", [1, 2])
@pytest.mark.parametrize("level", [0, 1])
def test_dead_codes_revive_on_every_level(level: int, tables: int) -> None:
    """Each level tells the clusters in dimensions of its own apart."""
    codes = torch.cartesian_prod(torch.arange(4), torch.arange(4)).repeat(40, 1)
    x = torch.cat([CENTRES[codes[:, 0]], CENTRES[codes[:, 1]]], 1) + 0.3 * rows(640, 6)
    codes[:, level] = codes[:, level].clamp_max(2)
    ridge = problem((4, 4), tables)
    assert use(fitted(x, codes, ridge=ridge, rounds=5), x, level)[3] == 0
    words = fitted(x, codes, ridge=ridge, rounds=5, movable=(0, 1), revive_below=0.1)
    assert use(words, x, level) == [160, 160, 160, 160]
    assert nmse(x, words.decode(CodewordSearch(words).search(x, 4))) < 0.05


def test_a_revived_code_is_what_the_worst_served_row_would_have_needed() -> None:
    x, codes = with_a_dead_code()
    x[7] += 30
    ridge = problem((4,))
    moved = revived_codewords(ridge, [ridge.equations(x, codes)], x, codes, (0,), 0.1)
    assert list(moved) == [3]
    torch.testing.assert_close(moved[3], x[7])


def test_dead_codes_move_to_different_rows_and_codes_in_use_stay() -> None:
    ridge, x = problem((9,)), rows(60, 3)
    codes = torch.arange(60).remainder(2).unsqueeze(1)
    moved = revived_codewords(ridge, [ridge.equations(x, codes)], x, codes, (0,), 0.5)
    assert sorted(moved) == [2, 3, 4, 5, 6, 7, 8]
    assert len(torch.stack(list(moved.values())).unique(dim=0)) == 7


@pytest.mark.parametrize(("below", "moved"), [(0.0, []), (0.2, [3]), (0.5, [2, 3])])
def test_dead_is_what_has_less_than_a_share_of_an_even_share(below: float, moved: list[int]) -> None:
    x, ridge = rows(100, 3), problem((4,))
    codes = torch.tensor([0] * 45 + [1] * 45 + [2] * 10).unsqueeze(1)  # an even share is 25
    assert sorted(revived_codewords(ridge, [ridge.equations(x, codes)], x, codes, (0,), below)) == moved
    assert not revived_codewords(ridge, [ridge.equations(x, codes)], x, codes, (), below)
