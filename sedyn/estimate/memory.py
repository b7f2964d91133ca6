"""Memory of the training rows: what a preactivation owes to its own row's gradients, measured on the data (theory 5).

======== ====================================================== ============
symbol   name                                                   shape
======== ====================================================== ============
M^j      memory coefficients at eigenvalue lambda_j             (J, q, K)
M        their mean: sum_(r<t) rho_(t,r) S_r = M Q              (q, K)
Q        basis of S_0, S_1, .. over the m training rows         (K, m)
dS, dQ   derivatives when every U_s moves by a column of M^j_s, (.., K J n)
         on n of the rows
H^j      mean derivative of S when every U_s moves by M^j_s     (J, q, K)
F        variance of a fresh preactivation over training sets   (q, q)
======== ====================================================== ============
"""

from __future__ import annotations

import numpy as np

from ..common import Array, require_memory
from ..model import Moving, Rule
from ..recursion import Basis, Responses
from .spectrum import Spectrum

SINGLE = np.float32  # the precision of the basis: what it costs is reading it
BLOCK = 16  # directions whose tangents are stored together
FADING = 0.3  # of what was there lately, per step; 0.1 serves as well


class LowRankMemory:
    """The memory in a growing basis of gradients, with the tangents of all its directions on `n_rows` random rows.

    A gradient is kept together with its derivatives, one vector (S, dS), in the inner product
    ``<S, S'> + phi sum_j w_j lambda_j <dS^j, dS'^j>``. With <S, S'> alone, dQ would be divided by tiny residuals and
    grow exponentially. This one is the covariance of S when fresh preactivations, too, move as they do from one
    training set to another, by sqrt(phi) M times a Gaussian vector; so F = phi M M^T needs no tangent of its own.
    """

    def __init__(self, rule: Rule, q: int, n_samples: int, phi: float, spectrum: Spectrum, tolerance, n_rows: int, rng):
        self.q, self.m, self.phi, self.spectrum, self.tolerance = q, n_samples, phi, spectrum, tolerance
        few = n_rows < n_samples
        # drawn as 64-bit integers, which index no array where addresses have 32 bits, as in a web browser
        self.rows = rng.choice(n_samples, n_rows, replace=False).astype(np.intp) if few else np.arange(n_samples)
        self._control = _ControlVariate(rule, q, n_samples, spectrum.weights.sum() / phi) if few else None
        self._basis = Basis(np.full(n_samples, 1 / n_samples), SINGLE)  # Q, then dQ along BLOCK directions at a time
        self._M = Moving(rule, np.zeros((len(spectrum.nodes), q, 0)))
        self._moved = np.zeros((q, n_samples), SINGLE)  # M times the basis: M Q, M dQ

    @property
    def memory(self) -> Array:
        """sum_(r<t) rho_(t,r) S_r (q, m), ready for the next step."""
        return self._moved[:, : self.m]

    @property
    def spread(self) -> Array:
        """F (q, q)."""
        return self.phi * np.einsum(
            "j,jak,jbk->ab", self.spectrum.weights * self.spectrum.nodes, self._M.now, self._M.now
        )

    def extend(self, t: int, S: Array, J: Array, batch: Array | None = None) -> None:
        """Take in the gradients S (q, m) and Hessians J (q, q, m) of step t; `memory` is then that of the next.

        In S each sample has its weight in the `batch` (m,), in J it has not: responses are means over batches.
        """
        dS, H = self._differentiate(t, J.astype(SINGLE), None if batch is None else batch.astype(SINGLE))
        try:
            L, _ = self._basis.extend(np.concatenate([S.astype(SINGLE), dS], axis=1), self.tolerance)
        except np.linalg.LinAlgError:  # tangents lost in rounding: whoever reads the memory sees it
            L = np.full((self.q, len(self._basis)), np.nan)
        while len(self._basis) > self._M.now.shape[2]:  # the next directions to be born, along which nothing moves yet
            nodes, weights = self.spectrum
            metric = np.repeat(self.phi * weights * nodes / len(self.rows), len(self.rows))
            self._basis.widen(np.tile(metric, BLOCK))
            self._M.grow(np.zeros((len(nodes), self.q, BLOCK)))
        L, H = (np.pad(A, [*[(0, 0)] * (A.ndim - 1), (0, self._M.now.shape[2] - A.shape[-1])]) for A in (L, H))
        self._M.step(t, L / self.phi + self.spectrum.nodes[:, None, None] * H)
        M = np.tensordot(self.spectrum.weights, self._M.now, axes=1)
        self._moved = self._basis.combine(M[:, : len(self._basis)])

    def _differentiate(self, t: int, J: Array, batch: Array | None) -> tuple[Array, Array]:
        """dS (q, K J n) along all tangents, and H (J, q, K)."""
        nodes, weights = self.spectrum
        moved = self._moved[:, self.m :].reshape(self.q, -1, len(self.rows))
        moved = moved + self._M.now.transpose(1, 2, 0).reshape(self.q, -1, 1).astype(SINGLE)  # dTheta = M + M dQ
        dS = np.einsum("abi,bdi->adi", J.take(self.rows, axis=2), moved)
        M = np.tensordot(weights, self._M.now, axes=1)
        mean = self._control.weights(J, self.rows, M) if self._control else np.full(self.m, 1 / self.m)
        H = np.moveaxis((dS @ mean.astype(SINGLE)).reshape(self.q, -1, len(nodes)), 2, 0).astype(float)
        if self._control:
            self._control.step(t, J, batch, M, np.tensordot(weights * nodes, H, axes=1))
        if batch is not None:
            dS *= batch.take(self.rows)
        return dS.reshape(self.q, -1), H


