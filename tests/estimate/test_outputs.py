"""Several outputs (theory 11): estimated errors, sets of classes, tests of features, and choices."""

import numpy as np
import pytest

import sedyn
from sedyn.estimate import augmented, optimism
from sedyn.model.losses import METRICS as METRIC

pytestmark = pytest.mark.filterwarnings("ignore")
METRICS = ("cross_entropy", "zero_one")
NETWORK, TEACHER = sedyn.Network((3, 3), ("tanh", "identity")), sedyn.MultiIndex("softmax", 3, noise=0.5)
TRAINING = sedyn.Training(0.5, 30, loss="cross_entropy")


def trained(seed, m=400, n=200, fresh=0, network=NETWORK, training=TRAINING, **options):
    """A run, with fresh rows of the same problem."""
    signal = 2 * np.linalg.qr(np.random.default_rng(seed).standard_normal((n, 3)))[0]
    X, y = TEACHER.sample(m, signal, rng=100 + seed)
    test = TEACHER.sample(fresh, signal, rng=200 + seed) if fresh else None
    weights, options = network.init(n, rng=seed), {"metrics": METRICS, "rng": seed} | options
    return sedyn.augmented_gradient_descent(network, training, weights, X, y, test, **options), X, y, test


@pytest.mark.seconds
def test_estimates_are_the_errors_of_fresh_rows_and_sets_hold_them():
    z, covered = [], []
    for seed in range(10):
        run, _, y, (X_new, y_new) = trained(seed, fresh=8000, monitor="cross_entropy", first_weights_at=[30])
        z.append((run.estimated_metrics - run.generalization_metrics)[[10, 20, 30]])
        z[-1] /= run.estimated_metrics_stderr[[10, 20, 30]]
        assert run.best_step == run.estimated_metrics[:, 0].argmin() and run.left_out_outputs.shape == (400, 3)
        np.testing.assert_array_equal(run.labels, np.eye(3)[y.astype(int)])
        parts = [run.prediction_set(X_new, level, step=t) for level in (0.7, 0.9) for t in (None, 30)]
        assert parts[0].shape == (8000, 3) and parts[0].dtype == bool
        covered.append([part[np.arange(8000), y_new.astype(int)].mean() for part in parts])
    assert np.all(run.train_metrics[-1] < 0.5 * run.generalization_metrics[-1])  # there is something to estimate
    z = np.array(z)
    assert np.abs(z).max() < 3.5 and np.abs(z.mean(axis=0)).max() < 1.2 and z.std() > 0.5
    spread = 4 * np.std(covered, axis=0, ddof=1) / np.sqrt(10) + 0.01
    assert np.all(np.abs(np.mean(covered, axis=0) - [0.7, 0.7, 0.9, 0.9]) < spread)


@pytest.mark.seconds
def test_exact_and_low_rank_estimates_agree():
    network = sedyn.Network((3, 2, 3), ("tanh", "tanh", "identity"), bias=True)
    training = sedyn.Training(0.4, 15, loss="cross_entropy", momentum=0.3)
    exact, low = (
        trained(1, m=300, n=150, network=network, training=training, method=method, n_reruns=reruns)[0]
        for method, reruns in (("exact", None), ("nudges", 80))
    )
    np.testing.assert_allclose(low.estimated_metrics[:, 0], exact.estimated_metrics[:, 0], rtol=0.02)
    np.testing.assert_allclose(low.estimated_error, exact.estimated_error, rtol=0.02)
    assert np.all(exact.estimated_metrics[-1] > 1.2 * exact.train_metrics[-1])
    np.testing.assert_allclose(low.left_out_outputs, exact.left_out_outputs, atol=0.3)


def test_slopes_of_several_outputs_are_those_of_one():
    """Of a metric of one output among several, and of a smooth one, by the two ways to find them."""
    rng = np.random.default_rng(0)
    one = sedyn.Network((3, 1), ("tanh", "identity"))
    W = rng.standard_normal((3, 1))
    u, y, weight = rng.standard_normal((3, 50)), rng.standard_normal(50), rng.uniform(0.5, 2, 50)
    F = 1e-6 * np.cov(rng.standard_normal((3, 9)))
    plain, f = augmented._slopes(one, u, sedyn.Weights(None, (W,)).small, y, F)
    both = sedyn.Network((3, 2), ("tanh", "identity"))
    several, g = augmented._slopes_of_several(
        both, u, sedyn.Weights(None, (np.hstack([W, -W]),)).small, np.stack([y, 0 * y]), F
    )
    np.testing.assert_allclose(f, g[0])
    np.testing.assert_allclose(
        several(lambda f, y: np.square(f[0] - y[0]), weight), plain(lambda f, y: np.square(f - y), weight), rtol=1e-3
    )


