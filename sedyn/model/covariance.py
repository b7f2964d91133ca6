"""The covariance of features: its eigenvalues, and the few quadrature nodes that stand for them (theory 5)."""

from __future__ import annotations

import numpy as np

from ..common import Array, numbers, shown


def gauss_nodes(values: Array, weights: Array, n_nodes: int) -> tuple[Array, Array]:
    """Gauss quadrature of a discrete measure by the Lanczos recursion.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn.model import gauss_nodes
    >>> nodes, weights = gauss_nodes(np.arange(1.0, 101.0), np.full(100, 0.01), 3)
    >>> [bool(np.isclose(weights @ nodes**k, np.mean(np.arange(1.0, 101.0) ** k))) for k in (0, 1, 5)]
    [True, True, True]
    """
    total = weights.sum()
    basis = [np.sqrt(weights / total)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(n_nodes):
        v = values * basis[-1]
        diagonal.append(float(v @ basis[-1]))
        for b in (*basis, *basis):  # full reorthogonalisation, twice
            v = v - (v @ b) * b
        size = float(np.linalg.norm(v))
        if size < 1e-10 * np.abs(values).max(initial=1e-300):  # no more distinct eigenvalues
            break
        beside.append(size)
        basis.append(v / size)
    beside = beside[: len(diagonal) - 1]
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return nodes, total * vectors[0] ** 2


def eigen_directions(covariance, n_features: int) -> tuple[Array, Array | None]:
    """The variances (n,) of a covariance and its eigenvectors (n, n), None where they are the features themselves.

    Raises ValueError for anything but n variances >= 0 or a symmetric positive semidefinite matrix.
    """
    given = numbers(covariance)
    if given.shape not in ((n_features,), (n_features, n_features)) or not np.all(np.isfinite(given)):
        raise ValueError(
            f"covariance must be {n_features} variances or a symmetric ({n_features}, {n_features}) matrix, all "
            f"finite; got {shown(covariance)}"
        )
    if given.ndim == 2 and not np.allclose(given, given.T):
        gap = np.abs(given - given.T).max()
        raise ValueError(f"a covariance matrix must be symmetric; it differs from its transpose by {gap:.3g}")
    variances, directions = (given, None) if given.ndim == 1 else np.linalg.eigh(given)
    if variances.min() < -1e-8 * variances.max() or not 0 < variances.max() <= 1e30:
        raise ValueError(
            f"covariance needs eigenvalues >= 0, not all 0; the smallest is {variances.min():.3g}, "
            f"the largest {variances.max():.3g} (at most 1e30)"
        )
    return np.maximum(variances, 0), directions


def covariance_root(covariance, n_features: int) -> Array:
    """Sigma^(1/2): (n,) for variances, else (n, n) and symmetric. ValueError as for `eigen_directions`."""
    variances, directions = eigen_directions(covariance, n_features)
    return np.sqrt(variances) if directions is None else (directions * np.sqrt(variances)) @ directions.T


def times_root(rows: Array, root: Array) -> Array:
    """Rows (.., n) times Sigma^(1/2)."""
    return rows * root if root.ndim == 1 else rows @ root
