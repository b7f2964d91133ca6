"""The two solvers against reference values, against each other, against closed forms, and at the edges."""

import pickle

import numpy as np
import pytest

import sedyn
from sedyn.common import machine
from sedyn.theory import tangent
from tests.conftest import REFERENCE, general_problem, reference_problem

KERNELS = ("C", "c", "P", "kappa", "fluctuation")


def difference_z(a, b, a_se, b_se):
    """z-scores of two solvers' values; entries that never vary must agree to rounding."""
    se = np.sqrt(np.square(a_se) + np.square(b_se))
    fixed = se < 1e-9
    assert np.abs((a - b)[fixed]).max(initial=0) < 1e-6
    return np.where(fixed, 0, (a - b) / np.where(fixed, 1, se))


@pytest.mark.seconds
@pytest.mark.parametrize("name", list(REFERENCE))
def test_reference_values(name):
    """Theory 7: within 4 combined standard errors or 0.5 %."""
    expected = REFERENCE[name]
    theory = sedyn.state_evolution(*reference_problem(name), n_paths=2**14, n_scrambles=4, rng=0)
    at = np.arange(9) * (expected["n_steps"] // 8)
    deep_end = np.concatenate([W[-1].ravel() for W in theory.deep_weights])
    deep_se = np.concatenate([W[-1].ravel() for W in theory.stderr.deep_weights])
    for value, se, listed, listed_se, rounding in (
        (theory.train_error[at], theory.stderr.train_error[at], expected["train"], expected["train_se"], 5e-5),
        (
            theory.generalization_error[at],
            theory.stderr.generalization_error[at],
            expected["general"],
            expected["general_se"],
            5e-5,
        ),
        (deep_end, deep_se, expected["deep_end"], expected["deep_se"], 5e-4),
    ):
        gap = np.abs(value - np.array(listed))
        assert np.all(gap <= np.maximum(4 * np.hypot(se, listed_se) + rounding, 0.005 * np.abs(listed)))
    assert theory.status == "ok" and np.nanmax(theory.stderr.generalization_error / theory.generalization_error) < 0.01


@pytest.mark.seconds
def test_fast_and_reference_solver_agree_entry_by_entry():
    problem = general_problem(n_steps=15)
    fast = sedyn.state_evolution(*problem, n_paths=2**13, n_scrambles=12, rng=1)
    slow = sedyn.state_evolution(*problem, n_paths=2**12, n_scrambles=24, rng=2, solver="tangent")
    pairs = {
        name: (getattr(fast, name), getattr(slow, name), getattr(fast.stderr, name), getattr(slow.stderr, name))
        for name in ("train_error", "generalization_error")
    }
    for layer in range(2):
        pairs[f"W_{layer + 2}"] = (
            fast.deep_weights[layer],
            slow.deep_weights[layer],
            fast.stderr.deep_weights[layer],
            slow.stderr.deep_weights[layer],
        )
    for name in KERNELS:
        pairs[name] = (
            getattr(fast.kernels, name),
            getattr(slow.kernels, name),
            fast.kernels.stderr(name),
            slow.kernels.stderr(name),
        )
    for name, pair in pairs.items():
        z = difference_z(*pair)
        assert np.sqrt(np.mean(z**2)) < 2.2, name  # strongly correlated entries; 12 and 24 randomizations
        assert np.abs(z).max() < 6, name
        # the check has power: entries differ from their transposes and from one another by far more than the errors
    C, se = fast.kernels.C, fast.kernels.stderr("C")
    assert np.abs(C[5, 2] - C[5, 2].T).max() > 20 * se[5, 2].max()
    np.testing.assert_allclose(C, C.transpose(1, 0, 3, 2), atol=1e-12)


@pytest.mark.seconds
def test_response_kernels_of_the_fast_solver_come_from_the_tangent_recursion():
    problem = general_problem(n_steps=6)
    fast = sedyn.state_evolution(*problem, n_paths=2**12, n_scrambles=6, responses=True, rng=1)
    slow = sedyn.state_evolution(*problem, n_paths=2**12, n_scrambles=6, rng=2, solver="tangent")
    for name in ("R", "rho"):
        z = difference_z(
            getattr(fast.kernels, name),
            getattr(slow.kernels, name),
            fast.kernels.stderr(name),
            slow.kernels.stderr(name),
        )
        assert np.abs(z).max() < 8 and np.sqrt(np.mean(z**2)) < 2
    later = np.triu_indices(6, 1)
    assert np.all(fast.kernels.R[later] == 0) and np.all(fast.kernels.rho[:6][np.triu_indices(6)] == 0)
    # theory 2: P follows from R
    P, R, eta = slow.kernels.P, slow.kernels.R, 0.3
    for t in range(6):
        drift = sum(R[t, s] @ P[s] for s in range(t + 1))
        np.testing.assert_allclose(P[t + 1], P[t] - eta * drift, atol=0.02)


def test_responses_are_there_only_where_they_were_asked_for(monkeypatch):
    """Looking for them solves nothing, whatever looks: Jupyter, pickle and help ask for every attribute."""
    with monkeypatch.context() as patch:
        patch.setattr(tangent, "solve", lambda *args, **options: pytest.fail("a solver ran"))
        kernels = run(n_steps=4, n_paths=2**9).kernels
        for name in ("R", "rho"):
            assert not hasattr(kernels, name) and getattr(kernels, name, None) is None
            with pytest.raises(AttributeError, match=f"{name} was not computed: pass responses=True, or solver='ta"):
                getattr(kernels, name)
            with pytest.raises(ValueError, match=f"{name} was not computed: pass responses=True"):
                kernels.stderr(name)
        assert "R, rho" in repr(kernels) and kernels == pickle.loads(pickle.dumps(kernels))
    asked = run(n_steps=4, n_paths=2**9, responses=True).kernels
    with monkeypatch.context() as patch:
        patch.setattr(tangent, "solve", lambda *args, **options: pytest.fail("a solver ran"))
        assert hasattr(asked, "R") and asked.R.shape == (4, 4, 2, 2) and asked.rho.shape == (5, 4, 2, 2)
        assert asked.stderr("R").shape == asked.R.shape and np.all(np.isfinite(asked.stderr("rho")))
    np.testing.assert_array_equal(asked.C, kernels.C)  # asking changes nothing else


def test_responses_come_from_as_many_runs_as_the_rest():
    theory = run(n_steps=3, n_paths=2**9, n_scrambles=3, responses=True)
    assert all(len(part) == 3 for part in theory.kernels.responses)
    slow = run(n_steps=3, n_paths=2**9, n_scrambles=3, solver="tangent")
    same = run(n_steps=3, n_paths=2**9, n_scrambles=3, solver="tangent", responses=True)
    assert same == slow and len(slow.kernels.responses) == 2
    alone = run(n_steps=3, n_paths=2**9, n_scrambles=1, responses=True)
    assert np.all(np.isnan(alone.kernels.stderr("R"))) and np.all(np.isfinite(alone.kernels.R))


@pytest.mark.parametrize("options", [{"tolerance": 3e-3}, {"dtype": np.float32}, {"tolerance": 1e-3, "dtype": float}])
def test_settings_of_the_fast_solver_are_refused_by_the_other(options):
    with pytest.raises(ValueError, match="tolerance and dtype are no settings of solver='tangent'; leave them out"):
        run(solver="tangent", n_steps=2, n_paths=2**8, **options)
    assert run(n_steps=2, n_paths=2**8, **options).status == "ok"


def test_defaults_of_the_fast_solver():
    given = run(n_steps=3, n_paths=2**9, tolerance=3e-3, dtype=np.float32)
    assert run(n_steps=3, n_paths=2**9) == given


def spectral_errors(phi, rate, n_steps, distance2, noise):
    """Exact errors of gradient descent on linear regression, m, n -> infinity: integrals over the Marchenko-Pastur law
    of the n eigenvalues of X^T X / m, with its atom at 0 when phi < 1."""
    gamma, theta = 1 / phi, np.pi / 4000 * (np.arange(4000) + 0.5)  # midpoints: the integrand is smooth and periodic
    lam = 1 + gamma + 2 * np.sqrt(gamma) * np.cos(theta)
    weight = np.pi / 4000 * (2 * np.sqrt(gamma) * np.sin(theta)) ** 2 / (2 * np.pi * gamma * lam)
    lam, weight = np.append(lam, 0.0), np.append(weight, max(0, 1 - phi))
    assert abs(weight.sum() - 1) < 1e-8
    train, general = [], []
    for t in range(n_steps + 1):
        shrink = (1 - rate * lam) ** t
        filtered = np.where(lam > 0, (1 - shrink) ** 2 / np.where(lam > 0, lam, 1), 0)
        general.append(distance2 * weight @ shrink**2 + noise**2 * (1 + gamma * weight @ filtered))
        train.append(distance2 * weight @ (lam * shrink**2) + noise**2 * (1 - gamma + gamma * weight @ shrink**2))
    return np.array(train), np.array(general)


@pytest.mark.seconds
@pytest.mark.parametrize("phi", [0.7, 1.5, 4.0])
def test_linear_network_equals_the_spectral_recursion(phi):
    """Identity activations, W_2 frozen: W_1 W_2 does gradient descent on linear regression."""
    out, eta, noise = np.array([[0.9], [-0.5]]), 0.2, 0.4
    gram, cross = np.array([[1.0, 0.3], [0.3, 0.6]]), np.array([0.4, -0.2])
    theory = sedyn.state_evolution(
        sedyn.Network((2, 1), ("identity", "identity")),
        sedyn.Training((eta, 0.0), 25),
        sedyn.SingleIndex("linear", noise),
        sedyn.Overlaps(gram, cross, 1.5, (out,)),
        phi,
        n_paths=2**13,
        rng=3,
        tolerance=1e-3,
    )
    w = out[:, 0]
    distance2 = w @ gram @ w - 2 * w @ cross + 1.5
    train, general = spectral_errors(phi, eta * w @ w, 25, distance2, noise)
    # every moment of a linear network is linear or quadratic, so the solver is exact up to its tolerance, 1e-3
    np.testing.assert_allclose(theory.train_error, train, rtol=3e-4)
    np.testing.assert_allclose(theory.generalization_error, general, rtol=3e-4)


def test_causal_and_reproducible():
    network, _, *rest = general_problem()
    long = sedyn.state_evolution(network, sedyn.Training(0.2, 9), *rest, n_paths=2**11, rng=5)
    short = sedyn.state_evolution(network, sedyn.Training(0.2, 6), *rest, n_paths=2**11, rng=5)
    again = sedyn.state_evolution(network, sedyn.Training(0.2, 9), *rest, n_paths=2**11, rng=5)
    np.testing.assert_array_equal(long.generalization_error, again.generalization_error)
    np.testing.assert_allclose(short.train_error, long.train_error[:7], rtol=1e-9)
    np.testing.assert_allclose(short.generalization_error, long.generalization_error[:7], rtol=1e-9)
    np.testing.assert_allclose(short.kernels.C, long.kernels.C[:7, :7], atol=1e-9)


@pytest.mark.seconds
def test_four_hundred_steps_stay_orthogonal():
    network, _, *rest = reference_problem("A")
    theory = sedyn.state_evolution(
        network, sedyn.Training(0.2, 400), *rest, n_paths=2**12, n_scrambles=2, tolerance=1e-2, rng=0
    )
    assert theory.status == "ok"
    assert np.all(np.diff(theory.train_error) < 1e-4) and theory.train_error[-1] > 0
    # the same run, shorter and at the safe tolerance, with its reference value at T = 40
    np.testing.assert_allclose(theory.generalization_error[40], 0.5864, rtol=0.03)


def run(network=None, step_size=0.2, n_steps=8, teacher=None, overlaps=None, phi=1.5, **options):
    network = network or sedyn.Network((2, 1), ("tanh", "identity"))
    teacher = teacher or sedyn.SingleIndex("tanh", 0.2)
    overlaps = overlaps or sedyn.Overlaps([[1.0, 0.2], [0.2, 0.8]], [0.3, 0.1], 1.0, ([[0.8], [-0.5]],))
    options = {"n_paths": 2**12, "rng": 4} | options
    return sedyn.state_evolution(network, sedyn.Training(step_size, n_steps), teacher, overlaps, phi, **options)


@pytest.mark.parametrize("solver", ["projection", "tangent"])
def test_population_limit(solver):
    theory = run(phi=np.inf, solver=solver)
    # no data reuse: a training sample is as good as a fresh one, and W_1 moves without noise
    np.testing.assert_allclose(theory.train_error, theory.generalization_error, rtol=0.01)
    assert np.all(theory.kernels.fluctuation == 0)
    assert np.all(run(phi=np.inf, n_steps=4, responses=True).kernels.rho == 0)
    close = run(phi=2000.0, solver=solver)
    np.testing.assert_allclose(close.generalization_error, theory.generalization_error, rtol=0.01)


@pytest.mark.parametrize("solver", ["projection", "tangent"])
def test_no_steps(solver):
    theory = run(n_steps=0, solver=solver)
    assert theory.train_error.shape == (1,) and theory.kernels.C.shape == (1, 1, 2, 2)
    np.testing.assert_allclose(theory.train_error, theory.generalization_error, rtol=0.02)


def test_one_neuron_and_no_noise():
    one = sedyn.Overlaps([[1.0]], [0.4], 1.0, ([[0.7]],))
    fast = run(
        sedyn.Network((1, 1), ("tanh", "identity")), overlaps=one, teacher=sedyn.SingleIndex("tanh", 0.0), n_scrambles=8
    )
    slow = run(
        sedyn.Network((1, 1), ("tanh", "identity")),
        overlaps=one,
        teacher=sedyn.SingleIndex("tanh", 0.0),
        n_scrambles=16,
        solver="tangent",
    )
    z = difference_z(
        fast.generalization_error,
        slow.generalization_error,
        fast.stderr.generalization_error,
        slow.stderr.generalization_error,
    )
    assert np.abs(z).max() < 5


def test_a_teacher_that_is_the_student_is_never_left():
    same = sedyn.Overlaps([[1.0]], [1.0], 1.0, ([[1.0]],))
    theory = run(sedyn.Network((1, 1), ("tanh", "identity")), overlaps=same, teacher=sedyn.SingleIndex("tanh", 0.0))
    assert theory.train_error.max() < 1e-12 and theory.generalization_error.max() < 1e-12


def test_frozen_layers():
    frozen = run(step_size=(0.0, 0.3))
    np.testing.assert_allclose(frozen.kernels.C, np.broadcast_to([[1.0, 0.2], [0.2, 0.8]], (9, 9, 2, 2)), atol=1e-10)
    assert frozen.generalization_error[-1] < frozen.generalization_error[0]
    still = run(step_size=(0.3, 0.0))
    assert np.ptp(still.deep_weights[0], axis=0).max() < 1e-14
    nothing = run(step_size=0.0)
    assert np.ptp(nothing.generalization_error) < 1e-12


@pytest.mark.parametrize("solver", ["projection", "tangent"])
def test_no_signal(solver):
    """Labels are noise alone: the generalization error starts at E f^2 + E y^2 and c stays 0."""
    overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 0.0, ([[0.8], [-0.5]],))
    theory = run(overlaps=overlaps, teacher=sedyn.SingleIndex("tanh", 0.5), solver=solver)
    assert np.all(theory.kernels.c == 0) and np.all(theory.kernels.kappa == 0)
    assert theory.generalization_error[-1] > 0.25 > theory.train_error[-1] * 0.99


