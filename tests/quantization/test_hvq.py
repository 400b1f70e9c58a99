"""The hierarchical vector quantizer: start, codes, prefixes, labels, renaming, what it refuses."""

from __future__ import annotations

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization import HierarchicalVectorQuantizer


def clustered(rows: int = 900, dim: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(24, dim, generator=generator) * 2
    chosen = torch.randint(24, (rows,), generator=generator)
    return centres[chosen] + torch.randn(rows, dim, generator=generator)


def started(sizes: list[int], **options: object) -> HierarchicalVectorQuantizer:
    quantizer = HierarchicalVectorQuantizer(12, sizes, **options)  # type: ignore[arg-type]
    labels = torch.arange(600).remainder(4).unsqueeze(1).expand(-1, len(sizes)).contiguous()
    quantizer.start(clustered()[:600], torch.Generator().manual_seed(0), labels)
    return quantizer.eval()


def error(x: Tensor, decoded: Tensor) -> float:
    return float((x - decoded).square().sum())


@pytest.mark.parametrize("max_prefixes", [1, 4096])
def test_it_is_closer_to_unseen_rows_than_residual_kmeans(max_prefixes: int) -> None:
    train, unseen = clustered()[:600], clustered()[600:]
    quantizer = started([6, 6, 6], max_prefixes=max_prefixes)
    left_train, left = train.numpy(), unseen.numpy()
    for _ in range(3):
        kmeans = KMeans(6, n_init=3, random_state=0).fit(left_train)
        left_train = left_train - kmeans.cluster_centers_[kmeans.labels_]
        left = left - kmeans.cluster_centers_[kmeans.predict(left)]
    assert error(unseen, quantizer.decode(quantizer.encode(unseen))) < float((left**2).sum())


@pytest.mark.parametrize("max_prefixes", [1, 4096])
def test_longer_prefixes_stand_for_rows_better(max_prefixes: int) -> None:
    unseen = clustered()[600:]
    quantizer = started([6, 6, 6], max_prefixes=max_prefixes, prefix_weight=0.5)
    codes = quantizer.encode(unseen)
    errors = [error(unseen, quantizer.decode(codes[:, :depth])) for depth in range(4)]
    assert errors == sorted(errors, reverse=True)


def test_a_wider_beam_finds_codes_that_are_nearer() -> None:
    unseen, quantizer = clustered()[600:], started([6, 6, 6], max_prefixes=1)
    greedy, wide = (error(unseen, quantizer.decode(quantizer.encode(unseen, beam=beam))) for beam in (1, 16))
    assert wide < greedy


def test_prefixes_that_count_stand_for_more_and_whole_codes_for_less_of_the_training_rows() -> None:
    train = clustered()[:600]
    errors = []
    for weight in (0.0, 4.0):
        quantizer = started([6, 6, 6], max_prefixes=1, prefix_weight=weight)
        errors.append(error(train, quantizer.decode(quantizer.encode(train)[:, :1])))
    assert errors[1] < errors[0]


def test_forward_says_what_encode_says_and_tells_commitment_in_shares_of_the_variance() -> None:
    unseen, quantizer = clustered()[600:], started([6, 6, 6])
    quantized = quantizer(unseen)
    assert torch.equal(quantized.codes, quantizer.encode(unseen))
    torch.testing.assert_close(quantized.quantized, quantizer.decode(quantized.codes))
    expected = error(unseen, quantized.quantized) / len(unseen) / float(quantizer.variance)
    assert float(quantized.commitment) == pytest.approx(expected, rel=1e-4)


def test_a_taught_level_says_its_label_unless_another_code_is_nearer_for_little() -> None:
    x, labels = clustered(), torch.zeros(900, 2, dtype=torch.int64) - 1
    labels[:, 0] = (x[:, 0] > 0).long()
    agreed = []
    for weight in (1e-3, 100.0):
        quantizer = HierarchicalVectorQuantizer(12, [2, 4], taught=[0], reconstruction_weight=weight)
        quantizer.start(x[:600], torch.Generator().manual_seed(0), labels[:600])
        agreed.append(float((quantizer.encode(x[600:])[:, 0] == labels[600:, 0]).float().mean()))
    assert agreed[0] > 0.9
    assert agreed[0] >= agreed[1]


@pytest.mark.parametrize("max_prefixes", [1, 6, 4096])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_renamed_codes_stand_for_the_same(max_prefixes: int, level: int) -> None:
    unseen, quantizer = clustered()[600:], started([6, 6, 6], max_prefixes=max_prefixes)
    before = quantizer.encode(unseen)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    decoded = quantizer.decode(before)
    quantizer.permute(level, order)
    after = before.clone()
    after[:, level] = order[before[:, level]]
    assert torch.equal(quantizer.decode(after), decoded)
    assert torch.equal(quantizer.encode(unseen), after)


def test_only_permutations_of_free_levels_are_taken() -> None:
    quantizer = started([4, 4], taught=[0])
    for level, order in ((0, [0, 1, 2, 3]), (2, [0, 1, 2, 3]), (1, [0, 0, 1, 2])):
        with pytest.raises(ConfigurationError, match=r"level is|permutation is"):
            quantizer.permute(level, torch.tensor(order))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beam": 0}, "beam is 0"),
        ({"fit_beam": 0}, "fit_beam is 0"),
        ({"rounds": -1}, "rounds is -1"),
        ({"start_iterations": 0}, "start_iterations is 0"),
        ({"ridge": 0.0}, "ridge is 0.0"),
        ({"prefix_weight": -1.0}, "prefix_weight is -1.0"),
        ({"reconstruction_weight": 0.0}, "reconstruction_weight is 0.0"),
        ({"revive_below": 1.0}, "revive_below is 1.0"),
        ({"taught": [3]}, "taught names the levels"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        HierarchicalVectorQuantizer(12, [4, 4], **options)  # type: ignore[arg-type]


def test_too_few_rows_and_no_labels_are_refused() -> None:
    with pytest.raises(TrainingError, match="3 training vectors for a level of 4 codes"):
        HierarchicalVectorQuantizer(12, [4]).start(clustered()[:3], torch.Generator())
    with pytest.raises(TrainingError, match="no training passage has one"):
        HierarchicalVectorQuantizer(12, [4, 4], taught=[0]).start(clustered(), torch.Generator())
