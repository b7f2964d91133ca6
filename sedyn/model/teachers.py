"""Teachers: labels with a known answer (theory 1, 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from ..common import (
    Array,
    Noun,
    called,
    finite_array,
    generator,
    integer,
    number,
    numbers,
    real_array,
    shown,
    shown_array,
    takes,
)
from .features import sample_features

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


def _softmax_classes(Z: Array, xi: Array, noise: float) -> Array:
    """Class j with probability softmax(Z / noise)_j."""
    if noise == 0:
        return Z.argmax(axis=0).astype(float)
    with np.errstate(over="ignore", under="ignore"):
        below = np.cumsum(special.softmax((Z - Z.max(axis=0)) / noise, axis=0), axis=0)[:-1]
    return (special.ndtr(xi) >= below).sum(axis=0).astype(float)


MULTI_CLASSIFIERS: dict[str, Callable[[Array, Array, float], Array]] = {"softmax": _softmax_classes}
MULTI_LINKS: dict[str, Callable[[Array], Array]] = {
    "committee": lambda Z: np.tanh(Z).sum(axis=0) / np.sqrt(len(Z)),
    "parity": lambda Z: np.prod(np.sign(Z), axis=0),
    "product": lambda Z: np.prod(Z, axis=0),
}


class Teacher(Noun):
    """Base of `SingleIndex` and `MultiIndex`; use one of them."""

    link: str | Callable
    noise: float | None
    n_indices: int
    _link: Callable
    _registered: dict[str, Callable] = {}

    def __init__(self, *_, **__):  # the dataclasses have their own
        raise TypeError("Teacher is the base of sedyn.SingleIndex and sedyn.MultiIndex; use one of them")

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of the indices z of N samples."""
        return (-1,)

    def __post_init__(self):
        links = self._registered
        if isinstance(self.link, str) and self.link not in links:
            raise ValueError(f"unknown link {shown(self.link)}; use one of {', '.join(links)}, or a function")
        if not isinstance(self.link, str) and not callable(self.link):
            raise TypeError(f"link must be one of {', '.join(links)}, or a function; got {shown(self.link)}")
        if self.noise is None and isinstance(self.link, str):
            raise ValueError(f"noise=None is for a link that is a function (z, xi); got the link {self.link!r}")
        if self.noise is not None:
            expected = "be a standard deviation, a finite number >= 0, or None"
            object.__setattr__(self, "noise", number(self.noise, "noise", expected, lambda x: 0 <= x < np.inf))
        if not isinstance(self.link, str):
            takes(self.link, "link", "z", *(["xi"] if self.noise is None else []))
        object.__setattr__(self, "_link", links[self.link] if isinstance(self.link, str) else self.link)

    def mean_label(self, z: Array) -> Array:
        """link(z), the label without its noise, where the noise is added to it.

        Raises ValueError when a callable link returns another shape or non-finite numbers.
        """
        if self.noise is None or self._makes_labels:
            raise ValueError("this teacher's noise is not added to a mean label; use labels(z, xi)")
        z = self._shaped(z)
        return self._checked(called(self._link, "the link", z), z)

    def labels(self, z: Array, xi: Array) -> Array:
        """Labels (N,) for z = <x, mu>, (N,) or (1, N), or for a `MultiIndex` (k, N), and standard Gaussian xi (N,).

        Of a link that returns c numbers per sample (c, N).
        """
        z, given = self._shaped(z), _plain(xi)
        if given.shape != z.shape[-1:] or not _finite(given):
            raise ValueError(f"xi must hold one finite number for each z, shape {z.shape[-1:]}; got {shown_array(xi)}")
        xi = given
        if self.noise is None:
            return self._checked(called(self._link, "the link", z, xi), z)
        if self._makes_labels:
            return self._link(z, xi, self.noise)
        return self.mean_label(z) + self.noise * xi

    @property
    def _makes_labels(self) -> bool:
        return isinstance(self.link, str) and self.link in CLASSIFIERS | MULTI_CLASSIFIERS

    def _shaped(self, z) -> Array:
        found, k = _plain(z), self.n_indices
        turned = k > 1 and found.ndim > 1 and len(found) != k  # samples in rows
        if found.size % k or turned or not _finite(found):
            shape = "(N,)" if k == 1 else f"({k}, N)"
            raise ValueError(f"z must be finite real numbers of shape {shape}; got {shown_array(z)}")
        return found.reshape(self._shape)

    def _checked(self, labels, z: Array) -> Array:
        out, N = numbers(labels), z.shape[-1]
        fits = out.shape == (N,) or (out.ndim == 2 and len(out) > 1 and out.shape[1] == N)
        if not fits or not np.all(np.isfinite(out)):
            known = real_array(labels) is not None and out.ndim and not fits
            got = f"shape {out.shape}" if known else shown_array(labels)
            raise ValueError(
                f"the link must map an array of shape {z.shape} to finite numbers of shape {(N,)}, or (c, {N}) for "
                f"c > 1 outputs; got {got}"
            )
        return out

    def sample(
        self, n_samples: int, signal: Array, *, features="gaussian", covariance=None, rng=None
    ) -> tuple[Array, Array]:
        """Draw X (n_samples, n_features) and y (n_samples,) for a signal (n_features,), or (n_features, k) of a
        `MultiIndex`; `features` and `covariance` as in `sample_features`. A link to c numbers makes y (n_samples, c).
        """
        signal = finite_array(signal, "signal")
        columns = [(self.n_indices,), ()] if self.n_indices == 1 else [(self.n_indices,)]
        if not signal.size or not signal.ndim or signal.shape[1:] not in columns:
            raise ValueError(
                f"signal must have shape (n_features,{f' {self.n_indices}' if self.n_indices > 1 else ''}) and at "
                f"least one entry; got {signal.shape}"
            )
        n_samples, rng = integer(n_samples, "n_samples"), generator(rng)
        X = sample_features(n_samples, len(signal), features=features, covariance=covariance, rng=rng)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (X @ signal).T
            if not np.all(np.isfinite(z)):
                raise ValueError(
                    f"signal and features are too large for their product: the largest entries are "
                    f"{np.abs(signal).max():.3g} and {np.abs(X).max():.3g}; lower their scale"
                )
            return X, np.ascontiguousarray(self.labels(z, rng.standard_normal(n_samples)).T)


