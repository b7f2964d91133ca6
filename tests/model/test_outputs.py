"""Networks of several outputs: labels, derivatives against finite differences, losses, metrics and teachers."""

import pickle

import numpy as np
import pytest
from scipy import special

import sedyn
from sedyn.model.labels import label_columns
from sedyn.model.losses import LOSSES, METRICS, Metrics

CLASSES = np.arange(20) % 3
VALUES = {
    "squared": lambda f, y: np.square(f - y).sum() / 2,
    "cross_entropy": lambda f, y: (special.logsumexp(f, axis=0) - (y * f).sum(axis=0)).sum(),
}


def problem(widths, bias=True, seed=0):
    """A network with weights and biases that are not 0, preactivations and one-hot labels of 20 samples."""
    rng = np.random.default_rng(seed)
    network = sedyn.Network(widths, ("tanh",) * (len(widths) - 1) + ("identity",), bias=bias)
    weights = network.init(4, rng=rng)
    small = weights.small.map(lambda W: W + 0.3 * rng.standard_normal(W.shape))
    return network, small, rng.standard_normal((widths[0], 20)), np.eye(3)[:, CLASSES]


@pytest.mark.seconds
@pytest.mark.parametrize("name", list(VALUES))
@pytest.mark.parametrize("widths, bias", [((4, 3), True), ((4, 2, 3), True), ((4, 2, 3), False)])
def test_gradients_are_those_of_the_loss(name, widths, bias):
    network, small, u, y = problem(widths, bias)
    weight = np.linspace(0.5, 2, 20)

    def loss(u, small):
        f = network.output(u, small)
        assert f.shape == (3, 20)
        return sum(w * VALUES[name](f[:, [i]], y[:, [i]]) for i, w in enumerate(weight))

    def slope(of, x, h=1e-5):
        found = np.zeros_like(x)
        for at in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[at] = h
            found[at] = (of(x + step) - of(x - step)) / (2 * h)
        return found

    S, gradients, residual = network.gradients(u, y, small, LOSSES[name], weight)
    np.testing.assert_allclose(S, slope(lambda u: loss(u, small), u), atol=1e-8)
    np.testing.assert_allclose(residual, network.output(u, small) - y)
    parts = [(kind, i) for kind in ("deep", "biases") for i in range(len(getattr(small, kind)))]
    for kind, i in parts:

        def moved(W, kind=kind, i=i):
            arrays = list(getattr(small, kind))
            arrays[i] = W
            return loss(u, small._replace(**{kind: tuple(arrays)}))

        np.testing.assert_allclose(getattr(gradients, kind)[i], slope(moved, getattr(small, kind)[i]), atol=1e-7)


@pytest.mark.parametrize("name", list(VALUES))
def test_the_hessian_is_symmetric_and_that_of_the_gradient(name):
    network, small, u, y = problem((4, 2, 3))
    J = network.hessian(u, y, small, LOSSES[name])
    np.testing.assert_allclose(J, J.swapaxes(0, 1), atol=1e-8)
    h = 1e-4 * np.eye(4)[1][:, None]
    S = [network.gradients(u + sign * h, y, small, LOSSES[name])[0] for sign in (1, -1)]
    np.testing.assert_allclose(J[:, 1], (S[0] - S[1]) / 2e-4, atol=1e-6)


def test_leading_axes_are_runs():
    network, small, u, y = problem((4, 2, 3))
    weight = np.random.default_rng(1).random((2, 20))
    both = network.gradients(np.stack([u, -u]), np.stack([y, y[::-1]]), small.map(lambda W: np.stack([W, 2 * W])),
                             LOSSES["cross_entropy"], weight)  # fmt: skip
    second = network.gradients(-u, y[::-1], small.map(lambda W: 2 * W), LOSSES["cross_entropy"], weight[1])
    np.testing.assert_allclose(both[0][1], second[0])
    np.testing.assert_allclose(both[1].deep[1][1], second[1].deep[1])
    np.testing.assert_allclose(both[2][1], second[2])


