"""Optimizers: their formulas, their scaling, and what is no optimizer."""

import pickle

import numpy as np
import pytest

import sedyn
from sedyn.model import Moving, Small

ALL = (
    sedyn.Adam(0.8, 0.95, 1e-3),
    sedyn.RMSProp(0.9, 1e-2),
    sedyn.SignDescent(),
    sedyn.Proximal(0.3),
    sedyn.Clip(0.4),
)


def by_hand(optimizer, w, gradients, eta, decay=0.0):
    """Numbers after every step, in plain Python, one entry at a time."""
    found, m, v = [w], 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        w *= 1 - eta * decay
        name = type(optimizer).__name__
        if name == "Adam":
            m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
            v = optimizer.beta2 * v + (1 - optimizer.beta2) * g * g
            root = (v / (1 - optimizer.beta2**t)) ** 0.5
            w -= eta * m / (1 - optimizer.beta1**t) / (root + optimizer.epsilon)
        elif name == "RMSProp":
            v = optimizer.beta * v + (1 - optimizer.beta) * g * g
            w -= eta * g / (v**0.5 + optimizer.epsilon)
        elif name == "SignDescent":
            w -= eta * (g > 0) - eta * (g < 0)
        elif name == "Proximal":
            w -= eta * g
            w = max(w - eta * optimizer.l1, 0.0) + min(w + eta * optimizer.l1, 0.0)
        else:
            w -= eta * min(max(g, -optimizer.bound), optimizer.bound)
        found.append(w)
    return found


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_every_layer_moves_by_the_formula_and_biases_do_not_decay(optimizer, decay, rng):
    rule = sedyn.Training(0.1, 12, weight_decay=decay, optimizer=optimizer).rule(2)
    start, gradients = Small((rng.standard_normal((2, 3)),), (np.zeros(2), rng.standard_normal(3))), []
    moving, first, found = Moving(rule, start), Moving(rule, np.array([[0.2, -0.1]]), 5.0), []
    for t in range(12):
        gradients.append(start.map(lambda W: rng.standard_normal(W.shape)))
        moving.step(t, gradients[-1])
        first.step(t, gradients[-1].biases[0][None])
        found.append(first.now[0, 1])
    expected = by_hand(optimizer, start.deep[0][1, 2], [g.deep[0][1, 2] for g in gradients], 0.1, decay)[-1]
    assert moving.now.deep[0][1, 2] == pytest.approx(expected, abs=1e-12)
    expected = by_hand(optimizer, start.biases[1][0], [g.biases[1][0] for g in gradients], 0.1)[-1]
    assert moving.now.biases[1][0] == pytest.approx(expected, abs=1e-12)
    # the first layer in units of 1 / scale
    expected = by_hand(optimizer, 5 * -0.1, [5 * g.biases[0][1] for g in gradients], 0.1, decay)[1:]
    np.testing.assert_allclose(5 * np.array(found), expected, atol=1e-12)


def test_adam_in_plain_variables(rng):
    """As PyTorch has it: for the first layer lr and epsilon over sqrt(n), decay times sqrt(n)."""
    n, m, eta, decay = 30, 40, 0.05, 0.3
    network, optimizer = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Adam(0.8, 0.95, 1e-3)
    training = sedyn.Training(eta, 15, weight_decay=decay, optimizer=optimizer)
    weights, X, y = network.init(n, rng=0), rng.standard_normal((m, n)), rng.standard_normal(m)
    run = sedyn.gradient_descent(network, training, weights, X, y)
    W, a = weights.first.copy(), weights.deep[0].copy()
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in (W, a)]
    for t in range(1, 16):
        h = np.tanh(X @ W)
        residual = (h @ a)[:, 0] - y
        gradients = X.T @ (residual[:, None] * a.T * (1 - h**2)) / m, h.T @ residual[:, None] / m
        for k, (w, g, root) in enumerate(zip((W, a), gradients, (np.sqrt(n), 1.0), strict=True)):
            mean, square = moments[k]
            mean, square = 0.8 * mean + 0.2 * g, 0.95 * square + 0.05 * g**2
            moments[k] = mean, square
            w *= 1 - (eta / root) * (root * decay)
            w -= eta / root * (mean / (1 - 0.8**t)) / (np.sqrt(square / (1 - 0.95**t)) + 1e-3 / root)
    np.testing.assert_allclose(run.final.first, W, atol=1e-12)
    np.testing.assert_allclose(run.final.deep[0], a, atol=1e-12)


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_one_step_size_means_the_same_for_every_number_of_features(optimizer):
    """Ten times the features, which repeat the first ones and share their weights: the same run."""
    network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.05, 10, optimizer=optimizer)
    weights, (X, y) = (
        network.init(30, rng=0),
        sedyn.SingleIndex("tanh").sample(50, sedyn.random_signal(30, rng=1), rng=2),
    )
    many = sedyn.Weights(np.repeat(weights.first, 10, axis=0) / np.sqrt(10), weights.deep)
    errors = [
        sedyn.gradient_descent(network, training, w, rows, y).train_error
        for w, rows in ((weights, X), (many, np.repeat(X, 10, axis=1) / np.sqrt(10)))
    ]
    np.testing.assert_allclose(*errors, rtol=1e-9)


