"""The estimate by kicks, for updates that act entry by entry and all others: against recursions and the truth."""

import warnings

import numpy as np
import pytest

import sedyn

NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
TEACHER = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
DEEP = (np.array([[1.0], [-0.8]]),)
RULES = {
    "Adam": (0.06, 0.06, sedyn.Adam(0.9, 0.99, 1e-3)),
    "RMSProp": (0.03, 0.05, sedyn.RMSProp(0.9, 3e-2)),
    "sign": (0.03, 0.05, sedyn.SignDescent()),
    "proximal": (0.2, 0.2, sedyn.Proximal(0.2)),
    "clip": (0.2, 0.2, sedyn.Clip(0.3)),
}


def training(name, n_steps, **options):
    step, deep_step, optimizer = RULES[name]
    return sedyn.Training((step, deep_step), n_steps, optimizer=(optimizer, None), **options)


def problem(n, m, seed, **options):
    rng = np.random.default_rng(seed)
    signal, weights = sedyn.random_signal(n, rng=rng), sedyn.Weights(NETWORK.init(n, rng=rng).first, DEEP)
    return weights, signal, *TEACHER.sample(m, signal, rng=rng, **options)


def estimated(rule, weights, X, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sedyn.augmented_gradient_descent(NETWORK, rule, weights, X, y, rng=1, **options)


@pytest.mark.parametrize("method", ["exact", "kicks"])
def test_an_optimizer_that_is_linear_gives_the_estimate_of_the_linear_rule(method):
    """Soft thresholding by 0, with decay: decoupled and coupled are then the same but for order step^2."""
    weights, _, X, y = problem(120, 150, 0)
    linear = estimated(sedyn.Training(0.2, 12), weights, X, y, method="exact")
    other = estimated(sedyn.Training(0.2, 12, optimizer=(sedyn.Proximal(0.0), None)), weights, X, y, method=method)
    np.testing.assert_allclose(other.train_error, linear.train_error, rtol=1e-9)
    tolerance = {"exact": 1e-6, "kicks": 0.1}[method]
    np.testing.assert_allclose(other.estimated_error, linear.estimated_error, rtol=tolerance)


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["Adam", "RMSProp", "proximal", "clip"])
def test_training_again_agrees_with_the_recursion(name):
    """The reference follows every row and every feature by derivatives; both estimate the same numbers."""
    ratios = []
    for seed in range(6):
        weights, _, X, y = problem(150, 200, seed)
        one, two = (estimated(training(name, 20), weights, X, y, method=method) for method in ("exact", "kicks"))
        ratios.append(two.estimated_error / one.estimated_error - 1)
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / np.sqrt(6)
    assert np.all(np.abs(mean) < 4 * error + 0.015), (mean[-1], error[-1])
    assert np.abs(mean).max() < 0.06


@pytest.mark.seconds
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n, m", [(200, 300), (300, 200)])
def test_the_truth_is_estimated(name, n, m):
    """Over independent data sets, by their spread; and the standard error is that of each."""
    z, ratios = [], []
    for seed in range(10):
        weights, signal, X, y = problem(n, m, 50 + seed)
        run = estimated(training(name, 30), weights, X, y, first_weights_at="all")
        true = sedyn.population_errors(NETWORK, TEACHER, run, signal, rng=2)
        ratios.append(run.estimated_error / true - 1)
        z.append((run.estimated_error - true) / run.estimated_stderr)
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / np.sqrt(10)
    assert np.all(np.abs(mean[5:]) < 3.5 * error[5:] + 0.02), (mean[[10, 30]], error[[10, 30]])
    assert np.sqrt(np.mean(np.square(z))) < 1.7
    # where the training error alone is far off
    assert run.train_error[-1] < 0.6 * run.estimated_error[-1]


