"""X W and X^T S, block by block of rows, by BLAS or compiled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..common import Array, Caller, thread_pool

# Rows of X handled at once: they stay in cache between the two products, and numpy's few calls per block cost little.
BLOCK_BYTES, BLOCK_ROWS = 2**22, 128
COMPILED_WORK = 4 * 10**9  # multiply-adds of one product over the run: 1.5 s in BLAS, 0.5 s to load the kernels
COMPILED_WIDTHS = range(2, 8)  # for one column, and from eight on, BLAS is as fast


def row_blocks(m: int, row_bytes: int) -> list[slice]:
    """0..m in nearly equal slices of about BLOCK_BYTES; an even number, for two threads, unless one is enough."""
    rows = max(BLOCK_ROWS, BLOCK_BYTES // row_bytes)
    count = 1 if m <= rows else 2 * -(-m // (2 * rows))
    return [slice(k * m // count, (k + 1) * m // count) for k in range(count)]


def products(work: int, width: int) -> tuple[Callable, Callable]:
    """X W and X^T S for a block of rows: compiled where that pays and numba is installed, else by BLAS."""
    if work >= COMPILED_WORK and width in COMPILED_WIDTHS:
        try:
            from . import compiled

            return compiled.multiply, compiled.multiply_back
        except ImportError:  # the extra `fast` is not installed
            pass
    return _multiply, _multiply_back


def _multiply(X: Array, W: Array) -> Array:
    """(X W^T)^T, shape (p, rows), for X (rows, n) and W (p, n)."""
    return np.stack([X @ w for w in W]) if _thin(X, W) else W @ X.T


def _multiply_back(X: Array, S: Array, G: Array) -> None:
    """Write S X into G (p, n), for X (rows, n) and S (p, rows)."""
    if _thin(X, S):
        for s, g in zip(S, G, strict=True):
            np.matmul(s, X, out=g)
    else:
        np.matmul(S, X, out=G)


def _thin(X: Array, columns: Array) -> bool:
    """Whether BLAS is faster one column at a time."""
    return len(columns) < 4 and X.size > 2**16


class Helpers:
    """Threads that do the same as the calling one, at the same time."""

    def __init__(self, count: int):
        self.count, self._pool = count, thread_pool(count) if count else Caller()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown()

    def share(self, work: Callable[[], None]) -> None:
        """Call `work` in every thread and wait for all."""
        others = [self._pool.submit(work) for _ in range(self.count)]
        work()
        for other in others:
            other.result()
