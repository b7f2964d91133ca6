"""Data with a known answer: signals, links, feature ensembles, and single-index labels (theory 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

Array = np.ndarray

LINKS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "sine": np.sin,
    "relu": lambda z: np.maximum(z, 0),
    "sign": np.sign,
    "absolute": np.abs,
    "quadratic": lambda z: z**2 - 1,
    "cubic": lambda z: z**3 - 3 * z,
    "zero": np.zeros_like,
}


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
    "student_t": ("degrees of freedom, more than 2", lambda df: df > 2),
    "sparse": ("density, in (0, 1]", lambda density: 0 < density <= 1),
}


def sample_features(features, shape: tuple[int, int], rng=None) -> Array:
    """Draw a feature matrix with independent entries of mean 0 and variance 1.

    Parameters
    ----------
    features : str, pair or callable
        ``"gaussian"``, ``"rademacher"``, ``"uniform"``, ``"laplace"``; ``("student_t", df)`` with df > 2 degrees of
        freedom; ``("sparse", density)``, a Gaussian kept with that probability and rescaled; or a callable
        ``(rng, shape) -> array``.
    shape : (n_samples, n_features)
    rng : None, int or numpy Generator

    Examples
    --------
    >>> import sedyn
    >>> sedyn.sample_features(("student_t", 10), (2, 3), rng=0).shape
    (2, 3)
    """
    rng = np.random.default_rng(rng)
    if callable(features):
        X = np.asarray(features(rng, shape))
        if X.shape != tuple(shape) or not np.all(np.isfinite(X)):
            raise ValueError(
                f"the features callable must return finite numbers of shape {tuple(shape)}; got shape {X.shape}"
            )
        return X
    name, *parameters = (features,) if isinstance(features, str) else tuple(features)
    if name not in FEATURES:
        raise ValueError(f"unknown features {features!r}; use one of {', '.join(FEATURES)}, or a callable (rng, shape)")
    if name in _PARAMETERS:
        meaning, allowed = _PARAMETERS[name]
        if len(parameters) != 1 or not allowed(parameters[0]):
            raise ValueError(
                f"features {name!r} come as a pair ({name!r}, parameter), the parameter being the "
                f"{meaning}; got {features!r}"
            )
    elif parameters:
        raise ValueError(f"features {name!r} take no parameter; got {features!r}")
    return FEATURES[name](rng, shape, *parameters)


def random_signal(n_features: int, norm: float = 1.0, rng=None) -> Array:
    """A Gaussian direction mu in R^n_features with |mu| = norm exactly.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> float(np.linalg.norm(sedyn.random_signal(50, norm=2.0, rng=0)).round(12))
    2.0
    """
    if int(n_features) != n_features or n_features < 1:
        raise ValueError(f"n_features must be a positive integer; got {n_features!r}")
    if not (np.isfinite(norm) and norm >= 0):
        raise ValueError(f"norm must be a finite number >= 0; got {norm!r}")
    mu = np.random.default_rng(rng).standard_normal(int(n_features))
    return norm * mu / np.linalg.norm(mu)


@dataclass(frozen=True)
class SingleIndex:
    """Labels ``y = link(<x, mu>) + noise * xi`` with standard Gaussian xi (theory 1).

    Parameters
    ----------
    link : str or callable
        linear, tanh, sine, relu, sign, absolute, quadratic (z^2 - 1), cubic (z^3 - 3 z), zero; or any vectorized
        function of one array. It may be discontinuous.
    noise : float
        Standard deviation sigma >= 0 of the label noise.

    Examples
    --------
    >>> import sedyn
    >>> teacher = sedyn.SingleIndex(link="tanh", noise=0.1)
    >>> X, y = teacher.sample(20, sedyn.random_signal(5, rng=0), features="rademacher", rng=1)
    >>> X.shape, y.shape
    ((20, 5), (20,))
    """

    link: str | Callable[[Array], Array]
    noise: float = 0.0
    _link: Callable[[Array], Array] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if isinstance(self.link, str) and self.link not in LINKS:
            raise ValueError(f"unknown link {self.link!r}; use one of {', '.join(LINKS)}, or a callable")
        if not isinstance(self.link, str) and not callable(self.link):
            raise TypeError(f"link must be a registered name or a callable; got {self.link!r}")
        if not (isinstance(self.noise, Real) and np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"noise is a standard deviation: a finite number >= 0; got {self.noise!r}")
        object.__setattr__(self, "_link", LINKS[self.link] if isinstance(self.link, str) else self.link)

    def __reduce__(self):  # names travel between processes, the functions behind them need not
        return SingleIndex, (self.link, self.noise)

    def mean_label(self, z: Array) -> Array:
        """link(z), elementwise. Raises ValueError when a callable link returns another shape or non-finite numbers."""
        out = np.asarray(self._link(z), float)
        if out.shape != z.shape or not np.all(np.isfinite(out)):
            raise ValueError(
                f"the link must map an array of shape {z.shape} to finite numbers of the same shape; "
                f"got shape {out.shape}"
            )
        return out

    def labels(self, z: Array, xi: Array) -> Array:
        """link(z) + noise * xi."""
        return self.mean_label(z) + self.noise * xi

    def sample(self, n_samples: int, signal: Array, features="gaussian", rng=None) -> tuple[Array, Array]:
        """Draw X (n_samples, n_features) and y (n_samples,); `features` as in `sample_features`."""
        signal = np.asarray(signal, float)
        if signal.ndim != 1 or not np.all(np.isfinite(signal)):
            raise ValueError(f"signal must be a finite vector (n_features,); got shape {signal.shape}")
        if int(n_samples) != n_samples or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}")
        rng = np.random.default_rng(rng)
        X = sample_features(features, (int(n_samples), signal.size), rng)
        return X, self.labels(X @ signal, rng.standard_normal(int(n_samples)))