def test_discontinuous_link_agrees_with_the_reference():
    sign = sedyn.SingleIndex("sign", 0.1)
    fast, slow = run(teacher=sign, n_scrambles=8), run(teacher=sign, n_scrambles=16, solver="tangent")
    for name in ("train_error", "generalization_error"):
        z = difference_z(
            getattr(fast, name), getattr(slow, name), getattr(fast.stderr, name), getattr(slow.stderr, name)
        )
        assert np.abs(z).max() < 5
    z = difference_z(fast.kernels.c, slow.kernels.c, fast.kernels.stderr("c"), slow.kernels.stderr("c"))
    assert np.abs(z).max() < 5


def test_singular_start():
    """Two equal neurons, and one along the signal: a singular gram matrix is a legitimate start."""
    twins = sedyn.Overlaps(np.ones((2, 2)), np.ones(2) * 0.5, 1.0, ([[0.8], [-0.5]],))
    aligned = sedyn.Overlaps(np.eye(2), [1.0, 0.0], 1.0, ([[0.8], [-0.5]],))
    zero = sedyn.Overlaps(np.zeros((2, 2)), np.zeros(2), 1.0, ([[0.8], [-0.5]],))
    for overlaps in (twins, aligned, zero):
        theory = run(overlaps=overlaps)
        assert theory.status == "ok" and np.all(np.isfinite(theory.kernels.C)) and np.all(np.isfinite(theory.kernels.P))


