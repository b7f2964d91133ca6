"""Feature ensembles have the moments they promise; teachers refuse what they cannot use."""

import numpy as np
import pytest

import sedyn
from sedyn.data import LINKS

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
    x = sedyn.sample_features(features, (400, 1000), rng).ravel()
    for power, expected in ((1, 0.0), (2, 1.0), (4, ENSEMBLES[features])):
        moment = x**power
        assert abs(moment.mean() - expected) < 5 * moment.std() / np.sqrt(x.size) + 1e-12


def test_features_from_a_callable(rng):
    X = sedyn.sample_features(lambda generator, shape: generator.choice([-1.0, 1.0], shape), (4, 5), rng)
    assert set(np.unique(X)) <= {-1.0, 1.0}
    with pytest.raises(ValueError, match="must return finite numbers of shape"):
        sedyn.sample_features(lambda generator, shape: np.zeros(3), (4, 5), rng)


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
        sedyn.sample_features(features, (2, 2), 0)


def test_labels_and_seed(rng):
    teacher, mu = sedyn.SingleIndex("quadratic", 0.5), sedyn.random_signal(300, 1.3, rng)
    X, y = teacher.sample(2000, mu, "gaussian", rng=7)
    X2, y2 = teacher.sample(2000, mu, "gaussian", rng=7)
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
        (lambda: sedyn.SingleIndex(3), TypeError, "registered name or a callable"),
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
