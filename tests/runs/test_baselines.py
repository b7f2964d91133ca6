"""The linearized network against the true one, against a finite-difference Jacobian, and widening."""

from __future__ import annotations

import numpy as np
import pytest

import sedyn
from sedyn import linearized_gradient_descent, widen


def small_problem(rng, step_size=(0.3, 0.2, 0.25), n_steps=12):
    network = sedyn.Network((3, 2, 1), ("tanh", "gelu", "sigmoid"))
    n, m = 15, 25
    teacher = sedyn.SingleIndex("tanh", 0.2)
    signal = sedyn.random_signal(n, rng=rng)
    X, y = teacher.sample(m, signal, rng=rng)
    test = teacher.sample(18, signal, rng=rng)
    return network, sedyn.Training(step_size, n_steps), network.init(n, rng=rng, scale=(1.0, 1.2, 1.5)), X, y, test


def test_linearization_is_exact_for_what_is_linear_in_its_weights(rng):
    """Only the last layer trained, identity output: the network is linear in the weights that move."""
    network = sedyn.Network((3, 2, 1), ("tanh", "gelu", "identity"))
    _, _, weights, X, y, test = small_problem(rng)
    training = sedyn.Training((0.0, 0.0, 0.3), 20)
    linearized = linearized_gradient_descent(network, training, weights, X, y, test)
    run = sedyn.gradient_descent(network, training, weights, X, y, test)
    np.testing.assert_allclose(linearized.train_error, run.train_error, rtol=1e-12)
    np.testing.assert_allclose(linearized.generalization_error, run.generalization_error, rtol=1e-12)
    np.testing.assert_allclose(linearized.deep_weights[1], run.deep_weights[1], rtol=1e-12)
    np.testing.assert_array_equal(linearized.final.first, weights.first)


def test_linearization_equals_a_finite_difference_jacobian(rng):
    """All layers trained with different, changing step sizes, against the slow way with the Jacobian in full."""
    step_sizes = rng.uniform(0.1, 0.4, (12, 3))
    network, training, weights, X, y, (X_test, y_test) = small_problem(rng, step_sizes)
    parts = [weights.first, *weights.deep]
    cuts = np.cumsum([part.size for part in parts])
    start = np.concatenate([part.ravel() for part in parts])

    def outputs(theta):
        first, *deep = (piece.reshape(p.shape) for piece, p in zip(np.split(theta, cuts[:-1]), parts, strict=True))
        return network.predict(sedyn.Weights(first, tuple(deep)), np.concatenate([X, X_test]))

    eps = 1e-5
    jacobian = np.stack(
        [(outputs(start + eps * e) - outputs(start - eps * e)) / (2 * eps) for e in np.eye(len(start))], axis=1
    )
    m, theta, layer = len(y), start.copy(), np.repeat(np.arange(3), np.diff(cuts, prepend=0))
    train, general = [], []
    for t in range(13):
        residual = outputs(start) + jacobian @ (theta - start) - np.concatenate([y, y_test])
        train.append(np.mean(residual[:m] ** 2))
        general.append(np.mean(residual[m:] ** 2))
        if t < 12:
            theta = theta - step_sizes[t][layer] / m * (jacobian[:m].T @ residual[:m])
    linearized = linearized_gradient_descent(network, training, weights, X, y, (X_test, y_test))
    np.testing.assert_allclose(linearized.train_error, train, rtol=1e-7)
    np.testing.assert_allclose(linearized.generalization_error, general, rtol=1e-7)
    moved = np.concatenate([linearized.final.first.ravel(), *(V.ravel() for V in linearized.final.deep)])
    np.testing.assert_allclose(moved, theta, atol=1e-8)


def test_linearized_and_true_run_part_at_second_order_in_the_step_size(rng):
    """After T steps of size h the weights have moved by O(h), so the training errors differ by O(h^2)."""
    sizes, gaps = np.array([0.04, 0.02, 0.01, 0.005]), []
    network, _, weights, X, y, _ = small_problem(rng)
    for h in sizes:
        problem = network, sedyn.Training(h, 4), weights, X, y
        run, linearized = sedyn.gradient_descent(*problem), linearized_gradient_descent(*problem)
        gaps.append(abs(run.train_error[-1] - linearized.train_error[-1]))
    slope = np.polyfit(np.log(sizes), np.log(gaps), 1)[0]
    assert 1.9 < slope < 2.1


