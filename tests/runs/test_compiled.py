"""The compiled products against numpy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sedyn.runs import products

kernels = pytest.importorskip("sedyn.runs.compiled", reason="needs the extra `fast`")


@pytest.mark.seconds
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("p", range(1, 10))
def test_products_match_numpy(rng, p, dtype):
    for m in (1, 2, 3, 4, 5, 64):
        for n in (1, 3, 40, 129):
            X, W, S = (rng.standard_normal(shape) for shape in ((m, n), (p, n), (p, m)))
            x, w, s = (value.astype(dtype) for value in (X, W, S))
            u, G = kernels.multiply(x, w), np.full((p, n), np.nan, dtype)  # what stands in G is overwritten
            kernels.multiply_back(x, s, G)
            assert u.dtype == dtype and u.shape == (p, m)
            rounding = 4 * np.finfo(dtype).eps  # of every term of a sum, at most
            assert np.all(np.abs(u - W @ X.T) <= (n + 2) * rounding * (np.abs(W) @ np.abs(X.T)))
            assert np.all(np.abs(G - S @ X) <= (m + 2) * rounding * (np.abs(S) @ np.abs(X)))


@pytest.mark.seconds
def test_products_take_views_and_read_only_data(rng):
    X, W, S = (rng.standard_normal(shape) for shape in ((20, 60), (12, 30), (3, 40)))
    X, W, S = X[::2, 1::2], W[::4], S[:, ::4]
    X.flags.writeable = False
    G = np.empty((3, 30))
    kernels.multiply_back(X, S, G)
    np.testing.assert_allclose(G, S @ X, atol=1e-12)
    np.testing.assert_allclose(kernels.multiply(X, W), W @ X.T, atol=1e-12)


@pytest.mark.parametrize("p", range(1, 18))
def test_columns_fall_into_few_even_groups(p):
    groups = kernels.column_groups(p)
    widths = [g.stop - g.start for g in groups]
    assert [k for g in groups for k in range(g.start, g.stop)] == list(range(p))
    assert len(groups) == -(-p // 4) and max(widths) <= 4 and max(widths) - min(widths) <= 1


def test_long_runs_and_only_those_use_the_kernels(monkeypatch):
    assert products.products(products.COMPILED_WORK, 2)[0] is kernels.multiply
    assert products.products(products.COMPILED_WORK - 1, 2)[0] is not kernels.multiply
    for width in (1, 8, 40):
        assert products.products(products.COMPILED_WORK, width)[0] is not kernels.multiply
    monkeypatch.setitem(sys.modules, "numba", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "sedyn.runs.compiled")
    monkeypatch.delattr("sedyn.runs.compiled")
    assert products.products(products.COMPILED_WORK, 2)[0] is not kernels.multiply


@pytest.mark.seconds
def test_without_a_place_for_the_machine_code(tmp_path):
    """numba refuses cache=True where it can write nowhere: the kernels are then compiled for this session alone."""
    code = (
        "import numba.core.caching as caching; caching.CacheImpl._locator_classes = []\n"
        "import numpy as np; from sedyn.runs import compiled as kernels\n"
        "print(kernels.multiply(np.ones((5, 7)), np.ones((2, 7))).sum())"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(products.__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert float(run.stdout) == 70
