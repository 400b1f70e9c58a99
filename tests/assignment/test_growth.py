"""What a job does for each file and each part does not grow with how many there are: calls are counted, not seconds."""

from __future__ import annotations

import pyarrow as pa
import pytest

from wotd.assignment.inputs import Piece
from wotd.assignment.on_ray import _by_pair
from wotd.assignment.shards import Done, Pair, Shard


def test_what_ray_has_done_is_sorted_by_file_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    equal = Pair.__eq__

    def counted(one: Pair, other: object) -> bool:
        nonlocal compared
        compared += 1
        return bool(equal(one, other))

    files, parts = 300, 4
    shards = [
        Shard(Pair(f"{file}.npy", f"{file}.npy.parquet"), f"{file}/{part}", part, Piece(), None, "", pa.schema([]), {})
        for file in range(files)
        for part in range(parts)
    ]
    done = {shard.target: Done(shard.target, 1) for shard in shards[1:]}
    monkeypatch.setattr(Pair, "__eq__", counted)
    of_pairs = _by_pair(shards, done)
    assert [len(of_pairs[Pair(f"{file}.npy", f"{file}.npy.parquet")]) for file in range(files)] == [3] + [4] * 299
    assert compared <= 2 * files * (parts + 1)
