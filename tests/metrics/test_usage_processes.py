"""Counts of codes under several processes: those of all rows, whatever each process saw."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed

from wotd.metrics import CodebookUsage

WORLD = 2
CODES = torch.randint(4, (31, 1), generator=torch.Generator().manual_seed(0)).clamp_max(2)  # the last code is dead


def process(rank: int, folder: str) -> None:
    """Count a share of the rows; the second process sees most of them, and nothing at first."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=WORLD)
    usage = CodebookUsage([4])
    usage.update(CODES[:9] if rank == 0 else CODES[:0])
    usage.update(CODES[9:12] if rank == 0 else CODES[12:])
    torch.save([tuple(level) for level in usage.compute()], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_counts_of_codes_are_those_of_all_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=WORLD)
    alone = CodebookUsage([4])
    alone.update(CODES)
    for rank in range(WORLD):
        told = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert told == [tuple(level) for level in alone.compute()]
