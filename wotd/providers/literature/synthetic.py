"""The embedded default: works that a seeded grammar writes, without a file or a network.

The works are invented, authors and all. Their metadata takes the road of any other provider's: genres
and years are stated, the reading ease is measured on the text that was written, and the rules of the
taxonomy make labels of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from wotd.errors import CorpusError
from wotd.providers.base import Provider, Work
from wotd.providers.literature.synthetic_catalogue import Plan, draw, plans, slug
from wotd.providers.literature.synthetic_grammar import Writer
from wotd.providers.text import count_words, reading_ease
from wotd.taxonomy import Fact


class Synthetic(Provider):
    """Works in all styles, complexities and eras; the same for one seed on every machine."""

    name = "synthetic"

    def __init__(
        self,
        seed: int = 0,
        n_works: int = 168,
        passages_per_work: int = 48,
        max_passages_per_work: int | None = None,
    ) -> None:
        """Plan a corpus.

        Args:
            seed: another seed is another corpus.
            n_works: how many works; the first 64 have 64 pairs of style and era.
            passages_per_work: how many passages a work has on average; works vary by a quarter.
            max_passages_per_work: keep at most that many of a work, spread evenly; None keeps all.

        Raises:
            CorpusError: an argument that is no whole number, or too small.
        """
        super().__init__(max_passages_per_work)
        self._seed = _whole_number("seed", seed, None)
        self._n_works = _whole_number("n_works", n_works, 1)
        self._passages_per_work = _whole_number("passages_per_work", passages_per_work, 1)

    def works(self) -> Iterator[Work]:
        """Write the works one by one, in order of ID."""
        for work_id, (title, plan) in sorted(self._titled().items()):
            yield self._written(work_id, title, plan)

    def _titled(self) -> dict[str, tuple[str, Plan]]:
        """Corpus ID → title and plan; a title that its author has used already is drawn again."""
        titled: dict[str, tuple[str, Plan]] = {}
        for index, plan in enumerate(plans(self._seed, self._n_works)):
            writer = Writer(plan, random.Random(f"{self._seed}:{index}:title"))
            title = writer.title()
            while (work_id := f"{self.name}:{slug(plan.author)}_{slug(title)}") in titled:
                title = writer.title()
            titled[work_id] = (title, plan)
        return titled

    def _written(self, work_id: str, title: str, plan: Plan) -> Work:
        rng = random.Random(f"{self._seed}:{work_id}")
        count = max(1, round(self._passages_per_work * (0.75 + 0.5 * rng.random())))
        passages = Writer(plan, rng).passages(count)
        facts = {
            "title": Fact.stated(title),
            "authors": Fact.stated((plan.author,)),
            "genres": Fact.stated((draw(rng, plan.style.genres),)),
            "year_written": Fact.stated(plan.year),
            "reading_ease": Fact.computed(reading_ease(passages)),
            "word_count": Fact.computed(sum(map(count_words, passages))),
            "language": Fact.stated("en"),
            "source": Fact.stated(f"wotd synthetic grammar, seed {self._seed}"),
            "licence": Fact.stated("MIT"),
        }
        return Work(work_id, facts, lambda: self.limited(passages))


def _whole_number(argument: str, value: object, least: int | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        expected = "a whole number" if least is None else f"a whole number of at least {least}"
        raise CorpusError(f"provider.{argument} is {value!r}; expected {expected}.")
    return value
