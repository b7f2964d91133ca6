"""Gradient descent on Gaussian features too many to store: exact in law, drawn only where training looks.

The first-layer weights meet X through a few products alone, so X is drawn by conditioning on what they have revealed
(Y. M. Lu, *Householder dice*, arXiv:2101.07464). In orthonormal frames of R^m and R^n that grow with the run, X w is
known for w in the span of the frame r_1, .., r_b, and X^T l for l in the span of Q; the rest of X is fresh.

========== ============================================================ ===========
symbol     name                                                         shape
========== ============================================================ ===========
Q          orthogonal basis of S_0, S_1, .., rows of length sqrt(m)     (K, m)
r_1 .. r_b frame of R^n: the signal, the initial weights, then what     (n,) each
           X^T Q_k adds to it; never written out, only its columns are
X r_j      columns of X in that frame                                   (k+q+K, m)
w_t        W_1 in that frame                                            (q, k+q+K)
========== ============================================================ ===========

When S_t brings d new rows of Q, X^T Q^T / sqrt(m) has a fresh Gaussian part (n - b, d) outside of the frame. Its QR
decomposition R T adds d directions R to the frame, and T is upper triangular: chi variables with n - b, n - b - 1, ..
degrees of freedom on the diagonal, standard Gaussian above it. The new columns X R are then known along Q:
T Q / sqrt(m) along the new rows, 0 along the old ones, whose X^T Q^T lies in the old frame. Orthogonally to all of Q
they are fresh Gaussian. As m, n grow T / sqrt(m) becomes the identity over sqrt(phi), and this is theory 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common import (
    Array,
    Result,
    available_cores,
    brief,
    counted,
    first_and_last,
    generator,
    integer,
    one_blas_thread,
    progress,
    require_memory,
    thread_pool,
)
from ..model import Network, Overlaps, Small, Teacher, Training, label_columns, validate_problem
from ..recursion import STRIPE, Rows
from .projection import descend_on_columns
from .solution import generalization_errors, require_start, validate_tolerance


@dataclass(frozen=True, eq=False, repr=False)
class DiceRun(Result):
    """One training run on features that were never stored. T' <= T is the last step reached.

    Attributes
    ----------
    train_error, generalization_error : (T'+1,)
        Mean squared errors, the second one an integral over fresh Gaussian features.
    deep_weights : tuple of (T'+1, fan_in, fan_out)
        W_2, .., W_L at every step.
    biases : tuple of (T'+1, width)
        b_1, .., b_L at every step, of a network that has them.
    loadings : (T'+1, q, k + q + K)
        W_1 in the orthonormal frame that the run has revealed; the signals lie along its first k vectors.
    signal_loadings : (k, k + q)
        The signals in that frame.
    n_samples, n_features : int
    status : str
        ``"ok"``, ``"diverged"``, ``"interrupted"`` or ``"inaccurate"``.
    message : str
        What happened and what to do, empty when all went well.
    """

    train_error: Array
    generalization_error: Array
    deep_weights: tuple[Array, ...]
    loadings: Array
    signal_loadings: Array
    n_samples: int
    n_features: int
    biases: tuple[Array, ...] = ()
    status: str = "ok"
    message: str = ""

    def _summary(self):
        return {
            "sizes": f"{counted(self.n_samples, 'sample')}, {counted(self.n_features, 'feature')}, "
            f"{counted(self.loadings.shape[2], 'direction')}",
            "train_error": first_and_last(self.train_error),
            "generalization_error": first_and_last(self.generalization_error),
            "deep_weights": brief(self.deep_weights),
        } | self._status()

    @property
    def C(self) -> Array:
        """Overlaps ``C[t, s] = W_1^(t)T W_1^(s)`` of this run, (T'+1, T'+1, q, q)."""
        return np.einsum("tak,sbk->tsab", self.loadings, self.loadings, optimize=True)

    @property
    def c(self) -> Array:
        """Overlaps ``c[t] = W_1^(t)T mu`` of this run, (T'+1, q), or (T'+1, q, k) for k > 1 signals."""
        k, known = self.signal_loadings.shape
        c = self.loadings[:, :, :known] @ self.signal_loadings.T
        return c[..., 0] if k == 1 else c


@one_blas_thread
def householder_dice(
    network: Network,
    training: Training,
    teacher: Teacher,
    overlaps: Overlaps,
    n_samples: int,
    n_features: int,
    *,
    tolerance: float = 1e-3,
    n_paths: int = 2**14,
    dtype=np.float32,
    rng=None,
) -> DiceRun:
    """One run of gradient descent on Gaussian features, without ever forming X.

    The run has the law of `gradient_descent` on m x n drawn features, at every size and not only in the limit, up to
    `tolerance` and rounding. It keeps 2 K m numbers instead of m n, where K <= q n_steps is the number of directions
    its gradients span, and takes a time in proportion to n_steps K m whatever n is.

    Parameters
    ----------
    network, training, teacher
        The problem.
    overlaps : Overlaps
        Where the run starts: all weights and signals with these overlaps have the same law of runs.
    n_samples, n_features : int
        m and n; n at least k + q + q n_steps and m at least q n_steps, below which X is small enough for
        `gradient_descent`.
    tolerance : float
        The part of a gradient outside of the directions known is dropped below this fraction of its size; it enters the
        errors squared. A tolerance below 3.5e-4 needs ``dtype=float64``.
    n_paths : int
        Sample paths of the integral for the generalization error.
    dtype : float32 or float64
        Of all arrays with m columns.
    rng : None, int or numpy Generator
        The same seed gives the same run, on any number of threads.

    Returns
    -------
    DiceRun
        A run that diverges or is interrupted returns what it reached, with `status` and `message`.

    Raises
    ------
    ValueError
        When the parts do not fit each other, or m or n is too small for the number of steps.
    MemoryError
        When the directions do not fit into memory.

    Examples
    --------
    >>> import numpy as np, sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, deep=([[1.0], [-0.5]],))
    >>> problem = network, sedyn.Training(0.2, 10), sedyn.SingleIndex("tanh", 0.1), overlaps
    >>> run = sedyn.householder_dice(*problem, n_samples=20000, n_features=10000, rng=0)
    >>> theory = sedyn.state_evolution(*problem, aspect_ratio=2.0, rng=0)
    >>> bool(np.all(np.abs(run.train_error / theory.train_error - 1) < 0.1))
    True
    """
    problem = validate_problem(network, training, teacher, overlaps, np.nan)  # m / n once both are known to be numbers
    problem.rule.require_linear("householder_dice", "train on drawn features, sedyn.gradient_descent or sedyn.simulate")
    T, q, k = problem.rule.n_steps, network.widths[0], overlaps.n_indices
    if np.any(overlaps.blocks != 1):
        raise ValueError(
            "householder_dice draws features of variance 1; give overlaps without blocks, measured without covariance"
        )
    least = {"n_samples": max(1, q * T), "n_features": k + q + q * T}
    m, n = (
        integer(
            value,
            name,
            least[name],
            f"an integer of at least {least[name]} for q = {q} and n_steps = {T} (on fewer, sedyn.gradient_descent "
            "does the same)",
        )
        for name, value in (("n_samples", n_samples), ("n_features", n_features))
    )
    problem = problem._replace(aspect_ratio=m / n)
    tolerance, dtype = validate_tolerance(tolerance, dtype)
    n_paths, rng = integer(n_paths, "n_paths"), generator(rng)
    require_memory(8.0 * m * (k + q + 4), f"n_samples = {m}", "lower n_samples")
    require_memory(16.0 * n_paths * (k + q + 1), f"n_paths = {n_paths}", "lower n_paths")
    first, along = rng.standard_normal((k + q, m), dtype), overlaps.signal_loadings
    Y = label_columns(teacher.labels(along @ first, rng.standard_normal(m)), network.widths[-1])
    bar = iter(progress(range(T + 1), T + 1, "householder dice"))

    def twins(d, t):
        return rng.standard_normal((d, m), dtype)

    def own(d):
        return gaussian_triangle(n - len(columns), d, rng) / np.sqrt(m)

    with np.errstate(over="ignore", invalid="ignore"), thread_pool(available_cores()) as pool:
        columns = Rows(np.full(m, 1 / m), dtype, pool.map if m > STRIPE else map)
        columns.append(first)
        solution = descend_on_columns(
            problem, columns, Y, twins, own, rng=rng, step=lambda: next(bar), tolerance=tolerance
        )
    require_start(solution)
    if not solution.train:  # interrupted before there was anything to keep
        raise KeyboardInterrupt
    small = Small.stacked(solution.small)
    return DiceRun(
        train_error=np.array(solution.train)[:, 0],
        generalization_error=generalization_errors(problem, solution, n_paths, rng)[:, 0],
        deep_weights=small.deep,
        biases=small.biases,
        loadings=np.concatenate([solution.loadings, solution.noise], axis=2),
        signal_loadings=along,
        n_samples=m,
        n_features=n,
        status=solution.status,
        message=solution.message,
    )


def gaussian_triangle(n_rows: int, d: int, rng: np.random.Generator) -> Array:
    """T (d, d) of the QR decomposition R T of a standard Gaussian matrix (n_rows, d), drawn without that matrix."""
    return np.triu(rng.standard_normal((d, d)), 1) + np.diag(np.sqrt(rng.chisquare(float(n_rows) - np.arange(d))))
