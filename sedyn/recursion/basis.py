"""A growing orthonormal basis."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np

from ..common import Array, require_memory

BLOCK_ROWS = 128
PRODUCT_SIZE = 2**18  # multiply-adds of one small product: up to here BLAS stays on one thread
LARGEST_TILE = 2**9  # paths of such a product
STRIPE = 2**16  # paths of one thread's turn, where threads share the paths


class Rows:
    """Rows (K, N) that grow, and products with them at the speed of memory.

    They are stored in blocks of 128, so that growing copies nothing. A product of a few rows with many is cut into
    tiles of paths, small enough for BLAS to stay on one thread (the solvers run one randomization per core), and the
    few rows are padded to a multiple of 4, for which BLAS has its fast kernels. `map` works through stripes of paths:
    Python's own, or that of a pool of threads for very long rows; the results are the same.
    """

    def __init__(self, rows: Array, map: Callable = map):
        self.n_paths, self.dtype, self.map = rows.shape[1], rows.dtype, map
        self._blocks: list[Array] = []
        self._length = 0
        self.append(rows)

    def __len__(self) -> int:
        return self._length

    def append(self, rows: Array) -> None:
        for row in rows:
            if self._length == BLOCK_ROWS * len(self._blocks):
                block_bytes = BLOCK_ROWS * self.n_paths * self.dtype.itemsize
                require_memory(
                    2 * (len(self._blocks) + 1) * block_bytes,
                    f"a basis of {BLOCK_ROWS * (len(self._blocks) + 1)} directions on {self.n_paths} samples",
                    "lower their number or n_steps, or raise tolerance",
                )
                self._blocks.append(np.empty((BLOCK_ROWS, self.n_paths), self.dtype))
            self._blocks[-1][self._length % BLOCK_ROWS] = row
            self._length += 1

    def _filled(self):
        for i, block in enumerate(self._blocks):
            start = i * BLOCK_ROWS
            stop = min(start + BLOCK_ROWS, self._length)
            yield slice(start, stop), block[: stop - start]

    def combine(self, coefficients: Array) -> Array:
        """coefficients @ rows, shape (len(coefficients), N)."""
        padded = _padded(coefficients, self.dtype)
        out = np.zeros((len(padded), self.n_paths), self.dtype)

        def fill(paths):
            tiles = _tiles(out[:, paths], len(padded))
            for i, (columns, block) in enumerate(self._filled()):
                part = _tiles(block[:, paths], len(padded))
                if i == 0:
                    np.matmul(padded[:, columns], part, out=tiles)
                else:
                    tiles += np.matmul(padded[:, columns], part)

        list(self.map(fill, _stripes(self.n_paths)))
        return out[: len(coefficients)]

    def coordinates(self, x: Array) -> Array:
        """<x, rows>, shape (len(x), K)."""
        parts = [inner(x, block, self.map) for _, block in self._filled()]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(x), 0))


def inner(few: Array, rows: Array, map: Callable = map) -> Array:
    """<few, rows>, added up tile by tile in double precision, shape (len(few), len(rows))."""
    padded = _padded(few, few.dtype)

    def products(paths):
        tiles = _tiles(padded[:, paths], len(padded)), _tiles(rows[:, paths], len(padded)).swapaxes(1, 2)
        return np.add.reduce(np.matmul(*tiles), axis=0, dtype=float)

    first, *others = map(products, _stripes(few.shape[1]))
    return sum(others, first)[: len(few)] / few.shape[1]


@cache
def _stripes(n_paths: int) -> list[slice]:
    """Cut the paths into stripes of whole tiles, and one with the rest."""
    whole = n_paths - n_paths % LARGEST_TILE
    edges = [*range(0, whole, STRIPE), whole, n_paths]
    return [slice(start, stop) for start, stop in pairwise(edges) if start < stop]


def _tiles(rows: Array, n_few: int) -> Array:
    """View a stripe of rows (k, N) as (tiles, k, tile)."""
    tile = _tile(rows.shape[1], n_few)
    return rows.reshape(len(rows), -1, tile).swapaxes(0, 1)


@cache
def _tile(n_paths: int, n_few: int) -> int:
    largest = max(64, PRODUCT_SIZE // (n_few * BLOCK_ROWS))
    tile = min(LARGEST_TILE, 2 ** (largest.bit_length() - 1))
    return tile if n_paths % tile == 0 else n_paths


def _padded(few: Array, dtype) -> Array:
    if len(few) % 4 == 0 and few.dtype == dtype:
        return few
    padded = np.zeros((len(few) + -len(few) % 4, few.shape[1]), dtype)
    padded[: len(few)] = few
    return padded
