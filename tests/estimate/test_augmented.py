"""The estimator against a sample-by-sample reference, the truth, and the rule that it sees training data only."""

import re

import numpy as np
import pytest

import sedyn
from sedyn.estimate.assumptions import check_assumptions
from sedyn.estimate.memory import ExactMemory, LowRankMemory
from sedyn.estimate.spectrum import IDENTITY, population_spectrum, spread_of_rows
from sedyn.model import Small, gauss_nodes
from sedyn.runs import descend
from tests.conftest import general_problem, reference_problem, rms

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")


def slow_estimate(network, training, weights, X, y):
    """Theory 5 written out for one sample at a time, in plain loops."""
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
    return np.array(estimate)


def test_matches_the_written_out_recursion(rng):
    network, training, teacher, overlaps, _ = general_problem(n_steps=6)
    weights, signal = overlaps.realize(20, rng=rng)
    X, y = teacher.sample(30, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y, method="exact", rng=0)
    slow = slow_estimate(network, training, weights, X, y)
    np.testing.assert_allclose(run.estimated_error, slow, rtol=1e-10)
    tight = sedyn.augmented_gradient_descent(network, training, weights, X, y, tolerance=1e-5, rng=0)
    np.testing.assert_allclose(tight.estimated_error, slow, rtol=1e-4)
    plain = sedyn.gradient_descent(network, training, weights, X, y)
    np.testing.assert_allclose(run.train_error, plain.train_error, rtol=1e-12)
    assert plain.estimated_error is None


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
    for options in ({"method": "exact"}, {"tolerance": 1e-5}):
        run = sedyn.augmented_gradient_descent(network, training, weights, X, y, **options, rng=0)
        np.testing.assert_allclose(run.estimated_error, slow, rtol=1e-5)


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
    with pytest.raises(MemoryError, match="GiB.*use method='low-rank'"):
        sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.1, 10**6), network.init(200, rng=rng), X, y, method="exact"
        )


def test_relu_is_refused_with_smooth_names(rng):
    network = sedyn.Network((2, 1), ("relu", "identity"))
    with pytest.raises(ValueError, match="relu has a kink.*softplus, gelu"):
        sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.1, 2), network.init(5, rng=rng), np.ones((4, 5)), np.ones(4)
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
@pytest.mark.parametrize("name", ["A", "C"])
def test_low_rank_agrees_with_the_exact_recursion(name, rng):
    """m = 600 rows and T = 120 steps, where a wrong inner product has blown up: within 0.5 % at every step."""
    problem = test_data(name, 600, rng, n_steps=120)
    exact = sedyn.augmented_gradient_descent(*problem, method="exact", rng=0)
    fast = sedyn.augmented_gradient_descent(*problem, tangent_rows=600, rng=0)
    np.testing.assert_allclose(fast.estimated_error, exact.estimated_error, rtol=0.005)
    # without the correction they would differ by far more
    assert np.max(exact.estimated_error / exact.train_error) > 5


@pytest.mark.seconds
@pytest.mark.parametrize("name, tangent_rows, n_steps", [("A", 100, 80), ("B", 100, 80), ("C", 256, 120)])
def test_few_weighted_rows_stand_for_all(name, tangent_rows, n_steps, rng):
    """Several draws of the rows, out of 600: within 1 % or a fifth of the standard error, root mean square over draws.

    In C two rows of negative curvature come to hold most of what the tangents sum to.
    """
    problem = test_data(name, 600, rng, n_steps)
    exact = sedyn.augmented_gradient_descent(*problem, method="exact", rng=0)
    few = [sedyn.augmented_gradient_descent(*problem, tangent_rows=tangent_rows, rng=seed) for seed in range(6)]
    gaps = np.array([run.estimated_error for run in few]) - exact.estimated_error
    allowed = np.maximum(0.01 * exact.estimated_error, exact.estimated_stderr / 5)
    assert np.max(np.sqrt(np.mean(gaps**2, axis=0)) / allowed) < 1


def jackknife_spread(network, training, weights, X, y):
    """tr F at every step by its definition: one tangent of W_1 per set of signs, beside the exact memory."""
    m, q = len(y), network.widths[0]
    rule = training.rule(network.n_layers)
    memory = ExactMemory(rule, LowRankMemory(rule, q, m, m / X.shape[1], IDENTITY, 1e-2, m, None))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (8, m))
    dW = [np.zeros_like(weights.first) for _ in signs]
    found = []
    for state in descend(network, rule, weights, X, y):
        found.append((np.mean([np.sum(W**2) for W in dW]), np.trace(memory.spread)))
        if state.t < rule.n_steps:
            J = network.hessian(state.u, y, state.small)
            for s, W in zip(signs, dW, strict=True):  # row i weighs 1 + s_i and does not react to its own sign
                dS = np.einsum("abm,bm->am", J, (X @ W).T - s * memory.memory) + s * state.S
                W -= rule.step_size[state.t][0] / m * X.T @ dS.T
            memory.extend(state.t, state.S, J)
    return np.array(found).T


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["A", "C"])
def test_the_memory_knows_the_jackknife_variance(name, rng):
    """F = phi M M^T against tangents of W_1 under random signs; phi mean_i memory_i memory_i^T would be far too small.

    8 draws of the signs: 3 % of tr F.
    """
    by_signs, by_memory = jackknife_spread(*test_data(name, 600, rng, n_steps=60))
    np.testing.assert_allclose(by_memory[5:], by_signs[5:], rtol=0.1)


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