def test_sets_of_two_classes_are_those_of_labels_of_either_sign():
    """Two outputs -f/2 and f/2 are one output f: losses, estimates and sets are the same."""
    n, m = 60, 120
    rng = np.random.default_rng(0)
    X, X_new = rng.standard_normal((m, n)), rng.standard_normal((50, n))
    y = np.sign(X[:, 0] + 0.5 * rng.standard_normal(m))
    first, W = rng.standard_normal((n, 2)) / np.sqrt(n), rng.standard_normal((2, 1))
    one, two = (sedyn.Network((2, c), ("tanh", "identity")) for c in (1, 2))
    frozen = {"metrics": (), "feature_tests": True, "rng": 0}
    signs = sedyn.augmented_gradient_descent(
        one, sedyn.Training((0.5, 0.0), 12, loss="logistic"), sedyn.Weights(first, (W,)), X, y,
        **frozen | {"metrics": ("logistic", "zero_one"), "monitor": "logistic"},
    )  # fmt: skip
    classes = sedyn.augmented_gradient_descent(
        two, sedyn.Training((0.5, 0.0), 12, loss="cross_entropy"), sedyn.Weights(first, (np.hstack([-W, W]) / 2,)),
        X, (y > 0).astype(int), **frozen | {"metrics": METRICS, "monitor": "cross_entropy"},
    )  # fmt: skip
    assert signs.best_step == classes.best_step
    np.testing.assert_allclose(classes.train_metrics, signs.train_metrics, rtol=1e-5)
    np.testing.assert_allclose(classes.estimated_metrics, signs.estimated_metrics, rtol=1e-4)
    np.testing.assert_allclose(
        classes.estimated_metrics_stderr[:, 0], signs.estimated_metrics_stderr[:, 0], rtol=0.1
    )  # the metric's differences go by other ways
    outputs = classes.left_out_outputs
    np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], signs.left_out_outputs, rtol=1e-3, atol=1e-4)
    for level in (0.3, 0.8, 0.95):
        np.testing.assert_array_equal(classes.prediction_set(X_new, level), signs.prediction_set(X_new, level))
    np.testing.assert_allclose(classes.feature_pvalues, signs.feature_pvalues, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(classes.feature_effects, signs.feature_effects, rtol=1e-2, atol=1e-4)


def test_what_is_refused(tmp_path):
    run, X, *_ = trained(0, m=120, n=60, training=sedyn.Training(0.5, 4, loss="cross_entropy"), first_weights_at=[2])
    for interval in (run.prediction_interval, lambda X: run.interval_accuracy(0.9)):
        with pytest.raises(ValueError, match="this one has 3, use prediction_set for its classes"):
            interval(X)
    assert run.left_out_kept.shape == (1, 120, 3)
    loaded = sedyn.Trajectory.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(loaded.prediction_set(X), run.prediction_set(X))
    network = sedyn.Network((3, 3), ("tanh", "identity"))
    numbers = sedyn.augmented_gradient_descent(network, sedyn.Training(0.1, 2), network.init(60, rng=0), X, X[:, :3])
    with pytest.raises(ValueError, match="this run's labels are other numbers"):
        numbers.prediction_set(X)


@pytest.mark.seconds
def test_every_feature_of_no_class_is_found_to_be_of_none():
    p = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((240, 120))
        y = (X[:, :3] + 0.3 * rng.standard_normal((240, 3))).argmax(axis=1)
        run = sedyn.augmented_gradient_descent(
            NETWORK, TRAINING, NETWORK.init(120, rng=seed), X, y, feature_tests=True, rng=seed
        )
        assert run.feature_pvalues[:3].max() < 0.05
        p.append(run.feature_pvalues[3:])
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / np.size(p))
    y = np.where(X[:, 0] + X[:, 1] > 0, 0, 1 + np.arange(240) % 2)  # upwards with class 0, which the features tell
    run = sedyn.augmented_gradient_descent(NETWORK, TRAINING, NETWORK.init(120, rng=0), X, y, feature_tests=True, rng=0)
    assert np.all(run.feature_effects[:2] > 3 * run.feature_effects_stderr[:2])


def test_tune_ranks_classes_by_the_metric_it_is_told():
    _, X, y, _ = trained(3, m=200, n=60, training=sedyn.Training(0.1, 1, loss="cross_entropy"))
    steps = [sedyn.Training(step, 12, loss="cross_entropy") for step in (0.02, 0.4, 0.5)]
    table = sedyn.tune(NETWORK, steps, X, y, monitor="cross_entropy", rng=0)
    assert table[-1].training.step_size == 0.02 and table[0].left_out.shape == (200, 3)
    again = sedyn.tune(NETWORK, steps, X, np.eye(3)[y.astype(int)], monitor="cross_entropy", rng=0)
    assert [c.error for c in again] == [c.error for c in table] and table.error > table[0].error
    p = np.exp(table[0].left_out)[np.arange(200), y.astype(int)] / np.exp(table[0].left_out).sum(axis=1)
    np.testing.assert_allclose(table[0].error, -np.log(p).mean())
    losses = [METRIC["cross_entropy"](c.left_out.T, np.eye(3)[:, y.astype(int)]) for c in table]
    choice = optimism(np.array(losses), np.array([c.error for c in table]), np.array([c.stderr for c in table]))
    np.testing.assert_allclose(table.optimism, choice)
    with pytest.raises(ValueError, match="monitor must be one of squared, .*; got 'loss'"):
        sedyn.tune(NETWORK, steps, X, y, monitor="loss")
