"""The paper's claims, one function each: a figure, and the numbers by which it agrees with the theory.

The notebooks beside it ``import claims``; ``python notebooks/claims.py figures`` makes every figure and the gallery
page in that folder (`write`), ``python notebooks/claims.py figures NAME ..`` those of the named claims. Each function
takes ``paper`` (False: a few seconds, for notebooks and tests; True: more runs and features) and ``rng``, and returns a
`Claim`. To add a claim, write such a function under ``@claim``, here or in one of the files beside it,
``claims_classes.py``, ``claims_inference.py`` and ``claims_optimizers.py``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy import optimize, stats

from sedyn import (
    AssumptionWarning,
    Evolution,
    Network,
    Overlaps,
    SingleIndex,
    Training,
    Trajectory,
    Weights,
    Wide,
    augmented_gradient_descent,
    early_stop,
    gradient_descent,
    linearized_gradient_descent,
    plot,
    population_error,
    population_errors,
    random_signal,
    simulate,
    state_evolution,
    sweep,
    tune,
    widen,
)

Array = np.ndarray

BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"


@dataclass(frozen=True)
class Claim:
    """A claim and how well it holds.

    Attributes
    ----------
    title, statement : str
        A name, and the claim in one sentence.
    parameters : str
        What was run.
    n_runs : int
        Number of simulated training runs behind the figure.
    agreement : dict of float
        The measured numbers; where ``"x"`` has a standard error it stands under ``"x, s.e."``.
    figure : Figure
    """

    title: str
    statement: str
    parameters: str
    n_runs: int
    agreement: dict[str, float]
    figure: Figure

    def lines(self) -> list[str]:
        """The agreement as text, one line per number, a standard error behind its number."""
        out = []
        for name, value in self.agreement.items():
            if not name.endswith(", s.e."):
                error = self.agreement.get(f"{name}, s.e.")
                out.append(f"{name}: {value:.3g}" + (f" ± {error:.2g}" if error is not None else ""))
        return out

    def __repr__(self) -> str:
        head = [self.title, self.statement, f"({self.parameters}; {self.n_runs} runs)"]
        return "\n".join(head + [f"  {line}" for line in self.lines()])


CLAIMS: dict[str, Callable[..., Claim]] = {}


def claim(function: Callable[..., Claim]) -> Callable[..., Claim]:
    """Register a function of (paper, rng) under its name, drawn in the package's style; it is found in this module."""
    CLAIMS[function.__name__] = globals()[function.__name__] = styled = plt.style.context(plot.STYLE)(function)
    return styled


# ---- what the claims share


def on_one_feature(weights: Weights, signal: Array) -> tuple[Weights, Array]:
    """The same start, reflected so that the signal lies on the first feature alone; overlaps stay what they are."""
    mirror = signal - np.linalg.norm(signal) * np.eye(1, len(signal))[0]
    first, turned = (
        part - 2 * np.outer(mirror, mirror @ part) / (mirror @ mirror) for part in (weights.first, signal[:, None])
    )
    return Weights(first, weights.deep), turned[:, 0]


def mean_and_error(values) -> tuple[Array, Array]:
    """Mean over runs (axis 0) and its standard error."""
    values = np.asarray(values)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def measured(name: str, value: float, error: float) -> dict[str, float]:
    """One entry of `Claim.agreement` with its standard error."""
    return {name: float(value), f"{name}, s.e.": float(error)}


def relative_gap(values: Array, line: Array, line_error: Array) -> tuple[float, float]:
    """Mean over steps of simulation / theory - 1, and its standard error over runs (axis 0) and the theory's own."""
    gap, error = mean_and_error((values / line - 1).mean(axis=1))
    return float(gap), float(np.hypot(error, np.mean(line_error / line)))


def slope(x: Array, y: Array, error: Array) -> tuple[float, float, float, float]:
    """Weighted straight line: slope, its standard error, intercept, its standard error."""
    (b, a), cov = np.polyfit(x, y, 1, w=1 / error, cov="unscaled")
    return float(b), float(np.sqrt(cov[0, 0])), float(a), float(np.sqrt(cov[1, 1]))


# ---- the claims


@claim
def finite_width_agreement(paper: bool = False, rng=0) -> Claim:
    """Errors of networks of a few neurons against the theory, at every step."""
    n, n_runs, phi, T = (1200, 30, 1.5, 40) if paper else (600, 12, 1.5, 16)
    rng = np.random.default_rng(rng)
    teacher, training = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3), Training(0.25, T)
    steps = np.arange(2, T + 1, 2)
    agreement: dict[str, float] = {}
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for ax, widths in zip(axes, ((2, 1), (8, 1), (4, 3, 1)), strict=True):
        network = Network(widths, ("tanh",) * (len(widths) - 1) + ("identity",))
        weights, signal = network.init(n, rng=rng), random_signal(n, rng=rng)
        overlaps = Overlaps.of(weights, signal)
        theory = state_evolution(network, training, teacher, overlaps, phi, n_paths=2**13, rng=rng)
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        name = f"L = {len(widths)}, width {widths[0]}"
        plot.learning_curves(theory, runs, ax=ax, max_points=12).set_title(name)
        for quantity in ("train_error", "generalization_error"):
            values = getattr(runs, quantity)[:, steps]
            gap = relative_gap(values, getattr(theory, quantity)[steps], getattr(theory.stderr, quantity)[steps])
            agreement |= measured(f"{name}: relative gap of the {plot.QUANTITIES[quantity][0]}", *gap)
    return Claim(
        "Agreement at finite width",
        "At any fixed width and depth the theory gives training and generalization error at every step.",
        f"tanh, all layers trained, n = {n}, m/n = {phi}, step size 0.25, T = {T}, link z + sin(2z)/2, noise 0.3",
        3 * n_runs,
        agreement,
        figure,
    )


def three_layers(T: int) -> tuple[Network, Training, SingleIndex, Overlaps, float]:
    """Three layers with correlated neurons that already see the signal and a step size per layer."""
    deep = (np.array([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]]), np.array([[1.0], [-0.7]]))
    gram = np.array([[1.0, 0.4, -0.2], [0.4, 0.8, 0.1], [-0.2, 0.1, 1.2]])
    return (
        Network((3, 2, 1), ("tanh", "tanh", "identity")),
        Training((0.3, 0.2, 0.25), T),
        SingleIndex(lambda z: np.tanh(2 * z), 0.3),
        Overlaps(gram, np.array([0.3, -0.2, 0.5]), 1.2, deep),
        1.5,
    )


THREE_LAYERS = "widths (3, 2, 1), tanh, tanh, identity, all layers trained, m/n = 1.5, link tanh(2z), noise 0.3"


@claim
def gaussian_fluctuations(paper: bool = False, rng=0) -> Claim:
    """First-layer weights, standardised by the theory given start and signal, against the standard Gaussian."""
    n, n_runs, per_run, T = (1500, 60, 20, 40) if paper else (800, 40, 20, 12)
    rng = np.random.default_rng(rng)
    network, training, teacher, overlaps, phi = three_layers(T)
    weights, signal = overlaps.realize(n, rng=rng)
    kernels = state_evolution(network, training, teacher, overlaps, phi, rng=rng).kernels
    steps = [1, T // 3, T]
    mean = np.einsum("nb,tab->tna", weights.first, kernels.P[steps]) + np.einsum(
        "n,ta->tna", signal, kernels.kappa[steps]
    )
    sd = np.sqrt(np.einsum("ttaa->ta", kernels.fluctuation)[steps])
    problem = network, training, teacher, weights, signal
    runs = simulate(*problem, round(phi * n), n_runs, first_weights_at=steps, rng=rng)
    standard = np.sqrt(n) * (runs.first_weights - mean) / sd[:, None]  # (run, step, feature, neuron)
    # a few features of each run: those of one run share its fluctuating kernels
    chosen = [run[:, rng.choice(n, per_run, replace=False)] for run in standard]
    values = np.concatenate(chosen, axis=1)  # (step, runs * per_run, neuron)
    ratio, error = mean_and_error(np.mean(standard**2, axis=(2, 3)))
    quantiles = stats.norm.ppf((np.arange(values.shape[1]) + 0.5) / values.shape[1])
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.7), sharey=True)
    p_values: list[float] = []
    agreement: dict[str, float] = {}
    for i, (ax, t) in enumerate(zip(axes, steps, strict=True)):
        for k, colour in enumerate((BLUE, RED, GREEN)):
            ax.plot(quantiles, np.sort(values[i, :, k]), ".", ms=3, color=colour, label=f"neuron {k + 1}")
            p_values.append(stats.kstest(values[i, :, k], "norm").pvalue)
        ax.axline((0, 0), slope=1, color="k", lw=0.8)
        ax.set(title=f"t = {t}", xlabel="standard Gaussian quantile")
        agreement |= measured(f"variance over that of the theory, t = {t}", ratio[i], error[i])
    axes[0].set_ylabel("standardised weight")
    axes[0].legend()
    return Claim(
        "Gaussian fluctuations of the first layer",
        "Given start and signal, each first-layer weight is Gaussian, with mean and covariance given by the theory.",
        f"{THREE_LAYERS}, n = {n}, T = {T}, {per_run} features of each run",
        n_runs,
        agreement | {f"smallest of {len(p_values)} Kolmogorov-Smirnov p-values": float(min(p_values))},
        figure,
    )


