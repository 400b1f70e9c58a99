"""Where the hierarchical quantizer starts, how far unseen rows gain by it, and how it follows latents that move."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from clustered_latents import clustered, nmse, residual_kmeans_nmse, rows, seeded
from torch import Tensor

from wotd.errors import TrainingError
from wotd.quantization import HierarchicalVectorQuantizer
from wotd.quantization import hvq as hvq_module
from wotd.quantization.codewords import Codewords
from wotd.quantization.reading import LevelReading
from wotd.quantization.ridge import CodewordRidge
from wotd.quantization.search import CodewordSearch

DIM, SIZES = 16, (8, 6, 4)


def started(
    x: Tensor, seed: int = 0, labels: Tensor | None = None, *, sizes: tuple[int, ...] = SIZES, **options: Any
) -> HierarchicalVectorQuantizer:
    hvq = HierarchicalVectorQuantizer(x.shape[1], sizes, **options)
    hvq.start(x, seeded(seed), labels)
    return hvq.eval()


def said_nmse(hvq: HierarchicalVectorQuantizer, x: Tensor, depth: int | None = None) -> float:
    return nmse(x, hvq.decode(hvq.encode(x)[:, :depth]))


def quadrants(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Latents, and labels of two levels: the quadrant of their first numbers, and of the next; no third."""
    x = clustered(number, DIM, seed)
    positive = (x > 0).long()
    labels = torch.stack([2 * positive[:, 0] + positive[:, 1], 2 * positive[:, 2] + positive[:, 3]], 1)
    return x, torch.cat([labels, torch.full((number, 1), -1)], 1)


# --- unseen rows


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("dim", "sizes", "number", "max_prefixes"),
    [(16, (8, 6, 4), 1000, 4096), (16, (8, 6, 4), 1000, 1), (64, (16, 16, 16), 600, 16), (64, (8, 8, 5), 300, 4096)],
)
def test_unseen_rows_are_served_no_worse_than_by_residual_kmeans(
    seed: int, dim: int, sizes: tuple[int, ...], number: int, max_prefixes: int
) -> None:
    train, unseen = clustered(number, dim, seed), clustered(2000, dim, seed + 100)
    ours = said_nmse(started(train, seed, sizes=sizes, max_prefixes=max_prefixes), unseen)
    assert ours <= residual_kmeans_nmse(train, unseen, sizes, seed)


@pytest.mark.parametrize("max_prefixes", [1, 4096])
def test_unseen_rows_are_served_better_with_every_level(max_prefixes: int) -> None:
    hvq, unseen = started(clustered(1000, DIM), max_prefixes=max_prefixes), clustered(2000, DIM, 100)
    errors = [said_nmse(hvq, unseen, depth) for depth in range(4)]
    assert errors[0] == pytest.approx(1, abs=0.01)
    assert errors[0] > errors[1] > errors[2] > errors[3]


def test_tables_of_prefixes_serve_clusters_better_than_codewords_that_add_up() -> None:
    train, unseen = clustered(2000, DIM, spread=0.5), clustered(2000, DIM, 100, spread=0.5)
    tabled, added = (said_nmse(started(train, max_prefixes=most), unseen) for most in (4096, 1))
    assert tabled < added - 0.02


# --- the start


