"""Features: ensembles of independent entries, their variances, and signals (theory 1, 6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..common import Array, called, generator, integer, number, numbers, require_memory, shown, shown_array, takes
from .covariance import covariance_root, times_root


def _sparse(rng, shape, density):
    return rng.standard_normal(shape) * (rng.random(shape) < density) / np.sqrt(density)


FEATURES: dict[str, Callable] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "rademacher": lambda rng, shape: 2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0,
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), shape),
    "laplace": lambda rng, shape: rng.laplace(0, np.sqrt(0.5), shape),
    "student_t": lambda rng, shape, df: rng.standard_t(df, shape) * np.sqrt((df - 2) / df),
    "sparse": _sparse,
}
# What the second member of a pair (name, parameter) means, and the values it may take.
_PARAMETERS = {
    "student_t": ("degrees of freedom, more than 2", lambda df: 2 < df < np.inf),
    "sparse": ("density, in (0, 1]", lambda density: 0 < density <= 1),
}


def sample_features(n_samples: int, n_features: int, *, features="gaussian", covariance=None, rng=None) -> Array:
    """Draw a feature matrix with independent entries of mean 0 and variance 1, or its product with Sigma^(1/2).

    Parameters
    ----------
    n_samples, n_features : int
    features : str, pair or callable
        ``"gaussian"``, ``"rademacher"``, ``"uniform"``, ``"laplace"``; ``("student_t", df)`` with df > 2 degrees of
        freedom; ``("sparse", density)``, a Gaussian kept with that probability and rescaled; or a callable
        ``(rng, shape) -> array``.
    covariance : None, (n_features,) or (n_features, n_features) array
        Sigma: the variance of each feature, as from `block_variances` and `power_law_variances`, or a symmetric matrix.
    rng : None, int or numpy Generator

    Returns
    -------
    (n_samples, n_features) array

    Raises
    ------
    ValueError
        For unknown features, a callable that returns something else, or a covariance that is none.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.sample_features(2, 3, features=("student_t", 10), rng=0).shape
    (2, 3)
    """
    shape = integer(n_samples, "n_samples"), integer(n_features, "n_features")
    n_bytes = 16.0 * shape[0] * shape[1]
    require_memory(n_bytes, f"a feature matrix of shape {shape}", "lower n_samples or n_features")
    root = None if covariance is None else covariance_root(covariance, shape[1])
    X = _independent(features, shape, generator(rng))
    return X if root is None else times_root(X, root)


def _independent(features, shape, rng) -> Array:
    if callable(features):
        takes(features, "features", "rng", "shape")
        returned = called(features, "the function features", rng, shape)
        X = numbers(returned)
        if X.shape != shape or not np.all(np.isfinite(X)):
            raise ValueError(
                f"the function features must return finite numbers of shape {shape}; got {shown_array(returned)}"
            )
        return X
    name, *parameters = features if isinstance(features, (tuple, list)) and features else (features,)
    if not isinstance(name, str) or name not in FEATURES:
        raise ValueError(
            f"unknown features {shown(features)}; use one of {', '.join(FEATURES)}, or a function (rng, shape)"
        )
    if name in _PARAMETERS:
        meaning, allowed = _PARAMETERS[name]
        if len(parameters) != 1 or numbers(parameters[0]).ndim or not allowed(numbers(parameters[0])):
            raise ValueError(
                f"features {name!r} come as a pair ({name!r}, parameter), the parameter being the "
                f"{meaning}; got {shown(features)}"
            )
    elif parameters:
        raise ValueError(f"features {name!r} take no parameter; got {shown(features)}")
    return FEATURES[name](rng, shape, *parameters)


def block_variances(n_features: int, blocks) -> Array:
    """Variances (n_features,) that are constant on blocks of features; `blocks` holds pairs (fraction, variance).

    Examples
    --------
    >>> import sedyn
    >>> sedyn.block_variances(5, [(0.4, 2.0), (0.6, 0.5)]).tolist()
    [2.0, 2.0, 0.5, 0.5, 0.5]
    """
    n_features, pairs = integer(n_features, "n_features"), numbers(blocks)
    fractions, variances = pairs.T if pairs.ndim == 2 and pairs.shape[1] == 2 else (np.zeros(1), np.zeros(1))
    if not (
        np.all(fractions > 0) and abs(fractions.sum() - 1) <= 1e-8 and np.all((variances >= 0) & (variances < np.inf))
    ):
        raise ValueError(
            "blocks must be pairs (fraction > 0, finite variance >= 0), the fractions adding up to 1; got "
            f"{shown(blocks)}"
        )
    require_memory(16.0 * n_features, f"{n_features} variances", "lower n_features")
    edges = np.round(np.cumsum(fractions) * n_features).astype(int)
    return np.repeat(variances, np.diff(edges, prepend=0))


def power_law_variances(n_features: int, exponent: float) -> Array:
    """Variances proportional to i^(-exponent), i = 1 .. n_features, with mean 1.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.power_law_variances(3, 1.0).round(3).tolist()
    [1.636, 0.818, 0.545]
    """
    n_features = integer(n_features, "n_features")
    exponent = number(exponent, "exponent", "be a number between -30 and 30", lambda a: -30 <= a <= 30)
    require_memory(16.0 * n_features, f"{n_features} variances", "lower n_features")
    variances = np.arange(1.0, n_features + 1) ** -exponent
    return variances / variances.mean()


def random_signal(n_features: int, *, norm: float = 1.0, rng=None) -> Array:
    """A Gaussian direction mu in R^n_features with |mu| = norm exactly.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> float(np.linalg.norm(sedyn.random_signal(50, norm=2.0, rng=0)).round(12))
    2.0
    """
    n_features = integer(n_features, "n_features")
    norm = number(norm, "norm", "be a finite number >= 0", lambda x: 0 <= x < np.inf)
    require_memory(16.0 * n_features, f"a signal of {n_features} features", "lower n_features")
    mu = generator(rng).standard_normal(n_features)
    return norm * mu / np.linalg.norm(mu)
