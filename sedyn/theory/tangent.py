"""The reference solver: the state evolution on Monte Carlo paths, by tangent recursion (theory 3, 6).

Beside what `sedyn.responses` keeps:

======== ================================================= =================
symbol   name                                              shape
======== ================================================= =================
A_t      loadings of U_t on zeta_0: P_t, kappa_t applied   (q, B (k + q))
         to the start
nu_t     feature-side Gaussian noise, Cov phi G, per block (q, N)
======== ================================================= =================
"""

from __future__ import annotations

import numpy as np
import scipy

from ..common import Array
from ..model import Moving, Problem, Recording, gaussian_points, label_columns
from ..recursion import Responses
from .solution import Solution


class _ExtendedCholesky:
    """Cholesky factor of a covariance that grows by block rows; pivots near 0 are set to 0 (theory 3)."""

    def __init__(self, size: int):
        self.factor = np.zeros((size, size))
        self._independent: list[int] = []

    def extend(self, rows: Array) -> None:
        """Append block rows: `rows` (q, old size + q) of the covariance."""
        q, size = rows.shape
        for i, row in zip(range(size - q, size), rows, strict=True):
            known = self._independent
            entries = (
                scipy.linalg.solve_triangular(self.factor[np.ix_(known, known)], row[known], lower=True)
                if known
                else np.zeros(0)
            )
            self.factor[i, known] = entries
            pivot = row[i] - entries @ entries
            if pivot > 1e-9 * row[i]:
                self.factor[i, i] = np.sqrt(pivot)
                self._independent.append(i)


def solve(problem: Problem, *, n_paths, rng, step, quasi=True) -> Solution:
    """The reference solver (theory 3, 6): slow, clear, with exact derivatives. `step` is called once per step."""
    network, rule, teacher, overlaps, phi, _ = problem
    T, q, along = rule.n_steps, network.widths[0], overlaps.signal_loadings
    known, B = along.shape[1], len(overlaps.variances)
    xi, zeta_0 = np.split(gaussian_points(1 + known, n_paths, rng, quasi), [1])
    Z = along @ zeta_0
    Y = label_columns(teacher.labels(Z, xi[0]), network.widths[-1])
    memoryless = np.isinf(phi)
    weights = overlaps.fractions * overlaps.variances
    responses = Responses(rule, q, n_paths, phi, overlaps.variances, weights)
    spread = np.sqrt(weights * overlaps.variances)  # times sqrt(phi) rho^j: how nu moves U, in each block
    cholesky = _ExtendedCholesky(T * q)
    normals = np.zeros((B, T * q, n_paths))
    A = np.zeros((T + 1, q, known))  # U_t = A_t zeta_0 + noise: the coefficients P_t and kappa_t, applied to the start
    A[0] = overlaps.loadings
    variances, signal_pinv = np.repeat(overlaps.variances, known // B), np.linalg.pinv(along @ along.T, hermitian=True)
    S = np.zeros((T, q, n_paths))
    G = np.zeros((T * q, T * q))
    nu = np.zeros((B, T, q, n_paths))
    V = Moving(rule, overlaps.small)
    recording = Recording(rule, problem.metrics, Y)
    try:
        for t in range(T + 1):
            step()
            noise = np.einsum("b,brij,brjn->in", spread, responses.rho_nodes[:, t, :t], nu[:, :t], optimize=True)
            theta = A[t] @ zeta_0 + noise + responses.memory(t, S)
            batch = rule.batch_weights(n_paths, rng)
            S_t, gradients, residual = network.gradients(theta, Y, V.now, rule.loss, batch)
            if not recording.record_step(residual, V.now, A[t]):
                break
            if t == T:
                break
            S[t] = S_t
            responses.extend(t, network.hessian(theta, Y, V.now, rule.loss) * (1 if batch is None else batch))
            R_t, now = responses.R[t, : t + 1], slice(t * q, (t + 1) * q)
            if not memoryless:
                G[now, : now.stop] = S_t @ S[: t + 1].reshape(-1, n_paths).T / n_paths
                cholesky.extend(G[now, : now.stop])
                normals[:, now] = rng.standard_normal(
                    (B, q, n_paths)
                )  # step by step: T does not change what came before
                nu[:, t] = np.sqrt(phi) * cholesky.factor[now, : now.stop] @ normals[:, : now.stop]
            moved = np.einsum("sab,sbk->ak", R_t, A[: t + 1])  # what S_t owes to zeta_0 through the U_s
            d_t = (S_t @ Z.T / n_paths - moved @ along.T) @ signal_pinv
            A[t + 1] = rule.update(t, 0, A[t], A[max(t - 1, 0)], variances * (moved + d_t @ along))
            V.step(t, gradients.map(lambda g: g / n_paths))
    except KeyboardInterrupt:
        recording.interrupt()
    reached = len(recording.train)
    noise = np.zeros((reached, q, 0))
    if not memoryless:
        factor = np.sqrt(phi) * cholesky.factor.reshape(T, q, T * q)
        parts = np.einsum("b,btrij,rjk->btik", spread, responses.rho_nodes[:, :reached], factor, optimize=True)
        noise = np.concatenate(list(parts), axis=2)
    return Solution(
        recording.train,
        recording.small,
        A[:reached],
        noise,
        responses.R,
        responses.rho,
        status=recording.status,
        message=recording.message,
    )
