"""The fast solver of the state evolution: gradient descent on a growing set of random columns (theory 4).

No derivative of S is needed: Gaussian integration by parts turns every response into a first moment. Written in the
columns below, theory 4 is gradient descent itself on N samples of k + q + K features, X = B^T: a preactivation is
Theta_t = w_t B and a step is w_(t+1) = w_t - eta <S_t, B>. Only the features are special: each new direction of the
gradients brings one, Q_k / sqrt(phi) + H_k, which carries the memory and the fluctuation at once. Where the features
have several variances lambda_j (theory 6), each brings one for every block of them, with phi_j = m / n_j and a twin of
its own, and its loadings move by lambda_j <S_t, B>.

======== ======================================================= ===========
symbol   name                                                    shape
======== ======================================================= ===========
<a, b>   mean over the N paths of a b^T
zeta_0   Gaussian coordinates of Z and of U_0 given Z            (k + q, N)
Q        Gram-Schmidt basis of S_0, S_1, ..                      (K, N)
H        one fresh Gaussian per row of Q (its twin)              (K, N)
B        columns: zeta_0, then Q / sqrt(phi) + H                 (k+q+K, N)
w_t      loadings on them: A_t, then sqrt(phi) M_t               (q, k+q+K)
======== ======================================================= ===========
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..common import Array, require_memory
from ..model import Moving, Problem, Recording, gaussian_points, label_columns, orthonormalise
from ..recursion import Basis, Rows, in_units, precision_for
from .solution import Solution

N_QUASI = 24  # twins drawn from the Sobol sequence: the first directions matter most, and halve the error
LOOSE = 0.15  # share of a gradient outside of the basis, beyond which the answer is not to be trusted


class TooFewPaths(ValueError):
    """The gradients span too many directions for the number of paths; `needed` are enough."""

    def __init__(self, message: str, needed: int):
        super().__init__(message)
        self.needed = needed


def require_paths_for(found: int, available: int, n_paths: int, t: int, n_steps: int) -> None:
    """TooFewPaths where so many directions are too many for the samples `available` on one side."""
    if 6 * found > available:
        needed = 2 ** int(np.ceil(np.log2(12 * found * (n_steps + 1) / (t + 1))))
        raise TooFewPaths(
            f"n_paths = {n_paths} is too small: at step {t} of {n_steps} the gradients already span {found} "
            f"directions; use n_paths = {needed} or more, fewer steps, or a larger tolerance",
            needed,
        )


def memory_bytes(n_paths: int, n_directions: int, n_blocks: int, dtype) -> int:
    """Memory for one randomization: its points in double precision, and 1 + n_blocks rows for each direction."""
    return n_paths * (3 * 8 * N_QUASI + (1 + n_blocks) * n_directions * np.dtype(dtype).itemsize)


def solve(problem: Problem, *, n_paths, rng, step, tolerance, dtype=np.float32, quasi=True) -> Solution:
    """The fast solver (theory 4, 6): `descend_on_columns` in the limit of many features and samples."""
    network, rule, teacher, overlaps, phi, _ = problem
    T, along = rule.n_steps, overlaps.signal_loadings
    known = along.shape[1]
    reuse = np.isfinite(phi) and any(rule.moves(t, 0) for t in range(T))  # else there is neither memory nor fluctuation
    n_quasi = min(N_QUASI, n_paths // 16) if np.isfinite(phi) else 0  # whatever T: the same points begin every run
    require_memory(memory_bytes(n_paths, 64, len(overlaps.variances), dtype), f"n_paths = {n_paths}", "lower n_paths")
    there = along.any(axis=0) | overlaps.loadings.any(axis=0)  # elsewhere is nothing to be learned but sampling noise
    points = gaussian_points(1 + there.sum() + n_quasi, n_paths, rng, quasi)
    xi, found, stock = np.split(points, [1, 1 + there.sum()])
    Y = label_columns(teacher.labels(along[:, there] @ found, xi[0]), network.widths[-1])
    first = np.zeros((known, n_paths), dtype)
    first[there], stock = found, stock.astype(dtype)
    n_features = n_paths * overlaps.fractions[overlaps.fractions > 0] / phi  # of each block, in a run of n_paths rows
    B = len(n_features)

    def twins(d, t):
        nonlocal stock
        n_new = d * B
        found = len(columns) - known + n_new
        require_paths_for(found, n_paths, n_paths, t, T)
        if len(stock) < n_new:
            stock = np.concatenate([stock, orthonormalise(rng.standard_normal((32 + n_new, n_paths), dtype))])
        taken, stock = stock[:n_new], stock[n_new:]
        return taken

    def own(d):
        # a twin has no part along Q, a share K / N of it; a run of this size loses as much of its features, and what it
        # loses on both sides cancels (theory 4). Chance makes Sobol twins about half as correlated as random ones.
        lost = max(0.0, len(columns) - known - n_quasi / 2) / B + np.arange(d)
        left = np.sqrt(np.maximum(n_features[:, None] - lost, 0.0) / n_paths)
        return np.concatenate([np.diag(block) for block in left])

    columns = Rows(np.full(n_paths, 1 / n_paths), dtype)
    columns.append(first)
    return descend_on_columns(
        problem, columns, Y, twins if reuse else None, own, rng=rng, step=step, tolerance=tolerance
    )


def descend_on_columns(problem: Problem, columns: Rows, Y: Array, twins, own, *, rng, step, tolerance) -> Solution:
    """Gradient descent on features that are revealed when they are needed (theory 4, 6).

    Parameters
    ----------
    columns : Rows
        zeta_0 to begin with, (B (k + q), N): the features along the signal and the initial weights, block by block.
    Y : (N,), or (c, N) of several outputs
        Labels.
    twins : callable (d, t) -> (B d, N) array; or None
        Fresh Gaussian rows for d directions born at step t, d in each block of features. None: no column is ever added.
    own : callable d -> (B d, d) array
        What the new columns owe to the gradients themselves.
    step : callable
        Called once per step.
    tolerance : float
        S_t brings new columns where its residual exceeds this fraction of |S_t|.
    """
    network, rule, _, overlaps, *_ = problem
    T, N, dtype, known = rule.n_steps, Y.shape[-1], columns.dtype, len(columns)
    single = precision_for(dtype.type, Y, *overlaps.small.deep)
    Y = Y.astype(single)
    Q = Basis(columns.weights, dtype, columns.map)
    variances = np.repeat(overlaps.variances, known // len(overlaps.variances))  # of every column
    present = overlaps.variances[overlaps.fractions > 0]
    w, V = Moving(rule, overlaps.loadings), Moving(rule, overlaps.small)
    all_w, recording = [], Recording(rule, problem.metrics, Y)
    try:
        for t in range(T + 1):
            step()
            batch = rule.batch_weights(N, rng, dtype.type)
            V_single, u = V.now.map(lambda W: W.astype(single)), columns.combine(w.now).astype(single, copy=False)
            S, gradients, residual = network.gradients(u, Y, V_single, rule.loss, batch)
            if not recording.record_step(residual, V.now, w.now):
                break
            all_w.append(w.now)
            if t == T:
                break
            V.step(t, gradients.map(lambda g: g / N))
            moves = rule.moves(t, 0)
            unit, S = in_units(S, dtype)
            w.step(t, unit * variances * columns.coordinates(S) if moves else 0.0)
            old = len(Q)
            # a twin knows nothing of the gradients until now: made exact, instead of true on average
            L, fresh = Q.extend(S, tolerance, partial(twins, t=t)) if moves and twins else (S, S)
            if d := len(Q) - old:
                owed = own(d)
                columns.append(owed.astype(dtype) @ Q.latest + fresh)
                variances = np.concatenate([variances, np.repeat(present, d)])
                w.grow(rule.update(t, 0, 0.0, 0.0, unit * variances[-len(owed) :] * (L[:, old:] @ owed.T)))
    except KeyboardInterrupt:
        recording.interrupt()
    status, message = recording.status, recording.message
    if status == "ok" and _defect(Q, rng) > np.finfo(dtype).eps ** 0.4:
        status = "inaccurate"
        message = "rounding spoilt the basis of the gradients; use dtype=float64, more samples or a larger tolerance"
    elif status == "ok" and Q.outside > LOOSE:
        status = "inaccurate"
        message = (
            f"tolerance = {tolerance:.3g} left {Q.outside:.0%} of a gradient out, and errors may be off by as much; "
            "lower it"
        )
    loadings = np.zeros((len(all_w), *w.now.shape))
    for row, w_t in zip(loadings, all_w, strict=True):
        row[:, : w_t.shape[1]] = w_t
    parts = loadings[:, :, :known], loadings[:, :, known:]
    return Solution(recording.train, recording.small, *parts, outside=Q.outside, status=status, message=message)


def _defect(Q: Rows, rng) -> float:
    """Distance of Q from orthonormal: the largest error of coordinates(combine(probe)) for unit probes."""
    probe = rng.standard_normal((4, len(Q))) / np.sqrt(max(1, len(Q)))
    return float(np.abs(Q.coordinates(Q.combine(probe)) - probe).max(initial=0))
