"""Responses and memory by the recursion over all pairs of steps: on Monte Carlo paths (theory 3) or on data (theory 5).

========= ================================================= =========
symbol    name                                              shape
========= ================================================= =========
J_t       Hessian of each sample's loss in u                (q, q, N)
D_(t,s)   derivative of S_t in U_s, sample by sample        (q, q, N)
R_(t,s)   response, the mean of D_(t,s)                     (q, q)
rho_(t,r) memory: weight of S_r in a training preactivation (q, q)
========= ================================================= =========
"""

from __future__ import annotations

import numpy as np

from ..common import Array
from ..model import Rule


class Responses:
    """R and rho, extended one step at a time from the Hessians of N samples (theory 2, 3)."""

    def __init__(self, rule: Rule, q: int, n_samples: int, phi: float, nodes=(1.0,), weights=(1.0,)):
        """The features' spectrum is sum_j (weights_j / nodes_j) delta(nodes_j) (theory 5)."""
        T = rule.n_steps
        self.rule, self.q, self.phi = rule, q, phi
        self.nodes, self.weights = np.asarray(nodes, float), np.asarray(weights, float)
        self.R = np.zeros((T, T, q, q))
        self.rho = np.zeros((T + 1, T, q, q))
        self.rho_nodes = np.zeros((len(self.nodes), T + 1, T, q, q))  # one memory per eigenvalue; rho is their mean
        self._D = np.zeros((T * q, T * q * n_samples))  # row (r, i), column (s, j, sample); zero for s > r

    @staticmethod
    def memory_bytes(n_steps: int, q: int, n_samples: int) -> int:
        """Memory for the derivatives of all samples: N T^2 q^2 numbers."""
        return 8 * n_samples * (n_steps * q) ** 2

    def memory(self, t: int, past_S: Array) -> Array:
        """sum_(r<t) rho_(t,r) S_r for past_S (t, q, N)."""
        return np.tensordot(self.rho[t, :t], past_S[:t], axes=([0, 2], [0, 1])) if t else np.zeros(past_S.shape[1:])

    def extend(self, t: int, J: Array) -> None:
        """Take in the Hessians of step t: R_(t, 0..t) and rho_(t+1, 0..t) of the linear rule."""
        self.respond(t, J)
        drift = np.einsum(
            "j,sab,jsrbc->jrac", self.nodes, self.R[t, : t + 1], self.rho_nodes[:, : t + 1], optimize=True
        )
        drift[:, t] += np.eye(self.q) / self.phi
        rho = self.rho_nodes
        rho[:, t + 1] = self.rule.update(t, 0, rho[:, t], rho[:, max(t - 1, 0)], drift)
        self.rho[t + 1] = np.tensordot(self.weights, self.rho_nodes[:, t + 1], axes=1)

    def respond(self, t: int, J: Array) -> None:
        """R_(t, 0..t) alone."""
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
