"""Encoding by several processes: each takes a share of the rows, and together they give the codes of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from wotd.encoders import SemanticEncoder

WORLD, DIM = 2, 12
ROWS = torch.randn(701, DIM, generator=torch.Generator().manual_seed(3))


def model() -> SemanticEncoder:
    """Started, and its correction no longer zero."""
    torch.manual_seed(0)
    made = SemanticEncoder(DIM, (8, 6, 4), latent_dim=7, hidden=(10,))
    made.start(ROWS, torch.Generator().manual_seed(0))
    for parameter in made.encoder.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def process(rank: int, folder: str, config: dict[str, Any], state: dict[str, Tensor]) -> None:
    """Encode every second row and gather the codes of all."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=WORLD)
    encoder = SemanticEncoder.from_config(config).eval()
    encoder.load_state_dict(state)
    own = encoder.encode(ROWS[rank::WORLD])
    together = torch.zeros(len(ROWS), own.shape[1], dtype=torch.int64)
    together[rank::WORLD] = own
    torch.distributed.all_reduce(together)
    torch.save(together, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_codes_of_one(tmp_path: Path) -> None:
    alone = model()
    torch.multiprocessing.spawn(process, (str(tmp_path), alone.config, alone.state_dict()), nprocs=WORLD)
    codes = alone.encode(ROWS)
    assert len(codes.unique(dim=0)) > 50
    for rank in range(WORLD):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt", weights_only=True), codes)