@pytest.fixture
def first_codes(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The codes that a start begins its rounds with, of rows of which a few are far off."""
    seen: list[Tensor] = []
    fit = hvq_module.fit_codewords

    def remembering(ridge: CodewordRidge, x: Tensor, codes: Tensor, *others: Any, **options: Any) -> Codewords:
        seen.append(codes)
        return fit(ridge, x, codes, *others, **options)

    monkeypatch.setattr(hvq_module, "fit_codewords", remembering)
    x = clustered(2000, DIM)
    x[:20] *= 20
    started(x, rounds=0)
    return seen[0]


def test_rows_far_off_do_not_claim_the_codes_of_later_levels(first_codes: Tensor) -> None:
    """Where residuals are brought to one length; else later levels starve."""
    for level, size in ((1, 6), (2, 4)):
        counts = torch.bincount(first_codes[:, level], minlength=size)
        assert int(counts.min()) > 2000 / size / 5


def test_a_level_says_what_is_left_over_by_those_before_it(first_codes: Tensor) -> None:
    """So that all its codes occur behind each of theirs that common rows have."""
    common = torch.bincount(first_codes[:, 0], minlength=8).argmax()
    assert len(first_codes[first_codes[:, 0] == common].unique(dim=0)) == 6 * 4


def test_codewords_are_fitted_with_a_beam_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    search = CodewordSearch.search
    monkeypatch.setattr(
        CodewordSearch, "search", lambda own, x, width, **costs: widths.append(width) or search(own, x, width, **costs)
    )
    hvq = started(clustered(100, DIM), beam=5, fit_beam=2)
    assert set(widths) == {2}
    hvq.encode(clustered(100, DIM))
    assert widths[-1] == 5
    assert HierarchicalVectorQuantizer(DIM, SIZES, beam=5).fit_beam == 5


def test_the_generator_alone_decides() -> None:
    x, states = clustered(300, DIM), []
    for manual, seed in ((5, 1), (6, 1), (6, 2)):
        torch.manual_seed(manual)
        states.append(started(x, seed, rounds=2).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["points_0"], states[2]["points_0"])


def test_every_round_is_told() -> None:
    told: list[int] = []
    hvq = HierarchicalVectorQuantizer(DIM, SIZES, rounds=4)
    hvq.start(clustered(100, DIM), seeded(), on_round=lambda: told.append(1))
    assert len(told) == 4
    assert hvq.initialised


def test_chunks_of_rows_are_the_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = quadrants(300)
    features = rows(300, 3)

    def made() -> HierarchicalVectorQuantizer:
        hvq = HierarchicalVectorQuantizer(DIM, (4, 4, 4), taught=[0, 1], feature_dim=3, rounds=2)
        hvq.start(x, seeded(), labels, features)
        hvq.fit(x, seeded(), features)
        return hvq

    whole = made()
    monkeypatch.setattr("wotd.quantization.hvq._CHUNK_ROWS", 37)
    torch.testing.assert_close(made().state_dict(), whole.state_dict())


# --- taught levels


def test_taught_levels_start_at_the_labels() -> None:
    (x, labels), (unseen, right) = quadrants(1500), quadrants(1500, 100)
    labels[::3] = -1
    hvq = started(x, labels=labels, sizes=(4, 4, 4), taught=[0, 1], reconstruction_weight=0.01)
    agreeing = (hvq.encode(unseen)[:, :2] == right[:, :2]).float().mean(0)
    assert float(agreeing.min()) > 0.8


def test_what_a_taught_level_stands_for_is_where_its_label_is() -> None:
    x, labels = quadrants(1500)
    hvq = started(x, labels=labels, sizes=(4, 4, 4), taught=[0, 1], reconstruction_weight=0.01)
    for label in range(4):
        stands_for = hvq.decode(torch.tensor([[label]]))[0]
        assert (stands_for[:2] > 0).tolist() == [label >= 2, label % 2 == 1]


def test_sharpness_of_a_taught_level_starts_where_labels_are_likeliest_and_of_others_at_one() -> None:
    x, labels = quadrants(600)
    hvq = started(x, labels=labels, sizes=(4, 4, 4), taught=[0, 1])
    expected = [LevelReading(4, DIM).start(x, labels[:, level]) for level in (0, 1)]
    assert hvq.log_sharpness_L.tolist() == pytest.approx([*expected, 0])
    assert abs(expected[0]) > 0.01


def test_features_change_what_taught_levels_say_and_nothing_that_codes_stand_for() -> None:
    """Labels that only the feature knows are learned with it, and free levels go by latents alone."""
    x = clustered(600, DIM)
    labels = torch.cat([rows(600, 1, 7) > 0, torch.zeros(600, 1)], 1).long()
    features = torch.cat([2.0 * labels[:, :1] - 1 + 0.1 * rows(600, 1, 8), rows(600, 1, 9)], 1)
    hvq = HierarchicalVectorQuantizer(DIM, (2, 4), taught=[0], feature_dim=2, reconstruction_weight=0.01)
    hvq.start(x, seeded(), labels, features)
    assert float((hvq.encode(x, features)[:, 0] == labels[:, 0]).float().mean()) > 0.98
    assert float((hvq.encode(x, -features)[:, 0] == labels[:, 0]).float().mean()) < 0.02
    free = HierarchicalVectorQuantizer(DIM, (4, 4), feature_dim=2)
    free.start(x, seeded(), None, features)
    assert torch.equal(free.encode(x, features), free.encode(x, 100 * features))


# --- latents that move


def test_a_fit_follows_latents_that_have_moved() -> None:
    x = clustered(800, DIM)
    hvq, turn = started(x), torch.linalg.qr(rows(DIM, DIM, 5)).Q
    moved = 0.5 * x + 0.5 * x @ turn
    before, codes = said_nmse(hvq, moved), hvq.encode(moved)
    hvq.fit(moved, seeded(), rounds=0)
    assert nmse(moved, hvq.decode(codes)) < before
    hvq.fit(moved, seeded(), rounds=5)
    after = said_nmse(hvq, moved)
    assert after < before - 0.02
    torch.testing.assert_close(hvq.variance, moved.square().sum(1).mean())


def test_a_fit_of_latents_that_have_stayed_leaves_most_codes() -> None:
    x = clustered(800, DIM)
    hvq = started(x)
    before = hvq.encode(x)
    hvq.fit(x, seeded(5))
    assert float((hvq.encode(x)[:, 0] == before[:, 0]).float().mean()) > 0.8


def test_a_restart_leaves_what_taught_levels_read() -> None:
    x, labels = quadrants(500)
    hvq = started(x, labels=labels, sizes=(4, 4, 4), taught=[0, 1])
    before = {name: value.clone() for name, value in hvq.state_dict().items()}
    for level in range(3):
        getattr(hvq, f"points_{level}").zero_()
    hvq.restart(x, seeded())
    after = hvq.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if "points" not in name)
    torch.testing.assert_close(after, before)  # the same rows and generator: the very start


# --- what cannot start


def test_a_level_without_any_label_cannot_be_taught() -> None:
    hvq = HierarchicalVectorQuantizer(DIM, SIZES, taught=(1,))
    for labels in (None, torch.full((50, 3), -1)):
        with pytest.raises(TrainingError, match=r"level 1 is to be taught by labels, but no training passage has one"):
            hvq.start(rows(50, DIM), seeded(), labels)
    assert not hvq.initialised


def test_a_free_level_needs_as_many_rows_as_codes() -> None:
    for start in (HierarchicalVectorQuantizer(DIM, SIZES).start, HierarchicalVectorQuantizer(DIM, SIZES).restart):
        with pytest.raises(TrainingError, match="7 training vectors for a level of 8 codes"):
            start(rows(7, DIM), seeded())
    assert started(rows(8, DIM)).initialised