@pytest.mark.seconds
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
        sedyn.augmented_gradient_descent(network, training, weights, X, y, covariance=eigenvalues, method=method, rng=0)
        for method in ("exact", "low-rank")
    )
    np.testing.assert_allclose(fast.estimated_error, exact.estimated_error, rtol=0.005)


def test_quadrature_reproduces_moments(rng):
    values = np.exp(rng.standard_normal(300))
    weights = values / 300
    for n_nodes in (2, 3, 8):
        nodes, at = gauss_nodes(values, weights, n_nodes)
        for k in range(2 * n_nodes):
            assert abs(at @ nodes**k / (weights @ values**k) - 1) < 1e-8
    nodes, at = gauss_nodes(np.ones(10), np.full(10, 0.1), 4)  # fewer distinct values than nodes
    np.testing.assert_allclose((nodes, at), ([1.0], [1.0]))


def test_second_moment_of_rows_is_unbiased_where_the_sample_covariance_is_not(rng):
    n, k = 80, 60
    eigenvalues = np.linspace(0.2, 1.8, n)
    found, naive = [], []
    for _ in range(60):
        rows = rng.standard_normal((k, n)) * np.sqrt(eigenvalues)
        found.append(spread_of_rows(rows))
        naive.append(np.mean(np.linalg.eigvalsh(rows.T @ rows / k) ** 2))
    found, truth = np.array(found), [eigenvalues.mean(), np.mean(eigenvalues**2)]
    assert np.abs((found.mean(axis=0) - truth) / (found.std(axis=0, ddof=1) / np.sqrt(60))).max() < 4
    assert np.mean(naive) > 1.4 * truth[1]


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
@pytest.mark.parametrize("name", ["A", "C"])
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


def test_least_squares_has_the_exact_standard_error(rng):
    """Linear regression run to convergence, phi = 3: relative variance 2/m (1 + 1/phi) / (1 - 1/phi)."""
    m, n = 900, 300
    network = sedyn.Network((1, 1), ("identity", "identity"))
    X = rng.standard_normal((m, n))
    y = X @ sedyn.random_signal(n, rng=rng) + rng.standard_normal(m)
    weights = sedyn.Weights(np.zeros((n, 1)), (np.ones((1, 1)),))
    run = sedyn.augmented_gradient_descent(network, sedyn.Training((0.6, 0.0), 100), weights, X, y, rng=0)
    assert abs(run.estimated_stderr[-1] / run.estimated_error[-1] / np.sqrt(2 / m * 2) - 1) < 0.1
    # and the estimate is the leave-one-out error, here in closed form from the hat matrix
    hat = X @ np.linalg.solve(X.T @ X, X.T)
    loo = np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)
    assert abs(run.estimated_error[-1] / loo - 1) < 0.01


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


def heavy(rng, m, n):
    X = rng.standard_t(2.5, (m, n))
    return X / X.std(axis=0)


VIOLATIONS = {
    "few rows": (lambda rng: rng.standard_normal((40, 30)), "only 40 rows"),
    "mean": (lambda rng: rng.standard_normal((300, 100)) + 1.0, "mean far from 0"),
    "scale": (lambda rng: 3 * rng.standard_normal((300, 100)), "mean square 9.*standardise"),
    "correlated": (
        lambda rng: rng.standard_normal((300, 100)) * np.linspace(0.2, 1.7, 100),
        "estimate it with unlabelled=X",
    ),
    "leverage": (
        lambda rng: rng.standard_normal((300, 100)) * np.exp(0.6 * rng.standard_normal((300, 1)) - 0.36),
        "leverage: the norms of the rows vary",
    ),
    "tails": (lambda rng: heavy(rng, 300, 100), "heavy tails: a feature lies|leverage"),
}


@pytest.mark.parametrize("name", list(VIOLATIONS))
def test_violated_assumptions_are_named(name, rng):
    make, message = VIOLATIONS[name]
    X = make(rng)
    found = check_assumptions(X, rng.standard_normal(len(X)), IDENTITY)
    assert len(found) and any(re.search(message, text) for text in found), found


def test_labels_with_heavy_tails_are_named(rng):
    X, y = rng.standard_normal((300, 100)), rng.standard_normal(300)
    y[7] = 30.0
    assert any("one label carries" in text for text in check_assumptions(X, y, IDENTITY))