def test_linearized_run_reports_divergence_and_refuses_bad_input(rng):
    network, _, weights, X, y, test = small_problem(rng)
    run = linearized_gradient_descent(network, sedyn.Training(1e4, 30), weights, X, y, test)
    assert run.status == "diverged" and "lower step_size" in run.message
    assert np.all(np.isfinite(run.train_error)) and len(run.train_error) < 31
    assert len(run.generalization_error) == len(run.deep_weights[0]) == len(run.train_error)
    with pytest.raises(ValueError, match="columns; expected 15"):
        linearized_gradient_descent(network, sedyn.Training(0.1, 2), weights, X[:, :-1], y)


def test_the_linearized_network_of_a_wide_ntk_scaled_network_is_nearly_the_network(rng):
    """The gap shrinks about like 1 / width; the same widening under maximal_update keeps it."""
    base, training = sedyn.Network((4, 1), ("tanh", "identity")), sedyn.Training(0.4, 10)
    teacher, signal = sedyn.SingleIndex("sine", 0.1), sedyn.random_signal(60, rng=rng)
    X, y = teacher.sample(90, signal, rng=rng)

    def gap(factor, scaling):
        wide = widen(base, training, factor, scaling)
        values = []
        for seed in range(4):
            weights = wide.network.init(60, rng=seed, scale=wide.scale)
            run = sedyn.gradient_descent(wide.network, wide.training, weights, X, y)
            linearized = linearized_gradient_descent(wide.network, wide.training, weights, X, y)
            values.append(abs(run.train_error[-1] - linearized.train_error[-1]) / run.train_error[-1])
        return np.mean(values)

    assert gap(128, "ntk") < gap(1, "ntk") / 10
    assert gap(128, "maximal_update") > gap(1, "maximal_update") / 3


@pytest.mark.parametrize("scaling", ["maximal_update", "ntk"])
def test_widening_by_one_changes_nothing(scaling):
    network = sedyn.Network((3, 2, 1), ("tanh", "gelu", "identity"))
    training = sedyn.Training((0.3, 0.2, 0.1), 5)
    wide = widen(network, training, 1, scaling)
    assert wide.network == network and wide.scale == (1, 1, 1)
    np.testing.assert_array_equal(wide.training.step_size, training.step_sizes(3))


@pytest.mark.parametrize(("scaling", "order"), [("maximal_update", 0.0), ("ntk", -0.5)])
def test_how_far_each_layer_moves_when_the_network_is_widened(scaling, order, rng):
    """Over one step, at three layers. First weights, and what the hidden weights add to their outputs, move like
    c^order: that is what a scaling is. What the last layer adds to the output does not depend on c in either."""
    base, training = sedyn.Network((6, 5, 1), ("tanh", "tanh", "identity")), sedyn.Training(0.2, 1)
    X, y = sedyn.SingleIndex("linear").sample(30, sedyn.random_signal(5, rng=rng), rng=rng)
    factors, moved = [4, 16, 64], np.zeros((3, 3))
    for i, factor in enumerate(factors):
        wide = widen(base, training, factor, scaling)
        for seed in range(20):
            weights = wide.network.init(5, rng=seed, scale=wide.scale)
            final = sedyn.gradient_descent(wide.network, wide.training, weights, X, y).final
            first = np.tanh(X @ weights.first)
            second = np.tanh(first @ weights.deep[0])
            changes = [
                final.first - weights.first,
                first @ (final.deep[0] - weights.deep[0]),
                second @ (final.deep[1] - weights.deep[1]),
            ]
            moved[i] += [np.mean(change**2) for change in changes]
    slopes = np.polyfit(np.log(factors), np.log(np.sqrt(moved)), 1)[0]
    np.testing.assert_allclose(slopes, [order, order, 0.0], atol=0.2)


def test_widen_says_what_is_wrong():
    network, training = sedyn.Network((3, 1), ("tanh", "identity")), sedyn.Training(0.1, 5)
    with pytest.raises(ValueError, match="unknown scaling 'mup'"):
        widen(network, training, 2, "mup")
    with pytest.raises(ValueError, match="positive integer; got 1.5"):
        widen(network, training, 1.5)


@pytest.mark.parametrize("optimizer", [None, sedyn.Adam(0.9, 0.99, 1e-3), sedyn.Proximal(0.2), sedyn.Clip(0.3)])
def test_a_network_linear_in_its_first_layer_is_its_own_linearization(optimizer):
    network, signal = sedyn.Network((2, 1), ("identity", "identity")), sedyn.random_signal(100, rng=0)
    X, y = sedyn.SingleIndex("tanh", 0.3).sample(60, signal, rng=2)
    problem = network, sedyn.Training((0.05, 0), 15, optimizer=(optimizer, None)), network.init(100, rng=1), X, y
    plain, linearized = sedyn.gradient_descent(*problem), sedyn.linearized_gradient_descent(*problem)
    np.testing.assert_allclose(linearized.train_error, plain.train_error, rtol=1e-9)
