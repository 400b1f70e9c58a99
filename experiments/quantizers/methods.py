"""The methods that are compared, by name; how each one works is told where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from contract import Fitted, Task

OURS: dict[str, list[str]] = {
    "start": ["trainer.max_epochs=0"],
    "deep": [],
    "greedy": ["model.quantizer.beam=1", "model.quantizer.fit_beam=4"],
    "wide": ["model/quantizer=hvq_wide", "trainer.max_epochs=0"],
}
"""Our settings: a name, and what it changes of ``+experiment=deep``. ``start`` is the closed-form start alone."""


@dataclass(frozen=True)
class Method:
    """A way to fit a quantizer.

    Attributes:
        label: what tables and plots call it.
        target: ``module:function`` that takes a task and the options.
        options: keyword arguments.
    """

    label: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        """Import what it needs, so that fitting does not count it."""
        import_module(self.target.partition(":")[0])

    def fit(self, task: Task) -> Fitted:
        """Fit it."""
        module, _, function = self.target.partition(":")
        fitted: Fitted = getattr(import_module(module), function)(task, **self.options)
        return fitted


def ours(name: str, overrides: list[str]) -> Method:
    """A setting of ours."""
    return Method(f"wotd, {name}", "ours:train", {"overrides": overrides})


METHODS: dict[str, Method] = {
    **{f"wotd_{name}": ours(name, overrides) for name, overrides in OURS.items()},
    "faiss_residual_quick": Method(
        "faiss residual, greedy, plain k-means", "peers_faiss:residual", {"beam": 1, "progressive": False}
    ),
    "faiss_residual_greedy": Method("faiss residual, greedy", "peers_faiss:residual", {"beam": 1}),
    "faiss_residual_beam5_quick": Method(
        "faiss residual, beam 5, plain k-means", "peers_faiss:residual", {"beam": 5, "progressive": False}
    ),
    "faiss_residual_beam5": Method("faiss residual, beam 5", "peers_faiss:residual", {"beam": 5}),
    "faiss_residual_beam5_refined": Method(
        "faiss residual, beam 5, refined", "peers_faiss:residual", {"beam": 5, "refine": True}
    ),
    "faiss_lsq": Method("faiss LSQ", "peers_faiss:lsq"),
    "faiss_pq": Method("faiss PQ", "peers_faiss:product", {"rotate": False}),
    "faiss_opq": Method("faiss OPQ + PQ", "peers_faiss:product", {"rotate": True}),
    "residual_kmeans": Method("residual k-means", "peers_kmeans:ResidualKMeans"),
    "residual_kmeans_quick": Method("residual k-means, 20 rounds", "peers_kmeans:ResidualKMeans", {"rounds": 20}),
    "tree_kmeans": Method("tree k-means", "peers_kmeans:TreeKMeans"),
    "tree_kmeans_shrunk": Method("tree k-means, shrunk", "peers_kmeans:TreeKMeans", {"shrinkage": 16.0}),
    "residual_vq": Method("ResidualVQ", "peers_torch:residual_vq", {"epochs": 20}),
    "residual_vq_autoencoder": Method(
        "ResidualVQ autoencoder", "peers_torch:autoencoder", {"kind": "residual_vq", "epochs": 20, "open_epochs": 4}
    ),
    "residual_fsq_autoencoder": Method(
        "ResidualFSQ autoencoder", "peers_torch:autoencoder", {"kind": "residual_fsq", "epochs": 30}
    ),
    "fsq_autoencoder": Method("FSQ autoencoder", "peers_torch:autoencoder", {"kind": "fsq", "epochs": 30}),
}
