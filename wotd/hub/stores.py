"""Artifacts in stores that fsspec knows: buckets, servers, memory.

What is fetched stays below ``artifacts/`` in wotd's cache folder, in a folder named by the URL and by the content of
its ``config.json``: as long as that is the same, nothing is fetched again. These folders may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wotd.artifacts import CONFIG, MAX_CONFIG_BYTES, Artifacts, check_target, listed_files, writing
from wotd.embeddings.location import cache_root
from wotd.embeddings.locks import locked
from wotd.errors import ArtifactError, WOTDError
from wotd.hub.bounds import check_sizes, max_bytes
from wotd.progress import track
from wotd.redaction import reason_of, redacted, redacted_logs

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHUNK = 4 * 1024 * 1024
_EXTRAS = {"s3": "s3", "s3a": "s3"}


def fetched(address: str) -> Path:
    """The local copy of the artifacts at a URL, fetched and verified if there is none yet.

    Raises:
        ArtifactError: why they cannot be had, or which file is not as its checksum says.
    """
    shown = redacted(address)
    with told(f"{shown} cannot be fetched"):
        store, root = opened(address)
        store.invalidate_cache()
        config = _config(store, root, shown)
        home = cache_root() / "artifacts" / _digest(address.encode()) / _digest(config)
        with locked(home.parent):
            if not (home / CONFIG).is_file():
                _fetch(store, root, config, home, shown)
    return home


def _fetch(store: AbstractFileSystem, root: str, config: bytes, home: Path, shown: str) -> None:
    for left in home.parent.glob(".*-*"):  # of a process that was killed: whoever holds the lock is alone here
        shutil.rmtree(left, ignore_errors=True)
    with writing(home) as folder:
        try:
            (folder / CONFIG).write_bytes(config)
            names = listed_files(folder)
            sizes = {name: _size(store, f"{root}/{name}", f"{shown}/{name}") for name in names}
            check_sizes([size or 0 for size in sizes.values()], shown, folder)
            for name in track(names, f"fetching {shown}", unit="files"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _copy(store, f"{root}/{name}", folder / name, sizes[name], f"{shown}/{name}")
            Artifacts.open(folder)
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(str(folder), shown)) from error


def _config(store: AbstractFileSystem, root: str, shown: str) -> bytes:
    path = f"{root}/{CONFIG}"
    try:
        size = store.info(path).get("size")
        if size is not None and size > MAX_CONFIG_BYTES:
            raise ArtifactError(f"{shown}/{CONFIG} has {size} bytes; at most {MAX_CONFIG_BYTES} are read.")
        with store.open(path, "rb") as file:
            return bytes(file.read(MAX_CONFIG_BYTES + 1))
    except FileNotFoundError:
        raise ArtifactError(f"{shown} holds no artifacts: there is no {CONFIG}.") from None


def _size(store: AbstractFileSystem, path: str, shown: str) -> int | None:
    """Of a file; None where the store does not say."""
    try:
        size = store.info(path).get("size")
    except FileNotFoundError:
        raise ArtifactError(f"{shown} is missing; the artifacts are incomplete.") from None
    return None if size is None else int(size)


def _copy(store: AbstractFileSystem, source: str, target: Path, size: int | None, shown: str) -> None:
    most, total = max_bytes() if size is None else size, 0
    with store.open(source, "rb") as stream, target.open("wb") as file:
        while chunk := stream.read(_CHUNK):
            total += len(chunk)
            if total > most:
                raise ArtifactError(f"{shown} goes on after {most} bytes, more than it was said to have.")
            file.write(chunk)


def stored(artifacts: Artifacts, address: str) -> None:
    """Put artifacts at a URL; ``config.json`` goes first and comes last, so that they are never read by halves.

    Raises:
        ArtifactError: if the store does not take them, or something else is there.
    """
    shown = redacted(address)
    with told(f"{shown} cannot be written to"):
        store, root = opened(address)
        store.invalidate_cache()
        if store.exists(f"{root}/{CONFIG}"):
            _refuse_others(store, root, shown)
            store.rm_file(f"{root}/{CONFIG}")
        names = (*artifacts.config["files"], CONFIG)
        for name in track(names, f"writing to {shown}", unit="files"):
            store.put_file(str(artifacts.folder / name), f"{root}/{name}")


def _refuse_others(store: AbstractFileSystem, root: str, shown: str) -> None:
    with tempfile.TemporaryDirectory(prefix="wotd-") as folder:
        (Path(folder) / CONFIG).write_bytes(_config(store, root, shown))
        try:
            check_target(folder)
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(folder, shown)) from error


def opened(
    address: str, argument: str = "artifacts", failure: type[WOTDError] = ArtifactError
) -> tuple[AbstractFileSystem, str]:
    """The store of a URL and the path in it, without a slash behind.

    Args:
        address: the URL.
        argument: what the caller calls it, for errors.
        failure: what is raised.

    Raises:
        WOTDError: of that kind, if no package for it is installed, or none is known.
    """
    from fsspec.core import split_protocol, url_to_fs
    from fsspec.registry import known_implementations

    try:
        store, root = url_to_fs(address)
    except ImportError as error:
        protocol = split_protocol(address)[0]
        package = _EXTRAS.get(protocol)
        remedy = f"pip install 'wotd[{package}]'" if package else known_implementations[protocol].get("err", error)
        raise failure(f"{redacted(address)} needs a package that is not installed: {remedy}.") from error
    except ValueError as error:
        raise failure(f"{argument} is {redacted(address)}, which cannot be read: {reason_of(error)}.") from None
    return store, str(root).rstrip("/")


@contextmanager
def told(fails: str, failure: type[WOTDError] = ArtifactError) -> Iterator[None]:
    """Whatever a store's client raises becomes one sentence without secrets, in an error of that kind."""
    try:
        with redacted_logs():
            yield
        return
    except WOTDError:
        raise
    except FileNotFoundError as error:
        reason = f"there is no such place ({reason_of(error)})"
    except PermissionError as error:
        reason = f"access is denied ({reason_of(error)})"
    except Exception as error:  # clients raise kinds of many libraries
        reason = reason_of(error)
    raise failure(f"{fails}: {reason}.")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