@claim
def deep_concentration(paper: bool = False, rng=0) -> Claim:
    """Standard deviation of the deep weights over runs against n."""
    sizes, n_runs, T = ((100, 200, 400, 800, 1600), 80, 30) if paper else ((50, 100, 200, 400), 60, 12)
    rng = np.random.default_rng(rng)
    problem = three_layers(T)
    network, training, teacher, overlaps, phi = problem
    theory = state_evolution(*problem, rng=rng)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
    spread, error = np.zeros((2, len(sizes)))
    for i, n in enumerate(sizes):
        weights, signal = overlaps.realize(n, rng=rng)
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        values = np.concatenate([W[:, -1].reshape(n_runs, -1) for W in runs.deep_weights], axis=1)
        spread[i] = rms_sd(values)
        error[i] = np.std([rms_sd(values[rng.integers(0, n_runs, n_runs)]) for _ in range(200)])
        if i in (0, len(sizes) - 1):
            for k, colour in enumerate((BLUE, RED, GREEN)):
                W = runs.deep_weights[0][:, :, k, 0]
                left.fill_between(np.arange(T + 1), *np.quantile(W, (0.1, 0.9), axis=0), color=colour, alpha=0.3, lw=0)
    left.plot(theory.deep_weights[0][:, :, 0])
    left.set(title="W_2, theory, and 80 % of the runs", xlabel="step t")
    b, b_error, a, _ = slope(np.log(sizes), np.log(spread), error / spread)
    right.errorbar(sizes, spread, 2 * error, fmt="o", color=BLUE, mfc="white", label="runs")
    right.plot(sizes, np.exp(a + b * np.log(sizes)), color=BLUE, label=f"slope {b:.2f} ± {b_error:.2f}")
    right.plot(sizes, spread[-1] * np.sqrt(sizes[-1] / np.array(sizes)), "--", color="k", lw=1, label="slope -1/2")
    right.set(xscale="log", yscale="log", xlabel="n", ylabel="standard deviation over runs")
    right.set_xticks(sizes, [str(n) for n in sizes])
    right.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    right.legend()
    gap, gap_error = mean_and_error(values)
    end = np.concatenate([W[-1].ravel() for W in theory.deep_weights])
    z = (gap - end) / np.hypot(gap_error, np.concatenate([W[-1].ravel() for W in theory.stderr.deep_weights]))
    return Claim(
        "Concentration of the deep layers",
        "Deep weights follow a deterministic path; their standard deviation over runs falls like n^(-1/2).",
        f"{THREE_LAYERS}, n = {', '.join(map(str, sizes))}, T = {T}",
        n_runs * len(sizes),
        measured("slope of log sd against log n", b, b_error)
        | {f"largest |z| of the {len(z)} mean deep weights, n = {sizes[-1]}": float(np.abs(z).max())},
        figure,
    )


def rms_sd(values: Array) -> float:
    """Root mean square over weights of the standard deviation over runs (axis 0)."""
    return float(np.sqrt(values.var(axis=0, ddof=1).mean()))


@claim
def individual_initialization(paper: bool = False, rng=0) -> Claim:
    """Draws from one law of initialization end at different errors, each at its own prediction."""
    n, n_starts, n_runs, phi, T = (1000, 24, 16, 1.5, 10) if paper else (500, 8, 12, 1.5, 10)
    rng_starts, rng = np.random.default_rng(rng).spawn(2)
    network, training = Network((2, 1), ("tanh", "identity")), Training(0.3, T)
    teacher, signal = SingleIndex("tanh", 0.3), random_signal(n, rng=rng_starts)
    (predicted, predicted_error), simulated = np.zeros((2, n_starts)), np.zeros((n_starts, n_runs))
    for i in range(n_starts):
        weights = network.init(n, scale=(1, 1.5), rng=rng_starts)
        overlaps = Overlaps.of(weights, signal)
        theory = state_evolution(network, training, teacher, overlaps, phi, rng=rng)
        predicted[i], predicted_error[i] = theory.generalization_error[T], theory.stderr.generalization_error[T]
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        simulated[i] = runs.generalization_error[:, T]
    # one relative error for all starts: each has only a few runs
    mean = simulated.mean(axis=1)
    error = mean * np.sqrt(np.mean(simulated.var(axis=1, ddof=1) / mean**2) / n_runs)
    error = np.hypot(error, np.sqrt(np.mean(predicted_error**2)))
    b, b_error, *_ = slope(predicted, mean, error)
    figure, ax = plt.subplots(figsize=(4.8, 4.2))
    ax.axline((predicted.mean(), predicted.mean()), slope=1, color="k", lw=1, label="prediction = simulation")
    ax.errorbar(predicted, mean, 2 * error, fmt="o", color=RED, mfc="white", label="one start, mean of its runs")
    ax.set(xlabel="generalization error, theory for this start", ylabel="generalization error, simulation")
    ax.legend()
    others = np.abs(np.subtract.outer(mean, predicted) / error[:, None])[~np.eye(n_starts, dtype=bool)]
    return Claim(
        "Evolution from individual initializations",
        "At finite width the start does not average out: each draw has its own errors, and the theory gives them.",
        f"widths (2, 1), tanh, n = {n}, m/n = {phi}, step size 0.3, T = {T}, link tanh, noise 0.3, {n_starts} starts",
        n_starts * n_runs,
        measured("slope of simulation against theory over starts", b, b_error)
        | {
            "chi-square per start, own prediction": float(np.mean(((mean - predicted) / error) ** 2)),
            "median |z| with the prediction for another start": float(np.median(others)),
        },
        figure,
    )


def row_scales(rng, shape):
    """Gaussian rows, each times its own random factor, 0.2 or 1.4: uncorrelated, of variance 1, and dependent."""
    return rng.standard_normal(shape) * rng.choice([0.2, 1.4], (shape[0], 1))


UNIVERSAL = {
    "Gaussian": "gaussian",
    "Rademacher": "rademacher",
    "uniform": "uniform",
    "Laplace": "laplace",
    "Student t, 10 d.f.": ("student_t", 10),
    "sparse, density 0.2": ("sparse", 0.2),
}