def test_classes_and_one_hot_rows_are_the_same_labels():
    rng = np.random.default_rng(0)
    X, network = rng.standard_normal((20, 6)), sedyn.Network((2, 3), ("tanh", "identity"))
    training, weights = sedyn.Training(0.3, 5, loss="cross_entropy", batch_fraction=0.5), network.init(6, rng=1)
    forms = CLASSES, CLASSES.astype(np.float32), CLASSES.tolist(), np.eye(3)[CLASSES], np.eye(3, dtype=int)[CLASSES]
    runs = [
        sedyn.gradient_descent(
            network, training, weights, X, y, (X, y), metrics=("cross_entropy", "zero_one", "absolute"), rng=0
        )
        for y in forms
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.train_metrics, runs[0].train_metrics)
        np.testing.assert_array_equal(run.final_first, runs[0].final_first)
    run, f = runs[0], network.predict(runs[0].final, X)
    assert f.shape == (20, 3)
    p = special.softmax(f, axis=1)[np.arange(20), CLASSES]
    of_rows = [-np.log(p), f.argmax(axis=1) != CLASSES, np.abs(f - np.eye(3)[CLASSES]).sum(axis=1)]
    np.testing.assert_allclose(run.train_metrics[-1], np.mean(of_rows, axis=1), rtol=1e-9)
    np.testing.assert_allclose(run.generalization_metrics[-1], np.mean(of_rows, axis=1), rtol=1e-9)
    np.testing.assert_allclose(run.train_error[-1], np.mean(np.square(f - np.eye(3)[CLASSES]).sum(axis=1)))


def test_numbers_of_several_outputs_are_trained_output_by_output():
    rng = np.random.default_rng(0)
    X, y, weight = rng.standard_normal((30, 6)), rng.standard_normal((30, 2)), rng.uniform(1, 2, 30)
    network = sedyn.Network((4, 2), ("identity", "identity"))
    first, deep = rng.standard_normal((6, 4)), np.kron(np.eye(2), np.ones((2, 1)))  # two neurons for each output
    training = sedyn.Training((0.1, 0.0), 6, loss="pseudo_huber")
    both = sedyn.gradient_descent(network, training, sedyn.Weights(first, (deep,)), X, y, sample_weight=weight)
    one = sedyn.Network((2, 1), ("identity", "identity"))
    each = [
        sedyn.gradient_descent(
            one,
            training,
            sedyn.Weights(first[:, 2 * k : 2 * k + 2], (np.ones((2, 1)),)),
            X,
            y[:, k],
            sample_weight=weight,
        )
        for k in range(2)
    ]
    np.testing.assert_allclose(both.train_error, sum(run.train_error for run in each))
    np.testing.assert_allclose(both.final_first, np.hstack([run.final_first for run in each]))


def test_several_outputs_diverge_as_one_does():
    rng = np.random.default_rng(0)
    X, network = rng.standard_normal((20, 6)), sedyn.Network((2, 3), ("identity", "identity"))
    run = sedyn.gradient_descent(network, sedyn.Training(50.0, 60), network.init(6, rng=1), X, CLASSES)
    assert run.status == "diverged" and len(run.train_error) < 60


def test_losses_that_see_all_outputs_are_probed_for_kinks():
    def hinge(f, y):  # of K. Crammer and Y. Singer
        rival = np.where(y == 1, -np.inf, f)
        top = np.arange(f.shape[-2])[:, None] == rival.argmax(axis=-2)
        return np.where(rival.max(axis=-2) + 1 > (f * y).sum(axis=-2), top - y, 0.0)

    kinked = sedyn.Loss("margin", hinge, joint=True)
    smooth = sedyn.Loss("smoothed", lambda f, y: special.softmax(f, axis=-2) - 0.9 * y - 0.1 / len(f), joint=True)
    assert kinked.kink is not None and smooth.kink is None and LOSSES["cross_entropy"].kink_among(5) is None
    network = sedyn.Network((2, 4), ("tanh", "identity"))
    with pytest.raises(ValueError, match="the loss 'margin' has a kink"):
        network.require_smooth("this", kinked)
    assert network.has_kink(kinked) and not network.has_kink(smooth)
    assert pickle.loads(pickle.dumps(LOSSES["cross_entropy"])) is LOSSES["cross_entropy"]
    X = np.random.default_rng(0).standard_normal((20, 6))
    run = sedyn.gradient_descent(
        network, sedyn.Training(0.3, 30, loss=kinked), network.init(6, rng=0), X, CLASSES, metrics="zero_one"
    )
    assert run.train_metrics[-1] < run.train_metrics[0]


