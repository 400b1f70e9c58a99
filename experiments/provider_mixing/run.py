"""Do books of two providers make better IDs together than those of one?

python -m experiments.provider_mixing.run --root BOOKS --gutenberg TEXTS --output OUT

Standard Ebooks alone, Project Gutenberg alone, both, and as many passages of Standard Ebooks as Gutenberg has; all are
asked about the same works of each provider, by authors of whom nothing was in any training. A seed decides these
authors, and the runs' own splits. Writes OUT/results.json, OUT/table.md and OUT/providers.png.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.runs import SMALL, Results, Row, arguments, described, figures, train
from experiments.tables import differences, plot, settings_of, table
from experiments.works import read, write_rows
from wotd import SemanticIDModel
from wotd.data.splits import TEST, assign_sides, author_key
from wotd.embeddings.cache import EmbeddingCache
from wotd.evaluation import evaluate
from wotd.progress import track
from wotd.providers.corpora import Corpora
from wotd.taxonomy import Taxonomy

HELD_OUT, AT_LEAST, AT_MOST = 0.25, 0.15, 0.4
"""Share of the passages that is held out; of each provider it may lie between the other two."""

TITLES = {"standard_ebooks": "Standard Ebooks", "gutenberg": "Gutenberg", "files": "files", "synthetic": "synthetic"}
MEASURED = {
    "nMSE": "nmse",
    "style": "agreement/style/accuracy",
    "complexity": "agreement/complexity/accuracy",
    "era": "agreement/era/accuracy",
}


def provider_of(work_id: str) -> str:
    """The provider that a corpus ID names."""
    return work_id.partition(":")[0]


def providers(corpora: Corpora) -> list[str]:
    """The providers of a mix, the one with the most works first."""
    names = [provider_of(work.id) for work in corpora.works]
    return sorted(set(names), key=lambda name: (-names.count(name), name))


def groups_of(corpora: Corpora) -> NDArray[np.int64]:
    """A group for each work: those of one author, whose name one provider may give longer than another, are one."""
    words = [[frozenset(author_key(name).split()) for name in work.authors] for work in corpora.works]
    groups_W = np.arange(len(words))
    for work, theirs in enumerate(words):
        for before in range(work):
            if any(a and b and (a <= b or b <= a) for a in theirs for b in words[before]):
                groups_W[groups_W == groups_W[work]] = groups_W[before]
    return groups_W


def held_out(corpora: Corpora, seed: int) -> set[str]:
    """IDs of the works of some authors, of each provider about as large a share.

    Raises:
        SystemExit: if no draw among many leaves each provider enough on both sides.
    """
    groups_N = groups_of(corpora)[corpora.work_of_passage]
    owners_N = np.array([provider_of(work.id) for work in corpora.works])[corpora.work_of_passage]
    for draw in range(1000):
        sides_N = assign_sides(groups_N, val_fraction=0.0, test_fraction=HELD_OUT, seed=1000 * seed + draw)
        shares = [float((sides_N[owners_N == name] == TEST).mean()) for name in set(owners_N)]
        if min(shares) >= AT_LEAST and max(shares) <= AT_MOST:
            return {work.id for work in corpora.works if sides_N[work.first] == TEST}
    raise SystemExit("the works of a provider are by too few authors to hold some of them out.")


def trainings(corpora: Corpora, kept_out: set[str], seed: int) -> dict[str, set[str]]:
    """IDs of the works that each setting learns from."""
    large, small = providers(corpora)
    left = [work for work in corpora.works if work.id not in kept_out]
    of = {name: {work.id for work in left if provider_of(work.id) == name} for name in (large, small)}
    passages = {work.id: work.passages for work in left}
    wanted, few = sum(passages[name] for name in of[small]), set[str]()
    for name in np.random.default_rng(seed).permutation(sorted(of[large])):
        if sum(passages[each] for each in few) < wanted:
            few.add(str(name))
    return {
        TITLES[large]: of[large],
        TITLES[small]: of[small],
        "both": of[large] | of[small],
        f"{TITLES[large]}, as few passages": few,
    }


def asked_about(artifacts: Path, corpora: Corpora, kept_out: set[str]) -> Mapping[str, float]:
    """What the artifacts are worth on the works of each provider that were held out."""
    model = SemanticIDModel.load(artifacts)
    taxonomy = model.artifacts.taxonomy
    assert isinstance(taxonomy, Taxonomy)
    out_W = np.array([work.id in kept_out for work in corpora.works])
    rows_N = np.flatnonzero(out_W[corpora.work_of_passage])
    texts = [corpora.texts[row] for row in rows_N]
    vectors_ND = model.view.cached(EmbeddingCache(), texts).vectors
    labels_NL, works_N = corpora.labels[rows_N], corpora.work_of_passage[rows_N]
    owners_N = np.array([provider_of(corpora.works[work].id) for work in works_N])
    found: dict[str, float] = {}
    for name in providers(corpora):
        rows = np.flatnonzero(owners_N == name)
        measured = evaluate(
            model.encoder, vectors_ND, rows, labels_NL=labels_NL, taxonomy=taxonomy, named=True, works_N=works_N
        )
        kept = {*MEASURED.values(), "passages", *(key for key in measured if key.endswith(("/majority", "/by_work")))}
        found |= {f"{name}/{key}": value for key, value in measured.items() if key in kept}
    return found


@contextmanager
def mix(asked: argparse.Namespace) -> Iterator[tuple[Corpora, list[str], Row]]:
    """The works of both providers, overrides of the recipe, and what to say of the texts.

    Raises:
        SystemExit: if a folder is missing.
    """
    if not asked.check and (asked.root is None or asked.gutenberg is None):
        raise SystemExit(
            "--root and --gutenberg are needed; expected two folders, or --check for a trial without books."
        )
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "works.jsonl"
        if asked.check:
            write_rows(read([*SMALL, "provider.seed=1", "provider.n_works=12"]), rows)
            given = [f"provider.files.root='{rows}'", "+provider@provider.synthetic=synthetic"]
            given += ["provider.synthetic.n_works=24", "provider.synthetic.passages_per_work=6"]
        else:
            folders = {"standard_ebooks": asked.root, "gutenberg": asked.gutenberg}
            given = [f"provider.{name}.root='{each.resolve()}'" for name, each in folders.items()]
            given += [f"provider.max_passages_per_work={asked.passages}"]
        corpora = read(["provider=mixed", *given])
        write_rows(corpora, rows)
        works = [provider_of(work.id) for work in corpora.works]
        about = {**described(rows, len(works), len(corpora.texts)), "providers": {n: works.count(n) for n in works}}
        small = [each for each in SMALL if not each.startswith("provider")] if asked.check else []
        yield corpora, ["+experiment=minilm", "~logger", *small], about


def columns(results: Row) -> dict[str, str]:
    """Headings: what is measured on which provider's works."""
    names = sorted(results["about"]["providers"], key=lambda name: -results["about"]["providers"][name])
    return {f"{heading}, {TITLES[n]}": f"held_out:{n}/{key}" for n in names for heading, key in MEASURED.items()}


