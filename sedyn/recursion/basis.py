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

    Columns may come, too: they are 0 in the rows that were there before, and not stored for those. `map` works through
    stripes of columns: Python's own, or that of a pool of threads for very long rows; the results are the same.
    """

    def __init__(self, weights: Array, dtype, map: Callable = map):
        self.dtype, self.weights, self.map, self._length = np.dtype(dtype), np.zeros(0, dtype), map, 0
        self._parts: list[tuple[int, slice, Array]] = []  # first row, columns, and what is stored of them
        self.widen(weights)

    def __len__(self) -> int:
        return self._length

    def widen(self, weights: Array) -> None:
        """Add columns with these weights, 0 in all rows so far."""
        old = len(self.weights)
        self.weights = np.concatenate([self.weights, weights]).astype(self.dtype)
        for start in range(old, len(self.weights), STRIPE):
            columns = slice(start, min(start + STRIPE, len(self.weights)))
            self._parts.append((len(self), columns, np.zeros((0, columns.stop - start), self.dtype)))

    def append(self, rows: Array) -> None:
        """Keep further rows (d, N). MemoryError when there is no room for them."""
        length, n_columns = len(self) + len(rows), len(self.weights)
        if length % ROOM < len(rows):
            require_memory(
                2.0 * (length + ROOM) * n_columns * self.dtype.itemsize,
                f"a basis of {length + ROOM} directions on {n_columns} samples",
                "lower their number or n_steps, or raise tolerance",
            )
        for first, columns, room in self._parts:
            if length - first > len(room):  # in place where the system can; no view of it is kept
                room.resize((length - first + ROOM, room.shape[1]), refcheck=False)
            room[len(self) - first : length - first] = rows[:, columns]
        self._length = length

    def combine(self, coefficients: Array) -> Array:
        """coefficients (d, K) @ rows, shape (d, N)."""
        few = _padded(coefficients.astype(self.dtype))
        out = np.empty((len(few), len(self.weights)), self.dtype)

        def fill(part):
            first, columns, room = part
            np.matmul(few[:, first:], _tiles(room[: len(self) - first]), out=_tiles(out[:, columns]))

        list(self.map(fill, self._parts))
        return out[: len(coefficients)]

    def coordinates(self, x: Array) -> Array:
        """<x, rows> for x (d, N), shape (d, K)."""
        return self._products(self._weighted(x))[: len(x)]

    def _weighted(self, x: Array) -> Array:
        few = np.zeros((len(x) + -len(x) % 4, x.shape[1]), self.dtype)  # with zero rows, as `_padded` adds them
        np.multiply(x, self.weights, out=few[: len(x)])
        return few

    def _products(self, few: Array) -> Array:
        found = np.zeros((len(few), len(self)))

        def product(part):
            first, columns, room = part
            return np.matmul(_tiles(few[:, columns]), _tiles(room[: len(self) - first]).swapaxes(1, 2)).sum(
                axis=0, dtype=float
            )

        for (first, *_), found_there in zip(self._parts, self.map(product, self._parts), strict=True):
            found[:, first:] += found_there
        return found


class Basis(Rows):
    """Orthonormal rows; `latest` are those added last."""

    def extend(self, S: Array, tolerance: float, beside: Callable[[int], Array] | None = None) -> tuple[Array, Array]:
        """Add what S (q, N) has outside of the basis, in its principal directions, those above `tolerance` times |S|.

        Returns the coordinates of S in the basis as it then is, (q, K); and as many rows as ``beside(d)`` gives for d
        new ones, made orthogonal to all of the basis. Nothing is added where S is not finite.
        """
        weighted = self._weighted(S)
        L, size = self._products(weighted)[: len(S)], weighted[: len(S)] @ S.T
        outside = size - L @ L.T
        if not np.trace(outside) > tolerance**2 * np.trace(size):  # then no eigenvalue is; nor where S is not finite
            return L, S[:0]
        values, vectors = np.linalg.eigh(outside)
        new = values > tolerance**2 * np.trace(size)
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
    """The size of S, and S in units of it: single precision has no squares of what is very large or small."""
    unit = float(np.abs(S).max(initial=0))
    unit = unit if 0 < unit < np.inf else 1.0
    return unit, (S / S.dtype.type(unit)).astype(dtype, copy=False)


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
