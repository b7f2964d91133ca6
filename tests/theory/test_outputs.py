"""Several outputs (theory 11): theory against simulation, and the solvers against each other."""

import numpy as np
import pytest

import sedyn

METRICS = ("cross_entropy", "zero_one")
A, B = np.array([[1, 0], [-0.5, 0.9], [-0.5, -0.9]]), np.array([[0.6], [-0.3], [0.2]])
CURVES = ("train_error", "generalization_error", "train_metrics", "generalization_metrics")


def softmax_problem(n=500, T=30, step=0.3, noise=0.5):
    network, teacher = sedyn.Network((3, 3), ("tanh", "identity")), sedyn.MultiIndex("softmax", 3, noise)
    signal = 2 * np.linalg.qr(np.random.default_rng(0).standard_normal((n, 3)))[0]
    weights = network.init(n, rng=1)
    weights = sedyn.Weights(weights.first + 0.1 * signal @ np.array([[1, 0, 2], [0, -1, 1], [1, 1, 0]]), weights.deep)
    return network, sedyn.Training(step, T, loss="cross_entropy"), teacher, weights, signal


def score_problem(n=400, T=20):
    """Classes by the largest of three linear scores of two indices, with noise; three layers, momentum and batches."""
    network = sedyn.Network((3, 4, 3), ("tanh", "tanh", "identity"), bias=True)
    teacher = sedyn.MultiIndex(lambda Z, xi: (A @ Z + B * xi).argmax(axis=0), 2, noise=None)
    signal = 1.5 * np.random.default_rng(0).standard_normal((n, 2)) / np.sqrt(n)
    training = sedyn.Training(0.4, T, loss="cross_entropy", momentum=0.5, batch_fraction=0.5)
    return network, training, teacher, network.init(n, rng=1), signal


def numbers_problem(n=400, T=20):
    """Two numbers from one index: the squared error sums over outputs."""
    network = sedyn.Network((3, 2), ("tanh", "identity"))
    teacher = sedyn.SingleIndex(lambda z, xi: np.stack([np.tanh(2 * z) + 0.3 * xi, z**2 - 1]), noise=None)
    return network, sedyn.Training(0.2, T), teacher, network.init(n, rng=1), sedyn.random_signal(n, rng=0)


@pytest.mark.seconds
@pytest.mark.parametrize("of, metrics", [(softmax_problem, METRICS), (score_problem, METRICS), (numbers_problem, ())])
def test_the_theory_predicts_simulations(of, metrics):
    network, training, teacher, weights, signal = of()
    n = len(signal)
    theory = sedyn.state_evolution(
        network, training, teacher, sedyn.Overlaps.of(weights, signal), 2.0, metrics=metrics, rng=3
    )
    runs = sedyn.simulate(network, training, teacher, weights, signal, 2 * n, 30, metrics=metrics, rng=5)
    for name in CURVES if metrics else CURVES[:2]:
        z = sedyn.z_scores(getattr(runs, name), getattr(theory, name), getattr(theory.stderr, name))
        assert np.abs(z).max() < 4
    if metrics:
        train, general = theory.train_metrics[-1], theory.generalization_metrics[-1]
        assert np.all(train < 0.8 * general)  # or there would be little to predict


@pytest.mark.seconds
@pytest.mark.parametrize("of", [softmax_problem, numbers_problem])
def test_projection_and_tangent_solvers_agree(of):
    network, training, teacher, weights, signal = of(n=100, T=12)
    metrics = METRICS if training.loss == "cross_entropy" else ()
    start = sedyn.Overlaps.of(weights, signal)
    options = {"metrics": metrics, "n_paths": 2**11, "n_scrambles": 8}
    fast, slow = (
        sedyn.state_evolution(network, training, teacher, start, 1.5, **options, solver=solver, rng=i)
        for i, solver in enumerate(("projection", "tangent"))
    )
    for name in CURVES if metrics else CURVES[:2]:
        a, b = (getattr(of, name) for of in (fast, slow))
        assert np.abs((a - b) / np.hypot(getattr(fast.stderr, name), getattr(slow.stderr, name))).max() < 5
        np.testing.assert_allclose(a, b, rtol=0.05)


def test_dice_band_and_population_errors_have_several_outputs():
    network, training, teacher, weights, signal = softmax_problem(n=200, T=10, noise=3.0)
    start = sedyn.Overlaps.of(weights, signal)
    theory = sedyn.state_evolution(network, training, teacher, start, 2.0, rng=0)
    dice = sedyn.householder_dice(network, training, teacher, start, 20_000, 10_000, rng=1)
    np.testing.assert_allclose(dice.train_error, theory.train_error, rtol=0.05)
    np.testing.assert_allclose(dice.generalization_error, theory.generalization_error, rtol=0.05)
    band = theory.band(200, n_runs=32)
    X, y = teacher.sample(400, signal, rng=2)
    run = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at="all")
    for name in ("train", "generalization"):
        low, high = getattr(band, f"{name}_error")
        assert np.all((low < getattr(theory, f"{name}_error")) & (getattr(theory, f"{name}_error") < high))
        np.testing.assert_allclose(getattr(band, f"{name}_mean"), getattr(theory, f"{name}_error"), rtol=0.04)
    X_new, y_new = teacher.sample(20_000, signal, rng=3)
    f = network.predict(run.final, X_new) - np.eye(3)[y_new.astype(int)]
    exact = sedyn.population_errors(network, teacher, run, signal, rng=4)[-1]
    squares = np.square(f).sum(axis=1)
    assert abs(squares.mean() - exact) < 4 * squares.std() / np.sqrt(20_000) + 0.003 * exact