@claim
def non_gaussian_features(paper: bool = False, rng=0) -> Claim:
    """Gap of the generalization error to the Gaussian theory against 1/n, inside and outside the theory's reach."""
    sizes, budget, T = ((100, 200, 400, 800), 40_000, 30) if paper else ((50, 100, 200), 8_000, 12)
    rng = np.random.default_rng(rng)
    network, training = Network((2, 1), ("tanh", "identity")), Training(0.3, T)
    teacher, phi = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3), 1.5
    overlaps = Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([0.3, -0.2]), 1.0, (np.array([[1.0], [-0.7]]),))
    line = state_evolution(network, training, teacher, overlaps, phi, n_scrambles=8, rng=rng)
    settings = [(name, features, False) for name, features in UNIVERSAL.items()]
    outside = [
        ("Student t, 3 d.f.", ("student_t", 3), False),
        ("Rademacher, signal on one feature", "rademacher", True),
        ("rows of random length", row_scales, False),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharex=True)
    agreement: dict[str, float] = {}
    total = 0
    for j, (name, features, concentrated) in enumerate(settings + outside):
        gap, error = np.zeros((2, len(sizes)))
        for i, n in enumerate(sizes):
            weights, signal = overlaps.realize(n, rng=rng)
            if concentrated:
                weights, signal = on_one_feature(weights, signal)
            errors = np.zeros((budget // n, 1))
            for r in range(len(errors)):
                X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
                end = gradient_descent(network, training, weights, X, y).final
                errors[r] = fresh_error(network, teacher, end, signal, features, rng)
            gap[i], error[i] = relative_gap(
                errors, line.generalization_error[-1:], line.stderr.generalization_error[-1:]
            )
            total += budget // n
        inside = j < len(settings)
        ax = axes[0 if inside else 1]
        x = 1 / np.array(sizes)
        b, _, a, a_error = slope(x, gap, error)
        (drawn,) = ax.plot([0, x[0]], [a, a + b * x[0]], lw=1.2)
        apart = 1 + 0.02 * (j % len(settings) - 2)  # so that error bars do not hide each other
        ax.errorbar(x * apart, gap, 2 * error, fmt="o", color=drawn.get_color(), mfc="white", label=name)
        agreement |= measured(f"{name}: relative gap at n = infinity", a, a_error)
    for ax, title in zip(axes, ("independent entries with enough moments", "outside"), strict=True):
        ax.axhline(0, color="k", lw=0.8)
        ax.set(title=title, xlabel="1 / n", ylabel="generalization error / theory - 1")
        ax.locator_params("x", nbins=5)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.5 * (high - low))
        ax.legend(loc="upper left", fontsize=8, ncols=2)
    return Claim(
        "Non-Gaussian features",
        "Where signal and start are spread over many features, only independence, variance 1 and enough moments "
        "matter: the generalization error then shows no gap to the Gaussian theory; outside, a gap stays.",
        f"widths (2, 1), tanh, n = {', '.join(map(str, sizes))}, m/n = {phi}, step size 0.3, T = {T}, "
        "link z + sin(2z)/2, noise 0.3; gap at n = infinity by a straight line in 1/n",
        total,
        agreement,
        figure,
    )


def fresh_error(network, teacher, weights: Weights, signal: Array, features, rng, rows_per_feature: int = 5) -> float:
    """Generalization error on fresh rows of this ensemble; the label noise is independent of everything there and
    enters by its variance."""
    X, _ = teacher.sample(rows_per_feature * len(signal), signal, features=features, rng=rng)
    return float(np.mean((network.predict(weights, X) - teacher.mean_label(X @ signal)) ** 2)) + teacher.noise**2


@claim
def generalization_gap(paper: bool = False, rng=0) -> Claim:
    """Training and generalization error where they differ by a large factor, and on labels that are pure noise."""
    n, n_runs, T, ratios = (1000, 16, 40, (1, 1.25, 1.5, 2, 3, 4, 6)) if paper else (300, 12, 40, (1, 2, 4))
    rng = np.random.default_rng(rng)
    network, training = Network((4, 1), ("tanh", "identity")), Training(0.3, T)
    deep = np.array([[1.0], [-0.8], [0.6], [-0.5]])
    overlaps = Overlaps(np.eye(4), np.zeros(4), 1.0, (deep,))
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    agreement: dict[str, float] = {}
    tasks = {
        "labels tanh(2z) + noise": SingleIndex(lambda z: np.tanh(2 * z), 0.5),
        "labels pure noise": SingleIndex("zero", 1.0),
    }
    for ax, (title, teacher) in zip(axes, tasks.items(), strict=True):
        lines, line_errors, means, errors = np.zeros((4, 2, len(ratios)))
        for i, phi in enumerate(ratios):
            theory = state_evolution(network, training, teacher, overlaps, phi, n_paths=2**13, rng=rng)
            lines[:, i] = theory.train_error[T], theory.generalization_error[T]
            line_errors[:, i] = theory.stderr.train_error[T], theory.stderr.generalization_error[T]
            weights, signal = overlaps.realize(n, rng=rng)
            runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
            pairs = np.column_stack([runs.train_error[:, T], runs.generalization_error[:, T]])
            means[:, i], errors[:, i] = mean_and_error(pairs)
        where = f"{title}, m/n = {ratios[0]}"
        agreement[f"{where}: generalization over training error, theory"] = lines[1, 0] / lines[0, 0]
        for k, (name, colour) in enumerate(list(plot.QUANTITIES.values())[:2]):
            gap, error = means[k] / lines[k] - 1, np.hypot(errors[k], line_errors[k]) / lines[k]
            agreement |= measured(f"{where}: relative gap of the {name}", gap[0], error[0])
            ax.plot(ratios, lines[k], color=colour, label=f"{name}, theory")
            ax.errorbar(ratios, means[k], 2 * errors[k], fmt="o", color=colour, mfc="white", label="simulation")
        ax.set(title=title, xlabel="m / n", xscale="log", yscale="log")
        ax.set_xticks(ratios, [f"{r:g}" for r in ratios], minor=False)
        ax.minorticks_off()
    axes[0].set_ylabel("mean squared error at T")
    axes[0].legend()
    return Claim(
        "Generalization beyond uniform convergence",
        "The theory gives both errors where they differ by a large factor; the same network in the same time fits pure "
        "noise as well, so a bound that holds for all it can reach says nothing.",
        f"widths (4, 1), tanh, n = {n}, step size 0.3, T = {T}, noise 0.5 (left) and 1 (right)",
        n_runs * len(ratios) * 2,
        agreement,
        figure,
    )


@claim
def effective_signal(paper: bool = False, rng=0) -> Claim:
    """Trained preactivations of fresh rows, regressed on what they started as and on the truth."""
    n, n_runs, n_fresh, T = (1000, 100, 4000, 40) if paper else (300, 40, 1500, 16)
    rng = np.random.default_rng(rng)
    network, training, phi = Network((2, 1), ("tanh", "identity")), Training(0.3, T), 1.5
    deep = (np.array([[1.0], [-0.7]]),)
    steps = sorted({1, 3, T // 4, T // 2, 3 * T // 4, T})
    overlaps = Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([0.4, -0.1]), 1.0, deep)
    teacher = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5)
    weights, signal = overlaps.realize(n, rng=rng)
    kernels = state_evolution(network, training, teacher, overlaps, phi, rng=rng).kernels
    line, line_error = (
        np.concatenate([P.reshape(-1, 4), kappa, np.einsum("ttab->tab", noise).reshape(-1, 4)[:, [0, 1, 3]]], axis=1)
        for P, kappa, noise in (
            (kernels.P, kernels.kappa, kernels.fluctuation),
            [kernels.stderr(name) for name in ("P", "kappa", "fluctuation")],
        )
    )
    problem = network, training, teacher, weights, signal
    runs = simulate(*problem, round(phi * n), n_runs, first_weights_at=steps, rng=rng)
    fits = np.array(
        [[regression(W, weights.first, signal, n_fresh, rng) for W in kept] for kept in np.asarray(runs.first_weights)]
    )  # (runs, steps, 9)
    mean, error = mean_and_error(fits)
    # Hotelling's test of all nine numbers at T
    gap = mean[-1] - line[T]
    statistic = gap @ np.linalg.solve(np.cov(fits[:, -1].T) / n_runs + np.diag(line_error[T] ** 2), gap)
    p_value = stats.f.sf((n_runs - 9) / (9 * (n_runs - 1)) * statistic, 9, n_runs - 9)

    blind = SingleIndex(lambda z: (z**3 - 3 * z) / np.sqrt(6), 0.1)
    unaligned = Overlaps(np.eye(2), np.zeros(2), 1.0, deep)
    reuse, no_reuse = (
        state_evolution(network, training, blind, unaligned, ratio, n_paths=2**15, rng=rng).kernels
        for ratio in (phi, np.inf)
    )
    weights, signal = unaligned.realize(n, rng=rng)
    rest = signal - weights.first @ np.linalg.lstsq(weights.first, signal, rcond=None)[0]
    problem = network, training, blind, weights, signal
    runs = simulate(*problem, round(phi * n), 2 * n_runs, first_weights_at=steps, rng=rng)
    kappa, kappa_error = mean_and_error(np.asarray(runs.first_weights)[..., 0] @ rest / (rest @ signal))

    figure, axes = plt.subplots(1, 4, figsize=(14.5, 3.6))
    groups = {
        "kept of the starts: P": dict(zip(("P[1,1]", "P[1,2]", "P[2,1]", "P[2,2]"), range(4), strict=True)),
        "taken from the truth: kappa": {"neuron 1": 4, "neuron 2": 5},
        "covariance of the noise": {"[1,1]": 6, "[1,2]": 7, "[2,2]": 8},
    }
    for ax, (title, entries) in zip(axes, groups.items(), strict=False):
        for (label, j), colour in zip(entries.items(), (BLUE, RED, GREEN, "#CC79A7"), strict=False):
            ax.plot(line[:, j], color=colour, label=label)
            ax.errorbar(steps, mean[:, j], 2 * error[:, j], fmt="o", color=colour, mfc="white")
        ax.set(title=title, xlabel="step t")
        ax.legend(fontsize=8)
    axes[3].plot(reuse.kappa[:, 0], color=BLUE, label="theory")
    axes[3].plot(no_reuse.kappa[:, 0], ":", color="k", label="no reuse of data")
    axes[3].errorbar(steps, kappa, 2 * kappa_error, fmt="o", color=BLUE, mfc="white", label="simulation")
    axes[3].set(title="kappa, neuron 1, link (z^3 - 3z)/sqrt(6)", xlabel="step t")
    axes[3].legend(fontsize=8)
    agreement: dict[str, float] = {}
    for name, j in {"kappa of neuron 1": 4, "kappa of neuron 2": 5, "noise variance of neuron 1": 6}.items():
        agreement[f"{name} at T, theory"] = line[T, j]
        agreement |= measured(f"{name} at T, regression minus theory", gap[j], np.hypot(error[-1, j], line_error[T, j]))
    agreement["p-value of all nine coefficients and covariances at T"] = float(p_value)
    agreement |= measured("cubic link, kappa at T, theory", reuse.kappa[T, 0], reuse.stderr("kappa")[T, 0])
    agreement |= measured(
        "cubic link, kappa at T, no reuse of data", no_reuse.kappa[T, 0], no_reuse.stderr("kappa")[T, 0]
    )
    agreement |= measured("cubic link, kappa at T, simulation", kappa[-1], kappa_error[-1])
    return Claim(
        "The effective signal",
        "A trained preactivation of a new x is P (its start) + kappa <x, mu> + Gaussian noise, with the theory's "
        "coefficients; reusing data shows the network a link that no population gradient sees.",
        f"widths (2, 1), tanh, n = {n}, m/n = {phi}, step size 0.3, T = {T}, link z + sin(2z)/2, noise 0.5, {n_fresh} "
        "fresh rows a run; right panel: a start without overlap, noise 0.1",
        3 * n_runs,
        agreement,
        figure,
    )


def regression(W: Array, W_start: Array, signal: Array, n_fresh: int, rng) -> Array:
    """Fresh rows times W (n, 2), regressed on what they give with the start and the signal: the entries of P, kappa
    and the upper triangle of the residual covariance, (9,)."""
    X = rng.standard_normal((n_fresh, len(signal)))
    seen, now = X @ np.column_stack([W_start, signal]), X @ W
    beta = np.linalg.lstsq(seen, now, rcond=None)[0]
    residual = now - seen @ beta
    covariance = residual.T @ residual / (n_fresh - 3)
    return np.concatenate([beta[:2].T.ravel(), beta[2], covariance[[0, 0, 1], [0, 1, 1]]])


# ---- the estimated generalization error


def estimated_run(network, training, weights, X, y, **options) -> Trajectory:
    """`augmented_gradient_descent` without its warnings, which some of many random problems are bound to cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        return augmented_gradient_descent(network, training, weights, X, y, **options)


ESTIMATION_NETWORKS = {2: ((3, 1), ("tanh", "identity")), 3: ((3, 2, 1), ("tanh", "tanh", "identity"))}


def estimation_gaps(n: int, phi: float, n_layers: int, features: str, n_runs: int, T: int, rng) -> Array:
    """(estimated error / true error of these very weights) - 1 at every step, (n_runs, T+1); all drawn afresh."""
    network, training = Network(*ESTIMATION_NETWORKS[n_layers]), Training(0.25, T)
    teacher, gaps = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5), []
    for _ in range(n_runs):
        weights, signal = network.init(n, rng=rng), random_signal(n, rng=rng)
        X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
        run = estimated_run(network, training, weights, X, y, rng=rng, first_weights_at="all")
        gaps.append(run.estimated_error / population_errors(network, teacher, run, signal, rng=rng) - 1)
    return np.array(gaps)


@claim
def consistent_estimation(paper: bool = False, rng=0) -> Claim:
    """Estimated minus true generalization error against n."""
    sizes, runs, T = ((250, 500, 1000, 2000), (48, 32, 20, 10), 24) if paper else ((60, 120, 240), (10, 7, 5), 8)
    rng = np.random.default_rng(rng)
    settings = [
        (L, phi, features) for L in (2, 3) for phi in (0.8, 1.5, 3.0) for features in ("gaussian", "rademacher")
    ]
    gap, gap_error, bias, bias_error = np.zeros((4, len(settings), len(sizes)))
    for i, (L, phi, features) in enumerate(settings):
        for j, n in enumerate(sizes):
            gaps = estimation_gaps(n, phi, L, features, runs[j], T, rng)
            gap[i, j], gap_error[i, j] = mean_and_error(np.abs(gaps).mean(axis=1))
            bias[i, j], bias_error[i, j] = mean_and_error(gaps.mean(axis=1))
    # one slope for all settings: settings differ in level, which does not depend on n
    fits = [slope(np.log(sizes), np.log(g), e / g) for g, e in zip(gap, gap_error, strict=True)]
    slopes, slope_errors = np.array(fits)[:, 0], np.array(fits)[:, 1]
    common, common_error = weighted_mean(slopes, slope_errors)
    mean_bias, mean_bias_error = bias.mean(axis=0), np.sqrt(np.sum(bias_error**2, axis=0)) / len(settings)
    b, _, a, a_error = slope(1 / np.array(sizes), mean_bias, mean_bias_error)

    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    colours = {0.8: RED, 1.5: BLUE, 3.0: GREEN}
    for ax, L in zip(axes, (2, 3), strict=False):
        for (depth, phi, features), g, e in zip(settings, gap, gap_error, strict=True):
            if depth == L:
                shift, fill, style = (0.98, colours[phi], "o-") if features == "gaussian" else (1.02, "white", "s:")
                x = np.array(sizes) * shift  # so that error bars do not hide each other
                label = f"m/n = {phi:g}" if features == "gaussian" else None
                ax.errorbar(x, g, 2 * e, fmt=style, ms=5, lw=1, color=colours[phi], mfc=fill, label=label)
        level = gap[[setting[0] == L for setting in settings]].mean(axis=0)
        guide = np.exp(np.mean(np.log(level * np.sqrt(sizes)))) / np.sqrt(sizes)
        ax.plot(sizes, guide, "--", color="k", lw=1.5, label="slope -1/2")
        ax.set(xscale="log", yscale="log", xlabel="n", title=f"|estimated / true - 1|, L = {L}")
        ax.set_xticks(sizes, [str(n) for n in sizes], minor=False)
        ax.minorticks_off()
        ax.set_ylim(bottom=ax.get_ylim()[0] / 2)  # room for the legend
        ticks = [v for v in (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2) if ax.get_ylim()[0] < v < ax.get_ylim()[1]]
        ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
        ax.legend(fontsize=8, title="filled Gaussian, open Rademacher", title_fontsize=8, loc="lower left")
    x = 1 / np.array(sizes)
    axes[2].errorbar(x, mean_bias, 2 * mean_bias_error, fmt="o", color=BLUE, mfc="white", label="mean of all settings")
    axes[2].plot([0, x[0]], [a, a + b * x[0]], color=BLUE, lw=1.2, label="straight line")
    axes[2].axhline(0, color="k", lw=0.8)
    axes[2].set(xlabel="1 / n", title="estimated / true - 1, mean over runs")
    axes[2].locator_params("x", nbins=5)
    axes[2].legend()
    z = (slopes + 0.5) / slope_errors
    return Claim(
        "Consistent estimation",
        "Estimated from training rows alone, the generalization error is off by O(n^(-1/2)), without bias beyond 1/n.",
        f"widths (3, 1) and (3, 2, 1), tanh, n = {', '.join(map(str, sizes))}, m/n = 0.8, 1.5, 3, Gaussian and "
        f"Rademacher features, step size 0.25, T = {T}, link z + sin(2z)/2, noise 0.5; all drawn afresh for each run",
        len(settings) * sum(runs),
        measured("slope of log |gap| against log n", common, common_error)
        | {f"chi-square per setting of the {len(settings)} slopes, against -1/2": float(np.mean(z**2))}
        | {f"mean |gap|, n = {n}": float(g) for n, g in zip(sizes, gap.mean(axis=0), strict=True)}
        | measured(f"bias, n = {sizes[-1]}", mean_bias[-1], mean_bias_error[-1])
        | measured("bias at n = infinity", a, a_error),
        figure,
    )


def weighted_mean(values: Array, errors: Array) -> tuple[float, float]:
    """Mean weighted by 1 / error^2, and its standard error."""
    weight = 1 / errors**2
    return float(weight @ values / weight.sum()), float(weight.sum() ** -0.5)


class RandomProblem(NamedTuple):
    """A teacher, a signal and rows drawn from it, and something to learn them with."""

    teacher: SingleIndex
    signal: Array
    X: Array
    y: Array
    network: Network
    training: Training
    weights: Weights


LINKS = ("tanh", "sine", lambda z: z + 0.5 * np.sin(2 * z), lambda z: np.tanh(2 * z) + 0.3 * z**2)


def random_problem(n: int, T: int, rng) -> RandomProblem:
    """Link, noise, aspect ratio, depth, width, step size and initial scale at random."""
    teacher, signal = SingleIndex(LINKS[rng.integers(len(LINKS))], rng.uniform(0.3, 1.2)), random_signal(n, rng=rng)
    X, y = teacher.sample(round(n * np.exp(rng.uniform(np.log(0.8), np.log(3)))), signal, rng=rng)
    depth = rng.integers(2, 4)
    network = Network((int(rng.integers(1, 5)), *(2,) * (depth - 2), 1), ("tanh",) * (depth - 1) + ("identity",))
    weights = network.init(n, scale=rng.uniform(0.3, 1.0), rng=rng)
    return RandomProblem(teacher, signal, X, y, network, Training(rng.uniform(0.2, 0.5), T), weights)


def is_u_shaped(error: Array) -> bool:
    """Falls, then rises by more than 5 %."""
    return bool(error.min() < 0.95 * error[0] and error[-1] > 1.05 * error.min())


def held_out_curve(problem: RandomProblem, held: slice) -> Array:
    """Error on the rows `held`, trained on the others, at every step."""
    _, _, X, y, network, training, weights = problem
    kept = np.ones(len(y), bool)
    kept[held] = False
    return np.asarray(
        gradient_descent(network, training, weights, X[kept], y[kept], (X[held], y[held])).generalization_error
    )


def stopping_regrets(problem: RandomProblem, rng) -> tuple[dict[str, float], Trajectory, Array] | None:
    """True error at the step that each rule chooses, over the least one, minus 1; None without a U-shaped curve."""
    teacher, signal, X, y, network, training, weights = problem
    run = estimated_run(network, training, weights, X, y, rng=rng, first_weights_at="all")
    if run.status != "ok":
        return None
    true = population_errors(network, teacher, run, signal, rng=rng)
    if not is_u_shaped(true):
        return None
    edges = np.linspace(0, len(y), 6).astype(int)  # the rows are independent: folds in their order
    folds = np.array([held_out_curve(problem, slice(a, b)) for a, b in zip(edges[:-1], edges[1:], strict=True)])
    steps = {
        "estimated": early_stop(run).step,
        "5-fold cross-validation": int(np.argmin(folds.mean(axis=0))),
        "20 % held out": int(np.argmin(folds[0])),
        "last step": training.n_steps,
    }
    return {name: float(true[t] / true.min() - 1) for name, t in steps.items()}, run, true


@claim
def early_stopping(paper: bool = False, rng=0) -> Claim:
    """The estimated stopping time against those from held-out rows, on random problems."""
    n, T, n_problems = (500, 60, 60) if paper else (250, 30, 20)
    rng = np.random.default_rng(rng)
    results: list[tuple[dict[str, float], Trajectory, Array]] = []
    tried = 0
    while len(results) < n_problems:
        tried += 1
        found = stopping_regrets(random_problem(n, T, rng), rng)
        if found is not None:
            results.append(found)
    regrets = {name: np.array([regret[name] for regret, _, _ in results]) for name in results[0][0]}
    again = rng.integers(0, n_problems, (2000, n_problems))
    agreement: dict[str, float] = {}
    for name, values in regrets.items():
        error = np.median(values[again], axis=1).std()
        agreement |= measured(f"{name}: median regret", np.median(values), error)
        mean, error = mean_and_error(values)
        agreement |= measured(f"{name}: mean regret", float(mean), float(error))
    for name in ("20 % held out", "5-fold cross-validation"):
        mean, error = mean_and_error(regrets[name] - regrets["estimated"])
        agreement |= measured(f"{name}: mean regret minus the estimate's", float(mean), float(error))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    colours = dict(zip(regrets, (GREEN, BLUE, RED, "0.4"), strict=True))
    for name, values in regrets.items():
        share = (np.arange(n_problems) + 0.5) / n_problems
        left.plot(np.sort(np.maximum(values, 1e-4)), share, color=colours[name], label=name, drawstyle="steps-mid")
    left.set(xscale="log", xlabel="regret (below 0.0001 drawn there)", ylabel="share of the problems", ylim=(0, 1))
    left.axvline(0.01, color="k", lw=0.8, ls=":")
    left.set_title("true error at the chosen step / least true error - 1")
    left.legend(loc="upper left")
    _, run, true = results[np.argsort(regrets["20 % held out"])[n_problems // 2]]
    plot.estimated_error(replace(run, generalization_error=None), ax=right).set_title("one of the problems")
    right.plot(true, "--", color=RED, label="true generalization error")
    right.set_ylim(0, 1.3 * true[0])
    right.legend(fontsize=8)
    return Claim(
        "Early stopping",
        "The step of least estimated error is nearly the best one, and no rows are held out to find it.",
        f"{n_problems} problems with a U-shaped curve out of {tried} random ones (link, noise, m/n in 0.8..3, depth, "
        f"width, step size, initial scale), n = {n}, T = {T}; held-out rules retrain on all rows to their step",
        7 * n_problems,
        agreement,
        figure,
    )


@claim
def hyperparameter_choice(paper: bool = False, rng=0) -> Claim:
    """The configuration of least estimated error against the truly best one."""
    n, T, n_problems = (400, 40, 20) if paper else (150, 25, 8)
    rng = np.random.default_rng(rng)
    networks = [Network((1, 1), ("tanh", "identity")), *(Network(*setting) for setting in ESTIMATION_NETWORKS.values())]
    trainings, scales = [Training(eta, T) for eta in (0.1, 0.4)], (0.3, 1.0)
    chosen, typical, worst, pairs = [], [], [], []
    for _ in range(n_problems):
        teacher, signal, X, y, *_ = random_problem(n, T, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)
            table = tune(networks, trainings, X, y, scales=scales, rng=rng)
        done = [(c.network, Overlaps.of(c.weights, signal)) for c in table if c.weights is not None]
        true = np.array([population_error(net, teacher, overlaps, n_paths=2**12, rng=rng) for net, overlaps in done])
        excess = true / true.min() - 1
        chosen.append(excess[0])
        typical.append(np.median(excess))
        worst.append(excess.max())
        pairs.append(np.array([[c.error for c in table[: len(done)]], true]))
    again = rng.integers(0, n_problems, (2000, n_problems))
    agreement: dict[str, float] = {}
    for name, values in (("chosen", chosen), ("median", typical), ("worst", worst)):
        error = np.median(np.array(values)[again], axis=1).std()
        agreement |= measured(f"{name} configuration: median excess error over the best", np.median(values), error)
    agreement["chosen configuration: largest excess error over the best"] = float(np.max(chosen))
    agreement["problems where the truly best was chosen"] = float(np.mean(np.array(chosen) == 0))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for k, pair in enumerate(pairs[:6]):
        left.plot(pair[1], pair[0], "o", ms=4, label=f"problem {k + 1}")
    left.axline((1, 1), slope=1, color="k", lw=0.8)
    left.set(xlabel="true generalization error", ylabel="estimated, at the step of its minimum")
    left.set_title("all configurations of six problems")
    left.legend(fontsize=8)
    order = np.argsort(typical)
    for name, values, colour in (("worst", worst, "0.4"), ("median", typical, RED), ("chosen", chosen, GREEN)):
        right.plot(100 * np.array(values)[order], "o", color=colour, label=f"{name} configuration")
    right.set(xlabel="problem, sorted", ylabel="true error over the best one's, %", title="what the choice costs")
    right.set_yscale("symlog", linthresh=1)
    right.legend(fontsize=8)
    return Claim(
        "Choosing hyperparameters",
        "Each configuration is trained once on all rows; the one of least estimated error is nearly the best one.",
        f"{len(networks) * len(trainings) * len(scales)} configurations: widths (1, 1), (3, 1), (3, 2, 1), step size "
        f"0.1 and 0.4, initial scale 0.3 and 1; {n_problems} random problems as for early stopping, n = {n}, T = {T}",
        n_problems * len(networks) * len(trainings) * len(scales),
        agreement,
        figure,
    )


THEORIES = {  # name and colour
    "linearized": ("linearized at its start (NTK)", "#E69F00"),
    "population": ("population limit, no reuse", "#CC79A7"),
    "wide": ("infinitely wide", "#009E73"),
    "state evolution": ("state evolution", "#0072B2"),
}


def widened(width: int, scaling: str, T: int = 16) -> Wide:
    """The two-layer network of width 2 and its training, widened."""
    return widen(Network((2, 1), ("tanh", "identity")), Training(0.25, T), width // 2, scaling)


def errors_at_the_end(run: Trajectory | Evolution) -> list[float]:
    """Training and generalization error at the last step."""
    assert run.generalization_error is not None
    return [run.train_error[-1], run.generalization_error[-1]]


def theory_misses(
    problem: Wide, scaled_wide: Wide, n: int, n_starts: int, n_runs: int, rng, n_paths: int = 2**12
) -> tuple[dict[str, Array], Array]:
    """Training and generalization error after training: what each theory says over what runs say, minus 1.

    "wide" is the mean of three networks ``scaled_wide``, with starts of their own. Returns the misses,
    (n_starts, 2) for each of `THEORIES`, and the relative standard error of the runs they are measured against, (2,).
    """
    rng = np.random.default_rng(rng)
    teacher, signal, phi = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3), random_signal(n, rng=rng), 1.5

    def data():
        return *teacher.sample(round(phi * n), signal, rng=rng), teacher.sample(4 * n, signal, rng=rng)

    network, training, scale = scaled_wide
    wide = [gradient_descent(network, training, network.init(n, scale=scale, rng=rng), *data()) for _ in range(3)]
    said: dict[str, list] = {name: [] for name in THEORIES}
    simulated, linearized = np.zeros((n_starts, n_runs, 2)), np.zeros((n_runs, 2))
    network, training, scale = problem
    for i in range(n_starts):
        weights = network.init(n, scale=scale, rng=rng)
        for j in range(n_runs):
            rows = data()
            simulated[i, j] = errors_at_the_end(gradient_descent(network, training, weights, *rows))
            linearized[j] = errors_at_the_end(linearized_gradient_descent(network, training, weights, *rows))
        known = network, training, teacher, Overlaps.of(weights, signal)
        said["linearized"].append(linearized.mean(axis=0))
        said["wide"].append(np.mean([errors_at_the_end(run) for run in wide], axis=0))
        for name, ratio in (("population", np.inf), ("state evolution", phi)):
            theory = state_evolution(*known, ratio, n_paths=n_paths, n_scrambles=2, tolerance=1e-2, rng=rng)
            said[name].append(errors_at_the_end(theory))
    mean = simulated.mean(axis=1)
    error = np.sqrt(np.mean((simulated.std(axis=1, ddof=1) / mean) ** 2, axis=0) / n_runs)
    return {name: np.array(value) / mean - 1 for name, value in said.items()}, error


@claim
def other_theories(paper: bool = False, rng=0) -> Claim:
    """By how much each theory misses the errors after training, against the width."""
    # width: number of starts
    starts = {2: 8, 4: 8, 8: 6, 32: 3, 128: 2} if paper else {2: 3, 4: 3, 8: 2, 32: 1}
    n, n_runs, n_wide, n_paths = (600, 12, 512, 2**13) if paper else (240, 6, 128, 2**12)
    rng = np.random.default_rng(rng)
    titles = {"ntk": "NTK scaling", "maximal_update": "mean-field scaling"}
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.6), sharex=True, sharey=True)
    agreement: dict[str, float] = {}
    chi_square: list[float] = []
    for column, (scaling, title) in enumerate(titles.items()):
        size, error = np.zeros((2, len(THEORIES), len(starts), 2))
        noise = np.zeros((len(starts), 2))
        for i, (q, n_starts) in enumerate(starts.items()):
            problems = widened(q, scaling), widened(n_wide, scaling)
            misses, noise[i] = theory_misses(*problems, n, n_starts, n_runs, rng, n_paths)
            chi_square += list(((misses["state evolution"] / noise[i]) ** 2).ravel())
            for k, (name, values) in enumerate(misses.items()):
                size[k, i] = np.sqrt(np.mean(values**2, axis=0))
                # of the root mean square, by linear propagation of the error of the runs
                spread = (values * (1 + values) * noise[i]) ** 2
                error[k, i] = np.sqrt(np.mean(spread, axis=0) / n_starts) / size[k, i]
                both = np.sqrt(np.mean(values**2))
                both_error = np.sqrt(np.mean(spread) / values.size) / both
                agreement |= measured(f"{title}, width {q}, {THEORIES[name][0]}", both, both_error)
        for j, quantity in enumerate(("training error", "generalization error")):
            ax = axes[j, column]
            for k, (label, colour) in enumerate(THEORIES.values()):
                bars = np.minimum(2 * error[k, :, j], 0.9 * size[k, :, j]), 2 * error[k, :, j]
                ax.errorbar(list(starts), size[k, :, j], bars, fmt="o-", color=colour, mfc="white", label=label)
            ax.fill_between(list(starts), 3e-3, noise[:, j], color="0.88", lw=0, label="below the noise of the runs")
            ax.set(xscale="log", yscale="log", ylim=(3e-3, 5), title=f"{title}: {quantity}")
            ax.set_xticks(list(starts), [str(q) for q in starts])
            ax.set_xticks([], minor=True)
    for ax in axes[1]:
        ax.set_xlabel("width q")
    for ax in axes[:, 0]:
        ax.set_ylabel("relative miss at T")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Claim(
        "Against theories of wide, linearized or endless",
        "At finite width the linearized network, the population limit and the infinitely wide network miss the errors; "
        "each comes right at best in its own limit, and the state evolution is right at every width.",
        f"two layers, tanh, n = {n}, m/n = 1.5, T = 16, step size 0.25 at width 2, link z + sin(2z)/2, noise 0.3; "
        f"width and number of starts {starts}; infinitely wide: {n_wide}; relative misses, root mean square over both "
        "errors",
        2 * n_runs * sum(starts.values()),
        agreement
        | {
            "chi-square per comparison of the state evolution": float(np.mean(chi_square)),
            "number of comparisons": float(len(chi_square)),
        },
        figure,
    )


# ---- sweeps: functions of a point, which worker processes import, and what many points show


def phase_problem(noise: float, n_steps: int) -> tuple[Network, Training, SingleIndex, Overlaps]:
    """What both sides of the phase diagram share."""
    deep = (np.array([[1.0], [-0.8], [0.6]]),)
    return (
        Network((3, 1), ("tanh", "identity")),
        Training(0.3, n_steps),
        SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), noise),
        Overlaps(np.eye(3), np.zeros(3), 1.0, deep),
    )


def phase_theory(aspect_ratio: float, noise: float, n_steps: int, n_paths: int, rng) -> dict:
    """Predicted generalization error at every step, its standard error, and the best stopping time and error."""
    problem = phase_problem(noise, n_steps)
    theory = state_evolution(*problem, aspect_ratio, n_paths=n_paths, n_scrambles=2, tolerance=1e-2, rng=rng)
    curve, best = theory.generalization_error, int(np.argmin(theory.generalization_error))
    stderr = theory.stderr.generalization_error
    return {"best_step": best, "best_error": curve[best], "curve": curve, "stderr": stderr}


def phase_run(aspect_ratio: float, noise: float, n_steps: int, n: int, rng) -> dict:
    """Generalization error at every step of one training run on n features."""
    network, training, teacher, overlaps = phase_problem(noise, n_steps)
    weights, signal = overlaps.realize(n, rng=rng)
    run = simulate(network, training, teacher, weights, signal, round(aspect_ratio * n), n_runs=1, rng=rng)
    return {"curve": run.generalization_error[0]}


@claim
def stopping_phase_diagram(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Best stopping time and error over aspect ratio and noise: theory on a fine grid, simulation on a coarse one."""
    T, n, n_seeds, n_paths, fine, coarse = (
        (60, 400, 12, 2**12, (15, 11), (5, 4)) if paper else (24, 150, 8, 2**11, (5, 4), (3, 2))
    )
    rng_theory, rng_runs = np.random.default_rng(rng).spawn(2)
    ratios, noises = np.geomspace(0.5, 8, fine[0]), np.linspace(0.1, 1.5, fine[1])
    steps = (
        [round(i) for i in np.linspace(0, fine[0] - 1, coarse[0])],
        [round(i) for i in np.linspace(0, fine[1] - 1, coarse[1])],
    )
    grid: dict = {"aspect_ratio": ratios, "noise": noises, "n_steps": [T], "n_paths": [n_paths]}
    places = [store and Path(store) / name for name in ("theory", "runs")]
    theory = sweep(phase_theory, grid, executor=executor, store=places[0], rng=rng_theory)
    grid = {"aspect_ratio": ratios[steps[0]], "noise": noises[steps[1]], "n_steps": [T], "n": [n]}
    runs = sweep(phase_run, grid, n_seeds, executor=executor, store=places[1], rng=rng_runs)
    shape = len(ratios), len(noises)
    chosen = np.ix_(*steps)
    line, line_error = (theory.arrays[key].reshape(*shape, T + 1)[chosen] for key in ("curve", "stderr"))
    curves = runs.arrays["curve"].reshape(*coarse, n_seeds, T + 1)
    mean, error = (np.moveaxis(values, -1, 0) for values in (curves.mean(axis=2), curves.std(axis=2, ddof=1)))
    at = theory["best_step"].reshape(shape)[chosen]
    there = at[..., None]
    predicted, predicted_error = (np.take_along_axis(a, there, -1)[..., 0] for a in (line, line_error))
    simulated, spread = (np.take_along_axis(np.moveaxis(a, 0, -1), there, -1)[..., 0] for a in (mean, error))
    z = (simulated - predicted) / np.hypot(spread / np.sqrt(n_seeds), predicted_error)
    cost = simulated / mean.min(axis=0) - 1  # of stopping when the theory says, in the simulations' own mean curve
    unstopped = mean[-1] / mean.min(axis=0) - 1

    figure, axes = plt.subplots(1, 3, figsize=(14, 4))
    panels = [
        ("best stopping time", np.maximum(theory["best_step"], 1), np.maximum(mean.argmin(axis=0), 1), LogNorm(1, T)),
        ("least generalization error", theory["best_error"], mean.min(axis=0), LogNorm()),
    ]
    X, Y = np.meshgrid(ratios[steps[0]], noises[steps[1]], indexing="ij")
    for ax, (title, values, points, norm) in zip(axes, panels, strict=False):
        mesh = ax.pcolormesh(ratios, noises, values.reshape(shape).T, norm=norm, cmap="viridis", shading="nearest")
        ax.scatter(X, Y, c=points, norm=mesh.norm, cmap="viridis", edgecolors="white", s=70, lw=1)
        ticks = [v for v in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if mesh.norm.vmin <= v <= mesh.norm.vmax]
        figure.colorbar(mesh, ax=ax, ticks=ticks, format="%g").minorticks_off()
        ax.set(xscale="log", xlabel="aspect ratio m/n", ylabel="noise", title=f"{title}: theory; circles: runs")
        ax.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        ax.minorticks_off()
        ax.grid(False)
    never = theory["best_step"].reshape(shape) == T
    axes[0].contour(ratios, noises, never.T, [0.5], colors="white", linewidths=1.2)
    axes[2].axhline(0, color="k", lw=0.8)
    axes[2].axhspan(-2, 2, color="0.92", lw=0)
    for j, level in enumerate(noises[steps[1]]):
        axes[2].plot(ratios[steps[0]], z[:, j], "o-", lw=1, label=f"noise {level:.2g}")
    axes[2].set(xscale="log", xlabel="aspect ratio m/n", ylabel="z", title="error at the predicted time: z-scores")
    axes[2].set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    axes[2].minorticks_off()
    axes[2].legend(fontsize=8)
    return Claim(
        "When to stop: a phase diagram",
        "The theory maps the best stopping time and the error reached then over aspect ratio and noise; simulations on "
        "a coarse grid have the same.",
        f"widths (3, 1), tanh, step size 0.3, T = {T}, link z + sin(2z)/2; theory at {theory['seed'].size} points, "
        f"{n_seeds} runs at each of {z.size}, n = {n}; white line: from there on training to T is best",
        len(runs["seed"]),
        {
            "chi-square per point of the error at the predicted time": float(np.mean(z**2)),
            f"largest |z| of the {z.size} points": float(np.abs(z).max()),
            "largest cost of stopping at the predicted time": float(cost.max()),
            "largest cost of not stopping": float(unstopped.max()),
            "share of the diagram where training to T is best": float(never.mean()),
        },
        figure,
    )


EXCESS_KURTOSIS = dict(zip(UNIVERSAL, (0.0, -2.0, -1.2, 3.0, 1.0, 12.0), strict=True))


def universality_problem(n_steps: int) -> tuple[Network, Training, SingleIndex, Overlaps, float]:
    """A start with non-zero overlaps; the last number is the aspect ratio."""
    overlaps = Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([0.3, -0.2]), 1.0, (np.array([[1.0], [-0.7]]),))
    teacher = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    return Network((2, 1), ("tanh", "identity")), Training(0.3, n_steps), teacher, overlaps, 1.5


