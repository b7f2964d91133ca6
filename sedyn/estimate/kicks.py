"""Memory of the training rows by training again with kicks: for every update and every covariance (theory 10).

Further runs train on the same rows, and every gradient of every row gets a small random kick of its own. What a row's
kick does to the row's own preactivation is what its gradients do to it: directly, and through what it then changes in
the row's later gradients, which the runs show, too. So the memory is found by one linear solve, without any model of
the features or of the update.

======== ======================================================== ============
symbol   name                                                     shape
======== ======================================================== ============
Q        basis of S_0, S_1, .. over the m training rows, and of   (K, m)
         what kicks change in them
L        coordinates of S_t in it                                 (q, K)
H        twins: Gaussian kicks, one for each row of the basis     (P, K, m)
dTheta   what kicks L_0 H, L_1 H, .. change in preactivations,    (P, q, m)
dQ       and in the basis, in units of the kick                   (K, P, m)
M        memory coefficients: dTheta = M (H + dQ) + what comes    (q, K)
         from other rows
kappa    overlaps of rows of one group, the identity without any  (m, m)
======== ======================================================== ============
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..common import Array, require_memory
from ..model import Moving, Network, Rule, Small
from ..recursion import Basis, in_units
from ..runs import State
from .features import orthonormal
from .groups import Groups

KICK = np.float32(0.05)  # of the gradients; larger ones read low, and smaller ones high where a step jumps (theory 10)
FEWEST, KICKED_ROWS = 4, 2000  # further runs, and rows in all of them together


class KickedMemory:
    """The memory in a growing basis of gradients, measured by training P more times with kicks to all gradients."""

    R = None  # responses of single steps are not known here

    def __init__(
        self,
        network: Network,
        rule: Rule,
        first: Array,
        X: Array,
        y: Array,
        tolerance: float,
        n_reruns: int | None,
        groups: Groups,
        centred: bool,
        sample_weight: Array | None,
        uneven: float,
        rng: np.random.Generator,
    ):
        """`uneven`: mean square of the covariance's eigenvalues over their squared mean; the rest as for
        `NudgedMemory`."""
        (m, n), q = X.shape, network.widths[0]
        P = max(2, n_reruns or max(FEWEST, -(-KICKED_ROWS // m)))  # two, for their spread
        require_memory(8.0 * P * (m * (q + 2) + 4.0 * n * q), f"n_reruns = {P} further runs", "lower n_reruns")
        self.network, self.rule, self.groups, self.centred, self.rng = network, rule, groups, centred, rng
        self.m, self.n, self.q, self.P, self.phi, self.uneven = m, n, q, P, m / n, uneven
        jumps = rule.optimizers[0] is not None and rule.optimizers[0].jumps
        self._rough = jumps or network.has_kink(rule.loss)
        self.X, self.tolerance, self.weight = X.astype(np.float32), tolerance, sample_weight
        self.labels = np.tile(y.astype(np.float32), 1 + P)  # along the rows, whatever the outputs
        self._weights = None if sample_weight is None else np.tile(sample_weight.astype(np.float32), 1 + P)
        self._basis = Basis(np.concatenate([np.full(m, 1 / m), np.full(P * m, 1 / (m * P))]), np.float32)
        self._H = np.zeros((P, 0, m), np.float32)
        self._seen = np.zeros((0, P, m), np.float32)  # H + dQ, mixed within groups
        self._through = np.zeros((0, 0))  # its mean product with h
        start = np.repeat(first.T[None].astype(np.float32), 1 + P, axis=0)  # the run itself, then those with kicks
        self._W = Moving(rule, start, float(np.sqrt(n)))
        self._u = self._preactivations()
        self._M, self._each = np.zeros((q, 0)), np.zeros((P, q, 0))
        self._echo = np.zeros((q, q))
        self.own = np.zeros((q, m), np.float32)

    @property
    def memory(self) -> Array:
        """What each preactivation owes to its row, or its group, (q, m), ready for the next step."""
        return self.groups.mix(self.own)

    @property
    def jackknife(self) -> Array | None:
        """As that of `NudgedMemory`: what all kicks of other rows do to a preactivation."""
        return None if self._rough else self._echo

    @property
    def spread(self) -> float:
        """As that of `NudgedMemory`: at most `uneven`, and what the kicks of other rows show."""
        plain = np.vdot(self.own, self.own) / self.n
        return float(np.clip(np.trace(self._echo) / plain, 1.0, self.uneven)) if plain > 0 else 1.0

    def without(self) -> Iterator[Array]:
        """The memory measured without one of the further runs, for each of them."""
        for each in self._each:
            yield self.groups.mix(self._on_rows((self.P * self._M - each) / (self.P - 1)))

    def extend(self, state: State) -> None:
        """Take in a state with its gradients; `memory` is then that of the next."""
        if not np.all(np.isfinite(state.u)):  # the run has diverged
            self.own[:] = np.nan
            return
        if state.gradient is None:  # a pause of the first layer
            return
        S = self._gradients(state.small, state.batch)  # (q, 1 + P, m)
        unit, rows = in_units(np.concatenate([state.S[:, None], (S[:, 1:] - S[:, :1]) / KICK], axis=1), np.float32)
        if self.centred:
            common = rows.mean(axis=2, keepdims=True)
            rows = rows - (common if self.weight is None else common * self.weight.astype(np.float32))
        L, _ = self._basis.extend(rows.reshape(self.q, -1), self.tolerance)
        if born := len(self._basis) - self._H.shape[1]:
            self._draw(born)
        S[:, 1:] += np.matmul((KICK * unit * L).astype(np.float32), self._H).swapaxes(0, 1)
        G = (S.swapaxes(0, 1).reshape(-1, self.m) @ self.X / self.m).reshape(self._W.now.shape)
        self._W.step(state.t, G + (state.gradient.astype(np.float32) - G[0]))  # the run's own, to the last digit
        self._u = self._preactivations()
        moved = (self._u[1:] - self._u[0]) / KICK
        own = np.matmul(moved, self._H.swapaxes(1, 2)).astype(float) / self.m
        self._each = np.linalg.solve(self._through.T[None], own.swapaxes(1, 2)).swapaxes(1, 2)
        self._M = self._each.mean(axis=0)
        self.own = self._on_rows(self._M)
        others = moved - np.tensordot(self._M.astype(np.float32), self._seen, axes=1).swapaxes(0, 1)
        self._echo = np.einsum("pam,pbm->ab", others, others, dtype=float) / (self.P * self.m)

    def _preactivations(self) -> Array:
        return (self._W.now.reshape(-1, self.n) @ self.X.T).reshape(1 + self.P, self.q, self.m)

    def _gradients(self, V: Small, batch: Array | None) -> Array:
        """Gradients of all rows in all runs, with the small weights of the run, (q, 1 + P, m)."""
        weight = self._weights
        if batch is not None:
            weight = np.tile(batch.astype(np.float32), 1 + self.P) * (1 if weight is None else weight)
        u, V = self._u.swapaxes(0, 1).reshape(self.q, -1), V.map(lambda w: w.astype(np.float32))
        return self.network.gradients(u, self.labels, V, self.rule.loss, weight)[0].reshape(self.q, -1, self.m)

    def _on_rows(self, M: Array) -> Array:
        return self._basis.combine(M)[:, : self.m]

    def _draw(self, born: int) -> None:
        """Kicks for the directions just born: Gaussian, and orthonormal over the rows while these are many."""
        K = len(self._basis)
        fresh = self.rng.standard_normal((self.P, born, self.m), np.float32)
        if self.centred or 2 * K + 1 < self.m:
            fresh -= fresh.mean(axis=2, keepdims=True)
        fresh = orthonormal(fresh, self._H, self.m)
        self._H = np.concatenate([self._H, fresh], axis=1)
        changed = self._basis.latest.reshape(born, 1 + self.P, self.m)[:, 1:] + fresh.swapaxes(0, 1)
        changed = self.groups.mix(changed)
        self._seen = np.concatenate([self._seen, changed])
        old, through = K - born, np.empty((K, K))
        through[:old, :old] = self._through
        through[old:] = np.einsum("kpm,pjm->kj", changed, self._H, optimize=True) / (self.P * self.m)
        through[:old, old:] = np.einsum("kpm,pjm->kj", self._seen[:old], fresh, optimize=True) / (self.P * self.m)
        self._through = through
