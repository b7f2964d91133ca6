"""State evolution: the deterministic prediction of gradient descent at every step (theory 2).

============ ================================================== ==================
symbol       name                                               shape
============ ================================================== ==================
C_(0,0), c_0 initial overlaps W_1^T W_1 and W_1^T mu            (q, q), (q,)
C_(t,s)      covariance of fresh preactivations U_t, U_s        (q, q)
c_t          covariance of U_t and Z = <x, mu>                  (q,)
P, kappa     how much W_1 keeps of its start and takes of mu    (q, q), (q,)
R_(t,s)      response of the gradient S_t to U_s                (q, q)
rho_(t,r)    memory: how S_r enters a training preactivation    (q, q)
============ ================================================== ==================
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..common import (
    Array,
    Result,
    available_cores,
    brief,
    counted,
    first_and_last,
    generator,
    in_threads,
    integer,
    number,
    one_blas_thread,
    require_memory,
    shown,
    stderr,
)
from ..model import Network, Overlaps, Problem, Small, Teacher, Training, chosen_steps, validate_problem
from . import projection, tangent, two_sided
from .band import N_RUNS, Band, single_run
from .kernels import Kernels
from .law import FirstWeights, gaussian_law, law
from .solution import Solution, generalization_errors, require_start, validate_tolerance


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors(Result):
    """Monte Carlo standard errors over independent scramblings, 1.96 of which cover 95 % however few scramblings there
    are (Student's t); NaN when there was only one."""

    train_error: Array
    generalization_error: Array
    deep_weights: tuple[Array, ...]
    biases: tuple[Array, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None

    def _summary(self):
        return {
            "of": f"{brief(self.train_error)} steps",
            "train_error": f"at most {np.max(self.train_error):.2g}",
            "generalization_error": f"at most {np.max(self.generalization_error):.2g}",
            "deep_weights": f"at most {max(np.max(W) for W in self.deep_weights):.2g}",
        }


@dataclass(frozen=True, eq=False, repr=False)
class Evolution(Result):
    """Prediction of the theory for one training run. T' <= T is the last step reached.

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
        C, c, P, kappa, fluctuation; R and rho where they were asked for.
    stderr : StandardErrors
        Monte Carlo standard errors of the errors, metrics and weights.
    aspect_ratio : float
        phi = m / n.
    solver : str
        ``"projection"``, ``"two-sided"`` or ``"tangent"``.
    n_paths, n_scrambles : int
        Sample points per randomization, and completed randomizations.
    accuracy : float
        Reached: the largest standard error of the two errors at any step, in units of the generalization error there.
    basis_size : int
        K, the number of directions the gradients span (largest over scramblings).
    outside : float
        The largest share of a gradient outside of them, at most about `tolerance` for each neuron. Beyond 0.15 the
        status is "inaccurate".
    first_weights_at : tuple of int
        Steps at which the two-sided solver kept the weights of the features it sampled.
    sampled_start : (k + q, N) or None
        sqrt(n) (mu, W_1^(0)) of these features.
    sampled_first : (len(first_weights_at), q, N) or None
        sqrt(n) W_1 at these steps; `first_weights_law` gives both.
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
    outside: float = 0.0
    biases: tuple[Array, ...] = ()
    metrics: tuple[str, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None
    first_weights_at: tuple[int, ...] = ()
    sampled_start: Array | None = None
    sampled_first: Array | None = None
    status: str = "ok"
    message: str = ""
    _problem: tuple[Network, Training, Teacher] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self):  # functions that pickle cannot find by their names stay behind
        try:
            pickle.dumps(self._problem)
        except Exception:  # whatever a user's function may raise
            return self.__dict__ | {"_problem": None}
        return self.__dict__

    def band(self, n_features: int, level: float = 0.95, *, n_runs: int = N_RUNS, rng=0) -> Band:
        """Where the errors of ONE training run lie, at every step with probability `level`.

        A run on n features and m = phi n rows has a bias of order 1/n and a spread of order n^(-1/2) around the theory.
        Both are measured on small runs from the same overlaps, on as many features as take about a second, and on
        n_features themselves when they are not many more. The standard errors of both, and those of the theory, widen
        the band. It is for independent features, Gaussian or near it, and holds at each step by itself (theory 4).

        Parameters
        ----------
        n_features : int
            n of the run.
        level : float
            Between 0 and 1.
        n_runs : int
            Runs to simulate, at least 16.
        rng : None, int or numpy Generator
            By default always the same, so that the band is.

        Returns
        -------
        Band
            As far as the theory and all simulated runs went, with `status` and `message`.

        Raises
        ------
        ValueError
            For an n too small for the overlaps, the population limit, overlaps that are Gauss nodes of many variances,
            an `Optimizer` of the first layer (which sees the very rows of a start), and a theory that was loaded from a
            file, which keeps no problem; predict again.

        Examples
        --------
        >>> import numpy as np, sedyn
        >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
        >>> overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, deep=([[1.0], [-0.5]],))
        >>> theory = sedyn.state_evolution(
        ...     network, sedyn.Training(0.2, 10), sedyn.SingleIndex("tanh", 0.1), overlaps, 2.0, rng=0
        ... )
        >>> band = theory.band(400)
        >>> lower, upper = band.generalization_error
        >>> lower.shape, bool(np.all((lower < theory.generalization_error) & (theory.generalization_error < upper)))
        ((11,), True)
        """
        if self._problem is None:
            raise ValueError(
                "this theory does not know its network, training and teacher any more: files do not keep them, nor "
                "pickles with functions that have no name; call state_evolution again"
            )
        network, training, teacher = self._problem
        problem = validate_problem(network, training, teacher, self.kernels.start, self.aspect_ratio)
        return single_run(problem, self, n_features, level, n_runs=n_runs, rng=rng)

    def first_weights_law(self, t: int, *, n_samples: int = 2**14, rng=None) -> FirstWeights:
        """Samples from the joint law of one feature's signal, first weights, and weights at step t.

        The n rows of sqrt(n) W_1 in a run are distributed like them (theory 2). Under a linear rule they are Gaussian
        around a linear image of the start, and drawn at any step; under an `Optimizer` they are what the solver
        sampled, at the steps of ``first_weights_at``, and `n_samples` and `rng` have no part in it.

        Returns
        -------
        FirstWeights
            `signal` (N,) or (N, k), `start` (N, q) and `now` (N, q), all of them of order 1: sqrt(n) times those of a
            run. N is n_samples, or the next multiple of n where the overlaps keep n actual rows.

        Raises
        ------
        ValueError
            For a step beyond the end or one that was not kept, and for features of several blocks.

        Examples
        --------
        >>> import numpy as np, sedyn
        >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
        >>> overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, deep=([[1.0], [-0.5]],))
        >>> training = sedyn.Training(0.05, 10, optimizer=sedyn.SignDescent())
        >>> theory = sedyn.state_evolution(
        ...     network, training, sedyn.SingleIndex("tanh", 0.1), overlaps, 2.0, first_weights_at=[10], rng=0
        ... )
        >>> now = theory.first_weights_law(10).now
        >>> bool(np.allclose(now.T @ now / len(now), theory.kernels.C[10, 10], atol=0.02))
        True
        """
        t, last = integer(t, "t", 0), len(self.train_error) - 1
        if t > last:
            raise ValueError(f"t must be a step of this theory, 0..{last}; got {t}")
        if self.solver != "two-sided":
            n_samples = integer(n_samples, "n_samples", 2 * self.kernels.start.loadings.shape[1])
            return gaussian_law(self.kernels, t, n_samples, generator(rng))
        if t not in self.first_weights_at:
            raise ValueError(
                f"the weights of sampled features were kept at steps {shown(self.first_weights_at)}; to have their law "
                f"at t = {t} call state_evolution with {t} in first_weights_at"
            )
        assert self.sampled_start is not None and self.sampled_first is not None
        signal, start = np.split(self.sampled_start, [self.kernels.start.n_indices])
        return law(signal, start, self.sampled_first[self.first_weights_at.index(t)])

    @property
    def accuracy(self) -> float:
        """As above; NaN of a single randomization."""
        return _accuracy(self.generalization_error, self.stderr.train_error, self.stderr.generalization_error)

    def _summary(self):
        error = self.stderr
        rows = {
            "steps": f"{len(self.train_error) - 1}, aspect ratio {self.aspect_ratio:.4g}",
            "train_error": first_and_last(self.train_error, error.train_error),
            "generalization_error": first_and_last(self.generalization_error, error.generalization_error),
            "best step": f"{np.argmin(self.generalization_error)}, {np.min(self.generalization_error):.4g}",
        }
        rows |= {"metrics": brief(self.metrics)} if self.metrics else {}
        return (
            rows
            | {
                "deep_weights": brief(self.deep_weights),
                "kernels": "C, c, P, kappa, fluctuation" + (", R, rho" if self.kernels.responses else ""),
                "solver": f"{self.solver}, {self.n_scrambles} x {self.n_paths} paths, "
                f"{counted(self.basis_size, 'direction')}",
                "accuracy": f"{self.accuracy:.1%}",
            }
            | self._status()
        )


SOLVERS = ("projection", "two-sided", "tangent")
ACCURACY = 0.005
UNSTABLE = 2.5  # step size times variance, beyond which Gauss nodes are not to be trusted (measured)
FIRST = 2**13, 8  # n_paths and n_scrambles to begin with, for that accuracy
MOST = 512  # randomizations
PER_DIRECTION = 20  # paths: what a basis of K directions on N paths does to the errors is then far below the sampling


@one_blas_thread
def state_evolution(
    network: Network,
    training: Training,
    teacher: Teacher,
    overlaps: Overlaps,
    aspect_ratio: float,
    *,
    accuracy: float | None = None,
    n_paths: int | None = None,
    n_scrambles: int | None = None,
    solver: str | None = None,
    tolerance: float | None = None,
    metrics=(),
    responses: bool = False,
    first_weights_at=(),
    dtype=None,
    rng=None,
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
    accuracy : float, by default 0.005
        Not of the tangent solver: the standard error to be reached, of both errors and at every step, in units of the
        generalization error there. Paths and randomizations are added until it is, at most 512 randomizations; the
        result says what was reached.
    n_paths, n_scrambles : int, by default 2**14 and 4
        Instead of an accuracy: sample points per randomization, and independent randomizations, whose spread gives
        the standard errors.
    solver : str, optional
        ``"projection"`` (theory 4), the default for plain gradient descent of the first layer; ``"two-sided"`` (theory
        10), the default, and the only one, where it has an `Optimizer`; or ``"tangent"`` (the reference, theory 3: time
        and memory grow as n_paths T^2 q^2 and more).
    tolerance : float, by default 3e-3; 1e-3 of the two-sided solver
        Not of the tangent solver: a gradient enlarges the basis when this fraction of its size lies outside. It enters
        the errors squared: 3e-3 changes the generalization error by less than 0.03 %, 1e-2 by up to 0.2 % with a third
        fewer directions, right for hundreds of steps; below 3.5e-4 it needs ``dtype=float64``.
    metrics : sequence of str or callable
        Further errors to predict, as for `gradient_descent`.
    responses : bool
        Whether to find the kernels R and rho, too: by tangent recursions of at most 4096 paths and a gigabyte each.
        The tangent solver finds them in any case.
    first_weights_at : sequence of int or "all"
        Two-sided solver alone: steps at which to keep the weights of the sampled features, for `first_weights_law`.
    dtype : float32 or float64, by default float32
        Not of the tangent solver: of the paths. Coefficients are in double precision either way, and the rounding of
        float32 is far below the sampling error.
    rng : None, int or numpy Generator
        The same seed gives the same answer.

    Returns
    -------
    Evolution
        A run that diverges or is interrupted returns what it reached, with `status` and `message`.

    Raises
    ------
    ValueError
        When the parts do not fit each other, n_paths is too small for T and q, an accuracy is given beside sizes, the
        tangent solver is given an accuracy, a tolerance or a dtype, or tangents (those of `responses` too) meet an
        activation or a loss with a kink. An `Optimizer` of the first layer needs independent features of variance 1:
        in the directions of correlated ones it does not act entry by entry.
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
    T, q, known = problem.rule.n_steps, network.widths[0], overlaps.loadings.shape[1]
    least = 16 * (known + 1)
    if solver is None:
        solver = "projection" if problem.rule.linear else "two-sided"
    if not (isinstance(solver, str) and solver in SOLVERS):
        raise ValueError(f"unknown solver {shown(solver)}; use one of {', '.join(SOLVERS)}, or leave it out")
    if responses or solver != "two-sided":
        who = "responses=True" if responses else f"solver={solver!r}"
        problem.rule.require_linear(who, "leave it out, and the two-sided solver follows any")
    if solver == "two-sided" and np.any(overlaps.blocks != 1):
        raise ValueError(
            "the two-sided solver, and so an optimizer of the first layer, is for independent features of variance 1: "
            "in the directions of correlated ones no update but a linear one acts entry by entry; measure the overlaps "
            "without covariance, or train by plain gradient descent"
        )
    kept = chosen_steps(first_weights_at, T, "first_weights_at")
    kept = kept if solver == "two-sided" else ()  # the law of a linear rule is known at all steps
    if solver == "tangent" and not accuracy is tolerance is dtype is None:
        raise ValueError("accuracy, tolerance and dtype are no settings of solver='tangent'; leave them out")
    if n_paths is not None or n_scrambles is not None or solver == "tangent":
        if accuracy is not None:
            raise ValueError("accuracy chooses n_paths and n_scrambles; give either it or these")
        n_paths, n_scrambles = n_paths if n_paths is not None else 2**14, n_scrambles if n_scrambles is not None else 4
    else:
        accuracy = number(
            ACCURACY if accuracy is None else accuracy, "accuracy", "lie between 1e-5 and 1", lambda x: 1e-5 <= x < 1
        )
        n_paths, n_scrambles = _first_sizes(problem, accuracy, least)
    n_paths = integer(n_paths, "n_paths", least, f"an integer of at least {least} for q = {q}")
    require_memory(8.0 * n_paths * (1 + known), f"n_paths = {n_paths} sample points", "lower n_paths")
    n_scrambles = integer(n_scrambles, "n_scrambles")
    require_memory(
        n_scrambles * 8.0 * (T + 1) * q * (known + 64),
        f"n_scrambles = {n_scrambles} solutions of {T} steps",
        "lower n_scrambles or n_steps",
    )
    tolerance, dtype = validate_tolerance(
        (1e-3 if solver == "two-sided" else 3e-3) if tolerance is None else tolerance,
        np.float32 if dtype is None else dtype,
    )
    if not isinstance(responses, (bool, np.bool_)):
        raise TypeError(f"responses must be True or False; got {shown(responses)}")
    rng, B = generator(rng), int(np.count_nonzero(overlaps.fractions))
    run: Callable[..., Solution]
    if responses or solver == "tangent":
        network.require_smooth("the tangent recursion (solver='tangent', responses=True)", problem.rule.loss)
    if solver == "tangent":
        _require_tangent_memory(problem, n_paths, "lower n_paths or n_steps, or use solver='projection'")
        run, label = tangent.solve, "state evolution"
    else:
        most = projection.memory_bytes(n_paths, min(T * q, n_paths // (6 * B)), B, dtype)
        label = f"state evolution (at most {most * min(n_scrambles, available_cores()) / 2**30:.2g} GiB)"
        run = partial(projection.solve, tolerance=tolerance, dtype=np.dtype(dtype).type)
        if solver == "two-sided":
            run = partial(two_sided.solve, tolerance=tolerance, dtype=np.dtype(dtype).type, kept=kept)

    def randomize(n_paths, n_scrambles):
        """Further solutions, the errors of each, and whether they are all."""
        found, random = _randomizations(partial(run, problem, n_paths=n_paths), rng, n_scrambles, T, label)
        require_start(found[0])
        each = [generalization_errors(problem, s, n_paths, r) for s, r in zip(found, random, strict=True)]
        return found, each, len(found) == n_scrambles

    message = ""
    if accuracy is None:
        try:
            solutions, errors, complete = randomize(n_paths, n_scrambles)
        except projection.TooFewPaths as trouble:
            raise ValueError(str(trouble)) from None
    else:
        solutions, errors, complete, n_paths, message = _to_accuracy(randomize, accuracy, n_paths, n_scrambles)
    reached = min(len(s.train) for s in solutions)
    samples: dict = {
        "train": np.array([s.train[:reached] for s in solutions]),
        "general": np.array([e[:reached] for e in errors]),
        "small": Small.stacked([Small.stacked(s.small[:reached]) for s in solutions]),
    }
    names = problem.metrics.names
    tangents = solutions if solver == "tangent" else []
    first_trouble = min(solutions, key=lambda s: len(s.train) + (s.status == "ok") * 0.5)
    interrupted = not complete and first_trouble.status == "ok"
    message, directions = first_trouble.message or message, max(s.noise.shape[-1] for s in solutions)
    if responses and not tangents and not interrupted:
        tangents = _solve_responses(problem, n_paths, n_scrambles if accuracy is None else 4, rng.spawn(1)[0])
    if interrupted:
        done = len(solutions)
        of_all = f"{done} of {n_scrambles} randomizations" if accuracy is None else counted(done, "randomization")
        message = f"interrupted after {of_all}"

    status, fastest = first_trouble.status, max((step[0] for step in problem.rule.step_size), default=0.0)
    if status == "ok" and not overlaps.fractions.all() and fastest * overlaps.variances.max() > UNSTABLE:
        status = "inaccurate"
        message = (
            f"step size {fastest:.3g} times the features' largest variance {overlaps.variances.max():.3g} is more than "
            f"{UNSTABLE}: training oscillates along a few directions, which no average describes, and the answer "
            "depends on n_blocks of the overlaps; lower the step size"
        )

    if not message and problem.rule.sign_like_weights(overlaps.small):
        message = (
            "an optimizer that makes large steps of small gradients moves deep weights or biases: the noise in their "
            "gradients moves them, too, and runs differ from the theory until n is very large"
        )

    def reported(of):
        """Every curve of the result, and then its standard error, by the same names."""
        train, general, small = of(samples["train"]), of(samples["general"]), samples["small"].map(of)
        return {
            "train_error": train[:, 0],
            "generalization_error": general[:, 0],
            "deep_weights": small.deep,
            "biases": small.biases,
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
            tuple(np.array([getattr(s, name) for s in tangents]) for name in ("R", "rho") if tangents),
        ),
        stderr=StandardErrors(**reported(stderr)),
        aspect_ratio=float(aspect_ratio),
        solver=solver,
        n_paths=int(n_paths),
        n_scrambles=len(solutions),
        basis_size=directions // (B if solver == "projection" else len(overlaps.variances)),
        outside=max(s.outside for s in solutions),
        first_weights_at=tuple(t for t in kept if t < reached),
        **_sampled(solutions, sum(t < reached for t in kept)),
        status="interrupted" if interrupted else status,
        message=message,
        _problem=(network, training, teacher),
    )


def _sampled(solutions: list[Solution], n_kept: int) -> dict[str, Any]:
    """The features of all randomizations, start and kept steps."""
    if not n_kept:
        return {}
    starts, rows = zip(*((s.start, s.rows) for s in solutions), strict=True)
    return {
        "sampled_start": np.concatenate(starts, axis=1),
        "sampled_first": np.concatenate([each[:n_kept] for each in rows], axis=2),
    }


def _to_accuracy(randomize, accuracy: float, n_paths: int, n_scrambles: int):
    """Solutions, with more paths while their directions ask for them, and then more of them until they are accurate.

    Returns them with their errors, whether all of them were completed, n_paths, and what is to be said.
    """
    while True:
        try:
            solutions, errors, complete = randomize(n_paths, n_scrambles)
            needed = PER_DIRECTION * max(s.noise.shape[-1] for s in solutions)
        except projection.TooFewPaths as trouble:
            needed = trouble.needed
        else:
            if needed <= n_paths or not complete or any(s.status == "diverged" for s in solutions):
                break
        n_paths = 2 ** int(np.ceil(np.log2(needed)))
    while complete and all(s.status == "ok" for s in solutions):
        curves = [np.array([e[:, 0] for e in errors]), np.array([np.array(s.train)[:, 0] for s in solutions])]
        now = _accuracy(curves[0].mean(axis=0), *map(stderr, curves))
        if now <= accuracy:
            break
        if len(solutions) >= MOST:
            said = (
                f"the standard error is {100 * now:.2g} % after {MOST} randomizations, and not the "
                f"{100 * accuracy:.2g} % asked for; pass larger n_paths and n_scrambles to come closer"
            )
            return solutions, errors, complete, n_paths, said
        total = min(int(np.ceil(len(solutions) * min(1.1 * (now / accuracy) ** 2, 16))) + 1, MOST)
        found, each, complete = randomize(n_paths, total - len(solutions))
        solutions, errors = solutions + found, errors + each
    return solutions, errors, complete, n_paths, ""


def _accuracy(generalization: Array, *errors: Array) -> float:
    """The largest of these standard errors (T'+1,), in units of the generalization error."""
    return float(np.max([error / np.maximum(generalization, 1e-300) for error in errors]))


def _first_sizes(problem: Problem, accuracy: float, least: int) -> tuple[int, int]:
    """n_paths and n_scrambles to begin with: paths for the directions that noise and kinks bring at every step, and for
    a bias of order 1 / n_paths far below the accuracy."""
    n_paths, n_scrambles = FIRST
    rough = problem.rule.batch_fraction < 1 or problem.network.has_kink(problem.rule.loss)
    K = (
        problem.rule.n_steps * problem.network.widths[0] * int(np.count_nonzero(problem.overlaps.fractions))
        if rough
        else 0
    )
    at_least = max(n_paths * ACCURACY / accuracy, 2**11, PER_DIRECTION * K, least)
    return 2 ** int(np.ceil(np.log2(at_least))), n_scrambles


def _require_tangent_memory(problem: Problem, n_paths: int, remedy: str) -> None:
    T = problem.rule.n_steps
    n_bytes = tangent.Responses.memory_bytes(T, problem.network.widths[0], n_paths)
    require_memory(n_bytes, f"the tangent recursion over {T} steps and {n_paths} paths", remedy)


def _solve_responses(problem: Problem, n_paths, n_scrambles, rng):
    """Tangent recursions of at most a gigabyte each, for R and rho."""
    T, q, known = problem.rule.n_steps, problem.network.widths[0], problem.overlaps.loadings.shape[1]
    n_paths = max(16 * (known + 1), min(n_paths, 2**12, 2**30 // tangent.Responses.memory_bytes(max(T, 1), q, 1)))
    _require_tangent_memory(problem, n_paths, "lower n_steps or the width, or leave out responses=True")
    return _randomizations(partial(tangent.solve, problem, n_paths=n_paths), rng, n_scrambles, T, "response kernels")[0]


def _randomizations(solve, rng, n_scrambles, n_steps, label):
    """Run `solve(rng=, step=)` for independent randomizations, on as many threads as there are cores.

    Returns the solutions and a further generator for each. When interrupted, the complete ones are returned, or else
    the longest incomplete one.
    """
    children = [child.spawn(2) for child in rng.spawn(n_scrambles)]
    jobs = [lambda step, first=first: solve(rng=first, step=step) for first, _ in children]
    solutions = in_threads(jobs, n_steps + 1, label, lambda solution: solution.status == "interrupted")
    complete = [(s, second) for s, (_, second) in zip(solutions, children, strict=True) if s.status != "interrupted"]
    if not complete:
        longest = max(range(n_scrambles), key=lambda i: len(solutions[i].train))
        if not solutions[longest].train:
            raise KeyboardInterrupt
        complete = [(solutions[longest], children[longest][1])]
    kept, random = zip(*complete, strict=True)
    return list(kept), list(random)
