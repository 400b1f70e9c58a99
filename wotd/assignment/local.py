"""Assigning on this machine, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wotd.assignment.batches import Assigner
from wotd.assignment.shards import Job, Pair
from wotd.inference import SemanticIDModel
from wotd.progress import progress


def assign_here(
    job: Job, pairs: Sequence[Pair], model: SemanticIDModel, *, rank: int = 0, world: int = 1
) -> tuple[int, int]:
    """Do this process's share of a job: of the shards where files are split, else of the files.

    Args:
        job: what to do.
        pairs: files of the input, the same in every process.
        model: loaded.
        rank: number of this process.
        world: how many there are.

    Returns:
        how many files were written, and how many were there.

    Raises:
        WOTDError: naming the file or the row that cannot be used; what was written before stays.
    """
    assigner = Assigner(model, job.choices)
    split = job.choices.rows_per_file is not None
    mine = pairs if split else pairs[rank::world]  # files of others are not even looked at
    before = written = found = 0
    for number, pair in enumerate(mine, start=1):
        share = _run_of_parts((rank - before) % world, world) if split else range
        shards, parts = job.open_shards(pair, model.artifacts, share)
        found += len(share(parts)) - len(shards)
        before += parts
        done = []
        with job.reading(pair) as windows:
            for shard in shards:
                with progress(f"{number}/{len(mine)} {shard.target}", shard.rows, "rows") as advance:
                    done.append(job.assign(shard, assigner, advance, windows))
        job.warn_of_gaps(pair, done)
        written += len(done)
    return written, found


def _run_of_parts(place: int, world: int) -> Callable[[int], range]:
    """Which of so many parts one of so many processes does: neighbours, so that it need not read what lies between."""

    def share(parts: int) -> range:
        least, more = divmod(parts, world)
        first = place * least + min(place, more)
        return range(first, first + least + (place < more))

    return share