def test_a_layer_that_rests_keeps_its_weights_and_its_state():
    """Step sizes of 0 first: the optimizer of the layer starts when the layer does."""
    steps = lambda t: (0.05, 0.0 if t < 4 else 0.05)  # noqa: E731
    for optimizer in ALL:
        rule = sedyn.Training(steps, 9, optimizer=optimizer, weight_decay=0.1).rule(2)
        late, early = (
            Moving(rule, Small((np.ones((1, 1)),))),
            sedyn.Training(0.05, 9, optimizer=optimizer, weight_decay=0.1),
        )
        soon = Moving(early.rule(2), Small((np.ones((1, 1)),)))
        for t in range(9):
            late.step(t, Small((np.full((1, 1), 0.3 if t < 4 else np.cos(t)),)))
            if t >= 4:
                soon.step(t - 4, Small((np.full((1, 1), np.cos(t)),)))
        np.testing.assert_array_equal(late.now.deep[0], soon.now.deep[0])


def test_layers_may_have_different_optimizers():
    training = sedyn.Training(0.05, 5, optimizer=[sedyn.SignDescent(), None])
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    weights, (X, y) = (
        network.init(20, rng=0),
        sedyn.SingleIndex("tanh").sample(30, sedyn.random_signal(20, rng=1), rng=2),
    )
    run = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at=[0, 1])
    moved = np.sqrt(20) * np.diff(run.first_weights, axis=0)
    np.testing.assert_allclose(np.abs(moved), 0.05)
    plain = sedyn.gradient_descent(network, sedyn.Training((0.0, 0.05), 1), weights, X, y)
    np.testing.assert_allclose(run.deep_weights[0][1], plain.deep_weights[0][1])


def test_which_steps_jump():
    jumps = [sedyn.SignDescent(), sedyn.Adam(), sedyn.RMSProp()]
    smooth = [sedyn.Adam(epsilon=1e-2), sedyn.RMSProp(epsilon=0.03), sedyn.Proximal(0.2), sedyn.Clip(0.1)]
    assert all(o.jumps for o in jumps) and not any(o.jumps for o in smooth)


class Lion(sedyn.Optimizer):
    def __init__(self, keep=0.9):
        self.keep = keep

    def start(self, value):
        return (np.zeros_like(value),)

    def step(self, value, gradient, state, step_size, n_taken):
        m = self.keep * state[0] + (1 - self.keep) * gradient
        return value - step_size * np.sign(m), (m,)


def test_your_own_optimizer():
    own = Lion(0.8)
    training = sedyn.Training(0.03, 10, optimizer=(own, None))
    assert repr(own) == "Lion(keep=0.8)" and own == Lion(0.8) and own != Lion(0.7) and own != sedyn.SignDescent()
    assert pickle.loads(pickle.dumps(training)) == training and hash(own) == hash(Lion(0.7))
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    weights, (X, y) = (
        network.init(40, rng=0),
        sedyn.SingleIndex("tanh").sample(80, sedyn.random_signal(40, rng=1), rng=2),
    )
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y)
    assert run.estimated_error[-1] > run.train_error[-1]


class Norm(sedyn.Optimizer):
    def step(self, value, gradient, state, step_size, n_taken):
        return value - step_size * gradient / np.linalg.norm(gradient), ()


class Writes(sedyn.Optimizer):
    def step(self, value, gradient, state, step_size, n_taken):
        value -= step_size * gradient
        return value, ()


class Sums(sedyn.Optimizer):
    def step(self, value, gradient, state, step_size, n_taken):
        return value.sum(), ()


@pytest.mark.parametrize(
    "given, error, message",
    [
        ("adam", TypeError, r"optimizer must be None, sedyn.Adam\(\).*got 'adam'"),
        (sedyn.Adam, TypeError, "optimizer must be None"),
        (Norm(), ValueError, "Norm moves an entry by what the others are"),
        (Writes(), ValueError, "Writes must move arrays.*writes into what it is given"),
        (Sums(), ValueError, "Sums must return values and states"),
        (sedyn.Optimizer(), ValueError, "does not say what a step does"),
    ],
)
def test_what_is_no_optimizer(given, error, message):
    with pytest.raises(error, match=message):
        sedyn.Training(0.1, 3, optimizer=given)


def test_what_does_not_go_with_an_optimizer():
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    weights, (X, y) = (
        network.init(20, rng=0),
        sedyn.SingleIndex("tanh").sample(30, sedyn.random_signal(20, rng=1), rng=2),
    )
    for options, message in (
        ({"optimizer": (sedyn.Adam(),) * 3}, "one per layer; got 3"),
        ({"optimizer": sedyn.Adam(), "momentum": 0.9}, "momentum belongs to plain gradient descent"),
    ):
        with pytest.raises(ValueError, match=message):
            sedyn.gradient_descent(network, sedyn.Training(0.1, 3, **options), weights, X, y)
    sedyn.gradient_descent(
        network, sedyn.Training(0.1, 3, momentum=(0.9, 0), optimizer=(None, sedyn.Adam())), weights, X, y
    )
