"""What providers share that read a folder of works as their publisher lays them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from wotd.providers.base import Provider
from wotd.providers.text import MIN_WORDS, Block, cut_passages

_TOO_SHORT = f"shorter than {MIN_WORDS} words"


class FolderProvider(Provider):
    """A provider of a folder, of works in some languages; its losses count once, however often it is read."""

    def __init__(
        self,
        root: str | Path | None = None,
        language: str | list[str] | None = "en",
        max_passages_per_work: int | None = 200,
    ) -> None:
        """Read the works below a folder.

        Args:
            root: the folder; None: the provider takes no part in a mixed corpus.
            language: primary tags to keep (``en`` admits ``en-GB``); None keeps all.
            max_passages_per_work: how many passages of a work are kept; None keeps all.
        """
        super().__init__(max_passages_per_work)
        self.root = root
        self.language = language
        self._accounted: set[str] = set()

    @property
    def configured(self) -> bool:
        """Whether there is a folder to read."""
        return bool(self.root)

    def drop(self, corpus_id: str, reason: str) -> None:
        """Count a work as dropped, the first time it is."""
        if self._first_account_of(corpus_id):
            self.dropped.work(corpus_id, reason)

    def passages(self, corpus_id: str, chapters: Iterable[Sequence[Block]]) -> Sequence[str]:
        """The passages of a work, cut within its chapters and limited; scraps are counted as dropped."""
        cut = [cut_passages(chapter) for chapter in chapters]
        if self._first_account_of(corpus_id):
            self.dropped.passage(corpus_id, _TOO_SHORT, sum(scraps for _, scraps in cut))
        return self.limited([passage for found, _ in cut for passage in found])

    def _first_account_of(self, corpus_id: str) -> bool:
        first = corpus_id not in self._accounted
        self._accounted.add(corpus_id)
        return first
