"""Gradient descent itself: exact, nothing approximated (theory 1, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np

from .checks import finite_array, floating, generator, instance, integer, numbers, shown
from .losses import Metrics
from .network import Array, Network, Weights
from .results import Caller, Result, available_cores, progress, thread_pool
from .training import Recording, Rule, Training

# Rows of X handled at once: they stay in cache between the two products, and numpy's few calls per block cost little.
BLOCK_BYTES, BLOCK_ROWS = 2**22, 128
COMPILED_WORK = 4 * 10**9  # multiply-adds of one product over the run: 1.5 s in BLAS, 0.5 s to load the kernels


@dataclass(frozen=True)
class Trajectory(Result):
    """One training run. T' <= T is the last step reached (T' = T unless `status` says otherwise).

    Attributes
    ----------
    train_error : (T'+1,)
        Mean squared error on the training rows, t = 0..T'.
    deep_weights : tuple of (T'+1, fan_in, fan_out)
        W_2, .., W_L at every step.
    biases : tuple of (T'+1, width)
        b_1, .., b_L at every step, of a network that has them.
    generalization_error : (T'+1,) or None
        Mean squared error on the test rows, when they were given.
    estimated_error, estimated_stderr : (T'+1,) or None
        Generalization error estimated from the training rows alone, and its standard error
        (`augmented_gradient_descent`).
    metrics : tuple of str
        Names of the further error metrics asked for.
    train_metrics, generalization_metrics, estimated_metrics, estimated_metrics_stderr : array or None
        The same for these, (T'+1, number of metrics).
    best_step : int or None
        The step of least estimated error, out of those before training became unsteady, if it did (`warnings`).
    stopped_first : (n_features, q) or None
        W_1 at that step.
    first_weights : (len(first_weights_at), n_features, q) or None
        W_1 at the chosen steps.
    preactivations : (len(preactivations_at), m, q) or None
        X W_1 at the chosen steps.
    first_weights_at, preactivations_at : tuple of int
        The steps kept.
    final : Weights
        All weights at step T'.
    status : str
        ``"ok"``, ``"diverged"`` or ``"interrupted"``.
    message : str
        What happened and what to do, empty when all went well.
    warnings : tuple of str
        Assumptions of the estimate that the data seem to violate (`augmented_gradient_descent`).
    """

    train_error: Array
    deep_weights: tuple[Array, ...]
    final_first: Array
    biases: tuple[Array, ...] = ()
    generalization_error: Array | None = None
    estimated_error: Array | None = None
    estimated_stderr: Array | None = None
    metrics: tuple[str, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None
    estimated_metrics: Array | None = None
    estimated_metrics_stderr: Array | None = None
    best_step: int | None = None
    stopped_first: Array | None = None
    first_weights: Array | None = None
    preactivations: Array | None = None
    first_weights_at: tuple[int, ...] = ()
    preactivations_at: tuple[int, ...] = ()
    status: str = "ok"
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def final(self) -> Weights:
        """The weights at the last step, ready for `Network.predict`."""
        return self._weights(self.final_first, -1)

    @property
    def stopped(self) -> Weights:
        """The weights at `best_step`. Raises ValueError when there is no estimate."""
        if self.stopped_first is None or self.best_step is None:
            raise ValueError("this run has no estimated error; train with sedyn.augmented_gradient_descent")
        return self._weights(self.stopped_first, self.best_step)

    def weights_at(self, t: int) -> Weights:
        """The weights at step t. Raises ValueError when W_1 was not kept there (`first_weights_at`)."""
        t = integer(t, "t", 0)
        if self.first_weights is None or t not in self.first_weights_at:
            raise ValueError(f"W_1 was kept at steps {self.first_weights_at}, not at {t}; add it to first_weights_at")
        return self._weights(self.first_weights[self.first_weights_at.index(t)], t)

    def _weights(self, first: Array, t: int) -> Weights:
        return Weights(first, tuple(W[t] for W in self.deep_weights), tuple(b[t] for b in self.biases))


@dataclass
class State:
    """Where gradient descent stands at step t, before the update."""

    t: int
    first: Array  # W_1, (n, q)
    small: list[Array]  # W_2, .., W_L, b_1, .., b_L
    u: Array  # preactivations of the training rows, without bias, (q, m)
    S: Array  # d loss / d u, (q, m), times the weight in the batch
    residual: Array  # f - y, (m,)
    batch: Array | None = None  # weight of each row in the batch, (m,)


def descend(
    network: Network, rule: Rule, weights: Weights, X: Array, y: Array, rng=None, n_threads: int | None = None
) -> Iterator[State]:
    """Yield the state at t = 0..T; the caller may stop at any step. Inputs are taken as validated.

    Each step reads X once, block by block: multiply, differentiate, multiply back. The blocks and the order of their
    sums depend on the shape of X alone, so the number of threads does not change the result.
    """
    (m, n), T = X.shape, rule.n_steps
    rng = np.random.default_rng(rng)
    q = weights.first.shape[1]
    blocks = row_blocks(m, n * X.itemsize)
    multiply, multiply_back = products(T * X.size * q)
    n_threads = 1 if multiply is _multiply else n_threads or available_cores()  # BLAS brings its own threads
    first_gradients = np.empty((len(blocks), q, n), X.dtype)  # of each block, like the two lists
    small_gradients: list[list[Array]] = [[]] * len(blocks)

    def work(todo: Iterator[int], W: Array, state: State, move_first: bool) -> None:
        """Multiply, differentiate, multiply back, for the blocks still to do; several threads share them."""
        for k in todo:
            b = blocks[k]
            u = state.u[:, b] = multiply(X[b], W)
            batch = None if state.batch is None else state.batch[b]
            S, small_gradients[k], state.residual[b] = network.gradients(u, y[b], state.small, rule.loss, batch)
            state.S[:, b] = S
            if move_first:
                multiply_back(X[b], S, first_gradients[k])

    W = W_before = np.ascontiguousarray(weights.first.T)  # columns of weights are rows in memory
    V = V_before = list(weights.small)
    with Helpers(min(n_threads, len(blocks)) - 1) as helpers:
        for t in range(T + 1):
            batch = rule.batch_weights(m, rng, X.dtype.type)
            u, S = np.empty((2, q, m), X.dtype)
            state = State(t, W.T, V, u, S, np.empty(m, X.dtype), batch)
            move_first = t < T and rule.moves(t, 0)
            order = range(len(blocks))[:: -1 if t % 2 else 1]  # back and forth: the last rows read are still in cache
            helpers.share(partial(work, iter(order), W, state, move_first))
            yield state
            if t == T:
                return
            gradient = reduce(np.add, first_gradients) / m if move_first else 0.0
            W, W_before = rule.update(t, 0, W, W_before, gradient), W
            sums = [reduce(np.add, parts) / m for parts in zip(*small_gradients, strict=True)]
            V, V_before = rule.update_small(t, V, V_before, sums), V


def row_blocks(m: int, row_bytes: int) -> list[slice]:
    """0..m in nearly equal slices of about BLOCK_BYTES; an even number, for two threads, unless one is enough."""
    rows = max(BLOCK_ROWS, BLOCK_BYTES // row_bytes)
    count = 1 if m <= rows else 2 * -(-m // (2 * rows))
    return [slice(k * m // count, (k + 1) * m // count) for k in range(count)]


def products(work: int) -> tuple[Callable, Callable]:
    """X W and X^T S for a block of rows: compiled where numba is installed and the run long enough, else by BLAS."""
    if work >= COMPILED_WORK:
        try:
            from . import kernels

            return kernels.multiply, kernels.multiply_back
        except ImportError:  # the extra `fast` is not installed
            pass
    return _multiply, _multiply_back


def _multiply(X: Array, W: Array) -> Array:
    """(X W^T)^T, shape (p, rows), for X (rows, n) and W (p, n)."""
    return np.stack([X @ w for w in W]) if _thin(X, W) else W @ X.T


def _multiply_back(X: Array, S: Array, G: Array) -> None:
    """Write S X into G (p, n), for X (rows, n) and S (p, rows)."""
    if _thin(X, S):
        for s, g in zip(S, G, strict=True):
            np.matmul(s, X, out=g)
    else:
        np.matmul(S, X, out=G)


def _thin(X: Array, columns: Array) -> bool:
    """Whether BLAS is faster one column at a time."""
    return len(columns) < 4 and X.size > 2**16


class Helpers:
    """Threads that do the same as the calling one, at the same time."""

    def __init__(self, count: int):
        quiet = partial(np.seterr, over="ignore", invalid="ignore")  # a setting of each thread; the caller has its own
        self.count, self._pool = count, thread_pool(count, quiet) if count else Caller()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown()

    def share(self, work: Callable[[], None]) -> None:
        """Call `work` in every thread and wait for all."""
        others = [self._pool.submit(work) for _ in range(self.count)]
        work()
        for other in others:
            other.result()


def gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    metrics=(),
    rng=None,
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
    n_threads: int | None = None,
) -> Trajectory:
    """Train by gradient descent and record the whole run.

    Parameters
    ----------
    network, training, weights
        What to train, how, and from where.
    X : (m, n_features) array
    y : (m,) array
    test : (X_test, y_test), optional
        Fresh rows on which the generalization error is measured at every step.
    metrics : sequence of str or callable
        Further errors to report: ``"absolute"``, ``"zero_one"`` (sign of the output against labels -1 and +1),
        ``"logistic"``, ``"squared"``, or a callable ``(f, y) -> loss`` per sample.
    rng : None, int or numpy Generator
        For the batches, where `training` has any.
    first_weights_at, preactivations_at : sequence of int or "all"
        Steps t in 0..T at which to keep W_1 and X W_1.
    dtype : float64 or float32
    n_threads : int, optional
        For the compiled products (see Notes), by default all cores the process may use, or OMP_NUM_THREADS if that is
        less; data of less than 4 MB use one. The result does not depend on it. Activations are called from all these
        threads.

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
    rows are left to BLAS, whose threads follow its own settings (OPENBLAS_NUM_THREADS).

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
    rule, rng = training.rule(network.n_layers), generator(rng)
    if n_threads is not None:
        n_threads = integer(n_threads, "n_threads", expected="a positive integer, or None for all cores")
    recorder = Recorder(network, rule, y, test, metrics, first_weights_at, preactivations_at)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            steps = descend(network, rule, weights, X, y, rng, n_threads)
            for state in progress(steps, rule.n_steps + 1, "gradient descent"):
                if not recorder.record(state):
                    break
        except KeyboardInterrupt:
            recorder.interrupt()
    return recorder.trajectory()


class Recorder(Recording):
    """Collects a run into a `Trajectory`."""

    def __init__(self, network, rule, y, test, metrics, first_weights_at=(), preactivations_at=()):
        super().__init__(rule, metrics, y)
        self.network, self.test = network, test
        self.first_at = _steps(first_weights_at, rule.n_steps, "first_weights_at")
        self.pre_at = _steps(preactivations_at, rule.n_steps, "preactivations_at")
        self.general, self.first, self.pre = [], [], []
        self.last: Any = None

    def record(self, state: State) -> bool:
        """Take in one state; False when training has diverged and must end."""
        if self.test is not None:
            X_test, y_test = self.test
            error = self.network.output((X_test @ state.first).T, state.small) - y_test
            self.general.append(self.metrics.means(error, y_test))
        if not self.record_step(state.residual, state.small, state.first):
            if not self.train:
                raise ValueError(
                    "the training error is not a finite number at the initial weights; "
                    "lower the scale of weights, X or y"
                )
            return False
        if state.t in self.first_at:
            self.first.append(state.first)
        if state.t in self.pre_at:
            self.pre.append(state.u.T)
        self.last = state.first
        return True

    def interrupt(self) -> None:
        if not self.train:  # nothing to keep
            raise KeyboardInterrupt
        super().interrupt()

    def trajectory(self, **more) -> Trajectory:
        reached = min(len(self.train), len(self.small))
        small = [np.stack(layer) for layer in zip(*self.small[:reached], strict=True)]
        train, general = np.array(self.train[:reached]), np.array(self.general[:reached])
        names, tested, n_deep = self.metrics.names, self.test is not None, self.network.n_layers - 1
        return Trajectory(
            train_error=train[:, 0],
            deep_weights=tuple(small[:n_deep]),
            biases=tuple(small[n_deep:]),
            final_first=self.last,
            generalization_error=general[:, 0] if tested else None,
            metrics=names,
            train_metrics=train[:, 1:] if names else None,
            generalization_metrics=general[:, 1:] if tested and names else None,
            first_weights=np.stack(self.first) if self.first else None,
            preactivations=np.stack(self.pre) if self.pre else None,
            first_weights_at=tuple(t for t in self.first_at if t < reached),
            preactivations_at=tuple(t for t in self.pre_at if t < reached),
            status=self.status,
            message=self.message,
            **more,
        )


def _steps(steps, n_steps, name) -> tuple[int, ...]:
    if isinstance(steps, str) and steps == "all":
        return tuple(range(n_steps + 1))
    given = numbers(list(steps) if isinstance(steps, (range, set)) else steps)
    if given.ndim != 1 or not np.all((given >= 0) & (given <= n_steps) & (given == given.round())):
        raise ValueError(f"{name} must lie in 0..{n_steps}, a sequence of steps or 'all'; got {shown(steps)}")
    return tuple(sorted({int(t) for t in given}))


def validate_rows(X, y, n_features=None, dtype=np.float64, names=("X", "y")) -> tuple[Array, Array]:
    """X (m, n_features) and y (m,) as finite arrays of `dtype`, or ValueError saying what is wrong."""
    clean = []
    for value, name, ndim in ((X, names[0], 2), (y, names[1], 1)):
        if isinstance(value, np.ma.MaskedArray):
            raise ValueError(
                f"{name} must be an array of numbers, none of them masked; remove those rows or fill them in"
            )
        try:
            value = np.asarray(value)
            if value.dtype.kind not in "fiub":
                raise TypeError
            value = np.ascontiguousarray(value, dtype)
        except (TypeError, ValueError):
            raise ValueError(
                f"{name} must be an array of numbers; got {shown(value)}; convert or drop other columns"
            ) from None
        if value.ndim != ndim:
            expected = "(m, n_features)" if ndim == 2 else "(m,)"
            raise ValueError(f"{name} must have shape {expected}; got {value.shape}")
        if not np.all(np.isfinite(value)):
            raise ValueError(
                f"{name} holds {int(np.sum(~np.isfinite(value)))} NaN or infinite entries; "
                "remove those rows or impute them"
            )
        clean.append(value)
    X, y = clean
    if len(X) == 0 or len(X) != len(y):
        raise ValueError(f"{names[0]} and {names[1]} need the same, positive number of rows; got {len(X)} and {len(y)}")
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(f"{names[0]} has {X.shape[1]} columns; expected {n_features}, the number of features")
    return X, y


def validate_run(network, training, weights, X, y, test, metrics, dtype):
    """Everything a run needs besides its rule, checked once: weights, X, y, test rows, and the metrics."""
    instance(network, Network, "network")
    instance(training, Training, "training")
    instance(weights, Weights, "weights")
    dtype = floating(dtype)
    first = finite_array(weights.first, "weights.first").astype(dtype, order="C")
    if first.ndim != 2 or first.shape[1] != network.widths[0]:
        raise ValueError(f"weights.first must have shape (n_features, {network.widths[0]}); got {first.shape}")
    weights = Weights(first, *network.validate_small(weights.deep, weights.biases, dtype))
    X, y = validate_rows(X, y, n_features=len(first), dtype=dtype)
    if test is not None:
        if not isinstance(test, (tuple, list)) or len(test) != 2:
            raise ValueError(f"test must be a pair (X_test, y_test); got {shown(test)}")
        X_test, y_test = test
        test = validate_rows(X_test, y_test, n_features=len(first), dtype=dtype, names=("X_test", "y_test"))
    return weights, X, y, test, Metrics(metrics)
