"""Where passages lie in the plane, so that people can look at them.

Shape letters: N rows, D embedding, M rows on the map.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from wotd.errors import ConfigurationError
from wotd.metrics import spread

METHODS = ("pca", "umap")
MAP_ROWS = 3000
"""Rows on the map, at most, spread evenly."""


def check_method(method: str) -> None:
    """Refuse a method that there is not, before anything is computed.

    Raises:
        ConfigurationError: naming what there is, or what to install.
    """
    if method not in METHODS:
        raise ConfigurationError(f"artifacts.map is '{method}'; expected one of {', '.join(METHODS)}.")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise ConfigurationError("artifacts.map=umap needs the package umap-learn: pip install 'wotd[umap]'.")


def place(vectors_ND: NDArray[np.floating], method: str = "pca", *, seed: int = 0) -> dict[int, tuple[float, float]]:
    """A place in the plane for a sample of rows, by their index; the same each time.

    Args:
        vectors_ND: embeddings; those of the sample alone are read.
        method: ``pca``, the first two principal components of the sample; or ``umap``.
        seed: decides where UMAP begins.

    Source: L. McInnes, J. Healy, J. Melville, "UMAP" (2018).
    """
    rows_M = spread(np.arange(len(vectors_ND)), MAP_ROWS)
    x_MD = np.asarray(vectors_ND[rows_M], dtype=np.float32)
    if len(x_MD) < 3 or x_MD.shape[1] < 2:
        return {}
    places_M2 = _principal(x_MD) if method == "pca" else _umap(x_MD, seed)
    return {row: (float(x), float(y)) for row, (x, y) in zip(rows_M.tolist(), places_M2.tolist(), strict=True)}


def _principal(x_MD: NDArray[np.float32]) -> NDArray[np.floating]:
    from sklearn.decomposition import PCA

    places: NDArray[np.floating] = PCA(2, svd_solver="covariance_eigh").fit_transform(x_MD)
    return places


def _umap(x_MD: NDArray[np.float32], seed: int) -> NDArray[np.floating]:
    import umap

    mapper = umap.UMAP(n_neighbors=min(15, len(x_MD) - 1), metric="cosine", random_state=seed, n_jobs=1)
    places: NDArray[np.floating] = mapper.fit_transform(x_MD)
    return places
