"""The estimator against a sample-by-sample reference, the truth, and the rule that it sees training data only."""

import re
import warnings

import numpy as np
import pytest

import sedyn
from sedyn.estimate.assumptions import _moments, check_assumptions
from sedyn.estimate.groups import find_groups
from sedyn.estimate.spectrum import IDENTITY, population_spectrum
from sedyn.model import Small, gauss_nodes
from tests.conftest import general_problem, reference_problem, rms

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")


def slow_estimate(network, training, weights, X, y):
    """Theory 5 written out for one sample at a time, in plain loops."""
    return slow_recursion(network, training, weights, X, y)[0]


def slow_responses(network, training, weights, X, y):
    """R (T, T, q, q) and S (m, T, q) of the same."""
    return slow_recursion(network, training, weights, X, y)[1:]


def slow_recursion(network, training, weights, X, y):
    m, n = X.shape
    rule, T, q = training.rule(network.n_layers), training.n_steps, network.widths[0]
    run = sedyn.gradient_descent(network, training, weights, X, y, preactivations_at="all")
    D = np.zeros((m, T, T, q, q))
    R, rho = np.zeros((T, T, q, q)), np.zeros((T + 1, T, q, q))
    S, estimate = np.zeros((m, T, q)), []
    for t in range(T + 1):
        deep = Small(tuple(W[t] for W in run.deep_weights))
        loss = 0.0
        for i in range(m):
            u = run.preactivations[t, i]
            left_out = u - sum((rho[t, r] @ S[i, r] for r in range(t)), np.zeros(q))
            loss += (network.output(left_out[:, None], deep)[0] - y[i]) ** 2
            if t < T:
                S[i, t] = network.gradients(u[:, None], y[[i]], deep)[0][:, 0]
                J = network.hessian(u[:, None], y[[i]], deep)[:, :, 0]
                for s in range(t + 1):
                    moved = np.eye(q) * (s == t)
                    for r in range(s, t):
                        moved = moved + rho[t, r] @ D[i, r, s]
                    D[i, t, s] = J @ moved
        estimate.append(loss / m)
        if t < T:
            R[t] = D[:, t].mean(axis=0)
            for r in range(t + 1):
                drift = np.eye(q) * (r == t) * n / m
                for s in range(r + 1, t + 1):
                    drift = drift + R[t, s] @ rho[s, r]
                kept = rule.momentum[t][0] * (rho[t, r] - rho[t - 1, r]) if t else 0.0
                rho[t + 1, r] = rho[t, r] + kept - rule.step_size[t][0] * drift
    return np.array(estimate), R, S


def test_matches_the_written_out_recursion(rng):
    network, training, teacher, overlaps, _ = general_problem(n_steps=6)
    weights, signal = overlaps.realize(20, rng=rng)
    X, y = teacher.sample(30, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y, method="exact", rng=0)
    slow = slow_estimate(network, training, weights, X, y)
    np.testing.assert_allclose(run.estimated_error, slow, rtol=1e-8)
    plain = sedyn.gradient_descent(network, training, weights, X, y)
    np.testing.assert_allclose(run.train_error, plain.train_error, rtol=1e-12)
    assert plain.estimated_error is None


@pytest.mark.seconds
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("frozen", [(0, 1), (1, 3, 4), (5, 6, 7)])
def test_a_pause_of_the_first_layer_keeps_its_memory(rng, frozen, momentum):
    network, _, teacher, overlaps, _ = general_problem()
    step_size, pausing = np.full((8, 3), 0.3), np.full((8, 3), momentum)
    step_size[frozen, 0] = pausing[frozen, 0] = 0
    training = sedyn.Training(step_size, 8, momentum=pausing)
    weights, signal = overlaps.realize(20, rng=rng)
    X, y = teacher.sample(30, signal, rng=rng)
    slow = slow_estimate(network, training, weights, X, y)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y, method="exact", rng=0)
    np.testing.assert_allclose(run.estimated_error, slow, rtol=1e-7)
    some = [
        sedyn.augmented_gradient_descent(
            network, training, weights, X, y, tolerance=1e-3, n_reruns=200, rng=seed
        ).estimated_error
        for seed in range(8)
    ]
    memory = np.abs(slow / run.train_error - 1).max()
    assert np.max(np.abs(np.mean(some, axis=0) / slow - 1)) < 0.05 * memory


