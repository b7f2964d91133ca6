"""Data with a known answer: signals, feature ensembles and their covariance, and labels (theory 1, 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from .checks import finite_array, generator, integer, number, numbers, shown
from .results import require_memory
from .spectrum import eigen_directions

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


def _plus_minus(positive: Array) -> Array:
    return np.where(positive, 1.0, -1.0)


# Links that make the whole label, from z, standard Gaussian xi and the noise level.
CLASSIFIERS: dict[str, Callable[[Array, Array, float], Array]] = {
    "noisy_sign": lambda z, xi, noise: _plus_minus(z + noise * xi >= 0),
    "logistic": lambda z, xi, noise: _plus_minus(special.ndtr(xi) < special.expit(z)),
}
MULTI_LINKS: dict[str, Callable[[Array], Array]] = {
    "committee": lambda Z: np.tanh(Z).sum(axis=0) / np.sqrt(len(Z)),
    "parity": lambda Z: np.prod(np.sign(Z), axis=0),
    "product": lambda Z: np.prod(Z, axis=0),
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
    "student_t": ("degrees of freedom, more than 2", lambda df: 2 < df < np.inf),
    "sparse": ("density, in (0, 1]", lambda density: 0 < density <= 1),
}


def sample_features(features, shape: tuple[int, int], rng=None, covariance=None) -> Array:
    """Draw a feature matrix with independent entries of mean 0 and variance 1, or its product with Sigma^(1/2).

    Parameters
    ----------
    features : str, pair or callable
        ``"gaussian"``, ``"rademacher"``, ``"uniform"``, ``"laplace"``; ``("student_t", df)`` with df > 2 degrees of
        freedom; ``("sparse", density)``, a Gaussian kept with that probability and rescaled; or a callable
        ``(rng, shape) -> array``.
    shape : (n_samples, n_features)
    rng : None, int or numpy Generator
    covariance : None, (n_features,) or (n_features, n_features) array
        Sigma: the variance of each feature, as from `block_variances` and `power_law_variances`, or a matrix.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.sample_features(("student_t", 10), (2, 3), rng=0).shape
    (2, 3)
    """
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ValueError(f"shape must be (n_samples, n_features); got {shown(shape)}")
    shape = integer(shape[0], "shape[0], n_samples,"), integer(shape[1], "shape[1], n_features,")
    n_bytes = 16.0 * shape[0] * shape[1]
    require_memory(n_bytes, f"a feature matrix of shape {shape}", "lower n_samples or n_features")
    rng, root = generator(rng), None
    if covariance is not None:
        variances, directions = eigen_directions(covariance, shape[1])
        root = np.sqrt(variances) if directions is None else (directions * np.sqrt(variances)) @ directions.T
    X = _independent(features, shape, rng)
    return X if root is None else X * root if root.ndim == 1 else X @ root


def _independent(features, shape, rng) -> Array:
    if callable(features):
        X = numbers(features(rng, shape))
        if X.shape != shape or not np.all(np.isfinite(X)):
            raise ValueError(
                f"the features callable must return finite numbers of shape {tuple(shape)}; got shape {X.shape}"
            )
        return X
    name, *parameters = features if isinstance(features, (tuple, list)) and features else (features,)
    if not isinstance(name, str) or name not in FEATURES:
        raise ValueError(
            f"unknown features {shown(features)}; use one of {', '.join(FEATURES)}, or a callable (rng, shape)"
        )
    if name in _PARAMETERS:
        meaning, allowed = _PARAMETERS[name]
        if len(parameters) != 1 or numbers(parameters[0]).ndim or not allowed(numbers(parameters[0])):
            raise ValueError(
                f"features {name!r} come as a pair ({name!r}, parameter), the parameter being the "
                f"{meaning}; got {features!r}"
            )
    elif parameters:
        raise ValueError(f"features {name!r} take no parameter; got {features!r}")
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
            f"blocks are pairs (fraction > 0, finite variance >= 0), the fractions adding up to 1; got {shown(blocks)}"
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


def random_signal(n_features: int, norm: float = 1.0, rng=None) -> Array:
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


class Teacher:
    """What `SingleIndex` and `MultiIndex` share; use one of them."""

    link: str | Callable
    noise: float | None
    n_indices: int
    _link: Callable
    _registered: dict[str, Callable] = {}

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of the indices z of N samples."""
        return (-1,)

    def __post_init__(self):
        links = self._registered
        if isinstance(self.link, str) and self.link not in links:
            raise ValueError(f"unknown link {shown(self.link)}; use one of {', '.join(links)}, or a callable")
        if not isinstance(self.link, str) and not callable(self.link):
            raise TypeError(f"link must be a registered name or a callable; got {shown(self.link)}")
        if self.noise is None and isinstance(self.link, str):
            raise ValueError(f"noise=None is for a callable link (z, xi); got the link {self.link!r}")
        if self.noise is not None:
            expected = "be a standard deviation, a finite number >= 0, or None"
            object.__setattr__(self, "noise", number(self.noise, "noise", expected, lambda x: 0 <= x < np.inf))
        object.__setattr__(self, "_link", links[self.link] if isinstance(self.link, str) else self.link)

    def mean_label(self, z: Array) -> Array:
        """link(z), the label without its noise, where the noise is added to it.

        Raises ValueError when a callable link returns another shape or non-finite numbers.
        """
        if self.noise is None or self.link in CLASSIFIERS:
            raise ValueError("this teacher's noise is not added to a mean label; use labels(z, xi)")
        return self._checked(self._link(np.reshape(z, self._shape)), z)

    def labels(self, z: Array, xi: Array) -> Array:
        """Labels (N,) for z = <x, mu>, (N,) or (1, N), or for a `MultiIndex` (k, N), and standard Gaussian xi (N,)."""
        z = np.reshape(z, self._shape)
        if self.noise is None:
            return self._checked(self._link(z, xi), z)
        if self.link in CLASSIFIERS:
            return self._link(z, xi, self.noise)
        return self.mean_label(z) + self.noise * xi

    def _checked(self, labels, z: Array) -> Array:
        out = numbers(labels)
        if out.shape != z.shape[-1:] or not np.all(np.isfinite(out)):
            raise ValueError(
                f"the link must map an array of shape {z.shape} to finite numbers of shape {z.shape[-1:]}; "
                f"got shape {out.shape}"
            )
        return out

    def sample(
        self, n_samples: int, signal: Array, features="gaussian", rng=None, covariance=None
    ) -> tuple[Array, Array]:
        """Draw X (n_samples, n_features) and y (n_samples,) for a signal (n_features,), or (n_features, k) of a
        `MultiIndex`; `features` and `covariance` as in `sample_features`."""
        signal = finite_array(signal, "signal")
        columns = [(self.n_indices,), ()] if self.n_indices == 1 else [(self.n_indices,)]
        if not signal.size or not signal.ndim or signal.shape[1:] not in columns:
            raise ValueError(
                f"signal must have shape (n_features,{f' {self.n_indices}' if self.n_indices > 1 else ''}); "
                f"got {signal.shape}"
            )
        n_samples, rng = integer(n_samples, "n_samples"), generator(rng)
        X = sample_features(features, (n_samples, len(signal)), rng, covariance)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (X @ signal).T
            if not np.all(np.isfinite(z)):
                raise ValueError(
                    f"signal is too large, its largest entry is {np.abs(signal).max():.3g}; lower its norm"
                )
            return X, self.labels(z, rng.standard_normal(n_samples))


