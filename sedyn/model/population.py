"""Exact errors on fresh Gaussian features: integrals over a few Gaussian coordinates (theory 4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from ..common import Array, finite_array, generator, integer, require_memory, shown
from .covariance import eigen_directions
from .network import Network
from .overlaps import Overlaps
from .problem import validate_problem
from .teachers import Teacher
from .training import Training

INTEGRAL_POINTS = 2**12  # at least: an error of about 0.1 %, and cheap beside the paths
INTEGRAL_SIZE = 2**17  # preactivations handled at once


def gaussian_points(dim: int, n_points: int, rng: np.random.Generator, quasi: bool = True) -> Array:
    """Standard Gaussian points (dim, n_points) with sample mean 0 and sample covariance exactly the identity.

    Scrambled Sobol points (`quasi`) or independent ones, then whitened, which makes every linear and quadratic
    moment exact (theory 4).
    """
    if quasi:
        from scipy.stats import qmc  # takes half a second to import: not before points are drawn

        uniform = qmc.Sobol(dim, scramble=True, rng=rng).random_base2(int(np.ceil(np.log2(n_points))))[:n_points]
        # the points are multiples of 2^-30, zero included: move them to the middle of their cells
        points = special.ndtri(uniform.T + 2.0**-31)
    else:
        points = rng.standard_normal((dim, n_points))
    return orthonormalise(points - points.mean(axis=1, keepdims=True))


def orthonormalise(rows: Array) -> Array:
    """Orthonormalise rows in <a, b> = a b^T / N by Cholesky, twice for accuracy."""
    for _ in range(2):
        gram = (rows @ rows.T).astype(float) / rows.shape[1]
        rows = np.linalg.inv(np.linalg.cholesky(gram)).astype(rows.dtype) @ rows
    return rows


def metric_integrals(network, teacher, metrics, root, loadings, small, n_points, rng) -> Array:
    """Every metric of f(U) against Y for Z = root zeta, U = loadings_t (zeta, zeta') at each t (`joint_loadings`)."""
    n_points, k, q = max(n_points, INTEGRAL_POINTS), len(root), loadings.shape[1]
    xi, points = np.split(gaussian_points(1 + k + q, n_points, rng), [1])
    Y = teacher.labels(root @ points[:k], xi[0]).astype(np.float32)
    points = points.astype(np.float32)
    V = [np.array(layer) for layer in zip(*small[: len(loadings)], strict=True)]
    chunk = max(1, INTEGRAL_SIZE // (n_points * q))  # several steps at once, in cache
    errors = []
    for start in range(0, len(loadings), chunk):
        B, *V_chunk = (array[start : start + chunk].astype(np.float32) for array in (loadings, *V))
        errors += [metrics.means(f - Y, Y) for f in network.output(B @ points, V_chunk)]
    return np.array(errors)


def population_error(network: Network, teacher: Teacher, overlaps: Overlaps, n_points: int = 2**14, rng=None) -> float:
    """Generalization error E (f(x) - y)^2 of a network with these overlaps on Gaussian features.

    An integral in q + 1 dimensions over the joint Gaussian law of W_1^T x and <x, mu>, by scrambled Sobol points;
    with ``Overlaps.of(run.final, signal)`` it replaces a test set.

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
    n_points, rng = integer(n_points, "n_points"), generator(rng)
    require_memory(16.0 * n_points * (overlaps.loadings().shape[1] + 2), f"{n_points} points", "lower n_points")
    root, loadings = overlaps.joint()
    parts = network, teacher, problem.metrics, root, loadings[None], [overlaps.small]
    return float(metric_integrals(*parts, n_points, rng)[0, 0])


def population_errors(
    network: Network, teacher: Teacher, run, signal: Array, n_points: int = 2**12, rng=None, covariance=None
) -> Array:
    """`population_error` at every step of a run that kept all its first-layer weights, shape (T'+1,).

    Pass a Generator, not a seed, when averaging over runs: one seed gives all of them the same integration error.

    Raises ValueError when the run was made without ``first_weights_at="all"``.
    """
    if not hasattr(run, "weights_at"):
        raise TypeError(f"run must be a sedyn.Trajectory; got {shown(run)}")
    rng, scale, signal = generator(rng), None, finite_array(signal, "signal")
    n_features = len(run.weights_at(0).first)
    if signal.shape[:1] != (n_features,) or signal.ndim > 2 or not signal.size:
        raise ValueError(f"signal must have shape ({n_features},) or ({n_features}, k); got {signal.shape}")
    if covariance is not None:  # features of variance 1 with W and mu rescaled
        scale, directions = eigen_directions(covariance, n_features)

    def rescaled(W):
        if scale is None:
            return W
        return (np.sqrt(scale) * (W if directions is None else directions.T @ W).T).T

    errors = []
    for t in range(len(run.train_error)):
        weights = run.weights_at(t)
        overlaps = Overlaps.of(replace(weights, first=rescaled(weights.first)), rescaled(signal))
        errors.append(population_error(network, teacher, overlaps, n_points, rng))
    return np.array(errors)