@pytest.mark.parametrize("options", [{}, {"momentum": 0.7, "weight_decay": 0.2}, {"batch_fraction": 0.5}])
def test_linear_networks_leave_nothing_to_chance(options, rng):
    """Their S is linear in the nudge, whose directions are orthonormal over the rows: the exact recursion, whatever the
    nudges, but for the basis and single precision."""
    network = sedyn.Network((2, 1), ("identity", "identity"))
    training = sedyn.Training((0.1, 0.0), 12, **options)  # a second layer that moves would not be linear
    X, y = rng.standard_normal((90, 60)), rng.standard_normal(90)
    weights = network.init(60, rng=rng)
    exact, nudged = (
        sedyn.augmented_gradient_descent(network, training, weights, X, y, rng=0, **how).estimated_error
        for how in ({"method": "exact"}, {"tolerance": 2e-3, "n_reruns": 1})
    )
    if not options.get("batch_fraction"):
        np.testing.assert_allclose(nudged, exact, rtol=1e-3)
    else:  # exact averages responses over each batch, nudged over all rows
        np.testing.assert_allclose(nudged, exact, rtol=0.1)


@pytest.mark.seconds
@pytest.mark.parametrize("features", ["gaussian", "rademacher"])
def test_estimate_agrees_with_the_truth(rng, features):
    network, training, teacher, overlaps, phi = general_problem(n_steps=20)
    n, gaps = 300, []
    weights, signal = overlaps.realize(n, rng=rng)
    for _ in range(20):
        X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
        run = sedyn.augmented_gradient_descent(
            network, training, weights, X, y, teacher.sample(2000, signal, features=features, rng=rng), rng=0
        )
        gaps.append(run.estimated_error - run.generalization_error)
    gaps = np.array(gaps)
    z = gaps.mean(axis=0) / (gaps.std(axis=0, ddof=1) / np.sqrt(len(gaps)))
    assert rms(z) < 3
    # the training error would be a far worse guess: the check has power
    assert np.abs(gaps.mean(axis=0)).max() < 0.2 * (run.generalization_error - run.train_error).max()


@pytest.mark.seconds
def test_exact_recursion_announces_memory_it_cannot_have(rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = rng.standard_normal((300, 200)), rng.standard_normal(300)
    with pytest.raises(MemoryError, match="GiB.*use method='nudges'"):
        sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.1, 10**6), network.init(200, rng=rng), X, y, method="exact"
        )


def test_test_labels_are_never_used(rng):
    network, training, teacher, overlaps, _ = general_problem(n_steps=4)
    weights, signal = overlaps.realize(20, rng=rng)
    X, y = teacher.sample(30, signal, rng=rng)
    X_test, y_test = teacher.sample(30, signal, rng=rng)
    run, other = (
        sedyn.augmented_gradient_descent(network, training, weights, X, y, test, rng=0)
        for test in ((X_test, y_test), (X_test, rng.permutation(y_test)))
    )
    np.testing.assert_array_equal(run.estimated_error, other.estimated_error)
    assert not np.array_equal(run.generalization_error, other.generalization_error)


def test_data(name, m, rng, n_steps=None):
    """A problem of theory 7 with m rows: network, training, weights, X, y."""
    network, training, teacher, overlaps, phi = reference_problem(name)
    training = sedyn.Training(training.step_size, n_steps or training.n_steps)
    weights, signal = overlaps.realize(round(m / phi), rng=rng)
    return network, training, weights, *teacher.sample(m, signal, rng=rng)


test_data.__test__ = False


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["A", "B", pytest.param("C", marks=pytest.mark.minutes)])
def test_nudged_agrees_with_the_exact_recursion(name, rng):
    """m = 600 rows, T = 80: draws of the reruns scatter by less than half of the standard error, and many agree."""
    problem = test_data(name, 600, rng, n_steps=80)
    exact = sedyn.augmented_gradient_descent(*problem, method="exact", rng=0)
    draws = [sedyn.augmented_gradient_descent(*problem, rng=seed).estimated_error for seed in range(5)]
    gaps = np.array(draws) - exact.estimated_error
    assert np.all(np.sqrt(np.mean(gaps**2, axis=0)) <= 0.5 * exact.estimated_stderr)
    many = [sedyn.augmented_gradient_descent(*problem, n_reruns=20, rng=seed).estimated_error for seed in range(2)]
    np.testing.assert_allclose(np.mean(many, axis=0), exact.estimated_error, rtol=0.03)
    # without the correction they would differ by far more
    assert np.max(exact.estimated_error / exact.train_error) > 4


