"""The generalization error from the training data alone (theory 5). Never sees the teacher or the theory's solvers."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Callable

import numpy as np

from ..common import Array, counted, finite_array, generator, integer, number, one_blas_thread, progress, shown
from ..model import Loss, Network, Small, Training, Weights
from ..runs import Recorder, Trajectory, descend, validate_run, validate_sample_weight
from .assumptions import AssumptionWarning, _moments, _unsteady, check_assumptions
from .features import FeatureTests
from .groups import Groups, find_groups, suspected_links
from .kicks import KickedMemory
from .memory import LONG, ExactMemory, NudgedMemory
from .spectrum import spectrum_of

METHODS = ("nudges", "kicks", "exact")
MARGIN = 0.25  # of the variance that comes through the weights, in runs of up to LONG steps
TOLERANCE = 3e-2  # of the basis of gradients; smaller ones let more noise in
AMPLIFIED = 0.06  # such weights per row, from which on it is said
TENTH = 0.1  # of the estimate: a row that carries more is named
TURNED, FLAT = 1.03, 1.003  # of the least estimate: it has risen; it has not fallen since two thirds of the run
UNIT = Loss("output", lambda f, y: np.ones_like(f))  # its gradients are those of the output itself


@one_blas_thread
def augmented_gradient_descent(
    network: Network,
    training: Training,
    weights: Weights,
    X: Array,
    y: Array,
    test: tuple[Array, Array] | None = None,
    *,
    covariance=None,
    unlabelled=None,
    groups=None,
    sample_weight=None,
    metrics=(),
    monitor: str = "squared",
    until_turned: bool = False,
    feature_tests: bool = False,
    method: str | None = None,
    tolerance: float = TOLERANCE,
    n_reruns: int | None = None,
    first_weights_at=(),
    preactivations_at=(),
    dtype=np.float64,
    rng=None,
) -> Trajectory:
    """Gradient descent that estimates its own generalization error along the run (theory 5).

    All rows run along a few more times with their fresh preactivations nudged. That measures how much each training
    preactivation owes to the row's own label; it is taken away, and the rest scored against the label. No teacher, no
    noise level, no held-out rows, and no second derivative: activations and losses may have kinks.

    Parameters
    ----------
    network, training, weights, X, y, test, sample_weight, metrics, first_weights_at, preactivations_at, dtype
        As for `gradient_descent`; `test` is only scored, never used. The metrics are estimated, too, and all estimates
        are weighted means where rows have weights.
    covariance : None, (n_features,) or (n_features, n_features) array
        Of the features, which must have mean 0: their variances (or the eigenvalues of their covariance), or a
        symmetric matrix. None: the identity, independent features of variance 1, unless there are `unlabelled` rows.
        With kicks (`method`) neither this nor `unlabelled` is used.
    unlabelled : None or (k, n_features) array
        Rows from which the spectrum of the covariance is estimated (`population_spectrum`), at least 12, k and n of one
        order; ``unlabelled=X`` takes the training rows themselves, one row of each group.
    groups : None or (m,) array of labels
        Which rows belong together (visits of one subject, copies, augmented versions): rows of different groups are
        independent, and a fresh row comes from a new group. Rows that repeat others exactly are found without.
    monitor : str
        What `best_step` minimizes: ``"squared"``, or one of the `metrics` by its name.
    until_turned : bool
        End the run once the monitored estimate has turned (3 % above its least value, and half as many steps again
        passed since), has been flat over the last third of the steps, or training has become unsteady.
    feature_tests : bool
        Whether to test for every feature that the labels do not depend on it given the others (theory 9):
        `feature_pvalues` and `feature_effects` of the run, by the sum of the gradients over all steps. Known variances
        (n,) are taken as those of independent features, a matrix as what it is; further `unlabelled` rows should be
        six times as many as features; ``unlabelled=X`` asks for m > n. At most twice the time.
    method : str, optional
        ``"nudges"``, the default for plain gradient descent of the first layer: all rows run along again with their
        fresh preactivations nudged (theory 5). ``"kicks"``, the default and the only one where it has an `Optimizer`:
        training is repeated on the same rows with small kicks to all gradients, which takes longer and needs no
        covariance of the features (theory 10). ``"exact"``: the recursion over all pairs of steps, m (T q)^2 numbers,
        the reference for smooth activations and losses and independent rows.
    tolerance : float
        Nudges and kicks: a gradient enlarges the basis when this fraction of its size lies outside.
    n_reruns : int, optional
        How many times the rows are rerun, at least 2; by default about 3500 / m with nudges, more for long runs or few
        groups, fewer for m much larger than n where all features have one variance; with kicks 4, or 2000 / m. More
        cost more and leave less to chance.
    rng : None, int or numpy Generator
        For the batches, which are those of `gradient_descent` with the same seed, and for the reruns.

    Returns
    -------
    Trajectory
        With `estimated_error` (T'+1,), the estimated mean squared error on fresh rows at every step; its standard
        error `estimated_stderr`; `estimated_metrics`; `left_out_outputs`; `n_groups`; and `warnings`, also issued as
        `AssumptionWarning`, where the data violate what the estimate assumes (few rows, heavy tails, a covariance that
        is not the one given, rows that seem linked) or it is uncertain.

    Raises
    ------
    ValueError
        As `gradient_descent`, and for an unknown method, a covariance that is none, both covariance and unlabelled
        rows, groups that are not one label per row, or a single group. ``method="exact"`` refuses kinks and groups;
        `feature_tests` refuse groups, repeats, sample weights, and a covariance that is not known well enough.
    MemoryError
        When ``method="exact"``, or the basis of a wide network, does not fit.

    Notes
    -----
    The standard error at step t is that of (estimate - true error of these very weights). With losses l_i, their slopes
    g_i in the left-out preactivations, what rows owe to their own gradients o_i, and
    ``[a, b] = sum over groups of sum_ii' cos_ii' a_i b_i'^T``,

    ``stderr^2 = (1/m^2) sum over groups (sum_i (l_i - mean))^2 + max(margin (tr [g, g][o, o] + tr [o, g]^2),
    ratio tr [o, g]^2) / (m^2 n)``.

    The first term alone, which treats left-out losses as independent, is too small late in training: two rows move
    each other's loss. ``ratio``, 1 to 10 and growing as m / n comes near 1, is how much more leaving out a row changes
    through all other rows; with kinks it is not known and left at 1. The margin of a quarter, growing with the square
    root of n_steps beyond 60, stands for what the reruns leave to chance; it makes coverage what it should be (docs,
    "What is checked").

    Where the columns of X have mean 0 over the training rows themselves (standardised on them), a fresh row varies by a
    few / m more than they do, and a gradient that all rows share moves nothing; both are accounted for.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> X, y = sedyn.SingleIndex("tanh", 0.1).sample(120, sedyn.random_signal(80, rng=0), rng=1)
    >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 10), network.init(80, rng=2), X, y)
    >>> bool(run.estimated_error[-1] > run.train_error[-1]), run.estimated_stderr.shape
    (True, (11,))
    """
    weights, X, y, test, metrics = validate_run(network, training, weights, X, y, test, metrics, dtype)
    rule = training.rule(network.n_layers)
    sample_weight = validate_sample_weight(sample_weight, y)
    monitored = ("squared", *metrics.names)
    if not (isinstance(monitor, str) and monitor in monitored):
        raise ValueError(
            f"monitor must be one of {', '.join(monitored)}, the metrics of this run; got {shown(monitor)}"
        )
    watched = monitored.index(monitor)
    if method is None:
        method = "nudges" if rule.linear else "kicks"
    if not (isinstance(method, str) and method in METHODS):
        raise ValueError(f"unknown method {shown(method)}; use one of {', '.join(METHODS)}, or leave it out")
    if method == "nudges":
        rule.require_linear("method='nudges'", "leave it out, and kicks measure what any update does")
    tolerance = number(tolerance, "tolerance", "lie between 0 and 1", lambda x: 0 < x < 1)
    n_reruns = None if n_reruns is None else integer(n_reruns, "n_reruns")
    n, T = X.shape[1], rule.n_steps
    unlabelled = None if unlabelled is None else finite_array(unlabelled, "unlabelled")
    with np.errstate(over="ignore"):
        own = unlabelled is not None and np.array_equal(unlabelled.astype(X.dtype, copy=False), X)
    centred, fresh_scale = _own_scaling(X, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):  # of X or y that are too large: the first step says so
        related, said = find_groups(groups, X)
    if own and related.kappa is not None:  # linked rows would pass for correlated features
        unlabelled = X[np.unique(related.index, return_index=True)[1]]
    spectrum = spectrum_of(covariance, unlabelled, n)  # which kicks do without
    rng = generator(rng)
    chance = rng.spawn(1)[0]  # beside the batches
    memory: NudgedMemory | ExactMemory | KickedMemory
    tests = None
    if feature_tests:
        rule.require_linear("feature_tests=True", "test features along a run without it")
        if related.kappa is not None or sample_weight is not None:
            raise ValueError(
                "feature_tests take independent rows of equal weight alone"
                f"{': ' + said if said else ''}; remove repeats, or train without groups and sample_weight"
            )
        given = None if unlabelled is None or own else unlabelled
        tests = FeatureTests(X, y, network.widths[0], covariance, given, own, rng.spawn(1)[0])
        if method == "kicks":
            raise ValueError("feature_tests take part in the reruns of method='nudges'; leave method out")
    beside = None if tests is None or tests.own else tests  # whose reruns go with the memory's
    if method == "exact":
        network.require_smooth("method='exact'", rule.loss)
        if related.kappa is not None:
            raise ValueError(f"method='exact' takes independent rows alone{': ' + said if said else ''}; use 'nudges'")
        if not rule.linear and (covariance is not None or unlabelled is not None):
            raise ValueError("method='exact' with an optimizer is for independent features of variance 1; use 'kicks'")
        if rule.optimizers[0] is not None and rule.optimizers[0].jumps:
            raise ValueError(
                f"method='exact' needs derivatives, and a step of {type(rule.optimizers[0]).__name__} jumps with its "
                "gradient, or all but jumps; use 'kicks', or an epsilon of 1e-3 or more"
            )
        memory = ExactMemory(network, rule, weights.first, y, spectrum, centred, sample_weight, beside)
    elif method == "kicks":
        uneven = max(1.0, _moments(X, np.einsum("ij,ij->i", X, X), related)[1])
        further = tolerance, n_reruns, related, centred, sample_weight, uneven, chance
        memory = KickedMemory(network, rule, weights.first, X, y, *further)
    else:
        memory = NudgedMemory(
            network,
            rule,
            weights.small,
            y,
            n,
            spectrum,
            tolerance,
            n_reruns,
            related,
            centred,
            sample_weight,
            chance,
            beside,
        )
    # what small weights owe to a row is neglected: about one part in m for each that such an optimizer moves
    amplified = rule.sign_like_weights(weights.small) / y.shape[-1]
    margin = 1 + MARGIN * np.sqrt(max(1.0, T / LONG))
    recorder = Recorder(network, rule, y, test, metrics, first_weights_at, preactivations_at, sample_weight)
    estimates: list[list[float]] = []
    errors: list[list[float]] = []
    at_steps: list[Array] = []
    trouble, best, best_step, stopped_first, kept = "", np.inf, 0, weights.first, np.zeros(y.shape)
    # a pause of the first layer is part of the recursion; after its last move the memory stays what it is
    last = max((t for t in range(T) if rule.moves(t, 0)), default=-1)
    steps = descend(network, rule, weights, X, y, rng, sample_weight=sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for state in progress(steps, T + 1, "augmented gradient descent"):
                left_out = fresh_scale * (state.u - memory.memory)  # as if its group had not been trained on
                f, estimate, error = _score(
                    network, metrics, left_out, state.small, y, memory, related, n, margin, sample_weight
                )
                if memory.without is not None and state.t:
                    others = (network.output(fresh_scale * (state.u - each), state.small) for each in memory.without())
                    estimate, error = _jackknife(estimate, error, metrics, list(others), y, sample_weight)
                if state.t:
                    error = list(np.hypot(error, amplified * np.array(estimate)))
                if state.t and not np.all(np.isfinite([*estimate, *error])):
                    recorder.diverge(state.t, "the estimate is no longer a finite number")
                    break
                if not recorder.record(state):
                    break
                if state.t in recorder.first_at:
                    at_steps.append(f.T)  # as rows, when they leave
                estimates.append(estimate)
                errors.append(error)
                trouble = trouble or _unsteady(estimates, recorder.train, rule.loss.name)
                if estimate[watched] < best and not trouble:
                    best, best_step, stopped_first, kept = estimate[watched], state.t, state.first, f
                    at_best = state.u, memory.memory, state.small
                if until_turned and (trouble or _turned([row[watched] for row in estimates], best_step)):
                    break
                if state.t <= last:
                    if tests is not None and tests.own:
                        tests.retrain(network, rule, state)
                    elif tests is not None:
                        tests.follow(state.first, state.u)
                    memory.extend(state)
        except KeyboardInterrupt:
            recorder.interrupt()
    reached = min(len(errors), len(recorder.small))
    estimated, stderr = np.array(estimates)[:reached], np.array(errors)[:reached]
    final = max(estimated[-1, 0], 1e-300)
    share = 1 - recorder.train[reached - 1][0] / final  # of the estimate, what the memory adds to the training error
    precision = min(0.25, stderr[-1, 0] / final / max(share, 0.1))
    n_small = sum(W.size for W in weights.deep) if any(rule.moves(t, 1) for t in range(T)) else 0
    with np.errstate(over="ignore", invalid="ignore"):
        links = suspected_links(X, related)
        # products of linked rows say nothing of the covariance
        free = links or own or method == "kicks"
        found = check_assumptions(X, y, spectrum, related, n_small, np.inf if free else precision)
    found += [links] if links else []
    found += _judged(
        network, metrics.scorers[watched], X, y, kept, at_best, sample_weight, fresh_scale, estimates[0][watched]
    )
    loose = np.flatnonzero(stderr[:, watched] > 0.25 * estimated[:, watched])
    if len(loose) and (loose[0] <= best_step or not until_turned):  # beyond it only the turn is looked for
        found.append(f"the estimate is uncertain by more than 25 % at step {loose[0]}; use more rows or stop earlier")
    if amplified > AMPLIFIED:
        found.append(
            f"{counted(round(amplified * y.shape[-1]), 'deep weight')} (with biases) and {y.shape[-1]} rows, under an "
            "optimizer that makes large steps of small gradients: what these weights owe to a row is neglected, and "
            "the estimate reads low; use more rows, or plain gradient descent for these layers"
        )
    if trouble:
        found.append(trouble)
    tested: dict = {}
    if tests is not None:
        found += tests.warnings
        if recorder.status != "diverged":
            tested = tests.result(None if tests.own else memory.R)
        if not tested:
            found.append("training diverged or moved nothing, and its features were not tested")
        elif trouble:
            found.append("p-values hold the steps in which training was unsteady, and are uncertain")
    for text in found:
        python_warnings.warn(text, AssumptionWarning, stacklevel=3)  # past the decorator
    return recorder.trajectory(
        estimated_error=estimated[:, 0],
        estimated_stderr=stderr[:, 0],
        estimated_metrics=estimated[:, 1:] if metrics.names else None,
        estimated_metrics_stderr=stderr[:, 1:] if metrics.names else None,
        best_step=best_step,
        monitor=monitor,
        left_out_outputs=np.ascontiguousarray(kept.T),
        left_out_kept=np.stack(at_steps) if at_steps else None,
        labels=np.ascontiguousarray(y.T, float),
        sample_weight=sample_weight,
        network=network,
        stopped_first=stopped_first,
        n_groups=related.n_groups,
        **tested,
        warnings=tuple(found),
    )


def _jackknife(estimate, error, metrics, others: list[Array], y: Array, weight: Array | None):
    """Estimates and standard errors with what the P further runs leave to chance, from estimates without one of them:
    freed of a bias of order 1 / P, and widened by their spread."""
    P = len(others)
    found = np.array([metrics.means(f - y, y, weight) for f in others])
    mean, estimate = found.mean(axis=0), np.array(estimate)
    spread = (P - 1) / P * np.square(found - mean).sum(axis=0)
    bias = np.clip((P - 1) * (mean - estimate), -np.abs(estimate) / 2, np.abs(estimate) / 2)
    return list(estimate - bias), list(np.sqrt(np.square(error) + spread))


def _judged(network, score, X, y, kept, at_best, weight, fresh_scale, at_start) -> list[str]:
    """What moves the estimate at the best step: one row by a tenth, or the lengths of the rows by a fifth.

    A row of |x|^2 / n above the average owes more to itself by that factor.
    """
    u, memory, small = at_best
    weight = 1.0 if weight is None else weight
    with np.errstate(over="ignore", invalid="ignore"):
        losses = weight * score(kept, y)
        norms = np.einsum("ij,ij->i", X, X)
        scaled = network.output(fresh_scale * (u - norms / max(norms.mean(), 1e-300) * memory), small)
        moved = float(np.sum(weight * score(scaled, y)) / max(losses.sum(), 1e-300)) - 1
    found = []
    if losses.max() > max(TENTH, 12 / len(X)) * losses.sum() and losses.mean() < 0.95 * at_start:
        found.append(
            f"heavy tails: one row carries {losses.max() / losses.sum():.0%} of the estimated error; fresh rows may be "
            "far worse, or far better; look at it, or transform the labels"
        )
    if abs(moved) > 2 * TENTH:
        found.append(
            f"leverage: rows differ in length, and what they owe to themselves changes the estimate by {moved:+.0%} "
            "when it is scaled by that; remove or clip outlying rows or features"
        )
    return found


def _turned(curve: list[float], best_step: int) -> bool:
    """Whether the estimate has clearly risen since its least value, or has stopped falling."""
    t, least = len(curve) - 1, curve[best_step]
    if t >= 1.5 * best_step + 20 and curve[-1] > TURNED * least:
        return True
    return t >= 60 and min(curve[: 2 * t // 3]) < FLAT * least


def _own_scaling(X: Array, weight: Array | None = None) -> tuple[bool, float]:
    """Whether the columns of X have mean 0 over these very rows, and how much larger a fresh row's preactivations are.

    A fresh row varies by (m + 1) / (m - 1) more around the mean of m rows than they do; where their mean square is 1,
    too, by (m + 1) / (m - 3) in units of it.
    """
    weight = np.ones(len(X)) if weight is None else weight.astype(float)
    m = len(X) ** 2 / float(weight @ weight)
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.einsum("i,ij,ij->j", weight, X, X) / len(X)
        centred = np.all(np.abs(weight @ X / len(X)) <= 1e-5 * np.sqrt(square))
        scaled = np.ptp(square[square > 0]) <= 1e-5 * square.max() if np.any(square > 0) else False
    if not centred or m < 5 or not square.any():
        return False, 1.0
    return True, float(np.sqrt((m + 1) / (m - 3 if scaled else m - 1)))


# what moves left-out preactivations of covariance F moves a metric, which may jump: its slopes are differences so far
def _slopes(network: Network, u: Array, V: Small, y: Array, F: Array) -> tuple[Callable, Array]:
    """The slopes (q, m) of a metric in u as a function of it and the rows' weights; and the outputs."""
    slopes, _, residual = network.gradients(u, y, V, UNIT)  # df/du
    f = residual + y
    far = np.sqrt(np.maximum(np.einsum("ai,ai->i", slopes, F @ slopes), 0)) + 1e-6 * np.abs(f) + 1e-300

    def slope_of(score, weight):
        slope = (score(f + far, y) - score(f - far, y)) / (2 * far)
        return slopes * (slope if weight is None else weight * slope)

    return slope_of, f


