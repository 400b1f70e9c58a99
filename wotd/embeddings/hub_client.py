"""The hub's client as wotd uses it: by whom the network may be asked, and answers without tokens in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from wotd.progress import shown
from wotd.redaction import reason_of, redacted_logs

Answer = TypeVar("Answer")

_chatter = logging.getLogger("huggingface_hub._snapshot_download")
"""Warns where nothing matches a pattern, of which the caller makes a sentence."""


class HubAnswerError(Exception):
    """The hub, or its cache, does not give what was asked; the message is a phrase that says why."""


def local_only(wanted: bool | None = None) -> bool:
    """Whether the hub may not be asked: as wanted; None: as the environment says."""
    switches = (os.environ.get("HF_HUB_OFFLINE", ""), os.environ.get("TRANSFORMERS_OFFLINE", ""))
    return (
        any(switch.strip().lower() in {"1", "true", "yes", "on"} for switch in switches) if wanted is None else wanted
    )


def snapshot(
    repository: str,
    revision: str | None,
    *,
    wanted: Sequence[str],
    unwanted: Sequence[str] = (),
    cached: bool,
) -> Path:
    """The folder of a repository at a revision in the hub's cache, with all files that match a wanted pattern.

    Args:
        repository: its ID.
        revision: commit, branch or tag; None: the main branch.
        wanted: patterns of what is fetched.
        unwanted: patterns of what is not, whatever else it matches.
        cached: never ask the network.

    Raises:
        HubAnswerError: why there is none.
    """
    from huggingface_hub import snapshot_download

    _chatter.setLevel(logging.ERROR)
    return Path(
        asked(
            lambda: snapshot_download(
                repository,
                revision=revision,
                local_files_only=cached,
                allow_patterns=list(wanted),
                ignore_patterns=list(unwanted),
            )
        )
    )


def asked(question: Callable[[], Answer]) -> Answer:
    """What a call of the hub's client gives; its progress bars are drawn where ours are.

    Raises:
        HubAnswerError: what went wrong, in a phrase.
    """
    try:
        with redacted_logs(), _bars():
            return question()
    except Exception as error:  # the hub's client raises kinds of many libraries: requests, httpx, its own
        reason = _phrase(error)
    raise HubAnswerError(reason)  # without the client's exception, whose text may hold a token


@contextmanager
def _bars() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _phrase(error: Exception) -> str:
    """What the client's exception means to somebody who has not read its source."""
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return "its owner has not given you access, or HF_TOKEN is not yours"
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or it is private and HF_TOKEN gives no access to it"
        case errors.RevisionNotFoundError():
            return "it has no such revision"
        case errors.LocalEntryNotFoundError():
            return _cause(error) or "it is not in the hub's cache"
        case errors.HfHubHTTPError() if error.response is not None and error.response.status_code in (401, 403):
            return f"HF_TOKEN gives no access ({error.response.status_code})"
    return reason_of(error)


def _cause(error: Exception) -> str:
    """What kept the client from asking the hub; nothing where it was told not to."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    cause = error.__cause__
    if not isinstance(cause, Exception) or isinstance(cause, OfflineModeIsEnabled):
        return ""
    return f"it is not in the hub's cache, and the hub cannot be asked: {reason_of(cause)}"
