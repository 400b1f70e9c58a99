"""The LightningModule: it learns, logs by the agreed names, and leaves checkpoints that anyone can read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from small_training import FAST, small_data, small_module, small_trainer

from wotd.data.batches import EmbeddingBatch, EmbeddingDataset
from wotd.data.splits import TRAIN, VAL
from wotd.errors import ConfigurationError
from wotd.losses import LossWeights
from wotd.module import OptimizerSettings, SemanticIDModule, build_module
from wotd.taxonomy import Taxonomy

TERMS = ("reconstruction", "commitment", "entropy", "diversity", "alignment")

TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "test",
        "version": 1,
        "levels": [
            {"name": "age", "fact": "year", "rule": "edges", "edges": [1, 2], "codes": ["a", "b", "c"]},
            {"name": "rank", "rule": "rank", "size": 4},
        ],
    }
)


def labelled(rows: int = 120, seed: int = 0) -> EmbeddingDataset:
    """Three clusters that are what the first level is to say; a third of the labels is unknown."""
    generator = np.random.default_rng(seed)
    kinds = generator.choice(3, size=rows, p=[0.6, 0.3, 0.1])
    vectors = (np.eye(12)[kinds] * 4 + 1.5 * generator.standard_normal((rows, 12))).astype(np.float32)
    labels = np.stack([np.where(np.arange(rows) % 3 == 0, -1, kinds), np.full(rows, -1)], 1)
    return EmbeddingDataset(vectors, labels, np.arange(rows))


def test_training_lowers_the_loss_from_any_beginning(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    module = small_module(data, optimizer=FAST, dropout=0.0)
    with torch.no_grad():  # away from the closed form, so that there is something to learn
        module.model.decoder.linear.weight.mul_(0.3)
    before = module.validation_loss(data.dataset(VAL))
    trainer = small_trainer(max_epochs=4)
    trainer.fit(module, datamodule=data)
    after = module.validation_loss(data.dataset(VAL))
    assert after < 0.8 * before
    assert after == pytest.approx(float(trainer.callback_metrics["val/loss"]), rel=1e-4)


def test_validation_loss_leaves_the_module_as_it_was(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    module = small_module(data)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert module.training
    module.validation_loss(data.dataset(VAL))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def logged(tmp_path: Path, **options) -> list[dict[str, float]]:
    data = small_data(tmp_path)
    logger = CSVLogger(tmp_path, name="", version="")
    small_trainer(logger=logger, **options).fit(small_module(data), datamodule=data)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    return [{n: float(v) for n, v in zip(names, line.split(","), strict=True) if v} for line in lines[1:]]


def test_scalars_have_the_agreed_names_and_add_up(tmp_path: Path) -> None:
    rows = logged(tmp_path, max_epochs=1)
    for stage in ("train", "val"):
        row = next(row for row in rows if f"{stage}/loss" in row)
        assert set(row) - {"epoch", "step"} == {
            f"{stage}/loss",
            *(f"{stage}/{term}" for term in TERMS),
            *(f"{stage}/{term}_weighted" for term in TERMS),
        }
        assert row[f"{stage}/loss"] == pytest.approx(sum(row[f"{stage}/{term}_weighted"] for term in TERMS), rel=1e-4)
        for term in TERMS:
            weight = getattr(LossWeights(), term)
            assert row[f"{stage}/{term}_weighted"] == pytest.approx(row[f"{stage}/{term}"] * weight, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("every", "steps"), [(50, [5, 11]), (4, [3, 7, 11]), (0, [])])
def test_training_is_logged_at_the_interval_and_at_least_once_an_epoch(
    tmp_path: Path, every: int, steps: list[int]
) -> None:
    rows = logged(tmp_path, max_epochs=2, log_every_n_steps=every)
    assert [row["step"] for row in rows if "train/loss" in row] == steps


def test_what_is_logged_is_the_mean_since_the_last_time(tmp_path: Path) -> None:
    class Losses(Callback):
        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            self.losses.append(float(outputs["loss"]))

    data, seen = small_data(tmp_path), Losses()
    trainer = small_trainer(seen, max_epochs=1, log_every_n_steps=3)
    trainer.fit(small_module(data), datamodule=data)
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(np.mean(seen.losses[3:]), rel=1e-5)


def test_a_checkpoint_is_plain_data_and_says_what_it_is_of(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    provenance = {"embedding": {"dimension": 12, "fingerprint": {"model": "m"}}, "seed": 3}
    module = small_module(data, provenance=provenance)
    checkpoint = ModelCheckpoint(tmp_path, "x")
    small_trainer(checkpoint, max_epochs=1, enable_checkpointing=True).fit(module, datamodule=data)
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert content["wotd"] == {"encoder": module.model.config, **provenance}
    other = small_module()
    other.load_state_dict(content["state_dict"])
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), module.parameters(), strict=True))


def test_the_start_is_the_seeds(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    states = [small_module(data, seed=seed).state_dict() for seed in (5, 5, 6)]
    # The correction is initialised by torch's global generator; all that is started is the seed's alone.
    shared = [name for name in states[0] if "correction" not in name]
    codewords = [name for name in shared if "points_" in name]
    assert len(codewords) == 3
    assert all(torch.equal(states[0][name], states[1][name]) for name in shared)
    assert not any(torch.equal(states[0][name], states[2][name]) for name in codewords)


def test_the_start_is_taken_from_rows_all_over_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.module.START_ROWS", 4)
    asked: list[list[int]] = []

    class Spy(EmbeddingDataset):
        def __getitem__(self, indices):
            asked.append(indices.tolist())
            return super().__getitem__(indices)

    vectors = np.random.default_rng(0).standard_normal((11, 12)).astype(np.float32)
    build_module(12, None, level_sizes=[2], latent_dim=2, hidden=[]).start(
        Spy(vectors, np.empty((11, 0), np.int64), np.arange(11))
    )
    assert asked == [[0, 2, 5, 8]]


def test_a_supervised_level_learns_its_labels_prior_and_a_ranked_one_none() -> None:
    dataset = labelled()
    module = build_module(12, TAXONOMY, latent_dim=6, hidden=[16])
    assert module.supervised
    assert module.model.level_sizes == (3, 4)
    assert module.priors == [None, None]
    module.start(dataset)
    known = dataset.labels[:, 0][dataset.labels[:, 0] >= 0]
    expected = torch.bincount(known, minlength=3)
    prior, none = module.priors
    assert none is None
    torch.testing.assert_close(prior, expected / expected.sum())
    fresh = build_module(12, TAXONOMY, latent_dim=6, hidden=[16])
    fresh.load_state_dict(module.state_dict())
    torch.testing.assert_close(fresh.priors[0], prior)
    assert int((module.model.encode(dataset[torch.arange(120)].embeddings)[:, 0] == 0).sum()) > 40


def test_labels_count_in_the_loss_of_supervised_levels_only() -> None:
    dataset = labelled()
    batch = dataset[torch.arange(60)]
    taught, free = build_module(12, TAXONOMY, hidden=[]), build_module(12, TAXONOMY, level_sizes=[3, 4], hidden=[])
    for module in (taught, free):
        module.start(dataset)
        module.eval()
    unknown = batch._replace(labels=torch.full_like(batch.labels, -1))
    with torch.no_grad():
        assert float(taught.terms(batch)[0].alignment) > 0
        assert float(free.terms(batch)[0].alignment) == 0
        assert float(taught.terms(unknown)[0].alignment) == 0


def optimizer_of(module: SemanticIDModule, precision: str) -> torch.optim.Optimizer:
    module._trainer = SimpleNamespace(precision=precision)  # type: ignore[assignment]
    return module.configure_optimizers()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("fused", [None, True, False])
def test_fused_never_goes_with_scaled_gradients(precision: str, fused: bool | None) -> None:
    module = small_module(optimizer=OptimizerSettings(fused=fused))
    if fused and precision == "16-mixed":
        with pytest.raises(ConfigurationError, match=r"model\.optimizer\.fused=true cannot go with 16-mixed"):
            optimizer_of(module, precision)
        return
    assert optimizer_of(module, precision).defaults["fused"] == (fused is not False and precision != "16-mixed")


def test_weight_decay_is_for_matrices() -> None:
    module = small_module(optimizer=OptimizerSettings(learning_rate=0.5, weight_decay=0.3))
    matrices, rest = optimizer_of(module, "32-true").param_groups
    assert matrices["weight_decay"] == 0.3
    assert rest["weight_decay"] == 0
    assert all(p.ndim > 1 for p in matrices["params"])
    assert len(matrices["params"]) + len(rest["params"]) == len(list(module.parameters()))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0.0}, "model.optimizer.learning_rate is 0.0; expected more than 0."),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -1.0}, "model.optimizer.weight_decay is -1.0"),
    ],
)
def test_rates_that_cannot_be_meant(settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        OptimizerSettings(**settings)


def test_bare_vectors_need_level_sizes() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.level_sizes is null.*\+experiment=deep"):
        build_module(12, None)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"beam": "abc"}, r"^model\.quantizer\.beam is 'abc'; expected a whole number\.$"),
        ({"beam": None}, r"^model\.quantizer\.beam is null; expected a whole number\.$"),
        ({"beam": [1]}, r"^model\.quantizer\.beam is \[1\]; expected a whole number\.$"),
        ({"rounds": 1.5}, r"^model\.quantizer\.rounds is 1\.5; expected a whole number\.$"),
        ({"fit_beam": "x"}, r"^model\.quantizer\.fit_beam is 'x'; expected a whole number or null\.$"),
        ({"ridge": "x"}, r"^model\.quantizer\.ridge is 'x'; expected a number\.$"),
        ({"kind": "fsq", "feature_dim": 3}, r"^model\.quantizer has feature_dim, which features and taxonomy decide; "),
        ({"kind": "vq", "beam": "abc"}, r"^model\.quantizer\.kind is 'vq'; expected one of hvq, fsq\.$"),
    ],
)
def test_options_of_a_quantizer_that_cannot_be_meant(option: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build_module(12, None, level_sizes=[4, 4], quantizer=option)


def test_the_levels_of_a_taxonomy_cannot_be_taught_otherwise() -> None:
    with pytest.raises(ConfigurationError, match=r"^model\.quantizer has taught, which features and taxonomy decide; "):
        build_module(12, TAXONOMY, quantizer={"kind": "hvq", "taught": [0]})
    free = build_module(12, TAXONOMY, level_sizes=[4, 4], quantizer={"kind": "hvq", "taught": [0]})
    assert free.model.quantizer.taught == (0,)


def test_whole_numbers_and_null_pass_where_they_mean_something() -> None:
    options = {"kind": "hvq", "ridge": 3, "fit_beam": None}
    assert build_module(12, None, level_sizes=[4, 4], quantizer=options).model.quantizer.options["ridge"] == 3


@pytest.mark.slow
def test_compiled_networks_learn_the_same(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    states = []
    for compiled in (False, True):
        torch.manual_seed(0)
        module = small_module(data, dropout=0.0, compile=compiled)
        small_trainer(max_epochs=1).fit(module, datamodule=data)
        states.append(module.state_dict())
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-3, atol=1e-4)


def test_each_step_draws_from_a_seed_of_its_own(tmp_path: Path) -> None:
    """So that dropout does not depend on what was drawn before, in another process."""
    data = small_data(tmp_path)
    states = []
    for drawn in (0, 1000):
        torch.manual_seed(0)
        module = small_module(data, dropout=0.5)
        torch.rand(drawn)
        small_trainer(max_epochs=1).fit(module, datamodule=data)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert len(data.rows(TRAIN)) == 192


def test_a_label_that_nothing_taught_does_not_count_in_validation() -> None:
    module = build_module(12, TAXONOMY, latent_dim=6, hidden=[16])
    dataset = labelled()
    dataset.labels[:, 0] = torch.where(dataset.labels[:, 0] == 2, -1, dataset.labels[:, 0])
    module.start(dataset)
    batch = dataset[torch.arange(20)]
    known = EmbeddingBatch(batch.embeddings, batch.labels.clone())
    known.labels[:10, 0] = -1
    stranger = EmbeddingBatch(batch.embeddings, known.labels.clone())
    stranger.labels[:10, 0] = 2
    module.eval()
    torch.testing.assert_close(module.terms(stranger)[0].alignment, module.terms(known)[0].alignment)
    assert module.taught_labels(stranger.labels)[:10, 0].tolist() == [-1] * 10