def test_relu_runs_fast_and_is_refused_by_the_reference():
    network = sedyn.Network((2, 1), ("relu", "identity"))
    theory = run(network)
    assert theory.generalization_error[-1] < theory.generalization_error[0]
    with pytest.raises(ValueError, match="kink.*softplus"):
        run(network, responses=True)
    with pytest.raises(ValueError, match="kink.*softplus"):
        run(network, solver="tangent")


@pytest.mark.parametrize("solver", ["projection", "tangent"])
def test_divergence_is_reported_with_its_step(solver):
    theory = run(sedyn.Network((2, 1), ("identity", "identity")), step_size=40.0, n_steps=25, solver=solver)
    reached = len(theory.train_error)
    assert (
        theory.status == "diverged" and f"at step {reached}" in theory.message and "lower step_size" in theory.message
    )
    assert reached < 26 and all(len(x) == reached for x in (theory.generalization_error, *theory.deep_weights))
    assert np.all(np.isfinite(theory.generalization_error)) and theory.kernels.C.shape[0] == reached


def test_interruption_keeps_complete_randomizations(monkeypatch):
    whole = run(n_scrambles=2, n_steps=40)

    def interrupted(futures, return_when):
        for future in futures[:2]:
            future.result()
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "wait", interrupted)
    theory = run(n_scrambles=50, n_steps=40)
    assert 2 <= theory.n_scrambles < 50 and theory.status == "interrupted"
    assert f"after {theory.n_scrambles} of 50" in theory.message
    assert theory.train_error.shape == (41,) and np.all(np.isfinite(theory.stderr.train_error))
    np.testing.assert_allclose(theory.train_error, whole.train_error, rtol=0.05)


