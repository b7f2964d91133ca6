"""Many training runs from one start, on data drawn afresh for each, with their exact errors on fresh rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common import (
    Array,
    Result,
    available_cores,
    brief,
    counted,
    finite_array,
    first_and_last,
    generator,
    in_threads,
    instance,
    integer,
    one_blas_thread,
    require_memory,
    stderr,
)
from ..model import (
    Metrics,
    Network,
    Overlaps,
    Small,
    Teacher,
    Training,
    Weights,
    chosen_steps,
    covariance_root,
    label_columns,
    overlaps_and_errors,
    require_paths,
    sample_features,
    times_root,
    validate_problem,
)
from .descent import descend, validate_run
from .trajectory import Recorder


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(Result):
    """R independent training runs from one start. T' <= T is the last step that all of them reached.

    Attributes
    ----------
    train_error, generalization_error : (R, T'+1)
        Mean squared errors of every run; the second one an integral over fresh Gaussian features.
    deep_weights : tuple of (R, T'+1, fan_in, fan_out)
        W_2, .., W_L at every step.
    biases : tuple of (R, T'+1, width)
        b_1, .., b_L at every step, of a network that has them.
    C : (R, T'+1, T'+1, q, q)
        Overlaps ``C[r, t, s] = W_1^(t)T W_1^(s)`` of every run (W_1^T Sigma W_1 for features of covariance Sigma).
    c : (R, T'+1, q)
        Overlaps W_1^(t)T mu (W_1^T Sigma mu); (R, T'+1, q, k) for k > 1 signals.
    metrics : tuple of str
        Names of the further error metrics asked for.
    train_metrics, generalization_metrics : (R, T'+1, number of metrics) or None
        Their values.
    first_weights : (R, len(first_weights_at), n_features, q) or None
        W_1 at the chosen steps.
    first_weights_at : tuple of int
    n_samples, n_features : int
    status : str
        ``"ok"``, ``"diverged"``, ``"interrupted"`` or ``"inaccurate"``.
    message : str
        What happened and what to do, empty when all went well.
    """

    train_error: Array
    generalization_error: Array
    deep_weights: tuple[Array, ...]
    C: Array
    c: Array
    n_samples: int
    n_features: int
    biases: tuple[Array, ...] = ()
    metrics: tuple[str, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None
    first_weights: Array | None = None
    first_weights_at: tuple[int, ...] = ()
    status: str = "ok"
    message: str = ""

    def _summary(self):
        n_runs = len(self.train_error)
        sizes = f"{counted(self.n_samples, 'sample')} of {counted(self.n_features, 'feature')}"
        rows = {"runs": f"{n_runs}, each on {sizes}"}
        for name in ("train_error", "generalization_error"):
            values = getattr(self, name)
            rows[name] = "mean " + first_and_last(values.mean(axis=0), stderr(values) if n_runs > 1 else None)
        rows |= {"metrics": brief(self.metrics)} if self.metrics else {}
        return (
            rows
            | {
                "deep_weights": brief(self.deep_weights),
                "C, c": f"{brief(self.C)}, {brief(self.c)}",
            }
            | self._status()
        )


@one_blas_thread
def simulate(
    network: Network,
    training: Training,
    teacher: Teacher,
    weights: Weights,
    signal: Array,
    n_samples: int,
    n_runs: int,
    *,
    features="gaussian",
    covariance=None,
    metrics=(),
    first_weights_at=(),
    n_paths: int = 2**12,
    dtype=np.float64,
    rng=None,
) -> Simulation:
    """Train from one start on n_runs independent data sets, on all cores.

    Parameters
    ----------
    network, training, teacher, weights
        What to train, how, on which labels, and from where.
    signal : (n_features,) or (n_features, k) array
    n_samples : int
        m, rows of each data set.
    n_runs : int
        R.
    features, covariance
        Of the training rows, as for `sample_features`.
    metrics : sequence of str or callable
        Further errors to report, as for `gradient_descent`.
    first_weights_at : sequence of int or "all"
        Steps at which to keep W_1 of every run.
    n_paths : int
        Of the integral behind the generalization error, which is one over Gaussian features whatever the training rows
        are; at least 4096.
    dtype : float64 or float32
        Of X and of training.
    rng : None, int or numpy Generator
        The same seed gives the same runs, on any number of cores.

    Returns
    -------
    Simulation
        When interrupted, of the runs that are done; where a run diverged, up to the last step that all reached.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As `gradient_descent`, and when the data sets of all cores do not fit.

    Examples
    --------
    >>> import sedyn
    >>> network, training = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.2, 10)
    >>> teacher, signal = sedyn.SingleIndex("tanh", noise=0.1), sedyn.random_signal(100, rng=0)
    >>> weights = network.init(100, rng=1)
    >>> runs = sedyn.simulate(network, training, teacher, weights, signal, n_samples=200, n_runs=8, rng=2)
    >>> theory = sedyn.state_evolution(network, training, teacher, sedyn.Overlaps.of(weights, signal), 2.0, rng=3)
    >>> z = sedyn.z_scores(runs.train_error, theory.train_error, theory.stderr.train_error)
    >>> runs.train_error.shape, bool(abs(z).max() < 5)
    ((8, 11), True)
    """
    instance(teacher, Teacher, "teacher", "SingleIndex or sedyn.MultiIndex")
    n_samples, n_runs, n_paths = integer(n_samples, "n_samples"), integer(n_runs, "n_runs"), integer(n_paths, "n_paths")
    signal, rng = finite_array(signal, "signal"), generator(rng)
    X, y = teacher.sample(
        1, signal, features=features, covariance=covariance, rng=0
    )  # whether the parts fit each other
    overlaps = Overlaps.of(weights, signal, covariance=covariance)
    weights, *_ = validate_run(network, training, weights, X, y, None, metrics, dtype)
    validate_problem(network, training, teacher, overlaps, np.inf)
    rule, scores, n = training.rule(network.n_layers), Metrics(metrics), len(weights.first)
    kept = chosen_steps(first_weights_at, rule.n_steps, "first_weights_at")
    n_bytes = min(n_runs, available_cores()) * (16.0 * n_samples * n + 8.0 * weights.first.size * (rule.n_steps + 1))
    require_memory(
        n_bytes,
        f"training on n_samples = {n_samples} rows of {counted(n, 'feature')}, a run on every core,",
        "lower n_samples, the number of features or n_steps",
    )
    q, T = network.widths[0], rule.n_steps
    n_bytes = 8.0 * n_runs * ((T + 1) ** 2 * q**2 + len(kept) * n * q)
    require_memory(
        n_bytes,
        f"overlaps and weights for n_runs = {n_runs}",
        "lower n_runs or n_steps, or keep fewer first_weights_at",
    )
    require_paths(n_paths, q + teacher.n_indices)
    root = None if covariance is None else covariance_root(covariance, n)  # once, not in every run

    def drawn(rng, shape):
        X = sample_features(*shape, features=features, rng=rng)
        return X if root is None else times_root(X, root)

    def one(step, child):
        X, y = (
            part.astype(weights.first.dtype) for part in teacher.sample(n_samples, signal, features=drawn, rng=child)
        )
        y = np.ascontiguousarray(label_columns(y.T, network.widths[-1]))
        recorder = Recorder(network, rule, y, None, scores, "all")
        try:
            for state in descend(network, rule, weights, X, y, child, n_threads=1):
                step()
                if not recorder.record(state):
                    break
        except KeyboardInterrupt:
            return None
        run = recorder.trajectory()
        first, small = np.asarray(run.first_weights, float), Small(run.deep_weights, run.biases)
        C, c, general = overlaps_and_errors(
            network, teacher, scores, first, small, signal, root, n_paths, child.spawn(1)[0]
        )
        train = np.column_stack([run.train_error, *([] if run.train_metrics is None else [run.train_metrics])])
        return train, general, small, C, c, first[[t for t in kept if t < len(first)]], run.status, run.message

    jobs = [lambda step, child=child: one(step, child) for child in rng.spawn(n_runs)]
    done = [run for run in in_threads(jobs, rule.n_steps + 1, "simulate", lambda run: run is None) if run]
    if not done:
        raise KeyboardInterrupt
    reached = min(len(train) for train, *_ in done)
    train, general = (np.array([run[i][:reached] for run in done]) for i in (0, 1))
    small = Small.stacked([V.map(lambda W: W[:reached]) for _, _, V, *_ in done])
    C, c = np.array([run[3][:reached, :reached] for run in done]), np.array([run[4][:reached] for run in done])
    troubled = [run for run in done if run[-1]]
    status, message = "ok", ""
    if troubled:  # the arrays end where the first of them ended
        *_, status, message = min(troubled, key=lambda run: len(run[0]))
        message = f"{len(troubled)} of {counted(len(done), 'run')}: {message}"
    elif len(done) < n_runs:
        status, message = "interrupted", f"interrupted after {len(done)} of {n_runs} runs"
    kept = tuple(t for t in kept if t < reached)
    return Simulation(
        train_error=train[..., 0],
        generalization_error=general[..., 0],
        deep_weights=small.deep,
        biases=small.biases,
        C=C,
        c=c[..., 0] if c.shape[-1] == 1 else c,
        n_samples=n_samples,
        n_features=n,
        metrics=scores.names,
        train_metrics=train[..., 1:] if scores.names else None,
        generalization_metrics=general[..., 1:] if scores.names else None,
        first_weights=np.array([run[5][: len(kept)] for run in done]) if kept else None,
        first_weights_at=kept,
        status=status,
        message=message,
    )
