"""Leave-one-out and generalized cross-validation beside the estimate: each exact, and the claim."""

from importlib import import_module

import numpy as np
import pytest

import claims
import sedyn
from claims.testing import curve, labelled, z

module = import_module("claims.competitors")
ESTIMATE, LEFT_OUT, GENERALIZED, TRAINED = (label for label, _ in module.ESTIMATES.values())


def drawn(kind, n=12, T=6):
    """A small problem of this kind and its rows."""
    rng = np.random.default_rng(3)
    problem = module.competitor_problem(kind, n, T, rng)
    signal = sedyn.random_signal(n, rng=rng)
    return problem, *problem[3].sample(round(problem[4] * n), signal, rng=rng)


@pytest.mark.parametrize("kind", ["linear", "tanh"])
def test_leave_one_out_is_training_without_each_row(kind):
    problem, X, y = drawn(kind)
    network, training, weights, *_ = problem
    errors = []
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        run = sedyn.gradient_descent(network, training, weights, X[kept], y[kept], (X[[i]], y[[i]]))
        errors.append(run.generalization_error)
    np.testing.assert_allclose(module.leave_one_out(kind, problem, X, y), np.mean(errors, axis=0), rtol=1e-10)


def test_degrees_of_freedom_of_the_linear_network_are_the_trace_of_its_smoother_matrix():
    problem, X, y = drawn("linear")
    m, T = len(y), problem[1].n_steps
    found = module.degrees_of_freedom("linear", problem, X, y, np.zeros((T + 1, m)))
    step = np.eye(m) - module.STEP_SIZE * X @ X.T / m
    smoothers = [np.eye(m) - np.linalg.matrix_power(step, t) for t in range(T + 1)]
    np.testing.assert_allclose(found, [np.trace(H) for H in smoothers], atol=1e-10)
    run = sedyn.gradient_descent(*problem[:3], X, y, first_weights_at="all")
    np.testing.assert_allclose(smoothers[T] @ y, X @ run.final.first[:, 0], atol=1e-10)


def test_degrees_of_freedom_by_nudged_labels_are_derivatives():
    """Of tanh against central differences by `gradient_descent`; of the linear network against the exact trace."""
    for kind in ("tanh", "linear"):
        problem, X, y = drawn(kind)
        network, training, weights, *_ = problem
        fits = []
        for i in range(len(y)):
            ends = []
            for sign in (1, -1):
                labels = y + sign * 1e-4 * np.eye(len(y))[i]
                run = sedyn.gradient_descent(network, training, weights, X, labels)
                ends.append(network.predict(run.final, X)[i])
            fits.append((ends[0] - ends[1]) / 2e-4)
        if kind == "tanh":
            run = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at="all")
            fitted = np.array([network.predict(run.weights_at(t), X) for t in range(training.n_steps + 1)])
        else:
            fitted = np.zeros((training.n_steps + 1, len(y)))
        found = module.degrees_of_freedom(kind, problem, X, y, fitted)
        assert found[0] == pytest.approx(0, abs=1e-6)
        assert found[-1] == pytest.approx(np.sum(fits), rel=1e-3)


def test_limits_of_the_linear_network_are_those_of_large_n():
    """True error, degrees of freedom and generalized cross-validation at n = m = 400, averaged over ten data sets."""
    T = 12
    limits = module.linear_limits(T)
    assert limits["true"][0] == pytest.approx(1 + module.NOISE**2)
    assert limits["generalized"][0] == pytest.approx(1 + module.NOISE**2)
    runs = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        problem = network, training, weights, teacher, phi = module.competitor_problem("linear", 400, T, rng)
        signal = sedyn.random_signal(400, rng=rng)
        X, y = teacher.sample(400, signal, rng=rng)
        run = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at=[T])
        true = np.sum((run.final.first[:, 0] - signal) ** 2) + module.NOISE**2
        share = module.degrees_of_freedom("linear", problem, X, y, np.zeros((T + 1, 400)))[T] / 400
        runs.append([true, run.train_error[T] / (1 - share) ** 2, share])
    mean, error = claims.mean_and_error(runs)
    expected = [limits[key][T] for key in ("true", "generalized", "share")]
    assert np.all(np.abs(mean - expected) < 4.5 * error + 2e-4), (mean, expected, error)
    assert expected[1] > 1.15 * expected[0]


@pytest.fixture(scope="module")
def light():
    return claims.competitors()


def check(made, n, T):
    """The estimate and leave-one-out have the mean of the true error; generalized cross-validation is far off, by its
    limit (|t| > 5 of 15 degrees of freedom has probability 0.0002)."""
    for t in (T // 4, T // 2, T):
        for label in (ESTIMATE, LEFT_OUT):
            assert abs(z(made, f"linear, n = {n}, t = {t}: {label} over true error - 1")) < 5, made
    assert z(made, f"linear, n = {n}, t = {T}: {GENERALIZED} over true error - 1") > 3, made
    limit = made.agreement[f"linear, limit for large n, t = {T}: {GENERALIZED} over true error - 1"]
    assert limit > 0.3, made
    assert abs(z(made, f"linear, n = {n}, t = {T}: {GENERALIZED} over true error - 1", limit)) < 4, made
    assert min(made.p_values.values()) > 1e-4, made


@pytest.mark.seconds
def test_the_claim_holds(light):
    check(light, 160, 24)


@pytest.mark.seconds
def test_the_figure_shows_what_was_measured(light):
    linear, tanh, gaps = light.figure.axes
    for ax, name in ((linear, "linear, n = 160"), (tanh, "tanh, n = 80")):
        for label in (ESTIMATE, LEFT_OUT, GENERALIZED, TRAINED, "true error"):
            rows = [i for i, series in enumerate(light.data["curves"]["series"]) if series == f"{name}: {label}"]
            np.testing.assert_allclose(curve(ax, label)[1], np.array(light.data["curves"]["value"])[rows], rtol=1e-12)
    limit = curve(linear, "limit of generalized cross-validation")[1]
    np.testing.assert_allclose(limit, module.linear_limits(24)["generalized"])
    n, spread, error = labelled(gaps, ESTIMATE)
    b, b_error, *_ = claims.slope(np.log([40, 80, 160]), np.log(spread), error / spread)
    name = f"linear: {ESTIMATE}, slope of log |gap| against log n"
    assert (b, b_error) == pytest.approx((light.agreement[name], light.agreement[f"{name}, s.e."]))


@pytest.mark.minutes
def test_the_claim_at_paper_size():
    """At n = 400 the gap of generalized cross-validation is many standard errors from 0, and falls no longer."""
    made = claims.competitors(paper=True)
    check(made, 400, 30)
    assert z(made, f"linear, n = 400, t = 30: {GENERALIZED} over true error - 1") > 5, made
    for label in (ESTIMATE, LEFT_OUT):
        assert abs(z(made, f"linear: {label}, slope of log |gap| against log n", -0.5)) < 4, made
    assert z(made, f"linear: {GENERALIZED}, slope of log |gap| against log n", -0.5) > 1, made
