"""The spectrum of the features' covariance, as the few quadrature nodes that the memory recursion needs (theory 5).

The recursion averages polynomials of the eigenvalues with weight lambda / n, so Gauss nodes of that measure replace the
n eigenvalues. The eigenvalues of a sample covariance would be a biased guess of them: they spread by n / k.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from ..common import Array, finite_array, shown
from ..model import eigen_directions, gauss_nodes

N_NODES = 8  # of a known spectrum: agrees with 16 to 1e-6 at largest / mean eigenvalue = 30 (theory 5)
# half as many of an estimated one, which is not known better; each node brings noise of its own


class Spectrum(NamedTuple):
    """Gauss nodes of the spectral measure sum_j (lambda_j / n) delta(lambda_j)."""

    nodes: Array
    """(J,) eigenvalues."""
    weights: Array
    """(J,), summing to the mean eigenvalue."""


IDENTITY = Spectrum(np.ones(1), np.ones(1))


def population_spectrum(rows: Array) -> tuple[Array, Array]:
    """Eigenvalues of the population covariance and their frequencies, estimated from rows (k, n), k and n of one order.

    The sample eigenvalues spread too far. Their Stieltjes transform v(z) and the population spectrum H are tied by the
    Marchenko-Pastur equation ``z + 1 / v = (n / k) int lambda dH / (1 + lambda v)``, linear in H: non-negative least
    squares over a grid of eigenvalues, at points z off the real axis (El Karoui, Annals of Statistics 2008).

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn import population_spectrum
    >>> rows = np.random.default_rng(0).standard_normal((300, 200)) * np.repeat([1.0, 2.0], 100)
    >>> values, frequencies = population_spectrum(rows)
    >>> bool(abs(frequencies @ values**2 - 8.5) < 0.5)  # half of 1 and half of 16; the sample eigenvalues say 12.5
    True
    """
    rows = finite_array(rows, "rows")
    if rows.ndim != 2 or len(rows) < 12:
        raise ValueError(f"rows must be an array of shape (k, n) of at least 12 rows; got {shown(rows)}")
    _require_spread(rows, "rows")
    k, n = rows.shape
    k -= 1  # the mean takes one row's worth
    sample = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[: min(k, n)] ** 2 / k
    mean, largest = sample.sum() / n, sample.max()
    grid = mean * np.geomspace(1e-3, 1.3 * largest / mean, 60)
    real = np.concatenate([np.linspace(-0.5, 1.3, 40) * largest, np.geomspace(0.02, 1, 20) * mean])
    z = np.concatenate([real + 1j * height * mean for height in (0.1, 0.5, 2.0)])
    v = (np.sum(1 / (sample - z[:, None]), axis=1) - (k - len(sample)) / z) / k
    size = np.maximum(np.abs(z), mean)[:, None]
    equations = n / k * grid / (1 + grid * v[:, None]) / size
    right = (z + 1 / v) / size[:, 0]
    firm = 30.0  # total frequency 1 and the known mean, held more firmly than the equations
    frequencies, _ = scipy.optimize.nnls(
        np.vstack([equations.real, equations.imag, np.full(60, firm), firm * grid / mean]),
        np.concatenate([right.real, right.imag, [firm, firm]]),
    )
    return grid[frequencies > 0], frequencies[frequencies > 0]


def spectrum_of(covariance, unlabelled, n_features: int) -> Spectrum:
    """Nodes for what `augmented_gradient_descent` accepts as `covariance` and `unlabelled`.

    Raises ValueError for anything else, saying what was expected.
    """
    if covariance is None and unlabelled is None:
        return IDENTITY
    if covariance is None:
        return _from_rows(finite_array(unlabelled, "unlabelled"), n_features)
    if unlabelled is not None:
        raise ValueError("give covariance or unlabelled rows to estimate it from, not both")
    if isinstance(covariance, str):
        raise ValueError(
            f"covariance must be variances or a matrix; got {shown(covariance)}; to estimate it from the rows "
            "of X pass unlabelled=X"
        )
    variances, _ = eigen_directions(covariance, n_features)
    nodes, (roots,) = gauss_nodes(variances, np.sqrt(variances / n_features)[:, None], N_NODES)
    return Spectrum(nodes, roots**2)


def _require_spread(rows: Array, name: str) -> None:
    if np.abs(rows).max(initial=0) > 1e100:
        raise ValueError(f"{name}: they must not exceed 1e100 in size for a covariance to be estimated; rescale them")
    spread = np.ptp(rows, axis=0).max(initial=0)
    if spread < 1e-100:
        raise ValueError(
            f"{name}: they must differ for a covariance to be estimated; the largest difference is {spread:.3g}"
        )


def _from_rows(rows: Array, n_features: int) -> Spectrum:
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"unlabelled must be rows of shape (k, {n_features}); got shape {rows.shape}")
    if len(rows) < 12:
        raise ValueError(
            f"unlabelled must hold at least 12 rows to estimate a covariance; got {len(rows)}; give more, or its "
            "eigenvalues as covariance"
        )
    _require_spread(rows, "unlabelled rows")
    values, frequencies = population_spectrum(rows)
    nodes, (roots,) = gauss_nodes(values, np.sqrt(values * frequencies)[:, None], N_NODES // 2)
    return Spectrum(nodes, roots**2)
