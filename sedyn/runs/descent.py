"""Gradient descent itself: exact, nothing approximated (theory 1, 6)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce

import numpy as np

from ..common import (
    Array,
    available_cores,
    counted,
    finite_array,
    floating,
    generator,
    instance,
    integer,
    numbers,
    one_blas_thread,
    progress,
    real_array,
    shown,
    shown_array,
)
from ..model import Metrics, Moving, Network, Rule, Small, Training, Weights, label_columns
from .products import Helpers, products, row_blocks
from .trajectory import Recorder, State, Trajectory


def descend(
    network: Network,
    rule: Rule,
    weights: Weights,
    X: Array,
    y: Array,
    rng=None,
    n_threads: int | None = None,
    sample_weight: Array | None = None,
) -> Iterator[State]:
    """Yield the state at t = 0..T; the caller may stop at any step. Inputs are taken as validated, y (m,) or (c, m).

    Each step reads X once, block by block: multiply, differentiate, multiply back. The blocks and the order of their
    sums depend on the shape of X alone, so the number of threads does not change the result.
    """
    (m, n), T = X.shape, rule.n_steps
    rng = np.random.default_rng(rng)
    q = weights.first.shape[1]
    blocks = row_blocks(m, n * X.itemsize)
    multiply, multiply_back = products(T * X.size * q, q)
    n_threads = n_threads or available_cores()
    first_gradients = np.empty((len(blocks), q, n), X.dtype)  # of each block, like the two lists
    small_gradients: list[Small] = [Small(())] * len(blocks)

    def work(todo: Iterator[int], W: Array, state: State, factor: Array | None, move_first: bool) -> None:
        """Multiply, differentiate, multiply back, for the blocks still to do; several threads share them."""
        for k in todo:
            b = blocks[k]
            u = state.u[:, b] = multiply(X[b], W)
            weight = None if factor is None else factor[b]
            S, small_gradients[k], state.residual[..., b] = network.gradients(
                u, y[..., b], state.small, rule.loss, weight
            )
            state.S[:, b] = S
            if move_first:
                multiply_back(X[b], S, first_gradients[k])

    W = Moving(rule, np.ascontiguousarray(weights.first.T), float(np.sqrt(n)))  # columns are rows in memory
    V = Moving(rule, weights.small)
    with Helpers(min(n_threads, len(blocks)) - 1) as helpers:
        for t in range(T + 1):
            batch = rule.batch_weights(m, rng, X.dtype.type)
            factor = sample_weight if batch is None else batch if sample_weight is None else sample_weight * batch
            u, S = np.empty((2, q, m), X.dtype)
            state = State(t, W.now.T, V.now, u, S, np.empty(y.shape, X.dtype), batch)
            move_first = t < T and rule.moves(t, 0)
            order = range(len(blocks))[:: -1 if t % 2 else 1]  # back and forth: the last rows read are still in cache
            helpers.share(partial(work, iter(order), W.now, state, factor, move_first))
            state.gradient = reduce(np.add, first_gradients) / m if move_first else None
            yield state
            if t == T:
                return
            W.step(t, 0.0 if state.gradient is None else state.gradient)
            V.step(t, small_gradients[0].map(lambda *parts: reduce(np.add, parts) / m, *small_gradients[1:]))


@one_blas_thread
def gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    sample_weight=None,
    metrics=(),
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
    n_threads: int | None = None,
    rng=None,
) -> Trajectory:
    """Train by gradient descent and record the whole run.

    Parameters
    ----------
    network, training, weights
        What to train, how, and from where.
    X : (m, n_features) array
    y : (m,) array
        Of a network of c > 1 outputs classes 0..c-1, or an array (m, c): probabilities of them, or any numbers.
    test : (X_test, y_test), optional
        Fresh rows on which the generalization error is measured at every step.
    sample_weight : (m,) array, optional
        Weights > 0 of the training rows in the loss and in the training errors, here divided by their mean: a row of
        weight 2 counts like two equal rows.
    metrics : sequence of str or callable
        Further errors to report: ``"absolute"``, ``"zero_one"`` (sign of the output against labels -1 and +1; of
        several outputs the largest against the class), ``"logistic"``, ``"cross_entropy"`` (several outputs),
        ``"squared"``, or a callable ``(f, y) -> loss`` per sample, for f and y of shape (m,), or (c, m) of c outputs.
    first_weights_at, preactivations_at : sequence of int or "all"
        Steps t in 0..T at which to keep W_1 and X W_1.
    dtype : float64 or float32
    n_threads : int, optional
        By default all cores the process may use, or OMP_NUM_THREADS if that is less; data of less than 4 MB use one.
        The result does not depend on it. Activations are called from all these threads.
    rng : None, int or numpy Generator
        For the batches, where `training` has any. The same seed gives the same batches to
        `augmented_gradient_descent`.

    Returns
    -------
    Trajectory
        A run that diverges or is interrupted returns what it reached, with `status` and `message`.

    Raises
    ------
    ValueError
        For arrays of the wrong shape, non-finite numbers, or steps out of range.

    Notes
    -----
    Long runs are faster with numba (``pip install "sedyn[fast]"``): a step then takes less than twice the time of
    reading X once, where X is larger than the cache. Without it, and in short runs, the products of the same blocks of
    rows are left to BLAS, with one BLAS thread for each of ours.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> teacher = sedyn.SingleIndex("tanh", noise=0.1)
    >>> X, y = teacher.sample(60, sedyn.random_signal(40, rng=0), rng=1)
    >>> run = sedyn.gradient_descent(network, sedyn.Training(0.2, 10), network.init(40, rng=2), X, y)
    >>> run.train_error.shape, bool(run.train_error[-1] < run.train_error[0])
    ((11,), True)
    """
    weights, X, y, test, metrics = validate_run(network, training, weights, X, y, test, metrics, dtype)
    sample_weight = validate_sample_weight(sample_weight, y)
    rule, rng = training.rule(network.n_layers), generator(rng)
    if n_threads is not None:
        n_threads = integer(n_threads, "n_threads", expected="a positive integer, or None for all cores")
    recorder = Recorder(network, rule, y, test, metrics, first_weights_at, preactivations_at, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            steps = descend(network, rule, weights, X, y, rng, n_threads, sample_weight)
            for state in progress(steps, rule.n_steps + 1, "gradient descent"):
                if not recorder.record(state):
                    break
        except KeyboardInterrupt:
            recorder.interrupt()
    return recorder.trajectory()


def validate_rows(
    X, y, n_features=None, dtype=np.float64, names=("X", "y"), n_outputs: int | None = 1
) -> tuple[Array, Array]:
    """X (m, n_features) and labels y as finite arrays of `dtype`, or ValueError saying what is wrong.

    Labels are numbers (m,) of one output; of c of them classes (m,) or an array (m, c), and returned as (c, m). Where
    `n_outputs` is None either is taken and returned as it is.
    """
    of_y = {None: "(m,) or (m, c)", 1: "(m,)"}.get(n_outputs, f"(m,), classes, or (m, {n_outputs})")
    clean = []
    for value, name, ndim, expected in ((X, names[0], (2,), "(m, n_features)"), (y, names[1], (1, 2), of_y)):
        with np.errstate(over="ignore"):
            found = real_array(value, dtype)
        if found is None:
            advice = "" if hasattr(value, "nnz") else "; convert, fill in or drop what is not"
            raise ValueError(f"{name} must be an array of real numbers; got {shown_array(value)}{advice}")
        found = np.ascontiguousarray(found) if found.ndim else found
        if found.ndim not in ndim or (expected == "(m,)" and found.shape[1:] == (1,)):
            raise ValueError(f"{name} must have shape {expected}; got {found.shape}")
        if not np.all(np.isfinite(found)):
            bad = np.count_nonzero(~np.isfinite(numbers(value)))
            raise ValueError(
                f"{name} holds NaN or infinite entries, {bad} of {found.size}; remove those rows or fill them in"
                if bad
                else f"{name} holds numbers too large for {np.dtype(dtype)}; rescale them"
            )
        clean.append(found)
    X, y = clean
    if len(X) == 0 or len(X) != len(y):
        raise ValueError(f"{names[0]} and {names[1]} need the same, positive number of rows; got {len(X)} and {len(y)}")
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(
            f"{names[0]} has {counted(X.shape[1], 'column')}; expected {n_features}, one for each row of weights.first"
        )
    return X, y if n_outputs is None else np.ascontiguousarray(label_columns(y.T, n_outputs, names[1]))


def validate_sample_weight(sample_weight, y: Array) -> Array | None:
    """Weights (m,) of mean 1, of the type of y; ValueError for anything but m positive finite numbers."""
    if sample_weight is None:
        return None
    given = numbers(sample_weight)
    if given.shape != y.shape[-1:] or not np.all((given > 0) & np.isfinite(given)):
        raise ValueError(
            f"sample_weight must hold one finite weight > 0 per row, shape {y.shape[-1:]}; got {shown(sample_weight)}; "
            "leave rows of weight 0 out"
        )
    return (given / given.mean()).astype(y.dtype)


def validate_run(network, training, weights, X, y, test, metrics, dtype):
    """Everything a run needs besides its rule, checked once: weights, X, y (m,) or (c, m), test rows, and metrics."""
    instance(network, Network, "network")
    instance(training, Training, "training")
    instance(weights, Weights, "weights")
    dtype = floating(dtype)
    with np.errstate(over="ignore"):
        first = finite_array(weights.first, "weights.first").astype(dtype, order="C")
    if not np.all(np.isfinite(first)):
        raise ValueError(f"weights.first holds numbers too large for {dtype}; lower its scale")
    if first.ndim != 2 or first.shape[1] != network.widths[0]:
        raise ValueError(f"weights.first must have shape (n_features, {network.widths[0]}); got {first.shape}")
    weights = Weights(first, *network.validate_small(weights.deep, weights.biases, dtype))
    sizes = {"n_features": len(first), "dtype": dtype, "n_outputs": network.widths[-1]}
    X, y = validate_rows(X, y, **sizes)
    if test is not None:
        if not isinstance(test, (tuple, list)) or len(test) != 2:
            raise ValueError(f"test must be a pair (X_test, y_test); got {shown(test)}")
        X_test, y_test = test
        test = validate_rows(X_test, y_test, **sizes, names=("X_test", "y_test"))
    return weights, X, y, test, Metrics(metrics)
