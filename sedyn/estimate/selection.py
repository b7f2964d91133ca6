"""Choosing without held-out data: the stopping time of one run, and the best of many configurations (theory 5)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from ..common import Array, Noun, counted, generator, instance, progress, shown
from ..model import METRICS, Network, Training, Weights, label_columns
from ..runs import Trajectory, validate_rows
from .assumptions import AssumptionWarning
from .augmented import augmented_gradient_descent
from .groups import group_numbers
from .spectrum import spectrum_of


class Stop(NamedTuple):
    """Stopping time of a run, by its estimated generalization error."""

    step: int
    """The step of least estimated error, out of those before training became unsteady, if it did."""
    error: float
    """The estimated mean squared error there."""
    stderr: float
    """Its standard error."""
    cautious_step: int
    """The first step whose estimate is within one standard error of the least."""
    cautious_error: float
    """The estimated error there."""


def early_stop(run: Trajectory) -> Stop:
    """The best stopping time of a run of `augmented_gradient_descent`, with the one-standard-error variant.

    The weights at `step` are ``run.stopped``. Raises ValueError when the run has no estimated error.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 1.0).sample(150, sedyn.random_signal(150, rng=0), rng=1)
    >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 60), network.init(150, rng=2), X, y)
    >>> stop = sedyn.early_stop(run)
    >>> stop.cautious_step <= stop.step < 60
    True
    """
    instance(run, Trajectory, "run")
    _, curve, errors = run.monitored
    best = run.best_step
    assert best is not None
    error, stderr = float(curve[best]), float(errors[best])
    cautious = int(np.argmax(curve <= error + stderr))
    return Stop(best, error, stderr, cautious, float(curve[cautious]))


@dataclass(frozen=True, eq=False, repr=False)
class Candidate(Noun):
    """One configuration that `tune` has trained."""

    network: Network
    training: Training
    scale: float | tuple[float, ...]
    """Of the initial weights (`Network.init`)."""
    step: int
    """The step of least estimated error."""
    error: float
    """The estimated mean squared error there, or the metric monitored; infinite when training failed from the start."""
    stderr: float
    weights: Weights | None
    """The weights at that step, trained on all rows."""
    left_out: Array | None
    """(m,) outputs at that step for rows that had not been trained on; (m, c) of c > 1 outputs."""
    status: str
    message: str


class Ranking(list):
    """Candidates, the best first; a cell shows the first ten in a line each.

    Attributes
    ----------
    error, stderr : float
        What to report for the winner: its estimated error, made larger by what choosing the least of so many makes it
        too small (`optimism`), and its standard error.
    optimism : float
    """

    def __init__(self, candidates=(), optimism: float = 0.0):
        super().__init__(candidates)
        self.optimism = optimism

    @property
    def error(self) -> float:
        return self[0].error + self.optimism

    @property
    def stderr(self) -> float:
        return float(np.hypot(self[0].stderr, self.optimism / 2))

    def __repr__(self):
        lines = [
            f"{c.error:.4g} ± {c.stderr:.1g} at t = {c.step}, {c.status}: {c.network}, {c.training}, scale {c.scale}"
            for c in self[:10]
        ]
        rest = [f".. {len(self) - 10} more"] if len(self) > 10 else []
        title = f"Ranking of {counted(len(self), 'candidate')} by estimated error"
        if self.optimism:
            title += f"; the winner's, after so much choice, {self.error:.4g} ± {self.stderr:.1g}"
        return "\n".join([title, *lines, *rest])


def tune(
    networks: Network | Iterable[Network],
    trainings: Training | Iterable[Training],
    X: Array,
    y: Array,
    *,
    scales: Sequence = (1.0,),
    covariance=None,
    unlabelled=None,
    groups=None,
    monitor: str = "squared",
    executor: Executor | None = None,
    rng=None,
) -> Ranking:
    """Train every configuration once on all the rows and rank them by estimated error at their best stopping times.

    Parameters
    ----------
    networks, trainings : one or several `Network` and `Training`
        Widths, depths, activations; step sizes, number of steps. Every combination is trained.
    X, y, covariance, unlabelled, groups
        As for `augmented_gradient_descent`.
    scales : sequence of float, or of tuples of L floats
        Scales of the initial weights, combined with the rest.
    monitor : str
        What they are ranked and stopped by: ``"squared"``, or the name of another metric (`gradient_descent`), such as
        ``"cross_entropy"`` for classes.
    executor : concurrent.futures.Executor, optional
        Where to train; by default one after another, here.
    rng : None, int or numpy Generator
        A configuration's initial weights depend on it and on the configuration's place in the grid alone.

    Returns
    -------
    Ranking
        A list of `Candidate`, sorted by `error`, with the `error` and `stderr` to report for the first; a
        configuration that diverged keeps what it reached, one that failed comes last with its message.
        When interrupted, those that are done.

    Raises
    ------
    ValueError
        When there is nothing to try, the metric is unknown, or X and y are not finite arrays of matching shapes.

    Warns
    -----
    AssumptionWarning
        Once for every assumption that the data seem to violate.

    Examples
    --------
    >>> import sedyn
    >>> X, y = sedyn.SingleIndex("tanh", 0.3).sample(200, sedyn.random_signal(100, rng=0), rng=1)
    >>> networks = [sedyn.Network((width, 1), ("tanh", "identity")) for width in (1, 3)]
    >>> table = sedyn.tune(networks, [sedyn.Training(step, 20) for step in (0.1, 0.3)], X, y, rng=2)
    >>> len(table), bool(table[0].error <= table[-1].error)
    (4, True)
    """
    networks, trainings = _several(networks, Network, "networks"), _several(trainings, Training, "trainings")
    if not isinstance(scales, (tuple, list)):
        raise TypeError(f"scales must be a tuple or list of scales of the initial weights; got {shown(scales)}")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must have a submit method, as those of concurrent.futures; got {shown(executor)}")
    if not (isinstance(monitor, str) and monitor in METRICS):
        raise ValueError(f"monitor must be one of {', '.join(METRICS)}; got {shown(monitor)}")
    grid = list(product(networks, trainings, scales))
    if not grid:
        raise ValueError("nothing to try: networks, trainings and scales need at least one entry each")
    X, y = validate_rows(X, y, n_outputs=None)
    labels = {c: label_columns(y.T, c) for c in {network.widths[-1] for network in networks}}
    group_numbers(groups, len(X))
    spectrum_of(covariance, unlabelled, X.shape[1])  # what is wrong with it is no failure of a candidate
    jobs = [
        (*point, X, y, monitor, covariance, unlabelled, groups, child)
        for point, child in zip(grid, generator(rng).spawn(len(grid)), strict=True)
    ]
    done: list[Candidate] = []
    said: set[str] = set()
    futures = [executor.submit(_try, *job) for job in jobs] if executor else []
    results = (f.result() for f in as_completed(futures)) if executor else (_try(*job) for job in jobs)
    try:
        for candidate, warned in progress(results, len(grid), "tune"):
            done.append(candidate)
            said |= set(warned)
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
        if not done:
            raise
    for text in sorted(said):
        warnings.warn(text, AssumptionWarning, stacklevel=2)
    ranked = sorted(done, key=lambda c: c.error)
    trained = [c for c in ranked if c.left_out is not None]
    score, outputs = METRICS[monitor], ((c.left_out, labels[c.network.widths[-1]]) for c in trained)
    losses = np.array([score(f.T, y) for f, y in outputs if f is not None])
    return Ranking(
        ranked, optimism(losses, np.array([c.error for c in trained]), np.array([c.stderr for c in trained]))
    )


def optimism(losses: Array, errors: Array, stderrs: Array) -> float:
    """By how much the least of C estimated errors is too small on average, for having been chosen (theory 5).

    The errors (C,) are taken as true values plus Gaussian noise with the given standard errors, correlated as the
    left-out losses (C, m) are over the rows. True values spread as far as the estimates do beyond this noise. Drawn
    anew many times, the chosen one is too small by the mean of its noise.
    """
    C = len(errors)
    if C < 2:
        return 0.0
    around = losses - losses.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", around, around))
    unit = around / np.where(size > 0, size, 1)[:, None]
    scale = np.minimum(stderrs, 1e3 * stderrs.min())
    noise = scale[:, None] * (unit @ unit.T) * scale
    by_chance = np.trace(noise) / C - noise.mean()  # variance of the noise around its mean over candidates
    shrink = np.sqrt(max(0.0, 1 - by_chance / max(float(errors.var()), 1e-300)))
    truth = errors.mean() + shrink * (errors - errors.mean())
    values, vectors = np.linalg.eigh(noise)
    draws = np.random.default_rng(0).standard_normal((4000, C)) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    chosen = np.argmin(truth + draws, axis=1)
    return max(0.0, -float(draws[np.arange(len(draws)), chosen].mean()))


def _several(given, kind: type, name: str) -> list:
    """One of its kind or several, as a list; TypeError for anything else."""
    if isinstance(given, kind):
        return [given]
    try:
        found = list(given)
        if isinstance(given, str):
            raise TypeError
    except TypeError:
        raise TypeError(f"{name} must be one or several sedyn.{kind.__name__}; got {shown(given)}") from None
    for one in found:
        instance(one, kind, f"each of {name}")
    return found


def _try(
    network, training, scale, X, y, monitor, covariance, unlabelled, groups, rng
) -> tuple[Candidate, tuple[str, ...]]:
    """Train one configuration; a failure becomes a candidate of infinite error that says why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)
            weights = network.init(X.shape[1], scale=scale, rng=rng)
            data = {"covariance": covariance, "unlabelled": unlabelled, "groups": groups}
            watched = {"monitor": monitor, "metrics": () if monitor == "squared" else (monitor,)}
            run = augmented_gradient_descent(network, training, weights, X, y, **data, **watched, rng=rng)
    except (ValueError, MemoryError) as error:
        return Candidate(network, training, scale, 0, np.inf, np.inf, None, None, "failed", str(error)), ()
    stop = early_stop(run)
    candidate = Candidate(
        network,
        training,
        scale,
        stop.step,
        stop.error,
        stop.stderr,
        run.stopped,
        run.left_out_outputs,
        run.status,
        run.message,
    )
    return candidate, run.warnings
