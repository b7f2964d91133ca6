"""Exact errors on fresh Gaussian features: integrals over a few Gaussian coordinates (theory 4)."""

from __future__ import annotations

import numpy as np
from scipy import special

from ..common import Array, finite_array, generator, integer, require_memory, shown
from .covariance import covariance_root, times_root
from .labels import label_columns
from .losses import Metrics
from .network import Network, Small, Weights
from .overlaps import Overlaps, joint_loadings
from .problem import validate_problem
from .teachers import Teacher
from .training import Training

INTEGRAL_PATHS = 2**12  # at least: an error of about 0.1 %, and cheap beside the paths
INTEGRAL_SIZE = 2**17  # preactivations handled at once


def gaussian_points(dim: int, n_paths: int, rng: np.random.Generator, quasi: bool = True) -> Array:
    """Standard Gaussian points (dim, n_paths) with sample mean 0 and sample covariance exactly the identity.

    Scrambled Sobol points (`quasi`) or independent ones, then whitened, which makes every linear and quadratic
    moment exact (theory 4).
    """
    if quasi:
        from scipy.stats import qmc  # takes half a second to import: not before points are drawn

        uniform = qmc.Sobol(dim, scramble=True, rng=rng).random_base2(int(np.ceil(np.log2(n_paths))))[:n_paths]
        # the points are multiples of 2^-30, zero included: move them to the middle of their cells
        points = special.ndtri(uniform.T + 2.0**-31)
    else:
        points = rng.standard_normal((dim, n_paths))
    return orthonormalise(points - points.mean(axis=1, keepdims=True))


def orthonormalise(rows: Array) -> Array:
    """Orthonormalise rows in <a, b> = a b^T / N by Cholesky, twice for accuracy."""
    for _ in range(2):
        gram = (rows @ rows.T).astype(float) / rows.shape[1]
        rows = np.linalg.inv(np.linalg.cholesky(gram)).astype(rows.dtype) @ rows
    return rows


