"""R and rho against finite perturbations of simulated gradient descent: what the symbols mean, measured."""

import numpy as np
import pytest

import sedyn
from sedyn.model import Small, validate_problem
from sedyn.theory.tangent import _ExtendedCholesky
from tests.conftest import general_problem, rms


def strongly_asymmetric_problem(n_steps):
    """Large first-layer steps on few samples, so that responses at a lag are far from symmetric q x q matrices."""
    return (
        sedyn.Network((2, 2, 1), ("tanh", "identity", "identity")),
        sedyn.Training((0.8, 0.1, 0.1), n_steps),
        sedyn.SingleIndex("linear", 0.3),
        sedyn.Overlaps([[1.0, 0.5], [0.5, 0.5]], [0.5, 0.4], 1.0, ([[1.5, 0.8], [0.2, -1.0]], [[1.5], [0.8]])),
        0.8,
    )


def descent_with_kicks(problem, weights, X, y, kick_u=None, kick_W=None):
    """Plain gradient descent; at step s, `kick_u` = (s, du) moves the training preactivations (q, m) where S_s is
    computed, and `kick_W` = (s, dW) moves W_1 right after the update of step s. Returns all W_1 and S."""
    network, training, *_ = problem
    eta = training.step_sizes(network.n_layers)
    W, V, m = weights.first, list(weights.deep), len(y)
    all_W, all_S = [W], []
    for t, step in enumerate(eta):
        u = (X @ W).T
        if kick_u and kick_u[0] == t:
            u = u + kick_u[1]
        S, gradients, _ = network.gradients(u, y, Small(tuple(V)))
        W = W - step[0] / m * X.T @ S.T
        if kick_W and kick_W[0] == t:
            W = W + kick_W[1]
        V = [w - e / m * g for w, e, g in zip(V, step[1:], gradients.deep, strict=True)]
        all_W.append(W)
        all_S.append(S)
    return np.array(all_W), np.array(all_S)


@pytest.mark.minutes
def test_responses_match_finite_perturbations_of_simulations(rng):
    T, n, n_runs, eps = 4, 1200, 80, 1e-4
    problem = strongly_asymmetric_problem(T)
    network, training, teacher, overlaps, phi = problem
    q, m, eta = 2, round(phi * n), 0.8
    theory = sedyn.state_evolution(*problem, n_paths=2**13, n_scrambles=8, rng=0, solver="tangent")
    R, rho = np.zeros((n_runs, T, T, q, q)), np.zeros((n_runs, T + 1, T, q, q))
    weights, signal = overlaps.realize(n, rng=rng)
    for run in range(n_runs):
        X, y = teacher.sample(m, signal, rng=rng)
        W, S = descent_with_kicks(problem, weights, X, y)
        g = rng.choice([-1.0, 1.0], m)  # a feature that no weight has seen
        fresh = rng.standard_normal((100, n))  # samples not trained on
        sign = rng.choice([-1.0, 1.0], 100)
        for s in range(T):
            for b in range(q):
                # R: a feature whose weight moves neuron b's preactivation at step s changes its own mean gradient
                _, moved = descent_with_kicks(problem, weights, X, y, kick_u=(s, eps * np.eye(q)[:, [b]] * g))
                R[run, :, s, :, b] = (moved - S) @ g / (m * eps)
                # rho: a sample whose gradient S_s moves by eps e_b changes its own later preactivations
                dW = -eta / m * eps * np.outer(sign @ fresh, np.eye(q)[b])
                moved, _ = descent_with_kicks(problem, weights, X, y, kick_W=(s, dW))
                rho[run, :, s, :, b] = np.einsum("j,jn,tna->ta", sign, fresh, moved - W) / (eps * len(sign))
    for name, measured in (("R", R), ("rho", rho)):
        expected, se = getattr(theory.kernels, name), theory.kernels.stderr(name)
        spread = np.sqrt(measured.var(axis=0, ddof=1) / n_runs + se**2)
        causal = spread > 1e-9
        assert np.abs((measured.mean(axis=0) - expected)[~causal]).max() < 1e-6
        z = ((measured.mean(axis=0) - expected) / np.where(causal, spread, 1))[causal]
        assert rms(z) < 1.5 and np.abs(z).max() < 6, name
        # power: the transposed kernel, a typical mistake, is far away
        transposed = ((measured.mean(axis=0) - expected.swapaxes(-1, -2)) / np.where(causal, spread, 1))[causal]
        assert np.abs(transposed).max() > 8, name


def test_extended_cholesky_of_a_singular_covariance(rng):
    a = rng.standard_normal((6, 4))  # rank 4
    covariance = a @ a.T
    cholesky = _ExtendedCholesky(6)
    for end in (2, 4, 6):
        cholesky.extend(covariance[end - 2 : end, :end])
    np.testing.assert_allclose(cholesky.factor @ cholesky.factor.T, covariance, atol=1e-10)
    assert np.all(np.triu(cholesky.factor, 1) == 0)


@pytest.mark.seconds
@pytest.mark.parametrize("solver", ["projection", "tangent"])
def test_quasi_and_plain_monte_carlo_agree(solver):
    from sedyn.theory import projection, tangent

    problem = validate_problem(*general_problem(n_steps=6))
    solve = tangent.solve if solver == "tangent" else projection.solve
    more = {} if solver == "tangent" else {"tolerance": 1e-3}
    errors = {
        quasi: np.array(
            [
                solve(
                    problem, n_paths=2**12, rng=np.random.default_rng(seed), step=lambda: None, quasi=quasi, **more
                ).train
                for seed in range(10)
            ]
        )[:, :, 0]
        for quasi in (True, False)
    }
    se = np.sqrt(sum(e.var(axis=0, ddof=1) / len(e) for e in errors.values()))
    assert np.abs((errors[True].mean(axis=0) - errors[False].mean(axis=0)) / se).max() < 5
