"""The generalization error from the training data alone (theory 5). Never sees the teacher or the theory's solvers."""

from __future__ import annotations

import warnings as python_warnings

import numpy as np

from ..common import Array, generator, integer, number, one_blas_thread, progress, shown
from ..model import Network, Training, Weights
from ..runs import Recorder, Trajectory, descend, validate_run
from .assumptions import AssumptionWarning, _unsteady, check_assumptions
from .memory import ExactMemory, LowRankMemory
from .spectrum import spectrum_of

TANGENT_ROWS = 256  # carry tangents by default: their noise is within 1 % or a fifth of the standard error
SHIFTED_ROWS = 1000  # tell the slope of the loss, for the standard error; a few percent of it


@one_blas_thread
def augmented_gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    covariance=None,
    unlabelled=None,
    metrics=(),
    method: str = "low-rank",
    tolerance: float = 1e-2,
    tangent_rows: int = TANGENT_ROWS,
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
    rng=None,
) -> Trajectory:
    """Gradient descent that estimates its own generalization error along the run (theory 5).

    Tangents run along on the data: they measure how much each training preactivation owes to the sample's own label,
    take that away, and score the rest against the label. No teacher, no noise level, no held-out rows.

    Parameters
    ----------
    network, training, weights, X, y, test, metrics, first_weights_at, preactivations_at, dtype
        As for `gradient_descent`; `test` is only scored, never used. The metrics are estimated, too.
    covariance : None, (n_features,) or (n_features, n_features) array
        Of the features, which must have mean 0: their variances (or the eigenvalues of their covariance), or a
        symmetric matrix. None: the identity, independent features of variance 1, unless there are `unlabelled` rows.
    unlabelled : None or (k, n_features) array
        Rows from which the spectrum of the covariance is estimated (`population_spectrum`), at least 12, k and n of one
        order; ``unlabelled=X`` takes the training rows themselves.
    method : str
        ``"low-rank"``, or ``"exact"``: the recursion over all pairs of steps, m (T q)^2 numbers, the reference. With
        batches it averages responses over each batch, where low rank averages over all rows.
    tolerance : float
        Low rank: a gradient enlarges the basis when this fraction of its size lies outside.
    tangent_rows : int
        Low rank: how many random rows carry tangents. More cost more and leave less to chance, m leave nothing.
    rng : None, int or numpy Generator
        For the batches, which are those of `gradient_descent` with the same seed; for these rows; and for the standard
        error.

    Returns
    -------
    Trajectory
        With `estimated_error` (T'+1,), the estimated mean squared error on fresh rows at every step; its standard
        error `estimated_stderr`; `estimated_metrics`; and `warnings`, also issued as `AssumptionWarning`, where the
        data violate what the estimate assumes (few rows, heavy tails, high leverage, a covariance that is not the one
        given).

    Raises
    ------
    ValueError
        As `gradient_descent`, and for activations (relu) or losses (absolute) with a kink, an unknown method, a
        covariance that is none, or both covariance and unlabelled rows.
    MemoryError
        When ``method="exact"`` does not fit.

    Notes
    -----
    The standard error at step t is that of (estimate - true error of these very weights):
    ``stderr^2 = (Var_i loss_i + E_j [grad_j^T F grad_j]) / m``, where grad_j is the derivative of the loss of row j in
    its left-out preactivation and F the jackknife variance of a fresh preactivation: what W_1 moves when every row i is
    weighted 1 + s_i with a random sign s_i and does not react to its own sign. The memory knows it without further
    tangents (`LowRankMemory`). For least squares it gives the exact 2/m (1 + 1/phi) / (1 - 1/phi) relative variance.
    The first term alone, which treats left-out losses as independent, is up to half too small late in training.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(120, sedyn.random_signal(80, rng=0), rng=1)
    >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 10), network.init(80, rng=2), X, y)
    >>> bool(run.estimated_error[-1] > run.train_error[-1]), run.estimated_stderr.shape
    (True, (11,))
    """
    weights, X, y, test, metrics = validate_run(network, training, weights, X, y, test, metrics, dtype)
    rule = training.rule(network.n_layers)
    network.require_smooth("augmented_gradient_descent", rule.loss)
    if not (isinstance(method, str) and method in ("low-rank", "exact")):
        raise ValueError(f"unknown method {shown(method)}; use 'low-rank' or 'exact'")
    tolerance = number(tolerance, "tolerance", "lie between 0 and 1", lambda x: 0 < x < 1)
    tangent_rows = integer(tangent_rows, "tangent_rows")
    spectrum = spectrum_of(covariance, unlabelled, X.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # of X or y that are too large: the first step says so
        found = check_assumptions(X, y, spectrum)
    rng = generator(rng)
    chance = rng.spawn(1)[0]  # beside the batches
    (m, n), T, q = X.shape, rule.n_steps, network.widths[0]
    low_rank = LowRankMemory(rule, q, m, m / n, spectrum, tolerance, tangent_rows, chance)
    memory = ExactMemory(rule, low_rank) if method == "exact" else low_rank
    recorder = Recorder(network, rule, y, test, metrics, first_weights_at, preactivations_at)
    estimates: list[list[float]] = []
    errors: list[list[float]] = []
    trouble, best, best_step, stopped_first = "", np.inf, 0, weights.first
    # a pause of the first layer is part of the recursion; after its last move the memory stays what it is
    last = max((t for t in range(T) if rule.moves(t, 0)), default=-1)
    steps = descend(network, rule, weights, X, y, rng)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for state in progress(steps, T + 1, "augmented gradient descent"):
                left_out = state.u - memory.memory  # as if each sample had not been trained on
                estimate, error = _score(network, metrics, left_out, state.small, y, memory.spread, chance)
                if state.t and not np.all(np.isfinite([*estimate, *error])):
                    recorder.diverge(state.t, "the estimate is no longer a finite number")
                    break
                if not recorder.record(state):
                    break
                estimates.append(estimate)
                errors.append(error)
                trouble = trouble or _unsteady(estimates, recorder.train, rule.loss.name)
                if estimate[0] < best and not trouble:
                    best, best_step, stopped_first = estimate[0], state.t, state.first
                if state.t <= last:
                    J = network.hessian(state.u, y, state.small, rule.loss)
                    memory.extend(state.t, state.S, J, state.batch)
        except KeyboardInterrupt:
            recorder.interrupt()
    reached = min(len(errors), len(recorder.small))
    estimated, stderr = np.array(estimates)[:reached], np.array(errors)[:reached]
    loose = np.flatnonzero(stderr[:, 0] > 0.25 * estimated[:, 0])
    if len(loose):
        found.append(f"the estimate is uncertain by more than 25 % at step {loose[0]}; use more rows or stop earlier")
    if trouble:
        found.append(trouble)
    for text in found:
        python_warnings.warn(text, AssumptionWarning, stacklevel=3)  # past the decorator
    return recorder.trajectory(
        estimated_error=estimated[:, 0],
        estimated_stderr=stderr[:, 0],
        estimated_metrics=estimated[:, 1:] if metrics.names else None,
        estimated_metrics_stderr=stderr[:, 1:] if metrics.names else None,
        best_step=best_step,
        stopped_first=stopped_first,
        warnings=tuple(found),
    )


def _score(network, metrics, left_out, V, y, spread, rng) -> tuple[list[float], list[float]]:
    """Each metric's mean over left-out preactivations, and its standard error."""
    finite = np.all(np.isfinite(spread))
    values, vectors = np.linalg.eigh(spread) if finite else (np.full(len(spread), np.nan), spread)
    few = slice(None, None, -(-len(y) // SHIFTED_ROWS))
    around = left_out[:, few]
    shift = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.standard_normal(around.shape)
    at, up, down = (network.output(u, V) for u in (left_out, around + shift, around - shift))
    means, errors = [], []
    for score in metrics.scorers:
        loss = score(at, y)
        change = (score(up, y[few]) - score(down, y[few])) / 2  # grad^T F^(1/2) noise, also for metrics with jumps
        means.append(float(np.mean(loss)))
        errors.append(float(np.sqrt((np.var(loss) + np.mean(np.square(change))) / len(y))))
    return means, errors