LEAKY = (lambda a: np.where(a > 0, a, 0.1 * a), lambda a: np.where(a > 0, 1.0, 0.1).astype(a.dtype))
KINKS = {
    "relu": ("relu", "squared"),
    "leaky relu": (LEAKY, "squared"),
    "absolute value": ((np.abs, np.sign), "squared"),
    "absolute loss": ("tanh", "absolute"),
    "sign loss": ("relu", lambda f, y: np.sign(f - y)),
    "three layers of relu": ("relu", "squared"),
}


QUICK = ("relu", "absolute loss", "sign loss")


@pytest.mark.seconds
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.minutes] * (name not in QUICK)) for name in KINKS]
)
def test_kinks(name, rng):
    """The true error, over runs: without bias beyond 3 standard errors and 4 %, and with as many standard errors off as
    there should be."""
    activation, loss = KINKS[name]
    widths = (3, 3, 1) if name.startswith("three") else (3, 1)
    network = sedyn.Network(widths, (activation,) * (len(widths) - 1) + ("identity",))
    training, teacher = sedyn.Training(0.2, 40, loss=loss), sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    n, m, ratio, z = 150, 225, [], []
    for _ in range(16):
        weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)
        X, y = teacher.sample(m, signal, rng=rng)
        run = sedyn.augmented_gradient_descent(
            network, training, weights, X, y, teacher.sample(4000, signal, rng=rng), rng=rng
        )
        ratio.append(np.log(run.estimated_error / run.generalization_error)[-1])
        z.append(((run.estimated_error - run.generalization_error) / run.estimated_stderr)[-1])
    assert abs(np.mean(ratio)) < 0.04 + 3 * np.std(ratio, ddof=1) / np.sqrt(16)
    assert 0.5 < np.std(z, ddof=1) < 1.6  # 16 runs: 18 % of chance
    assert run.train_error[-1] < 0.75 * run.generalization_error[-1]  # there is something to estimate


@pytest.mark.seconds
def test_leaky_relu_as_a_pair(rng):
    """What reads low by more than half when the kink is taken for smooth."""
    network, n, m = sedyn.Network((3, 1), (LEAKY, "identity")), 500, 750
    weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)
    teacher = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    X, y = teacher.sample(m, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.2, 40), weights, X, y, teacher.sample(20000, signal, rng=rng), rng=0
    )
    assert np.abs((run.estimated_error - run.generalization_error) / run.estimated_stderr).max() < 3.5
    with pytest.raises(ValueError, match="kink at 0"):
        sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 2), weights, X, y, method="exact")


@pytest.mark.seconds
def test_standardised_rows_are_corrected_for(rng):
    """Columns of mean 0 and mean square 1 over the very rows: at t = 0 the estimate is right on average, where the
    plain mean of these rows would be low by 2 / m of the output's variance, or 5 % here."""
    network, m, n = sedyn.Network((3, 1), ("tanh", "identity")), 40, 30
    corrected, plain = [], []
    for _ in range(300):
        weights = network.init(n, rng=rng, scale=(0.3, 3.0))  # nearly linear
        X = rng.standard_normal((m, n))
        mean, scale = X.mean(axis=0), X.std(axis=0)
        X, fresh, y = (X - mean) / scale, (rng.standard_normal((2000, n)) - mean) / scale, np.zeros(m)
        run = sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.1, 0), weights, X, y, (fresh, np.zeros(2000)), rng=0
        )
        corrected.append(np.log(run.estimated_error[0] / run.generalization_error[0]))
        plain.append(np.log(run.train_error[0] / run.generalization_error[0]))
    corrected, plain = (np.array(x) for x in (corrected, plain))
    noise = corrected.std() / np.sqrt(300)
    shift = corrected.mean() - plain.mean()
    assert abs(shift - np.log((m + 1) / (m - 3))) < 0.02
    assert abs(np.mean(np.exp(corrected)) - 1) < 4 * noise + 0.01 and np.mean(np.exp(plain)) < 1 - 4 * noise


