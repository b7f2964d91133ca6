"""The solver for updates that act entry by entry: samples and features are drawn alike (theory 10).

A linear rule acts on the features' coefficients as it acts on the features, which is `projection`. Any other update is
applied to sampled features. Each side then has a growing basis of what it sends to the other, and for every direction
of the other's basis a Gaussian row of its own, its twin.

======== ======================================================= ==========
symbol   name                                                    shape
======== ======================================================= ==========
<a, b>   mean over the paths of a side of a b^T
zeta     samples: Gaussian twins of the rows of B; the first are (K_B, N)
         coordinates of Z and U_0
Q        samples: basis of the gradients S_0, S_1, ..            (K_Q, N)
B        features: basis of sqrt(n) (mu, W_1^(0), W_1^(1), ..)   (K_B, N')
H'       features: Gaussian twins of the rows of Q               (K_Q, N')
Delta    features: rows of sqrt(n) W_1 now                       (q, N')
Gamma    features: sqrt(n) times their gradients                 (q, N')
A, M     <Delta, B> and <Delta, H'> / sqrt(phi)                  (q, K)
L, a     <S, Q> and <S, zeta>                                    (q, K)
======== ======================================================= ==========
"""

from __future__ import annotations

import numpy as np
import scipy

from ..common import Array, require_memory
from ..model import Moving, Problem, Recording, gaussian_points, label_columns, orthonormalise
from ..recursion import Basis, Rows, in_units, precision_for
from .projection import LOOSE, _defect, require_paths_for
from .solution import Solution

RIDGE = 1e-5  # of the Gram matrix: rows that repeat others, up to rounding, need no second projection
SHARE, ALL, ALIKE = 4, 2**17, 0.1  # of more features than SHARE n_paths and ALL some are drawn, with like overlaps


class Side:
    """One side: its basis, its Gaussian twins, and further rows that new twins must be orthogonal to."""

    def __init__(self, twins: Array, *others: Array, dtype, rng):
        n = twins.shape[1] if twins.size else others[0].shape[1]
        weights = np.full(n, 1 / n)
        self.rng, self.n, self.dtype = rng, n, dtype
        self.basis, self.twins, self._others = Basis(weights, dtype), Rows(weights, dtype), Rows(weights, dtype)
        self._gram, self._kind = np.zeros((0, 0)), np.zeros(0, int)
        for rows in others:
            self._add(2, rows)
        self._add(1, twins)

    def extend(self, x: Array, tolerance: float) -> Array:
        """Coordinates (q, K) of x in the basis, once it holds what x brings that is new."""
        old = len(self.basis)
        coordinates, _ = self.basis.extend(x, tolerance)
        if len(self.basis) > old:
            self._note(0, self.basis.latest)
        return coordinates

    def draw(self, d: int) -> None:
        """d more twins, orthogonal to all that is known on this side."""
        rows = self.rng.standard_normal((d, self.n), self.dtype)
        factor = scipy.linalg.cho_factor(self._gram + RIDGE * np.eye(len(self._gram)))
        for _ in range(2):
            along = scipy.linalg.cho_solve(factor, self._products(rows).T).T
            for kind, group in enumerate((self.basis, self.twins, self._others)):
                rows -= group.combine(along[:, self._kind == kind])
        self._add(1, orthonormalise(rows))

    def _add(self, kind: int, rows: Array) -> None:
        if len(rows):
            (self.basis, self.twins, self._others)[kind].append(rows.astype(self.dtype))
            self._note(kind, rows.astype(self.dtype))

    def _note(self, kind: int, rows: Array) -> None:
        """Take rows that were just appended into the Gram matrix."""
        self._kind = np.append(self._kind, np.full(len(rows), kind))
        products = self._products(rows)
        size = len(self._gram)
        self._gram = np.block([[self._gram, products[:, :size].T], [products]])

    def _products(self, rows: Array) -> Array:
        """<rows, each row known>, in the order in which these came."""
        out = np.empty((len(rows), len(self._kind)))
        for kind, group in enumerate((self.basis, self.twins, self._others)):
            out[:, self._kind == kind] = group.coordinates(rows)
        return out


