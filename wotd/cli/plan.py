"""``wotd plan``: what codes of given sizes can tell apart, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.options import FormatOption, ProviderOption, RootOption, SetOption
from wotd.cli.tables import add_row, new_table, number, show
from wotd.cli.works import read_works, refuse_settings_without_provider

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.taxonomy import Overflow, Taxonomy

_MOST_BITS = 512


@command(
    "wotd plan --items 100000 --level-sizes 8,8,8,5",
    "wotd plan --provider standard_ebooks --root BOOKS",
    "wotd plan --artifacts A --items 1000000",
)
def plan(
    items: Annotated[
        int | None, typer.Option("--items", min=1, metavar="N", help="How many passages will get an ID.")
    ] = None,
    level_sizes: Annotated[
        str | None, typer.Option("--level-sizes", metavar="K,K,…", help="Codes of each level, such as 8,8,8,5.")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option("--artifacts", metavar="PLACE", help="Take sizes, passages and works of artifacts.")
    ] = None,
    provider: ProviderOption = None,
    root: RootOption = None,
    settings: SetOption = None,
    format_: FormatOption = None,
) -> None:
    """Plan the capacity of IDs before training.

    Says bits, collision rates, which levels can carry information, which would starve, and what to change. The
    floor is the share of items that must share a code whatever the method; expected is what codes drawn by chance
    would give. The training passages of --artifacts and all of --provider are those that are trained on (recipes
    keep a fifth for validation and test), --items how many get an ID. Cells of the taxonomy that hold more works
    than the last level has codes are listed too.
    """
    refuse_settings_without_provider(provider, root, settings)
    if artifacts is not None and provider is not None:
        raise WrongUsageError("--artifacts and --provider exclude each other.")
    given = None if level_sizes is None else _sizes(level_sizes)
    counted, trained_on, sizes, cells = items, items, given, None
    if artifacts is not None:
        counted, trained_on, sizes, cells = _of_artifacts(artifacts)
    elif provider is not None:
        counted, sizes, cells = _of_provider(provider, root, settings or [])
        trained_on = counted
    sizes, wanted = given or sizes, items or counted
    if sizes is None or not wanted:
        raise WrongUsageError("--items and --level-sizes are needed, or --artifacts or --provider, which tell them.")
    from wotd.capacity import planned

    facts = planned(wanted, sizes, trained_on=trained_on)
    if cells is not None:
        facts["full_cells"] = cells
        facts["advice"] += _about_cells(cells)
    show(facts, format_, lambda: _drawn(facts))


def _of_artifacts(place: str) -> tuple[int, int, list[int], list[dict[str, Any]] | None]:
    from pyarrow import parquet

    from wotd.artifacts import CODES
    from wotd.data.splits import SPLIT_NAMES, TRAIN
    from wotd.hub import open_artifacts
    from wotd.taxonomy import Label, Origin

    artifacts = open_artifacts(place)
    taxonomy, cells = artifacts.taxonomy, None
    if taxonomy is not None:
        codes = [tuple(entry["label"]) for entry in artifacts.semantic_ids()["corpora"].values()]
        labels = [Label(label, (Origin.UNKNOWN,) * len(label)) for label in codes]
        cells = _cells(taxonomy, taxonomy.overflows(labels))
    sides = parquet.read_table(artifacts.folder / CODES, columns=["split"])["split"].to_pylist()
    return len(sides), sides.count(SPLIT_NAMES[TRAIN]), list(artifacts.config["encoder"]["level_sizes"]), cells


def _of_provider(
    provider: str, root: str | None, settings: Sequence[str]
) -> tuple[int, list[int], list[dict[str, Any]]]:
    corpora, taxonomy = read_works(provider, root, settings)
    return len(corpora.texts), list(taxonomy.sizes), _cells(taxonomy, corpora.overflows)


def _cells(taxonomy: Taxonomy, overflows: Sequence[Overflow]) -> list[dict[str, Any]]:
    level = taxonomy.levels[-1].name
    return [
        {"cell": taxonomy.describe(full.cell), "works": full.works, "level": level, "size": full.size}
        for full in overflows
    ]


def _about_cells(cells: Sequence[dict[str, Any]]) -> list[str]:
    if not cells:
        return []
    fullest = cells[0]
    return [
        f"{len(cells)} cells hold more works than the level '{fullest['level']}' has codes ({fullest['size']}); raise "
        f"its size in the taxonomy to {fullest['works']} to give each work of a cell its own."
    ]


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.strip("[] ").split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise WrongUsageError(f"--level-sizes is {text[:80]!r}; expected whole numbers from 1, such as 8,8,8,5.")
    if (bits := sum(map(math.log2, sizes))) > _MOST_BITS:
        raise WrongUsageError(f"--level-sizes makes IDs of {bits:.0f} bits; at most {_MOST_BITS} are planned.")
    return sizes


def _drawn(facts: dict[str, Any]) -> Iterator[RenderableType]:
    shares = facts["collisions"]
    yield (
        f"{facts['items']:,} items ({facts['bits_of_items']:.1f} bits), {facts['codes']:,} codes "
        f"({facts['bits']:.1f} bits)"
    )
    yield f"collision rate: floor {number(shares['floor'])}, expected {number(shares['expected'])}"
    yield ""
    headings = ("level", "size", "trained on", "prefixes", "items a prefix", "bits", "can carry", "expected collisions")
    table = new_table(*headings, numbers=headings, ids=())
    for level in facts["levels"]:
        add_row(
            table,
            level["level"],
            f"{level['size']:,}",
            f"{level['trained_per_code']:,.0f} a code",
            f"{level['prefixes']:,}",
            f"{level['items_per_prefix']:,.2f}",
            f"{level['bits']:.1f}",
            f"{level['bits_it_can_carry']:.1f}",
            number(level["expected_collisions"]),
        )
    yield table
    if facts.get("full_cells"):
        cells = new_table("full cell", "works", "codes", numbers=("works", "codes"), ids=())
        for cell in facts["full_cells"]:
            add_row(cells, ", ".join(cell["cell"]), cell["works"], cell["size"])
        yield ""
        yield cells
    for sentence in facts["advice"]:
        yield ""
        yield sentence
