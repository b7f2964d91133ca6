"""Solutions: the form that all solvers give them, and their generalization error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common import Array, floating, number
from ..model import Problem, Small, metric_integrals


@dataclass
class Solution:
    """One randomization of a solver, for t = 0..T' (T' < T only when it diverged or was interrupted).

    U_t = loadings_t zeta_0 + noise_t H with independent standard Gaussian zeta_0 (the coordinates of the start) and H,
    so that C_(t,s) = loadings_t loadings_s^T + noise_t noise_s^T (theory 4: A_t and sqrt(phi) M_t).
    """

    train: list[Array]  # squared error, then the metrics
    small: list[Small]  # per step
    loadings: Array  # (T'+1, q, B (k + q))
    noise: Array  # (T'+1, q, K)
    R: Array | None = None  # (T, T, q, q), R_(t,s), tangent recursion only
    rho: Array | None = None  # (T+1, T, q, q)
    outside: float = 0.0  # largest share of a gradient that the basis left out
    start: Array | None = None  # (k + q, N'), sqrt(n) (mu, W_1) of every sampled feature, two-sided solver only
    rows: Array | None = None  # (steps kept, q, N'), sqrt(n) W_1 there
    status: str = "ok"
    message: str = ""


def generalization_errors(problem: Problem, solution: Solution, n_paths: int, rng) -> Array:
    """Squared error and metrics of f(U_t) against Y, on one set of points in q + k + 1 dimensions, (T'+1, 1 + metrics).

    The law of U_t given Z is Gaussian whatever the blocks (theory 4, 6).
    """
    A, M, along = solution.loadings, solution.noise, problem.overlaps.signal_loadings
    C, small = A @ A.swapaxes(1, 2) + M @ M.swapaxes(1, 2), Small.stacked(solution.small[: len(A)])
    parts = problem.network, problem.teacher, problem.metrics
    return metric_integrals(*parts, C, A @ along.T, along @ along.T, small, n_paths, rng)


def validate_tolerance(tolerance, dtype) -> tuple[float, np.dtype]:
    """Both as numbers and types; ValueError for a tolerance out of range, or too small for rounding in `dtype`."""
    dtype = floating(dtype)
    least = float(np.sqrt(np.finfo(dtype).eps))
    expected = f"lie between {least:.1e} and 1 for {dtype.name}"
    expected += " (use dtype=float64 for less)" if dtype == np.float32 else ""
    return number(tolerance, "tolerance", expected, lambda x: least < x < 1), dtype


def require_start(solution: Solution) -> None:
    """ValueError when a solution does not even have its first value."""
    if solution.status == "diverged" and not solution.train:
        raise ValueError(
            "the training error is not a finite number at the start; lower the overlaps, the link or the noise"
        )