def solve(problem: Problem, *, n_paths, rng, step, tolerance, dtype=np.float32, kept=()) -> Solution:
    """The state evolution of any update that acts entry by entry (theory 10), from the actual rows of weights and
    signal where the overlaps keep them; sqrt(n) W_1 of all features is kept at the steps `kept`."""
    network, rule, teacher, overlaps, phi, _ = problem
    T, along = rule.n_steps, overlaps.signal_loadings
    there = np.any(np.concatenate([along, overlaps.loadings]) != 0, axis=0)
    root, A = along[:, there], overlaps.loadings[:, there]
    require_memory(n_paths * 2.0 * (64 * np.dtype(dtype).itemsize + 40), f"n_paths = {n_paths}", "lower n_paths")
    xi, first = np.split(gaussian_points(1 + there.sum(), n_paths, rng), [1])
    Y = label_columns(teacher.labels(root @ first, xi[0]), network.widths[-1])
    single = precision_for(dtype, Y, *overlaps.small.deep)
    Y = Y.astype(single)
    start, start_rows = _features(overlaps, there, n_paths, rng)
    samples = Side(first, np.ones((1, n_paths)), xi, dtype=dtype, rng=rng)
    features = Side(np.zeros((0, start.shape[1])), np.ones((1, start.shape[1])), dtype=dtype, rng=rng)
    features._add(0, start)
    reuse = np.isfinite(phi)
    Delta, V = Moving(rule, (A @ start).astype(dtype)), Moving(rule, overlaps.small)
    M, root_phi = np.zeros((len(A), 0)), np.sqrt(phi) if reuse else 1.0
    all_A, rows, recording = [], [], Recording(rule, problem.metrics, Y)
    try:
        for t in range(T + 1):
            step()
            batch = rule.batch_weights(n_paths, rng, dtype)
            theta = samples.twins.combine(A) + samples.basis.combine(M)
            V_single = V.now.map(lambda W: W.astype(single))
            S, gradients, residual = network.gradients(theta.astype(single, copy=False), Y, V_single, rule.loss, batch)
            if not recording.record_step(residual, V.now, A):
                break
            all_A.append(A)
            if t in kept:
                rows.append(Delta.now)
            if t == T:
                break
            V.step(t, gradients.map(lambda g: g / n_paths))
            if not rule.moves(t, 0):
                continue
            unit, S = in_units(S, dtype)
            a, old = samples.twins.coordinates(S), len(samples.basis)
            Gamma = features.basis.combine(a)
            if reuse:
                L = samples.extend(S, tolerance)
                if len(samples.basis) > old:
                    require_paths_for(len(samples.basis), min(n_paths, start.shape[1]), n_paths, t, T)
                    features.draw(len(samples.basis) - old)
                Gamma += features.twins.combine(L / root_phi)
            Delta.step(t, unit * Gamma)
            old = len(features.basis)
            A = features.extend(Delta.now, tolerance)
            if len(features.basis) > old:
                samples.draw(len(features.basis) - old)
            M = features.twins.coordinates(Delta.now) / root_phi
    except KeyboardInterrupt:
        recording.interrupt()
    status, message, outside = recording.status, recording.message, max(samples.basis.outside, features.basis.outside)
    defect = max(_defect(side.basis, rng) for side in (samples, features))
    if status == "ok" and defect > np.finfo(dtype).eps ** 0.4:
        status = "inaccurate"
        message = "rounding spoilt a basis; use dtype=float64, more samples or a larger tolerance"
    elif status == "ok" and outside > LOOSE:
        status, message = "inaccurate", f"tolerance = {tolerance:.3g} left {outside:.0%} of a gradient out; lower it"
    known = there.sum()
    loadings, noise = np.zeros((len(all_A), len(A), len(there))), np.zeros((len(all_A), len(A), A.shape[1] - known))
    for t, A_t in enumerate(all_A):
        loadings[t][:, there], noise[t, :, : A_t.shape[1] - known] = A_t[:, :known], A_t[:, known:]
    return Solution(
        recording.train,
        recording.small,
        loadings,
        noise,
        outside=outside,
        status=status,
        message=message,
        start=start_rows if kept else None,
        rows=np.array(rows) if rows else None,
    )


def _features(overlaps, there: Array, n_paths: int, rng) -> tuple[Array, Array]:
    """Every sampled feature's sqrt(n) (mu, W_1^(0)), in orthonormal coordinates (K, N') and itself (k + q, N'): the
    actual rows, repeated, where the overlaps keep them, else Gaussian ones."""
    loadings = np.concatenate([overlaps.signal_loadings, overlaps.loadings])[:, there]
    if overlaps.rows is None:
        start = gaussian_points(there.sum(), n_paths, rng)
        return start, loadings @ start
    rows, n = overlaps.rows.T, len(overlaps.rows)
    start = np.linalg.pinv(loadings) @ rows
    if n > max(SHARE * n_paths, ALL):
        some = start[:, rng.permutation(n)[:n_paths]]
        if np.abs(some @ some.T / n_paths - np.eye(len(some))).max() < ALIKE:  # else too much lies on few features
            start = orthonormalise(some)
            return start, loadings @ start
    repeats = (1, max(1, round(n_paths / n)))
    return np.tile(start, repeats), np.tile(rows, repeats)
