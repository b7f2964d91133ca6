"""X W and X^T S for a block of rows, compiled (the extra ``fast``; without it `descent` uses BLAS).

BLAS is made for square matrices: with a handful of columns it takes three times as long as reading X. Here three rows
meet up to four columns at a time: their 12 running sums (or factors), with what is being multiplied, fill the 16 vector
registers of a common processor. The columns are rows in memory, W and G (p, n), u and S (p, rows).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from ..common import Array

ROWS, COLUMNS = 3, 4
# Sums may be reordered, so that they run in vector registers; infinities and NaN keep their meaning.
FASTMATH = {"reassoc", "contract", "nsz"}


def multiply(X: Array, W: Array) -> Array:
    """(X W^T)^T, shape (p, rows), for X (rows, n) and W (p, n)."""
    u = np.empty((len(W), -(-len(X) // ROWS) * ROWS), X.dtype)
    for group in column_groups(len(W)):
        compiled(group.stop - group.start)[0](X, W[group], u[group])
    return u[:, : len(X)]


def multiply_back(X: Array, S: Array, G: Array) -> None:
    """Write S X into G (p, n), for X (rows, n) and S (p, rows)."""
    padded = np.zeros((len(S), -(-len(X) // ROWS) * ROWS), X.dtype)
    padded[:, : len(X)] = S
    for group in column_groups(len(S)):
        compiled(group.stop - group.start)[1](X, padded[group], G[group])


def column_groups(p: int) -> list[slice]:
    """0..p in as few slices as possible, none above COLUMNS wide, all nearly equal."""
    count = -(-p // COLUMNS)
    return [slice(k * p // count, (k + 1) * p // count) for k in range(count)]


@cache
def compiled(width: int):
    """The two kernels for exactly `width` columns: a constant when they are compiled, so the other branches vanish."""

    def forward(X, W, u):
        last = len(X) - 1
        for i in range(0, len(X), ROWS):
            x0, x1, x2 = X[i], X[min(i + 1, last)], X[min(i + 2, last)]  # past the end: the last row again, unused
            a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = X.dtype.type(0)
            for j in range(X.shape[1]):
                p, q, r = x0[j], x1[j], x2[j]
                w = W[0, j]
                a0, a1, a2 = a0 + p * w, a1 + q * w, a2 + r * w
                if width > 1:
                    w = W[1, j]
                    b0, b1, b2 = b0 + p * w, b1 + q * w, b2 + r * w
                if width > 2:
                    w = W[2, j]
                    c0, c1, c2 = c0 + p * w, c1 + q * w, c2 + r * w
                if width > 3:
                    w = W[3, j]
                    d0, d1, d2 = d0 + p * w, d1 + q * w, d2 + r * w
            u[0, i], u[0, i + 1], u[0, i + 2] = a0, a1, a2
            if width > 1:
                u[1, i], u[1, i + 1], u[1, i + 2] = b0, b1, b2
            if width > 2:
                u[2, i], u[2, i + 1], u[2, i + 2] = c0, c1, c2
            if width > 3:
                u[3, i], u[3, i + 1], u[3, i + 2] = d0, d1, d2

    def backward(X, S, G):
        last = len(X) - 1
        A, B, C, D = 0, min(1, width - 1), min(2, width - 1), min(3, width - 1)
        a, b, c, d = G[A], G[B], G[C], G[D]
        G[:] = 0
        for i in range(0, len(X), ROWS):
            x0, x1, x2 = X[i], X[min(i + 1, last)], X[min(i + 2, last)]  # past the end: the last row again, times 0
            a0, a1, a2 = S[A, i], S[A, i + 1], S[A, i + 2]
            b0, b1, b2 = S[B, i], S[B, i + 1], S[B, i + 2]
            c0, c1, c2 = S[C, i], S[C, i + 1], S[C, i + 2]
            d0, d1, d2 = S[D, i], S[D, i + 1], S[D, i + 2]
            for j in range(X.shape[1]):
                p, q, r = x0[j], x1[j], x2[j]
                a[j] += a0 * p + a1 * q + a2 * r
                if width > 1:
                    b[j] += b0 * p + b1 * q + b2 * r
                if width > 2:
                    c[j] += c0 * p + c1 * q + c2 * r
                if width > 3:
                    d[j] += d0 * p + d1 * q + d2 * r

    options: dict[str, Any] = dict(nogil=True, fastmath=FASTMATH)
    try:  # keep the machine code for the next session, beside this file or in the user's cache
        return numba.njit(forward, cache=True, **options), numba.njit(backward, cache=True, **options)
    except RuntimeError:  # nowhere to write it
        return numba.njit(forward, **options), numba.njit(backward, **options)