def _slopes_of_several(network: Network, u: Array, V: Small, y: Array, F: Array) -> tuple[Callable, Array]:
    """The same for several outputs, which move together: along the principal directions of F."""
    q, finite = len(u), np.all(np.isfinite(F))
    values, directions = np.linalg.eigh(F) if finite else (np.full(q, np.nan), np.eye(q))
    far = np.sqrt(np.maximum(values, 0)) + 1e-6 * np.sqrt(np.mean(np.square(u))) + 1e-300
    ends = [[network.output(u + sign * move[:, None], V) for sign in (1, -1)] for move in (far * directions).T]

    def slope_of(score, weight):
        along = np.array([score(up, y) - score(down, y) for up, down in ends]) / (2 * far[:, None])
        return directions @ (along if weight is None else weight * along)

    return slope_of, network.output(u, V)


def _score(
    network: Network,
    metrics,
    left_out: Array,
    V: Small,
    y: Array,
    memory,
    groups: Groups,
    n: int,
    margin: float,
    weight: Array | None,
) -> tuple[Array, list[float], list[float]]:
    """Outputs for left-out preactivations, each metric's mean over them, and its standard error."""
    m, own, y = y.shape[-1], memory.own, y.astype(float)
    left_out, mixed_own = left_out.astype(float), groups.mix(own)
    F = memory.spread * own @ mixed_own.T / n  # variance of a fresh preactivation over training sets
    total = np.trace(F)
    jackknife = memory.jackknife
    echo = np.trace(jackknife) / total if jackknife is not None and total > 0 else 1.0
    slope_of, f = (_slopes if y.ndim == 1 else _slopes_of_several)(network, left_out, V, y, F)
    related = groups.n_groups / (groups.n_groups - 1)  # one mean is known
    means, errors = [], []
    for score in metrics.scorers:
        loss, g = score(f, y), slope_of(score, weight)
        if weight is not None:
            loss = weight * loss
        mean = loss.sum() / m
        around, mixed = groups.sums(loss - (mean if weight is None else weight * mean)), groups.mix(g)
        B_gg, B_Ng = g @ mixed.T, own @ mixed.T
        pairs = np.vdot(B_Ng, B_Ng.T) / n
        through = max(margin * (np.vdot(B_gg, F) + pairs), echo * pairs, 0.0)
        means.append(float(mean))
        errors.append(float(np.sqrt(related * around @ around + through) / m))
    return f, means, errors