def test_wide_networks(rng):
    """Any width: no more memory or errors in words than a narrow one, and said where deep weights are many."""
    X, y = rng.standard_normal((120, 10)), rng.standard_normal(120)
    for q in (90, 256):
        network = sedyn.Network((q, 1), ("tanh", "identity"))
        run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 5), network.init(10, rng=rng), X, y, rng=0)
        assert run.status == "ok" and np.all(run.estimated_error > 0)
        assert any("a wide network" in text for text in run.warnings)


@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e-15, 1e6, 1e12])
def test_units_of_the_labels_do_not_matter(size, rng):
    """The second layer and the labels in other units, the first layer's steps in theirs: the same everything."""
    network, n, m = sedyn.Network((3, 1), ("tanh", "identity")), 60, 90
    weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)
    found = []
    for unit in (1.0, size):
        teacher = sedyn.SingleIndex(lambda z, unit=unit: unit * np.tanh(2 * z), 0.5 * unit)
        start = sedyn.Weights(weights.first, (unit * weights.deep[0],))
        training = sedyn.Training((0.2 / unit**2, 0.2), 20)
        X, y = teacher.sample(m, signal, rng=1)
        run = sedyn.augmented_gradient_descent(network, training, start, X, y, rng=0)
        theory = sedyn.state_evolution(
            network, training, teacher, sedyn.Overlaps.of(start, signal), 1.5, n_paths=2**10, n_scrambles=1, rng=0
        )
        found.append(np.array([run.estimated_error, run.estimated_stderr, theory.generalization_error]) / unit**2)
        assert theory.generalization_error[-1] > 1.1 * theory.train_error[-1]
    np.testing.assert_allclose(found[1][:2], found[0][:2], rtol=1e-3)
    np.testing.assert_allclose(found[1][2], found[0][2], rtol=0.02)


def correlated(m, n, phi_rows, rng):
    """Features with a spread spectrum, a tanh teacher, and its held-out rows; trace of the covariance n."""
    eigenvalues = np.exp(rng.standard_normal(n))
    eigenvalues *= n / eigenvalues.sum()
    rotation = np.linalg.qr(rng.standard_normal((n, n)))[0]
    root = rotation * np.sqrt(eigenvalues) @ rotation.T
    teacher, signal = sedyn.SingleIndex("tanh", 0.5), sedyn.random_signal(n, rng=rng)
    G = rng.standard_normal((m + phi_rows, n))
    y = teacher.labels(G @ root @ signal, rng.standard_normal(m + phi_rows))
    return G @ root, y, eigenvalues, root @ root


@pytest.mark.minutes
def test_spectrum_corrects_for_correlated_features(rng):
    """The estimate is unbiased given the eigenvalues, the matrix, or just the training rows; not without."""
    network, training = sedyn.Network((3, 1), ("tanh", "identity")), sedyn.Training(0.15, 40)
    m, n = 240, 200
    gaps = {kind: [] for kind in ("eigenvalues", "matrix", "empirical", "identity")}
    for _ in range(24):
        X, y, eigenvalues, matrix = correlated(m, n, 3000, rng)
        weights = network.init(n, rng=rng)
        given = {
            "eigenvalues": {"covariance": eigenvalues},
            "matrix": {"covariance": matrix},
            "empirical": {"unlabelled": X[:m]},
            "identity": {},
        }
        for kind, options in given.items():
            run = sedyn.augmented_gradient_descent(
                network, training, weights, X[:m], y[:m], test=(X[m:], y[m:]), rng=0, **options
            )
            gaps[kind].append((run.estimated_error / run.generalization_error - 1)[20:].mean())
    z = {kind: np.mean(g) / (np.std(g, ddof=1) / np.sqrt(len(g))) for kind, g in gaps.items()}
    assert max(abs(z[kind]) for kind in ("eigenvalues", "matrix", "empirical")) < 3.5, z
    assert z["identity"] > 5, z


def test_exact_and_low_rank_agree_on_a_spectrum(rng):
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.2, 25)
    X, y, eigenvalues, _ = correlated(150, 100, 0, rng)
    weights = network.init(100, rng=rng)
    exact, fast = (
        sedyn.augmented_gradient_descent(
            network, training, weights, X, y, covariance=eigenvalues, method=method, n_reruns=60, rng=0
        )
        for method in ("exact", "nudges")
    )
    np.testing.assert_allclose(fast.estimated_error, exact.estimated_error, rtol=0.03)
    np.testing.assert_allclose(fast.estimated_stderr, exact.estimated_stderr, rtol=0.1)


