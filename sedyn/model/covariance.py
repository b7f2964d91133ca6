"""The covariance of features: its eigenvalues, and the few quadrature nodes that stand for them (theory 5)."""

from __future__ import annotations

import numpy as np

from ..common import Array, numbers, shown_array


def gauss_nodes(values: Array, parts: Array, n_steps: int) -> tuple[Array, Array]:
    """Gauss quadrature of a discrete measure with matrix weights, by the block Lanczos recursion.

    Returns nodes x_j and vectors l_j, the columns of an array (p, nodes), at most p n_steps of them: for `parts` (n, p)
    ``sum_j f(x_j) l_j l_j^T`` is ``sum_i f(values_i) parts_i parts_i^T`` for polynomials f of degree below 2 n_steps.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn.model import gauss_nodes
    >>> nodes, (roots,) = gauss_nodes(np.arange(1.0, 101.0), np.full((100, 1), 0.1), 3)
    >>> [bool(np.isclose(roots**2 @ nodes**k, np.mean(np.arange(1.0, 101.0) ** k))) for k in (0, 1, 5)]
    [True, True, True]
    """
    basis = np.zeros((len(values), 0))
    block, size = parts, float(np.linalg.norm(parts))
    for _ in range(n_steps):
        for _ in range(2):
            block = block - basis @ (basis.T @ block)
        vectors, sizes, _ = np.linalg.svd(block, full_matrices=False)
        block = vectors[:, sizes > 1e-10 * max(size, 1e-300)]
        if not block.shape[1]:  # no more distinct values
            break
        basis = np.concatenate([basis, block], axis=1)
        block, size = values[:, None] * block, float(np.abs(values).max())
    nodes, vectors = np.linalg.eigh(basis.T @ (values[:, None] * basis))
    return nodes, parts.T @ basis @ vectors


def eigen_directions(covariance, n_features: int) -> tuple[Array, Array | None]:
    """The variances (n,) of a covariance and its eigenvectors (n, n), None where they are the features themselves.

    Raises ValueError for anything but n variances >= 0 or a symmetric positive semidefinite matrix.
    """
    given = numbers(covariance)
    if given.shape not in ((n_features,), (n_features, n_features)) or not np.all(np.isfinite(given)):
        raise ValueError(
            f"covariance must be finite numbers of shape ({n_features},), the variances of the features, or of shape "
            f"({n_features}, {n_features}), a symmetric matrix; got {shown_array(covariance)}"
        )
    if given.ndim == 2 and not np.allclose(given, given.T):
        gap = np.abs(given - given.T).max()
        raise ValueError(f"a covariance matrix must be symmetric; it differs from its transpose by {gap:.3g}")
    variances, directions = (given, None) if given.ndim == 1 else np.linalg.eigh(given)
    if variances.min() < -1e-8 * variances.max() or not 0 < variances.max() <= 1e30:
        raise ValueError(
            f"covariance needs {'variances' if directions is None else 'eigenvalues'} >= 0, not all 0 and none beyond "
            f"1e30; the smallest is {variances.min():.3g}, the largest {variances.max():.3g}"
        )
    return np.maximum(variances, 0), directions


def covariance_root(covariance, n_features: int) -> Array:
    """Sigma^(1/2): (n,) for variances, else (n, n) and symmetric. ValueError as for `eigen_directions`."""
    variances, directions = eigen_directions(covariance, n_features)
    return np.sqrt(variances) if directions is None else (directions * np.sqrt(variances)) @ directions.T


def times_root(rows: Array, root: Array) -> Array:
    """Rows (.., n) times Sigma^(1/2)."""
    return rows * root if root.ndim == 1 else rows @ root
