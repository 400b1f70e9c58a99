"""Several providers as one: who takes part, in which order, and one account of what is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.base import Provider, Work
from wotd.providers.literature.files import Files
from wotd.providers.mixed import Mixed

CONF = Path(__file__).parents[2] / "conf"


class Shelf(Provider):
    """Two works of five passages, of which one loses a passage; a third work is dropped."""

    def __init__(self, name: str, root: str | None = "somewhere", **options) -> None:
        super().__init__(**options)
        self.name, self.root = name, root

    @property
    def configured(self) -> bool:
        return bool(self.root)

    def works(self):
        for title in ("a", "b"):
            yield Work(f"{self.name}:{title}", {}, lambda: self.limited([f"{self.name} {n}" for n in range(5)]))
        self.dropped.passage(f"{self.name}:b", "too short")
        self.dropped.work(f"{self.name}:c", "unreadable")


class Broken(Shelf):
    def works(self):
        raise UnreadableWorkError(f"provider.root is {self.root}, which is empty.")
        yield


def test_configured_members_come_in_order_of_name():
    mixed = Mixed(
        synthetic=Shelf("synthetic"), standard_ebooks=Shelf("standard_ebooks"), gutenberg=Shelf("gutenberg", None)
    )
    ids = [work.id for work in mixed.works()]
    assert ids == ["standard_ebooks:a", "standard_ebooks:b", "synthetic:a", "synthetic:b"]
    assert ids == [work.id for work in mixed.works()]
    assert mixed.configured


def test_one_account_of_what_is_dropped():
    shelf = Shelf("gutenberg")
    shelf.dropped.work("gutenberg:z", "earlier")
    mixed = Mixed(gutenberg=shelf, synthetic=Shelf("synthetic"))
    for work in mixed.works():
        mixed.dropped.work(work.id, "said by the reader")  # while it reads, and it is not lost
    assert mixed.dropped.works == {"unreadable": 2, "earlier": 1, "said by the reader": 4}
    assert mixed.dropped.passages == {"too short": 2}
    assert mixed.dropped.examples["unreadable"] == ["gutenberg:c", "synthetic:c"]


@pytest.mark.parametrize(("limit", "expected"), [(None, [3, 5]), (2, [2, 2])])
def test_a_limit_replaces_those_of_the_members(limit, expected):
    mixed = Mixed(
        files=Shelf("files", max_passages_per_work=3), gutenberg=Shelf("gutenberg"), max_passages_per_work=limit
    )
    assert [len(work.passages()) for work in mixed.works()][::2] == expected


def test_without_members_it_says_what_to_set():
    for mixed in (Mixed(), Mixed(gutenberg=Shelf("gutenberg", None), files=Files())):
        assert not mixed.configured
        with pytest.raises(CorpusError, match=r"set one or more of provider\.standard_ebooks\.root=FOLDER"):
            list(mixed.works())


def test_errors_name_the_setting_of_the_mix():
    with pytest.raises(UnreadableWorkError, match=r"^provider\.gutenberg\.root is somewhere"):
        list(Mixed(gutenberg=Broken("gutenberg")).works())
    with pytest.raises(CorpusError, match=r"^provider\.files\.root is nowhere, which does not exist"):
        list(Mixed(files=Files(root="nowhere")).works())


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=["+provider=mixed", *overrides]).provider


def test_its_recipe(tmp_path):
    config = composed("provider.standard_ebooks.root=A", "provider.gutenberg.root=B")
    roots = {name: config[name].root for name in ("files", "gutenberg", "standard_ebooks")}
    assert roots == {"files": None, "gutenberg": "B", "standard_ebooks": "A"}
    assert config.synthetic is None
    assert not OmegaConf.missing_keys(config)
    mixed = instantiate(composed(f"provider.files.root={tmp_path}", "provider.max_passages_per_work=7"))
    assert [name for name, member in mixed.members.items() if member.configured] == ["files"]
    assert mixed.members["gutenberg"].max_passages_per_work == 7


def test_synthetic_joins_when_it_is_added():
    mixed = instantiate(composed("+provider@provider.synthetic=synthetic"))
    assert next(mixed.works()).id.startswith("synthetic:")