@pytest.mark.seconds
def test_standard_errors_cover_the_truth():
    """Against a far better solution: the spread over scramblings is an honest error bar."""
    best = run(n_paths=2**16, n_scrambles=4, rng=9)
    z = []
    for seed in range(12):
        theory = run(n_paths=2**10, n_scrambles=4, rng=100 + seed)
        z.append((theory.generalization_error - best.generalization_error)[4:] / theory.stderr.generalization_error[4:])
    # t-distributed with 3 degrees of freedom: variance 3, allow for the few independent draws
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 3


def test_save_and_load(tmp_path):
    theory = run(n_steps=3, n_paths=2**10, responses=True)
    back = sedyn.Evolution.load(theory.save(tmp_path / "theory.npz"))
    np.testing.assert_array_equal(back.generalization_error, theory.generalization_error)
    np.testing.assert_array_equal(back.kernels.C, theory.kernels.C)
    np.testing.assert_array_equal(back.kernels.R, theory.kernels.R)
    assert back == theory
    np.testing.assert_array_equal(back.stderr.deep_weights[0], theory.stderr.deep_weights[0])
    unasked = sedyn.Evolution.load(run(n_steps=3, n_paths=2**10).save(tmp_path / "unasked"))
    with pytest.raises(AttributeError, match="R was not computed: pass responses=True"):
        _ = unasked.kernels.R


