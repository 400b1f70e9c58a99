"""How much of style, complexity and era do MiniLM vectors, stylometric features, and both together hold?

python experiments/named_levels/features.py --root BOOKS      a folder of Standard Ebooks

A balanced logistic regression on standardised inputs, five folds that keep authors whole, 48 passages
a work; means over several assignments of authors to folds. ``by work`` goes by the summed
probabilities of a work's passages. ``one line`` asks the same models about the same passages with
every run of white space made one blank.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from books import LEVELS, Books, read_books, report, views
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


def out_of_fold(
    x_NI: NDArray[np.float32],
    flat_NI: NDArray[np.float32],
    labels_N: NDArray[np.int64],
    authors_N: NDArray[np.int64],
    inverse_penalty: float,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities N×K of each passage and of its one-line form, by models that never saw its author."""
    classes = int(labels_N.max()) + 1
    probabilities, flat = np.zeros((len(x_NI), classes)), np.zeros((len(x_NI), classes))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(x_NI, labels_N, authors_N):
        regression = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=200, tol=1e-3)
        model = make_pipeline(StandardScaler(), regression).fit(x_NI[train], labels_N[train])
        probabilities[np.ix_(test, model.classes_)] = model.predict_proba(x_NI[test])
        flat[np.ix_(test, model.classes_)] = model.predict_proba(flat_NI[test])
    return probabilities, flat


def scores(
    probabilities: NDArray[np.float64], flat: NDArray[np.float64], labels: NDArray[np.int64], works: NDArray[np.int64]
) -> dict[str, float]:
    """Accuracy, macro-F1, accuracy by work, and accuracy on one line."""
    said = probabilities.argmax(1)
    by_work = [probabilities[works == w].sum(0).argmax() == labels[works == w][0] for w in np.unique(works)]
    return {
        "accuracy": float((said == labels).mean()),
        "macro-F1": float(f1_score(labels, said, average="macro")),
        "by work": float(np.mean(by_work)),
        "one line": float((flat.argmax(1) == labels).mean()),
    }


def measure(books: Books, inverse_penalty: float, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by level and view; ``majority`` is what the commonest label alone would reach."""
    seen = views(books.texts).by_name
    on_one_line = views([" ".join(text.split()) for text in books.texts]).by_name
    found: dict[str, dict[str, dict[str, float]]] = {}
    for level, name in enumerate(LEVELS):
        known = np.flatnonzero(books.labels_NL[:, level] >= 0)
        labels, works, authors = books.labels_NL[known, level], books.works_N[known], books.authors_N[known]
        majority = float(np.bincount(labels).max() / len(labels))
        found[name] = {"majority": {"accuracy": majority}}
        for view, x_NI in seen.items():
            rows = (x_NI[known], on_one_line[view][known], labels, authors, inverse_penalty)
            runs = [scores(*out_of_fold(*rows, seed), labels, works) for seed in range(repeats)]
            found[name][view] = {score: float(np.mean([run[score] for run in runs])) for score in runs[0]}
            found[name][view]["spread"] = float(np.std([run["accuracy"] for run in runs]))
    return found


def main() -> None:
    """Read, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder of Standard Ebooks")
    parser.add_argument("--passages", type=int, default=48, help="passages a work")
    parser.add_argument("--inverse-penalty", type=float, default=0.005, help="C of the logistic regression")
    parser.add_argument("--repeats", type=int, default=3, help="assignments of authors to folds")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("features.json"))
    asked = parser.parse_args()
    books = read_books(asked.root).evenly(asked.passages)
    found = measure(books, asked.inverse_penalty, asked.repeats)
    rows = {
        f"{level}: {view}": values
        for level, by_view in found.items()
        for view, values in by_view.items()
        if view != "majority"
    }
    setting = {
        "passages": len(books.texts),
        "works": len(np.unique(books.works_N)),
        "C": asked.inverse_penalty,
        "repeats": asked.repeats,
    }
    report(rows, {**setting, "levels": found}, asked.output)


if __name__ == "__main__":
    main()