@dataclass(frozen=True)
class SingleIndex(Teacher):
    """Labels ``y = link(<x, mu>) + noise * xi`` with standard Gaussian xi (theory 1).

    Parameters
    ----------
    link : str or callable
        linear, tanh, sine, relu, sign, absolute, quadratic (z^2 - 1), cubic (z^3 - 3 z), zero; or any vectorized
        function of one array. It may be discontinuous. Labels -1 and +1 come from ``"noisy_sign"``, the sign of
        ``z + noise * xi``, and ``"logistic"``, +1 with probability 1 / (1 + exp(-z)).
    noise : float or None
        Standard deviation sigma >= 0 of the label noise. None: the link is a callable ``(z, xi)`` and makes the whole
        label, for noise that depends on z.

    Examples
    --------
    >>> import sedyn
    >>> teacher = sedyn.SingleIndex(link="tanh", noise=0.1)
    >>> X, y = teacher.sample(20, sedyn.random_signal(5, rng=0), features="rademacher", rng=1)
    >>> X.shape, y.shape
    ((20, 5), (20,))
    >>> growing = sedyn.SingleIndex(lambda z, xi: z + 0.1 * abs(z) * xi, noise=None)
    """

    link: str | Callable
    noise: float | None = 0.0
    _link: Callable = field(init=False, repr=False, compare=False)
    _registered, n_indices = LINKS | CLASSIFIERS, 1

    def __reduce__(self):  # names travel between processes, the functions behind them need not
        return SingleIndex, (self.link, self.noise)


@dataclass(frozen=True)
class MultiIndex(Teacher):
    """Labels ``y = link(Z) + noise * xi`` with Z = (<x, mu_1>, .., <x, mu_k>) of shape (k, N) (theory 6).

    The signals, an (n_features, k) array, may have any Gram matrix.

    Parameters
    ----------
    link : str or callable
        committee (the sum of tanh z_j over sqrt(k)), parity (product of signs), product; or a function of an array
        (k, N) that returns (N,).
    noise : float or None
        As for `SingleIndex`; None: the link is a callable ``(Z, xi)``.
    n_indices : int
        k.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> teacher = sedyn.MultiIndex("committee", n_indices=3, noise=0.1)
    >>> X, y = teacher.sample(20, np.eye(50, 3), rng=0)
    >>> y.shape
    (20,)
    """

    link: str | Callable
    n_indices: int
    noise: float | None = 0.0
    _link: Callable = field(init=False, repr=False, compare=False)
    _registered = MULTI_LINKS

    def __post_init__(self):
        object.__setattr__(self, "n_indices", integer(self.n_indices, "n_indices"))
        super().__post_init__()

    def __reduce__(self):
        return MultiIndex, (self.link, self.n_indices, self.noise)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.n_indices, -1
