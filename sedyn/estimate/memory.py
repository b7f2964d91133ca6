"""Memory of the training rows: what a preactivation owes to its own row's gradients, measured on the data (theory 5).

======== ======================================================== ============
symbol   name                                                     shape
======== ======================================================== ============
M^j      memory coefficients at eigenvalue lambda_j               (J, q, K)
M        their mean: sum_(r<t) rho_(t,r) S_r = M Q                (q, K)
Q        basis of S_0, S_1, .. over the m training rows           (K, m)
H^j      twins: Gaussian rows, one for each row of the basis      (P, J, K, m)
dS       what S, or what follows from it, changes in a rerun,     (.., P, m)
         in units of the nudge
E^j      echo: mean derivative of S when every U_s moves by M^j_s (J, q, K)
kappa    overlaps of rows of one group, the identity without any  (m, m)
======== ======================================================== ============
"""

from __future__ import annotations

import numpy as np

from ..common import Array, require_memory
from ..model import Moving, Network, Rule, Small
from ..recursion import Basis, Responses, in_units, precision_for
from ..runs import State
from .features import NUDGE, FeatureTests, orthonormal
from .groups import Groups
from .spectrum import Spectrum

NUDGED_ROWS = 3500  # in all reruns together: the bias of the estimate, of order 1 / rows, is then a few percent of it
LONG = 60  # steps, beyond which that bias grows
ROOM, ROOM_ROWS = 32, 400_000  # directions to make room for at a time, and fewer for many rows


