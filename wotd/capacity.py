"""What codes of given sizes can tell apart, and how many items it takes to learn them, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wotd.metrics.collisions import expected_collisions

FEW_ITEMS_PER_CODE = 20
"""Of fewer items a code, later levels of plain residual k-means add next to nothing on unseen items.

Source: experiments/items_per_code. Codewords fitted together lose less.
"""

ENOUGH_ITEMS_PER_CODE = 40
"""Of so many, later levels add much, and larger levels would serve unseen items no better."""

_FEW_COLLISIONS = 0.01
_MANY_COLLISIONS = 0.1
_LITTLE_BITS = 0.5


def planned(items: int, level_sizes: Sequence[int], *, trained_on: int | None = None) -> dict[str, Any]:
    """What codes of these sizes can tell apart, and what had better be changed.

    Args:
        items: how many items get a code.
        level_sizes: codes per level.
        trained_on: how many items the codes are learned from; None: the same.

    Returns:
        plain data: capacity in codes and bits, collision rates, one entry a level, and advice in sentences.
    """
    trained_on = trained_on or items
    floor, expected = expected_collisions(items, level_sizes)
    levels = list(_levels(items, level_sizes, trained_on))
    return {
        "items": items,
        "trained_on": trained_on,
        "level_sizes": list(level_sizes),
        "codes": math.prod(level_sizes),
        "bits": round(sum(math.log2(size) for size in level_sizes), 2),
        "bits_of_items": round(math.log2(items), 2),
        "collisions": {"floor": floor, "expected": expected},
        "levels": levels,
        "advice": [
            *starving_levels(trained_on, level_sizes),
            *_idle_levels(items, levels),
            *_collisions(items, level_sizes, floor, expected, trained_on),
        ],
    }


def starving_levels(trained_on: int, level_sizes: Sequence[int]) -> list[str]:
    """What to change where there are too few items to learn so many codes from; nothing where there are enough."""
    starving = [str(level) for level, size in enumerate(level_sizes) if trained_on < FEW_ITEMS_PER_CODE * size]
    if not starving:
        return []
    largest, size = max(level_sizes), trained_on // ENOUGH_ITEMS_PER_CODE
    smaller = f"make levels of at most {size} codes, or " if size > 1 else ""
    refused = " (training refuses a level with more codes than items)" if largest > trained_on else ""
    return [
        f"Level {', '.join(starving)} would starve: {trained_on:,} items are fewer than {FEW_ITEMS_PER_CODE} a code, "
        f"which are learned partly by heart, so that later levels say less of unseen items{refused}; {smaller}"
        f"train on {ENOUGH_ITEMS_PER_CODE * largest:,} items or more."
    ]


def _levels(items: int, sizes: Sequence[int], trained_on: int) -> Iterator[dict[str, Any]]:
    """Per level, what a prefix that ends there can tell apart."""
    before = 0.0
    for level, size in enumerate(sizes):
        prefix = sizes[: level + 1]
        carried = max(0.0, min(math.log2(items), before + math.log2(size)) - before)
        before += math.log2(size)
        yield {
            "level": level,
            "size": size,
            "trained_per_code": trained_on / size,
            "prefixes": math.prod(prefix),
            "items_per_prefix": items / math.prod(prefix),
            "bits": round(math.log2(size), 2),
            "bits_it_can_carry": round(carried, 2),
            "expected_collisions": expected_collisions(items, prefix)[1],
        }


def _idle_levels(items: int, levels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    idle = [str(level["level"]) for level in levels if level["bits_it_can_carry"] < _LITTLE_BITS < level["bits"]]
    if idle:
        yield (
            f"Level {', '.join(idle)} can hardly tell more items apart, for the levels before have prefixes enough for "
            f"{items:,}; keep it only for a finer reconstruction, or make the levels smaller."
        )
    single = [str(level["level"]) for level in levels if level["size"] == 1]
    if single:
        yield f"Level {', '.join(single)} has one code and says nothing."


def _collisions(items: int, sizes: Sequence[int], floor: float, expected: float, trained_on: int) -> Iterator[str]:
    if expected <= _MANY_COLLISIONS:
        return
    wanted = math.ceil(items / (2 * _FEW_COLLISIONS))
    unavoidable = f"at least {100 * floor:.0f}% of the items must share a code, " if floor else ""
    yield (
        f"IDs do not name single items: {unavoidable}{100 * expected:.0f}% would by chance. For less than "
        f"{100 * _FEW_COLLISIONS:.0f}%, {wanted:,} codes are needed ({math.log2(wanted):.1f} bits)"
        f"{_larger(wanted, sizes, trained_on)}. Works get IDs of their own by artifacts.collisions=suffix in any case."
    )


def _larger(wanted: int, sizes: Sequence[int], trained_on: int) -> str:
    """Ways to so many codes on which no level starves."""
    missing = math.ceil(wanted / math.prod(sizes))
    last = math.ceil(wanted / math.prod(sizes[:-1]))
    ways = {f"a last level of {last:,}": last, f"one more level of {missing:,}": missing}
    fed = [way for way, size in ways.items() if FEW_ITEMS_PER_CODE * size <= trained_on]
    size = trained_on // ENOUGH_ITEMS_PER_CODE
    if not fed and size > 1:
        fed = [f"{math.ceil(math.log(missing, size))} more levels of {size:,}"]
    return f": {', or '.join(fed)}" if fed else ""