def test_quadrature_reproduces_moments(rng):
    values = np.exp(rng.standard_normal(300))
    weights = values / 300
    for n_nodes in (2, 3, 8):
        nodes, (roots,) = gauss_nodes(values, np.sqrt(weights)[:, None], n_nodes)
        for k in range(2 * n_nodes):
            assert abs(roots**2 @ nodes**k / (weights @ values**k) - 1) < 1e-8
        parts = rng.standard_normal((300, 3))
        nodes, vectors = gauss_nodes(values, parts, n_nodes)
        assert len(nodes) == 3 * n_nodes
        for k in range(2 * n_nodes):
            exact = parts.T @ (values[:, None] ** k * parts)
            np.testing.assert_allclose((vectors * nodes**k) @ vectors.T, exact, atol=1e-8 * np.abs(exact).max())
    nodes, (roots,) = gauss_nodes(np.ones(10), np.full((10, 1), np.sqrt(0.1)), 4)  # fewer distinct values than nodes
    np.testing.assert_allclose((nodes, roots**2), ([1.0], [1.0]))


def test_second_moment_of_rows_is_unbiased_where_the_sample_covariance_is_not(rng):
    """And its standard error is that of its scatter, within a half."""
    n, k = 80, 60
    eigenvalues = np.linspace(0.2, 1.8, n)
    found, naive, noises = [], [], []
    for _ in range(60):
        rows = rng.standard_normal((k, n)) * np.sqrt(eigenvalues)
        size, spread, noise = _moments(rows, np.einsum("ij,ij->i", rows, rows), find_groups(None, rows)[0])
        found.append((size, spread * size**2))
        noises.append(noise * size**2)
        naive.append(np.mean(np.linalg.eigvalsh(rows.T @ rows / k) ** 2))
    found, truth = np.array(found), [eigenvalues.mean(), np.mean(eigenvalues**2)]
    assert np.abs((found.mean(axis=0) - truth) / (found.std(axis=0, ddof=1) / np.sqrt(60))).max() < 4
    assert np.mean(naive) > 1.4 * truth[1]
    assert 0.8 < np.mean(noises) / np.std(found[:, 1] / found[:, 0] ** 2) < 2.2


@pytest.mark.seconds
@pytest.mark.parametrize("k", [120, 200, 800])
def test_population_spectrum_undoes_the_spreading_of_sample_eigenvalues(k, rng):
    """The average response of a direction, int lambda / (lambda + x) dH, from fewer or more rows than features."""
    n = 160
    eigenvalues = np.exp(rng.standard_normal(n))
    rows = rng.standard_normal((k, n)) * np.sqrt(eigenvalues)
    values, frequencies = population_spectrum(rows)
    sample = np.linalg.eigvalsh(np.cov(rows.T))
    for x in (0.1, 1.0, 10.0):
        truth = np.mean(eigenvalues / (eigenvalues + x))
        naive = np.mean(sample / (sample + x))
        assert abs(frequencies @ (values / (values + x)) / truth - 1) < 0.03
        assert abs(naive / truth - 1) > 0.05 or k == 800 or x == 10.0
    assert abs(frequencies.sum() - 1) < 0.01


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["A", pytest.param("C", marks=pytest.mark.minutes)])
def test_standard_error_covers_the_truth(name, rng):
    """(estimate - true error of these weights) / stderr has standard deviation 1; the naive one is far too small."""
    z, naive = [], []
    for _ in range(40):
        network, training, teacher, overlaps, phi = reference_problem(name)
        weights, signal = overlaps.realize(round(240 / phi), rng=rng)
        X, y = teacher.sample(240, signal, rng=rng)
        run = sedyn.augmented_gradient_descent(network, training, weights, X, y, first_weights_at="all", rng=0)
        true = sedyn.population_errors(network, teacher, run, signal, rng=rng)
        gap = run.estimated_error - true
        z.append(gap / run.estimated_stderr)
        naive.append(gap / (np.sqrt(2 / 240) * run.estimated_error))  # what independent Gaussian residuals would give
    spread, naive_spread = np.std(z, axis=0, ddof=1), np.std(naive, axis=0, ddof=1)
    # 40 runs: the standard deviation of a standard deviation is 11 %; near interpolation a bias of 1/n remains
    assert 0.7 < np.sqrt(np.mean(spread**2)) < 1.3, spread
    assert spread.max() < 1.6, spread
    assert naive_spread[-1] > 1.3 * spread[-1] or name == "C"
    assert np.abs(np.mean(z, axis=0)).max() < 4 * 1.3 / np.sqrt(40)


