"""Scrambled Sobol points, number for number those of ``scipy.stats.qmc.Sobol``.

Importing scipy.stats takes longer than most solves; this module is why the first one need not wait for it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .network import Array

BITS = 30
# S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30, 2635 (2008), for dimensions 2, 3, ..: a primitive polynomial, its
# coefficients as the bits of a number, and the direction numbers m_1, m_2, .. to begin with
_DIRECTIONS = [
    [int(number) for number in row.split()]
    for row in """
    3 1; 7 1 3; 11 1 3 1; 13 1 1 1; 19 1 1 3 3; 25 1 3 5 13; 37 1 1 5 5 17; 41 1 1 5 5 5; 47 1 1 7 11 19; 55 1 1 5 1
    1; 59 1 1 1 3 11; 61 1 3 5 5 31; 67 1 3 3 9 7 49; 91 1 1 1 15 21 21; 97 1 3 1 13 27 49; 103 1 1 1 15 7 5; 109 1
    3 1 15 13 25; 115 1 1 5 5 19 61; 131 1 3 7 11 23 15 103; 137 1 3 7 13 13 15 69; 143 1 1 3 13 7 35 63; 145 1 3 5
    9 1 25 53; 157 1 3 1 13 9 35 107; 167 1 3 1 5 27 61 31; 171 1 1 5 11 19 41 61; 185 1 3 5 3 3 13 69; 191 1 1 7 13
    1 19 1; 193 1 3 7 5 13 19 59; 203 1 1 3 9 25 29 41; 211 1 3 5 13 23 1 55; 213 1 3 7 3 13 59 17; 229 1 3 1 3 5 53
    69; 239 1 1 5 5 23 33 13; 241 1 1 7 7 1 61 123; 247 1 1 7 9 13 61 49; 253 1 3 3 5 3 55 33; 285 1 3 1 15 31 13 49
    245; 299 1 3 5 15 31 59 63 97; 301 1 3 1 11 11 11 77 249; 333 1 3 1 11 27 43 71 9; 351 1 1 7 15 21 11 81 45; 355
    1 3 7 3 25 31 65 79; 357 1 3 1 1 19 11 3 205; 361 1 1 5 9 19 21 29 157; 369 1 3 7 11 1 33 89 185; 391 1 3 3 3 15
    9 79 71; 397 1 3 7 11 15 39 119 27
    """.split(";")
]
MAX_DIM = 1 + len(_DIRECTIONS)


def sobol(dim: int, log2_points: int, rng: np.random.Generator) -> Array:
    """The first 2^log2_points Sobol points in [0, 1)^dim, columns, with a random linear scramble and shift."""
    if dim > MAX_DIM:
        from scipy.stats import qmc

        return qmc.Sobol(dim, rng=rng).random_base2(log2_points).T
    rng = rng.spawn(1)[0]  # as scipy does
    shift = rng.integers(2, size=(dim, BITS), dtype=np.uint32) @ 2 ** np.arange(BITS)
    scramble = np.tril(rng.integers(2, size=(dim, BITS, BITS), dtype=np.uint32), -1) + np.eye(BITS, dtype=np.uint32)
    places = np.arange(BITS)[::-1]  # most significant bit first
    digits = _direction_numbers(dim)[:, None, :] >> places[:, None] & 1  # (dim, digit, which number)
    directions = 2**places @ (scramble @ digits % 2)
    points, directions = shift[:, None].astype(np.uint32), directions.astype(np.uint32)
    for j in range(log2_points):  # in the order of the Gray code, whose second half is the first reversed, one bit set
        points = np.concatenate([points, points[:, ::-1] ^ directions[:, j : j + 1]], axis=1)
    return points * 2.0**-BITS


@cache
def _direction_numbers(dim: int) -> Array:
    """(dim, BITS) integers; number k of each row is m_k 2^(BITS - k)."""
    rows = [[1] * BITS]  # m_k
    for polynomial, *m in _DIRECTIONS[: dim - 1]:
        degree = len(m)
        while len(m) < BITS:
            new = m[-degree]
            for i in range(1, degree + 1):
                if polynomial >> (degree - i) & 1:
                    new ^= m[-i] << i
            m.append(new)
        rows.append(m)
    return np.array(rows) << np.arange(BITS)[::-1]
