"""What a training preactivation owes to its own gradients, measured on the data with few tangents (theory 5).

======== ===================================================== ============
symbol   name                                                  shape
======== ===================================================== ============
Q        basis of S_0, S_1, .. over the training rows          (K, m)
M^j      memory coefficients at eigenvalue lambda_j            (J, q, K)
M        their mean: sum_(r<t) rho_(t,r) S_r = M Q             (q, K)
dS, dQ   derivatives along the tangents                        (.., D, m)
H^j      mean derivative of S when every U_s moves by M^j_s    (J, q, K)
======== ===================================================== ============
"""

from __future__ import annotations

import numpy as np

from .network import Array
from .spectrum import Spectrum
from .training import update

# Tangents are single precision: they only enter through means, and a memory pass is bound by memory bandwidth.
TANGENT = np.float32


class LowRankMemory:
    """The memory in a growing basis Q of gradients, with the tangents of all K directions or of random probes of them.

    With ``n_probes=0`` every sample carries one tangent for each direction and eigenvalue; exact up to `tolerance`, at
    a cost of m K^2. With probes each sample carries `n_probes` random combinations g of the directions and H is the
    mean of dS g^T (Hutchinson), at a cost of m K n_probes; the rows of g are made orthogonal over the samples, so that
    only the fluctuations of the Hessians are sampled, as with the twins of theory 4.
    """

    def __init__(self, q: int, n_samples: int, phi: float, spectrum: Spectrum, tolerance: float, n_probes: int, rng):
        self.q, self.m, self.phi, self.spectrum = q, n_samples, phi, spectrum
        self.tolerance, self.n_probes, self.rng = tolerance, n_probes, rng
        self.K = 0
        self._M = np.zeros((len(spectrum.nodes), q, 0))
        self._per_direction = 0 if n_probes else len(spectrum.nodes)  # tangents that a new direction adds
        self._n_fixed = n_probes * len(spectrum.nodes)
        self._Q = np.zeros((0, n_samples))
        self._dQ = np.zeros((0, 0, n_samples), TANGENT)  # row, tangent, sample
        self._g = np.zeros((0, n_probes * n_samples), TANGENT)
        self._reserve(16)
        self.memory = np.zeros((q, n_samples))  # sum_(r<t) rho_(t,r) S_r, ready for the next step

    def _reserve(self, capacity: int) -> None:
        """Room for `capacity` directions; what is there is copied."""

        def enlarged(old: Array, *shape: int) -> Array:
            new = np.zeros(shape, old.dtype)
            new[tuple(slice(size) for size in old.shape)] = old
            return new

        self._Q = enlarged(self._Q, capacity, self.m)
        self._dQ = enlarged(self._dQ, capacity, self._n_fixed + capacity * self._per_direction, self.m)
        if self.n_probes:
            self._g = enlarged(self._g, capacity, self.n_probes * self.m)

    @property
    def _D(self) -> int:
        return self._n_fixed + self.K * self._per_direction

    def _tangents(self) -> Array:
        return self._dQ[: self.K, : self._D].reshape(self.K, self._D * self.m)

    def _differentiate(self, J: Array) -> tuple[Array, Array]:
        """dS (q, D m) along all tangents, and H (J, q, K)."""
        q, m, K, D, n_nodes = self.q, self.m, self.K, self._D, len(self.spectrum.nodes)
        if K == 0:
            return np.zeros((q, D * m), TANGENT), np.zeros((n_nodes, q, 0))
        total = np.tensordot(self.spectrum.weights, self._M, axes=1).astype(TANGENT)
        moved = (total @ self._tangents()).reshape(q, D, m)  # dTheta = M + M dQ, sample by sample
        if self.n_probes:
            g = self._g[:K]
            for j, M in enumerate(self._M.astype(TANGENT)):
                moved[:, j * self.n_probes : (j + 1) * self.n_probes] += (M @ g).reshape(q, self.n_probes, m)
        else:
            moved += self._M.transpose(1, 2, 0).reshape(q, D, 1).astype(TANGENT)
        J = J.astype(TANGENT)
        dS = np.stack([sum(J[a, b] * moved[b] for b in range(q)) for a in range(q)])
        if self.n_probes:
            by_node = dS.reshape(q, n_nodes, self.n_probes * m)
            H = np.stack([by_node[:, j] @ g.T for j in range(n_nodes)]) / (self.n_probes * m)
        else:
            H = dS.mean(axis=-1, dtype=float).reshape(q, K, n_nodes).transpose(2, 0, 1)
        return dS.reshape(q, D * m), H.astype(float)

    def _inner(self, a, da, b, db) -> Array:
        """<a, b> + <da, db>: with <a, b> alone, dQ would be divided by tiny residuals and grow exponentially."""
        probes = self.n_probes or 1
        return a @ b.T / self.m + (da @ db.T).astype(float) / (self.m * probes)

    def extend(self, S: Array, J: Array, eta: float) -> None:
        """Take in the gradients S (q, m) and Hessians J (q, q, m) of one step; `memory` is then that of the next."""
        dS, H = self._differentiate(J)
        Q, dQ = self._Q[: self.K], self._tangents()
        L = self._inner(S, dS, Q, dQ)
        size = self._inner(S, dS, S, dS)
        values, vectors = np.linalg.eigh(size - L @ L.T)
        new = values > self.tolerance**2 * np.trace(size)
        d = int(new.sum())
        if d:
            X = vectors[:, new].T / np.sqrt(values[new])[:, None]
            row, drow = X @ (S - L @ Q), X.astype(TANGENT) @ (dS - L.astype(TANGENT) @ dQ)
            again = self._inner(row, drow, Q, dQ)  # Gram-Schmidt twice (theory 4)
            row, drow = row - again @ Q, drow - again.astype(TANGENT) @ dQ
            norm = np.linalg.inv(np.linalg.cholesky(self._inner(row, drow, row, drow)))
            row, drow = norm @ row, norm.astype(TANGENT) @ drow
            L = np.concatenate([L, self._inner(S, dS, row, drow)], axis=1)
            self._append(row, drow)
        grown = ((0, 0), (0, 0), (0, d))
        nodes = self.spectrum.nodes[:, None, None]
        self._M = update(np.pad(self._M, grown), eta, L / self.phi + nodes * np.pad(H, grown))
        self.memory = np.tensordot(self.spectrum.weights, self._M, axes=1) @ self._Q[: self.K]

    def _append(self, row: Array, drow: Array) -> None:
        K, d, D = self.K, len(row), self._D
        if K + d > len(self._Q):
            self._reserve(2 * len(self._Q) + d)
        self._Q[K : K + d] = row
        self._dQ[K : K + d, :D] = drow.reshape(d, D, self.m)  # 0 along the directions born now
        if self.n_probes:
            g = self.rng.choice(np.array([-1, 1], TANGENT), (d, self.n_probes * self.m))
            scale = TANGENT(1 / (self.n_probes * self.m))
            known = self._g[:K]
            g -= (g @ known.T * scale) @ known
            self._g[K : K + d] = np.linalg.inv(np.linalg.cholesky(g @ g.T * scale)) @ g
        self.K += d
