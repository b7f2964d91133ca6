"""The solver for updates that act entry by entry: reference values, the fast solver, and simulation."""

import numpy as np
import pytest

import sedyn
from tests.conftest import REFERENCE

A = REFERENCE["A"]
NETWORK = sedyn.Network(A["widths"], A["activations"])
TEACHER = sedyn.SingleIndex(A["link"], A["noise"])
GAUSSIAN = sedyn.Overlaps(np.eye(3), np.zeros(3), 1.0, A["deep"])

# Theory 10: t = 0, 5, .., 40; step of the first layer, of the second, and what was found, with its standard error
VALUES = {
    "Adam": (
        (0.05, 0.05, sedyn.Adam(0.9, 0.99, 1e-3)),
        [2.2743, 1.3276, 0.8180, 0.5361, 0.3724, 0.2720, 0.2073, 0.1634, 0.1323],
        [2.2742, 1.7281, 1.4050, 1.1980, 1.0584, 0.9596, 0.8865, 0.8310, 0.7883],
    ),
    "sign": (
        (0.03, 0.05, sedyn.SignDescent()),
        [2.2743, 1.6112, 1.1651, 0.8430, 0.6023, 0.4229, 0.2924, 0.2003, 0.1369],
        [2.2742, 1.8758, 1.6057, 1.4021, 1.2378, 1.1007, 0.9855, 0.8888, 0.8094],
    ),
    "proximal": (
        (0.2, 0.2, sedyn.Proximal(0.2)),
        [2.2743, 0.4523, 0.2183, 0.1487, 0.1230, 0.1122, 0.1068, 0.1031, 0.1001],
        [2.2742, 1.0303, 0.7500, 0.6214, 0.5536, 0.5156, 0.4938, 0.4810, 0.4733],
    ),
}
REFERENCE_ERROR = 0.0009


def training(step, deep_step, optimizer, n_steps=40, **options):
    return sedyn.Training((step, deep_step), n_steps, optimizer=(optimizer, None), **options)


ONE = [pytest.param(name, marks=[pytest.mark.minutes] * (name != "Adam")) for name in VALUES]


@pytest.mark.seconds
@pytest.mark.parametrize("name", ONE)
def test_the_reference_values_are_met(name):
    rule, train, general = VALUES[name]
    theory = sedyn.state_evolution(NETWORK, training(*rule), TEACHER, GAUSSIAN, A["aspect_ratio"], rng=1)
    assert theory.solver == "two-sided" and theory.status == "ok"
    for found, error, expected in (
        (theory.train_error, theory.stderr.train_error, train),
        (theory.generalization_error, theory.stderr.generalization_error, general),
    ):
        z = (found[::5] - expected) / np.hypot(error[::5], REFERENCE_ERROR)
        assert np.abs(z).max() < 3.5, (name, z)


@pytest.mark.seconds
@pytest.mark.parametrize("aspect_ratio", [pytest.param(1.5, marks=pytest.mark.minutes), 0.5, np.inf])
def test_a_linear_rule_is_what_the_fast_solver_says(aspect_ratio):
    """Decay and batches too; by the solver asked for, and by an optimizer that happens to be linear."""
    options = {"batch_fraction": 0.5, "batch": "bernoulli"}
    problem = NETWORK, sedyn.Training(0.2, 25, weight_decay=0.1, **options), TEACHER, GAUSSIAN, aspect_ratio
    fast = sedyn.state_evolution(*problem, rng=0)
    slow = sedyn.state_evolution(*problem, solver="two-sided", rng=1)
    same = NETWORK, sedyn.Training(0.2, 25, weight_decay=0.1, optimizer=sedyn.Proximal(0.0), **options)
    third = sedyn.state_evolution(*same, TEACHER, GAUSSIAN, aspect_ratio, rng=2)
    assert (fast.solver, slow.solver, third.solver) == ("projection", "two-sided", "two-sided")
    for other in (slow, third):
        for name in ("train_error", "generalization_error"):
            difference = getattr(fast, name) - getattr(other, name)
            error = np.hypot(getattr(fast.stderr, name), getattr(other.stderr, name))
            assert np.abs(difference / (error + 1e-9)).max() < 4.2, name
        for name in ("C", "c", "P"):
            difference = getattr(fast.kernels, name) - getattr(other.kernels, name)
            error = np.hypot(fast.kernels.stderr(name), other.kernels.stderr(name))
            assert np.abs(difference / (error + 1e-6)).max() < 5.5, name


