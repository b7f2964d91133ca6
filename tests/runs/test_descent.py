"""Gradient descent against a line-by-line reference, and what its result records and reports."""

import threading
import time

import numpy as np
import pytest

import sedyn
from sedyn.runs import descent, products


def problem(rng, m=90, n=60, widths=(3, 2, 1), activations=("tanh", "sigmoid", "identity")):
    network = sedyn.Network(widths, activations)
    teacher, mu = sedyn.SingleIndex("tanh", 0.2), sedyn.random_signal(n, rng=rng)
    X, y = teacher.sample(m, mu, rng=rng)
    return network, network.init(n, rng=rng), X, y


def plain_descent(weights, X, y, eta, n_steps):
    """The update of theory 1 written out for tanh / sigmoid / identity."""
    W1, W2, W3 = weights.first, *weights.deep
    m, errors = len(y), []
    for _ in range(n_steps + 1):
        h1 = np.tanh(X @ W1)
        h2 = 1 / (1 + np.exp(-h1 @ W2))
        r = (h2 @ W3)[:, 0] - y
        errors.append(np.mean(r**2))
        d3 = r[:, None]
        d2 = d3 @ W3.T * h2 * (1 - h2)
        d1 = d2 @ W2.T * (1 - h1**2)
        W1, W2, W3 = W1 - eta[0] / m * X.T @ d1, W2 - eta[1] / m * h1.T @ d2, W3 - eta[2] / m * h2.T @ d3
    return np.array(errors)