def test_metrics_of_several_outputs():
    rng = np.random.default_rng(0)
    f, y = rng.standard_normal((3, 20)), np.eye(3)[:, CLASSES]
    np.testing.assert_allclose(METRICS["cross_entropy"](f, y), -np.log(special.softmax(f, axis=0)[CLASSES, range(20)]))
    signs = np.sign(rng.standard_normal((3, 20)))
    np.testing.assert_allclose(METRICS["logistic"](f, signs), np.log1p(np.exp(-signs * f)).sum(axis=0))

    def second(f, y):
        assert f.shape == y.shape == (3, 20)
        return np.abs(f[1] - y[1])

    metrics = Metrics(["zero_one", second])
    metrics.validate(y)
    weight = rng.uniform(0, 2, 20)
    expected = np.square(f - y).sum(axis=0), f.argmax(axis=0) != CLASSES, second(f, y)
    np.testing.assert_allclose(metrics.means(f - y, y, weight), [np.mean(weight * e) for e in expected])
    with pytest.raises(ValueError, match=r"one real number per sample, shape \(20,\)"):
        Metrics(lambda f, y: f - y).validate(y)


def test_the_softmax_link_draws_classes_with_its_probabilities():
    teacher, N = sedyn.MultiIndex("softmax", 3, noise=0.7), 40_000
    xi, z = special.ndtri((np.arange(N) + 0.5) / N), np.array([0.4, -0.2, 1.0])
    drawn = teacher.labels(np.repeat(z[:, None], N, axis=1), xi)
    np.testing.assert_allclose(np.bincount(drawn.astype(int)) / N, special.softmax(z / 0.7), atol=1e-4)
    Z = np.random.default_rng(0).standard_normal((3, 50))
    for noise in (0.0, 1e-300):
        np.testing.assert_array_equal(sedyn.MultiIndex("softmax", 3, noise).labels(Z, xi[:50]), Z.argmax(axis=0))
    with pytest.raises(ValueError, match="not added to a mean label"):
        teacher.mean_label(Z)


def test_links_to_several_numbers():
    A = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]])
    plain = sedyn.MultiIndex(lambda Z: A @ Z, 2, noise=0.1)
    own = sedyn.MultiIndex(lambda Z, xi: A @ Z + 0.1 * xi, 2, noise=None)
    signal = np.eye(8, 2)
    (X, y), (_, again) = (teacher.sample(30, signal, rng=0) for teacher in (plain, own))
    assert y.shape == (30, 3)
    np.testing.assert_array_equal(y, again)
    noise = y - X[:, :2] @ A.T
    np.testing.assert_allclose(noise, noise[:, :1] * np.ones(3))  # one xi for all outputs
    np.testing.assert_array_equal(label_columns(y.T, 3), y.T)
    one = sedyn.SingleIndex(lambda z: np.stack([z, z**2]), 0.0).sample(5, np.eye(4)[0], rng=0)[1]
    assert one.shape == (5, 2)


def test_linearized_and_widened_networks_have_several_outputs():
    rng = np.random.default_rng(0)
    X, network = rng.standard_normal((20, 6)), sedyn.Network((2, 2, 3), ("tanh", "tanh", "identity"), bias=True)
    weights, wide = network.init(6, rng=1), sedyn.widen(network, sedyn.Training(0.1, 3), 4).network
    assert wide.widths == (8, 8, 3)
    step = 1e-5  # a step so small that the network is its linearization
    args = network, sedyn.Training(step, 3, loss="cross_entropy"), weights, X, CLASSES, (X, CLASSES)
    linearized, run = sedyn.linearized_gradient_descent(*args), sedyn.gradient_descent(*args)
    np.testing.assert_allclose(np.diff(linearized.train_error), np.diff(run.train_error), rtol=1e-3)
    np.testing.assert_allclose(linearized.generalization_error, linearized.train_error)