class _ControlVariate:
    """Control variate of the mean over few rows (theory 5, "Few rows"): a tangent g that every row carries.

    U_s moves by |M_s| along each neuron. The memory of that tangent, G (q, q, m), follows the mean Hessian and one
    response C to what was there lately, in place of all R_(t,s). The few rows are weighted such that g has the same
    mean over them as over all rows.
    """

    def __init__(self, rule: Rule, q: int, n_samples: int, drive: float):
        self.drive, self.G, self.M_lately = drive, Moving(rule, np.zeros((q, q, n_samples), SINGLE)), np.zeros((q, 0))
        self.G_lately = np.zeros_like(self.G.now)

    def weights(self, J: Array, rows: Array, M: Array) -> Array:
        """Of the rows, (n,): nearest to 1/n."""
        moved = self.G.now + np.linalg.norm(M) * np.eye(len(M), dtype=SINGLE)[:, :, None]
        self.dS = np.einsum("abi,bci->aci", J, moved.astype(SINGLE))
        every = self.dS.reshape(-1, J.shape[-1])
        few = every.take(rows, axis=1).astype(float)
        gap = every.mean(axis=1) - few.mean(axis=1)
        few -= few.mean(axis=1, keepdims=True)
        gram = few @ few.T
        gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) + 1e-300
        return 1 / len(rows) + np.linalg.solve(gram, gap) @ few

    def step(self, t: int, J: Array, batch: Array | None, M: Array, H: Array) -> None:
        now, lately = J.mean(axis=-1), np.pad(self.M_lately, ((0, 0), (0, M.shape[1] - self.M_lately.shape[1])))
        few = 1e-3 * np.sum(lately**2) + 1e-300
        C = (now @ M - H) @ lately.T @ np.linalg.inv(lately @ lately.T + few * np.eye(len(M)))
        drift = np.tensordot(now, self.G.now, axes=1) - np.tensordot(C.astype(SINGLE), self.G_lately, axes=1)
        drift += SINGLE(self.drive) * (self.dS if batch is None else self.dS * batch)
        self.G_lately = self.G_lately + SINGLE(FADING) * (self.G.now - self.G_lately)
        self.M_lately = lately + FADING * (M - lately)
        self.G.step(t, drift)


class ExactMemory:
    """The memory by the recursion over all pairs of steps (theory 5); F by the low-rank memory that runs beside it."""

    def __init__(self, rule: Rule, low_rank: LowRankMemory):
        q, m, (nodes, weights), n_steps = low_rank.q, low_rank.m, low_rank.spectrum, rule.n_steps
        require_memory(
            Responses.memory_bytes(n_steps, q, m),
            f"the exact recursion over {n_steps} steps on {m} rows",
            "use method='low-rank', or lower n_steps or the width",
        )
        self._low_rank = low_rank
        self._responses = Responses(rule, q, m, low_rank.phi, nodes, weights)
        self._past = np.zeros((n_steps, q, m))
        self.memory = np.zeros((q, m))

    @property
    def spread(self) -> Array:
        return self._low_rank.spread

    def extend(self, t: int, S: Array, J: Array, batch: Array | None = None) -> None:
        self._low_rank.extend(t, S, J, batch)
        self._past[t] = S
        self._responses.extend(t, J if batch is None else J * batch)
        self.memory = self._responses.memory(t + 1, self._past)
