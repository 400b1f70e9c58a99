"""Artifacts from elsewhere and to elsewhere: a repository of the Hugging Face hub, or any store that fsspec knows.

======================================== =================================================================
``hf://user/name[/folder][@revision]``   kept in the hub's own cache
``s3://…``, ``gs://…``, ``memory://…`` … kept below ``artifacts/`` in wotd's cache folder, by content
``file:///folder``, ``/folder``          a folder of this machine, where it is
======================================== =================================================================

Only what ``config.json`` lists is fetched, and it is used only if its checksums are right.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wotd.artifacts import Artifacts, check_target, copy_files, writing
from wotd.errors import ArtifactError, InputError
from wotd.hub.addresses import folder_of, scheme_of
from wotd.hub.texts import holds_texts, without_texts
from wotd.redaction import redacted

__all__ = ["open_artifacts", "pull", "push"]

logger = logging.getLogger(__name__)


def open_artifacts(place: str | Path) -> Artifacts:
    """Artifacts at a folder or an address, fetched if need be, and checked.

    Raises:
        ArtifactError: in one sentence, why they cannot be had, or what is wrong with them.
    """
    address = str(place)
    match scheme_of(address):
        case "" | "file":
            return Artifacts.open(folder_of(address))
        case "hf":
            from wotd.hub import repositories

            folder = repositories.fetched(address)
        case _:
            from wotd.hub import stores

            folder = stores.fetched(address)
    try:
        return Artifacts.open(folder)
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(str(folder), redacted(address))) from error


def pull(address: str, output: str | Path) -> Artifacts:
    """Copy artifacts from an address into a folder, which is complete or absent whatever happens.

    Raises:
        ArtifactError: if they cannot be had, or ``output`` holds something else.
    """
    check_target(output)
    artifacts = open_artifacts(address)
    with writing(output) as folder:
        copy_files(artifacts, folder)
    return Artifacts(Path(output).expanduser(), artifacts.config)


def push(
    place: str | Path,
    address: str,
    *,
    revision: str | None = None,
    private: bool = False,
    message: str | None = None,
    texts: bool = True,
) -> str:
    """Copy artifacts to an address, in one commit, or with ``config.json`` last where there are none.

    Args:
        place: a folder, or an address; nothing is sent unless all of it is as it was written.
        address: where they go.
        revision: a branch of the hub's repository, made if need be; None: the one in the address, else the main one.
        private: nobody else may see the repository of the hub; refused if it is there and public.
        message: of the commit.
        texts: send the passages' texts too, where there are any.

    Returns:
        what a person opens to see them.

    Raises:
        ArtifactError: if the artifacts are damaged, or cannot be put there.
        InputError: if the options do not go with the address.
    """
    scheme = scheme_of(address)
    if not scheme:
        raise InputError(f"the address is {address}; expected hf://user/name, s3://bucket/path or another URL.")
    if scheme != "hf" and (revision or private or message):
        raise InputError(f"revision, private and message are for hf:// addresses; the address is {redacted(address)}.")
    with _sent(open_artifacts(place), texts) as artifacts:
        match scheme:
            case "hf":
                from wotd.hub import repositories

                return repositories.stored(artifacts, address, revision=revision, private=private, message=message)
            case "file":
                with writing(folder_of(address)) as folder:
                    copy_files(artifacts, folder)
            case _:
                from wotd.hub import stores

                stores.stored(artifacts, address)
    return redacted(address)


@contextmanager
def _sent(artifacts: Artifacts, texts: bool) -> Iterator[Artifacts]:
    if not holds_texts(artifacts):
        yield artifacts
    elif texts:
        logger.warning(
            "the passages' texts go along in codes.parquet and report.html: make sure that you may pass them on, or "
            "leave them out with --without-texts (texts=False)."
        )
        yield artifacts
    else:
        with without_texts(artifacts) as bare:
            yield bare
