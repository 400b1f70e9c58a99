"""What has collapsed is found, its cause is named with the setting to change, and a restart mends it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from broken_level import break_level
from small_training import clusters, small_data, small_module
from torch import Tensor

from wotd.callbacks.collapse import Finding, collapsed_levels, restart, sample_latents, starving_level
from wotd.metrics.usage import level_usage
from wotd.module import SemanticIDModule
from wotd.quantization import HierarchicalVectorQuantizer

ROWS = torch.from_numpy(clusters())


@pytest.fixture
def module(tmp_path: Path) -> SemanticIDModule:
    return small_module(small_data(tmp_path))


def found(module: SemanticIDModule, x: Tensor = ROWS) -> list[Finding]:
    return collapsed_levels(module, x, batch_rows=32, perplexity_below=1.25)


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
    assert "lower model.optimizer.learning_rate (0.001) or model.quantizer.decay (0.99)" in finding.sentence


def test_codewords_that_huddle_together(module: SemanticIDModule) -> None:
    module.model.quantizer.levels[2].embed_KZ.zero_()
    (finding,) = found(module)
    assert "its codewords huddle together beside what is left over" in finding.sentence


def test_codes_that_nothing_would_move() -> None:
    module = small_module(quantizer={"kind": "hvq", "revive_below": 0.0})
    module.model.start(ROWS, torch.Generator().manual_seed(0))
    break_level(module, 0)
    (finding,) = found(module)
    assert "set model.quantizer.revive_below, which is 0, to 0.02" in finding.sentence


def test_a_level_with_nothing_left_over(module: SemanticIDModule) -> None:
    four_points = ROWS[:4].repeat(60, 1)
    module.model.start(four_points, torch.Generator().manual_seed(0))  # four codewords say all but rounding
    for codebook in module.model.quantizer.levels[1:]:
        codebook.embed_KZ.zero_()
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
    break_level(module, 0)
    with torch.no_grad():
        module.model.encoder.linear.weight.mul_(50)
        module.model.quantizer.levels[0].embed_KZ[1:] = 1e6
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


# --- batches that are too small


@pytest.mark.parametrize(("decay", "batch_rows", "too_small"), [(0.99, 32, False), (0.99, 1, False), (0.5, 1, True)])
def test_batches_too_small_for_the_codes(decay: float, batch_rows: int, too_small: bool) -> None:
    module = small_module(quantizer={"kind": "hvq", "decay": decay}, level_sizes=[4, 16, 8])
    findings = starving_level(module, batch_rows)
    assert [finding.levels for finding in findings] == ([(1,)] if too_small else [])
    if too_small:
        assert "batches of 1 rows are too small for the 16 codes of level 1" in findings[0].sentence
        assert "raise data.batch_size, or model.quantizer.decay (0.5)" in findings[0].sentence


def test_the_count_of_rows_is_that_of_a_codebook_that_follows_them() -> None:
    """An even code dies, unsaid, after just as many batches as the sentence reckons with."""
    codebook = small_module().model.quantizer.levels[0]
    codebook.cluster_size_K.fill_(1.0)
    batches = 0
    while float(codebook.cluster_size_K[3]) >= codebook.revive_below:
        codebook.update(torch.zeros(3, 6), torch.arange(3))
        batches += 1
    (finding,) = starving_level(small_module(level_sizes=[400]), 1)
    assert f"gets {batches / 400:.1f} rows before it would count as dead" in finding.sentence


def test_where_codes_are_never_moved_no_batch_is_too_small() -> None:
    assert starving_level(small_module(quantizer={"kind": "hvq", "revive_below": 0.0}), 1) == []
    assert starving_level(small_module(quantizer={"kind": "fsq"}), 1) == []


# --- the restart


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_restart_brings_a_level_and_those_behind_it_to_life(module: SemanticIDModule, level: int) -> None:
    quantizer = module.model.quantizer
    for broken in range(level, 3):
        break_level(module, broken)
    before = [codebook.embed_KZ.clone() for codebook in quantizer.levels[:level]]
    restart(quantizer, level, sample_latents(module, ROWS), torch.Generator().manual_seed(0))
    assert min(perplexities(module)) > 2
    assert all(torch.equal(old, new.embed_KZ) for old, new in zip(before, quantizer.levels, strict=False))
    for codebook in quantizer.levels[level:]:
        settled = codebook.embed_KZ * codebook.cluster_size_K.unsqueeze(1)
        torch.testing.assert_close(codebook.embed_avg_KZ, settled)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_after_a_restart_levels_are_in_order_again(module: SemanticIDModule, level: int) -> None:
    """Each says more of a latent than those before it, coarse to fine; a broken one added nothing."""
    quantizer, latents = module.model.quantizer, sample_latents(module, ROWS)
    break_level(module, level)
    restart(quantizer, level, latents, torch.Generator().manual_seed(0))
    codes = quantizer.encode(latents)
    errors = [float((latents - quantizer.decode(codes[:, :depth])).square().mean()) for depth in range(4)]
    assert all(finer < 0.9 * coarser for coarser, finer in pairwise(errors))


def test_a_restart_lasts(module: SemanticIDModule) -> None:
    """Fails where codewords alone start anew: their old sums would take them back."""
    break_level(module, 1)
    restart(module.model.quantizer, 1, sample_latents(module, ROWS), torch.Generator().manual_seed(0))
    module.train()
    for _ in range(50):
        module.model(ROWS)
    assert min(perplexities(module)) > 2


def test_a_restart_is_decided_by_the_generator(module: SemanticIDModule) -> None:
    quantizer, ends = module.model.quantizer, []
    for drawn, seed in ((1, 7), (100, 7), (1, 8)):
        torch.rand(drawn)
        break_level(module, 1)
        restart(quantizer, 1, sample_latents(module, ROWS), torch.Generator().manual_seed(seed))
        ends.append(quantizer.levels[1].embed_KZ.clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


# --- levels that labels teach


@pytest.fixture
def named() -> SemanticIDModule:
    """Two taught levels, of which the second stands behind a free one."""
    quantizer = HierarchicalVectorQuantizer(6, [4, 4, 4], taught=[0, 2])
    module = small_module()
    module.model.quantizer = quantizer
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


def test_a_taught_level_keeps_its_codes_when_one_before_it_starts_anew(named: SemanticIDModule) -> None:
    break_level(named, 1)
    quantizer, before = named.model.quantizer, named.model.encode(ROWS)
    latents = sample_latents(named, ROWS)
    restart(quantizer, 1, latents, torch.Generator().manual_seed(0))
    after = named.model.encode(ROWS)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert len(after[:, 1].unique()) == 4
    left = latents - quantizer.decode(after[:, :2])
    for code in after[:, 2].unique().tolist():
        mean = left[after[:, 2] == code].mean(0)
        torch.testing.assert_close(quantizer.levels[2].embed_KZ[code], mean, atol=1e-5, rtol=1e-4)


def test_where_all_levels_are_taught_no_batch_is_too_small() -> None:
    module = small_module()
    module.model.quantizer = HierarchicalVectorQuantizer(6, [4, 4], taught=[0, 1])
    assert starving_level(module, 1) == []
