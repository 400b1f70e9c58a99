"""Which distance to the training passages tells program code and other languages from unseen authors?

python experiments/named_levels/out_of_domain.py --root BOOKS --foreign TEXTS

``--root`` is a folder of Standard Ebooks; ``--foreign`` one of Project Gutenberg whose German and French
texts are taken. Program code is Python's own standard library, cut to passages of like length. A
distance is fitted to the training authors; a passage is out of domain beyond the 95 % quantile of
authors it has not seen: those of validation, or the training authors themselves, each scored by a fit
without it (``held out``). False alarms are counted on the authors of the test side.

Shape letters: N training rows, M rows to score, I columns, P principal directions.
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from books import Books, read_books, report, views
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from wotd.data.splits import TEST, TRAIN, VAL, assign_sides
from wotd.encoders.domain import Domain
from wotd.providers.literature.gutenberg import Gutenberg
from wotd.providers.text import MAX_WORDS, MIN_WORDS, TARGET_WORDS, count_words

Rows = NDArray[np.floating]
Score = Callable[[Rows], Rows]

QUANTILE = 0.95
FOLDS = 5
LANGUAGES = {"de": "German", "fr": "French"}
PASSAGES_A_TEXT, PASSAGES_A_MODULE = 120, 3


def domain(x_NI: Rows) -> Score:
    """The distance that wotd keeps: Mahalanobis in the whole space, shrunk."""
    fitted = Domain(x_NI.shape[1])
    fitted.fit(torch.from_numpy(x_NI))
    return lambda x_MI: fitted.score(torch.from_numpy(x_MI)).numpy()


def latent_mahalanobis(x_NI: Rows, directions: int = 128) -> Score:
    """Mahalanobis distance within the principal directions alone."""
    scaler = StandardScaler().fit(x_NI)
    pca = PCA(directions, whiten=True, random_state=0).fit(scaler.transform(x_NI))
    return lambda x_MI: np.square(pca.transform(scaler.transform(x_MI))).sum(1)


def reconstruction_error(x_NI: Rows, directions: int = 64) -> Score:
    """What the principal directions leave over."""
    scaler = StandardScaler().fit(x_NI)
    pca = PCA(directions, random_state=0).fit(scaler.transform(x_NI))

    def score(x_MI: Rows) -> Rows:
        scaled = scaler.transform(x_MI)
        return np.square(scaled - pca.inverse_transform(pca.transform(scaled))).sum(1)

    return score


def fifth_neighbour(x_NI: Rows, directions: int = 128) -> Score:
    """Distance to the fifth nearest training row, in the principal directions."""
    scaler = StandardScaler().fit(x_NI)
    pca = PCA(directions, random_state=0).fit(scaler.transform(x_NI))
    search = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(pca.transform(scaler.transform(x_NI)))
    return lambda x_MI: search.kneighbors(pca.transform(scaler.transform(x_MI)))[0][:, -1]


def gaussian_mixture(x_NI: Rows, directions: int = 64, parts: int = 8) -> Score:
    """Negative log-likelihood under a mixture of full Gaussians in the principal directions."""
    scaler = StandardScaler().fit(x_NI)
    pca = PCA(directions, random_state=0).fit(scaler.transform(x_NI))
    mixture = GaussianMixture(parts, reg_covar=1e-3, max_iter=50, tol=1e-2, random_state=0)
    mixture.fit(pca.transform(scaler.transform(x_NI)))
    return lambda x_MI: -mixture.score_samples(pca.transform(scaler.transform(x_MI)))


METHODS: dict[str, Callable[[Rows], Score]] = {
    "Mahalanobis, whole space": domain,
    "Mahalanobis, 128 directions": latent_mahalanobis,
    "reconstruction error of 64 directions": reconstruction_error,
    "fifth neighbour, 128 directions": fifth_neighbour,
    "8 Gaussians, 64 directions": gaussian_mixture,
}
HELD_OUT = "Mahalanobis, whole space"
"""The method whose threshold is tried both ways."""


def foreign_texts(root: Path) -> dict[str, list[str]]:
    """Passages that are no English literature, by kind."""
    kinds: dict[str, list[str]] = {"code": list(code_passages())}
    # A reader's notes may be in a further language; its texts are in the first that is named.
    for work in Gutenberg(root, [*LANGUAGES, "nl"], PASSAGES_A_TEXT).works():
        kinds.setdefault(LANGUAGES[work.fact("language").value], []).extend(work.passages())
    return kinds


def code_passages() -> list[str]:
    """A few runs of whole lines of each module of the standard library, as many words long as passages are."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        passages, lines, size = [], [], 0
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            lines.append(line)
            size += count_words(line)
            if size >= TARGET_WORDS:
                passages.append("\n".join(lines))
                lines, size = [], 0
        fitting = [passage for passage in passages if MIN_WORDS <= count_words(passage) <= MAX_WORDS]
        found += fitting[1 :: max(1, len(fitting) // PASSAGES_A_MODULE)][:PASSAGES_A_MODULE]
    return found


def held_out_scores(fit: Callable[[Rows], Score], x_NI: Rows, authors_N: NDArray[np.int64], seed: int) -> Rows:
    """The score of each row by a fit that has not seen its author."""
    folds = np.random.default_rng(seed).integers(FOLDS, size=authors_N.max() + 1)[authors_N]
    scores_N = np.empty(len(x_NI))
    for fold in np.unique(folds):
        scores_N[folds == fold] = fit(x_NI[folds != fold])(x_NI[folds == fold])
    return scores_N


def measure(books: Books, inside: Rows, outside: dict[str, Rows], seeds: int) -> dict[str, dict[str, float]]:
    """False alarms on test authors and what is caught of each kind: means over splits, and the worst of them."""
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        sides = assign_sides(books.authors_N, val_fraction=0.1, test_fraction=0.1, seed=seed)
        train = sides == TRAIN
        for name, fit in METHODS.items():
            score = fit(inside[train])
            references = {name: score(inside[sides == VAL])}
            if name == HELD_OUT:
                references[f"{name}, held out"] = held_out_scores(fit, inside[train], books.authors_N[train], seed)
            for label, reference in references.items():
                limit = np.quantile(reference, QUANTILE)
                shares = {"false alarms": float((score(inside[sides == TEST]) > limit).mean())}
                shares |= {kind: float((score(rows) > limit).mean()) for kind, rows in outside.items()}
                runs.setdefault(label, []).append(shares)
    return {label: summary(each) for label, each in runs.items()}


def summary(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each share, and its worst over the splits."""
    found = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        found[name] = float(np.mean(values))
        found[f"{name}, worst"] = max(values) if name == "false alarms" else min(values)
    return found


def main() -> None:
    """Read, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder of Standard Ebooks")
    parser.add_argument(
        "--foreign", type=Path, required=True, help="a folder of Project Gutenberg with other languages"
    )
    parser.add_argument("--seeds", type=int, default=8, help="splits of the authors")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("out_of_domain.json"))
    asked = parser.parse_args()
    books = read_books(asked.root)
    foreign = foreign_texts(asked.foreign)
    inside = views(books.texts).by_name
    outside = {kind: views(texts).by_name for kind, texts in foreign.items()}
    found = {}
    for view in ("MiniLM", "both"):
        rows = {kind: seen[view] for kind, seen in outside.items()}
        found |= {f"{view}: {name}": v for name, v in measure(books, inside[view], rows, asked.seeds).items()}
    counts = {"books": len(books.texts), **{kind: len(texts) for kind, texts in foreign.items()}}
    report(found, {"passages": counts, "seeds": asked.seeds, "shares": found}, asked.output)


if __name__ == "__main__":
    main()
