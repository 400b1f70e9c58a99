"""Codebooks under several processes: all end with the same codewords, whatever each one saw."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed
from torch import Tensor

from wotd.metrics import CodebookUsage
from wotd.quantization import Codebook
from wotd.quantization.codebook import assign

WORLD, STEPS = 2, 3


def rows(step: int) -> Tensor:
    return torch.randn(24, 3, generator=torch.Generator().manual_seed(step))


def share(step: int, rank: int) -> Tensor:
    """What a process sees of a step; in the second one the first process sees nothing."""
    return rows(step)[:0] if (step, rank) == (1, 0) else rows(step)[slice(0, 10) if rank == 0 else slice(10, 24)]


def codebook() -> Codebook:
    """Started, and its last code about to die."""
    made = Codebook(4, 3, decay=0.9)
    made.start(rows(0), torch.Generator().manual_seed(0))
    made.embed_KZ[3] = 50.0
    made.embed_avg_KZ[3] = 50.0 * 0.024
    made.cluster_size_K[3] = 0.024
    return made


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(rank)  # each would draw other rows
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=WORLD)
    updated, revived, usage = codebook(), codebook(), CodebookUsage([4])
    moved = []
    for step in range(STEPS):
        x = share(step, rank)
        codes = assign(x, updated.embed_KZ)
        usage.update(codes.unsqueeze(1))
        updated.update(x, codes)
        revived.update(x, assign(x, revived.embed_KZ))
        moved.append(revived.revive(x))
    ends = {
        "updated": updated.state_dict(),
        "revived": revived.state_dict(),
        "moved": moved,
        "usage": [tuple(level) for level in usage.compute()],
    }
    torch.save(ends, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process ends with."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(process, (str(folder),), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.parametrize("which", ["updated", "revived"])
def test_all_processes_end_with_the_same_codebook(ends: list[dict[str, Any]], which: str) -> None:
    for name, value in ends[0][which].items():
        assert torch.equal(value, ends[1][which][name]), name


def test_several_processes_update_as_one_that_sees_all_rows(ends: list[dict[str, Any]]) -> None:
    alone = codebook()
    for step in range(STEPS):
        # The second step's rows of the first process are seen by nobody.
        x = torch.cat([share(step, rank) for rank in range(WORLD)])
        alone.update(x, assign(x, alone.embed_KZ))
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(ends[0]["updated"][name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_a_code_revives_on_all_processes_though_one_has_no_rows(ends: list[dict[str, Any]]) -> None:
    assert ends[0]["moved"] == ends[1]["moved"]
    assert ends[0]["moved"] == [0, 1, 0]
    codeword = ends[0]["revived"]["embed_KZ"][3]
    assert float(codeword.norm()) < 5


def test_counts_of_codes_are_those_of_all_processes(ends: list[dict[str, Any]]) -> None:
    alone, usage = codebook(), CodebookUsage([4])
    for step in range(STEPS):
        x = torch.cat([share(step, rank) for rank in range(WORLD)])
        codes = assign(x, alone.embed_KZ)
        usage.update(codes.unsqueeze(1))
        alone.update(x, codes)
    for end in ends:
        assert end["usage"] == [tuple(level) for level in usage.compute()]
