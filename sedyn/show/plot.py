"""Figures: learning curves, the estimated error, kernels. Each function draws on the Axes it is given and returns it.

The style (``sedyn.mplstyle``) is applied while drawing only; `use_style` switches a whole session to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..common import Array, finite_array, instance, integer, number, place, shown, stderr
from ..runs import Simulation, Trajectory
from ..theory import Band, Evolution, Kernels

STYLE = "sedyn.show.sedyn"  # package.file, as matplotlib names styles shipped in packages
# field of a result: its name in the legend, its colour (Okabe and Ito)
QUANTITIES = {
    "train_error": ("training error", "#0072B2"),
    "generalization_error": ("generalization error", "#D55E00"),
    "estimated_error": ("estimated generalization error", "#009E73"),
}
UNDATED = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}


def use_style() -> None:
    """Use the sedyn style for all figures from here on (changes matplotlib's global settings)."""
    plt.style.use(STYLE)


@plt.style.context(STYLE)
def learning_curves(
    theory: Evolution | None = None,
    runs: Simulation | Trajectory | Sequence[Trajectory] | None = None,
    *,
    band: Band | None = None,
    quantities: Sequence[str] | str = ("train_error", "generalization_error"),
    ax: Axes | None = None,
    log: bool = False,
    max_points: int = 20,
) -> Axes:
    """Draw errors against the step: theory as lines, simulated runs as points.

    Parameters
    ----------
    theory : Evolution, optional
        Lines, with bands of two Monte Carlo standard errors where these are known.
    runs : Simulation, Trajectory or sequence of Trajectory, optional
        Points. Several runs give their mean with error bars of two standard errors, up to the last step that all
        of them reached; a single run gives points alone.
    band : Band, optional
        From ``theory.band(n_features)``: where a single run lies, shaded.
    quantities : str or sequence of str
        Out of ``"train_error"``, ``"generalization_error"``, ``"estimated_error"``; what a result does not hold
        is left out.
    ax : Axes, optional
        Where to draw; a new figure by default.
    log : bool
        Logarithmic error axis.
    max_points : int
        Simulated points are thinned to every k-th step so that about this many remain.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For an unknown quantity, when nothing is given, when only some of the runs hold a quantity, or when no
        result holds any of the quantities.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(60, sedyn.random_signal(40, rng=0), rng=1)
    >>> run = sedyn.gradient_descent(network, sedyn.Training(0.2, 10), network.init(40, rng=2), X, y)
    >>> ax = sedyn.plot.learning_curves(runs=run)
    >>> [line.get_label() for line in ax.lines]
    ['training error, simulation']
    """
    if not isinstance(runs, (Simulation, Trajectory)):
        if not isinstance(runs, (tuple, list, type(None))):
            instance(runs, Simulation, "runs", "Simulation or one or several sedyn.Trajectory")
        for run in runs or []:
            instance(run, Trajectory, "each of several runs")
    if not isinstance(runs, Simulation):
        runs = [runs] if isinstance(runs, Trajectory) else list(runs or [])
    if theory is not None:
        instance(theory, Evolution, "theory")
    max_points = integer(max_points, "max_points")
    if band is not None:
        instance(band, Band, "band")
    if theory is None and band is None and not runs:
        raise ValueError(
            "nothing to draw: give a theory (an Evolution), runs (a Simulation, one Trajectory or several), or both"
        )
    quantities = (quantities,) if isinstance(quantities, str) else quantities
    if not isinstance(quantities, (tuple, list)):
        raise TypeError(f"quantities must be some of {list(QUANTITIES)}; got {shown(quantities)}")
    unknown = [name for name in quantities if not isinstance(name, str) or name not in QUANTITIES]
    if unknown:
        raise ValueError(f"unknown quantities {unknown}; use some of {list(QUANTITIES)}")
    curves = {name: (getattr(theory, name, None), _gather(runs, name)) for name in quantities}
    shaded = [name for name in quantities if hasattr(band, name)]
    if not shaded and all(line is None and not len(points) for line, points in curves.values()):
        raise ValueError(
            f"no result holds any of the quantities {list(quantities)}; pass test rows to the run, or ask for others"
        )

    ax = _axes(ax)
    for name, (line, points) in curves.items():
        title, colour = QUANTITIES[name]
        if band is not None and name in shaded:
            lower, upper = getattr(band, name)
            label = f"{title}, {100 * band.level:.4g} % of single runs"
            ax.fill_between(np.arange(len(lower)), lower, upper, color=colour, alpha=0.15, linewidth=0, label=label)
        if theory is not None and line is not None:
            ax.plot(line, color=colour, label=f"{title}, theory")
            _band(ax, line, getattr(theory.stderr, name), colour)
        if len(points):
            _points(ax, points, colour, f"{title}, simulation", max_points)
    _label_axes(ax, log)
    return ax


@plt.style.context(STYLE)
def estimated_error(
    run: Trajectory, *, held_out: Array | None = None, ax: Axes | None = None, log: bool = False, max_points: int = 20
) -> Axes:
    """Draw a run's training error and estimated generalization error, with a band of two standard errors, and mark the
    best stopping time.

    Parameters
    ----------
    run : Trajectory
        From `sedyn.augmented_gradient_descent`.
    held_out : (T'+1,) array, optional
        Held-out error at every step, drawn as points; by default the run's own `generalization_error`, if any.
    ax : Axes, optional
        Where to draw; a new figure by default.
    log : bool
        Logarithmic error axis.
    max_points : int
        Held-out points are thinned to every k-th step so that about this many remain.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When the run has no estimated error, or `held_out` has another length.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(60, sedyn.random_signal(40, rng=0), rng=1)
    >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 10), network.init(40, rng=2), X, y)
    >>> ax = sedyn.plot.estimated_error(run)
    >>> [line.get_label() for line in ax.lines]
    ['training error', 'estimated generalization error', 'best stopping time, t = 10']
    """
    instance(run, Trajectory, "run")
    max_points = integer(max_points, "max_points")
    if run.estimated_error is None or run.best_step is None:
        raise ValueError("this run has no estimated error; train with sedyn.augmented_gradient_descent")
    held_out = run.generalization_error if held_out is None else finite_array(held_out, "held_out")
    if held_out is not None and held_out.shape != run.estimated_error.shape:
        raise ValueError(f"held_out must have shape {run.estimated_error.shape}, one per step; got {held_out.shape}")

    ax = _axes(ax)
    for name in ("train_error", "estimated_error"):
        title, colour = QUANTITIES[name]
        ax.plot(getattr(run, name), color=colour, label=title)
    if run.estimated_stderr is not None:
        _band(ax, run.estimated_error, run.estimated_stderr, QUANTITIES["estimated_error"][1])
    if held_out is not None:
        _points(ax, held_out[None], QUANTITIES["generalization_error"][1], "held-out error", max_points)
    best = run.best_step
    look: dict[str, Any] = {"color": "black", "markersize": 11, "zorder": 5, "clip_on": False}
    ax.plot([best], [run.estimated_error[best]], "*", label=f"best stopping time, t = {best}", **look)
    _label_axes(ax, log)
    return ax


@plt.style.context(STYLE)
def feature_tests(
    run: Trajectory, *, signal: Array | None = None, names: Sequence[str] | None = None, ax=None, most: int = 20
):
    """Draw a run's tests of features: sorted p-values against the uniform law, and effects with 95 % bars.

    Parameters
    ----------
    run : Trajectory
        From ``sedyn.augmented_gradient_descent(.., feature_tests=True)``.
    signal : (n_features,) array, optional
        Where it is known: the p-values of features on which the labels do not depend are drawn alone, too, and effects
        of the others are filled.
    names : sequence of str, optional
        Of the features; by default their numbers, from 0.
    ax : two Axes, optional
        Where to draw; a new figure by default.
    most : int
        Effects to show, those of the smallest p-values.

    Returns
    -------
    array of two Axes

    Raises
    ------
    ValueError, TypeError
        When the run has no tests, for a signal or names of another length, or anything but two Axes.

    Examples
    --------
    >>> import sedyn
    >>> network, signal = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.random_signal(40, rng=0)
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(100, signal, rng=1)
    >>> training, weights = sedyn.Training(0.2, 10), network.init(40, rng=2)
    >>> run = sedyn.augmented_gradient_descent(network, training, weights, X, y, feature_tests=True)
    >>> [line.get_label() for line in sedyn.plot.feature_tests(run)[0].lines]
    ['40 features', 'none of them matters']
    """
    instance(run, Trajectory, "run")
    most = integer(most, "most")
    if run.feature_pvalues is None or run.feature_effects is None or run.feature_effects_stderr is None:
        raise ValueError("this run has no tests of features; train with augmented_gradient_descent(feature_tests=True)")
    p, n = run.feature_pvalues, len(run.feature_pvalues)
    matters = None if signal is None else finite_array(signal, "signal") != 0
    for given, what in ((matters, "signal"), (names, "names")):
        if given is not None and np.shape(given) != (n,):
            raise ValueError(f"{what} must hold one entry per feature, shape ({n},); got shape {np.shape(given)}")
    if ax is None:
        ax = plt.subplots(1, 2, figsize=(10, 3.8))[1]
    pair = np.ravel(np.asarray(ax, dtype=object))
    if len(pair) != 2:
        raise TypeError(f"ax must be two matplotlib Axes, such as those of plt.subplots(1, 2); got {shown(ax)}")
    left, right = (_axes(one) for one in pair)
    curves = [(p, f"{n} features", "#0072B2")]
    if matters is not None and not matters.all():
        curves.append((p[~matters], f"the {np.sum(~matters)} without effect", "#D55E00"))
    for values, label, colour in curves:
        left.plot((np.arange(len(values)) + 0.5) / len(values), np.sort(values), ".", color=colour, label=label)
    left.plot([0, 1], [0, 1], color="grey", lw=1, label="none of them matters")
    left.set(xlabel="rank / number of features", ylabel="p-value", xlim=(0, 1), ylim=(0, 1))
    left.legend()
    shown_first = np.argsort(p, kind="stable")[:most][::-1]
    rows = np.arange(len(shown_first))
    bars = 1.96 * run.feature_effects_stderr[shown_first]
    look: dict[str, Any] = {"fmt": "o", "color": "#009E73", "markerfacecolor": "white"}
    right.errorbar(run.feature_effects[shown_first], rows, xerr=bars, **look)
    if matters is not None:
        true = matters[shown_first]
        right.plot(
            run.feature_effects[shown_first][true], rows[true], "o", color="#009E73", zorder=4, label="in the signal"
        )
        right.legend()
    right.axvline(0, color="grey", lw=1)
    titles = [str(k) for k in shown_first] if names is None else [str(names[k]) for k in shown_first]
    right.set_yticks(rows, titles, fontsize=8, parse_math=False)
    right.set(xlabel="effect, in units of the noise of one row", ylabel="feature")
    return pair


@plt.style.context(STYLE)
def predictions(y: Array, interval: Array, *, ax: Axes | None = None, max_points: int = 200) -> Axes:
    """Draw prediction intervals against the true labels: bars that miss the diagonal have failed.

    Parameters
    ----------
    y : (rows,) array
        True labels of new rows.
    interval : (rows, 2) array
        Ends of their intervals (`Trajectory.prediction_interval`).
    ax : Axes, optional
        Where to draw; a new figure by default.
    max_points : int
        Bars are thinned so that at most so many remain; the legend counts all.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For intervals that do not fit the labels, or are infinite.

    Examples
    --------
    >>> import sedyn
    >>> ax = sedyn.plot.predictions([0.0, 1.0, 2.0], [[-1, 1], [0, 1.5], [2.5, 3]])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['holds the label: 2 of 3', 'misses it: 1', 'label = prediction']
    """
    y, interval = finite_array(y, "y"), finite_array(interval, "interval")
    max_points = integer(max_points, "max_points")
    if y.ndim != 1 or interval.shape != (len(y), 2) or not len(y):
        raise ValueError(f"y (rows,) and interval (rows, 2) must fit each other; got {y.shape} and {interval.shape}")
    ax = _axes(ax)
    low, high = interval.T
    holds = (low <= y) & (y <= high)
    chosen = np.zeros(len(y), bool)
    chosen[np.random.default_rng(0).permutation(len(y))[:max_points]] = True
    labels = (f"holds the label: {holds.sum()} of {len(y)}", f"misses it: {np.sum(~holds)}")
    for part, colour, label in zip((holds, ~holds), ("#0072B2", "#D55E00"), labels, strict=True):
        part = part & chosen
        ax.vlines(y[part], low[part], high[part], color=colour, lw=1.2, alpha=0.7, label=label)
    ends = [y.min(), y.max()]
    ax.plot(ends, ends, color="grey", lw=1, label="label = prediction")
    ax.set(xlabel="true label", ylabel="predicted interval")
    ax.legend()
    return ax


@plt.style.context(STYLE)
def kernel_heatmap(
    kernel: Array,
    entry: tuple[int, int] = (0, 0),
    *,
    ax: Axes | None = None,
    label: str | None = None,
    limit: float | None = None,
    mask_zeros: bool = False,
) -> Axes:
    """Draw one entry of a two-time kernel as an image, colours centred at 0.

    Parameters
    ----------
    kernel : (T, T', q, q) array
        ``theory.kernels.C``, ``.fluctuation``, ``.R`` or ``.rho``: the first time runs down, the second across.
    entry : (int, int)
        Which of the q x q entries.
    ax : Axes, optional
        Where to draw; a new figure by default.
    label : str, optional
        Name beside the colour bar.
    limit : float, optional
        The colours run over [-limit, limit]; by default up to the largest value. Lower it to see what a large
        diagonal hides.
    mask_zeros : bool
        Leave exact zeros blank, which shows the causal triangle of R and rho.

    Returns
    -------
    Axes
        The image is ``ax.images[-1]``.

    Raises
    ------
    ValueError
        When the kernel is not (T, T', q, q), the entry lies outside it, or `limit` is not positive.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> ax = sedyn.plot.kernel_heatmap(np.tri(5)[:, :, None, None], mask_zeros=True, label="R")
    >>> int(ax.images[-1].get_array().count())  # the lower triangle
    15
    """
    if isinstance(kernel, Kernels):
        raise TypeError("kernel must be one of them, such as theory.kernels.C; got all of theory.kernels")
    kernel = finite_array(kernel, "kernel")
    if kernel.ndim != 4:
        raise ValueError(f"kernel must have shape (T, T', q, q), like C, fluctuation, R and rho; got {kernel.shape}")
    if not isinstance(entry, (tuple, list)) or len(entry) != 2:
        raise ValueError(f"entry must be a pair (row, column); got {shown(entry)}")
    first, second = (integer(i, "each part of entry", -(2**31), "an integer") for i in entry)
    entry = first, second
    if not all(-size <= i < size for i, size in zip(entry, kernel.shape[2:], strict=True)):
        raise ValueError(
            f"entry {entry!r} lies outside the {kernel.shape[2]} x {kernel.shape[3]} entries of the kernel"
        )
    if limit is not None:
        limit = number(limit, "limit", "be a positive number below 1e300", lambda x: 0 < x < 1e300)
    image = kernel[:, :, entry[0], entry[1]]
    largest = float(np.abs(image).max(initial=0.0))
    limit = limit or largest or 1.0
    if mask_zeros:
        image = np.ma.masked_equal(image, 0.0)

    ax = _axes(ax)
    drawn = ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, label=label, extend="both" if largest > limit else "neither")
    ax.grid(False)
    ax.set(xlabel="step s", ylabel="step t")
    return ax


