"""Early stopping and tuning: what they pick, what they return, what they survive."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import sedyn
from sedyn.estimate import selection

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")


def noisy_problem(rng, m=200, n=200):
    teacher, signal = sedyn.SingleIndex("tanh", 1.0), sedyn.random_signal(n, rng=rng)
    return (*teacher.sample(m, signal, rng=rng), teacher, signal)


def grid():
    networks = [sedyn.Network((width, 1), ("tanh", "identity")) for width in (1, 3)]
    return networks, [sedyn.Training(step, 25) for step in (0.1, 0.4)]


def test_early_stop_reads_the_estimate(rng):
    X, y, *_ = noisy_problem(rng)
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.4, 60), network.init(200, rng=rng), X, y, rng=0)
    stop = sedyn.early_stop(run)
    assert stop.step == np.argmin(run.estimated_error) < 60 and stop.error == run.estimated_error.min()
    within = run.estimated_error <= stop.error + run.estimated_stderr[stop.step]
    assert within[stop.cautious_step] and not within[: stop.cautious_step].any()
    assert stop.cautious_error == run.estimated_error[stop.cautious_step]
    with pytest.raises(ValueError, match="no estimated error"):
        sedyn.early_stop(sedyn.gradient_descent(network, sedyn.Training(0.4, 3), network.init(200, rng=rng), X, y))


@pytest.mark.seconds
def test_early_stop_does_not_trust_unsteady_training(rng):
    """Where the step size is too large; the least estimate of all is no trap either, as nudges are finite."""
    network, training = sedyn.Network((1, 1), ("tanh", "identity")), sedyn.Training(0.5, 60)
    regrets = []
    for _ in range(6):
        X, y, teacher, signal = noisy_problem(rng)
        weights = network.init(200, rng=rng)
        run = sedyn.augmented_gradient_descent(network, training, weights, X, y, first_weights_at="all", rng=0)
        true = sedyn.population_errors(network, teacher, run, signal, n_paths=2**11, rng=rng)
        regrets.append([true[t] / true.min() - 1 for t in (sedyn.early_stop(run).step, run.estimated_error.argmin())])
        rises = np.flatnonzero(run.train_error[1:] > 1.05 * run.train_error[:-1]) + 1
        if len(rises):
            assert run.best_step < rises[0] and any("no step is proposed" in text for text in run.warnings)
            np.testing.assert_array_equal(run.stopped.first, run.weights_at(run.best_step).first)
    by_rule, by_least = np.median(regrets, axis=0)
    assert by_rule < 0.05 and by_least < 0.05


@pytest.mark.seconds
def test_tune_ranks_all_and_returns_the_stopped_weights(rng):
    X, y, teacher, signal = noisy_problem(rng)
    networks, trainings = grid()
    table = sedyn.tune(networks, trainings, X, y, scales=(0.5, 1.0), rng=3)
    assert len(table) == 8 and all(a.error <= b.error for a, b in zip(table, table[1:], strict=False))
    assert {(c.network.widths[0], c.training.step_size, c.scale) for c in table} == {
        (q, step, scale) for q in (1, 3) for step in (0.1, 0.4) for scale in (0.5, 1.0)
    }
    best = table[0]
    X_new, y_new = teacher.sample(20000, signal, rng=rng)
    true = np.mean((best.network.predict(best.weights, X_new) - y_new) ** 2)
    assert abs(true - best.error) < 5 * best.stderr


@pytest.mark.seconds
def test_tune_gives_the_same_on_any_executor(rng):
    X, y, *_ = noisy_problem(rng, 100, 60)
    serial = sedyn.tune(*grid(), X, y, rng=3)
    spawning = ProcessPoolExecutor(2, mp_context=get_context("spawn"))  # forking a process that has threads may hang
    for pool in (ThreadPoolExecutor(2), spawning):
        with pool as executor:
            other = sedyn.tune(*grid(), X, y, rng=3, executor=executor)
        assert [(c.error, c.step) for c in other] == [(c.error, c.step) for c in serial]


def test_tune_survives_failures_and_keeps_their_reason(rng):
    X, y, *_ = noisy_problem(rng, 100, 60)
    networks = [sedyn.Network((2, 1), (name, "identity")) for name in ("tanh", "relu", "identity")]
    table = sedyn.tune(networks, [sedyn.Training(0.1, 10), sedyn.Training(500.0, 10)], X, y, rng=0)
    by_name = {(c.network.activations[0], c.training.step_size): c for c in table}
    assert np.isfinite(by_name["relu", 0.1].error) and by_name["identity", 500.0].status == "diverged"
    assert np.isfinite(by_name["identity", 500.0].error) and by_name["tanh", 0.1].status == "ok"


def test_interrupted_tune_returns_what_is_done(rng, monkeypatch):
    X, y, *_ = noisy_problem(rng, 100, 60)
    real, calls = selection._try, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(selection, "_try", interrupted)
    assert len(sedyn.tune(*grid(), X, y, rng=3)) == 2


def test_tune_warns_once(rng):
    X, y, *_ = noisy_problem(rng, 60, 40)
    with pytest.warns(sedyn.AssumptionWarning) as caught:
        sedyn.tune(*grid(), X, y, rng=3)
    assert sum("only 60 rows" in str(w.message) for w in caught) == 1


def test_bad_grids(rng):
    X, y, *_ = noisy_problem(rng, 60, 40)
    with pytest.raises(ValueError, match="nothing to try"):
        sedyn.tune([], sedyn.Training(0.1, 3), X, y)
    with pytest.raises(ValueError, match="NaN"):
        sedyn.tune(*grid(), X * np.nan, y)