@pytest.mark.seconds
def test_least_squares_has_its_standard_error(rng):
    """Linear regression run to convergence, phi = 3: relative variance 2/m (1 + 1/phi) / (1 - 1/phi)."""
    m, n, ratios = 600, 200, []
    network = sedyn.Network((1, 1), ("identity", "identity"))
    for _ in range(5):
        X = rng.standard_normal((m, n))
        y = X @ sedyn.random_signal(n, rng=rng) + rng.standard_normal(m)
        weights = sedyn.Weights(np.zeros((n, 1)), (np.ones((1, 1)),))
        training = sedyn.Training((0.6, 0.0), 100)
        run = sedyn.augmented_gradient_descent(network, training, weights, X, y, n_reruns=60, rng=0)
        ratios.append(run.estimated_stderr[-1] / run.estimated_error[-1] / np.sqrt(2 / m * 2))
        # and the estimate is the leave-one-out error, here in closed form from the hat matrix
        hat = X @ np.linalg.solve(X.T @ X, X.T)
        loo = np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)
        assert abs(run.estimated_error[-1] / loo - 1) < 0.01
    assert 0.95 < np.mean(ratios) < 1.25  # with its margin


def test_metrics_in_one_pass(rng):
    network, training, teacher, overlaps, phi = general_problem(n_steps=15)
    teacher = sedyn.SingleIndex("sign", 0.0)
    weights, signal = overlaps.realize(240, rng=rng)
    X, y = teacher.sample(300, signal, rng=rng)

    def fourth(f, y):
        return (f - y) ** 4

    test = teacher.sample(5000, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(
        network, training, weights, X, y, test=test, metrics=("squared", "absolute", "zero_one", fourth), rng=0
    )
    assert run.metrics == ("squared", "absolute", "zero_one", "fourth")
    np.testing.assert_allclose(run.estimated_metrics[:, 0], run.estimated_error)
    np.testing.assert_allclose(run.generalization_metrics[:, 0], run.generalization_error)
    z = (run.estimated_metrics - run.generalization_metrics) / run.estimated_metrics_stderr
    assert np.abs(z).max() < 5 and run.estimated_metrics[-1, 2] < 0.5
    final = np.mean(np.sign(network.predict(run.final, test[0])) != test[1])
    np.testing.assert_allclose(run.generalization_metrics[-1, 2], final)


def test_stopped_weights_are_those_of_the_best_step(rng):
    network, training, weights, X, y = test_data("C", 160, rng, n_steps=40)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y, first_weights_at="all", rng=0)
    best = int(np.argmin(run.estimated_error))
    assert 0 < best < 40
    np.testing.assert_array_equal(run.stopped.first, run.weights_at(best).first)
    np.testing.assert_array_equal(run.stopped.deep[1], run.deep_weights[1][best])
    with pytest.raises(ValueError, match="no estimated error"):
        _ = sedyn.gradient_descent(network, training, weights, X, y).stopped


VIOLATIONS = {
    "few rows": (lambda rng: rng.standard_normal((40, 30)), "only 40 rows"),
    "mean": (lambda rng: rng.standard_normal((300, 100)) + 1.0, "mean far from 0"),
    "scale": (lambda rng: 3 * rng.standard_normal((300, 100)), "mean square 9.*standardise"),
    "correlated": (
        lambda rng: rng.standard_normal((300, 100)) * np.linspace(0.2, 1.7, 100),
        "estimate it with unlabelled=X",
    ),
}


@pytest.mark.parametrize("name", list(VIOLATIONS))
def test_violated_assumptions_are_named(name, rng):
    make, message = VIOLATIONS[name]
    X = make(rng)
    found = check_assumptions(X, rng.standard_normal(len(X)), IDENTITY, find_groups(None, X)[0])
    assert len(found) and any(re.search(message, text) for text in found), found


