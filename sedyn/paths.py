"""What the solvers share: Gaussian sample points, the form of a solution, and its generalization error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from .data import Teacher
from .losses import Metrics
from .network import Array, Network
from .overlaps import Overlaps, joint_loadings
from .training import Rule

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
    return whiten(points - points.mean(axis=1, keepdims=True))


def whiten(rows: Array) -> Array:
    """Orthonormalise rows in <a, b> = a b^T / N by Cholesky, twice for accuracy."""
    for _ in range(2):
        gram = (rows @ rows.T).astype(float) / rows.shape[1]
        rows = np.linalg.inv(np.linalg.cholesky(gram)).astype(rows.dtype) @ rows
    return rows


class Problem(NamedTuple):
    """What the solvers are given: a network, the rule it is trained by, labels, overlaps, m / n, and what to report."""

    network: Network
    rule: Rule
    teacher: Teacher
    overlaps: Overlaps
    aspect_ratio: float
    metrics: Metrics


@dataclass
class Solution:
    """One randomization of a solver, for t = 0..T' (T' < T only when it diverged or was interrupted).

    U_t = loadings_t F_0 + noise_t G with independent standard Gaussian F_0 (the coordinates of the start) and G, so
    that C_(t,s) = loadings_t loadings_s^T + noise_t noise_s^T (theory 4: A_t and sqrt(phi) M_t).
    """

    train: list[Array]  # squared error, then the metrics
    small: list[list[Array]]  # per step, W_2, .., W_L, b_1, .., b_L
    loadings: Array  # (T'+1, q, B (k + q))
    noise: Array  # (T'+1, q, K)
    R: Array | None = None  # (T, T, q, q), R_(t,s), tangent recursion only
    rho: Array | None = None  # (T+1, T, q, q)
    status: str = "ok"
    message: str = ""


def generalization_errors(problem: Problem, solution: Solution, n_points: int, rng) -> Array:
    """Squared error and metrics of f(U_t) against Y, on one set of points in q + k + 1 dimensions, (T'+1, 1 + metrics).

    The law of U_t given Z is Gaussian whatever the blocks (theory 4, 6).
    """
    A, M, overlaps = solution.loadings, solution.noise, problem.overlaps
    C = A @ A.swapaxes(1, 2) + M @ M.swapaxes(1, 2)
    along = overlaps.signal_loadings()
    root, loadings, _ = joint_loadings(C, A @ along.T, along @ along.T)
    parts = problem.network, problem.teacher, problem.metrics
    return metric_integrals(*parts, root, loadings, solution.small, n_points, rng)


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
