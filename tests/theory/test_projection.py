"""The fast solver: precision, sample points, and what it refuses."""

import numpy as np
import pytest

import sedyn
from sedyn.model import gaussian_points
from tests.conftest import general_problem


@pytest.mark.seconds
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
