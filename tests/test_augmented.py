"""The estimator against a sample-by-sample reference, the truth, and the rule that it sees training data only."""

import ast
from pathlib import Path

import numpy as np
import pytest

import sedyn
from tests.conftest import general_problem, rms, weights_with


def slow_estimate(network, training, weights, X, y):
    """Theory 5 written out for one sample at a time, in plain loops."""
    m, n = X.shape
    eta = training.step_sizes(network.n_layers)
    T, q = len(eta), network.widths[0]
    run = sedyn.gradient_descent(network, training, weights, X, y, preactivations_at="all")
    D = np.zeros((m, T, T, q, q))
    R, rho = np.zeros((T, T, q, q)), np.zeros((T + 1, T, q, q))
    S, estimate = np.zeros((m, T, q)), []
    for t in range(T + 1):
        deep = tuple(W[t] for W in run.deep_weights)
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
                rho[t + 1, r] = rho[t, r] - eta[t, 0] * drift
    return np.array(estimate)


def test_matches_the_written_out_recursion(rng):
    network, training, teacher, overlaps, _ = general_problem(n_steps=6)
    weights, signal = weights_with(overlaps, 20, rng)
    X, y = teacher.sample(30, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y)
    np.testing.assert_allclose(run.estimated_error, slow_estimate(network, training, weights, X, y), rtol=1e-10)
    plain = sedyn.gradient_descent(network, training, weights, X, y)
    np.testing.assert_allclose(run.train_error, plain.train_error, rtol=1e-12)
    assert plain.estimated_error is None


@pytest.mark.parametrize("features", ["gaussian", "rademacher"])
def test_estimate_agrees_with_the_truth(rng, features):
    network, training, teacher, overlaps, phi = general_problem(n_steps=20)
    n, gaps = 300, []
    weights, signal = weights_with(overlaps, n, rng)
    for _ in range(20):
        X, y = teacher.sample(round(phi * n), signal, features, rng)
        run = sedyn.augmented_gradient_descent(
            network, training, weights, X, y, test=teacher.sample(2000, signal, features, rng)
        )
        gaps.append(run.estimated_error - run.generalization_error)
    gaps = np.array(gaps)
    z = gaps.mean(axis=0) / (gaps.std(axis=0, ddof=1) / np.sqrt(len(gaps)))
    assert rms(z) < 3
    # the training error would be a far worse guess: the check has power
    assert np.abs(gaps.mean(axis=0)).max() < 0.2 * (run.generalization_error - run.train_error).max()


def test_relu_is_refused_with_smooth_names(rng):
    network = sedyn.Network((2, 1), ("relu", "identity"))
    with pytest.raises(ValueError, match="relu has a kink.*softplus, gelu"):
        sedyn.augmented_gradient_descent(
            network, sedyn.Training(0.1, 2), network.init(5, rng), np.ones((4, 5)), np.ones(4)
        )


def test_test_labels_are_never_used(rng):
    network, training, teacher, overlaps, _ = general_problem(n_steps=4)
    weights, signal = weights_with(overlaps, 20, rng)
    X, y = teacher.sample(30, signal, rng=rng)
    X_test, y_test = teacher.sample(30, signal, rng=rng)
    run = sedyn.augmented_gradient_descent(network, training, weights, X, y, test=(X_test, y_test))
    other = sedyn.augmented_gradient_descent(network, training, weights, X, y, test=(X_test, rng.permutation(y_test)))
    np.testing.assert_array_equal(run.estimated_error, other.estimated_error)
    assert not np.array_equal(run.generalization_error, other.generalization_error)


def package_imports(module):
    tree = ast.parse((Path(sedyn.__file__).parent / f"{module}.py").read_text())
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level and not node.module
        for alias in node.names
    }


def test_the_estimator_cannot_see_the_teacher_or_the_theory():
    seen, todo = set(), ["augmented"]
    while todo:
        module = todo.pop()
        if module and module not in seen:
            seen.add(module)
            todo += package_imports(module)
    assert not seen & {"data", "evolution", "projection"}
    assert "evolution" not in package_imports("descent") and "descent" not in package_imports("evolution")
