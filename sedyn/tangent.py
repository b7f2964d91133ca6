"""Responses by tangent recursion: on Monte Carlo paths (theory 3, the reference solver) or on data (theory 5).

======== ================================================= =================
symbol   name                                              shape
======== ================================================= =================
J_t      Hessian of each sample's loss in u                (q, q, N)
D_(t,s)  derivative of S_t in U_s, sample by sample        (q, q, N)
R_(t,s)  response, the mean of D_(t,s)                     (q, q)
rho_(t,r) memory: weight of S_r in a training preactivation (q, q)
P, kappa linear coefficients of Delta_t (theory 2)         (q, q), (q,)
N_t      feature-side Gaussian noise, Cov phi G            (q, N)
======== ================================================= =================
"""

from __future__ import annotations

import numpy as np
import scipy  # imports its submodules where they are first used

from .network import Array
from .paths import Solution, gaussian_points
from .training import divergence_bound, divergence_message, update


class Responses:
    """R and rho, extended one step at a time from the Hessians of N samples (theory 2, 3)."""

    def __init__(self, n_steps: int, q: int, n_samples: int, phi: float, nodes=(1.0,), weights=(1.0,)):
        """`nodes` and `weights` describe the features' spectrum, sum_j weights_j delta(nodes_j) (theory 5)."""
        T = n_steps
        self.q, self.phi = q, phi
        self.nodes, self.weights = np.asarray(nodes, float), np.asarray(weights, float)
        self.R = np.zeros((T, T, q, q))
        self.rho = np.zeros((T + 1, T, q, q))
        self._rho_nodes = np.zeros((len(self.nodes), T + 1, T, q, q))  # one memory per eigenvalue; rho is their mean
        self._D = np.zeros((T * q, T * q * n_samples))  # row (r, i), column (s, j, sample); zero for s > r

    @staticmethod
    def memory_bytes(n_steps: int, q: int, n_samples: int) -> int:
        """What the derivatives of all samples take: N T^2 q^2 numbers."""
        return 8 * n_samples * (n_steps * q) ** 2

    def memory(self, t: int, past_S: Array) -> Array:
        """sum_(r<t) rho_(t,r) S_r for past_S (t, q, N)."""
        return np.tensordot(self.rho[t, :t], past_S[:t], axes=([0, 2], [0, 1])) if t else np.zeros(past_S.shape[1:])

    def extend(self, t: int, J: Array, eta: float) -> None:
        """Take in the Hessians of step t: R_(t, 0..t) and rho_(t+1, 0..t)."""
        q, n = self.q, J.shape[-1]
        moved = np.zeros((q, (t + 1) * q * n))  # dTheta_t / dU_s = 1{s=t} I + sum_(s<=r<t) rho_(t,r) D_(r,s)
        if t:
            rho_t = self.rho[t, :t].transpose(1, 0, 2).reshape(q, t * q)
            moved[:, : t * q * n] = rho_t @ self._D[: t * q, : t * q * n]
        moved = moved.reshape(q, (t + 1) * q, n)
        moved[:, t * q :] += np.eye(q)[:, :, None]
        D_t = self._D[t * q : (t + 1) * q, : (t + 1) * q * n].reshape(q, (t + 1) * q, n)
        for a in range(q):
            D_t[a] = sum(J[a, b] * moved[b] for b in range(q))
        self._D[t * q : (t + 1) * q, : (t + 1) * q * n] = D_t.reshape(q, -1)
        self.R[t, : t + 1] = D_t.mean(axis=-1).reshape(q, t + 1, q).transpose(1, 0, 2)
        drift = np.einsum(
            "j,sab,jsrbc->jrac", self.nodes, self.R[t, : t + 1], self._rho_nodes[:, : t + 1], optimize=True
        )
        drift[:, t] += np.eye(self.q) / self.phi
        self._rho_nodes[:, t + 1] = update(self._rho_nodes[:, t], eta, drift)
        self.rho[t + 1] = np.tensordot(self.weights, self._rho_nodes[:, t + 1], axes=1)


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


def solve(network, eta, teacher, overlaps, phi, *, n_paths, rng, step, quasi=True) -> Solution:
    """The reference solver (theory 3): slow, clear, with exact derivatives. `step` is called once per step."""
    T, q = len(eta), network.widths[0]
    norm2 = overlaps.signal_norm2
    start = overlaps.loadings()
    xi, *F_0 = gaussian_points(q + 2, n_paths, rng, quasi)
    Z, U_0 = np.sqrt(norm2) * F_0[0], start @ np.stack(F_0)
    Y = teacher.labels(Z, xi)
    memoryless = np.isinf(phi)
    responses = Responses(T, q, n_paths, phi)
    cholesky = _ExtendedCholesky(T * q)
    normals = rng.standard_normal((T * q, n_paths)) if not memoryless else np.zeros((T * q, n_paths))
    P, kappa = np.zeros((T + 1, q, q)), np.zeros((T + 1, q))
    P[0] = np.eye(q)
    S = np.zeros((T, q, n_paths))
    G = np.zeros((T * q, T * q))
    N = np.zeros((T, q, n_paths))
    V = list(overlaps.deep)
    train_error, deep, status, message = [], [], "ok", ""
    try:
        for t in range(T + 1):
            step()
            U = P[t] @ U_0 + kappa[t][:, None] * Z + responses.memory(t, N)
            theta = U + responses.memory(t, S)
            S_t, deep_gradients, residual = network.gradients(theta, Y, V)
            error = float(np.mean(residual**2))
            if t == 0:
                bound = divergence_bound(error, Y)
            if not error <= bound:
                status, message = "diverged", divergence_message(t, error)
                break
            train_error.append(error)
            deep.append(V)
            if t == T:
                break
            S[t] = S_t
            responses.extend(t, network.hessian(theta, Y, V), eta[t, 0])
            R_t, now = responses.R[t, : t + 1], slice(t * q, (t + 1) * q)
            if not memoryless:
                G[now, : now.stop] = S_t @ S[: t + 1].reshape(-1, n_paths).T / n_paths
                cholesky.extend(G[now, : now.stop])
                N[t] = np.sqrt(phi) * cholesky.factor[now, : now.stop] @ normals[: now.stop]
            c = P[: t + 1] @ overlaps.cross + kappa[: t + 1] * norm2
            d_t = (S_t @ Z / n_paths - np.einsum("sab,sb->a", R_t, c)) / norm2 if norm2 else np.zeros(q)
            P[t + 1] = update(P[t], eta[t, 0], np.einsum("sab,sbc->ac", R_t, P[: t + 1]))
            kappa[t + 1] = update(kappa[t], eta[t, 0], np.einsum("sab,sb->a", R_t, kappa[: t + 1]) + d_t)
            V = [update(W, step, g / n_paths) for W, step, g in zip(V, eta[t, 1:], deep_gradients, strict=True)]
    except KeyboardInterrupt:
        status, message = "interrupted", f"interrupted: the arrays end at step {len(train_error) - 1} of {T}"
    reached = len(train_error)
    loadings = P[:reached] @ start
    loadings[:, :, 0] += np.sqrt(norm2) * kappa[:reached]
    if memoryless:
        noise = np.zeros((reached, q, 0))
    else:
        noise = np.sqrt(phi) * np.einsum("trab,rbk->tak", responses.rho[:reached], cholesky.factor.reshape(T, q, T * q))
    return Solution(train_error, deep, loadings, noise, responses.R, responses.rho, status, message)
