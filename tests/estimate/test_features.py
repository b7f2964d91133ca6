"""Tests of features against the written-out formula, the uniform law and least squares (theory 9)."""

import numpy as np
import pytest
from scipy import stats

import sedyn
from tests.estimate.test_augmented import slow_responses

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")

N_SIGNAL = 12


def correlated(n, rho):
    return rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


def run_of(rng, m=240, n=160, T=25, activation="tanh", loss="squared", covariance=None, training=None, **options):
    """A run with its tests, and which features have no effect."""
    signal = np.zeros(n)
    signal[rng.permutation(n)[:N_SIGNAL]] = rng.choice([-1.0, 1.0], N_SIGNAL) / np.sqrt(N_SIGNAL)
    X = rng.standard_normal((m, n))
    if covariance is not None:
        X = X @ np.linalg.cholesky(covariance).T
        signal = signal / np.sqrt(signal @ covariance @ signal)
    y = np.tanh(2 * X @ signal) + 0.5 * rng.standard_normal(m)
    if loss == "logistic":
        y = np.where(y > 0, 1.0, -1.0)
    network = sedyn.Network((3, 1), (activation, "identity"))
    training = sedyn.Training(0.2 if loss == "squared" else 0.5, T, loss=loss, **(training or {}))
    if options.get("unlabelled") == "own":
        options["unlabelled"] = X
    elif "unlabelled" in options:  # so many further rows
        options["unlabelled"] = rng.standard_normal((options["unlabelled"], n)) @ np.linalg.cholesky(covariance).T
    elif covariance is not None:
        options["covariance"] = covariance
    run = sedyn.augmented_gradient_descent(
        network, training, network.init(n, rng=rng), X, y, feature_tests=True, rng=rng, **options
    )
    return run, signal, X, y


def test_matches_the_written_out_formula(rng):
    m, n, T = 40, 25, 6
    X, y = rng.standard_normal((m, n)), rng.standard_normal(m)
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    training, weights = sedyn.Training(0.3, T, momentum=0.4), network.init(n, rng=rng)
    run = sedyn.augmented_gradient_descent(
        network, training, weights, X, y, feature_tests=True, method="exact", first_weights_at="all", rng=0
    )
    R, S = slow_responses(network, training, weights, X, y)
    S -= S.mean(axis=0)  # a mean of gradients is no dependence
    D = sum(X.T @ S[:, t] / m for t in range(T))
    D -= sum(run.first_weights[s] @ R[t, s].T for t in range(T) for s in range(t + 1))
    total = S.sum(axis=1)
    chi = np.einsum("la,ab,lb->l", D, np.linalg.inv(total.T @ total / m**2), D)
    np.testing.assert_allclose(run.feature_pvalues, stats.chi2.sf(chi, 2), rtol=1e-6)
    np.testing.assert_allclose(np.square(run.feature_statistics).sum(axis=1), chi, rtol=1e-8)


def test_reruns_agree_with_the_exact_recursion():
    runs = [run_of(np.random.default_rng(3), method=method)[0] for method in ("exact", "nudges")]
    gap = runs[0].feature_statistics - runs[1].feature_statistics
    assert np.sqrt(np.mean(gap**2)) < 0.25
    np.testing.assert_allclose(runs[0].feature_effects, runs[1].feature_effects, atol=0.03)


CASES = {
    "plain": {},
    "more features than rows": {"m": 160, "n": 240},
    "momentum, decay, batches": {"training": {"momentum": 0.5, "weight_decay": 0.05, "batch_fraction": 0.5}},
    "logistic": {"loss": "logistic"},
    "relu": {"activation": "relu"},
    "known covariance": {"covariance": 0.6},
    "further rows": {"covariance": 0.6, "unlabelled": 960},
    "the same rows": {"covariance": 0.6, "m": 320, "unlabelled": "own"},
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=getattr(pytest.mark, "minutes" if "covariance" in CASES[c] else "seconds")) for c in CASES],
)
def test_pvalues_of_features_without_effect_are_uniform(case):
    options, n_runs = dict(CASES[case]), 30
    if "covariance" in options:
        options["covariance"] = correlated(160, options["covariance"])
    sizes, ends, misses = [], [], []
    for seed in range(n_runs):
        run, signal, *_ = run_of(np.random.default_rng([seed, len(case)]), **options)
        null = signal == 0
        sizes.append(np.mean(run.feature_pvalues[null] < 0.05))
        ends.append(np.mean(run.feature_pvalues[null] < 0.5))
        misses.append(np.mean(np.abs(run.feature_effects[null]) > 1.96 * run.feature_effects_stderr[null]))
    for found, level in ((sizes, 0.05), (ends, 0.5), (misses, 0.05)):
        error = np.std(found, ddof=1) / np.sqrt(n_runs)
        assert abs(np.mean(found) - level) < 4 * error + 0.15 * level, (level, np.mean(found), error)


