"""Feature ensembles have the moments they promise; teachers refuse what they cannot use."""

import pickle

import numpy as np
import pytest
from scipy import special, stats

import sedyn
from sedyn.model import LINKS

ENSEMBLES = {  # kurtosis E x^4, which tells them apart
    "gaussian": 3,
    "rademacher": 1,
    "uniform": 9 / 5,
    "laplace": 6,
    ("student_t", 12): 3 + 6 / (12 - 4),
    ("sparse", 0.25): 3 / 0.25,
}


@pytest.mark.parametrize("features", list(ENSEMBLES), ids=str)
def test_features_are_standardised(features, rng):
    x = sedyn.sample_features(400, 1000, features=features, rng=rng).ravel()
    for power, expected in ((1, 0.0), (2, 1.0), (4, ENSEMBLES[features])):
        moment = x**power
        assert abs(moment.mean() - expected) < 5 * moment.std() / np.sqrt(x.size) + 1e-12


def test_features_from_a_callable(rng):
    X = sedyn.sample_features(4, 5, features=lambda generator, shape: generator.choice([-1.0, 1.0], shape), rng=rng)
    assert set(np.unique(X)) <= {-1.0, 1.0}
    with pytest.raises(ValueError, match="must return finite numbers of shape"):
        sedyn.sample_features(4, 5, features=lambda generator, shape: np.zeros(3), rng=rng)


@pytest.mark.parametrize(
    "features, message",
    [
        ("gausian", "unknown features"),
        ("student_t", "degrees of freedom"),
        (("student_t", 2), "more than 2"),
        (("sparse", 0), "density"),
        (("gaussian", 1), "take no parameter"),
    ],
)
def test_bad_features(features, message):
    with pytest.raises(ValueError, match=message):
        sedyn.sample_features(2, 2, features=features, rng=0)


def test_labels_and_seed(rng):
    teacher, mu = sedyn.SingleIndex("quadratic", 0.5), sedyn.random_signal(300, norm=1.3, rng=rng)
    X, y = teacher.sample(2000, mu, features="gaussian", rng=7)
    X2, y2 = teacher.sample(2000, mu, features="gaussian", rng=7)
    assert np.array_equal(X, X2) and np.array_equal(y, y2)
    noise = y - ((X @ mu) ** 2 - 1)
    assert abs(noise.std() / 0.5 - 1) < 5 / np.sqrt(2 * 2000)
    assert abs(np.linalg.norm(mu) - 1.3) < 1e-12


def test_every_link_is_vectorized():
    z = np.linspace(-2, 2, 9)
    for name in LINKS:
        assert sedyn.SingleIndex(name).mean_label(z).shape == z.shape


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: sedyn.SingleIndex("tanhh"), ValueError, "unknown link"),
        (lambda: sedyn.SingleIndex(3), TypeError, "link must be one of linear, .* or a function"),
        (lambda: sedyn.SingleIndex("tanh", noise=-0.1), ValueError, "standard deviation.*got -0.1"),
        (lambda: sedyn.SingleIndex("tanh", noise=np.nan), ValueError, "standard deviation"),
        (
            lambda: sedyn.SingleIndex(np.sum).sample(5, np.ones(3), rng=0),
            ValueError,
            r"array of shape \(5,\) to",
        ),
        (lambda: sedyn.SingleIndex(lambda z: z * np.nan).sample(5, np.ones(3), rng=0), ValueError, "to finite numbers"),
        (
            lambda: sedyn.SingleIndex("tanh").sample(5, np.ones((3, 2)), rng=0),
            ValueError,
            r"signal must.*\(3, 2\)",
        ),
        (lambda: sedyn.SingleIndex("tanh").sample(5, np.ones(()), rng=0), ValueError, r"signal must.*\(\)"),
        (lambda: sedyn.SingleIndex("tanh").sample(5, np.ones(0), rng=0), ValueError, "signal must have"),
        (lambda: sedyn.SingleIndex("tanh").sample(5, np.full(3, np.nan), rng=0), ValueError, "signal must be finite"),
        (lambda: sedyn.SingleIndex("tanh").sample(0, np.ones(3), rng=0), ValueError, "positive integer"),
        (lambda: sedyn.random_signal(0), ValueError, "n_features"),
        (lambda: sedyn.random_signal(5, norm=-1), ValueError, "norm"),
    ],
)
def test_bad_teachers(make, error, message):
    with pytest.raises(error, match=message):
        make()


