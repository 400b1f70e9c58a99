"""Places in the plane."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from wotd.errors import ConfigurationError
from wotd.passage_map import MAP_ROWS, check_method, place


def test_places_are_the_first_two_principal_components() -> None:
    x = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float16)
    found = place(x)
    expected = PCA(2, svd_solver="full").fit_transform(x.astype(np.float32))
    assert list(found) == list(range(200))
    np.testing.assert_allclose(np.abs(list(found.values())), np.abs(expected), atol=1e-4)
    assert place(x) == found


def test_a_spread_of_many_rows_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.passage_map.MAP_ROWS", 10)
    assert list(place(np.random.default_rng(0).normal(size=(100, 4)))) == list(range(0, 100, 10))
    assert MAP_ROWS > 1000


@pytest.mark.parametrize("shape", [(0, 4), (2, 4), (50, 1)])
def test_what_has_no_plane_has_no_places(shape: tuple[int, int]) -> None:
    assert place(np.zeros(shape, np.float32)) == {}


def test_methods_that_there_are_not() -> None:
    with pytest.raises(ConfigurationError, match=r"artifacts.map is 'tsne'; expected one of pca, umap"):
        check_method("tsne")


def test_umap_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wotd\[umap\]'"):
        check_method("umap")
    asked: dict[str, object] = {}

    class Mapper:
        def __init__(self, **settings: object) -> None:
            asked.update(settings)

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            return x[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Mapper))
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    assert place(x, "umap", seed=3)[2] == tuple(map(float, x[2, :2]))
    assert asked == {"n_neighbors": 8, "metric": "cosine", "random_state": 3, "n_jobs": 1}
