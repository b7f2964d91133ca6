"""Base of nouns and results: reprs, comparison, saving to one .npz without pickle; z-scores, the test of agreement."""

from __future__ import annotations

import dataclasses
import json
import zlib
from html import escape
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from scipy import linalg, optimize, special

from .checks import Array, finite_array, place, real_array, shown, shown_array


class Noun:
    """Base of sedyn's frozen dataclasses: a short repr, a table in Jupyter, and a comparison that never raises."""

    def _summary(self) -> dict[str, str]:
        """Names and values that a cell shows, at most a dozen; by default the fields that are not at their defaults."""
        fields = [f for f in dataclasses.fields(self) if f.init and f.repr]  # type: ignore[arg-type]
        values = {f.name: getattr(self, f.name) for f in fields}
        return {f.name: brief(values[f.name]) for f in fields if not same(values[f.name], f.default)}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={text}' for name, text in self._summary().items())})"

    def _repr_html_(self):
        cells = ((escape(name), escape(text)) for name, text in self._summary().items())
        rows = "".join(f"<tr><th style='text-align: left'>{name}</th><td>{text}</td></tr>" for name, text in cells)
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"

    def __eq__(self, other):
        return type(self) is type(other) and all(
            same(getattr(self, f.name), getattr(other, f.name))
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if f.compare
        )

    __array_ufunc__ = None  # an array on the left leaves the comparison to us

    def __hash__(self):  # arrays have no hash, and equal objects need equal ones
        return hash(type(self).__name__)


def brief(value) -> str:
    """A value in a few words: arrays by their shape, functions by their name."""
    if hasattr(value, "columns"):  # pandas
        return f"table {value.shape}"
    if isinstance(value, np.ndarray):
        return f"{value:.4g}" if value.ndim == 0 else f"array {value.shape}"
    if isinstance(value, (tuple, list)):
        some = [*map(brief, value[:8]), *([f".. {len(value)} in all"] if len(value) > 8 else [])]
        return f"({', '.join(some)}{',' * (len(value) == 1)})"
    if isinstance(value, np.generic):
        return shown(value.item())
    if callable(value) and not isinstance(value, Noun):
        return getattr(value, "__name__", type(value).__name__)
    return shown(value)