GRID = np.linspace(-2.5, 2.5, 11)


@pytest.mark.parametrize(
    "link, noise, probability",
    [("logistic", 0.0, special.expit(GRID)), ("noisy_sign", 0.7, special.ndtr(GRID / 0.7))],
)
def test_probabilities_of_the_classes(link, noise, probability, rng):
    """Binomial z-scores, 11 independent ones."""
    teacher, N = sedyn.SingleIndex(link, noise), 20_000
    labels = np.array([teacher.labels(np.full(N, z), rng.standard_normal(N)) for z in GRID])
    assert set(np.unique(labels)) == {-1, 1}
    z = ((labels > 0).sum(axis=1) - N * probability) / np.sqrt(N * probability * (1 - probability))
    assert np.sum(z**2) < stats.chi2.isf(1e-4, len(z)), z
    with pytest.raises(ValueError, match=r"not added to a mean label; use labels\(z, xi\)"):
        teacher.mean_label(GRID)


def growing(Z, xi):
    return Z.sum(axis=0) + Z[0] * xi


LINKS_OF_THREE = {
    "committee": lambda Z, xi: np.tanh(Z).sum(axis=0) / np.sqrt(3) + 0.4 * xi,
    "parity": lambda Z, xi: np.sign(Z[0] * Z[1] * Z[2]) + 0.4 * xi,
    "product": lambda Z, xi: Z[0] * Z[1] * Z[2] + 0.4 * xi,
    growing: growing,
}


@pytest.mark.parametrize("link", list(LINKS_OF_THREE))
def test_labels_of_several_signals(link, rng):
    """From the signals of the rows, with noise added or made by the link; and after a journey between processes."""
    teacher, signal = sedyn.MultiIndex(link, 3, None if link is growing else 0.4), rng.standard_normal((30, 3))
    Z, xi = rng.standard_normal((3, 50)), rng.standard_normal(50)
    np.testing.assert_allclose(teacher.labels(Z, xi), LINKS_OF_THREE[link](Z, xi))
    X, y = teacher.sample(50, signal, rng=1)
    draws = np.random.default_rng(1)  # first the features, then the noise
    np.testing.assert_array_equal(X, draws.standard_normal((50, 30)))
    np.testing.assert_allclose(y, LINKS_OF_THREE[link]((X @ signal).T, draws.standard_normal(50)))
    copy = pickle.loads(pickle.dumps(teacher))
    assert copy == teacher
    np.testing.assert_array_equal(copy.labels(Z, xi), teacher.labels(Z, xi))


def test_labels_of_one_signal(rng):
    z, xi = rng.standard_normal((2, 9))
    heteroscedastic = sedyn.SingleIndex(lambda z, xi: z + np.abs(z) * xi, None)
    np.testing.assert_array_equal(heteroscedastic.labels(z, xi), z + np.abs(z) * xi)
    np.testing.assert_array_equal(sedyn.SingleIndex("noisy_sign").labels(np.array([-1.0, 0, 1]), xi[:3]), [-1, 1, 1])
    signal = rng.standard_normal(5)
    for teacher in (sedyn.MultiIndex(lambda Z: np.tanh(Z[0]), 1), sedyn.SingleIndex("tanh")):
        for mu in (signal, signal[:, None]):  # a single signal with an axis or without
            X, y = teacher.sample(9, mu, rng=2)
            np.testing.assert_allclose(y, np.tanh(X @ signal))


