"""Artifacts in repositories of the Hugging Face hub, through the hub's own client and cache.

Where the hub is, who asks and whether it may be asked at all is what HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE say.
"""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from wotd import __version__
from wotd.artifacts import CONFIG, Artifacts, listed_files
from wotd.embeddings.hub_client import HubAnswerError, asked, local_only, snapshot
from wotd.errors import ArtifactError, InputError
from wotd.hub.addresses import HubAddress
from wotd.hub.bounds import check_sizes
from wotd.redaction import redacted

Answer = TypeVar("Answer")


def fetched(address: str) -> Path:
    """The folder of the artifacts in the hub's cache, whole, at the commit that the revision means now.

    Raises:
        ArtifactError: why they cannot be had.
    """
    place, offline = HubAddress.parse(address), local_only()
    top = _snapshot(address, place, place.revision, [CONFIG], offline)
    folder = top / place.folder
    if not (folder / CONFIG).is_file():
        raise ArtifactError(f"{redacted(address)} holds no artifacts: there is no {place.folder}{CONFIG}.")
    try:
        names = listed_files(folder)
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(str(folder), redacted(address))) from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        commit = top.name  # what the branch means may change between two questions
        if not offline:
            _check_sizes(address, place, commit, missing)
        _snapshot(address, place, commit, names, offline)
    return folder


def _snapshot(address: str, place: HubAddress, revision: str | None, names: Sequence[str], offline: bool) -> Path:
    wanted = [glob.escape(place.folder + name) for name in names]
    try:
        return snapshot(place.repository, revision, wanted=wanted, cached=offline)
    except HubAnswerError as reason:
        network = ", and HF_HUB_OFFLINE forbids to ask the hub" if offline else ""
        raise ArtifactError(f"{redacted(address)} cannot be fetched: {reason}{network}.") from None


def _check_sizes(address: str, place: HubAddress, commit: str, names: Sequence[str]) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.hf_api import RepoFile

    paths = [place.folder + name for name in names]
    found = _asked(
        "cannot be fetched", address, lambda: HfApi().get_paths_info(place.repository, paths, revision=commit)
    )
    check_sizes([file.size for file in found if isinstance(file, RepoFile)], redacted(address), Path(HF_HUB_CACHE))


def stored(artifacts: Artifacts, address: str, *, revision: str | None, private: bool, message: str | None) -> str:
    """Put artifacts into a repository in one commit; it and the branch are made if need be.

    Returns:
        the URL of the commit.

    Raises:
        ArtifactError: if the hub does not take them, or a repository that shall be private is public.
        InputError: if two revisions are asked for.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    place = HubAddress.parse(address)
    if revision and place.revision:
        raise InputError(f"revision is {revision}, but the address names {place.revision} too; give one of them.")
    if local_only():
        raise ArtifactError(f"{redacted(address)} cannot be written to: HF_HUB_OFFLINE forbids to ask the hub.")
    branch, repository = revision or place.revision, place.repository
    api = HfApi(library_name="wotd", library_version=__version__)

    def send() -> str:
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.repo_info(repository).private:
            raise HubAnswerError("it is there already and public, but was to be private")
        if branch:
            api.create_branch(repository, branch=branch, exist_ok=True)
        files = [
            CommitOperationAdd(path_in_repo=place.folder + name, path_or_fileobj=artifacts.folder / name)
            for name in (*artifacts.config["files"], CONFIG)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # such as of codes.parquet, which is no data set
            done = api.create_commit(
                repository, files, commit_message=message or f"Artifacts of wotd {__version__}", revision=branch
            )
        return str(done.commit_url)

    return _asked("cannot be written to", address, send)


def _asked(fails: str, address: str, question: Callable[[], Answer]) -> Answer:
    try:
        return asked(question)
    except HubAnswerError as reason:
        raise ArtifactError(f"{redacted(address)} {fails}: {reason}.") from None