def metric_integrals(
    network, teacher, metrics, gram, cross, signal_gram, small, n_paths, rng, least: int = INTEGRAL_PATHS
) -> Array:
    """Every metric of f(U) against Y for Gaussian U and Z of these covariances (.., q, q), (.., q, k) and (k, k), with
    one leading axis (steps), and small weights that have it too; on the same paths for all, `least` or more,
    (steps, 1 + metrics)."""
    root, loadings, _ = joint_loadings(gram, cross, signal_gram)
    n_paths, (steps, q, _), k = max(n_paths, least), loadings.shape, len(root)
    xi, points = np.split(gaussian_points(1 + k + q, n_paths, rng), [1])
    Y = label_columns(teacher.labels(root @ points[:k], xi[0]), network.widths[-1]).astype(np.float32)
    points = points.astype(np.float32)
    chunk = max(1, INTEGRAL_SIZE // (n_paths * q))  # several steps at once, in cache
    errors = []
    for start in range(0, steps, chunk):
        some = slice(start, start + chunk)
        V = small.map(lambda W, some=some: W[some].astype(np.float32))
        residuals = network.output(loadings[some].astype(np.float32) @ points, V) - Y
        if metrics.names:  # whose functions take one row of samples
            errors += [metrics.means(residual, Y) for residual in residuals]
        else:  # the same numbers, faster
            residuals = residuals.reshape(len(residuals), -1)
            squares = np.einsum("si,si->s", residuals, residuals, dtype=float) / n_paths
            errors.append(squares[:, None])
    return np.array(errors) if metrics.names else np.concatenate(errors)


def require_paths(n_paths: int, dim: int) -> None:
    """MemoryError where the integral over so many paths does not fit."""
    require_memory(16.0 * n_paths * (dim + 2), f"n_paths = {n_paths}", "lower n_paths")


def population_error(
    network: Network, teacher: Teacher, overlaps: Overlaps, *, n_paths: int = 2**14, rng=None
) -> float:
    """Generalization error E |f(x) - y|^2 of a network with these overlaps on Gaussian features.

    An integral in q + k + 1 dimensions over the joint Gaussian law of W_1^T x and <x, mu>, by scrambled Sobol points,
    at least 4096; with ``Overlaps.of(run.final, signal)`` it replaces a test set.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> network = sedyn.Network((1, 1), ("identity", "identity"))
    >>> overlaps = sedyn.Overlaps([[2.0]], [0.5], 1.0, deep=([[1.0]],))
    >>> error = sedyn.population_error(network, sedyn.SingleIndex("linear", noise=0.5), overlaps, rng=0)
    >>> round(error, 6)  # 2 - 2 * 0.5 + 1 + 0.5**2
    2.25
    """
    problem = validate_problem(network, Training(0.0, 0), teacher, overlaps, np.inf)
    n_paths, rng = integer(n_paths, "n_paths"), generator(rng)
    require_paths(n_paths, overlaps.loadings.shape[1])
    gram, cross, signal_gram = overlaps.total
    parts = gram[None], cross[None], signal_gram, Small.stacked([overlaps.small])
    return float(metric_integrals(network, teacher, problem.metrics, *parts, n_paths, rng)[0, 0])


def population_errors(
    network: Network, teacher: Teacher, run, signal: Array, *, covariance=None, n_paths: int = 2**12, rng=None
) -> Array:
    """`population_error` at every step where a run kept its first-layer weights, shape (len(run.first_weights_at),).

    One set of points serves all steps. Pass a Generator, not a seed, when averaging over runs: one seed gives all of
    them the same integration error.

    Parameters
    ----------
    network, teacher
    run : Trajectory
        Made with ``first_weights_at="all"``, or the steps wanted.
    signal : (n_features,) or (n_features, k) array
    covariance : None, (n_features,) or (n_features, n_features) array
        Of the fresh features, as for `sample_features`.
    n_paths : int
        Of the integral, at least 4096.
    rng : None, int or numpy Generator

    Raises
    ------
    ValueError
        When the run kept no first-layer weights, or the signal has another number of features.
    """
    if not hasattr(run, "weights_at"):
        raise TypeError(f"run must be a sedyn.Trajectory; got {shown(run)}")
    first = run.first_weights
    if first is None:
        raise ValueError("the run kept no first-layer weights; train with first_weights_at='all'")
    small = Small(*(tuple(W[list(run.first_weights_at)] for W in part) for part in (run.deep_weights, run.biases)))
    n_paths, metrics = integer(n_paths, "n_paths"), Metrics()
    if len(run.first_weights_at):
        start = Weights(first[0], tuple(W[0] for W in small.deep), tuple(b[0] for b in small.biases))
        overlaps = Overlaps.of(start, signal, covariance=covariance)
        validate_problem(network, Training(0.0, 0), teacher, overlaps, np.inf)
        require_paths(n_paths, network.widths[0] + teacher.n_indices)
    root = None if covariance is None else covariance_root(covariance, first.shape[1])
    parts = network, teacher, metrics, first, small, signal, root, n_paths
    return overlaps_and_errors(*parts, generator(rng))[2][:, 0]


def overlaps_and_errors(network, teacher, metrics, first, small, signal, root, n_paths, rng):
    """W_1^T Sigma W_1 of all pairs of steps, W_1^T Sigma mu, and all metrics on fresh rows, for W_1 (steps, n, q) and
    Sigma^(1/2) as `root` (None: the identity)."""
    steps, n_features, q = first.shape
    signal = finite_array(signal, "signal")
    if signal.shape[:1] != (n_features,) or signal.ndim > 2 or not signal.size:
        raise ValueError(f"signal must have shape ({n_features},) or ({n_features}, k); got {signal.shape}")
    W, mu = first.swapaxes(1, 2), signal.reshape(n_features, -1).T
    if root is not None:
        W, mu = times_root(W, root), times_root(mu, root)
    W = W.reshape(steps * q, n_features)
    C = (W @ W.T).reshape(steps, q, steps, q).swapaxes(1, 2)
    c, each = (W @ mu.T).reshape(steps, q, -1), np.arange(steps)
    return C, c, metric_integrals(network, teacher, metrics, C[each, each], c, mu @ mu.T, small, n_paths, rng)