def covariance_of(covariance):
    return lambda: sedyn.sample_features(4, 3, covariance=covariance, rng=0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sedyn.MultiIndex("tanh", 2), "unknown link 'tanh'; use one of committee, parity, product"),
        (lambda: sedyn.SingleIndex("committee"), "unknown link 'committee'.*noisy_sign, logistic"),
        (lambda: sedyn.MultiIndex("parity", 0), "n_indices must be a positive integer; got 0"),
        (lambda: sedyn.MultiIndex("parity", 1.5), "n_indices must be a positive integer; got 1.5"),
        (lambda: sedyn.MultiIndex("parity", 2, -1), "noise must be a standard deviation.*or None; got -1"),
        (lambda: sedyn.SingleIndex("tanh", None), r"noise=None is for a link that is a function \(z, xi\).*'tanh'"),
        (
            lambda: sedyn.MultiIndex("parity", 2).sample(5, np.ones(3)),
            r"n_features, 2\) and at least one entry; got \(3,\)",
        ),
        (lambda: sedyn.MultiIndex("parity", 2).sample(5, np.ones((3, 3))), r"got \(3, 3\)"),
        (
            lambda: sedyn.MultiIndex(lambda Z: Z.T, 2).sample(5, np.ones((3, 2))),
            r"shape \(2, 5\) to finite.*got shape \(5, 2\)",
        ),
        (
            lambda: sedyn.SingleIndex(lambda z, xi: xi[:1], None).sample(5, np.ones(3)),
            r"to finite numbers of shape \(5,",
        ),
        (lambda: sedyn.block_variances(9, [(0.5, 1.0), (0.4, 1.0)]), "fractions adding up to 1"),
        (lambda: sedyn.block_variances(9, [(0.0, 1.0), (1.0, 1.0)]), "fraction > 0"),
        (lambda: sedyn.block_variances(9, [(1.0, -1.0)]), "variance >= 0"),
        (covariance_of(np.ones(4)), r"covariance must .* shape \(3,\), the variances.*got an array of shape \(4,\)"),
        (covariance_of(np.ones((5, 3))), r"covariance must .* of shape \(3,\).*got an array of shape \(5, 3\)"),
        (covariance_of("empirical"), r"covariance must .* of shape \(3,\).*got 'empirical'"),
        (covariance_of([1, np.nan, 1]), "finite"),
        (covariance_of([1, -1, 1]), "not all 0 .* the smallest is -1"),
        (covariance_of(np.zeros(3)), "not all 0"),
        (covariance_of(np.eye(3) + np.eye(3, k=1)), "must be symmetric"),
        (covariance_of(np.eye(3) + 2 * np.eye(3)[::-1]), "the smallest is -1"),
    ],
)
def test_bad_teachers_and_covariances(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_variances():
    thirds = sedyn.block_variances(1001, [(1 / 3, 2.0), (1 / 3, 0.5), (1 / 3, 0.0)])
    np.testing.assert_array_equal(thirds, np.repeat([2.0, 0.5, 0.0], [334, 333, 334]))
    variances = sedyn.power_law_variances(200, 0.7)
    assert abs(variances.mean() - 1) < 1e-12
    np.testing.assert_allclose(variances / variances[0], np.arange(1, 201) ** -0.7)


@pytest.mark.parametrize("features", ["gaussian", "rademacher"])
@pytest.mark.parametrize("kind", ["variances", "matrix"])
def test_covariance_of_the_features(features, kind, rng):
    """Entry by entry: 55 uncorrelated numbers under a Gaussian law."""
    a, upper = rng.standard_normal((10, 10)), np.triu_indices(10)
    covariance = np.linspace(0, 3, 10) if kind == "variances" else a @ a.T / 10
    X = sedyn.sample_features(20_000, 10, features=features, covariance=covariance, rng=rng)
    products = X[:, upper[0]] * X[:, upper[1]]
    expected = np.diag(covariance) if kind == "variances" else covariance
    assert np.sum(sedyn.z_scores(products, expected[upper]) ** 2) < stats.chi2.isf(1e-4, 55)
    assert np.sum(sedyn.z_scores(products, np.eye(10)[upper]) ** 2) > 1000
    drawn = {"features": features, "covariance": covariance, "rng": 4}
    same, y = sedyn.SingleIndex("linear").sample(30, a[0], **drawn)
    np.testing.assert_array_equal(same, sedyn.sample_features(30, 10, **drawn))
    np.testing.assert_allclose(y, same @ a[0])
