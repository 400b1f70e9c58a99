"""Several providers as one corpus; corpus IDs keep the name of the provider each work comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wotd.errors import CorpusError
from wotd.providers.base import Provider, Work

_SETTING = re.compile(r"(?<![^\s(])provider\.(?=[a-z])")
"""A setting as a member calls it in an error; in the mix it lies one step deeper."""


class Mixed(Provider):
    """The works of every member that is configured, one member after the other in order of name."""

    name = "mixed"

    def __init__(
        self,
        *,
        files: Provider | None = None,
        gutenberg: Provider | None = None,
        standard_ebooks: Provider | None = None,
        synthetic: Provider | None = None,
        max_passages_per_work: int | None = None,
    ) -> None:
        """Put providers together; all write to one account of what is dropped.

        Args:
            files: the user's own files.
            gutenberg: a folder of Project Gutenberg texts.
            standard_ebooks: a folder of Standard Ebooks.
            synthetic: generated works.
            max_passages_per_work: where set, in place of what each member says.
        """
        super().__init__(max_passages_per_work)
        given = {"files": files, "gutenberg": gutenberg, "standard_ebooks": standard_ebooks, "synthetic": synthetic}
        self.members = {name: member for name, member in sorted(given.items()) if member is not None}
        for member in self.members.values():
            self.dropped.merge(member.dropped)
            member.dropped = self.dropped
            if max_passages_per_work is not None:
                member.max_passages_per_work = max_passages_per_work

    @property
    def configured(self) -> bool:
        """Whether any member is."""
        return any(member.configured for member in self.members.values())

    def works(self) -> Iterator[Work]:
        """Yield the works of each configured member in turn.

        Raises:
            CorpusError: if no member is configured, or one of them cannot be read.
        """
        if not self.configured:
            raise CorpusError(
                "provider=mixed has no member to read; set one or more of provider.standard_ebooks.root=FOLDER, "
                "provider.gutenberg.root=FOLDER, provider.files.root=FOLDER."
            )
        for name, member in self.members.items():
            if member.configured:
                yield from _works(name, member)


def _works(name: str, member: Provider) -> Iterator[Work]:
    try:
        yield from member.works()
    except CorpusError as error:
        raise type(error)(_SETTING.sub(f"provider.{name}.", str(error))) from error
