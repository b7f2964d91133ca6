"""Householder dice against gradient descent on features that were drawn, law against law, and at the edges."""

import numpy as np
import pytest
from scipy import stats

import sedyn
from sedyn import z_scores
from sedyn.recursion import basis
from sedyn.theory import dice
from tests.conftest import general_problem, reference_problem, rms


def observables(train, general, deep, C, c):
    """What the laws are compared in, at an early step, half way and at the end: both errors, deep weights, and the
    kernels with their entries off the diagonal."""
    T = len(train) - 1
    at = np.array([1, T // 2, T])
    diagonal = [C[t, t][np.triu_indices(3)] for t in at]
    parts = [train[at], general[at], *(W[at[1:]] for W in deep), *diagonal, C[T, T // 2], c[at]]
    return np.concatenate([np.ravel(part) for part in parts])


def simulated(problem, m, n, n_runs, rng):
    """Observables of gradient descent on explicit X, (n_runs, p)."""
    network, training, teacher, overlaps, _ = problem
    weights, signal = overlaps.realize(n, rng=rng)
    n_paths = 2**12 if n < 100 else 2**14  # the error of the integral must stay below the spread of every component
    runs = sedyn.simulate(network, training, teacher, weights, signal, m, n_runs, n_paths=n_paths, rng=rng)
    errors, deep = zip(runs.train_error, runs.generalization_error, strict=True), zip(*runs.deep_weights, strict=True)
    return np.array([observables(*e, W, C, c) for e, W, C, c in zip(errors, deep, runs.C, runs.c, strict=True)])


def diced(problem, m, n, n_runs, rng, **options):
    rows = []
    for _ in range(n_runs):
        run = sedyn.householder_dice(*problem[:4], m, n, rng=rng, **options)
        rows.append(observables(run.train_error, run.generalization_error, run.deep_weights, run.C, run.c))
    return np.array(rows)


def compare_laws(a, b):
    """z-scores of the means and of all (co)variances of two samples (runs, p), in coordinates where the entries are
    uncorrelated: the principal components of the observables that carry at least 1e-4 of their variance each.

    Under equal laws the means give independent standard normal z. Those of the covariances are uncorrelated for
    Gaussian observables."""
    both = np.concatenate([a - a.mean(axis=0), b - b.mean(axis=0)])
    scale = both.std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(both.T))
    kept = values > 1e-4 * len(values)
    to_components = (vectors / np.sqrt(np.where(kept, values, 1)))[:, kept] / scale[:, None]
    a, b = a @ to_components, b @ to_components
    i, j = np.triu_indices(a.shape[1])

    def difference(x, y):
        return z_scores(x, y.mean(axis=0), y.std(axis=0, ddof=1) / np.sqrt(len(y)))

    def products(x):
        x = x - x.mean(axis=0)
        return x[:, i] * x[:, j]

    return difference(a, b), difference(products(a), products(b))


def beyond(n_entries, probability=1e-5):
    """The root mean square that n independent standard normal numbers exceed with this probability."""
    return float(np.sqrt(stats.chi2.isf(probability, n_entries) / n_entries))


def test_triangle_is_that_of_a_gaussian_matrix(rng):
    """Entry by entry, means and (co)variances, in a size where one degree of freedom more or less is a tenth."""
    drawn = np.array([dice.gaussian_triangle(5, 3, rng) for _ in range(4000)])
    triangles = np.linalg.qr(rng.standard_normal((4000, 5, 3)), mode="r")
    signs = np.sign(np.diagonal(triangles, axis1=1, axis2=2))
    assert np.all(drawn[:, [1, 2, 2], [0, 0, 1]] == 0)
    upper = np.triu_indices(3)
    for z in compare_laws(drawn[:, *upper], (signs[:, :, None] * triangles)[:, *upper]):
        assert rms(z) < beyond(len(z)), z


def revealed(problem, m, n, rng, monkeypatch):
    """A run whose triangles come from Gaussian matrices that were drawn, so that its frame is known in R^n.

    Returns the run; what it is a run on, X, y, the weights at the start and the signal; and of every step the frame
    before it and the Gaussian matrix outside of it, both in R^n."""
    network, training, _, overlaps, _ = problem
    frame = np.linalg.qr(rng.standard_normal((n, network.widths[0] + 1)))[0]
    weights = sedyn.Weights(frame @ overlaps.loadings.T, overlaps.deep)
    signal = frame @ overlaps.signal_loadings[0]
    descend, seen, drawn = dice.descend_on_columns, {}, []

    def triangle(n_rows, d, rng):
        nonlocal frame
        outside = np.linalg.qr(frame, mode="complete")[0][:, frame.shape[1] :]
        assert outside.shape[1] == n_rows  # or the Gaussian matrix has the wrong number of rows
        R, T = np.linalg.qr(rng.standard_normal((n_rows, d)))
        signs = np.sign(np.diag(T))
        drawn.append((frame, outside @ R @ T))
        frame = np.column_stack([frame, outside @ (R * signs)])
        return signs[:, None] * T

    def capture(problem, columns, Y, *arguments, **options):
        seen.update(columns=columns, Y=Y)
        return descend(problem, columns, Y, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(dice, "gaussian_triangle", triangle)
        patch.setattr(dice, "descend_on_columns", capture)
        run = sedyn.householder_dice(*problem[:4], m, n, tolerance=1e-7, dtype=np.float64, rng=rng)
    columns = seen["columns"].combine(np.eye(len(seen["columns"])))
    return run, ((frame @ columns).T, seen["Y"], weights, signal), drawn


@pytest.mark.seconds
def test_it_is_gradient_descent_on_what_it_reveals(rng, monkeypatch):
    """n = 1 + q + q T: a run reveals all of X, column by column. Gradient descent on that X is the same run, number by
    number; each new direction of its gradients met the Gaussian matrix that was drawn for it; and X is standard
    Gaussian, although its columns were drawn to the needs of training: E tr X^T X = m n and
    E tr (X^T X)^2 = m n (m + n + 1)."""
    problem = general_problem(n_steps=5)
    network, training = problem[:2]
    m, n, moments = 24, 1 + 3 + 3 * 5, []
    for _ in range(150):
        run, (X, y, weights, signal), drawn = revealed(problem, m, n, rng, monkeypatch)
        assert run.loadings.shape == (6, 3, n) and run.status == "ok"
        same = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at="all", preactivations_at="all")
        np.testing.assert_allclose(run.train_error, same.train_error, rtol=1e-5)
        for ours, theirs in zip(run.deep_weights, same.deep_weights, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
        W = same.first_weights
        np.testing.assert_allclose(run.C, np.einsum("tnk,snl->tskl", W, W, optimize=True), atol=1e-5)
        np.testing.assert_allclose(run.c, W.transpose(0, 2, 1) @ signal, atol=1e-5)

        gradients = [network.gradients(u.T, y, same.weights_at(t).small)[0] for t, u in enumerate(same.preactivations)]
        Q = np.linalg.qr(np.concatenate(gradients[:-1]).T)[0]  # 3 new directions at every step
        for t, (frame, gaussian) in enumerate(drawn):
            met = X.T @ Q[:, 3 * t : 3 * t + 3]
            met -= frame @ (frame.T @ met)
            np.testing.assert_allclose(met @ met.T, gaussian @ gaussian.T, atol=1e-4)
        moments.append([np.sum(X**2), np.sum((X.T @ X) ** 2)])
    z = z_scores(moments, [m * n, m * n * (m + n + 1)])
    assert np.abs(z).max() < 4, z


@pytest.mark.seconds
@pytest.mark.parametrize(
    "n, n_steps, n_simulated, n_diced, options",
    [
        (40, 6, 600, 200, {}),
        pytest.param(40, 6, 1200, 400, {}, marks=pytest.mark.minutes),
        pytest.param(40, 6, 4000, 2000, {"dtype": np.float64}, marks=pytest.mark.minutes),
        pytest.param(500, 12, 1500, 1500, {}, marks=pytest.mark.minutes),
    ],
)
def test_same_law_as_simulation(n, n_steps, n_simulated, n_diced, options):
    """Means, variances and covariances of errors, deep weights and kernels against runs on features that were drawn:
    three layers, a non-diagonal gram, cross overlap, non-symmetric deep weights. The observables are not quite
    Gaussian, so that their covariances count for a quarter of their number. The population limit must fail."""
    problem = general_problem(n_steps)
    m = round(problem[-1] * n)
    simulations = simulated(problem, m, n, n_simulated, np.random.default_rng([n, 0]))
    runs = diced(problem, m, n, n_diced, np.random.default_rng([n, 1]), **options)
    means, covariances = compare_laws(runs, simulations)
    assert rms(means) < beyond(len(means)), means
    assert rms(covariances) < beyond(len(covariances) / 4), covariances
    limit = sedyn.state_evolution(*problem[:-1], aspect_ratio=np.inf, rng=0)
    C, c = limit.kernels.C, limit.kernels.c
    forgetful = observables(limit.train_error, limit.generalization_error, limit.deep_weights, C, c)
    assert rms(z_scores(runs, forgetful)) > 5


def run(n_samples=200, n_features=100, n_steps=8, rng=0, **options):
    parts = dict(zip(("network", "training", "teacher", "overlaps"), general_problem(n_steps)[:4], strict=True))
    parts |= {name: options.pop(name) for name in list(options) if name in parts}
    return sedyn.householder_dice(*parts.values(), n_samples, n_features, rng=rng, **options)


@pytest.mark.seconds
def test_many_features_follow_the_theory():
    """n = 46,667, ragged against the tiles and stripes of the products: the spread of a run is far below a percent."""
    problem = reference_problem("A")
    large = sedyn.householder_dice(*problem[:4], 70_001, 46_667, rng=0)
    theory = sedyn.state_evolution(*problem, n_paths=2**13, rng=0)
    assert large.status == "ok"
    np.testing.assert_allclose(large.generalization_error, theory.generalization_error, rtol=0.02)
    np.testing.assert_allclose(large.train_error, theory.train_error, rtol=0.03)


@pytest.mark.parametrize("n_cores", [1, 2, 3])
def test_threads_do_not_change_the_result(monkeypatch, n_cores):
    for module in (basis, dice):
        monkeypatch.setattr(module, "STRIPE", 2**9)  # 5 stripes, the last one ragged
    monkeypatch.setattr(dice, "available_cores", lambda: 1)
    alone = run(4 * 2**9 + 77, 500)
    monkeypatch.setattr(dice, "available_cores", lambda: n_cores)
    together = run(4 * 2**9 + 77, 500)
    np.testing.assert_array_equal(together.loadings, alone.loadings)
    np.testing.assert_array_equal(together.train_error, alone.train_error)


def test_seeds():
    same, other = run(rng=3), run(rng=np.random.default_rng(3))
    np.testing.assert_array_equal(same.generalization_error, other.generalization_error)
    np.testing.assert_array_equal(same.loadings, other.loadings)
    assert np.all(run(rng=4).train_error != same.train_error)


def test_starts_where_it_was_told_to():
    overlaps = general_problem()[3]
    for dtype in (np.float32, np.float64):
        start = run(dtype=dtype)
        np.testing.assert_allclose(start.C[0, 0], overlaps.gram[0], atol=1e-12)
        np.testing.assert_allclose(start.c[0], overlaps.cross[0, :, 0], atol=1e-12)
        assert all(np.all(W[0] == V) for W, V in zip(start.deep_weights, overlaps.deep, strict=True))


def test_divergence_is_reported_with_its_step(recwarn):
    for m in (200, 2**16 + 5):  # on one thread, and on several
        result = run(m, m // 2, network=sedyn.Network((3, 2, 1), ("identity",) * 3), training=sedyn.Training(60.0, 25))
        reached = len(result.train_error)
        assert result.status == "diverged" and f"diverged at step {reached}" in result.message
        assert "lower step_size" in result.message and 1 <= reached < 26
        assert all(len(x) == reached for x in (result.generalization_error, *result.deep_weights, result.loadings))
        assert np.all(np.isfinite(result.C)) and np.all(np.isfinite(result.generalization_error))
    assert not recwarn.list


def stop_at(step):
    def progress(steps, total, label):
        for t in steps:
            if t == step:
                raise KeyboardInterrupt
            yield t

    return progress


def test_interruption_keeps_what_is_done(monkeypatch):
    whole = run()
    monkeypatch.setattr(dice, "progress", stop_at(5))
    part = run()
    assert part.status == "interrupted" and "step 4 of 8" in part.message
    assert len(part.generalization_error) == 5 and part.C.shape == (5, 5, 3, 3)
    np.testing.assert_array_equal(part.train_error, whole.train_error[:5])
    monkeypatch.setattr(dice, "progress", stop_at(0))
    with pytest.raises(KeyboardInterrupt):
        run()


def test_save_and_load(tmp_path):
    result = run()
    back = sedyn.DiceRun.load(result.save(tmp_path / "run"))
    for name in ("train_error", "generalization_error", "C", "c"):
        np.testing.assert_array_equal(getattr(back, name), getattr(result, name))
    np.testing.assert_array_equal(back.deep_weights[1], result.deep_weights[1])
    assert (back.n_samples, back.n_features, back.status) == (200, 100, "ok")


def test_frozen_layers():
    frozen = run(training=sedyn.Training((0.0, 0.3, 0.3), 8))
    assert frozen.loadings.shape == (9, 3, 4) and np.ptp(frozen.C, axis=(0, 1)).max() == 0
    assert frozen.train_error[-1] < frozen.train_error[0]
    still = run(training=sedyn.Training((0.3, 0.0, 0.0), 8))
    assert all(np.ptp(W, axis=0).max() == 0 for W in still.deep_weights)
    assert still.loadings.shape[2] > 4 and still.train_error[-1] < still.train_error[0]


def test_no_signal():
    """Labels are the link of 0 and noise: there is no overlap, and training fits the noise all the same."""
    overlaps = sedyn.Overlaps(np.eye(3), np.zeros(3), 0.0, general_problem()[3].deep)
    result = run(overlaps=overlaps, teacher=sedyn.SingleIndex("tanh", 0.5), n_steps=20)
    assert result.signal_loadings.shape == (1, 4) and np.all(result.signal_loadings == 0) and np.all(result.c == 0)
    assert result.train_error[-1] < 0.25 < result.generalization_error[-1]


def test_no_steps():
    problem = general_problem(0)
    result = run(20_000, 10, n_steps=0)
    assert result.train_error.shape == (1,) and result.C.shape == (1, 1, 3, 3)
    expected = sedyn.population_error(problem[0], problem[2], problem[3], n_paths=2**15, rng=0)
    np.testing.assert_allclose(result.generalization_error, expected, rtol=2e-3)
    np.testing.assert_allclose(result.train_error, expected, rtol=0.1)


def test_smallest_features():
    """The smallest sizes allowed: q T samples, and 1 + q + q T features."""
    result = run(24, 28, dtype=np.float64)
    assert result.status == "ok" and np.all(np.isfinite(result.C)) and result.loadings.shape[2] <= 28


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_features": 27}, "n_features must be an integer of at least 28 for q = 3 and n_steps = 8 .*got 27"),
        ({"n_samples": 23}, "n_samples must be an integer of at least 24 for q = 3 and n_steps = 8 .*got 23"),
        ({"n_samples": 0, "n_steps": 0}, "n_samples must be an integer of at least 1"),
        ({"n_samples": 200.5}, "n_samples must be an integer"),
        ({"n_features": np.nan}, "n_features must be an integer"),
        ({"n_features": "many"}, "n_features must be an integer"),
        ({"overlaps": sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, general_problem()[3].deep)}, "first layer has 3 n"),
        ({"network": sedyn.Network((3, 1), ("tanh", "identity"))}, "deep weights of shapes"),
        ({"training": sedyn.Training((0.1, 0.1), 8)}, r"step_size has shape \(2,\)"),
        ({"tolerance": 1e-4}, "tolerance must lie between .* dtype=float64"),
        ({"tolerance": 1.0}, "tolerance must lie between"),
        ({"dtype": np.int32}, "dtype must be float64 or float32"),
        ({"teacher": sedyn.SingleIndex(lambda z: z * np.nan)}, "finite numbers"),
        ({"teacher": sedyn.SingleIndex(lambda z: 1e200 * z)}, "not a finite number at the start"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