def _plain(value) -> Array:
    """`value` as it is, as an array; as one of no number where it is masked, or where its rows differ in length."""
    try:
        return np.array(None) if np.ma.is_masked(value) else np.asarray(value)
    except (TypeError, ValueError):
        return np.array(None)


def _finite(array: Array) -> bool:
    return array.dtype.kind in "fiub" and bool(np.all(np.isfinite(array)))


@dataclass(frozen=True, eq=False, repr=False)
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


@dataclass(frozen=True, eq=False, repr=False)
class MultiIndex(Teacher):
    """Labels ``y = link(Z) + noise * xi`` with Z = (<x, mu_1>, .., <x, mu_k>) of shape (k, N) (theory 6, 11).

    The signals, an (n_features, k) array, may have any Gram matrix.

    Parameters
    ----------
    link : str or callable
        committee (the sum of tanh z_j over sqrt(k)), parity (product of signs), product; ``"softmax"``, classes
        0..k-1, of which j has the probability softmax(Z / noise)_j (the largest z_j without noise); or a function of
        an array (k, N) that returns (N,), numbers or classes, or (c, N) for a network of c outputs.
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
    >>> sedyn.MultiIndex("softmax", n_indices=3, noise=0.5).sample(6, np.eye(50, 3), rng=0)[1].astype(int).tolist()
    [2, 2, 1, 0, 1, 2]
    """

    link: str | Callable
    n_indices: int
    noise: float | None = 0.0
    _link: Callable = field(init=False, repr=False, compare=False)
    _registered = MULTI_LINKS | MULTI_CLASSIFIERS

    def __post_init__(self):
        least = 2 if isinstance(self.link, str) and self.link in MULTI_CLASSIFIERS else 1
        object.__setattr__(self, "n_indices", integer(self.n_indices, "n_indices", least))
        super().__post_init__()

    def __reduce__(self):
        return MultiIndex, (self.link, self.n_indices, self.noise)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.n_indices, -1