def test_population_error_matches_a_test_set(rng):
    network = sedyn.Network((3, 2, 1), ("tanh", "relu", "identity"))
    weights, signal = network.init(50, rng=rng), sedyn.random_signal(50, rng=rng)
    teacher = sedyn.SingleIndex("sign", 0.3)
    X, y = teacher.sample(200_000, signal, rng=rng)
    squared = (network.predict(weights, X) - y) ** 2
    error = sedyn.population_error(network, teacher, sedyn.Overlaps.of(weights, signal), rng=0)
    assert abs(squared.mean() - error) < 4 * squared.std() / np.sqrt(len(y)) + 1e-3


GOOD = dict(gram=np.eye(2), cross=np.zeros(2), signal_gram=1.0, deep=([[0.8], [-0.5]],))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gram": [[1.0, 0.5], [0.4, 1.0]]}, "gram must be symmetric"),
        ({"gram": [[1.0, 2.0], [2.0, 1.0]]}, "gram and cross fit no weights"),
        ({"cross": [1.2, 0.0]}, "gram and cross fit no weights"),
        ({"cross": [0.1, 0.1, 0.1]}, r"gram must have shape \(q, q\) and cross \(q,\)"),
        ({"signal_gram": -1.0}, "signal_gram must be >= 0"),
        ({"signal_gram": 0.0, "cross": [0.1, 0.0]}, "cross 0 where it is 0"),
        ({"gram": np.full((2, 2), np.nan)}, "finite"),
    ],
)
def test_bad_overlaps(changes, message):
    with pytest.raises(ValueError, match=message):
        sedyn.Overlaps(**(GOOD | changes))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"phi": 0}, "aspect_ratio must be m / n"),
        ({"phi": -1.0}, "aspect_ratio must be m / n"),
        ({"phi": np.nan}, "aspect_ratio must be m / n"),
        ({"n_paths": 10}, "n_paths must be an integer of at least 64 for q = 2"),
        ({"n_paths": 64, "n_steps": 30}, "n_paths = 64 is too small: at step .* use n_paths = "),
        ({"n_scrambles": 0}, "n_scrambles"),
        ({"solver": "magic"}, "unknown solver 'magic'; use one of projection, two-sided, tangent"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"step_size": (0.1, 0.1, 0.1)}, r"step_size has shape \(3,\)"),
        ({"network": sedyn.Network((3, 1), ("tanh", "identity"))}, "deep weights of shapes"),
        ({"overlaps": sedyn.Overlaps(np.eye(3), np.zeros(3), 1.0, ([[0.8], [-0.5]],))}, "first layer has 2 neurons"),
        ({"teacher": sedyn.SingleIndex(lambda z: z * np.nan)}, "finite numbers"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_reference_solver_announces_memory_it_cannot_have():
    with pytest.raises(MemoryError, match="GiB.*lower n_paths or n_steps, or use solver='projection'"):
        run(n_steps=2000, n_paths=2**16, solver="tangent")


@pytest.mark.parametrize("solver", ["projection", "tangent"])
@pytest.mark.parametrize("later", [0.0, 0.3])
def test_theory_of_fewer_steps_is_the_beginning_of_the_theory_of_more(solver, later):
    """For the same seed, with blocks and batches, and whether or not the first layer has moved so far."""
    network, overlaps = (
        sedyn.Network((2, 1), ("tanh", "identity")),
        sedyn.Overlaps(
            [np.eye(2)] * 2, [[0.3, 0.0]] * 2, [1.0, 1.0], ([[1.0], [-0.5]],), blocks=[(0.5, 0.5), (0.5, 1.5)]
        ),
    )

    def solve(n_steps):
        training = sedyn.Training(lambda t: (0.3 if t > 2 else later, 0.2), n_steps, batch_fraction=0.5)
        options = {"aspect_ratio": 1.5, "n_paths": 2**8, "solver": solver, "rng": 0, "n_scrambles": 2}
        return sedyn.state_evolution(network, training, sedyn.SingleIndex("tanh", 0.3), overlaps, **options)

    long = solve(6)
    for n_steps in (0, 2, 5):
        short = solve(n_steps)
        for name in ("train_error", "generalization_error"):
            np.testing.assert_allclose(getattr(short, name), getattr(long, name)[: n_steps + 1], rtol=1e-6)
