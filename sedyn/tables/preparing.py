"""Preparing a table: whitening its features, putting its target on a common scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..common import Array, finite_array
from .reading import _constant


class Target(NamedTuple):
    """A target on the scale the network is trained on: ``y = centre + scale * labels``."""

    labels: Array
    """(m,) -1 or +1 for a binary target, otherwise mean 0 and variance 1."""
    centre: float
    scale: float
    binary: bool


def whiten(X: Array, reference: Array | None = None, *, names: tuple[str, ...] | None = None) -> Array:
    """Make features uncorrelated with mean 0 and variance 1.

    Subtracts the mean and multiplies by the inverse square root of the covariance, computed after scaling every column
    to variance 1, so that the units of the columns do not matter.

    Parameters
    ----------
    X : (m, n) array
        Rows to transform.
    reference : (k, n) array, optional
        Rows that supply mean and covariance, by default X itself; labels are not needed, so all rows at hand will do.
        On X itself the covariance becomes exactly the identity, which is more than independent features have: the
        estimate is then too low when m is not several times n.
    names : tuple of n str, optional
        Column names for messages.

    Returns
    -------
    (m, n) array

    Raises
    ------
    ValueError
        When `reference` has no more rows than columns, a constant column, or columns that determine each other; the
        message names the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn import whiten
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ [[1, 2, 0], [0, 1, 0], [0, 3, 50]] + 7
    >>> white = whiten(X)
    >>> bool(np.allclose(white.mean(axis=0), 0)), bool(np.allclose(white.T @ white / 500, np.eye(3)))
    (True, True)
    """
    X = finite_array(X, "X")
    reference = X if reference is None else finite_array(reference, "reference")
    for rows, name in ((X, "X"), (reference, "reference")):
        if rows.ndim != 2:
            raise ValueError(f"{name} must have shape (rows, columns); got {rows.shape}")
    k, n = reference.shape
    if X.shape[1] != n:
        raise ValueError(f"X has {X.shape[1]} columns and reference {n}; they must be the same features")
    if k <= n:
        raise ValueError(f"too few rows to whiten: {k} rows for {n} columns; give more rows than columns")
    label = [repr(name) for name in names] if names is not None else [str(i) for i in range(n)]

    def listing(chosen):
        return ", ".join(label[i] for i in np.flatnonzero(chosen))

    constant = _constant(reference)
    if np.any(constant):
        raise ValueError(f"cannot whiten constant columns: {listing(constant)}; remove them")
    mean, scale = reference.mean(axis=0), reference.std(axis=0)
    standard = (reference - mean) / scale
    values, vectors = np.linalg.eigh(standard.T @ standard / k)
    deficient = values < 1e-10 * values[-1]
    if np.any(deficient):
        involved = np.sum(vectors[:, deficient] ** 2, axis=1) > 1e-8
        raise ValueError(
            f"cannot whiten: {np.sum(deficient)} of {n} directions have no variance, because columns among "
            f"{listing(involved)} determine each other linearly; remove {np.sum(deficient)} of these columns"
        )
    return ((X - mean) / scale) @ (vectors / np.sqrt(values)) @ vectors.T


def scale_target(y: Array) -> Target:
    """Two values become -1 and +1; anything else is standardised to mean 0 and variance 1.

    Raises ValueError for a constant target, or one that does not hold finite numbers alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn import scale_target
    >>> scale_target(np.array([0.0, 1.0, 1.0])).labels.tolist()
    [-1.0, 1.0, 1.0]
    """
    y = finite_array(y, "y")
    distinct = np.unique(y)
    if len(distinct) < 2:
        raise ValueError("the target is constant, there is nothing to learn")
    binary = len(distinct) == 2
    centre, scale = (distinct.mean(), np.ptp(distinct) / 2) if binary else (y.mean(), y.std())
    return Target((y - centre) / scale, float(centre), float(scale), binary)