@pytest.fixture(params=["compiled", "BLAS"])
def either_product(request, monkeypatch):
    """A run by the compiled products, and by BLAS, whatever its length."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setattr(products, "COMPILED_WORK", 0 if request.param == "compiled" else np.inf)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("block_rows", [1, 7, 90])  # blocks of 1 row, of 6 or 7, and all rows in one
def test_matches_the_written_out_update(rng, monkeypatch, either_product, block_rows, n_threads):
    monkeypatch.setattr(products, "BLOCK_BYTES", 1)
    monkeypatch.setattr(products, "BLOCK_ROWS", block_rows)
    network, weights, X, y = problem(rng)
    run = sedyn.gradient_descent(network, sedyn.Training((0.3, 0.2, 0.1), 50), weights, X, y, n_threads=n_threads)
    np.testing.assert_allclose(run.train_error, plain_descent(weights, X, y, (0.3, 0.2, 0.1), 50), rtol=1e-10)


@pytest.mark.parametrize("verb", [sedyn.gradient_descent, sedyn.augmented_gradient_descent])
def test_the_number_of_threads_changes_nothing(rng, monkeypatch, either_product, verb):
    monkeypatch.setattr(products, "BLOCK_BYTES", 1)
    monkeypatch.setattr(products, "BLOCK_ROWS", 8)
    network, weights, X, y = problem(rng)
    runs = []
    for n_cores in (1, 2, 5):
        monkeypatch.setattr(descent, "available_cores", lambda n=n_cores: n)
        runs.append(verb(network, sedyn.Training(0.2, 20), weights, X, y, rng=0))
    for run in runs[1:]:
        np.testing.assert_array_equal(run.train_error, runs[0].train_error)
        np.testing.assert_array_equal(run.final.first, runs[0].final.first)
        if run.estimated_error is not None:
            np.testing.assert_array_equal(run.estimated_stderr, runs[0].estimated_stderr)


@pytest.mark.parametrize("m, row_bytes", [(1, 8), (128, 2**20), (129, 2**20), (750, 4000), (6000, 32000), (10**6, 8)])
def test_blocks_cover_the_rows_once_and_evenly(m, row_bytes):
    blocks = products.row_blocks(m, row_bytes)
    sizes = [b.stop - b.start for b in blocks]
    assert blocks[0].start == 0 and blocks[-1].stop == m and max(sizes) - min(sizes) <= 1
    assert all(b.start == a.stop for a, b in zip(blocks, blocks[1:], strict=False))
    assert max(sizes) <= max(products.BLOCK_ROWS, products.BLOCK_BYTES // row_bytes)
    assert len(blocks) == 1 or len(blocks) % 2 == 0


def test_an_error_in_a_helping_thread_is_raised(rng, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(products, "COMPILED_WORK", 0)
    monkeypatch.setattr(products, "BLOCK_BYTES", 1)
    monkeypatch.setattr(products, "BLOCK_ROWS", 8)
    main = threading.current_thread()

    def tanh(a):
        if threading.current_thread() is not main:
            raise OSError("a helper failed")
        time.sleep(0.01)  # leave some blocks to the helper
        return np.tanh(a)

    network = sedyn.Network((3, 1), ((tanh, lambda a: 1 - np.tanh(a) ** 2), "identity"))
    _, _, X, y = problem(rng)
    with pytest.raises(OSError, match="a helper failed"):
        sedyn.gradient_descent(network, sedyn.Training(0.2, 3), network.init(60, rng=rng), X, y, n_threads=2)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_divergence_in_several_threads_stays_silent(rng, monkeypatch, either_product):
    monkeypatch.setattr(products, "BLOCK_BYTES", 1)
    monkeypatch.setattr(products, "BLOCK_ROWS", 8)
    network, weights, X, y = problem(rng, widths=(3, 1), activations=("softplus", "identity"))
    run = sedyn.gradient_descent(network, sedyn.Training(1e200, 30), weights, X, y, n_threads=3)
    assert run.status == "diverged"


def test_records_what_was_asked(rng):
    network, weights, X, y = problem(rng)
    test = (X[:20] + 0.1, y[:20])
    run = sedyn.gradient_descent(
        network, sedyn.Training(0.2, 8), weights, X, y, test, first_weights_at=(0, 5), preactivations_at="all"
    )
    assert run.first_weights_at == (0, 5) and run.first_weights.shape == (2, 60, 3)
    np.testing.assert_allclose(run.preactivations[5], X @ run.first_weights[1])
    assert [W.shape for W in run.deep_weights] == [(9, 3, 2), (9, 2, 1)]
    at_5 = sedyn.Weights(run.first_weights[1], tuple(W[5] for W in run.deep_weights))
    np.testing.assert_allclose(np.mean((network.predict(at_5, X) - y) ** 2), run.train_error[5])
    np.testing.assert_allclose(np.mean((network.predict(at_5, test[0]) - test[1]) ** 2), run.generalization_error[5])
    np.testing.assert_allclose(np.mean((network.predict(run.final, X) - y) ** 2), run.train_error[-1])
    np.testing.assert_array_equal(run.first_weights[0], weights.first)


def test_schedule_and_frozen_layers(rng):
    network, weights, X, y = problem(rng)
    schedule = np.zeros((6, 3))
    schedule[:3, 0] = 0.3
    run = sedyn.gradient_descent(network, sedyn.Training(schedule, 6), weights, X, y)
    assert np.ptp(run.train_error[3:]) == 0 and run.train_error[3] < run.train_error[0]
    assert all(np.ptp(W, axis=0).max() == 0 for W in run.deep_weights)


def test_float32_follows_float64(rng, either_product):
    network, weights, X, y = problem(rng)
    training = sedyn.Training(0.2, 30)
    exact = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at=(30,))
    single = sedyn.gradient_descent(network, training, weights, X, y, first_weights_at=(30,), dtype=np.float32)
    assert single.first_weights.dtype == np.float32
    np.testing.assert_allclose(single.train_error, exact.train_error, rtol=1e-4)


def test_divergence_is_reported_with_its_step(rng):
    network, weights, X, y = problem(rng, widths=(3, 1), activations=("identity", "identity"))
    for run in (sedyn.gradient_descent, sedyn.augmented_gradient_descent):
        result = run(network, sedyn.Training(50.0, 30), weights, X, y, test=(X, y))
        reached = len(result.train_error)
        assert result.status == "diverged" and f"diverged at step {reached}" in result.message
        assert "lower step_size" in result.message and 1 <= reached < 31
        assert np.all(np.isfinite(result.train_error)) and len(result.generalization_error) == reached
        assert all(len(W) == reached and np.all(np.isfinite(W)) for W in result.deep_weights)
        assert result.estimated_error is None or len(result.estimated_error) == reached


def test_interruption_keeps_what_is_done(rng, monkeypatch):
    network, weights, X, y = problem(rng)
    whole = descent.descend

    def interrupted(*args, **options):
        for state in whole(*args, **options):
            if state.t == 4:
                raise KeyboardInterrupt
            yield state

    expected = sedyn.gradient_descent(network, sedyn.Training(0.2, 9), weights, X, y).train_error[:4]
    monkeypatch.setattr(descent, "descend", interrupted)
    run = sedyn.gradient_descent(network, sedyn.Training(0.2, 9), weights, X, y)
    assert run.status == "interrupted" and "step 3 of 9" in run.message
    np.testing.assert_array_equal(run.train_error, expected)


def test_save_and_load(rng, tmp_path):
    network, weights, X, y = problem(rng)
    run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 5), weights, X, y, first_weights_at=(2,))
    back = sedyn.Trajectory.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(back.estimated_error, run.estimated_error)
    np.testing.assert_array_equal(back.deep_weights[1], run.deep_weights[1])
    assert back.first_weights_at == (2,) and back.status == "ok" and back.generalization_error is None
    with pytest.raises(ValueError, match="holds Trajectory; expected Evolution"):
        sedyn.Evolution.load(tmp_path / "run.npz")


def bad(**changes):
    def call(rng):
        network, weights, X, y = problem(rng)
        arguments = dict(network=network, training=sedyn.Training(0.1, 3), weights=weights, X=X, y=y) | {
            name: value(X, y, weights) if callable(value) else value for name, value in changes.items()
        }
        return arguments

    return call


def with_nan(X, y, weights):
    X = X.copy()
    X[3, 4] = np.nan
    return X


@pytest.mark.parametrize(
    "arguments, message",
    [
        (bad(X=with_nan), "X holds NaN or infinite entries, 1 of 5400"),
        (bad(y=lambda X, y, w: np.where(np.arange(len(y)) < 2, np.inf, y)), "y holds NaN or infinite entries, 2 of 90"),
        (bad(X=lambda X, y, w: X[:, :50]), "X has 50 columns; expected 60"),
        (bad(X=lambda X, y, w: X[0]), r"X must have shape \(m, n_features\)"),
        (bad(y=lambda X, y, w: y[:-1]), "same, positive number of rows; got 90 and 89"),
        (bad(y=lambda X, y, w: y[:, None]), r"y must have shape \(m,\); got \(90, 1\)"),
        (bad(X=lambda X, y, w: X[:0], y=lambda X, y, w: y[:0]), "positive number of rows"),
        (bad(X=lambda X, y, w: X.astype(str)), "X must be an array of real numbers"),
        (bad(X=lambda X, y, w: X + 1j), "X must be an array of real numbers"),
        (
            bad(weights=lambda X, y, w: sedyn.Weights(w.first[:, :2], w.deep)),
            r"weights.first must have shape \(n_features, 3\)",
        ),
        (bad(weights=lambda X, y, w: sedyn.Weights(w.first, w.deep[:1])), "deep weights of shapes"),
        (bad(weights=lambda X, y, w: sedyn.Weights(w.first * np.nan, w.deep)), "weights.first must be finite"),
        (
            bad(weights=lambda X, y, w: sedyn.Weights(w.first, tuple(W * np.inf for W in w.deep))),
            "each array of weights.deep must be finite",
        ),
        (bad(test=lambda X, y, w: (X[:, :5], y)), "X_test has 5 columns; expected 60"),
        (bad(dtype="int32"), "float64 or float32"),
        (bad(first_weights_at=(4,)), "first_weights_at must be 'all' or a sequence of steps in 0..3"),
        (bad(training=sedyn.Training((0.1, 0.1), 3)), r"step_size has shape \(2,\); give"),
        (bad(y=lambda X, y, w: y * 1e300), "not a finite number at the initial weights"),
    ],
)
@pytest.mark.parametrize("verb", [sedyn.gradient_descent, sedyn.augmented_gradient_descent])
def test_bad_input(rng, verb, arguments, message):
    with pytest.raises(ValueError, match=message):
        verb(**arguments(rng))


@pytest.mark.parametrize("n_threads", [0, 1.5])
def test_bad_number_of_threads(rng, n_threads):
    with pytest.raises(ValueError, match="n_threads must be a positive integer"):
        sedyn.gradient_descent(*bad()(rng).values(), n_threads=n_threads)


@pytest.mark.parametrize("step_size", [-0.1, np.nan, "fast", np.zeros((2, 2, 2))])
def test_bad_step_sizes(step_size):
    with pytest.raises(ValueError, match="step_size must be"):
        sedyn.Training(step_size, 3)


@pytest.mark.parametrize("n_steps", [-1, 2.5])
def test_bad_number_of_steps(n_steps):
    with pytest.raises(ValueError, match="n_steps must be an integer, 0 or more"):
        sedyn.Training(0.1, n_steps)


def test_weights_that_grow_behind_a_saturated_output_are_a_divergence(rng):
    """Weight decay times step size of 1e3 multiplies them by -999 a step; tanh hides it from the error."""
    network = sedyn.Network((2, 1), ("tanh", "tanh"))
    training = sedyn.Training(1e3, 30, weight_decay=1.0)
    weights, signal = network.init(20, rng=rng), sedyn.random_signal(20, rng=rng)
    teacher = sedyn.SingleIndex("tanh", 0.1)
    X, y = teacher.sample(30, signal, rng=rng)
    run = sedyn.gradient_descent(network, training, weights, X, y)
    theory = sedyn.state_evolution(
        network, training, teacher, sedyn.Overlaps.of(weights, signal), 1.5, n_paths=2**8, rng=0
    )
    for result in (run, theory):
        assert result.status == "diverged" and "largest weight" in result.message
        assert np.all(np.isfinite(result.train_error)) and np.abs(result.deep_weights[0]).max() < 1e13
    assert np.all(np.isfinite(theory.generalization_error)) and np.all(np.isfinite(theory.kernels.C))