def universality_run(n: int, features, n_steps: int, rng) -> dict:
    """Training error at the end of one run on features of this ensemble."""
    network, training, teacher, overlaps, phi = universality_problem(n_steps)
    weights, signal = overlaps.realize(n, rng=rng)
    X, y = teacher.sample(round(phi * n), signal, features=features, rng=rng)
    return {"train_error": gradient_descent(network, training, weights, X, y).train_error[-1]}


@claim
def universality_gap(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Gap of the training error to the theory against n for six ensembles: how it decays, and what sets its size."""
    sizes, n_seeds, T = (
        ((100, 200, 400, 800), (3000, 1500, 800, 300), 16) if paper else ((40, 80, 160), (240, 160, 100), 10)
    )
    rng_theory, rng_runs = np.random.default_rng(rng).spawn(2)
    root = int(rng_runs.integers(2**63))  # one for all n, which is a parameter
    theory = state_evolution(*universality_problem(T), n_scrambles=8, rng=rng_theory)
    line, line_error = theory.train_error[T], theory.stderr.train_error[T] / theory.train_error[T]
    gap, error = np.zeros((2, len(UNIVERSAL), len(sizes)))
    for j, (n, count) in enumerate(zip(sizes, n_seeds, strict=True)):
        grid: dict = {"n": [n], "features": list(UNIVERSAL.values()), "n_steps": [T]}
        table = sweep(universality_run, grid, count, executor=executor, store=store, rng=root)
        gap[:, j], error[:, j] = mean_and_error(table["train_error"].reshape(len(UNIVERSAL), count).T / line - 1)
    error = np.hypot(error, line_error)

    def power(x, exponent, *levels):
        return np.outer(levels, (x / sizes[0]) ** exponent).ravel()

    start_at = -1.0, *gap[:, 0]
    (exponent, *level), cov = optimize.curve_fit(
        power, np.array(sizes, float), gap.ravel(), start_at, error.ravel(), True
    )
    level, level_error = np.array(level) * sizes[0], np.sqrt(np.diag(cov)[1:]) * sizes[0]
    residual = (gap.ravel() - power(np.array(sizes, float), exponent, *(level / sizes[0]))) / error.ravel()
    kurtosis = np.array(list(EXCESS_KURTOSIS.values()))
    b, b_error, a, a_error = slope(kurtosis, level, level_error)

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    x = np.array(sizes)
    for i, name in enumerate(UNIVERSAL):
        shown = np.abs(gap[i]) > error[i]  # a logarithm hides the others' sign
        clear = 1 if abs(level[i]) > 2 * level_error[i] else np.nan
        style = ":" if level[i] < 0 else "-"
        line_of = clear * np.abs(level[i]) / sizes[0] * (x / sizes[0]) ** exponent
        (drawn,) = left.plot(x, line_of, style, lw=1.4)
        bars = np.minimum(2 * error[i], 0.9 * np.abs(gap[i])), 2 * error[i]
        left.errorbar(
            x[shown] * (1 + 0.02 * (i - 2.5)), np.abs(gap[i])[shown], np.array(bars)[:, shown], fmt="o", lw=1,
            color=drawn.get_color(), mfc="white" if level[i] < 0 else drawn.get_color(), label=name,
        )  # fmt: skip
        right.errorbar(
            kurtosis[i], level[i], 2 * level_error[i], fmt="o", color=drawn.get_color(), mfc="white", label=name
        )
    left.plot(x, np.abs(gap).max() * 1.3 * sizes[0] / x, "--", color="k", lw=1, label="slope -1")
    left.set(xscale="log", yscale="log", xlabel="n", ylabel="|training error / theory - 1|")
    left.set(title="open, dotted: below the theory; only what is above its s.e.", ylim=(2e-3, None))
    left.set_xticks(sizes, [str(n) for n in sizes])
    left.minorticks_off()
    left.legend(fontsize=8, ncols=2)
    ends = np.array([kurtosis.min(), kurtosis.max()])
    right.plot(ends, a + b * ends, color="k", lw=1, label="straight line")
    right.axhline(0, color="0.6", lw=0.8)
    right.set(xlabel="excess kurtosis of a feature", ylabel="n times the gap", title="what sets its size")
    right.legend(fontsize=8)
    return Claim(
        "How fast universality sets in",
        "The training error under each of six feature laws differs from the theory by a gap that decays like 1/n; its "
        "size grows with the law's fourth moment.",
        f"widths (2, 1), tanh, n = {', '.join(map(str, sizes))} with {', '.join(map(str, n_seeds))} runs of each law, "
        f"m/n = 1.5, step size 0.3, T = {T}, link z + sin(2z)/2, noise 0.3; one exponent, six amplitudes"
        + ("; a first sweep began at n = 50, where higher orders count: -0.815 ± 0.058" if paper else ""),
        len(UNIVERSAL) * sum(n_seeds),
        measured("exponent of n in the gap", exponent, np.sqrt(cov[0, 0]))
        | {"chi-square per degree of freedom of the fit": float(np.sum(residual**2) / (gap.size - 1 - len(level)))}
        | measured("n times the gap, per unit of excess kurtosis", b, b_error)
        | measured("n times the gap, Gaussian features", level[0], level_error[0])
        | {
            f"{name}: |z| of the gap, n = {sizes[-1]}": float(abs(g / e))
            for name, g, e in zip(UNIVERSAL, gap[:, -1], error[:, -1], strict=True)
        },
        figure,
    )


# ---- figures and gallery


def write(
    folder, names: Iterable[str] | None = None, paper: bool = True, rng=0, executor: Executor | None = None
) -> Path:
    """Make the figures (PNG and SVG) of the named claims, by default all, and the gallery page ``README.md``.

    Parameters
    ----------
    folder : path
    names : iterable of str, optional
        Keys of `CLAIMS`; the page keeps what it says of other claims.
    paper : bool
        Paper size (minutes) or light (seconds).
    rng : int
        The seed of every claim, named on the page.
    executor : concurrent.futures.Executor, optional
        Where to make them; by default one process per core, or here when there is one figure only.

    Returns
    -------
    Path
        The gallery page.
    """
    chosen = list(CLAIMS) if names is None else list(names)
    unknown = [name for name in chosen if name not in CLAIMS]
    if unknown:
        raise ValueError(f"unknown claims {unknown}; use some of {list(CLAIMS)}")
    page = Path(folder) / "README.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    old = re.split(r"^<!-- (\w+) -->\n", page.read_text(encoding="utf-8"), flags=re.M)[1:] if page.exists() else []
    sections = dict(zip(old[::2], old[1::2], strict=True))
    with ExitStack() as stack:
        if executor is None and len(chosen) > 1:
            from concurrent.futures import ProcessPoolExecutor  # here: a web browser has no processes
            from multiprocessing import get_context

            # spawned, not forked: a process with BLAS threads may hang in its copy
            pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))
            executor = stack.enter_context(pool)
        # the longest stand last in this file: begin with them, so that all cores end together
        jobs = [(name, page.parent, paper, rng) for name in reversed(chosen)]
        futures = [executor.submit(_make, *job) for job in jobs] if executor else []
        made = (f.result() for f in as_completed(futures)) if executor else (_make(*job) for job in jobs)
        for i, (name, section, seconds) in enumerate(made):
            sections[name] = section
            print(f"[{i + 1}/{len(chosen)}] {name}: {seconds:.0f} s", flush=True)
            _write_page(page, sections)
    return page


def _make(name: str, folder: Path, paper: bool, rng) -> tuple[str, str, float]:
    """Make and save one figure; its name, its section of the page and the seconds it took."""
    began = time.perf_counter()
    plt.switch_backend("Agg")
    made = CLAIMS[name](paper=paper, rng=rng)
    plot.save(made.figure, folder / name)
    plt.close(made.figure)
    return name, _section(name, made, rng), time.perf_counter() - began


def _section(name: str, made: Claim, seed) -> str:
    rows = "\n".join(f"- {line}" for line in made.lines())
    return (
        f"## {made.title}\n\n{made.statement}\n\n![{made.title}]({name}.png)\n\n"
        f"`claims.{name}`: {made.parameters}; seed {seed}; {made.n_runs} runs. Measured:\n\n{rows}\n\n"
    )


def _write_page(page: Path, sections: dict[str, str]) -> None:
    head = (
        "# Figures, one per claim\n\nEach is made by one function of `notebooks/claims.py`; a number behind ± is a "
        "standard error. `make figures` makes this page.\n\n"
    )
    order = [name for name in CLAIMS if name in sections]
    body = "".join(f"<!-- {name} -->\n{sections[name].rstrip()}\n\n" for name in order)
    page.write_text((head + body).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    import claims  # this file by its name, where all claims are registered

    claims.write(sys.argv[1], sys.argv[2:] or None)
else:
    for further in ("claims_inference", "claims_optimizers", "claims_classes"):
        if importlib.util.find_spec(further):  # a notebook elsewhere may have this file alone
            importlib.import_module(further)  # registers its claims
