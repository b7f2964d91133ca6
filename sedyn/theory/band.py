"""Band of a single run: how far the errors of one training run may lie from the theory (theory 4).

The spread of a run falls as n^(-1/2) and its bias as 1/n, so runs of a small size n_0 tell both for every larger one.
They are gradient descent itself on drawn Gaussian features, many at once.

======= ====================================================== ==============
symbol  name                                                   shape
======= ====================================================== ==============
X, y    features and labels of several runs                    (r, m, n), (r, m)
W, V    first-layer weights in rows, small weights of each run (r, q, n), ..
C, c    W_1^T Sigma W_1 and W_1^T Sigma mu at every step       (r, T+1, q, q), (r, T+1, q, k)
======= ====================================================== ==============
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ..common import (
    Array,
    Result,
    brief,
    first_and_last,
    generator,
    in_threads,
    integer,
    number,
    one_blas_thread,
    require_memory,
)
from ..model import (
    DIVERGENCE_FACTOR,
    Metrics,
    Moving,
    Problem,
    Small,
    Weights,
    block_variances,
    label_columns,
    metric_integrals,
)
from ..recursion import precision_for

N_RUNS = 400  # the spread is then known to 3.5 %, and a band of 95 % holds 94 to 96 %
WORK = 8 * 10**9  # multiply-adds in X: about a second
SLOW, WIDER = 0.1, 1.25  # an exponent of the spread this much short of 1/2 is told, where it widens the band so much
MOST_SKEWED = 1.5  # beyond, the skewness of so few runs is chance
DRAWING = 64  # multiply-adds that take as long as drawing a number
LEAST = 64  # features, and rows, below which a run says little of larger ones
BATCH = 8  # rows in a batch, likewise
AT_ONCE = 2**21  # bytes of X: they stay in cache
N_PATHS = 2**10, 2**14  # of the integral for every run, and for their mean
LARGEST = 1e24  # squared weights, beyond which a run has diverged


@dataclass(frozen=True, eq=False, repr=False)
class Band(Result):
    """Where the errors of one training run lie, at every step with probability `level`. T' <= T is the last step.

    Attributes
    ----------
    train_error, generalization_error : (2, T'+1)
        Lower and upper ends.
    train_mean, generalization_mean : (T'+1,)
        Means over runs: the theory and its bias of order 1/n.
    train_sd, generalization_sd : (T'+1,)
        Standard deviations of one run around them, with the uncertainty of the mean in it.
    level : float
        Of each step by itself: neighbouring steps leave the band together.
    n_features : int
        n of the run.
    n_runs, simulated_features : int
        How many runs were simulated, and their number of features.
    status : str
        ``"ok"``, ``"diverged"`` when a simulated run did, or ``"inaccurate"`` when the spread of the simulated runs
        does not fall as n^(-1/2) yet.
    message : str
        What happened and what to do, empty when all went well.
    """

    train_error: Array
    generalization_error: Array
    train_mean: Array
    generalization_mean: Array
    train_sd: Array
    generalization_sd: Array
    level: float
    n_features: int
    n_runs: int
    simulated_features: int
    status: str = "ok"
    message: str = ""

    def _summary(self):
        return {
            "of": f"one run on {self.n_features} features, level {self.level:.4g}",
            "train_error": f"{brief(self.train_error)}, mean {first_and_last(self.train_mean, self.train_sd)}",
            "generalization_error": f"{brief(self.generalization_error)}, mean "
            f"{first_and_last(self.generalization_mean, self.generalization_sd)}",
            "from": f"{self.n_runs} runs on {self.simulated_features} features",
        } | self._status()


@one_blas_thread
def single_run(problem: Problem, theory, n_features, level, *, n_runs, rng) -> Band:
    """The band around a theory of this problem (an `Evolution`); see `Evolution.band`."""
    n = integer(n_features, "n_features")
    level = number(level, "level", "lie between 0 and 1", lambda x: 0 < x < 1)
    n_runs, rng = integer(n_runs, "n_runs", 16), generator(rng)
    _require_possible(problem, n)
    problem = problem._replace(rule=replace(problem.rule, n_steps=len(theory.train_error) - 1))  # as far as it went
    small, smaller = _small_sizes(problem, n, n_runs)
    runs = _runs(problem, small, n_runs, rng)
    before = _runs(problem, smaller, n_runs, rng) if small < n else runs

    reached = int(np.argmin(np.append(np.isfinite(runs).all(axis=(0, 1)), False)))
    status, message, slowest = "ok", "", 0.0
    curves: dict[str, Array] = {}
    for name, errors, fewer in zip(
        ("train", "generalization"), runs[..., :reached], before[..., :reached], strict=True
    ):
        line, line_stderr = (getattr(of, f"{name}_error")[:reached] for of in (theory, theory.stderr))
        slower = _slower(errors, fewer, small / smaller)
        ends, mean, sd = _ends(errors, line, line_stderr, small / n, slower, level)
        curves |= {f"{name}_error": ends, f"{name}_mean": mean, f"{name}_sd": sd}
        slowest = max(slowest, float(slower.max(initial=0)))
    if reached < runs.shape[2]:
        status, lost = "diverged", max(1, np.count_nonzero(~np.isfinite(runs[0]).all(axis=1)))
        message = (
            f"{lost} of {n_runs} simulated runs on {small} features diverged, the first at step {reached}: the band "
            "ends before it; lower step_size"
        )
    elif slowest > SLOW and (n / small) ** slowest > WIDER:
        status = "inaccurate"
        message = (
            f"from {smaller} to {small} features the spread falls as n^-{0.5 - slowest:.2f} at some step, not yet as "
            "n^-0.5, as where training is hardly stable; the band goes on so, and may be too wide for far more features"
        )
    return Band(
        **curves, level=level, n_features=n, n_runs=n_runs, simulated_features=small, status=status, message=message
    )


def _slower(errors: Array, fewer: Array, ratio: float) -> Array:
    """By how much the exponent of the spread is short of -1/2 at every step, beyond one standard error: from runs
    (R, T+1), and others on `ratio` times fewer features."""
    if ratio == 1 or len(errors) < 2:
        return np.zeros(errors.shape[1])

    def spread(x):
        """Logarithm of the spread, and the variance of that; NaN where all that differs is rounding."""
        squares = np.square(x - x.mean(axis=0))
        variance = squares.mean(axis=0)
        variance = np.where(variance > 1e-10 * np.square(x).mean(axis=0), variance, np.nan)
        return np.log(variance) / 2, (np.square(squares / variance).mean(axis=0) - 1) / (4 * len(x))

    (now, unknown), (before, unknown_before) = spread(errors), spread(fewer)
    growth = now - before + np.log(ratio) / 2 - np.sqrt(unknown + unknown_before)
    return np.clip(np.nan_to_num(growth / np.log(ratio)), 0, 0.5)


def _ends(errors: Array, line: Array, line_stderr: Array, ratio: float, slower: Array, level: float):
    """Ends (2, T+1), mean and standard deviation of one run, from runs (R, T+1) on `ratio` times as many features."""
    n_runs, spread = len(errors), errors.std(axis=0, ddof=1)
    bias = errors.mean(axis=0) - line
    mean = line + ratio * bias
    # what is not known of the mean counts like spread: its standard error, that of the theory, and that in long runs
    # on few rows the bias may fall as slowly as n^(-1/2) at first
    unknown = np.array([ratio * spread / np.sqrt(n_runs), np.nan_to_num(line_stderr), bias * (np.sqrt(ratio) - ratio)])
    sd = np.sqrt(np.square(ratio ** (0.5 - slower) * spread) + np.square(unknown).sum(axis=0))
    # the skewness of a run falls as n^(-1/2), too, and shifts both ends (Cornish and Fisher); Student's t for a spread
    # known from so many runs
    deviations = errors - errors.mean(axis=0)
    skewness = np.mean(deviations**3, axis=0) / np.maximum(np.mean(deviations**2, axis=0), 1e-200) ** 1.5
    shift = np.clip(np.sqrt(ratio) * skewness, -MOST_SKEWED, MOST_SKEWED) / 6
    reach = special.stdtrit(n_runs - 1, (1 + level) / 2)
    ends = np.stack([mean + sd * (sign * reach + shift * (reach**2 - 1)) for sign in (-1, 1)])
    return np.maximum(ends, 0.0), mean, sd


def _require_possible(problem: Problem, n: int) -> None:
    """ValueError where there are no small runs of the same law."""
    phi, overlaps = problem.aspect_ratio, problem.overlaps
    problem.rule.require_linear("a band", "train some runs with sedyn.simulate and look at their spread")
    if not np.isfinite(phi):
        raise ValueError(
            "a band is for a run on m = aspect_ratio * n_features rows, and this theory has aspect_ratio = inf; give "
            "state_evolution a finite one"
        )
    if not overlaps.fractions.all():
        raise ValueError(
            "these overlaps stand for many different variances by Gauss nodes, and no features of a small run have "
            "them; measure the overlaps with n_blocks as large as the number of different variances"
        )
    least = int(np.ceil(max(sum(overlaps.cross.shape[1:]) / overlaps.fractions.min(), 0.5 / phi)))
    if n < least:
        raise ValueError(
            f"n_features must be at least {least}, to hold a row of data, the neurons and the signals; got {n}"
        )


def _small_sizes(problem: Problem, n: int, n_runs: int) -> tuple[int, int]:
    """Numbers of features to simulate: as many as take about a second, but n itself when it is not many more; and
    about a quarter of that."""
    _, rule, _, overlaps, phi, _ = problem
    (q, k), b, shares = overlaps.cross.shape[1:], rule.batch_fraction, overlaps.fractions
    least = max(LEAST, LEAST / phi, 8 * (k + q) / shares.min(), BATCH / (b * phi) if b < 1 else 0)
    size = max(least, np.sqrt(WORK / (n_runs * phi * (2 * rule.n_steps * q + DRAWING))))

    def whole(size):  # rows, batches and blocks are whole numbers: where rounding matters least
        sizes = np.arange(np.ceil(size), 1.25 * size)
        rows, edges = phi * sizes, np.outer(sizes, np.cumsum(shares))
        off = np.abs(np.round(rows) / rows - 1) + np.abs(np.round(edges) - edges).sum(axis=1) / sizes
        if b < 1 and rule.batch == "fixed":
            off += np.abs(np.round(b * np.round(rows)) / (b * rows) - 1)
        return int(sizes[np.argmin(np.round(off, 9))])

    return (n, n) if n <= 1.25 * size else (whole(size), whole(max(size / 4, least / 2)))


def _runs(problem: Problem, n: int, n_runs: int, rng) -> Array:
    """Errors of independent runs, training and generalization (2, n_runs, T+1), NaN from where a run diverged."""
    (q, k), T, m = problem.overlaps.cross.shape[1:], problem.rule.n_steps, max(1, round(problem.aspect_ratio * n))
    require_memory(16.0 * m * n, f"a run on {m} rows of {n} features", "lower n_features")
    require_memory(24.0 * n_runs * (T + 1) * q * (q + k), f"n_runs = {n_runs}", "lower n_runs")
    weights, signal = problem.overlaps.realize(n, rng=rng)
    start = weights, signal.reshape(n, k), _deviations(problem.overlaps, n)
    r = max(1, min(n_runs, AT_ONCE // (4 * m * n)))
    sizes = [min(r, n_runs - at) for at in range(0, n_runs, r)]
    jobs = [
        lambda step, size=size, child=child: _train(problem, *start, (size, m, n), child, step)
        for size, child in zip(sizes, rng.spawn(len(sizes)), strict=True)
    ]
    parts = in_threads(jobs, T + 1, "single runs", lambda _: False)
    train, C, c = (np.concatenate([part[i] for part in parts]) for i in range(3))
    small = parts[0][3].map(lambda *arrays: np.concatenate(arrays), *(part[3] for part in parts[1:]))
    reached = int(np.argmin(np.append(np.isfinite(train).all(axis=0), False)))
    general = np.full_like(train, np.nan)
    if reached:
        cut = C[:, :reached], c[:, :reached], small.map(lambda W: W[:, :reached])
        with np.errstate(over="ignore", invalid="ignore"):
            general[:, :reached] = _generalization_errors(problem, *cut, rng)
    return np.stack([train, general])


def _deviations(overlaps, n: int) -> Array:
    """Standard deviation of each feature, as `Overlaps.realize` cuts them into blocks."""
    missing = 1 - overlaps.fractions.sum()
    blocks = np.vstack([overlaps.blocks, [[missing, 0.0]]]) if missing > 1e-8 else overlaps.blocks
    return np.sqrt(block_variances(n, blocks))


def _train(problem: Problem, weights: Weights, signal: Array, deviations: Array, shape, rng, step):
    """Gradient descent of r runs from one start on their own data: training errors, NaN from where a run diverged, C, c
    and small weights, at every step."""
    network, rule, teacher, *_ = problem
    (r, m, _), T, (q, k) = shape, rule.n_steps, problem.overlaps.cross.shape[1:]
    X = rng.standard_normal(shape, np.float32)
    along = deviations[:, None] * signal
    z = X @ along.astype(precision_for(np.float32, along))
    y = teacher.labels(z.reshape(r * m, k).T.astype(float), rng.standard_normal(r * m))
    y = label_columns(y, network.widths[-1])
    y = np.moveaxis(y.reshape(*y.shape[:-1], r, m), -2, 0)  # (r, m), or (r, c, m) of several outputs
    dtype = precision_for(np.float32, y, weights.first, *weights.deep)
    X, y = X.astype(dtype, copy=False), y.astype(dtype)
    if np.any(deviations != 1):
        X *= deviations.astype(dtype)

    def each(W):
        return np.repeat(W[None].astype(dtype), r, axis=0)

    W, V = Moving(rule, each(weights.first.T)), Moving(rule, weights.small.map(each))
    train, C, c = np.empty((r, T + 1)), np.empty((r, T + 1, q, q)), np.empty((r, T + 1, q, k))
    small = []
    for t in range(T + 1):
        step()
        batch = None if rule.batch_fraction == 1 else np.stack([rule.batch_weights(m, rng, dtype) for _ in range(r)])
        u = _rows_times(W.now, X.swapaxes(1, 2))
        S, gradients, residual = network.gradients(u, y, V.now, rule.loss, batch)
        S, gradients = S.astype(dtype, copy=False), gradients.map(lambda g: g.astype(dtype, copy=False))
        squares = residual.reshape(r, -1)
        train[:, t] = np.einsum("ri,ri->r", squares, squares, dtype=float) / m
        scaled = W.now * deviations
        C[:, t], c[:, t] = scaled @ scaled.swapaxes(1, 2), scaled @ along
        small.append(V.now)
        if t < T:
            W.step(t, _rows_times(S, X) / m if rule.moves(t, 0) else 0.0)
            V.step(t, gradients.map(lambda g: g / m))
    bound = DIVERGENCE_FACTOR * (train[:, :1] + np.square(y, dtype=float).reshape(r, -1).sum(axis=1, keepdims=True) / m)
    fine = np.logical_and.accumulate((train <= bound) & (np.abs(C).max(axis=(2, 3)) < LARGEST), axis=1)
    return np.where(fine, train, np.nan), C, c, Small.stacked(small).map(lambda W: W.swapaxes(0, 1))


def _rows_times(rows: Array, X: Array) -> Array:
    """The product for every run, a row at a time where BLAS is faster so."""
    if rows.shape[1] >= 4:
        return rows @ X
    return np.concatenate([rows[:, j : j + 1] @ X for j in range(rows.shape[1])], axis=1)


def _generalization_errors(problem: Problem, C: Array, c: Array, small: Small, rng) -> Array:
    """Of every run (R, T+1): integrals over few points, the same for all, and over many points for their mean."""
    network, teacher, signal_gram = problem.network, problem.teacher, problem.overlaps.total[2]
    seed, (few, many) = rng.integers(2**32), N_PATHS

    def integrals(n_paths, C, c, small):
        parts = network, teacher, Metrics(), C, c, signal_gram, small
        return metric_integrals(*parts, n_paths, np.random.default_rng(seed), least=few)[:, 0]

    def of(change):
        return change(C), change(c), small.map(change)

    each, middle = of(lambda x: x.reshape(-1, *x.shape[2:])), of(lambda x: x.mean(axis=0))
    return integrals(few, *each).reshape(C.shape[:2]) + integrals(many, *middle) - integrals(few, *middle)