def report(results: Row) -> str:
    """Means with their spread, what each has more than the larger provider alone, and how much each learned from."""
    rows, measured = results["rows"], columns(results)
    alone = settings_of(rows)[0]
    sections = {
        "Held-out works": table(rows, measured),
        f"Less {alone}, under the same seed": differences(rows, alone, measured),
        "Learned from": table(rows, {"works": "works:learned", "passages": "works:passages"}, ".0f"),
    }
    return "\n\n".join(f"{title}:\n\n{lines}" for title, lines in sections.items()) + "\n"


def main() -> None:
    """Train, print, write."""
    parser = arguments(__doc__, passages=24)
    parser.add_argument("--gutenberg", type=Path, metavar="TEXTS", help="a folder of Project Gutenberg texts")
    asked = parser.parse_args()
    with mix(asked) as (corpora, recipe, about), tempfile.TemporaryDirectory() as scratch:
        results = Results.open(asked.output, about)
        for seed in track(asked.seeds, "seeds", unit="seeds"):
            kept_out = held_out(corpora, seed)
            for number, (name, learned) in enumerate(trainings(corpora, kept_out, seed).items()):
                if results.has(setting=name, seed=seed):
                    continue
                texts, run = Path(scratch) / "works.jsonl", Path(scratch) / f"{seed}-{number}"
                done = train([*recipe, *write_rows(corpora, texts, learned), "data.test_fraction=0"], seed, run)
                measured = asked_about(done.artifacts, corpora, kept_out)
                size = {"learned": len(learned), "held_out": len(kept_out), "passages": done.counts["passages"]}
                found = {"works": size, "held_out": measured, **figures(done)}
                results.add({"setting": name, "seed": seed, **found})
    write(results.write(), asked.output)


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    plot(results["rows"], columns(results), output / "providers.png")
    print(report(results))


if __name__ == "__main__":
    main()
