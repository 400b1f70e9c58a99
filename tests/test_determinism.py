"""The same again: a seed decides weights to the bit, and a row its codes, in any company and on any process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save
from small_training import FAST, clusters, small_data, small_module, small_trainer

from wotd.callbacks import CodewordRefit, CosineWarmup, GradientClipping, Watchdog
from wotd.encoders import SemanticEncoder
from wotd.module import SemanticIDModule

ROWS = torch.from_numpy(clusters(1100, seed=5))
WORLD = 2


def trained(folder: Path, *, quantizer: str = "hvq", seed: int = 0) -> SemanticIDModule:
    """A module after two epochs with dropout and all callbacks that touch numbers."""
    data = small_data(folder, seed=seed)
    torch.manual_seed(seed)
    module = small_module(data, quantizer={"kind": quantizer}, dropout=0.3, optimizer=FAST, seed=seed)
    small_trainer(CosineWarmup(), GradientClipping(), CodewordRefit(), Watchdog()).fit(module, datamodule=data)
    return module


def weights(module: SemanticIDModule) -> bytes:
    """As artifacts hold them."""
    return save({name: value.contiguous() for name, value in module.model.state_dict().items()})


@pytest.mark.parametrize("quantizer", ["hvq", "fsq"])
def test_a_seed_decides_weights_to_the_bit_and_codes(quantizer: str, tmp_path: Path) -> None:
    first = trained(tmp_path / "first", quantizer=quantizer)
    torch.rand(100)  # what was drawn in between does not count
    again = trained(tmp_path / "again", quantizer=quantizer)
    assert weights(again) == weights(first)
    assert torch.equal(again.model.encode(ROWS), first.model.encode(ROWS))
    assert weights(trained(tmp_path / "other", quantizer=quantizer, seed=1)) != weights(first)


# --- in any company


@pytest.fixture(scope="module", params=["hvq", "fsq"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SemanticEncoder:
    return trained(tmp_path_factory.mktemp(request.param), quantizer=request.param).model


@given(
    offset=st.integers(0, 1099),
    number=st.integers(0, 1100),
    batch_size=st.integers(1, 600),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_a_rows_code_depends_on_the_row_alone(
    encoder: SemanticEncoder, offset: int, number: int, batch_size: int, seed: int
) -> None:
    """Not on where it stands, on how many others there are, on their order, or on the size of batches."""
    codes = encoder.encode(ROWS)
    order = torch.randperm(1100, generator=torch.Generator().manual_seed(seed))
    chosen = order[offset:][:number]
    assert torch.equal(encoder.encode(ROWS[chosen]), codes[chosen])
    batches = torch.split(ROWS[offset:], batch_size)
    assert torch.equal(torch.cat([encoder.encode(batch) for batch in batches]), codes[offset:])


# --- in several processes


class BreakLevel(Callback):
    """Puts the codewords of the second level out of reach, in the second epoch, on every process."""

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch == 1:
            quantizer = pl_module.model.quantizer
            quantizer.points_1.view(4, 4, -1)[:, 1:] = 1e3
            quantizer.points_2.view(4, 4, 4, -1)[:, 1:] = 1e3


def process(rank: int, folder: str, port: int) -> None:
    """One of two that train together: a level collapses on the way and all codewords are started anew."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(WORLD)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    data = small_data(Path(folder) / str(rank))
    torch.manual_seed(0)
    module = small_module(data, quantizer={"kind": "hvq", "revive_below": 0.0}, optimizer=FAST)
    trainer = small_trainer(BreakLevel(), CodewordRefit(), Watchdog(), strategy="ddp", devices=WORLD)
    trainer.fit(module, datamodule=data)
    torch.save({"state": module.model.state_dict(), "codes": module.model.encode(ROWS)}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.nightly
def test_processes_that_train_together_end_alike_and_one_process_encodes_as_they_do(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(process, (str(tmp_path), port), nprocs=WORLD)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(WORLD))
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert torch.equal(first["codes"], second["codes"])
    assert len(first["codes"][:, 1].unique()) == 4, "the level that collapsed lives again"
    alone = small_module().model.eval()
    alone.load_state_dict(first["state"])
    assert torch.equal(alone.encode(ROWS), first["codes"])