def same(one, other) -> bool:
    """Whether two values are equal, arrays entry by entry and NaN to NaN."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        return one.shape == other.shape and bool(np.all((one == other) | ((one != one) & (other != other))))
    if hasattr(one, "equals") or hasattr(other, "equals"):  # pandas
        return type(one) is type(other) and bool(one.equals(other))
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def first_and_last(curve: np.ndarray, stderr: np.ndarray | None = None) -> str:
    """The ends of a curve over the steps, the last one with its standard error."""
    if not len(curve):
        return "no step"
    error = "" if stderr is None or not np.isfinite(stderr[-1]) else f" ± {stderr[-1]:.1g}"
    return f"{curve[0]:.4g} at t = 0, {curve[-1]:.4g}{error} at t = {len(curve) - 1}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result(Noun):
    """Base of the frozen result types: arrays, tuples of arrays, numbers, text, None, and nested results."""

    def __repr__(self):
        rows = self._summary()
        width = max(map(len, rows), default=0)
        return "\n".join([type(self).__name__, *(f"  {name:{width}}  {text}" for name, text in rows.items())])

    def _status(self) -> dict[str, str]:
        """The row of a run or a solution that says what happened."""
        status, message = getattr(self, "status"), getattr(self, "message")  # noqa: B009, fields of subclasses
        return {"status": f"{status}: {message}" if message else status}

    def save(self, path) -> Path:
        """Write every field to one .npz file (no pickle) and return its path; `load` reads it back."""
        path = place(path, "path").with_suffix(".npz")
        arrays: dict[str, np.ndarray] = {}
        layout = _flatten(self, "", arrays)
        np.savez_compressed(path, **(arrays | {"_layout": np.array(json.dumps(layout))}))  # type: ignore[arg-type]
        return path

    @classmethod
    def load(cls, path):
        """Read a result written by `save`. Raises ValueError when the file holds a result of another type."""
        path = place(path, "path")
        try:
            with np.load(path, allow_pickle=False) as file:
                layout = json.loads(str(file["_layout"])) if "_layout" in file else {}
                parts = {key: file[key] for key in file if layout}
        except (ValueError, TypeError, EOFError, BadZipFile, zlib.error):
            raise ValueError(
                f"{path} is damaged, or no file that a result's save wrote; compute the result again and save it"
            ) from None
        if not issubclass(_subclasses(Result).get(layout.get("type"), object), cls):
            raise ValueError(f"{path} holds {layout.get('type', 'no sedyn result')}; expected {cls.__name__}")
        return _unflatten(layout, parts)


def _flatten(value, key, arrays):
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value) if not f.name.startswith("_")]
        return {
            "type": type(value).__name__,
            "fields": {name: _flatten(getattr(value, name), f"{key}/{name}", arrays) for name in fields},
        }
    if isinstance(value, tuple):
        return {"type": "tuple", "items": [_flatten(v, f"{key}/{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"type": "array", "key": key}
    return {"type": "plain", "value": value}


def _subclasses(cls):
    return {c.__name__: c for sub in cls.__subclasses__() for c in (sub, *_subclasses(sub).values())}


def _unflatten(layout, file):
    kind = layout["type"]
    if kind == "array":
        return file[layout["key"]]
    if kind == "tuple":
        return tuple(_unflatten(item, file) for item in layout["items"])
    if kind == "plain":
        return layout["value"]
    return _subclasses(Noun)[kind](**{name: _unflatten(part, file) for name, part in layout["fields"].items()})


def _measured(samples, predicted, stderr) -> tuple[Array, Array, Array]:
    """The arguments of `z_scores` and `agreement_test`, checked; a standard error of NaN is 0."""
    samples, predicted = finite_array(samples, "samples"), finite_array(predicted, "predicted")
    if len(np.atleast_1d(samples)) < 2:
        raise ValueError(f"samples: at least two runs are needed to know their spread; got shape {samples.shape}")
    error = real_array(stderr)
    if error is None or np.any(error < 0) or np.any(np.isinf(error)):
        raise ValueError(
            f"stderr must hold finite real numbers >= 0, or NaN where there is none; got {shown_array(stderr)}"
        )
    if samples.size and max(np.abs(samples).max(), np.abs(predicted).max(initial=0)) > 1e150:
        raise ValueError("samples and predicted must not exceed 1e150 in size: their squares overflow; rescale them")
    try:
        np.broadcast_shapes(samples.shape[1:], predicted.shape, error.shape)
    except ValueError:
        raise ValueError(
            f"samples (n_runs, ...), predicted (...) and stderr (...) must fit each other; got shapes {samples.shape}, "
            f"{predicted.shape} and {error.shape}"
        ) from None
    return samples, predicted, np.where(np.isnan(error), 0, error)


def z_scores(samples, predicted, stderr=0.0):
    """(mean over runs - prediction) / standard error of the difference, entry by entry.

    Parameters
    ----------
    samples : (n_runs, ...) array
        One measured curve, matrix or kernel per independent run, at least two.
    predicted : (...) array
        What the theory says.
    stderr : (...) array
        The theory's own standard error; NaN counts as 0.

    Returns
    -------
    (...) array
        Exactly 0 where neither side varies and both agree to rounding. Entries of one curve share their runs: they
        move together, and their root mean square fluctuates more than that of independent numbers.

    Examples
    --------
    >>> import sedyn
    >>> sedyn.z_scores([[1.0, 5.0], [3.0, 5.0]], [1.0, 5.0]).tolist()
    [1.0, 0.0]
    """
    samples, predicted, error = _measured(samples, predicted, stderr)
    difference = samples.mean(axis=0) - predicted
    error = np.hypot(samples.std(axis=0, ddof=1) / np.sqrt(len(samples)), error)
    rounding = 1e-10 * (1 + np.abs(predicted))
    agrees = (error < rounding) & (np.abs(difference) < 1e3 * rounding)
    return np.where(agrees, 0.0, difference / np.maximum(error, rounding))


class AgreementTest(NamedTuple):
    """Result of `agreement_test`.

    Attributes
    ----------
    p_value : float
        Probability of a statistic this large or larger when theory and runs agree.
    statistic : float
        Hotelling's T^2: the chi-square of the values compared, with their covariance over the runs, and the least over
        the correlations of the theory's errors.
    n_values : int
        How many values were compared.
    n_runs : int
        Of how many runs.
    """

    p_value: float
    statistic: float
    n_values: int
    n_runs: int


def agreement_test(samples, predicted, stderr=0.0) -> AgreementTest:
    """Test that runs have the mean that the theory predicts, all values of a curve together.

    z-scores of one curve move together, so that their largest and their mean square have no known law. This is
    Hotelling's test: the squared distance of mean and prediction in units of the covariance over independent runs,

        T^2 = d^T (S / R + D C D)^(-1) d,

    for k values and R runs, D = diag(stderr). The correlations C of the theory's errors are not known: T^2 is the least
    over all correlation matrices. Without stderr (R - k) / (k (R - 1)) T^2 has the law F(k, R - k), with it T^2 is
    smaller. A covariance of k values needs many more runs than k: of longer curves (R - 1) // 3
    values are compared, evenly spaced.

    Parameters
    ----------
    samples : (n_runs, ...) array
        One measured curve, matrix or kernel per independent run, at least four.
    predicted : (...) array
        What the theory says.
    stderr : (...) array
        The theory's own standard error; NaN, that of a single randomization, counts as 0: the prediction as exact.

    Returns
    -------
    AgreementTest
        The null hypothesis is that the mean over runs is the prediction, up to its standard error. Values that do not
        vary and agree to rounding are left out; when none is left, the p-value is 1. For Gaussian runs and stderr 0
        p-values are uniform; skewed values and few runs make small ones somewhat too frequent. With a known stderr of
        Gaussian errors that are independent of the runs, p-values are not too small, whatever the correlations of
        these errors. They lean to 1, and true differences are missed, unless stderr is small beside the error of the
        runs' mean in every combination of the values; neighbouring steps of a curve have combinations that hardly vary,
        so compare steps far apart. A stderr from few randomizations is itself uncertain: where it exceeds the error of
        the runs' mean, values below 0.001 come 3 (of 8 randomizations) to 12 times (of 2) too often. Below a third of
        that error it does no such harm.

    Raises
    ------
    ValueError
        For fewer than four runs, and as `z_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> import sedyn
    >>> curves = np.random.default_rng(0).standard_normal((30, 10)).cumsum(axis=1)
    >>> [sedyn.agreement_test(curves, np.full(10, mean)).p_value > 0.01 for mean in (0.0, 1.0)]
    [True, False]
    """
    samples, predicted, error = _measured(samples, predicted, stderr)
    n_runs = len(samples)
    if n_runs < 4:
        raise ValueError(f"samples: a test with the covariance over runs needs at least four of them; got {n_runs}")
    shape = np.broadcast_shapes(samples.shape[1:], predicted.shape, error.shape)
    samples = np.broadcast_to(samples, (n_runs, *shape)).reshape(n_runs, -1)
    predicted, error = (np.broadcast_to(part, shape).ravel() for part in (predicted, error))
    spread = np.hypot(samples.std(axis=0, ddof=1) / np.sqrt(n_runs), error)
    difference = samples.mean(axis=0) - predicted
    rounding = 1e-10 * (1 + np.abs(predicted))
    compared = np.flatnonzero((spread >= rounding) | (np.abs(difference) >= 1e3 * rounding))
    k = min(len(compared), (n_runs - 1) // 3)
    if not k:
        return AgreementTest(1.0, 0.0, 0, n_runs)
    # from the far end on: the last step is always compared
    compared = compared[len(compared) - 1 - np.arange(k) * len(compared) // k]
    scale = np.maximum(spread, rounding)[compared]
    d = np.clip(difference[compared] / scale, -1e100, 1e100)  # its square must not overflow
    cov = np.cov((samples - samples[0])[:, compared] / scale, rowvar=False).reshape(k, k) / n_runs
    cov[np.diag_indices(k)] += 1e-12
    statistic = _least_distance(d, cov, error[compared] / scale)
    return AgreementTest(
        float(special.fdtrc(k, n_runs - k, (n_runs - k) / (k * (n_runs - 1)) * statistic)), statistic, k, n_runs
    )


def _least_distance(d: Array, cov: Array, error: Array) -> float:
    """The least d^T (cov + D C D)^(-1) d over all correlation matrices C, D = diag(error).

    As x^T D C D x is at most (error^T |x|)^2, it is the largest 2 d^T x - x^T cov x - (error^T |x|)^2 over x: with
    x = u - v, u and v at least 0, and cov = L L^T, nonnegative least squares.
    """
    root = np.linalg.cholesky(cov)
    target = linalg.solve_triangular(root, d, lower=True)
    design = np.vstack([np.hstack([root.T, -root.T]), np.hstack([error, error])])
    found = optimize.nnls(design, np.append(target, 0.0))[0]
    u, v = np.split(found, 2)
    # of any x this is a lower bound: what the solver leaves undone makes no p-value too small
    return max(0.0, float(2 * d @ (u - v) - np.sum((design @ found) ** 2)))


def stderr(samples: Array) -> Array:
    """Standard error of the mean over axis 0, of which 1.96 cover 95 %: that of few samples is widened as Student's t
    asks for. NaN for a single sample."""
    n = len(samples)
    if n < 2:
        return np.full(samples.shape[1:], np.nan)
    return samples.std(axis=0, ddof=1) / np.sqrt(n) * (special.stdtrit(n - 1, 0.975) / special.ndtri(0.975))
