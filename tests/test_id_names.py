"""Names of codes, of taxonomies and of free levels: what they are called, and that names lead back to their codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wotd.errors import InputError
from wotd.id_names import IDNames
from wotd.semantic_ids import IDPattern, SemanticID
from wotd.taxonomy import Taxonomy

LITERATURE = Taxonomy.from_mapping(
    yaml.safe_load((Path(__file__).resolve().parents[1] / "conf/taxonomy/literature.yaml").read_text(encoding="utf-8"))
)
NAMED, FREE = IDNames(LITERATURE.sizes, LITERATURE), IDNames(LITERATURE.sizes, None)

codes = st.tuples(*(st.integers(0, size - 1) for size in LITERATURE.sizes))
both = pytest.mark.parametrize("names", [NAMED, FREE], ids=["named", "free"])


@both
@given(code=codes, depth=st.integers(0, len(LITERATURE.sizes)), spelled=st.sampled_from((str.upper, str.title, str)))
def test_the_names_of_an_id_lead_back_to_it(names: IDNames, code: tuple[int, ...], depth: int, spelled: type) -> None:
    called = names.of(SemanticID(code[:depth]))
    assert called == [names.codes(level)[index] for level, index in enumerate(code[:depth])]
    chosen = {spelled(level): spelled(name) for level, name in zip(names.levels, called, strict=False)}
    assert names.narrowed(IDPattern(()), chosen) == IDPattern(code[:depth])
    assert names.narrowed(IDPattern(code), chosen) == IDPattern(code)


@both
@given(code=codes, level=st.integers(0, 3), data=st.data())
def test_a_level_is_one_thing(names: IDNames, code: tuple[int, ...], level: int, data: st.DataObject) -> None:
    other = data.draw(st.integers(0, names.level_sizes[level] - 1).filter(lambda index: index != code[level]))
    with pytest.raises(InputError, match=f"{names.levels[level]} is to be both .* and .*; expected one"):
        names.narrowed(IDPattern(code), {names.levels[level]: other})


@both
@given(code=codes, suffix=st.integers(0, 10**6))
def test_a_suffix_is_its_number(names: IDNames, code: tuple[int, ...], suffix: int) -> None:
    assert names.of(SemanticID((*code, suffix))) == [*names.of(SemanticID(code)), str(suffix)]


def test_a_label_is_named_by_its_codes_and_ranks() -> None:
    assert LITERATURE.describe_label([4, None, 5, 1234]) == ["satirical", None, "victorian", "1234"]
    assert LITERATURE.describe_label([]) == []
