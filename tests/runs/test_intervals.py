"""Prediction intervals and sets from one run: coverage on new rows, and what they refuse (theory 8)."""

import numpy as np
import pytest

import sedyn
from sedyn.runs import conformal_quantile
from sedyn.runs.intervals import Width

LEVELS = np.array([0.5, 0.8, 0.9, 0.95])


def trained(seed, m=300, n=200, loss="squared", noise=0.3, T=20, **options):
    rng = np.random.default_rng(seed)
    signal = sedyn.random_signal(n, rng=rng)
    X, y = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), noise).sample(m + 3000, signal, rng=rng)
    if loss == "logistic":
        y = np.where(y + rng.standard_normal(len(y)) > 0, 1.0, -1.0)
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    training = sedyn.Training(0.2 if loss == "squared" else 0.5, T, loss=loss)
    weights = network.init(n, rng=rng)
    run = sedyn.augmented_gradient_descent(
        network, training, weights, X[:m], y[:m], first_weights_at=(T,), rng=rng, **options
    )
    return run, X[m:], y[m:]


def covered(ends, y):
    return np.mean((ends[:, 0] <= y) & (y <= ends[:, 1]))


@pytest.mark.seconds
@pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")
@pytest.mark.parametrize(("m", "n"), [pytest.param(300, 200, marks=pytest.mark.minutes), (200, 400)])
def test_coverage_is_the_level_at_the_best_step_and_at_the_last(m, n):
    found, said, training_rows = [], [], []
    for seed in range(25):
        run, X, y = trained(seed, m, n)
        found.append([[covered(run.prediction_interval(X, a, step=t), y) for a in LEVELS] for t in (None, 20)])
        said.append([run.interval_accuracy(a).coverage_stderr for a in LEVELS])
        f = run.network.predict(run.final, X)
        half = np.quantile(np.abs(run.labels - run.left_out_kept[0]), 0.9)
        training_rows.append(np.mean(np.abs(y - f) <= half))
    found = np.array(found)
    gap, spread = found.mean(axis=0) - LEVELS, found.std(axis=0, ddof=1)
    assert np.all(np.abs(gap) < 4 * spread / 5 + 2 / m)
    assert np.all(spread[0] < 1.3 * np.mean(said, axis=0))  # a promise; 25 runs know a spread to 15 %
    assert np.all(spread[0] > 0.3 * np.mean(said, axis=0))


@pytest.mark.seconds
def test_prediction_sets_cover():
    found, sizes = [], []
    for seed in range(20):
        run, X, y = trained(seed, loss="logistic")
        sets = [run.prediction_set(X, a) for a in LEVELS]
        found.append([np.mean(s[np.arange(len(y)), (y > 0).astype(int)]) for s in sets])
        sizes.append([s.sum(axis=1).mean() for s in sets])
    gap, spread = np.mean(found, axis=0) - LEVELS, np.std(found, axis=0, ddof=1)
    assert np.all(np.abs(gap) < 4 * spread / np.sqrt(20) + 2 / 300)
    assert np.all(np.diff(np.mean(sizes, axis=0)) > 0)


def test_adaptive_widths_follow_noise_that_depends_on_the_signal():
    rng = np.random.default_rng(0)
    n, m = 60, 600
    signal = sedyn.random_signal(n, rng=rng)
    X = rng.standard_normal((m + 4000, n))
    z = X @ signal
    y = z + np.exp(z) * 0.4 * rng.standard_normal(len(z))
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    run = sedyn.augmented_gradient_descent(
        network, sedyn.Training(0.2, 15), network.init(n, rng=rng), X[:m], y[:m], rng=rng
    )
    calm, wild = z[m:] < -0.7, z[m:] > 0.7
    for adaptive in (False, True):
        ends = run.prediction_interval(X[m:], 0.9, adaptive=adaptive)
        assert abs(covered(ends, y[m:]) - 0.9) < 0.04
        apart = covered(ends[calm], y[m:][calm]) - covered(ends[wild], y[m:][wild])
        assert apart < 0.09 if adaptive else apart > 0.15


