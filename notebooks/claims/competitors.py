"""Leave-one-out and generalized cross-validation beside the estimate, along gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

from sedyn import Network, SingleIndex, Training, Weights, agreement_test, population_errors, random_signal

from .base import BLUE, GREEN, GREY, PURPLE, RED, Array, Claim, claim, mean_and_error, measured, slope, stacked
from .problems import estimated_run

ESTIMATES = {  # name and colour
    "estimate": ("augmented gradient descent", GREEN),
    "leave-one-out": ("leave-one-out, by retraining", BLUE),
    "generalized": ("generalized cross-validation", PURPLE),
    "training": ("training error", GREY),
}
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {  # with the derivative as a function of the value
    "identity": (lambda u: u, np.ones_like),
    "tanh": (np.tanh, lambda h: 1 - h**2),
}
STEP_SIZE, NOISE = 0.3, 0.5


def competitor_problem(kind: str, n: int, T: int, rng) -> tuple[Network, Training, Weights, SingleIndex, float]:
    """A linear network, least squares by gradient descent from 0, or one of two tanh neurons; last the aspect ratio."""
    if kind == "linear":
        weights = Weights(np.zeros((n, 1)), (np.ones((1, 1)),))
        network, training = Network((1, 1), ("identity", "identity")), Training((STEP_SIZE, 0.0), T)
        return network, training, weights, SingleIndex(lambda z: z, NOISE), 1.0
    network = Network((2, 1), ("tanh", "identity"))
    weights = Weights(network.init(n, rng=rng).first, (np.array([[1.0], [-0.7]]),))
    return network, Training(STEP_SIZE, T), weights, SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), NOISE), 1.5


def copies(kind: str, problem: tuple, X: Array, labels: Array, kept: Array) -> Array:
    """Outputs at row i of copy i, trained on its own labels (m, copy) and the rows it keeps (m, copy), at every step.

    All m copies of a two-layer network descend at once: (n_steps + 1, m). The same as m calls of `gradient_descent`.
    """
    training, weights = problem[1], problem[2]
    value, derivative = ACTIVATIONS["identity" if kind == "linear" else "tanh"]
    (m, n), q = X.shape, weights.first.shape[1]
    W = np.tile(weights.first[:, :, None], m).reshape(n, -1)  # (feature, neuron * copy)
    v = np.tile(weights.deep[0], m)  # (neuron, copy)
    factor = kept / kept.sum(axis=0)
    outputs = np.zeros((training.n_steps + 1, m))
    for t, (first, second) in enumerate([*training.step_sizes(2), (0, 0)]):
        h = value(X @ W).reshape(m, q, m)  # (row, neuron, copy)
        f = np.einsum("iqk,qk->ik", h, v)
        outputs[t] = np.diag(f)
        if t < training.n_steps:
            residual = factor * (f - labels)
            S = residual[:, None] * derivative(h) * v
            W -= first * X.T @ S.reshape(m, -1)
            v = v - second * np.einsum("iqk,ik->qk", h, residual)
    return outputs


def leave_one_out(kind: str, problem: tuple, X: Array, y: Array) -> Array:
    """Mean squared error at the row left out of each of m trainings, at every step."""
    m = len(y)
    outputs = copies(kind, problem, X, np.tile(y[:, None], m), 1 - np.eye(m))
    return np.mean((outputs - y) ** 2, axis=1)


def degrees_of_freedom(kind: str, problem: tuple, X: Array, y: Array, fitted: Array, nudge: float = 1e-5) -> Array:
    """Sum over rows of d(fitted value) / d(label of the row) at every step.

    Of the linear network the trace of the smoother matrix of t steps, I - (I - step X X^T / m)^t. Of another the same
    trace with the fit linearised in the labels, J. Ye (1998): each label nudged in a training of its own, against the
    fitted values (n_steps + 1, m)."""
    m, training = len(y), problem[1]
    if kind == "linear":
        kept = 1 - STEP_SIZE * np.linalg.eigvalsh(X.T @ X / m)
        return np.array([np.sum(1 - kept**t) for t in range(training.n_steps + 1)])
    nudged = copies(kind, problem, X, y[:, None] + nudge * np.eye(m), np.ones((m, m)))
    return np.sum(nudged - fitted, axis=1) / nudge


@threadpool_limits.wrap(limits=1, user_api="blas")
def competitor_run(kind: str, n: int, T: int, rng) -> dict:
    """Each estimate, the true error of these very weights and the share of degrees of freedom, at every step."""
    problem = network, training, weights, teacher, phi = competitor_problem(kind, n, T, rng)
    signal = random_signal(n, rng=rng)
    X, y = teacher.sample(round(phi * n), signal, rng=rng)
    run = estimated_run(network, training, weights, X, y, first_weights_at="all", rng=rng)
    fitted = np.array([network.predict(run.weights_at(t), X) for t in range(T + 1)])
    share = degrees_of_freedom(kind, problem, X, y, fitted) / len(y)
    return {
        "true": population_errors(network, teacher, run, signal, rng=rng),
        "estimate": run.estimated_error,
        "leave-one-out": leave_one_out(kind, problem, X, y),
        "generalized": run.train_error / (1 - share) ** 2,
        "training": run.train_error,
        "share": share,
    }


def linear_limits(T: int, phi: float = 1.0, n_points: int = 4000) -> dict[str, Array]:
    """Limits for n -> infinity of true error and generalized cross-validation of the linear network, at every step.

    Averages over the law of Marchenko and Pastur, of the eigenvalues of X^T X / m, for m/n = phi >= 1 and |mu| = 1."""
    angle = (np.arange(n_points) + 0.5) * np.pi / n_points  # substituted, the density is smooth up to both ends
    low, high = (1 - phi**-0.5) ** 2, (1 + phi**-0.5) ** 2
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    weight = phi * ((high - low) / 2 * np.sin(angle)) ** 2 / (2 * np.pi * x) * np.pi / n_points
    kept = (1 - STEP_SIZE * x) ** np.arange(T + 1)[:, None]  # of the start, (step, eigenvalue)
    fitted = 1 - kept
    true = kept**2 @ weight + NOISE**2 * (1 + (fitted**2 / x) @ weight / phi)
    trained = (x * kept**2) @ weight + NOISE**2 * (1 - 1 / phi + kept**2 @ weight / phi)
    share = fitted @ weight / phi
    return {"true": true, "generalized": trained / (1 - share) ** 2, "share": share}


@claim
def competitors(paper: bool = False, rng=0) -> Claim:
    """Gap of the estimate, of leave-one-out and of generalized cross-validation to the true error, against n."""
    linear, tanh, T = ((100, 200, 400), (50, 100, 200), 30) if paper else ((40, 80, 160), (40, 80), 24)
    sizes, counts = {"linear": linear, "tanh": tanh}, (40, 24, 16) if paper else (24, 20, 16)
    rng, steps = np.random.default_rng(rng), (T // 4, T // 2, T)
    agreement: dict[str, float] = {}
    p_values: dict[str, float] = {}
    curves: dict[str, dict] = {}
    gaps: dict[str, dict] = {}
    limits = linear_limits(T)
    limits["gap"] = limits["generalized"] / limits["true"] - 1
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.3))
    for ax, (kind, ns) in zip(axes, sizes.items(), strict=False):
        spread, spread_error = (np.zeros((len(ESTIMATES), len(ns))) for _ in range(2))
        for j, (n, count) in enumerate(zip(ns, counts, strict=False)):
            runs = [competitor_run(kind, n, T, rng) for _ in range(count)]
            found = {key: np.array([run[key] for run in runs]) for key in runs[0]}
            gap = {key: found[key] / found["true"] - 1 for key in ESTIMATES}
            for i, key in enumerate(ESTIMATES):
                size, error = mean_and_error(np.mean(gap[key][:, 1:] ** 2, axis=1))
                spread[i, j], spread_error[i, j] = np.sqrt(size), error / (2 * np.sqrt(size))
        name = f"{kind}, n = {ns[-1]}"
        for i, (key, (label, colour)) in enumerate(ESTIMATES.items()):
            mean, error = mean_and_error(found[key])
            ax.plot(mean, "-." if key == "leave-one-out" else "-", color=colour, label=label)
            ax.fill_between(np.arange(T + 1), mean - 2 * error, mean + 2 * error, color=colour, alpha=0.25, lw=0)
            curves[f"{name}: {label}"] = {"t": np.arange(T + 1), "value": mean, "stderr": error}
            for t in steps:
                size, error = mean_and_error(gap[key][:, t])
                agreement |= measured(f"{name}, t = {t}: {label} over true error - 1", size, error)
                agreement[f"{name}, t = {t}: {label}, z"] = size / error
            gaps[f"{kind}: {label}"] = {"n": ns, "rms_gap": spread[i], "stderr": spread_error[i]}
            if key != "training":
                b, b_error, *_ = slope(np.log(ns), np.log(spread[i]), spread_error[i] / spread[i])
                agreement |= measured(f"{kind}: {label}, slope of log |gap| against log n", b, b_error)
                style, fill = ("o-", colour) if kind == "linear" else ("s:", "white")
                x = np.array(ns) * (1 + 0.02 * (i - 1))  # so that bars do not hide each other
                axes[2].errorbar(
                    x, spread[i], 2 * spread_error[i], fmt=style, lw=1, color=colour, mfc=fill,
                    label=label if kind == "linear" else None,
                )  # fmt: skip
            if key in ("estimate", "leave-one-out"):
                at = ", ".join(map(str, steps))
                p = agreement_test(gap[key][:, list(steps)], 0.0).p_value
                p_values[f"{name}, t = {at}: {label} and true error"] = p
        mean, error = mean_and_error(found["true"])
        ax.plot(mean, "--", color=RED, label="true error")
        curves[f"{name}: true error"] = {"t": np.arange(T + 1), "value": mean, "stderr": error}
        ax.set(title=name, xlabel="step t", ylabel="mean squared error", ylim=(0, None))
        if kind == "linear":
            ax.plot(limits["generalized"], ":", color="k", label="limit of generalized cross-validation")
            for key, label in (("generalized", "generalized cross-validation"), ("true", "true error")):
                curves[f"limit for large n: {label}"] = {"t": np.arange(T + 1), "value": limits[key], "stderr": 0.0}
                p = agreement_test(found[key][:, list(steps)], limits[key][list(steps)]).p_value
                p_values[f"{name}: {label} and its limit"] = p
            for t in steps:
                agreement[f"linear, limit for large n, t = {t}: generalized cross-validation over true error - 1"] = (
                    limits["gap"][t]
                )
    floor = np.sqrt(np.mean(limits["gap"][1:] ** 2))
    axes[2].axhline(floor, color="k", ls=":", label="limit of generalized cross-validation")
    guide = gaps["linear: augmented gradient descent"]["rms_gap"][0] * np.sqrt(linear[0] / np.array(linear))
    axes[2].plot(linear, 0.8 * guide, "--", color="k", lw=1, label="slope -1/2")
    axes[2].set(xscale="log", yscale="log", xlabel="n", title="|estimate / true error - 1|, all steps")
    ticks = sorted({*linear, *tanh})
    axes[2].set_xticks(ticks, [str(n) for n in ticks])
    axes[2].minorticks_off()
    low, high = axes[2].get_ylim()
    axes[2].set_ylim(low * (low / high) ** 0.45, high)
    marks = [mark for mark in (0.02, 0.05, 0.1, 0.2, 0.5, 1) if low < mark < high]
    axes[2].set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.09))  # above the training error
    axes[2].legend(fontsize=8, loc="lower left", title="filled linear, open tanh", title_fontsize=8)
    return Claim(
        "Beside leave-one-out and generalized cross-validation",
        "Along gradient descent the estimate is as good as leave-one-out, at the price of one training and a few "
        "more passes instead of m trainings; generalized cross-validation is inconsistent for the linear network, "
        "where its gap tends to a limit known in closed form, and for the tanh network its gap is the largest at "
        "every n.",
        "linear: least squares by gradient descent from 0 on y = <x, mu> + noise, m/n = 1; tanh: widths (2, 1), both "
        f"layers trained, link z + sin(2z)/2, m/n = 1.5; step size {STEP_SIZE}, noise {NOISE}, T = {T}; "
        f"n = {', '.join(map(str, linear))} and {', '.join(map(str, tanh))} with {', '.join(map(str, counts))} data "
        "sets; leave-one-out by m trainings; degrees of freedom: the trace of the smoother matrix, for tanh with the "
        "fit linearised in the labels (J. Ye, 1998); for the linear network the inconsistency is proved in "
        "arXiv:2402.16793",
        sum(count for ns in sizes.values() for _, count in zip(ns, counts, strict=False)),
        {name: float(value) for name, value in agreement.items()},
        figure,
        alt="Two panels of errors against the step, of a linear and of a tanh network. The curves of the estimate and "
        "of leave-one-out lie close to the dashed one of the true error; generalized cross-validation leaves it, for "
        "the linear network upwards, along the dotted line of its limit; the training error lies far below. In the "
        "third panel, against n, the gaps of estimate and leave-one-out lie together, and fall for the linear "
        "network; that of generalized cross-validation stays above them.",
        bars="Bands and bars are two standard errors over data sets; the last panel shows root mean squares over data "
        "sets and steps.",
        p_values=p_values,
        data={"curves": stacked(curves, "series"), "gaps": stacked(gaps, "series")},
    )
