"""`covariance` means one thing in every function: variances or a symmetric matrix; rows are `unlabelled`."""

import inspect

import numpy as np
import pytest

import sedyn

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")

N, M = 24, 60
NETWORK, TRAINING = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.1, 2)
TEACHER, PAIR = sedyn.SingleIndex("tanh", 0.1), sedyn.MultiIndex("parity", 2)
WEIGHTS, SIGNAL = NETWORK.init(N, rng=0), sedyn.random_signal(N, rng=1)
X, Y = TEACHER.sample(M, SIGNAL, rng=2)
RUN = sedyn.gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, first_weights_at="all")
TAKES = {
    "sample_features": lambda c: sedyn.sample_features(3, N, covariance=c, rng=0),
    "SingleIndex.sample": lambda c: TEACHER.sample(3, SIGNAL, covariance=c, rng=0),
    "MultiIndex.sample": lambda c: PAIR.sample(3, np.ones((N, 2)), covariance=c, rng=0),
    "Overlaps.of": lambda c: sedyn.Overlaps.of(WEIGHTS, SIGNAL, covariance=c),
    "population_errors": lambda c: sedyn.population_errors(NETWORK, TEACHER, RUN, SIGNAL, covariance=c, rng=0),
    "simulate": lambda c: sedyn.simulate(NETWORK, TRAINING, TEACHER, WEIGHTS, SIGNAL, M, 2, covariance=c, rng=0),
    "augmented_gradient_descent": lambda c: sedyn.augmented_gradient_descent(
        NETWORK, TRAINING, WEIGHTS, X, Y, covariance=c, rng=0
    ),
    "tune": lambda c: sedyn.tune(NETWORK, TRAINING, X, Y, covariance=c, rng=0),
}


def positive(rng):
    root = rng.standard_normal((N, 2 * N))
    return root @ root.T / (2 * N)


def slip(rng):
    """A covariance with one entry wrong: an n x n array like any other."""
    matrix = positive(rng)
    matrix[3, 5] += 0.01
    return matrix


def test_every_function_with_a_covariance_is_here():
    found = set()
    for name in set(sedyn.__all__) - {"plot"}:
        thing = getattr(sedyn, name)
        for method, value in [("", thing), *(inspect.getmembers(thing) if inspect.isclass(thing) else [])]:
            if (inspect.isfunction(value) or inspect.ismethod(value)) and not method.startswith("_"):
                if "covariance" in inspect.signature(value).parameters:
                    found.add(f"{name}.{method}".removesuffix("."))
    assert found - {"Teacher.sample"} == set(TAKES)


@pytest.mark.parametrize("name", list(TAKES))
def test_variances_and_symmetric_matrices_are_taken(name, rng):
    for covariance in (np.linspace(0.5, 1.5, N), list(np.linspace(0.5, 1.5, N)), np.ones(N, int), positive(rng), None):
        result = TAKES[name](covariance)
        assert name != "tune" or result[0].status == "ok"


@pytest.mark.parametrize("name", list(TAKES))
def test_a_slip_is_refused_and_not_taken_for_rows(name, rng):
    """Without the symmetry an n x n matrix could as well be n rows; whoever means rows says so."""
    with pytest.raises(ValueError, match="covariance matrix must be symmetric; it differs from its transpose by 0.01"):
        TAKES[name](slip(rng))