@pytest.mark.parametrize(
    "features", ["gaussian", "rademacher", "uniform", "laplace", ("student_t", 10), ("sparse", 0.3)]
)
@pytest.mark.parametrize("shape", [(150, 200), (600, 400), (2000, 300)])
def test_legitimate_data_raise_no_warning(features, shape, rng):
    for _ in range(5):
        X = sedyn.sample_features(*shape, features=features, rng=rng)
        assert check_assumptions(X, rng.standard_normal(shape[0]), IDENTITY) == []


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
        ({"covariance": np.ones(3)}, ValueError, r"covariance must be 30 variances or a symmetric \(30, 30\) matrix"),
        ({"covariance": -np.ones(30)}, ValueError, "eigenvalues >= 0"),
        ({"covariance": np.full((30, 30), np.nan)}, ValueError, "all finite"),
        (
            {"covariance": np.ones((50, 30))},
            ValueError,
            r"symmetric \(30, 30\) matrix.*got an array of shape \(50, 30\)",
        ),
        ({"covariance": np.eye(30) + np.eye(30, k=1)}, ValueError, "must be symmetric; it differs .* by 1"),
        ({"unlabelled": np.ones((5, 30))}, ValueError, "5 unlabelled rows are too few .* give at least 12"),
        (
            {"unlabelled": np.ones((50, 31))},
            ValueError,
            r"unlabelled must be rows of shape \(k, 30\); got .* \(50, 31\)",
        ),
        ({"unlabelled": np.ones(30)}, ValueError, r"unlabelled must be rows of shape \(k, 30\); got .* \(30,\)"),
        ({"unlabelled": np.full((50, 30), np.nan)}, ValueError, "unlabelled must be finite numbers, without NaN"),
        ({"unlabelled": "X"}, ValueError, "unlabelled must be finite numbers"),
        ({"unlabelled": np.ones((50, 30))}, ValueError, "unlabelled rows must vary"),
        ({"unlabelled": np.eye(30), "covariance": np.ones(30)}, ValueError, "give covariance or unlabelled.*not both"),
        ({"metrics": ("hinge",)}, ValueError, "unknown metric 'hinge'; use one of squared"),
        ({"metrics": ("zero_one",)}, ValueError, "labels -1 and .1"),
        ({"metrics": (3,)}, TypeError, "a metric is a name or a callable"),
        ({"metrics": (lambda f, y: 0.0,)}, ValueError, "one loss per sample"),
        ({"method": "fast"}, ValueError, "unknown method 'fast'"),
        ({"tolerance": 0}, ValueError, "tolerance must lie between 0 and 1"),
        ({"method": "auto"}, ValueError, "unknown method 'auto'"),
        ({"tangent_rows": 0}, ValueError, "tangent_rows must be"),
    ],
)
def test_bad_options(options, error, message, rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    X, y = rng.standard_normal((50, 30)), rng.standard_normal(50)
    with pytest.raises(error, match=message):
        sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 3), network.init(30, rng=rng), X, y, **options)


def test_an_estimate_that_overflows_ends_the_run_where_it_was_last_finite(rng):
    """A sine bounds the training error, whatever W_1; the tangents grow by the step size at every step."""
    network = sedyn.Network((2, 1), ((np.sin, np.cos), "identity"))
    X, y = rng.standard_normal((40, 10)), rng.standard_normal(40)
    training = sedyn.Training((1e5, 0.0), 14)
    run = sedyn.augmented_gradient_descent(network, training, network.init(10, rng=rng), X, y, rng=0)
    assert run.status == "diverged" and re.search("estimate is no longer a finite number.*lower step_size", run.message)
    assert len(run.train_error) == len(run.estimated_error) == len(run.deep_weights[0]) >= 1
    assert np.all(np.isfinite(run.estimated_error)) and np.all(np.isfinite(run.estimated_stderr))


def test_features_that_are_all_zero_are_said_to_hold_nothing(rng):
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.1, 3), network.init(10, rng=rng), np.zeros((40, 10)), rng.standard_normal(40)
    )
    assert "all features are 0 in every row; there is nothing to learn from" in run.warnings


def test_tangents_lost_in_rounding_end_the_run(rng):
    """One tangent of two rows, and a last step that makes the Hessian jump: the basis is no longer one."""
    network = sedyn.Network((4, 1), ("gelu", "gelu"), bias=True)
    step_size = np.zeros((6, 2))
    step_size[4:] = [[1e-3, 30.0], [1e-3, 0.0]]
    seen = []
    for seed in range(220, 235):
        rng = np.random.default_rng(seed)
        weights, X, y = network.init(12, rng=rng), rng.standard_normal((2, 12)), rng.standard_normal(2)
        run = sedyn.augmented_gradient_descent(
            *(network, sedyn.Training(step_size, 6), weights, X, y),
            **{"tolerance": 0.3, "tangent_rows": 1, "rng": seed, "dtype": np.float32},
        )
        assert np.all(np.isfinite(run.estimated_error)) and len(run.estimated_error) == len(run.train_error)
        seen.append(run.message)
    assert any("the estimate is no longer a finite number" in message for message in seen)