@plt.style.context(STYLE)
def save(fig: Figure, stem: str | Path) -> tuple[Path, ...]:
    """Write `fig` as ``stem.png`` and ``stem.svg``, without dates, so that the same figure gives the same files.

    A `stem` that ends in .png or .svg means the same; one that ends in another format of matplotlib, such as .pdf or
    .jpg, is the one file to write. Returns the paths; the folder is made when it does not exist.

    Examples
    --------
    >>> import tempfile, matplotlib.pyplot as plt, sedyn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in sedyn.plot.save(plt.figure(), folder + "/empty")]
    ['empty.png', 'empty.svg']
    """
    if not isinstance(fig, Figure):
        raise TypeError(f"fig must be a matplotlib Figure, such as ax.figure; got {shown(fig)}")
    path = place(stem, "stem")
    ending = path.suffix[1:].lower()
    if ending in ("png", "svg"):
        path = path.with_suffix("")
    elif ending in fig.canvas.get_supported_filetypes():
        return (_write(fig, path),)
    return _write(fig, Path(f"{path}.png")), _write(fig, Path(f"{path}.svg"))


def _write(fig: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, metadata=UNDATED.get(path.suffix[1:].lower()))
    return path


def _axes(ax) -> Axes:
    """The Axes to draw on; those of a new figure for None."""
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib Axes, such as the second result of plt.subplots(); got {shown(ax)}")
    return plt.subplots()[1] if ax is None else ax