def test_what_moves_the_estimate_is_named(rng):
    """One row that carries a tenth of it, or rows whose lengths change it by a fifth."""
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    signal = sedyn.random_signal(100, rng=rng)

    def warned(scale=1.0, outlier=0.0):
        X = rng.standard_normal((300, 100)) * scale
        y = X @ signal + 0.3 * rng.standard_normal(300)
        y[7] += outlier
        start = network.init(100, scale=0.3, rng=1)
        return sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 40), start, X, y, rng=0).warnings

    assert warned() == ()
    assert any("heavy tails: one row carries" in text for text in warned(outlier=12.0))
    lengths = np.exp(0.9 * rng.standard_normal((300, 1)) - 0.81)
    assert any("leverage: rows differ in length" in text for text in warned(lengths))


def test_labels_with_heavy_tails_are_named(rng):
    X, y = rng.standard_normal((300, 100)), rng.standard_normal(300)
    y[7] = 30.0
    assert any("one label carries" in text for text in check_assumptions(X, y, IDENTITY, find_groups(None, X)[0]))


@pytest.mark.parametrize(
    "features", ["gaussian", "rademacher", "uniform", "laplace", ("student_t", 10), ("sparse", 0.3)]
)
@pytest.mark.parametrize("shape", [(150, 200), (600, 400), (2000, 300)])
def test_legitimate_data_raise_no_warning(features, shape, rng):
    for _ in range(5):
        X = sedyn.sample_features(*shape, features=features, rng=rng)
        assert (
            check_assumptions(X, rng.standard_normal(shape[0]), IDENTITY, find_groups(None, X)[0], precision=0.05) == []
        )


def test_unstable_training_is_named(rng):
    network, training, weights, X, y = test_data("A", 150, rng, n_steps=20)
    steady = sedyn.augmented_gradient_descent(network, training, weights, X, y, rng=0)
    unstable = sedyn.augmented_gradient_descent(network, sedyn.Training(2.5, 20), weights, X, y, rng=0)
    assert np.any(unstable.train_error[1:] > 1.05 * unstable.train_error[:-1])
    assert any("training error rises" in text for text in unstable.warnings)
    assert not any("training error rises" in text for text in steady.warnings)


def test_warnings_are_issued_and_kept(rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = rng.standard_normal((50, 30)), rng.standard_normal(50)
    with pytest.warns(sedyn.AssumptionWarning, match="only 50 rows"):
        run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 3), network.init(30, rng=rng), X, y)
    assert "only 50 rows" in run.warnings[0]