def sparse_problem(n=400):
    rng = np.random.default_rng(3)
    weights = sedyn.Weights(NETWORK.init(n, rng=rng).first, A["deep"])
    signal = np.zeros(n)
    signal[: n // 20] = rng.standard_normal(n // 20)
    return weights, signal / np.linalg.norm(signal)


@pytest.mark.seconds
@pytest.mark.parametrize("name", ONE)
def test_a_sparse_signal_is_seen_and_simulation_agrees(name):
    """From the actual rows; Gaussian rows of the same overlaps are far off."""
    step, deep_step, optimizer = VALUES[name][0]
    weights, signal = sparse_problem()
    overlaps = sedyn.Overlaps.of(weights, signal)
    problem = NETWORK, training(step, deep_step, optimizer, 25), TEACHER
    theory = sedyn.state_evolution(*problem, overlaps, 1.5, first_weights_at=[25], rng=0)
    runs = sedyn.simulate(*problem, weights, signal, 600, 24, first_weights_at=[25], rng=1)
    for kind in ("train_error", "generalization_error"):
        z = sedyn.z_scores(getattr(runs, kind), getattr(theory, kind), getattr(theory.stderr, kind))
        assert np.abs(z).max() < 4, kind
    plain = sedyn.Overlaps(overlaps.gram, overlaps.cross, overlaps.signal_gram, overlaps.deep)
    other = sedyn.state_evolution(*problem, plain, 1.5, rng=0)
    spread = runs.generalization_error[:, -1].std(ddof=1) / np.sqrt(24)
    assert abs(other.generalization_error[-1] - runs.generalization_error[:, -1].mean()) > 10 * spread
    # the law of the weights: moments of what is not Gaussian, feature by feature of the signal's two kinds
    law = theory.first_weights_law(25)
    assert law.now.shape == law.start.shape == (len(law.signal), 3)
    rows = np.sqrt(400) * runs.first_weights[:, 0]  # (runs, n, q)
    for found, drawn in ((law.signal == 0, signal == 0), (law.signal != 0, signal != 0)):
        for power in (1, 2, 4):
            each = (np.abs(rows[:, drawn]) ** power).mean(axis=1)
            predicted = (np.abs(law.now[found]) ** power).mean(axis=0)
            # the law comes from finitely many features, too
            error = (np.abs(law.now[found]) ** power).std(axis=0) / np.sqrt(np.count_nonzero(found))
            assert np.abs(sedyn.z_scores(each, predicted, error)).max() < 4.2
    if name == "proximal":
        zeros = np.mean(law.now == 0), np.mean(runs.first_weights == 0, axis=(1, 2, 3))
        assert zeros[0] > 0.2 and abs(zeros[0] - zeros[1].mean()) < 5 * zeros[1].std() / np.sqrt(24) + 0.005


def test_the_law_of_a_linear_rule_is_gaussian_around_its_start():
    weights, signal = sparse_problem()
    for overlaps in (sedyn.Overlaps.of(weights, signal), GAUSSIAN):
        theory = sedyn.state_evolution(NETWORK, sedyn.Training(0.2, 6), TEACHER, overlaps, 1.5, accuracy=0.05, rng=0)
        law, kernels = theory.first_weights_law(6, n_samples=40_000, rng=1), theory.kernels
        left = law.now - law.start @ kernels.P[6].T - np.outer(law.signal, kernels.kappa[6])
        np.testing.assert_allclose(left.T @ left / len(left), kernels.fluctuation[6, 6], atol=0.01)
        assert abs(np.mean(left[:, 0] ** 4) / np.mean(left[:, 0] ** 2) ** 2 - 3) < 0.1
        np.testing.assert_allclose(law.start.T @ law.signal / len(left), overlaps.cross[0, :, 0], atol=0.02)
    with pytest.raises(ValueError, match="t must be a step of this theory, 0..6; got 7"):
        theory.first_weights_law(7)


def test_results_survive_a_file_and_repeat(tmp_path):
    problem = NETWORK, training(0.05, 0.05, sedyn.Adam(), 4), TEACHER, sedyn.Overlaps.of(*sparse_problem(60)), 1.5
    theory, again = (sedyn.state_evolution(*problem, n_paths=2**10, first_weights_at="all", rng=0) for _ in range(2))
    assert theory == again
    back = sedyn.Evolution.load(theory.save(tmp_path / "theory"))
    np.testing.assert_array_equal(back.first_weights_law(3).now, theory.first_weights_law(3).now)
    np.testing.assert_array_equal(back.kernels.start.rows, theory.kernels.start.rows)


@pytest.mark.seconds
def test_a_signal_on_few_of_many_features_is_not_lost(monkeypatch):
    """Features are drawn only where that keeps the overlaps."""
    monkeypatch.setattr("sedyn.theory.two_sided.ALL", 0)
    n = 9000
    weights, signal = sedyn.Weights(NETWORK.init(n, rng=0).first, A["deep"]), np.zeros(n)
    signal[:3] = 3**-0.5
    problem = NETWORK, training(0.2, 0.2, sedyn.Proximal(0.2)), TEACHER, sedyn.Overlaps.of(weights, signal), 1.5
    few, many = (sedyn.state_evolution(*problem, n_paths=n_paths, n_scrambles=4, rng=0) for n_paths in (2**11, 2**13))
    z = (few.train_error - many.train_error) / np.hypot(few.stderr.train_error, many.stderr.train_error)
    assert np.abs(z).max() < 6


def test_the_noise_of_small_gradients_is_told_where_it_matters():
    for optimizer, told in ((sedyn.Adam(), True), ((sedyn.Adam(), None), False), (sedyn.Clip(1.0), False)):
        theory = sedyn.state_evolution(
            NETWORK, sedyn.Training(0.05, 3, optimizer=optimizer), TEACHER, GAUSSIAN, 1.5, n_paths=2**10, rng=0
        )
        assert theory.status == "ok" and ("large steps of small gradients" in theory.message) == told


@pytest.mark.seconds
def test_many_features_are_drawn_from(monkeypatch):
    """More actual rows than paths."""
    monkeypatch.setattr("sedyn.theory.two_sided.ALL", 0)
    n = 9000
    weights, signal = sedyn.Weights(NETWORK.init(n, rng=0).first, A["deep"]), sedyn.random_signal(n, rng=1)
    problem = NETWORK, training(0.05, 0.05, sedyn.Adam(), 8), TEACHER
    one = sedyn.state_evolution(*problem, sedyn.Overlaps.of(weights, signal), 1.5, n_paths=2**11, n_scrambles=8, rng=0)
    two = sedyn.state_evolution(*problem, sedyn.Overlaps.of(weights, signal), 1.5, n_paths=2**14, rng=0)
    z = (one.train_error - two.train_error) / np.hypot(one.stderr.train_error, two.stderr.train_error)
    assert np.abs(z).max() < 5


@pytest.mark.parametrize(
    "options, message",
    [
        ({"responses": True}, "responses=True needs a first layer that moves by plain gradient descent"),
        ({"solver": "tangent"}, "it has the optimizer Adam"),
        ({"solver": "projection"}, "leave it out, and the two-sided solver follows any"),
        ({"n_paths": 2**7, "n_scrambles": 2}, "n_paths = 128 is too small.*use n_paths = "),
        ({"first_weights_at": [41]}, "first_weights_at must be 'all' or a sequence of steps in 0..40"),
    ],
)
def test_what_the_solver_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        sedyn.state_evolution(NETWORK, training(0.05, 0.05, sedyn.Adam()), TEACHER, GAUSSIAN, 1.5, rng=0, **options)


def test_correlated_features_rows_that_do_not_fit_and_steps_not_kept():
    weights, signal = sparse_problem(60)
    blocks = sedyn.Overlaps.of(weights, signal, covariance=np.repeat([0.5, 1.5], 30))
    problem = NETWORK, training(0.05, 0.05, sedyn.Adam(), 3), TEACHER
    with pytest.raises(ValueError, match="no update but a linear one acts entry by entry"):
        sedyn.state_evolution(*problem, blocks, 1.5)
    theory = sedyn.state_evolution(*problem, GAUSSIAN, 1.5, n_paths=2**10, rng=0)
    with pytest.raises(ValueError, match=r"call state_evolution with 3 in first_weights_at"):
        theory.first_weights_law(3)
    overlaps = sedyn.Overlaps.of(weights, signal)
    with pytest.raises(ValueError, match="rows have other overlaps than those given"):
        sedyn.Overlaps(overlaps.gram, overlaps.cross, overlaps.signal_gram, A["deep"], rows=2 * overlaps.rows)
    with pytest.raises(ValueError, match=r"rows must hold sqrt\(n\) \(mu, W_1\)"):
        sedyn.Overlaps(overlaps.gram, overlaps.cross, overlaps.signal_gram, A["deep"], rows=overlaps.rows[:, :2])
    with pytest.raises(ValueError, match="householder_dice needs a first layer that moves by plain gradient descent"):
        sedyn.householder_dice(*problem, GAUSSIAN, 300, 200)