@pytest.mark.seconds
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(training("Adam", 30), id="Adam"),
        pytest.param(sedyn.Training(0.1, 30), id="gradient descent", marks=pytest.mark.minutes),
    ],
)
def test_kicks_need_no_covariance(rule):
    """Unequal variances and a matrix, of which nothing is told; taken for independent ones, nudges are clearly off."""
    n, m = 150, 200
    variances = np.geomspace(0.02, 1, n) / np.mean(np.geomspace(0.02, 1, n))
    matrix = 0.8 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    for covariance in (variances, matrix):
        found = {"kicks": [], "nudges": []}
        for seed in range(10):
            weights, signal, X, y = problem(n, m, seed, covariance=covariance)
            for method in found if rule.optimizer is None else ["kicks"]:
                run = estimated(rule, weights, X, y, first_weights_at="all", method=method)
                true = sedyn.population_errors(NETWORK, TEACHER, run, signal, covariance=covariance, rng=2)
                found[method].append(run.estimated_error[-1] / true[-1] - 1)
        assert abs(np.mean(found["kicks"])) < 3.5 * np.std(found["kicks"], ddof=1) / np.sqrt(10) + 0.03, found
        if found["nudges"]:
            assert np.mean(found["nudges"]) - np.mean(found["kicks"]) > 0.05, found


@pytest.mark.seconds
def test_groups_batches_weights_and_intervals():
    rule = training("Adam", 25, batch_fraction=0.5)
    within, ratios = [], []
    for seed in range(8):
        weights, signal, X, y = problem(150, 150, seed)
        twice, labels = np.repeat(X, 2, axis=0), np.repeat(y, 2)
        run = estimated(rule, weights, twice, labels, groups=np.repeat(np.arange(150), 2), first_weights_at="all")
        true = sedyn.population_errors(NETWORK, TEACHER, run, signal, rng=2)
        ratios.append(run.estimated_error[-1] / true[-1] - 1)
        X_new, y_new = TEACHER.sample(2000, signal, rng=seed)
        low, high = run.prediction_interval(X_new, 0.9).T
        within.append(np.mean((low <= y_new) & (y_new <= high)))
    assert abs(np.mean(ratios)) < 4 * np.std(ratios, ddof=1) / np.sqrt(8) + 0.02, ratios
    assert abs(np.mean(within) - 0.9) < 4 * np.std(within, ddof=1) / np.sqrt(8) + 0.01, within
    weighted = estimated(training("Adam", 10), weights, X, y, sample_weight=np.linspace(0.5, 1.5, 150))
    assert weighted.estimated_error[-1] > weighted.train_error[-1]


def test_the_same_seed_gives_the_same_run_and_the_run_is_gradient_descent():
    weights, _, X, y = problem(80, 100, 0)
    rule = training("Adam", 10, batch_fraction=0.5)
    one, two = (estimated(rule, weights, X, y) for _ in range(2))
    assert one == two
    plain = sedyn.gradient_descent(NETWORK, rule, weights, X, y, rng=1)
    np.testing.assert_allclose(one.train_error, plain.train_error, rtol=1e-12)


def test_what_is_refused():
    weights, _, X, y = problem(40, 60, 0)
    for options, message in (
        ({"method": "nudges"}, "method='nudges' needs a first layer that moves by plain gradient descent"),
        ({"feature_tests": True}, "feature_tests=True needs a first layer that moves by plain gradient descent"),
        ({"method": "exact", "covariance": np.ones(40)}, "for independent features of variance 1; use 'kicks'"),
    ):
        with pytest.raises(ValueError, match=message):
            estimated(training("Adam", 4), weights, X, y, **options)
    with pytest.raises(ValueError, match="a step of SignDescent jumps with its gradient"):
        estimated(training("sign", 4), weights, X, y, method="exact")