def test_warnings_point_to_the_line_that_called(rng):
    """Python shows a warning once for each line: named for a line of its own, the second run's would be swallowed."""
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.1, 3)
    X, y = rng.standard_normal((50, 30)), rng.standard_normal(50)
    for call in (
        lambda: sedyn.augmented_gradient_descent(network, training, network.init(30, rng=rng), X, y),
        lambda: sedyn.tune(network, training, X, y),
    ):
        with pytest.warns(sedyn.AssumptionWarning, match="only 50 rows") as caught:
            call()
        assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"covariance": "sample"}, ValueError, "covariance must be variances or a matrix; got 'sample'.*unlabelled=X"),
        (
            {"covariance": np.ones(3)},
            ValueError,
            r"covariance must .* \(30,\), the variances .* \(30, 30\), a symmetric",
        ),
        ({"covariance": -np.ones(30)}, ValueError, "variances >= 0"),
        ({"covariance": np.full((30, 30), np.nan)}, ValueError, "covariance must be finite"),
        (
            {"covariance": np.ones((50, 30))},
            ValueError,
            r"\(30, 30\), a symmetric matrix; got an array of shape \(50, 30\)",
        ),
        ({"covariance": np.eye(30) + np.eye(30, k=1)}, ValueError, "must be symmetric; it differs .* by 1"),
        ({"unlabelled": np.ones((5, 30))}, ValueError, "unlabelled must hold at least 12 rows .* got 5"),
        (
            {"unlabelled": np.ones((50, 31))},
            ValueError,
            r"unlabelled must be rows of shape \(k, 30\); got .* \(50, 31\)",
        ),
        ({"unlabelled": np.ones(30)}, ValueError, r"unlabelled must be rows of shape \(k, 30\); got .* \(30,\)"),
        ({"unlabelled": np.full((50, 30), np.nan)}, ValueError, "unlabelled must be finite real numbers, without NaN"),
        ({"unlabelled": "X"}, ValueError, "unlabelled must be finite real numbers"),
        ({"unlabelled": np.ones((50, 30))}, ValueError, "unlabelled rows: they must differ"),
        ({"unlabelled": np.eye(30), "covariance": np.ones(30)}, ValueError, "give covariance or unlabelled.*not both"),
        ({"metrics": ("hinge",)}, ValueError, "unknown metric 'hinge'; use one of squared"),
        ({"metrics": ("zero_one",)}, ValueError, "labels -1 and .1"),
        ({"metrics": (3,)}, TypeError, "each of metrics must be one of"),
        ({"metrics": (lambda f, y: 0.0,)}, ValueError, "one real number per sample"),
        ({"method": "fast"}, ValueError, "unknown method 'fast'"),
        ({"tolerance": 0}, ValueError, "tolerance must lie between 0 and 1"),
        ({"method": "auto"}, ValueError, "unknown method 'auto'"),
        ({"n_reruns": 0}, ValueError, "n_reruns must be"),
        ({"groups": np.zeros((50, 1))}, ValueError, "groups must hold one label per row"),
        ({"groups": "subject"}, ValueError, "groups must hold one label per row"),
        ({"groups": [None, *range(49)]}, ValueError, "groups must not hold NaN, None or masked"),
    ],
)
def test_bad_options(options, error, message, rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = rng.standard_normal((50, 30)), rng.standard_normal(50)
    with pytest.raises(error, match=message):
        sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 3), network.init(30, rng=rng), X, y, **options)


def test_an_estimate_that_overflows_ends_the_run_where_it_was_last_finite(rng):
    """A sine bounds the training error, whatever W_1, whose memory grows by the step size at every step."""
    network = sedyn.Network((2, 1), ((np.sin, np.cos), "identity"))
    X, y = rng.standard_normal((40, 10)), rng.standard_normal(40)
    training = sedyn.Training((1e5, 0.0), 14)
    run = sedyn.augmented_gradient_descent(network, training, network.init(10, rng=rng), X, y, rng=0)
    assert len(run.train_error) == len(run.estimated_error) == len(run.deep_weights[0]) >= 1
    assert np.all(np.isfinite(run.estimated_error)) and np.all(np.isfinite(run.estimated_stderr))


def test_features_that_are_all_zero_are_said_to_hold_nothing(rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.1, 3), network.init(10, rng=rng), np.zeros((40, 10)), rng.standard_normal(40)
    )
    assert "all features are 0 in every row; there is nothing to learn from" in run.warnings


def test_centred_columns_count_in_the_exact_recursion_too(rng):
    """A gradient that all rows share moves nothing where the columns have mean 0; labels with a mean have one."""
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X = rng.standard_normal((200, 120))
    X -= X.mean(axis=0)
    y = np.tanh(X @ sedyn.random_signal(120, rng=rng)) + 2
    runs = [
        sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.2, 30), network.init(120, rng=1), X, y, method=method, rng=0
        ).estimated_error
        for method in ("exact", "nudges")
    ]
    np.testing.assert_allclose(*runs, rtol=0.05)


@pytest.mark.minutes
def test_standard_error_near_as_many_features_as_rows(rng):
    """Linear network trained to convergence at m / n = 1.1: what leaving out a row changes echoes in all others."""
    network, teacher = sedyn.Network((1, 1), ("identity", "identity")), sedyn.SingleIndex("linear", 0.3)
    z = []
    for seed in range(50):
        X, y = teacher.sample(300, signal := sedyn.random_signal(273, rng=seed), rng=1000 + seed)
        start = network.init(273, rng=2000 + seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sedyn.AssumptionWarning)
            run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.45, 400), start, X, y, rng=seed)
        if run.status == "ok":
            truth = sedyn.population_error(network, teacher, sedyn.Overlaps.of(run.final, signal), rng=0)
            z.append((run.estimated_error[-1] - truth) / run.estimated_stderr[-1])
    assert len(z) > 35 and np.std(z) < 1.25  # without the echo 1.5
