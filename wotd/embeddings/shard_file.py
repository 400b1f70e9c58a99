"""Immutable safetensors files named by their content: the shards of the cache, and the table of their keys.

A shard holds vectors and the keys to find them by. Since a file's name holds the checksum of its content
(XXH3, 128 bits: against accidents of disks and networks, at the speed of memory; whoever may write into the
cache needs no collision to mislead its owner), the checksum cannot go stale.

n rows of a shard, D embedding.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from wotd.embeddings.base import Vectors

Keys = NDArray[np.bytes_]
"""S32 [n]: the SHA-256 of texts."""

TEMPORARY = ".tmp-"
"""Names of what is not finished yet begin so."""

logger = logging.getLogger(__name__)

_KIND, _SUFFIX, _CORRUPT = "shard", ".safetensors", ".corrupt"
_AT_ONCE = 1 << 20
_LONGEST_HEADER = 1 << 27
_SHA256_DIGITS = 64
"""Names this long come from a version that used SHA-256; their shards are as good as any."""


class DamagedShardError(Exception):
    """The file is not what its name, its header or its folder says."""


@dataclass
class Shard:
    """Keys and vectors of one file, mapped; or of no file, where nothing can be stored."""

    name: str
    keys: Keys
    vectors: Vectors
    verified: bool = False


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, sorted; none if there is no folder."""
    return sorted(folder.glob(f"{_KIND}-*{_SUFFIX}")) if folder.is_dir() else []


def damaged_files(folder: Path) -> list[Path]:
    """What was moved aside as damaged, sorted."""
    return sorted(folder.glob(f"*{_CORRUPT}"))


def named_by_content(kind: str, content: bytes) -> str:
    """Name of a file of that kind with that content."""
    return f"{kind}-{xxhash.xxh3_128_hexdigest(content)}{_SUFFIX}"


def write_shard(folder: Path, keys: Keys, vectors: Vectors, digest: str, temporary: str | None = None) -> str:
    """Write one shard, durably and all at once; returns its name.

    Args:
        folder: of its fingerprint.
        keys: [n].
        vectors: [n, D].
        digest: of the fingerprint.
        temporary: name of the file until it is whole.
    """
    from safetensors.numpy import save

    content = save(
        {"keys": keys.view(np.uint8).reshape(-1, 32), "vectors": np.ascontiguousarray(vectors, np.float32)},
        metadata={"fingerprint": digest},
    )
    name = named_by_content(_KIND, content)
    try:
        write_atomically(folder / name, content, temporary)
    except OSError:
        # Over a network a rename may be done and yet fail, when its answer is lost and it is asked for again.
        if not _is_sound(folder / name):
            raise
    return name