def _gather(runs: Simulation | list[Trajectory], name: str) -> Array:
    """The field `name` of every run, (n_runs, steps that all reached); empty when no run holds it."""
    if isinstance(runs, Simulation):
        return getattr(runs, name, np.empty((0, 0)))
    values = [getattr(run, name) for run in runs]
    missing = sum(value is None for value in values)
    if missing == len(values):
        return np.empty((0, 0))
    if missing:
        raise ValueError(
            f"there is no {name} in {missing} of {len(values)} runs; draw those apart, or leave it out of quantities"
        )
    reached = min(len(value) for value in values)
    return np.array([value[:reached] for value in values])


def _band(ax: Axes, line: Array, stderr: Array, colour: str) -> None:
    """A band of two standard errors, where they are numbers."""
    if np.any(np.isfinite(stderr)):
        ax.fill_between(
            np.arange(len(line)), line - 2 * stderr, line + 2 * stderr, color=colour, alpha=0.25, linewidth=0
        )


def _points(ax: Axes, values: Array, colour: str, label: str, max_points: int) -> None:
    """Mean over runs (axis 0) at every k-th step, with error bars of two standard errors from two runs on."""
    n_runs, length = values.shape
    steps = np.arange(0, length, max(1, -(-(length - 1) // max_points)))
    mean = values.mean(axis=0)[steps]
    look: dict[str, Any] = {
        "color": colour,
        "markerfacecolor": "white",
        "markeredgewidth": 1.2,
        "zorder": 3,
        "label": label,
    }
    if n_runs == 1:
        ax.plot(steps, mean, "o", **look)
    else:
        bars = 2 * stderr(values)[steps]
        ax.errorbar(steps, mean, bars, fmt="o", elinewidth=1.2, **look)


def _label_axes(ax: Axes, log: bool) -> None:
    ax.set(xlabel="step t", ylabel="mean squared error")
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.legend()
