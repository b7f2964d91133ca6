"""The generalization error from the training data alone (theory 5). Never sees the teacher or the theory's solvers."""

from __future__ import annotations

import warnings as python_warnings

import numpy as np

from .checks import generator, integer, number, shown
from .descent import Recorder, Trajectory, descend, validate_run
from .memory import LowRankMemory
from .network import Array, Network, Weights
from .responses import Responses
from .results import progress, require_memory
from .spectrum import Spectrum, spectrum_of, spread_of_rows
from .training import Rule, Training

TANGENT_ROWS = 256  # carry tangents by default: their noise is within 1 % or a fifth of the standard error
SHIFTED_ROWS = 1000  # tell the slope of the loss, for the standard error; a few percent of it
CHECKED_ROWS = 400  # for the spread of the eigenvalues, known from them to a few percent


class AssumptionWarning(UserWarning):
    """The data seem to violate an assumption of the estimated generalization error."""


def augmented_gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    covariance=None,
    metrics=(),
    method: str = "low-rank",
    tolerance: float = 1e-2,
    tangent_rows: int = TANGENT_ROWS,
    rng=0,
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
) -> Trajectory:
    """Gradient descent that estimates its own generalization error along the run (theory 5).

    Tangents run along on the data: they measure how much each training preactivation owes to the sample's own label,
    take that away, and score the rest against the label. No teacher, no noise level, no held-out rows.

    Parameters
    ----------
    network, training, weights, X, y, test, metrics, first_weights_at, preactivations_at, dtype
        As for `gradient_descent`; `test` is only scored, never used. The metrics are estimated, too.
    covariance : None, "empirical", or array
        Of the features, which must have mean 0. None: the identity, independent features of variance 1.
        ``"empirical"``: its spectrum is estimated from the rows of X (`sedyn.spectrum.population_spectrum`), also
        where m is not larger than n. Or n eigenvalues, an (n, n) matrix, or (k, n) unlabelled rows to estimate
        it from.
    method : str
        ``"low-rank"``, or ``"exact"``: the recursion over all pairs of steps, m (T q)^2 numbers, the reference. With
        batches it averages responses over each batch, where low rank averages over all rows.
    tolerance : float
        Low rank: a gradient enlarges the basis when this fraction of its size lies outside.
    tangent_rows : int
        Low rank: how many random rows carry tangents. More cost more and leave less to chance, m leave nothing.
    rng : None, int or numpy Generator
        For the batches, for these rows, and for the standard error.

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
        As `gradient_descent`, and for activations (relu) or losses (absolute) with a kink, an unknown method or
        covariance.
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
    spectrum = spectrum_of(covariance, X)
    with np.errstate(over="ignore", invalid="ignore"):  # of X or y that are too large: the first step says so
        found = check_assumptions(X, y, spectrum)
    rng = generator(rng)
    (m, n), T, q = X.shape, rule.n_steps, network.widths[0]
    low_rank = LowRankMemory(q, m, m / n, spectrum, tolerance, tangent_rows, rng)
    memory = ExactMemory(T, low_rank) if method == "exact" else low_rank
    recorder = Recorder(network, rule, y, test, metrics, first_weights_at, preactivations_at)
    estimates: list[list[float]] = []
    errors: list[list[float]] = []
    trouble, best, best_step, stopped_first = "", np.inf, 0, weights.first
    # a pause of the first layer is part of the recursion; after its last move the memory stays what it is
    last = max((t for t in range(T) if rule.moves(t, 0)), default=-1)
    steps = descend(network, rule, weights, X, y, rng.spawn(1)[0])
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for state in progress(steps, T + 1, "augmented gradient descent"):
                left_out = state.u - memory.memory  # as if each sample had not been trained on
                estimate, error = _score(network, metrics, left_out, state.small, y, memory.spread, rng)
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
                    memory.extend(state.t, state.S, J, rule, state.batch)
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
        python_warnings.warn(text, AssumptionWarning, stacklevel=2)
    return recorder.trajectory(
        estimated_error=estimated[:, 0],
        estimated_stderr=stderr[:, 0],
        estimated_metrics=estimated[:, 1:] if metrics.names else None,
        estimated_metrics_stderr=stderr[:, 1:] if metrics.names else None,
        best_step=best_step,
        stopped_first=stopped_first,
        warnings=tuple(found),
    )


class ExactMemory:
    """The memory by the recursion over all pairs of steps (theory 5); F by the low-rank memory that runs beside it."""

    def __init__(self, n_steps: int, low_rank: LowRankMemory):
        q, m, (nodes, weights) = low_rank.q, low_rank.m, low_rank.spectrum
        require_memory(
            Responses.memory_bytes(n_steps, q, m),
            f"the exact recursion over {n_steps} steps on {m} rows",
            "use method='low-rank', or lower n_steps or the width",
        )
        self._low_rank = low_rank
        self._responses = Responses(n_steps, q, m, low_rank.phi, nodes, weights)
        self._past = np.zeros((n_steps, q, m))
        self.memory = np.zeros((q, m))

    @property
    def spread(self) -> Array:
        return self._low_rank.spread

    def extend(self, t: int, S: Array, J: Array, rule: Rule, batch: Array | None = None) -> None:
        self._low_rank.extend(t, S, J, rule, batch)
        self._past[t] = S
        self._responses.extend(t, J if batch is None else J * batch, rule)
        self.memory = self._responses.memory(t + 1, self._past)


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


def check_assumptions(X: Array, y: Array, spectrum: Spectrum) -> list[str]:
    """What the estimate assumes of the data and these rows seem to violate; empty when nothing is found.

    The thresholds are wide: independent features of the ensembles in `sedyn.data` pass, except Student t with 4 degrees
    of freedom or fewer.
    """
    m, n = X.shape
    found = []
    if m < 100:
        found.append(f"only {m} rows: the estimate is an average over them, and its standard error is itself uncertain")
    centre = X.mean(axis=0)
    scale = np.sqrt(np.maximum(np.einsum("ij,ij->j", X, X) / m - centre**2, 0))
    if np.any(np.abs(centre) > 6 * scale / np.sqrt(m) + 0.1 * scale):
        found.append("some features have a mean far from 0; subtract it")
    norms = np.einsum("ij,ij->i", X, X)
    if not norms.any():
        return [*found, "all features are 0 in every row; there is nothing to learn from"]
    mean, second = spectrum.weights.sum(), spectrum.weights @ spectrum.nodes
    if not 0.8 < norms.mean() / (n * mean) < 1.25:
        found.append(
            f"the features have mean square {norms.mean() / n:.3g} and the covariance says {mean:.3g}; "
            "standardise them or give their covariance"
        )
    if m >= 12 and n > 1:
        first, unbiased = spread_of_rows(X[:: -(-m // CHECKED_ROWS)])
        if abs(unbiased / first**2 - second / mean**2) > 0.25 * second / mean**2 + 4 / min(m, CHECKED_ROWS):
            found.append(
                f"the features' covariance is not the one given: the spread of its eigenvalues, mean square over "
                f"squared mean, is {unbiased / first**2:.3g} and should be {second / mean**2:.3g}; "
                "pass covariance='empirical' or whiten the features"
            )
    # rows have nearly equal norms: relative variance 2 tr Sigma^2 / (tr Sigma)^2 for Gaussian features
    excess = norms.var() / norms.mean() ** 2 / (2 * second / (n * mean**2))
    if excess > 4 and norms.var() / norms.mean() ** 2 > 0.08 or norms.max() > 6 * norms.mean() * (1 + 10 / n):
        found.append(
            f"leverage: the norms of the rows vary {excess:.1f} times more than independent features allow "
            f"(largest over mean {norms.max() / norms.mean():.1f}); remove or clip outlying rows or features"
        )
    largest = np.max(np.maximum(X.max(axis=0), -X.min(axis=0)) / np.where(scale > 0, scale, 1))
    if largest > 3 * np.sqrt(2 * np.log(X.size)):
        found.append(
            f"heavy tails: a feature lies {largest:.0f} standard deviations out; transform or clip it (ranks, log)"
        )
    centred = np.square(y - y.mean())
    if centred.max() > 0.1 * centred.sum() and m >= 30:
        found.append("heavy tails: one label carries more than a tenth of the labels' variance; transform the labels")
    return found


def _unsteady(estimates: list[list[float]], train: list, loss: str) -> str:
    """What makes the estimate of the last step, and all after it, untrustworthy; empty when nothing does."""
    if len(estimates) < 2:
        return ""
    t, (before, now) = len(estimates) - 1, np.array(train[-2:])[:, 0]
    if now > 1.05 * before and loss == "squared":  # other losses may raise the squared error on purpose
        return (
            f"the training error rises at step {t}: where training is unstable the left-out preactivations are not to "
            "be trusted, and from there on no step is proposed for stopping; lower the step size"
        )
    if estimates[-1][0] > 1.3 * estimates[-2][0] and now < before:
        return (
            f"the estimate jumps at step {t} while the training error falls: a few directions of the features are "
            "trained at the edge of stability, where their average no longer speaks for them, and from there on no "
            "step is proposed for stopping; lower the step size"
        )
    return ""