def test_the_quantile_counts_the_new_row_in():
    scores = np.arange(9.0)
    assert conformal_quantile(scores, 0.9) == 8  # the ceil(0.9 * 10)-th smallest
    assert conformal_quantile(scores, 0.8) == 7
    assert conformal_quantile(scores, 0.91) == np.inf
    copies = np.repeat(scores, [1, 2, 3, 1, 1, 1, 1, 1, 1])
    weighted = conformal_quantile(scores, 0.5, np.array([1, 2, 3, 1, 1, 1, 1, 1, 1.0]))
    assert weighted == conformal_quantile(copies, 0.5)


def test_the_smooth_width_of_a_row_left_out_does_not_know_its_own_residual():
    outputs, sizes = np.linspace(0, 1, 40), np.ones(40)
    before = Width(outputs, sizes).left_out[20]
    sizes[20] = 50.0
    after = Width(outputs, sizes)
    assert after.left_out[20] == pytest.approx(before)
    assert after.at(outputs[20]) > before


def test_a_run_in_a_file_keeps_its_intervals(tmp_path):
    run, X, _ = trained(0, 80, 40, T=6)
    again = sedyn.Trajectory.load(run.save(tmp_path / "run"))
    assert again.network == run.network
    assert np.array_equal(again.prediction_interval(X), run.prediction_interval(X))
    own = sedyn.Network((3, 1), ((np.tanh, lambda x: 1 - np.tanh(x) ** 2), "identity"))
    X, y = np.random.default_rng(0).standard_normal((80, 40)), np.random.default_rng(1).standard_normal(80)
    run = sedyn.augmented_gradient_descent(own, sedyn.Training(0.1, 3), own.init(40, rng=0), X, y)
    with pytest.raises(ValueError, match="could not keep its network"):
        sedyn.Trajectory.load(run.save(tmp_path / "own")).prediction_interval(X)


def test_what_is_refused():
    run, X, y = trained(0, 80, 40, T=6)
    for level in (0, 1, 1.5, "0.9", None):
        with pytest.raises((ValueError, TypeError), match="level"):
            run.prediction_interval(X, level)
    with pytest.raises(ValueError, match="W_1 was kept at"):
        run.prediction_interval(X, step=3)
    with pytest.raises(ValueError, match="labels -1 and"):
        run.prediction_set(X)
    with pytest.raises(ValueError, match="40"):
        run.prediction_interval(X[:, :7])
    assert np.all(np.isinf(run.prediction_interval(X[:3], 0.999)))
    assert run.interval_accuracy(0.999).half_width == np.inf
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    plain = sedyn.gradient_descent(network, sedyn.Training(0.1, 3), network.init(40, rng=0), X, y)
    for call in (plain.prediction_interval, plain.prediction_set):
        with pytest.raises(ValueError, match="augmented_gradient_descent"):
            call(X)


@pytest.mark.seconds
@pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")
def test_few_groups_and_uneven_weights_leave_longer_intervals():
    covered_by, network = {"groups": [], "weights": []}, sedyn.Network((3, 1), ("tanh", "identity"))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        signal = sedyn.random_signal(30, rng=rng)
        X, y = sedyn.SingleIndex("tanh", 0.5).sample(3000, signal, rng=rng)
        problem = network, sedyn.Training(0.2, 15), network.init(30, rng=rng)
        copies = np.repeat(np.arange(30), 10)
        run = sedyn.augmented_gradient_descent(*problem, X[:30][copies], y[:30][copies], groups=copies, rng=rng)
        covered_by["groups"].append(covered(run.prediction_interval(X[100:], 0.95), y[100:]))
        assert np.all(np.isinf(run.prediction_interval(X[:2], 0.98)))  # 30 groups know nothing beyond 30 / 31
        weight = np.where(np.arange(100) < 10, 20.0, 1.0)
        run = sedyn.augmented_gradient_descent(*problem, X[:100], y[:100], sample_weight=weight, rng=rng)
        covered_by["weights"].append(covered(run.prediction_interval(X[100:], 0.9), y[100:]))
    for found, level in ((covered_by["groups"], 0.95), (covered_by["weights"], 0.9)):
        assert np.mean(found) > level - 3 * np.std(found, ddof=1) / np.sqrt(20)
