"""The parts of the fast solver: growing rows, products with them, precision, and what it refuses."""

import numpy as np
import pytest

import sedyn
from sedyn.model import gaussian_points, orthonormalise
from sedyn.recursion import basis
from sedyn.theory import projection
from tests.conftest import general_problem


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_paths", [48, 1000, 1021, 4096])  # with and without a power of 2 to tile by
def test_products_with_growing_rows(rng, n_paths, dtype):
    plain = rng.standard_normal((300, n_paths)).astype(dtype)
    rows = basis.Rows(plain[:0])
    precision = 200 * np.finfo(dtype).eps
    for stop in (0, 1, 7, 128, 129, 300):  # within, at and across the blocks
        rows.append(plain[len(rows) : stop])
        few = rng.standard_normal((5, n_paths)).astype(dtype)
        coefficients = rng.standard_normal((3, stop))
        assert len(rows) == stop
        np.testing.assert_allclose(rows.coordinates(few), few @ plain[:stop].T / n_paths, atol=precision)
        np.testing.assert_allclose(rows.combine(coefficients), coefficients @ plain[:stop], atol=100 * precision)


def test_sums_over_many_samples_are_in_double_precision():
    """A float32 sum of a million equal terms drifts by far more than the tile-wise sum allows."""
    ones = np.full((1, 2**20), 1.1, np.float32)
    assert abs(basis.inner(ones, ones)[0, 0] / float(np.float32(1.1)) ** 2 - 1) < 1e-6


def test_new_directions_and_twins_are_orthonormal_to_all_before(rng):
    n = 2**10
    Q = basis.Rows(orthonormalise(rng.standard_normal((20, n))))
    S = rng.standard_normal((2, 20)) @ np.concatenate([block for _, block in Q._filled()])
    S += 0.1 * rng.standard_normal((2, n)) * [[1.0], [1e-5]]  # one new direction, one below tolerance
    born = projection._new_directions(Q, S, 1e-3)
    assert len(born) == 1
    born, twins, S_born = projection._orthonormalised(Q, born, rng.standard_normal((1, n)), S)
    np.testing.assert_allclose(Q.coordinates(np.concatenate([born, twins])), 0, atol=1e-12)
    np.testing.assert_allclose(born @ born.T / n, 1, atol=1e-12)
    np.testing.assert_allclose(born @ twins.T / n, 0, atol=1e-12)
    np.testing.assert_allclose(S_born, S @ born.T / n, atol=1e-12)


def test_single_and_double_precision_agree_within_their_standard_errors():
    """Rounding moves directions across the tolerance, so the two are different randomizations of one answer."""
    single, double = (
        sedyn.state_evolution(*general_problem(25), n_paths=2**13, n_scrambles=16, rng=seed, dtype=dtype)
        for seed, dtype in enumerate((np.float32, np.float64))
    )
    for name in ("train_error", "generalization_error"):
        a, b = getattr(single, name), getattr(double, name)
        error = np.hypot(getattr(single.stderr, name), getattr(double.stderr, name))
        assert np.abs((a - b) / error).max() < 4.5, name
        assert np.abs(a / b - 1).max() < 0.01, name  # and the errors themselves are small


def test_points_have_exact_second_moments(rng):
    points = gaussian_points(6, 500, rng)
    np.testing.assert_allclose(points @ points.T / 500, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(points.mean(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tolerance": 1e-4}, "tolerance must lie between 3.5e-04 and 1 for float32.*dtype=float64"),
        ({"tolerance": 1e-9, "dtype": np.float64}, "tolerance must lie between 1.5e-08 and 1"),
        ({"dtype": np.float16}, "dtype must be float64 or float32"),
        ({"n_paths": 2**8, "tolerance": 1e-3}, "n_paths = 256 is too small.*use n_paths = "),
    ],
)
def test_what_the_solver_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        sedyn.state_evolution(*general_problem(25), rng=0, **options)


def test_a_basis_beyond_the_machine_is_refused_before_it_is_taken(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 400, "SC_PAGE_SIZE": 4096}[name])  # 1.6 MB
    with pytest.raises(MemoryError, match="n_paths"):
        sedyn.state_evolution(*general_problem(5), n_paths=2**12, rng=0)
