"""What has collapsed is found, its cause is named with the setting to change, and a restart mends it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from broken_level import break_level
from small_training import clusters, small_data, small_module
from torch import Tensor

from wotd.callbacks.collapse import Finding, collapsed_levels
from wotd.data.batches import EmbeddingDataset
from wotd.data.splits import TRAIN
from wotd.metrics.usage import level_usage
from wotd.module import SemanticIDModule

ROWS = torch.from_numpy(clusters())


@pytest.fixture
def module(tmp_path: Path) -> SemanticIDModule:
    return small_module(small_data(tmp_path))


def found(module: SemanticIDModule, x: Tensor = ROWS) -> list[Finding]:
    return collapsed_levels(module, x, perplexity_below=1.25)


def dataset() -> EmbeddingDataset:
    return EmbeddingDataset(clusters(), torch.full((240, 3), -1).numpy(), torch.arange(240).numpy())


def nmse(module: SemanticIDModule) -> float:
    decoded = module.model.decode(module.model.encode(ROWS))
    return float((decoded - ROWS).square().mean() / module.model.scale.square())


def perplexities(module: SemanticIDModule) -> list[float]:
    return [level_usage(torch.bincount(codes, minlength=4)).perplexity for codes in module.model.encode(ROWS).T]


# --- what is found, and why


def test_a_healthy_model_has_no_findings(module: SemanticIDModule) -> None:
    assert found(module) == []


def test_codewords_out_of_reach(module: SemanticIDModule) -> None:
    break_level(module, 1)
    (finding,) = found(module)
    assert finding.levels == (1,)
    assert not finding.taught
    assert finding.sentence.startswith("level 1 has collapsed: of 4 codes it uses 1.00 (perplexity, 240 training rows)")
    assert "lie out of reach of what is left over" in finding.sentence
    assert "lower model.optimizer.learning_rate (0.001), so that codewords keep up with the latents" in finding.sentence


def test_few_codes_of_many() -> None:
    x = torch.randn(2000, 12, generator=torch.Generator().manual_seed(0))
    module = small_module(level_sizes=[64, 4], latent_dim=12)
    module.model.start(x, torch.Generator().manual_seed(0))
    assert collapsed_levels(module, x, perplexity_below=1.25, share_below=0.05) == []
    module.model.quantizer.points_0[3:] += 1e3
    module.model.quantizer.points_1[3 * 4 :] += 1e3
    assert collapsed_levels(module, x, perplexity_below=1.25) == []
    finding = collapsed_levels(module, x, perplexity_below=1.25, share_below=0.05)[0]
    assert finding.sentence.startswith("level 0 has collapsed: of 64 codes it uses ")
    assert finding.levels == (0,)


def test_codewords_that_huddle_together(module: SemanticIDModule) -> None:
    quantizer = module.model.quantizer
    quantizer.points_2.copy_(quantizer.points_1.repeat_interleave(4, 0))  # of codes that are equal the first is said
    (finding,) = found(module)
    assert "its codewords huddle together beside what is left over" in finding.sentence


def test_codes_that_nothing_would_move() -> None:
    module = small_module(quantizer={"kind": "hvq", "revive_below": 0.0})
    module.model.start(ROWS, torch.Generator().manual_seed(0))
    break_level(module, 0)
    (finding,) = found(module)
    assert "set model.quantizer.revive_below, which is 0, to 0.02" in finding.sentence


def test_a_level_with_nothing_left_over(module: SemanticIDModule) -> None:
    four_points, quantizer = ROWS[:4].repeat(60, 1), module.model.quantizer
    with torch.no_grad():
        quantizer.points_0.copy_(module.model.eval().latents(ROWS[:4]))  # four codewords say all
    quantizer.points_1.copy_(quantizer.points_0.repeat_interleave(4, 0))
    quantizer.points_2.copy_(quantizer.points_1.repeat_interleave(4, 0))
    assert [finding.levels for finding in found(module, four_points)] == [(1,), (2,)]
    for finding in found(module, four_points):
        assert "the levels before it leave nothing over" in finding.sentence
        assert "give model.level_sizes fewer levels or codes" in finding.sentence


def test_latents_that_are_all_alike_give_zero_entropy(module: SemanticIDModule) -> None:
    with torch.no_grad():
        for parameter in module.model.encoder.parameters():
            parameter.zero_()
    (finding,) = found(module)
    assert finding.levels == (0, 1, 2)
    assert finding.sentence.startswith("zero entropy: as good as all of 240 training rows get the code ")
    assert "the latents hardly differ (0.0e+00 of the data's variance)" in finding.sentence
    assert "lower model.optimizer.learning_rate (0.001) or model.losses.commitment (0.25)" in finding.sentence


def test_latents_that_have_grown(module: SemanticIDModule) -> None:
    with torch.no_grad():
        module.model.encoder.linear.weight.mul_(50)
        break_level(module, 0, 1e6)
    assert "the latents have grown to " in found(module)[0].sentence


def test_a_number_that_stays_within_its_step() -> None:
    module = small_module(quantizer={"kind": "fsq"}, level_sizes=[5, 5, 5])
    module.model.start(ROWS, torch.Generator().manual_seed(0))
    with torch.no_grad():
        module.model.quantizer.read.weight[1] = 0
    (finding,) = found(module)
    assert finding.levels == (1,)
    assert "raise model.losses.entropy (0.02)" in finding.sentence


def test_looking_changes_nothing() -> None:
    module = small_module(dropout=0.5)
    module.model.start(ROWS, torch.Generator().manual_seed(0))
    break_level(module, 1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    drawn = torch.random.get_rng_state()
    module.train()
    assert found(module) == found(module)
    assert module.model.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), drawn)


# --- the restart


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_restart_brings_all_levels_to_life(module: SemanticIDModule, level: int) -> None:
    for broken in range(level, 3):
        break_level(module, broken)
    assert min(perplexities(module)) == pytest.approx(1)
    module.restart(dataset())
    assert min(perplexities(module)) > 2
    assert found(module) == []


@pytest.mark.parametrize("level", [0, 1, 2])
def test_after_a_restart_levels_are_in_order_again(module: SemanticIDModule, level: int) -> None:
    """Each says more of a latent than those before it, coarse to fine; a broken one added nothing."""
    break_level(module, level)
    module.restart(dataset())
    model = module.model.eval()
    latents, codes = model.latents(ROWS).detach(), model.encode(ROWS)
    errors = [float((latents - model.quantizer.decode(codes[:, :depth])).square().mean()) for depth in range(4)]
    assert all(finer < 0.9 * coarser for coarser, finer in pairwise(errors))


def test_a_restart_lasts(module: SemanticIDModule, tmp_path: Path) -> None:
    """The fits that follow do not take the codewords back to where they were."""
    break_level(module, 1)
    module.restart(dataset())
    for _ in range(3):
        module.refit(dataset())
    assert min(perplexities(module)) > 2


def test_a_restart_serves_as_well_as_a_start(module: SemanticIDModule) -> None:
    before = nmse(module)
    break_level(module, 0)
    assert nmse(module) > 1.2 * before
    module.restart(dataset())
    assert nmse(module) == pytest.approx(before, rel=0.15)


def test_a_restart_follows_the_encoder_and_not_the_dropped_units() -> None:
    """Fails where codewords are fitted to latents of training mode."""
    module = small_module(dropout=0.9)
    module.start(dataset())
    module.model.encoder.correction[-1].weight.data.normal_(generator=torch.Generator().manual_seed(0))
    module.train()
    states = []
    for drawn in (1, 100):
        torch.rand(drawn)
        module.restart(dataset())
        states.append(module.model.quantizer.points_2.clone())
    assert torch.equal(*states)
    assert module.model.training


def test_a_restart_is_decided_by_the_seed_and_not_by_what_was_drawn(tmp_path: Path) -> None:
    ends = []
    for drawn, seed in ((1, 7), (100, 7), (1, 8)):
        data = small_data(tmp_path / str(drawn + seed))
        module = small_module(data, hidden=[])
        module.seed = seed
        torch.rand(drawn)
        break_level(module, 1)
        module.restart(data.dataset(TRAIN))
        ends.append(module.model.quantizer.points_1.clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


# --- levels that labels teach


@pytest.fixture
def named() -> SemanticIDModule:
    """Two taught levels, of which the second stands behind a free one."""
    module = small_module(quantizer={"kind": "hvq", "taught": [0, 2]})
    labels = torch.stack([ROWS[:, 0].argsort().argsort() * 4 // 240, torch.full((240,), -1), torch.arange(240) % 4], 1)
    module.model.start(ROWS, torch.Generator().manual_seed(0), labels)
    return module


def test_a_taught_level_is_named_as_such(named: SemanticIDModule) -> None:
    with torch.no_grad():
        named.model.quantizer.readings["0"].keys_KM[1:] = 1e3
    (finding,) = found(named)
    assert finding.levels == (0,)
    assert finding.taught
    assert "see what labels the texts have" in finding.sentence
    assert "raise model.losses.alignment (0.1)" in finding.sentence


def test_a_restart_leaves_what_taught_levels_have_learned_to_read(named: SemanticIDModule) -> None:
    before = {name: value.clone() for name, value in named.model.quantizer.readings.state_dict().items()}
    sharpness = named.model.sharpness[[0, 2]].clone()
    told = [named.model.level_distances(ROWS)[level] for level in (0, 2)]
    break_level(named, 1)
    named.restart(dataset())
    after = named.model.quantizer.readings.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(named.model.sharpness[[0, 2]], sharpness)
    for distances, level in zip(told, (0, 2), strict=True):
        assert torch.equal(named.model.level_distances(ROWS)[level], distances)
    assert len(named.model.encode(ROWS)[:, 1].unique()) == 4
