"""The fast solver of the state evolution: gradient descent on Gaussian coordinates plus a memory term (theory 4).

No derivative of S is needed: Gaussian integration by parts turns every response into a first moment.

======== ======================================================= ===========
symbol   name                                                    shape
======== ======================================================= ===========
<a, b>   mean over the N paths of a b^T
E        orthonormal rows spanning 1, xi, F_0, Q and Gc          (dim, N)
F_0      Gaussian coordinates of Z and of U_0 given Z            (1 + q, N)
Q        Gram-Schmidt basis of S_0, S_1, ..                      (K, N)
Gc       one fresh Gaussian per row of Q (its twin)              (K, N)
A_t      loadings of U_t on F_0                                  (q, 1 + q)
M_t      memory coefficients: loadings on Q and, / sqrt(phi), Gc (q, K)
======== ======================================================= ===========
"""

from __future__ import annotations

import numpy as np

from .network import Array
from .paths import Solution, gaussian_points, whiten
from .training import divergence_bound, divergence_message, update

BLOCK_ROWS = 64
TILE_WORK = 2**18  # multiply-adds of one small product: below this BLAS stays on one thread and its operands in cache


class _Basis:
    """Orthonormal rows in <a, b> = a b^T / N.

    Stored in blocks of 64 rows, so that growing copies nothing, and each block in tiles of paths, (tiles, 64, tile), so
    that a product with it is one batched matmul of small matrices: as fast as memory allows, on one thread.
    """

    def __init__(self, rows: Array, width: int):
        """`rows` to begin with; `width` is the usual number of rows it is multiplied with."""
        self.n_paths = rows.shape[1]
        most = max(1, TILE_WORK // (BLOCK_ROWS * width))
        self._tile = next(size for size in range(min(most, self.n_paths), 0, -1) if self.n_paths % size == 0)
        if self._tile < 32:  # n_paths without a useful divisor
            self._tile = self.n_paths
        self.dim = 0
        self._blocks: list[Array] = []
        self.append(rows)

    def _tiles(self, rows: Array) -> Array:
        """View (len(rows), N) as (tiles, len(rows), tile)."""
        return rows.reshape(len(rows), self.n_paths // self._tile, self._tile).transpose(1, 0, 2)

    def append(self, rows: Array) -> slice:
        """Add rows that are already orthonormal to all others; their indices as a slice."""
        start = self.dim
        for row in self._tiles(rows).swapaxes(0, 1):
            if self.dim == BLOCK_ROWS * len(self._blocks):
                self._blocks.append(np.empty((self.n_paths // self._tile, BLOCK_ROWS, self._tile)))
            self._blocks[-1][:, self.dim % BLOCK_ROWS] = row
            self.dim += 1
        return slice(start, self.dim)

    def _filled(self):
        for i, block in enumerate(self._blocks):
            yield slice(i * BLOCK_ROWS, min((i + 1) * BLOCK_ROWS, self.dim)), block[:, : self.dim - i * BLOCK_ROWS]

    def coordinates(self, x: Array) -> Array:
        """<x, E>, shape (len(x), dim)."""
        tiles = self._tiles(x)
        parts = [np.matmul(tiles, block.swapaxes(1, 2)).sum(axis=0) for _, block in self._filled()]
        return np.concatenate(parts, axis=1) / self.n_paths

    def combine(self, coefficients: Array) -> Array:
        """coefficients @ E, shape (len(coefficients), N)."""
        out = np.zeros((len(coefficients), self.n_paths))
        tiles = self._tiles(out)
        for rows, block in self._filled():
            tiles += np.matmul(coefficients[:, rows], block)
        return out

    def defect(self, rng) -> float:
        """How far E is from orthonormal: the largest error of coordinates(combine(probe)) for unit probes."""
        probe = rng.standard_normal((4, self.dim)) / np.sqrt(self.dim)
        return float(np.abs(self.coordinates(self.combine(probe)) - probe).max())


def solve(network, eta, teacher, overlaps, phi, *, n_paths, rng, step, tolerance, quasi=True) -> Solution:
    """The fast solver (theory 4). `step` is called once per step; S_t enlarges Q where its residual exceeds
    `tolerance` relative to |S_t|."""
    T, q = len(eta), network.widths[0]
    norm = np.sqrt(overlaps.signal_norm2)
    points = gaussian_points(q + 2, n_paths, rng, quasi)
    Y = teacher.labels(norm * points[1], points[0])
    E = _Basis(np.concatenate([np.ones((1, n_paths)), points]), width=q)
    in_F = slice(2, 3 + q)
    memoryless = np.isinf(phi) or not np.any(eta[:, 0])
    in_G = np.zeros(0, int)  # which rows of E are Gc
    Q = np.zeros((0, E.dim))  # coordinates of the rows of Q in E
    A, M = overlaps.loadings(), np.zeros((q, 0))
    V = list(overlaps.deep)
    all_A, all_M, train_error, deep, status, message = [], [], [], [], "ok", ""
    try:
        for t in range(T + 1):
            step()
            theta_coordinates = M @ Q
            theta_coordinates[:, in_F] += A
            if len(in_G):
                theta_coordinates[:, in_G] += np.sqrt(phi) * M
            S, deep_gradients, residual = network.gradients(E.combine(theta_coordinates), Y, V)
            error = float(residual @ residual) / n_paths
            if t == 0:
                bound = divergence_bound(error, Y)
            if not error <= bound:
                status, message = "diverged", divergence_message(t, error)
                break
            train_error.append(error)
            deep.append(V)
            all_A.append(A)
            all_M.append(M)
            if t == T:
                break
            V = [update(W, step, g / n_paths) for W, step, g in zip(V, eta[t, 1:], deep_gradients, strict=True)]
            if eta[t, 0] == 0:
                continue
            s = E.coordinates(S)
            gradient_A = s[:, in_F]
            if norm == 0:  # Z is not there to be learned: keep sampling noise out of its column
                gradient_A[:, 0] = 0
            A = update(A, eta[t, 0], gradient_A)
            if memoryless:
                continue
            twins = s[:, in_G] / np.sqrt(phi)  # the moment with a twin born now is 0
            Q, s, born = _enlarge(E, Q, S, s, tolerance, rng)
            if 3 * E.dim > n_paths:
                needed = 6 * E.dim * (T + 1) / (t + 1)
                raise ValueError(
                    f"n_paths = {n_paths} is too small: at step {t} of {T} the gradients already span {len(Q)} "
                    f"directions; use n_paths = {2 ** int(np.ceil(np.log2(needed)))} or more, "
                    "fewer steps, or a larger tolerance"
                )
            in_G = np.concatenate([in_G, born])
            grown = ((0, 0), (0, len(born)))
            M = update(np.pad(M, grown), eta[t, 0], s @ Q.T / phi + np.pad(twins, grown))
        if E.defect(rng) > 1e-6:
            status, message = "inaccurate", "the basis lost orthogonality; raise n_paths or tolerance"
    except KeyboardInterrupt:
        status, message = "interrupted", f"interrupted: the arrays end at step {len(train_error) - 1} of {T}"
    reached = len(train_error)
    noise = np.zeros((reached, q, M.shape[1]))
    for row, M_t in zip(noise, all_M, strict=False):
        row[:, : M_t.shape[1]] = M_t if memoryless else np.sqrt(phi) * M_t
    return Solution(
        train_error, deep, np.reshape(all_A[:reached], (reached, q, q + 1)), noise, status=status, message=message
    )


def _enlarge(E: _Basis, Q: Array, S: Array, s: Array, tolerance: float, rng) -> tuple[Array, Array, Array]:
    """Add to Q what S_t has outside of it, and a twin per new row to E.

    `s` are the coordinates of S in E. Returns Q and s in the enlarged E, and the indices of the new twins there.
    """
    on_Q = s @ Q.T
    size = S @ S.T / S.shape[1]
    values, vectors = np.linalg.eigh(size - on_Q @ on_Q.T)
    new = values > tolerance**2 * np.trace(size)
    d = int(new.sum())
    if d == 0:
        return Q, s, np.zeros(0, int)
    directions = vectors[:, new].T / np.sqrt(values[new])[:, None]
    # the new rows of Q, split into what E already spans (as coordinates) and what it does not; projecting twice, since
    # one pass of Gram-Schmidt loses orthogonality after about a hundred rows
    inside = directions @ (s - on_Q @ Q)
    outside_and_twins = np.concatenate([directions @ (S - E.combine(s)), rng.standard_normal((d, E.n_paths))])
    again = E.coordinates(outside_and_twins)
    outside_and_twins -= E.combine(again)
    inside += again[:d]
    outside, twins = outside_and_twins[:d], outside_and_twins[d:]
    values, vectors = np.linalg.eigh(outside @ outside.T / E.n_paths)
    kept = values > 1e-12  # relative to 1; a linear network never leaves the span of its start
    roots = np.sqrt(values[kept])
    beyond = (vectors[:, kept].T / roots[:, None]) @ outside
    E.append(beyond)
    twins -= (twins @ beyond.T / E.n_paths) @ beyond
    born = E.append(whiten(twins))
    Q = np.pad(Q, ((0, 0), (0, E.dim - Q.shape[1])))
    rows = np.concatenate([inside, vectors[:, kept] * roots, np.zeros((d, d))], axis=1)
    rows -= (rows @ Q.T) @ Q
    rows = np.linalg.inv(np.linalg.cholesky(rows @ rows.T)) @ rows
    s = np.concatenate([s, S @ beyond.T / E.n_paths, np.zeros((len(s), d))], axis=1)
    return np.concatenate([Q, rows]), s, np.arange(born.start, born.stop)