def write_atomically(path: Path, content: bytes, temporary: str | None = None) -> None:
    """Replace a file so that it is there whole, or as it was before, even if the machine stops."""
    unfinished = path.with_name(temporary or f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened to flush it
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_shard(path: Path, digest: str, dimension: int) -> Shard:
    """Map a shard; its header is checked, its content not yet.

    Raises:
        DamagedShardError: if it is no shard of this fingerprint and dimension.
        FileNotFoundError: if it is gone.
    """
    header, start = header_of(path)
    size = path.stat().st_size
    try:
        n = header["keys"]["shape"][0]
        shapes = header["keys"]["shape"], header["vectors"]["shape"]
        types = header["keys"]["dtype"], header["vectors"]["dtype"]
        end = start + max(header[name]["data_offsets"][1] for name in ("keys", "vectors"))
        made_under = header["__metadata__"]["fingerprint"]
        if shapes != ([n, 32], [n, dimension]) or types != ("U8", "F32") or end != size or n < 1:
            raise DamagedShardError(f"it holds {shapes!a:.200} in {size} bytes; expected rows of 32 and of {dimension}")
        begin = {
            name: _offset(header[name], start, size, n * row_bytes)
            for name, row_bytes in (("keys", 32), ("vectors", 4 * dimension))
        }
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise DamagedShardError(f"its header lacks {error!r}") from error
    if made_under != digest:
        raise DamagedShardError("it was made under another fingerprint")
    # Plain arrays over the maps: numpy's class for maps looks itself up at every slice.
    keys = np.asarray(np.memmap(path, "S32", "r", begin["keys"], (n,)))
    vectors = np.asarray(np.memmap(path, np.float32, "r", begin["vectors"], (n, dimension)))
    return Shard(path.name, keys, vectors)


def mapped(path: Path, header: dict[str, Any], start: int, name: str, code: str, kind: Any) -> NDArray[Any]:
    """Map a tensor of one dimension.

    Raises:
        DamagedShardError: if it is of another type.
        KeyError: if there is none of that name.
    """
    about = header[name]
    if about["dtype"] != code or len(about["shape"]) != 1:
        found = f"{about['dtype']!a:.40} of the shape {about['shape']!a:.80}"
        raise DamagedShardError(f"'{name}' is {found}; expected {code} in one dimension")
    [rows] = about["shape"]
    begin = _offset(about, start, path.stat().st_size, rows * np.dtype(kind).itemsize)
    if rows == 0:
        return np.empty(0, kind)
    return np.asarray(np.memmap(path, kind, "r", begin, (rows,)))


def _offset(about: dict[str, Any], start: int, size: int, expected: int) -> int:
    """Where a tensor of so many bytes begins, in a file of a certain size whose data begin at ``start``.

    Raises:
        DamagedShardError: if the header says that it is larger or smaller, or not in the file.
    """
    first, last = about["data_offsets"]
    if {type(first), type(last), type(expected)} != {int} or not 0 <= first <= last == first + expected <= size - start:
        raise DamagedShardError("a tensor lies elsewhere than its shape says")
    return start + int(first)


def shard_rows(path: Path) -> int:
    """How many vectors a shard says it holds; 0 if it cannot say."""
    try:
        return int(header_of(path)[0]["keys"]["shape"][0])
    except (DamagedShardError, OSError, KeyError, TypeError, IndexError, ValueError, OverflowError):
        return 0


def set_aside_damaged(folder: Path) -> list[Path]:
    """Compare every shard of a folder with its checksum, and move aside those that fail; their old paths."""
    damaged = []
    for path in shard_files(folder):
        try:
            verify_content(path)
        except FileNotFoundError:
            continue
        except DamagedShardError as damage:
            set_aside(path, str(damage))
            damaged.append(path)
    return damaged


def set_aside(path: Path, damage: str) -> None:
    """Rename a damaged shard, so that nobody reads it again."""
    logger.warning("the cache's shard %s is damaged (%s); its texts will be embedded again", path, damage)
    with contextlib.suppress(OSError):  # another process did it, or the cache is read-only
        path.rename(path.with_name(path.name + _CORRUPT))


def header_of(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its data begins.

    Raises:
        DamagedShardError: if it has none.
        FileNotFoundError: if it is gone.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, _LONGEST_HEADER):
                raise DamagedShardError("its header is cut off")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedShardError(f"its header cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise DamagedShardError("its header is no table")
    return header, 8 + length


def verify_content(path: Path) -> None:
    """Compare the content of a file with the checksum in its name.

    Raises:
        DamagedShardError: if they differ or the file cannot be read.
        FileNotFoundError: if it is gone.
    """
    named = path.name.partition("-")[2].removesuffix(_SUFFIX)
    checksum = hashlib.sha256() if len(named) == _SHA256_DIGITS else xxhash.xxh3_128()
    buffer = bytearray(_AT_ONCE)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                checksum.update(memoryview(buffer)[:count])
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedShardError(str(error)) from error
    if named != checksum.hexdigest():
        raise DamagedShardError("its content does not have the checksum in its name")


def _is_sound(path: Path) -> bool:
    try:
        verify_content(path)
    except (DamagedShardError, FileNotFoundError):
        return False
    return True
