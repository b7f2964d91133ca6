"""Growing rows, products with them, and the orthonormal basis of theory and estimate."""

import numpy as np
import pytest

from sedyn.recursion import Basis, Rows, basis


def uniform(n):
    return np.full(n, 1 / n)


@pytest.mark.seconds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [48, 1021, 4096])
@pytest.mark.parametrize("stripe", [2**16, 500])
def test_products_with_growing_rows(rng, n, dtype, stripe, monkeypatch):
    monkeypatch.setattr(basis, "STRIPE", stripe)
    plain, weights = rng.standard_normal((150, n)).astype(dtype), rng.random(n) / n
    rows, precision = Rows(weights, dtype), 200 * np.finfo(dtype).eps
    for stop in (0, 1, 7, 64, 65, 150):  # within, at and across the room made at a time
        rows.append(plain[len(rows) : stop])
        few, coefficients = rng.standard_normal((5, n)).astype(dtype), rng.standard_normal((3, stop))
        assert len(rows) == stop
        np.testing.assert_allclose(rows.coordinates(few), (few * weights) @ plain[:stop].T, atol=precision)
        np.testing.assert_allclose(rows.combine(coefficients), coefficients @ plain[:stop], atol=100 * precision)
        assert rows.coordinates(few).dtype == float and rows.combine(coefficients).dtype == dtype


def test_sums_over_many_samples_do_not_drift():
    """One float32 sum of a million equal terms would be off by more than that of stripes."""
    n = 2**20
    ones = np.full((1, n), 1.1, np.float32)
    rows = Rows(uniform(n), np.float32)
    rows.append(ones)
    assert abs(rows.coordinates(ones)[0, 0] / float(np.float32(1.1)) ** 2 - 1) < 1e-5


def test_new_directions_are_orthonormal_to_all_before_and_none_comes_below_the_tolerance(rng):
    n, Q = 2**10, Basis(uniform(2**10), float)
    Q.extend(rng.standard_normal((20, n)), 1e-3)
    assert len(Q) == 20
    S = rng.standard_normal((2, 20)) @ Q.combine(np.eye(20))
    assert Q.extend(S, 1e-3)[0].shape == (2, 20) and len(Q) == 20  # nothing new
    S += 0.1 * rng.standard_normal((2, n)) * [[1.0], [1e-5]]  # one new direction, one below tolerance
    L, others = Q.extend(S, 1e-3, lambda d: rng.standard_normal((3 * d, n)))
    assert len(Q) == 21 and others.shape == (3, n) and Q.latest.shape == (1, n)
    rows = Q.combine(np.eye(21))
    np.testing.assert_allclose(rows @ rows.T / n, np.eye(21), atol=1e-12)
    np.testing.assert_allclose(L, S @ rows.T / n, atol=1e-12)
    np.testing.assert_allclose(others @ rows.T / n, 0, atol=1e-12)
    assert np.abs(L @ rows - S).max() < 1e-3 * np.abs(S).max()


def test_a_basis_in_another_inner_product_stays_orthonormal_in_single_precision(rng):
    """After hundreds of directions one pass of Gram-Schmidt would have lost it."""
    n = 2000
    weights = rng.random(n) / n
    Q = Basis(weights, np.float32)
    drift = rng.standard_normal((3, n)).astype(np.float32)
    for _ in range(120):  # nearly dependent gradients, as along a run
        drift = drift + 0.05 * rng.standard_normal((3, n)).astype(np.float32)
        Q.extend(drift, 1e-2)
    rows = Q.combine(np.eye(len(Q))).astype(float)
    assert len(Q) > 200
    np.testing.assert_allclose((rows * weights) @ rows.T, np.eye(len(Q)), atol=1e-4)


def test_gradients_that_are_not_finite_add_nothing(rng):
    Q = Basis(uniform(50), float)
    Q.extend(rng.standard_normal((2, 50)), 1e-2)
    with np.errstate(invalid="ignore"):
        L, _ = Q.extend(np.full((2, 50), np.inf), 1e-2)
    assert len(Q) == 2 and not np.any(np.isfinite(L))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_adds_nothing(bad, rng):
    basis = Basis(np.full(100, 0.01), np.float32)
    basis.extend(rng.standard_normal((2, 100)).astype(np.float32), 1e-3)
    S = np.ones((2, 100), np.float32)
    S[1, 3] = bad
    with np.errstate(invalid="ignore"):
        L, others = basis.extend(S, 1e-3)
    assert len(basis) == L.shape[1] == 2 and len(others) == 0 and not np.all(np.isfinite(L))