class NudgedMemory:
    """The memory in a growing basis of gradients, its responses measured by rerunning all rows with a nudge.

    Each of P reruns moves the fresh preactivations of every row by a fraction of what leaving out rows does,
    sqrt(phi) M H, and repeats the row's own recursion: ``Theta = u + NUDGE (sqrt(phi) M H + M dQ)``. By Gaussian
    integration by parts ``mean dS H^T / sqrt(phi)`` is the echo, kinks and all. A gradient is kept together with its
    reruns as one vector (S, dS), in the inner product ``<S, S'> + mean over reruns of <dS, dS'>``.
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        small: Small,
        y: Array,
        n_features: int,
        spectrum: Spectrum,
        tolerance: float,
        n_reruns: int | None,
        groups: Groups,
        centred: bool,
        sample_weight: Array | None,
        rng: np.random.Generator,
        tests: FeatureTests | None = None,
    ):
        """`small` are the weights to begin with, for their size; `centred`: the columns of X have mean 0 over these
        rows, so that a constant gradient moves nothing. `tests` have reruns of their own, as many."""
        m, q, nodes = y.shape[-1], network.widths[0], len(spectrum.nodes)
        few = np.sqrt(m * groups.count)
        if nodes == 1:
            few *= max(1.0, m / n_features / 2)  # little memory asks for few, unless large eigenvalues carry it
        P = n_reruns or max(2, int(NUDGED_ROWS * np.sqrt(max(1.0, rule.n_steps / LONG)) / few))
        self.tests, reruns = tests, P if tests is None else 2 * max(P, 2)
        if tests is not None:
            tests.begin(reruns - P)
        require_memory(8.0 * reruns * m * (q + 1), f"n_reruns = {P} reruns of {m} rows", "lower n_reruns")
        self.network, self.rule, self.spectrum, self.tolerance = network, rule, spectrum, tolerance
        self.m, self.q, self.P, self.phi = m, q, P, m / n_features
        self.has_kink = network.has_kink(rule.loss)
        self.groups, self.centred, self.rng = groups, centred, rng
        self.y, self.dtype = y, precision_for(np.float32, y, *small.deep)
        self.labels = np.tile(y.astype(self.dtype), reruns)  # along the rows, whatever the outputs
        self.weight = sample_weight
        self._weights = None if sample_weight is None else np.tile(sample_weight.astype(self.dtype), reruns)
        self._basis = Basis(np.concatenate([np.full(m, 1 / m), np.full(reruns * m, 1 / (m * reruns))]), np.float32)
        self._M = Moving(rule, np.zeros((nodes, q, 0)))
        self._natural = np.sqrt(self.phi * spectrum.weights * spectrum.nodes)  # of what each H^j stands for
        self._H = np.zeros((P, nodes, 0, m), np.float32)  # with rows to spare
        self._moved = np.zeros((q, (1 + reruns) * m), np.float32)  # M times the basis: M Q, M dQ

    R = None  # responses of single steps are not known here
    without = None  # what reruns leave to chance is in the margin of the standard error

    @property
    def own(self) -> Array:
        """M Q (q, m): what every row's own gradients have done to its preactivation."""
        return self._moved[:, : self.m]

    @property
    def memory(self) -> Array:
        """What each preactivation owes to its row, or its group, (q, m), ready for the next step."""
        return self.groups.mix(self.own)

    @property
    def spread(self) -> float:
        """By how much a fresh preactivation varies more than `own` says, for features of unequal variance."""
        return _spread(self.spectrum, self._M.now)

    @property
    def jackknife(self) -> Array | None:
        """The sum over rows of what leaving one out does to a fresh preactivation, (q, q), with its echo in all other
        rows: phi sum_j weights_j nodes_j M^j M^jT. None with kinks, where the mean square of dS grows as 1 / NUDGE."""
        if self.has_kink:
            return None
        M = self._natural[:, None, None] * self._M.now
        return np.einsum("jak,jbk->ab", M, M)

    def extend(self, state: State) -> None:
        """Take in preactivations and gradients of step t; `memory` is then that of the next.

        Gradients have each sample's weight, also that in the batch; responses are means over batches.
        """
        t, u, S, V, batch = state.t, state.u, state.S, state.small, state.batch
        if not np.all(np.isfinite(u)):  # the run has diverged
            self._moved[:] = np.nan
            return
        plain = S if batch is None else self.network.gradients(u, self.y, V, self.rule.loss, self.weight)[0]
        moved = self._rerun(u.astype(self.dtype), V.map(lambda W: W.astype(self.dtype))).reshape(self.q, -1, self.m)
        rows = np.concatenate([S[:, None], (moved - plain[:, None]) / NUDGE], axis=1)
        unit, rows = in_units(rows, np.float32)
        E = unit * self._response(rows[:, 1 : 1 + self.P])
        if batch is not None:
            rows[:, 1:] *= batch.astype(np.float32)
        if self.centred:
            common = rows.mean(axis=2, keepdims=True)
            rows -= common if self.weight is None else common * self.weight.astype(np.float32)
        if self.tests is not None:
            self.tests.add(unit * rows[:, 0], unit * rows[:, 1 + self.P :])
        try:
            L, _ = self._basis.extend(rows.reshape(self.q, -1), self.tolerance)
        except np.linalg.LinAlgError:  # directions lost in rounding: whoever reads the memory sees it
            L = np.full((self.q, len(self._basis)), np.nan)
        born = len(self._basis) - self._M.now.shape[2]  # nothing moves along them yet
        if born:
            none = np.zeros((len(E), self.q, born))
            self._M.grow(none)
            E = np.concatenate([E, none], axis=2)
            self._draw(born)
        self._M.step(t, unit * L / self.phi + self.spectrum.nodes[:, None, None] * E)
        self._moved = self._basis.combine(np.einsum("j,jak->ak", self.spectrum.weights, self._M.now))

    def _rerun(self, u: Array, V: Small) -> Array:
        """Gradients of all rows in all reruns, (q, P m)."""
        M = (self._natural[:, None, None] * self._M.now).astype(np.float32)
        fresh = np.matmul(M, self._H[:, :, : M.shape[2]]).sum(axis=1).swapaxes(0, 1)  # (q, P, m)
        moved = self.groups.mix(self._moved[:, self.m :].reshape(self.q, -1, self.m))
        fresh = self.groups.correlate(fresh)
        if self.tests is not None:
            fresh = np.concatenate([fresh, self.tests.nudges], axis=1)
        theta = u[:, None] + self.dtype(NUDGE) * (fresh + moved).astype(self.dtype)
        return self.network.gradients(theta.reshape(self.q, -1), self.labels, V, self.rule.loss, self._weights)[0]

    def _response(self, dS: Array) -> Array:
        """E (J, q, K), the mean of dS H^T."""
        H = self._H[:, :, : self._M.now.shape[2]]
        dS = self.groups.gather(dS).swapaxes(0, 1)[:, None]
        E = np.matmul(np.ascontiguousarray(dS), H.swapaxes(2, 3)).sum(axis=0, dtype=float) / (self.P * self.m)
        return E / np.maximum(self._natural, 1e-30)[:, None, None]

    def _draw(self, born: int) -> None:
        """Twins H for those of the basis just born: Gaussian, and orthonormal over the rows while these are
        many, so that a linear S has exactly the right response."""
        old, K = self._H, self._M.now.shape[2]
        if K > old.shape[2]:
            require_memory(
                2.0 * old[:, :, :1, :].nbytes * K + 8.0 * self.P * self.m * len(old[0]) * K,
                f"the memory of {self.m} rows along {K} directions, with n_reruns = {self.P},",
                "lower n_steps, the width or n_reruns, or raise tolerance",
            )
            more = np.zeros((*old.shape[:2], max(min(ROOM, 1 + ROOM_ROWS // self.m), born, K // 4), self.m), np.float32)
            self._H = np.concatenate([old, more], axis=2)
        known, new = np.split(self._H[:, :, :K], [K - born], axis=2)
        fresh = self.rng.standard_normal(new.shape, np.float32)
        if 2 * K + 1 < self.groups.count:
            fresh -= fresh.mean(axis=3, keepdims=True)
        new[:] = orthonormal(fresh, known, self.groups.count)


class ExactMemory:
    """The memory by the recursion over all pairs of steps (theory 5), for smooth networks and independent rows."""

    jackknife = None  # not known: tangents say nothing of other rows
    without = None

    def __init__(
        self,
        network: Network,
        rule: Rule,
        first: Array,
        y: Array,
        spectrum: Spectrum,
        centred: bool = False,
        sample_weight: Array | None = None,
        tests: FeatureTests | None = None,
    ):
        m, q, n_steps, n_features = y.shape[-1], network.widths[0], rule.n_steps, len(first)
        require_memory(
            Responses.memory_bytes(n_steps, q, m + (0 if rule.linear else 4 * n_features)),
            f"the exact recursion over {n_steps} steps on {m} rows",
            "use method='nudges', or lower n_steps or the width",
        )
        self.network, self.rule, self.y, self.spectrum, self.centred = network, rule, y, spectrum, centred
        self.weight = 1.0 if sample_weight is None else sample_weight
        self._responses = Responses(rule, q, m, m / n_features, *spectrum)
        self._past = np.zeros((n_steps, q, m))
        self.memory = np.zeros((q, m))
        self.spread, self.tests = 1.0, tests
        self._features = None if rule.linear else _FeatureResponses(rule, first, m / n_features)

    @property
    def R(self) -> Array:
        """Responses (T, T, q, q) of every step to all before."""
        return self._responses.R

    @property
    def own(self) -> Array:
        """The memory, as rows are independent."""
        return self.memory

    def extend(self, state: State) -> None:
        """As that of `NudgedMemory`; with batches it averages responses over each of them."""
        t, u, S, V, batch = state.t, state.u, state.S, state.small, state.batch
        self._past[t] = S - self.weight * S.mean(axis=1, keepdims=True) if self.centred else S
        if self.tests is not None:
            self.tests.add(self._past[t])
        J = self.weight * self.network.hessian(u, self.y, V, self.rule.loss)
        J = J if batch is None else J * batch
        if self._features is None:
            self._responses.extend(t, J)
        else:
            self._responses.respond(t, J)
            self._responses.rho[t + 1] = self._features.step(t, state, self._responses.R[t])
        self.memory = self._responses.memory(t + 1, self._past)
        if self._features is None:
            self.spread = _spread(self.spectrum, self._responses.rho_nodes[:, t + 1])


class _FeatureResponses:
    """Derivatives E_(t,r) of every feature's weights in the noise of its gradients, where the update is not linear
    (theory 10): one copy of the features for each step r and neuron, moved by very little from there on."""

    MOVED = 1e-6

    def __init__(self, rule: Rule, first: Array, phi: float):
        self.T, (n, self.q), self.phi = rule.n_steps, first.shape, phi
        copies = np.repeat(np.sqrt(n) * first.T[None].astype(float), 1 + self.T * self.q, axis=0)
        self._Delta = Moving(rule, copies)
        self._E = np.zeros((self.T + 1, self.T, self.q, self.q, n))  # step, r, neuron moved, neuron, feature

    def step(self, t: int, state: State, R: Array) -> Array:
        """rho_(t+1, r), (T, q, q), from the responses R_(t, s) (T, q, q)."""
        E = self._E
        if state.gradient is None:  # a pause of the first layer
            E[t + 1] = E[t]
            return E[t].mean(axis=-1).swapaxes(1, 2)
        Gamma = np.sqrt(state.gradient.shape[1]) * state.gradient
        moved = np.einsum("sab,srcbl->rcal", R[: t + 1], E[: t + 1], optimize=True)
        moved[t] += np.eye(self.q)[:, :, None] / self.phi
        gradients = Gamma + self.MOVED * moved.reshape(-1, *Gamma.shape)
        self._Delta.step(t, np.concatenate([Gamma[None], gradients]))
        now = self._Delta.now
        E[t + 1] = ((now[1:] - now[0]) / self.MOVED).reshape(E.shape[1:])
        return E[t + 1].mean(axis=-1).swapaxes(1, 2)


def _spread(spectrum: Spectrum, M: Array) -> float:
    """sum_j weights_j nodes_j |M_j|^2 in units of |sum_j weights_j M_j|^2, for a memory M (J, ..) per eigenvalue."""
    mean = np.sum(np.tensordot(spectrum.weights, M, axes=1) ** 2)
    each = np.sum(np.square(M).reshape(len(M), -1), axis=1)
    return float(spectrum.weights * spectrum.nodes @ each / mean) if mean else 1.0
