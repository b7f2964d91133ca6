"""Scrambled Sobol points, number for number those of ``scipy.stats.qmc.Sobol``.

Importing scipy.stats takes longer than most solves; this module is why the first one need not wait for it.
"""

from __future__ import annotations

import numpy as np

from .network import Array

BITS = 30
# S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30, 2635 (2008), for each dimension: a primitive polynomial, its
# coefficients as the bits of a number, and the direction numbers m_1, m_2, .. to begin with
_DIRECTIONS = (
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 1)),
    (19, (1, 1, 3, 3)),
    (25, (1, 3, 5, 13)),
    (37, (1, 1, 5, 5, 17)),
    (41, (1, 1, 5, 5, 5)),
    (47, (1, 1, 7, 11, 19)),
    (55, (1, 1, 5, 1, 1)),
    (59, (1, 1, 1, 3, 11)),
    (61, (1, 3, 5, 5, 31)),
    (67, (1, 3, 3, 9, 7, 49)),
    (91, (1, 1, 1, 15, 21, 21)),
    (97, (1, 3, 1, 13, 27, 49)),
    (103, (1, 1, 1, 15, 7, 5)),
    (109, (1, 3, 1, 15, 13, 25)),
)
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
    points = shift[:, None]
    for j in range(log2_points):  # in the order of the Gray code, whose second half is the first reversed, one bit set
        points = np.concatenate([points, points[:, ::-1] ^ directions[:, j : j + 1]], axis=1)
    return points * 2.0**-BITS


def _direction_numbers(dim: int) -> Array:
    """(dim, BITS) integers; number k of each row is m_k 2^(BITS - k)."""
    rows = [[1] * BITS]  # m_k
    for polynomial, start in _DIRECTIONS[: dim - 1]:
        m, degree = list(start), len(start)
        while len(m) < BITS:
            new = m[-degree]
            for i in range(1, degree + 1):
                if polynomial >> (degree - i) & 1:
                    new ^= m[-i] << i
            m.append(new)
        rows.append(m)
    return np.array(rows) << np.arange(BITS)[::-1]