BAD = {
    "too short": (lambda rng: np.ones(N - 1), r"covariance must .* of shape \(24,\).* got an array of shape \(23,\)"),
    "rows": (lambda rng: np.ones((M, N)), r"covariance must .* of shape \(24,\).* got an array of shape \(60, 24\)"),
    "a column": (lambda rng: np.ones((N, 1)), r"got an array of shape \(24, 1\)"),
    "a number": (lambda rng: 1.0, r"covariance must .* of shape \(24,\).* got 1.0"),
    "a name": (lambda rng: "empirical", "covariance must be .* got 'empirical'"),
    "NaN": (lambda rng: np.full(N, np.nan), "finite numbers"),
    "negative variances": (lambda rng: -np.ones(N), "needs variances >= 0, not all 0 .* the smallest is -1"),
    "negative eigenvalues": (lambda rng: np.eye(N) - 0.1, "needs eigenvalues >= 0, not all 0 .* the smallest is -1.4"),
    "nothing varies": (lambda rng: np.zeros(N), "needs variances >= 0, not all 0"),
}


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("name", list(TAKES))
def test_what_is_no_covariance_is_refused(name, bad, rng):
    make, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        TAKES[name](make(rng))


UNLABELLED = {
    "columns": (lambda: X[:, :-1], r"unlabelled must be rows of shape \(k, 24\); got shape \(60, 23\)"),
    "too few": (lambda: X[:11], "unlabelled must hold at least 12 rows to estimate a covariance; got 11"),
    "NaN": (lambda: np.where(X > 2, np.nan, X), "unlabelled must be finite real numbers, without NaN"),
    "one row": (lambda: X[0], r"unlabelled must be rows of shape \(k, 24\); got shape \(24,\)"),
    "constant": (lambda: np.ones((M, N)), "unlabelled rows: they must differ"),
    "text": (lambda: "X", "unlabelled must be finite real numbers.*got 'X'"),
}
ESTIMATES = {
    "augmented_gradient_descent": lambda **known: sedyn.augmented_gradient_descent(
        NETWORK, TRAINING, WEIGHTS, X, Y, rng=0, **known
    ),
    "tune": lambda **known: sedyn.tune(NETWORK, TRAINING, X, Y, rng=0, **known),
}


@pytest.mark.parametrize("bad", list(UNLABELLED))
@pytest.mark.parametrize("name", list(ESTIMATES))
def test_unlabelled_rows_are_checked(name, bad):
    make, message = UNLABELLED[bad]
    with pytest.raises(ValueError, match=message):
        ESTIMATES[name](unlabelled=make())


@pytest.mark.parametrize("name", list(ESTIMATES))
def test_a_covariance_and_rows_to_estimate_it_from_contradict_each_other(name):
    for covariance in (np.ones(N), np.eye(N), slip(np.random.default_rng(0))):
        with pytest.raises(ValueError, match="give covariance or unlabelled rows to estimate it from, not both"):
            ESTIMATES[name](covariance=covariance, unlabelled=X)


def test_unlabelled_rows_stand_for_the_spectrum(rng):
    """Many of them estimate as the covariance itself does; a square array of rows is rows, whatever it looks like."""
    variances = np.linspace(0.2, 2.0, N)
    rows = rng.standard_normal((2000, N)) * np.sqrt(variances)
    known = {"true": {"covariance": variances}, "rows": {"unlabelled": rows}, "list": {"unlabelled": rows.tolist()}}
    runs = {  # so many reruns leave little to chance: an estimated spectrum has other nodes, and draws other nudges
        name: sedyn.augmented_gradient_descent(
            NETWORK, sedyn.Training(0.2, 10), WEIGHTS, X, Y, rng=0, n_reruns=400, **given
        )
        for name, given in known.items()
    }
    np.testing.assert_allclose(runs["rows"].estimated_error, runs["true"].estimated_error, rtol=0.01)
    np.testing.assert_array_equal(runs["list"].estimated_error, runs["rows"].estimated_error)
    square = sedyn.augmented_gradient_descent(NETWORK, TRAINING, WEIGHTS, X, Y, rng=0, unlabelled=rows[:N])
    assert np.all(np.isfinite(square.estimated_error))
    plain = sedyn.augmented_gradient_descent(NETWORK, sedyn.Training(0.2, 10), WEIGHTS, X, Y, rng=0)
    assert abs(runs["true"].estimated_error[-1] / plain.estimated_error[-1] - 1) > 0.02
