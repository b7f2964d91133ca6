"""What the solvers share: Gaussian sample points, the form of a solution, and its generalization error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from .network import Array

INTEGRAL_POINTS = 2**13  # at least: an error of 0.05 % or less, and cheap beside the paths
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


def psd_sqrt(matrix: Array) -> Array:
    """Symmetric square root with eigenvalues clipped at 0, for one matrix or a stack of them."""
    values, vectors = np.linalg.eigh((matrix + np.swapaxes(matrix, -1, -2)) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


@dataclass
class Solution:
    """One randomization of a solver, for t = 0..T' (T' < T only when it diverged or was interrupted).

    U_t = loadings_t F_0 + noise_t G with independent standard Gaussian F_0 = (Z / |mu|, U_0 given Z) and G, so that
    C_(t,s) = loadings_t loadings_s^T + noise_t noise_s^T (theory 4: A_t and sqrt(phi) M_t).
    """

    train_error: list[float]
    deep: list[list[Array]]  # per step, W_2, .., W_L
    loadings: Array  # (T'+1, q, 1 + q)
    noise: Array  # (T'+1, q, K)
    R: Array | None = None  # (T, T, q, q), R_(t,s), tangent recursion only
    rho: Array | None = None  # (T+1, T, q, q)
    status: str = "ok"
    message: str = ""


def error_integral(network, teacher, norm, loadings, deep, points) -> float:
    """E (f(U) - Y)^2 for U = loadings F_0, on points (1 + q, N) of F_0."""
    residual = network.output(loadings @ points, deep) - teacher.mean_label(norm * points[0])
    return float(residual @ residual) / len(residual) + teacher.noise**2


def generalization_errors(network, teacher, norm2, solution: Solution, n_points, rng) -> Array:
    """E (f(U_t) - Y)^2 at every step, on one set of points in 1 + q dimensions (theory 4)."""
    A, M = solution.loadings, solution.noise
    rest = psd_sqrt(A[..., 1:] @ np.swapaxes(A[..., 1:], 1, 2) + M @ np.swapaxes(M, 1, 2))
    loadings = np.concatenate([A[..., :1], rest], axis=-1)
    n_points = max(n_points, INTEGRAL_POINTS)
    points = gaussian_points(loadings.shape[-1], n_points, rng)
    mean_label = teacher.mean_label(np.sqrt(norm2) * points[0])
    points, mean_label = points.astype(np.float32), mean_label.astype(np.float32)
    deep = [np.array(layer) for layer in zip(*solution.deep[: len(loadings)], strict=True)]
    chunk = max(1, INTEGRAL_SIZE // (n_points * loadings.shape[1]))  # several steps at once, in cache
    errors = []
    for start in range(0, len(loadings), chunk):
        B, *V = (array[start : start + chunk].astype(np.float32) for array in (loadings, *deep))
        residual = network.output(B @ points, V) - mean_label
        errors.append(np.mean(np.square(residual), axis=1, dtype=float))
    return np.concatenate(errors) + teacher.noise**2
