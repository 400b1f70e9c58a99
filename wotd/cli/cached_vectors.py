"""Vectors as the cache holds them, for files. N texts, D numbers of a vector."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from wotd.cli.inputs import TextSource
from wotd.cli.tables import shortened
from wotd.cli.vector_tables import Part
from wotd.embeddings.cache import text_keys
from wotd.embeddings.shard_file import Keys
from wotd.embeddings.shards import ShardFolder
from wotd.errors import InputError

_TEXTS_AT_ONCE = 32768


def all_vectors(shards: ShardFolder) -> tuple[int, Iterator[Part]]:
    """How many vectors there are, and all of them, in no order that means anything."""
    sound = list(shards.sound())  # mapped, not read
    return sum(len(each.keys) for each in sound), (Part([], [], each.vectors, _hex(each.keys)) for each in sound)


def vectors_of(source: TextSource, shards: ShardFolder) -> tuple[int, Iterator[Part]]:
    """How many texts there are, and their vectors, in their order.

    Raises:
        InputError: if some of them are not there.
    """
    count, lacking, example = 0, 0, ""
    for texts in _some_at_a_time(source):
        missing = shards.fill(None, text_keys(texts))
        if len(missing) and not lacking:
            example = texts[int(missing[0])]
        count, lacking = count + len(texts), lacking + len(missing)
    if lacking:
        raise InputError(
            f"{lacking:,} of {count:,} texts of {source.name} are not in the cache, the first is "
            f"{shortened(example, 40)!r}; wotd embed computes what is missing."
        )
    return count, _looked_up(source, shards)


def _looked_up(source: TextSource, shards: ShardFolder) -> Iterator[Part]:
    for texts in _some_at_a_time(source):
        keys = text_keys(texts)
        vectors_ND = np.empty((len(keys), shards.dimension), np.float32)
        if len(lost := shards.fill(vectors_ND, keys)):
            raise InputError(f"{len(lost):,} texts of {source.name} were removed from the cache meanwhile; run again.")
        yield Part([], texts, vectors_ND, _hex(keys))


def _some_at_a_time(source: TextSource) -> Iterator[list[str]]:
    stream = (text for text, _ in source.texts())
    while texts := list(islice(stream, _TEXTS_AT_ONCE)):
        yield texts


def _hex(keys: Keys) -> list[str]:
    whole = keys.tobytes().hex()
    return [whole[start : start + 64] for start in range(0, len(whole), 64)]
