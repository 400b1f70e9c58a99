"""What of the output is there already: as one listing shows it, and as files say of themselves, each asked once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from wotd.errors import InputError
from wotd.hub.folders import Folder

ORIGIN = b"wotd.origin"
"""Key in a Parquet file's metadata: which artifacts and which input made it."""

_MOST_PARTS = 1_000_000
"""What a file of the output may say to have beside it; where there are more, the input is looked at again."""

_READERS = 8
"""Files that are asked at once, as most of the time goes by until a store answers."""


class Standing:
    """What stands where the IDs of one file of the input go."""

    def __init__(self, output: Folder, target: str, source: str, *, split: bool) -> None:
        """Nothing is looked at yet.

        Args:
            output: where files go.
            target: the file there, or the folder of its parts.
            source: the file of the input, for errors.
            split: whether it is a folder.
        """
        self._output, self._target, self._source, self._split = output, target, source, split

    def name(self, part: int) -> str:
        """Of the file of a part, in the output."""
        return f"{self._target}/part-{part:05}.parquet" if self._split else self._target

    def claimed_parts(self) -> int:
        """How many parts there are by what the first of them says; 0 where it says nothing that could be."""
        parts = self._first.get("parts", 1) if self._first is not None else 0
        return parts if type(parts) is int and 0 < parts <= _MOST_PARTS else 0

    def are_there(self, parts: Iterable[int]) -> bool:
        """Whether something stands in the place of each."""
        return all(self._is_file(part) is not None for part in parts)

    def finished(self, parts: Iterable[int], origin: Callable[[int], dict[str, Any]]) -> set[int]:
        """The parts that are there.

        Args:
            parts: those that are looked at.
            origin: what a part has to say that it was made of.

        Raises:
            InputError: if something else stands in the place of one.
        """
        if self._file_above is not None:
            raise self._refusal(self._file_above)
        there = [part for part in parts if self._is_file(part) is not None]
        for part, found in zip(there, self._origins(there), strict=True):
            if found is None or found != origin(part):
                raise self._refusal(self.name(part))
        return set(there)

    def _refusal(self, name: str) -> InputError:
        return InputError(
            f"{self._output.shown}/{name} exists, but not from this {PurePosixPath(self._source).name} with these "
            f"artifacts and options; remove it or choose another --output."
        )

    @cached_property
    def _file_above(self) -> str | None:
        """A file where a folder has to be."""
        if self._split:
            return self._target if "" in self._listed else None
        above = self._target.rpartition("/")[0]
        return above if above and self._output.is_file(above) else None

    def _is_file(self, part: int) -> bool | None:
        """Whether what stands in the place of a part is a file; None where nothing does."""
        if self._split:
            return self._listed.get(PurePosixPath(self.name(part)).name)
        return self._is_target_file

    @cached_property
    def _listed(self) -> dict[str, bool]:
        return self._output.listed(self._target)

    @cached_property
    def _is_target_file(self) -> bool | None:
        return self._output.is_file(self._target) if self._output.exists(self._target) else None

    def _origins(self, parts: Collection[int]) -> Iterator[dict[str, Any] | None]:
        if len(parts) < 2:
            yield from map(self._origin, parts)
            return
        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(self._origin, parts)

    def _origin(self, part: int) -> dict[str, Any] | None:
        return self._first if part == 0 else self._read(part)

    @cached_property
    def _first(self) -> dict[str, Any] | None:
        return self._read(0)

    def _read(self, part: int) -> dict[str, Any] | None:
        """What a part says it was made of; None where it says nothing that can be read."""
        import pyarrow as pa
        from pyarrow import parquet

        if not self._is_file(part):
            return None
        try:
            with self._output.open(self.name(part), scattered=True) as stream:
                metadata = parquet.read_metadata(stream).metadata or {}
            origin = json.loads(metadata.get(ORIGIN, b"null"))
            return origin if isinstance(origin, dict) else None
        except (pa.ArrowException, OSError, ValueError, RecursionError):
            return None