@pytest.mark.seconds
def test_without_the_response_the_tests_would_be_blind(monkeypatch):
    """Training makes the gradients orthogonal to the features: what is left of them says nothing by itself."""
    from sedyn.estimate.features import FeatureTests

    runs = [[run_of(np.random.default_rng(seed), T=100) for seed in range(8)]]
    known = FeatureTests.response
    monkeypatch.setattr(FeatureTests, "response", lambda self, R: tuple(0 * part for part in known(self, R)))
    runs.append([run_of(np.random.default_rng(seed), T=100) for seed in range(8)])
    nulls = [np.mean([np.mean(r.feature_pvalues[s == 0] < 0.5) for r, s, *_ in of]) for of in runs]
    power = [np.mean([np.mean(r.feature_pvalues[s != 0] < 0.05) for r, s, *_ in of]) for of in runs]
    assert abs(nulls[0] - 0.5) < 0.06 and nulls[1] < 0.35
    assert power[0] > 0.7 and power[1] < 0.2


@pytest.mark.minutes
def test_shuffled_columns_of_a_real_table_have_uniform_pvalues():
    """Few features with long tails, a network that starts small: the covariance comes from the same rows."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    sizes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shuffled = np.column_stack([column[rng.permutation(len(y))] for column in X.T])
        noisy = y + 50 * rng.standard_t(3, len(y)) * np.exp(0.5 * rng.standard_normal(len(y)))
        model = sedyn.NetworkRegressor(random_state=0, feature_tests=True).fit(np.column_stack([X, shuffled]), noisy)
        sizes.append(np.mean(model.feature_pvalues_[10:, None] < [0.05, 0.5], axis=0))
        assert model.feature_pvalues_[2] < 0.05 or seed  # body mass
    gap, error = np.mean(sizes, axis=0) - [0.05, 0.5], np.std(sizes, axis=0, ddof=1) / np.sqrt(len(sizes))
    assert np.all(np.abs(gap) < 3 * error + [0.005, 0.02])


@pytest.mark.minutes
def test_signal_features_are_found_with_their_sign():
    found, least_squares, signs = [], [], []
    for seed in range(10):
        run, signal, X, y = run_of(np.random.default_rng(seed), m=320)
        is_signal = signal != 0
        found.append(np.mean(run.feature_pvalues[is_signal] < 0.01))
        b, rest = np.linalg.lstsq(X, y, rcond=None)[:2]
        t = b / np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * rest[0] / (320 - 160))
        least_squares.append(np.mean(2 * stats.t.sf(np.abs(t[is_signal]), 320 - 160) < 0.01))
        signs.append(np.mean(np.sign(run.feature_effects[is_signal]) == np.sign(signal[is_signal])))
    assert np.mean(found) > np.mean(least_squares) - 0.1 > 0.3
    assert np.mean(signs) > 0.95


def test_features_are_all_the_same_with_a_dead_neuron(rng):
    X, y = rng.standard_normal((150, 60)), rng.standard_normal(150)
    network = sedyn.Network((3, 1), ("relu", "identity"), bias=True)
    weights = network.init(60, rng=rng)
    dead = sedyn.Weights(weights.first, weights.deep, (np.array([0.0, 0.0, -50.0]), weights.biases[1]))
    run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 8), dead, X, y, feature_tests=True, rng=0)
    assert np.all(np.isfinite(run.feature_pvalues)) and run.feature_statistics.shape == (60, 3)
    assert stats.kstest(run.feature_pvalues, "uniform").pvalue > 1e-3


def test_what_is_not_covered_is_refused(rng):
    X, y = rng.standard_normal((60, 40)), rng.standard_normal(60)
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.1, 3)

    def refused(match, X=X, y=y, **options):
        with pytest.raises(ValueError, match=match):
            sedyn.augmented_gradient_descent(
                network, training, network.init(X.shape[1], rng=0), X, y, feature_tests=True, **options
            )

    refused("independent rows", groups=np.arange(60) // 2)
    refused("independent rows", X=np.repeat(X[:30], 2, axis=0))
    refused("equal weight", sample_weight=np.linspace(0.5, 1.5, 60))
    refused("more rows than features", X=X[:41], y=y[:41], unlabelled=X[:41])
    refused("too little", unlabelled=rng.standard_normal((60, 40)))
    refused("inverted", covariance=np.ones((40, 40)))
    twice = np.column_stack([X[:, :20], X[:, :20]])
    refused("inverted", X=twice, unlabelled=twice)
    run = sedyn.augmented_gradient_descent(
        network, training, network.init(40, rng=0), X, y, feature_tests=True, unlabelled=rng.standard_normal((150, 40))
    )
    assert any("150 rows" in text for text in run.warnings)
    plain = sedyn.augmented_gradient_descent(network, training, network.init(40, rng=0), X, y)
    assert plain.feature_pvalues is None
    with pytest.raises(ValueError, match="feature_tests=True"):
        sedyn.plot.feature_tests(plain)


def test_a_start_on_one_feature_is_warned_of(rng):
    X, y = rng.standard_normal((80, 40)), rng.standard_normal(80)
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    for share, warned in ((0.0, False), (2.0, True)):
        weights = network.init(40, rng=0)
        first = weights.first.copy()
        first[7] += share
        start = sedyn.Weights(first, weights.deep)
        run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 3), start, X, y, feature_tests=True)
        assert any("feature 7 holds" in text for text in run.warnings) == warned


@pytest.mark.seconds
@pytest.mark.parametrize("own", [False, True])
def test_means_and_units_do_not_matter(own):
    """Columns with a mean beside labels with a mean are no dependence; units of the features change nothing."""
    network, sizes, pvalues = sedyn.Network((3, 1), ("tanh", "identity")), [], {}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, mu = rng.standard_normal((400, 100)), np.r_[np.full(10, 10**-0.5), np.zeros(90)]
        y, weights = np.tanh(2 * X @ mu) + 0.5 * rng.standard_normal(400), network.init(100, rng=rng)
        for unit, mean in ((1.0, 0.0), (0.01, 0.0), (1.0, 0.1)):
            rows = unit * (X + mean)
            start = sedyn.Weights(weights.first / unit, weights.deep)
            given = {"unlabelled": rows} if own else {"covariance": np.full(100, unit**2)}
            training = sedyn.Training((0.2 / unit**2, 0.2), 25)
            run = sedyn.augmented_gradient_descent(
                network, training, start, rows, y + 20 * mean, feature_tests=True, rng=0, **given
            )
            pvalues[unit, mean] = run.feature_pvalues
        np.testing.assert_allclose(pvalues[0.01, 0.0], pvalues[1.0, 0.0], rtol=1e-2, atol=1e-3)
        sizes.append(np.mean(pvalues[1.0, 0.1][10:] < 0.05))
    assert np.mean(sizes) < 0.05 + 3 * 0.05 / np.sqrt(6 * 90 * 0.05)


def test_no_step_no_movement_and_divergence(rng):
    X, y = rng.standard_normal((100, 20)), rng.standard_normal(100)
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    weights = network.init(20, rng=rng)
    zero = sedyn.Weights(0 * weights.first, weights.deep)
    run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.3, 1), zero, X, y, feature_tests=True)
    assert np.all(np.isfinite(run.feature_pvalues))
    run = sedyn.augmented_gradient_descent(network, sedyn.Training(1e6, 5), weights, X, y, feature_tests=True)
    assert run.status == "diverged" and run.feature_pvalues is None
    assert any("not tested" in text for text in run.warnings)


def test_every_warning_is_kept(rng):
    X, y = rng.standard_normal((80, 40)), rng.standard_normal(80)
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    weights = network.init(40, rng=0)
    first = weights.first.copy()
    first[7] += 2.0
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.1, 3), sedyn.Weights(first, weights.deep), X, y,
        unlabelled=rng.standard_normal((150, 40)), feature_tests=True,
    )  # fmt: skip
    assert any("150 rows" in text for text in run.warnings) and any("feature 7 holds" in text for text in run.warnings)
