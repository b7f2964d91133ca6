"""State evolution: the deterministic prediction of gradient descent at every step (theory 2).

======== ======================================================= ==================
symbol   name                                                    shape
======== ======================================================= ==================
G_0, c_0 initial overlaps W_1^T W_1 and W_1^T mu                 (q, q), (q,)
C_(t,s)  covariance of fresh preactivations U_t, U_s             (q, q)
c_t      covariance of U_t and Z = <x, mu>                       (q,)
P, kappa how much W_1 keeps of its start and takes of mu         (q, q), (q,)
R_(t,s)  response of the gradient S_t to U_s                     (q, q)
rho_(t,r) memory: how S_r enters a training preactivation at t   (q, q)
======== ======================================================= ==================
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import Event, Lock

import numpy as np

from . import projection, tangent
from .checks import finite_array, floating, generator, instance, integer, number, shown
from .data import Teacher
from .losses import Metrics
from .network import Array, Network
from .overlaps import Overlaps
from .paths import Problem, Solution, generalization_errors, metric_integrals
from .results import Result, available_cores, progress, require_memory, thread_pool
from .spectrum import eigen_directions
from .training import Training


@dataclass(frozen=True)
class StandardErrors(Result):
    """Monte Carlo standard errors over independent scramblings; NaN when there was only one."""

    train_error: Array
    generalization_error: Array
    deep_weights: tuple[Array, ...]
    biases: tuple[Array, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None


@dataclass(frozen=True)
class Kernels(Result):
    """The kernels of theory 2, each the mean over scramblings; time indices run over 0..T.

    Attributes
    ----------
    C : (T+1, T+1, q, q)
        ``C[t, s] = E[U_t U_s^T]``, the overlaps W_1^(t)T W_1^(s).
    c : (T+1, q)
        ``E[U_t Z]``, the overlaps W_1^(t)T mu; (T+1, q, k) for k signals, like kappa.
    P : (T+1, q, q)
    kappa : (T+1, q)
        sqrt(n) W_1^(t) = P_t (its start) + kappa_t mu + Gaussian noise, row by row. Where the start has no component
        in some direction (a singular G_0 - c_0 c_0^T/|mu|^2), P is the one of least norm. For correlated features
        both have an axis of blocks after the first; C and c are then W_1^T Sigma W_1 and W_1^T Sigma mu.
    fluctuation : (T+1, T+1, q, q)
        Covariance of that Gaussian noise, phi rho G rho^T.
    R : (T, T, q, q)
        Response ``R[t, s] = E[dS_t / dU_s]``, zero for s > t. Solved by tangent recursion when first asked for.
    rho : (T+1, T, q, q)
        Memory ``rho[t, r]``, zero for r >= t. Likewise.
    """

    start: Overlaps
    loadings: Array  # (scramblings, T+1, q, B (k + q))
    noise: tuple[Array, ...]  # per scrambling, (T+1, q, K)
    responses: tuple[Array, ...] = ()  # R and rho of every tangent run, (runs, ..) each
    _solve_responses: Callable | None = field(default=None, repr=False, compare=False)

    @cached_property
    def _samples(self) -> dict[str, Array]:
        n_scrambles, length, q, _ = self.loadings.shape
        require_memory(
            16 * n_scrambles * (length * q) ** 2,
            "the covariance kernel over all pairs of steps",
            "lower n_steps or n_scrambles",
        )
        along, k, B = self.start.signal_loadings(), self.start.n_indices, len(self.start.variances)

        def split(x):  # (.., B, k) along the signals of each block, (.., B, q) along its initial weights
            return np.split(np.moveaxis(x.reshape(*x.shape[:-1], B, k + q), -2, -3), [k], axis=-1)

        mu_0, W_0 = split(self.start.loadings())
        mu, W = split(self.loadings)
        P = W @ np.linalg.pinv(W_0)
        kappa = (mu - P @ mu_0) @ np.linalg.pinv(split(along)[0])
        fluctuation = np.stack([np.einsum("tak,sbk->tsab", M, M, optimize=True) for M in self.noise])
        c = self.loadings @ along.T
        if self.start.cross.ndim == self.start.gram.ndim - 1:  # one signal, without an axis
            c, kappa = c[..., 0], kappa[..., 0]
        return {
            "C": np.einsum("ntak,nsbk->ntsab", self.loadings, self.loadings, optimize=True) + fluctuation,
            "c": c,
            "P": P[:, :, 0] if self.start.blocks is None else P,
            "kappa": kappa[:, :, 0] if self.start.blocks is None else kappa,
            "fluctuation": fluctuation,
        }

    def _response_samples(self, name: str) -> Array:
        if not self.responses:
            if self._solve_responses is None:
                raise ValueError(
                    "R and rho are not stored in this result: ask for kernels.R before saving it, "
                    "or use solver='tangent'"
                )
            object.__setattr__(self, "responses", self._solve_responses())
        return self.responses[("R", "rho").index(name)]

    def _of(self, name: str) -> Array:
        return self._response_samples(name) if name in ("R", "rho") else self._samples[name]

    def stderr(self, name: str) -> Array:
        """Standard error of the kernel `name` ("C", "c", "P", "kappa", "fluctuation", "R" or "rho"), entry by entry."""
        if not (isinstance(name, str) and name in KERNELS):
            raise ValueError(f"unknown kernel name {shown(name)}; use one of {', '.join(KERNELS)}")
        return _stderr(self._of(name))

    C = cached_property(lambda self: self._of("C").mean(axis=0))
    c = cached_property(lambda self: self._of("c").mean(axis=0))
    P = cached_property(lambda self: self._of("P").mean(axis=0))
    kappa = cached_property(lambda self: self._of("kappa").mean(axis=0))
    fluctuation = cached_property(lambda self: self._of("fluctuation").mean(axis=0))
    R = cached_property(lambda self: self._of("R").mean(axis=0))
    rho = cached_property(lambda self: self._of("rho").mean(axis=0))


@dataclass(frozen=True)
class Evolution(Result):
    """What the theory predicts for one training run. T' <= T is the last step reached.

    Attributes
    ----------
    train_error, generalization_error : (T'+1,)
        Mean squared errors, t = 0..T'.
    deep_weights : tuple of (T'+1, fan_in, fan_out)
        W_2, .., W_L at every step.
    biases : tuple of (T'+1, width)
        b_1, .., b_L at every step, of a network that has them.
    metrics : tuple of str
        Names of the further error metrics asked for.
    train_metrics, generalization_metrics : (T'+1, number of metrics) or None
        Their values.
    kernels : Kernels
        C, c, P, kappa, fluctuation; R and rho when first asked for.
    stderr : StandardErrors
        Monte Carlo standard errors of the errors, metrics and weights.
    aspect_ratio : float
        phi = m / n.
    solver : str
        ``"projection"`` or ``"tangent"``.
    n_paths, n_scrambles : int
        Sample points per randomization, and completed randomizations.
    basis_size : int
        K, the number of directions the gradients span (largest over scramblings).
    status : str
        ``"ok"``, ``"diverged"``, ``"interrupted"`` or ``"inaccurate"``.
    message : str
        What happened and what to do, empty when all went well.
    """

    train_error: Array
    generalization_error: Array
    deep_weights: tuple[Array, ...]
    kernels: Kernels
    stderr: StandardErrors
    aspect_ratio: float
    solver: str
    n_paths: int
    n_scrambles: int
    basis_size: int
    biases: tuple[Array, ...] = ()
    metrics: tuple[str, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None
    status: str = "ok"
    message: str = ""


SOLVERS = ("projection", "tangent")
KERNELS = ("C", "c", "P", "kappa", "fluctuation", "R", "rho")


def state_evolution(
    network: Network,
    training: Training,
    teacher: Teacher,
    overlaps: Overlaps,
    aspect_ratio: float,
    n_paths: int = 2**14,
    rng=None,
    *,
    n_scrambles: int = 4,
    solver: str = "projection",
    tolerance: float = 3e-3,
    metrics=(),
    dtype=np.float32,
) -> Evolution:
    """Predict the training run from its initial overlaps alone.

    Parameters
    ----------
    network, training, teacher
        The problem.
    overlaps : Overlaps
        Where it starts: `Overlaps.of(weights, signal)`, or given directly.
    aspect_ratio : float
        phi = m / n > 0; ``numpy.inf`` is the population limit, in which no sample is used twice (theory 2).
    n_paths : int
        Sample points per randomization. Batches add noise to them, and blocks of correlated features multiply the
        directions: either wants more points.
    rng : None, int or numpy Generator
        The same seed gives the same answer.
    n_scrambles : int
        Independent randomizations; their spread gives the standard errors.
    solver : str
        ``"projection"`` (fast, theory 4) or ``"tangent"`` (the reference, theory 3: time and memory grow as
        n_paths T^2 q^2 and more).
    tolerance : float
        Projection solver: a gradient enlarges the basis when this fraction of its size lies outside. It enters the
        errors squared: 3e-3 changes the generalization error by less than 0.03 %, 1e-2 by up to 0.2 % with a third
        fewer directions, right for hundreds of steps; below 3.5e-4 it needs ``dtype=float64``.
    metrics : sequence of str or callable
        Further errors to predict, as for `gradient_descent`.
    dtype : float32 or float64
        Projection solver: of the paths. Sums and coefficients are in double precision either way, and the rounding of
        float32 is far below the sampling error.

    Returns
    -------
    Evolution
        A run that diverges or is interrupted returns what it reached, with `status` and `message`.

    Raises
    ------
    ValueError
        When the parts do not fit each other, n_paths is too small for T and q, or the tangent solver meets an
        activation or a loss with a kink.
    MemoryError
        When the solver needs more memory than the machine has: n_paths (T q)^2 numbers for the reference solver,
        2 n_paths K for each randomization of the fast one, with K the final `basis_size`; (1 + B) n_paths K for B
        blocks of correlated features.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, deep=([[1.0], [-0.5]],))
    >>> theory = sedyn.state_evolution(
    ...     network, sedyn.Training(0.2, 10), sedyn.SingleIndex("tanh", 0.1), overlaps, 2.0, n_paths=2**10, rng=0
    ... )
    >>> theory.train_error.shape, bool(theory.generalization_error[-1] > theory.train_error[-1])
    ((11,), True)
    """
    expected = "be m / n, a number > 0, or numpy.inf"
    aspect_ratio = number(aspect_ratio, "aspect_ratio", expected, lambda phi: phi >= 1e-30)
    problem = validate_problem(network, training, teacher, overlaps, aspect_ratio, metrics)
    T, q, known = problem.rule.n_steps, network.widths[0], overlaps.loadings().shape[1]
    least = 16 * (known + 1)
    n_paths = integer(n_paths, "n_paths", least, f"an integer of at least {least} for q = {q}")
    require_memory(8.0 * n_paths * (1 + known), f"n_paths = {n_paths} sample points", "lower n_paths")
    n_scrambles = integer(n_scrambles, "n_scrambles")
    require_memory(n_scrambles * 8.0 * (T + 1) * q * (known + 64), f"{n_scrambles} randomizations", "lower n_scrambles")
    if not (isinstance(solver, str) and solver in SOLVERS):
        raise ValueError(f"unknown solver {shown(solver)}; use one of {', '.join(SOLVERS)}")
    tolerance, dtype = validate_tolerance(tolerance, dtype)
    rng = generator(rng)
    run: Callable[..., Solution]
    if solver == "tangent":
        _check_tangent(problem, n_paths)
        run, label = tangent.solve, "state evolution"
    else:
        B = len(overlaps.variances)
        most = projection.memory_bytes(n_paths, min(T * q, n_paths // (6 * B)), B, dtype)
        label = f"state evolution (at most {most * min(n_scrambles, available_cores()) / 2**30:.2g} GiB)"
        run = partial(projection.solve, tolerance=tolerance, dtype=np.dtype(dtype).type)
    solutions, random = _randomizations(partial(run, problem, n_paths=int(n_paths)), rng, n_scrambles, T, label)
    require_start(solutions[0])
    errors = [generalization_errors(problem, s, int(n_paths), r) for s, r in zip(solutions, random, strict=True)]
    reached = min(len(s.train) for s in solutions)
    samples: dict = {
        "train": np.array([s.train[:reached] for s in solutions]),
        "general": np.array([e[:reached] for e in errors]),
        "small": [np.array([[V[i] for V in s.small[:reached]] for s in solutions]) for i in range(len(overlaps.small))],
    }
    names = problem.metrics.names
    responses = (
        (np.array([s.R for s in solutions]), np.array([s.rho for s in solutions])) if solver == "tangent" else ()
    )
    first_trouble = min(solutions, key=lambda s: len(s.train) + (s.status == "ok") * 0.5)
    interrupted = len(solutions) < n_scrambles and first_trouble.status == "ok"
    message, directions = first_trouble.message, max(s.noise.shape[-1] for s in solutions)
    if interrupted:
        message = f"interrupted after {len(solutions)} of {n_scrambles} randomizations"
    elif not message and overlaps.blocks is not None and solver == "projection" and 100 * directions > n_paths:
        message = (
            f"{directions} directions in all blocks are many for n_paths = {n_paths}: expect a bias of about "
            f"{directions / n_paths / 3:.1%}, beyond the standard errors; raise n_paths, or use fewer blocks"
        )

    def reported(of):
        """Every curve of the result, and then its standard error, by the same names."""
        train, general, small = of(samples["train"]), of(samples["general"]), [of(V) for V in samples["small"]]
        return {
            "train_error": train[:, 0],
            "generalization_error": general[:, 0],
            "deep_weights": tuple(small[: network.n_layers - 1]),
            "biases": tuple(small[network.n_layers - 1 :]),
            "train_metrics": train[:, 1:] if names else None,
            "generalization_metrics": general[:, 1:] if names else None,
        }

    return Evolution(
        **reported(partial(np.mean, axis=0)),
        metrics=names,
        kernels=Kernels(
            overlaps,
            np.array([s.loadings[:reached] for s in solutions]),
            tuple(s.noise[:reached] for s in solutions),
            responses,
            partial(_solve_responses, problem, n_paths, n_scrambles, rng.spawn(1)[0]),
        ),
        stderr=StandardErrors(**reported(_stderr)),
        aspect_ratio=float(aspect_ratio),
        solver=solver,
        n_paths=int(n_paths),
        n_scrambles=len(solutions),
        basis_size=directions // len(overlaps.variances),
        status="interrupted" if interrupted else first_trouble.status,
        message=message,
    )


def validate_problem(network, training, teacher, overlaps: Overlaps, aspect_ratio, metrics=()) -> Problem:
    """A problem whose parts fit each other, or ValueError."""
    instance(network, Network, "network")
    instance(training, Training, "training")
    instance(teacher, Teacher, "teacher", "SingleIndex or sedyn.MultiIndex")
    instance(overlaps, Overlaps, "overlaps")
    network.validate_small(overlaps.deep, overlaps.biases)
    q, k = network.widths[0], overlaps.n_indices
    if overlaps.gram.shape[-1] != q:
        raise ValueError(f"the network has q = {q} first-layer neurons; overlaps.gram has shape {overlaps.gram.shape}")
    if teacher.n_indices != k:
        raise ValueError(f"the teacher looks at {teacher.n_indices} signals; the overlaps hold {k}")
    return Problem(network, training.rule(network.n_layers), teacher, overlaps, float(aspect_ratio), Metrics(metrics))


def validate_tolerance(tolerance, dtype) -> tuple[float, np.dtype]:
    """Both as numbers and types; ValueError for a tolerance out of range, or too small for rounding in `dtype`."""
    dtype = floating(dtype)
    least = float(np.sqrt(np.finfo(dtype).eps))
    expected = f"lie between {least:.1e} and 1 for {dtype.name}"
    expected += " (use dtype=float64 for less)" if dtype == np.float32 else ""
    return number(tolerance, "tolerance", expected, lambda x: least < x < 1), dtype


def require_start(solution: Solution) -> None:
    """ValueError when a solution does not even have its first value."""
    if solution.status == "diverged" and not solution.train:
        raise ValueError(
            "the training error is not a finite number at the start; lower the overlaps, the link or the noise"
        )


def population_error(network: Network, teacher: Teacher, overlaps: Overlaps, n_points: int = 2**14, rng=None) -> float:
    """Generalization error E (f(x) - y)^2 of a network with these overlaps on Gaussian features.

    An integral in q + 1 dimensions over the joint Gaussian law of W_1^T x and <x, mu>, by scrambled Sobol points;
    with ``Overlaps.of(run.final, signal)`` it replaces a test set.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> network = sedyn.Network((1, 1), ("identity", "identity"))
    >>> overlaps = sedyn.Overlaps([[2.0]], [0.5], 1.0, deep=([[1.0]],))
    >>> error = sedyn.population_error(network, sedyn.SingleIndex("linear", noise=0.5), overlaps, rng=0)
    >>> round(error, 6)  # 2 - 2 * 0.5 + 1 + 0.5**2
    2.25
    """
    problem = validate_problem(network, Training(0.0, 0), teacher, overlaps, np.inf)
    n_points, rng = integer(n_points, "n_points"), generator(rng)
    require_memory(16.0 * n_points * (overlaps.loadings().shape[1] + 2), f"{n_points} points", "lower n_points")
    root, loadings = overlaps.joint()
    parts = network, teacher, problem.metrics, root, loadings[None], [overlaps.small]
    return float(metric_integrals(*parts, n_points, rng)[0, 0])


def population_errors(
    network: Network, teacher: Teacher, run, signal: Array, n_points: int = 2**12, rng=None, covariance=None
) -> Array:
    """`population_error` at every step of a run that kept all its first-layer weights, shape (T'+1,).

    Pass a Generator, not a seed, when averaging over runs: one seed gives all of them the same integration error.

    Raises ValueError when the run was made without ``first_weights_at="all"``.
    """
    if not hasattr(run, "weights_at"):
        raise TypeError(f"run must be a sedyn.Trajectory; got {shown(run)}")
    rng, scale, signal = generator(rng), None, finite_array(signal, "signal")
    n_features = len(run.weights_at(0).first)
    if signal.shape[:1] != (n_features,) or signal.ndim > 2 or not signal.size:
        raise ValueError(f"signal must have shape ({n_features},) or ({n_features}, k); got {signal.shape}")
    if covariance is not None:  # features of variance 1 with W and mu rescaled
        scale, directions = eigen_directions(covariance, n_features)

    def rescaled(W):
        if scale is None:
            return W
        return (np.sqrt(scale) * (W if directions is None else directions.T @ W).T).T

    errors = []
    for t in range(len(run.train_error)):
        weights = run.weights_at(t)
        overlaps = Overlaps.of(replace(weights, first=rescaled(weights.first)), rescaled(signal))
        errors.append(population_error(network, teacher, overlaps, n_points, rng))
    return np.array(errors)


def _stderr(samples: Array) -> Array:
    """Standard error of the mean over axis 0; NaN for a single sample."""
    if len(samples) < 2:
        return np.full(samples.shape[1:], np.nan)
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def _check_tangent(problem: Problem, n_paths):
    network, rule = problem.network, problem.rule
    network.require_smooth("the tangent recursion (solver='tangent', and the kernels R and rho)", rule.loss)
    require_memory(
        tangent.Responses.memory_bytes(rule.n_steps, network.widths[0], n_paths),
        f"the tangent recursion over {rule.n_steps} steps and {n_paths} paths",
        "lower n_paths or n_steps, or use solver='projection'",
    )


def _solve_responses(problem: Problem, n_paths, n_scrambles, rng):
    """R and rho for a run of the projection solver: tangent recursions of at most a gigabyte each."""
    T, q, known = problem.rule.n_steps, problem.network.widths[0], problem.overlaps.loadings().shape[1]
    n_paths = max(16 * (known + 1), min(n_paths, 2**12, 2**30 // tangent.Responses.memory_bytes(max(T, 1), q, 1)))
    _check_tangent(problem, n_paths)
    runs, _ = _randomizations(partial(tangent.solve, problem, n_paths=n_paths), rng, n_scrambles, T, "response kernels")
    return np.array([s.R for s in runs]), np.array([s.rho for s in runs])


def _randomizations(solve, rng, n_scrambles, n_steps, label):
    """Run `solve(rng=, step=)` for independent randomizations, on as many threads as there are cores.

    Returns the solutions and a further generator for each. When interrupted, the complete ones are returned, or else
    the longest incomplete one.
    """
    bar = iter(progress(range(n_scrambles * (n_steps + 1)), n_scrambles * (n_steps + 1), label))
    lock, stop = Lock(), Event()

    def step():
        if stop.is_set():
            raise KeyboardInterrupt
        with lock:
            next(bar)

    def one(child):
        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve(rng=child, step=step)
        if solution.status == "interrupted":  # without threads the interrupt arrives here
            stop.set()
        return solution

    children = [child.spawn(2) for child in rng.spawn(n_scrambles)]
    with thread_pool(min(n_scrambles, available_cores())) as pool:
        futures = [pool.submit(one, first) for first, _ in children]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            stop.set()
        finally:  # after an error in one, the others need not go on
            if any(f.done() and f.exception() for f in futures):
                stop.set()
    solutions = [f.result() for f in futures]
    complete = [(s, second) for s, (_, second) in zip(solutions, children, strict=True) if s.status != "interrupted"]
    if not complete:
        longest = max(range(n_scrambles), key=lambda i: len(solutions[i].train))
        if not solutions[longest].train:
            raise KeyboardInterrupt
        complete = [(solutions[longest], children[longest][1])]
    kept, random = zip(*complete, strict=True)
    return list(kept), list(random)