@pytest.mark.parametrize("method", ["kicks", "exact"])
def test_a_pause_of_the_first_layer_is_part_of_the_run(method):
    """A pause of three steps, as if these steps were not there; for a start that comes late, too."""
    weights, _, X, y = problem(60, 90, 0)
    optimizer = (sedyn.Adam(0.9, 0.99, 1e-2), None)
    for pause in ((4, 5, 6), (0, 1)):
        paused = sedyn.Training(lambda t, pause=pause: (0.05 * (t not in pause), 0.0), 12, optimizer=optimizer)
        short = sedyn.Training((0.05, 0.0), 12 - len(pause), optimizer=optimizer)
        one, two = (estimated(rule, weights, X, y, method=method) for rule in (paused, short))
        np.testing.assert_allclose(one.estimated_error[-1], two.estimated_error[-1], rtol=1e-5)


def test_small_weights_under_adam_widen_the_standard_error_and_are_told():
    network = sedyn.Network((3, 6), ("tanh", "identity"), bias=True)
    teacher, signal = (
        sedyn.MultiIndex("softmax", 6, 0.3),
        np.linalg.qr(np.random.default_rng(0).normal(size=(40, 6)))[0],
    )
    weights, (X, y) = network.init(40, rng=1), teacher.sample(200, 2 * signal, rng=2)
    adam = sedyn.Adam(0.9, 0.99, 1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        everywhere, first = (
            sedyn.augmented_gradient_descent(
                network, sedyn.Training(0.05, 8, loss="cross_entropy", optimizer=o), weights, X, y, rng=0
            )
            for o in (adam, (adam, None))
        )
    assert any("27 deep weights (with biases) and 200 rows" in text for text in everywhere.warnings)
    assert not any("deep weights" in text for text in first.warnings)
    added = everywhere.estimated_stderr[1] ** 2 - (27 / 200 * everywhere.estimated_error[1]) ** 2
    assert 0.5 * first.estimated_stderr[1] ** 2 < added < 2 * first.estimated_stderr[1] ** 2


class Hard(sedyn.Optimizer):
    """Hard thresholding: it jumps at gradients that depend on the weight."""

    def __init__(self, at):
        self.at = at

    def step(self, value, gradient, state, step_size, n_taken):
        new = value - step_size * gradient
        return new * (np.abs(new) > self.at), ()


def test_small_jumps_are_found_and_tune_takes_optimizers_beside_a_covariance():
    weights, _, X, y = problem(40, 60, 0)
    for at in (0.1, 0.5):
        with pytest.raises(ValueError, match="a step of Hard jumps with its gradient"):
            estimated(sedyn.Training((0.2, 0.2), 5, optimizer=(Hard(at), None)), weights, X, y, method="exact")
    rules = [sedyn.Training(0.05, 8, optimizer=sedyn.Adam()), sedyn.Training(0.1, 8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranking = sedyn.tune(NETWORK, rules, X, y, unlabelled=X, rng=0)
    assert all(np.isfinite(candidate.error) for candidate in ranking)


def test_early_stopping_by_the_metric_that_was_watched():
    rng = np.random.default_rng(0)
    signal = 2 * np.linalg.qr(rng.standard_normal((60, 4)))[0]
    network, teacher = sedyn.Network((3, 4), ("tanh", "identity")), sedyn.MultiIndex("softmax", 4, 0.5)
    weights, (X, y) = network.init(60, rng=rng), teacher.sample(200, signal, rng=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = sedyn.augmented_gradient_descent(
            network,
            sedyn.Training(0.5, 30, loss="cross_entropy"),
            weights,
            X,
            y,
            metrics=["zero_one", "cross_entropy"],
            monitor="cross_entropy",
            rng=0,
        )
    stop, curve = sedyn.early_stop(run), run.estimated_metrics[:, 1]
    assert run.monitor == "cross_entropy" and stop.step == run.best_step == curve.argmin()
    assert stop.error == curve.min() and curve[stop.cautious_step] <= stop.error + stop.stderr
    assert 0 < stop.cautious_step <= stop.step
