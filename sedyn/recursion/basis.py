"""Rows that grow, and an orthonormal basis: directions over sampled paths (theory 4) or over rows of data (theory 5).

The inner product is ``<a, b> = sum_i weights_i a_i b_i``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..common import Array, require_memory

ROOM = 64  # rows to make room for at a time
TILE = 2**11  # columns of one product: they stay in cache, and sums over tiles are in double precision
STRIPE = 2**16  # columns of one thread's turn


class Rows:
    """Rows (K, N) of which ever more come, and products of a few others with them.

    `map` works through stripes of columns: Python's own, or that of a pool of threads for very long rows; the results
    are the same.
    """

    def __init__(self, weights: Array, dtype, map: Callable = map):
        self.dtype, self.weights, self.map, self._length = np.dtype(dtype), np.asarray(weights, dtype), map, 0
        starts = range(0, len(weights), STRIPE)
        self._stripes = [slice(start, min(start + STRIPE, len(weights))) for start in starts]
        self._rooms = [np.zeros((0, stripe.stop - stripe.start), dtype) for stripe in self._stripes]

    def __len__(self) -> int:
        return self._length

    def append(self, rows: Array) -> None:
        """Keep further rows (d, N). MemoryError when there is no room for them."""
        length, n_columns = len(self) + len(rows), len(self.weights)
        if length % ROOM < len(rows):
            require_memory(
                2.0 * (length + ROOM) * n_columns * self.dtype.itemsize,
                f"a basis of {length + ROOM} directions on {n_columns} samples",
                "lower the number of samples (n_paths, n_samples or rows) or n_steps, or raise tolerance",
            )
        for stripe, room in zip(self._stripes, self._rooms, strict=True):
            if length > len(room):  # in place where the system can; no view of it is kept
                room.resize((length + ROOM, room.shape[1]), refcheck=False)
            room[len(self) : length] = rows[:, stripe]
        self._length = length

    def combine(self, coefficients: Array) -> Array:
        """coefficients (d, K) @ rows, shape (d, N)."""
        few = _padded(coefficients.astype(self.dtype))
        out = np.empty((len(few), len(self.weights)), self.dtype)

        def fill(stripe, room):
            np.matmul(few, _tiles(room[: len(self)]), out=_tiles(out[:, stripe]))

        list(self.map(fill, self._stripes, self._rooms))
        return out[: len(coefficients)]

    def coordinates(self, x: Array) -> Array:
        """<x, rows> for x (d, N), shape (d, K)."""
        return self._products(self._weighted(x))[: len(x)]

    def _weighted(self, x: Array) -> Array:
        few = np.zeros((len(x) + -len(x) % 4, x.shape[1]), self.dtype)  # with zero rows, as `_padded` adds them
        np.multiply(x, self.weights, out=few[: len(x)])
        return few

    def _products(self, few: Array) -> Array:
        def product(stripe, room):
            tiles = _tiles(room[: len(self)]).swapaxes(1, 2)
            return np.matmul(_tiles(few[:, stripe]), tiles).sum(axis=0, dtype=float)

        return sum(self.map(product, self._stripes, self._rooms), np.zeros((len(few), len(self))))


class Basis(Rows):
    """Orthonormal rows; `latest` are those added last, `outside` the largest share of an S that was left out."""

    outside = 0.0

    def extend(self, S: Array, tolerance: float, beside: Callable[[int], Array] | None = None) -> tuple[Array, Array]:
        """Add what S (q, N) has outside of the basis, in its principal directions, those above `tolerance` times |S|.

        Returns the coordinates of S in the basis as it then is, (q, K); and as many rows as ``beside(d)`` gives for d
        new ones, made orthogonal to all of the basis. Nothing is added where S is not finite.
        """
        weighted = self._weighted(S)
        L, size = self._products(weighted)[: len(S)], weighted[: len(S)] @ S.T
        outside = size - L @ L.T
        total = np.trace(size)
        if not np.trace(outside) > tolerance**2 * total:  # then no eigenvalue is; nor where S is not finite
            self.outside = max(self.outside, np.sqrt(max(np.trace(outside), 0.0) / total) if total else 0.0)
            return L, S[:0]
        values, vectors = np.linalg.eigh(outside)
        new = values > tolerance**2 * total
        self.outside = max(self.outside, np.sqrt(np.maximum(values[~new], 0).sum() / total))
        if not new.any():
            return L, S[:0]
        X = (vectors[:, new] / np.sqrt(values[new])).T[::-1]
        rows = X.astype(self.dtype) @ S - self.combine(X @ L)
        both = np.concatenate([rows, beside(len(rows)) if beside else S[:0]])
        both -= self.combine(self.coordinates(both))  # one pass of Gram-Schmidt is lost after a hundred rows (theory 4)
        rows, others = np.split(both, [len(rows)])
        rows = np.linalg.inv(np.linalg.cholesky((rows * self.weights) @ rows.T)).astype(self.dtype) @ rows
        self.append(rows)
        self.latest = rows
        L = np.concatenate([L, weighted[: len(S)] @ rows.T], axis=1)
        return L, others - ((others * self.weights) @ rows.T) @ rows


def in_units(S: Array, dtype) -> tuple[float, Array]:
    """S in `dtype`, and the unit it is in: its own size where it comes in a higher precision (`precision_for`)."""
    unit = float(np.abs(S).max(initial=0)) if S.dtype != dtype else 1.0
    unit = unit if 0 < unit < np.inf else 1.0
    return unit, (S / S.dtype.type(unit)).astype(dtype) if S.dtype != dtype else S


def precision_for(dtype, *sizes: Array):
    """`dtype`, or double precision where numbers of these sizes leave single precision no room for their products."""
    largest = [float(np.abs(x).max(initial=0)) for x in sizes]
    return dtype if all(x == 0 or 1e-8 < x < 1e8 for x in largest) else np.float64


def _padded(few: Array) -> Array:
    """As many zero rows more as make their number a multiple of four, for which BLAS has its fast products."""
    missing = -len(few) % 4
    return np.concatenate([few, np.zeros((missing, few.shape[1]), few.dtype)]) if missing else few


def _tiles(rows: Array) -> Array:
    """View rows (k, N) as (tiles, k, tile)."""
    tile = TILE if rows.shape[1] % TILE == 0 else rows.shape[1]
    return rows.reshape(len(rows), rows.shape[1] // max(tile, 1), tile).swapaxes(0, 1)
