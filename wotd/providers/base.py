"""What every provider gives: works with facts, their passages on demand, and an account of what it left out."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wotd.errors import CorpusError
from wotd.taxonomy import NO_FACT, Fact, Facts

logger = logging.getLogger(__name__)

_EXAMPLES = 5


@dataclass
class Dropped:
    """Works and passages that were left out, counted by reason, with a few examples of each."""

    works: Counter[str] = field(default_factory=Counter)
    passages: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def work(self, name: str, reason: str) -> None:
        """Count a work as dropped; the log says which one and why."""
        self.works[reason] += 1
        self._remember(name, reason)
        logger.info("dropped the work %s: %s", name, reason)

    def passage(self, name: str, reason: str, count: int = 1) -> None:
        """Count passages of the named work as dropped."""
        if count:
            self.passages[reason] += count
            self._remember(name, reason)

    def _remember(self, name: str, reason: str) -> None:
        names = self.examples.setdefault(reason, [])
        if name not in names and len(names) < _EXAMPLES:
            names.append(name)

    def merge(self, other: Dropped) -> None:
        """Add another account to this one."""
        self.works.update(other.works)
        self.passages.update(other.passages)
        for reason, names in other.examples.items():
            for name in names:
                self._remember(name, reason)

    def to_mapping(self) -> dict[str, dict[str, int] | dict[str, list[str]]]:
        """Plain data for reports, in order of reason."""
        return {
            "works": dict(sorted(self.works.items())),
            "passages": dict(sorted(self.passages.items())),
            "examples": dict(sorted(self.examples.items())),
        }


@dataclass(frozen=True)
class Work:
    """One work: its corpus ID (``provider:NAME``), the facts known of it, and its passages, cut when asked for."""

    id: str
    facts: Facts
    passages: Callable[[], Sequence[str]]

    def fact(self, name: str) -> Fact:
        """The named fact, or the fact that nothing is known."""
        return self.facts.get(name, NO_FACT)

    @property
    def title(self) -> str:
        """The title, or the name in its ID."""
        return str(self.fact("title").value or self.id.split(":", 1)[-1])

    @property
    def authors(self) -> tuple[str, ...]:
        """Names of the authors in the order they are given, empty if unknown."""
        return tuple(self.fact("authors").value or ())


class Provider(ABC):
    """A source of works. Iterating twice gives the same works in the same sorted order, on any machine."""

    name: str
    """Stands before the colon of every corpus ID."""

    max_passages_per_work: int | None

    def __init__(self, max_passages_per_work: int | None = 200) -> None:
        """Keep at most that many passages of a work, spread evenly over it; None keeps all."""
        if max_passages_per_work is not None and max_passages_per_work < 1:
            raise CorpusError(
                f"provider.max_passages_per_work is {max_passages_per_work}; expected at least 1, or null for all."
            )
        self.max_passages_per_work = max_passages_per_work
        self.dropped = Dropped()

    @property
    def configured(self) -> bool:
        """Whether it was told where to read; a mixed corpus leaves out the providers that were not."""
        return True

    @abstractmethod
    def works(self) -> Iterator[Work]:
        """Yield the works lazily; passages that a limit leaves out are no drops, all other losses are counted."""

    def limited(self, passages: Sequence[str]) -> Sequence[str]:
        """At most ``max_passages_per_work`` of the passages, spread evenly."""
        return spread_evenly(passages, self.max_passages_per_work)


def spread_evenly(items: Sequence[str], limit: int | None) -> Sequence[str]:
    """``limit`` items at equal distances, the first among them; all of them where there are no more."""
    if limit is None or len(items) <= limit:
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def corpus_folder(root: str | Path | None, provider: str) -> Path:
    """The folder a provider reads.

    Raises:
        CorpusError: if ``provider.root`` is not given, does not exist, is no folder or holds nothing.
    """
    if not root:
        raise CorpusError(f"provider.root is not set; {provider} reads the folder it names.")
    folder = Path(root).expanduser()
    if not folder.exists():
        raise CorpusError(f"provider.root is {folder}, which does not exist; expected a folder of {provider} works.")
    if not folder.is_dir():
        raise CorpusError(f"provider.root is {folder}, which is a file; expected a folder of {provider} works.")
    if not any(folder.iterdir()):
        raise CorpusError(f"provider.root is {folder}, which is empty; expected a folder of {provider} works.")
    return folder


def first_unique(values: Iterable[str]) -> list[str]:
    """The values without repetition, in order of first appearance."""
    return list(dict.fromkeys(values))


def speaks(language: str | None, wanted: str | Sequence[str] | None) -> bool:
    """Whether a work's language is among those wanted, by primary subtag (``en`` admits ``en-GB``).

    An unknown language is admitted: the metadata that should say so may be what is missing.
    """
    if not wanted or not language:
        return True
    admitted = {tag.casefold() for tag in ([wanted] if isinstance(wanted, str) else wanted)}
    tag = language.casefold()
    return tag in admitted or tag.split("-")[0] in admitted
