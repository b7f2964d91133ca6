"""Memory of the training rows by training again, for updates that act entry by entry (theory 10).

What a row owes to its own gradients is what a kick along that row does to the weights, seen along the same row. Kicks
are Gaussian rows that training has never seen: their gradients are added, scaled down, to further runs on the same
data, and what they have done to the weights is correlated with them.

======== ======================================================== ============
symbol   name                                                     shape
======== ======================================================== ============
Q        basis of S_0, S_1, .. over the m training rows           (K, m)
L        coordinates of S_t in it                                 (q, K)
z        Gaussian rows over features, one for each row of Q       (P, K, n)
E        what a kick L_s z / sqrt(phi) to sqrt(n) times every     (P, q, n)
         gradient has done to sqrt(n) W_1, in units of the kick
M        memory coefficients, <E, z> / sqrt(phi)                  (q, K)
======== ======================================================== ============
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..common import Array, require_memory
from ..model import Moving, Network, Rule, Small, times_root
from ..recursion import Basis, in_units
from ..runs import State
from .features import orthonormal
from .groups import Groups

KICK, JUMP_KICK = 0.05, 0.1  # of the gradients' fluctuations; larger ones read low, smaller ones jumps high (theory 10)
FEWEST, KICKED_FEATURES = 4, 2000  # further runs, and features in all of them together


class RetrainedMemory:
    """The memory in a growing basis of gradients, its responses measured by training P more times with kicks."""

    R = None  # responses of single steps are not known here
    spread = 1.0

    def __init__(
        self,
        network: Network,
        rule: Rule,
        first: Array,
        X: Array,
        y: Array,
        root: Array | None,
        tolerance: float,
        n_reruns: int | None,
        groups: Groups,
        centred: bool,
        sample_weight: Array | None,
        rng: np.random.Generator,
    ):
        """`root` (n,) or (k, n): a Gaussian row times it has the features' covariance; None: that is the identity. The
        rest as for `NudgedMemory`."""
        (m, n), q = X.shape, network.widths[0]
        P = max(2, n_reruns or max(FEWEST, -(-KICKED_FEATURES // n)))  # two, for their spread
        require_memory(8.0 * P * (m * (q + 2) + 4.0 * n * q), f"n_reruns = {P} further runs", "lower n_reruns")
        self.network, self.rule, self.groups, self.centred, self.rng = network, rule, groups, centred, rng
        self.m, self.n, self.q, self.P, self.phi = m, n, q, P, m / n
        self.root = None if root is None else root.astype(np.float32)
        jumps = rule.optimizers[0] is not None and rule.optimizers[0].jumps
        self.kick, self._rough = JUMP_KICK if jumps else KICK, jumps or network.has_kink(rule.loss)
        self.X, self.y, self.tolerance = X.astype(np.float32), y, tolerance
        self.labels = np.tile(y.astype(np.float32), P)
        self.weight = sample_weight
        self._weights = None if sample_weight is None else np.tile(sample_weight.astype(np.float32), P)
        self._basis = Basis(np.full(m, 1 / m), np.float32)
        start = np.repeat(first.T[None].astype(np.float32), 1 + P, axis=0)  # the run itself, then those with kicks
        self._W = Moving(rule, start, float(np.sqrt(n)))
        self._z = np.zeros((P, 0, n), np.float32)
        self._M, self._each = np.zeros((q, 0)), np.zeros((P, q, 0))
        self.own = np.zeros((q, m), np.float32)

    @property
    def memory(self) -> Array:
        """What each preactivation owes to its row, or its group, (q, m), ready for the next step."""
        return self.groups.mix(self.own)

    @property
    def jackknife(self) -> Array | None:
        """As that of `NudgedMemory`."""
        return None if self._rough else self.phi * self._M @ self._M.T

    def extend(self, state: State) -> None:
        """Take in a state with its gradients; `memory` is then that of the next."""
        t, S = state.t, state.S
        if not np.all(np.isfinite(state.u)):  # the run has diverged
            self.own[:] = np.nan
            return
        unit, rows = in_units(S, np.float32)
        if self.centred:
            common = rows.mean(axis=1, keepdims=True)
            rows = rows - (common if self.weight is None else common * self.weight.astype(np.float32))
        L, _ = self._basis.extend(rows, self.tolerance)
        born = len(self._basis) - self._z.shape[1]
        if born:
            self._draw(born)
        kick = np.matmul((self.kick * unit / np.sqrt(self.phi * self.n) * L).astype(np.float32), self._z)
        assert state.gradient is not None
        again = self._gradients(self._W.now[1:], state.small, state.batch)
        self._W.step(t, np.concatenate([state.gradient[None].astype(np.float32), again + kick]))
        E = (self._W.now[1:] - self._W.now[0]) * np.float32(np.sqrt(self.n) / self.kick)
        self._each = np.matmul(E, self._z.swapaxes(1, 2)).astype(float) / (self.n * np.sqrt(self.phi))
        self._M = self._each.mean(axis=0)
        self.own = self._basis.combine(self._M)

    def without(self) -> Iterator[Array]:
        """The memory measured without one of the further runs, for each of them."""
        for each in self._each:
            yield self.groups.mix(self._basis.combine((self.P * self._M - each) / (self.P - 1)))

    def _gradients(self, W: Array, V: Small, batch: Array | None) -> Array:
        """Gradients (P, q, n) of the loss in weights W (P, q, n), with the small weights of the run."""
        V = V.map(lambda w: w.astype(np.float32))
        u = (W.reshape(-1, self.n) @ self.X.T).reshape(self.P, self.q, self.m).swapaxes(0, 1).reshape(self.q, -1)
        weight = self._weights
        if batch is not None:
            weight = np.tile(batch.astype(np.float32), self.P) * (1 if weight is None else weight)
        S = self.network.gradients(u, self.labels, V, self.rule.loss, weight)[0]
        S = S.reshape(self.q, self.P, self.m).swapaxes(0, 1).reshape(-1, self.m)
        return (S @ self.X / self.m).reshape(self.P, self.q, self.n)

    def _draw(self, born: int) -> None:
        fresh = self.rng.standard_normal((self.P, born, self.n if self.root is None else len(self.root)), np.float32)
        if self.root is None:
            fresh = orthonormal(fresh, self._z, self.n)
        else:
            fresh = times_root(fresh, self.root)
        self._z = np.concatenate([self._z, fresh], axis=1)
