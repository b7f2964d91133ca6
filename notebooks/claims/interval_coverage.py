"""Prediction intervals from one run (theory 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Network, Training, random_signal, sample_features, sweep

from .base import BLUE, GREY, RED, Array, Claim, claim, mean_and_error, measured, stacked
from .problems import estimated_run

COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)


COVERAGE_LINKS: dict[str, Callable] = {
    "tanh(2z)": lambda z: np.tanh(2 * z),
    "z + sin(2z)/2": lambda z: z + 0.5 * np.sin(2 * z),
    "max(z, 0)": lambda z: np.maximum(z, 0),
    "z^2 - 1": lambda z: z**2 - 1,
    "sign": np.sign,
}


FRESH = 2000


TIES = 0.01  # share of fresh rows with one and the same output, from which on ties are said


class CoverageProblem(NamedTuple):
    """What one of the problems of `interval_coverage` is made of."""

    network: Network
    training: Training
    features: str | tuple
    link: str
    m: int
    n: int


def coverage_problem(k: int) -> CoverageProblem:
    """Problem k: depth, aspect ratio, features and loss in turn, the rest by chance; from 48 on neurons may die and
    labels are classes, so that rows tie."""
    rng = np.random.default_rng(1000 + k)
    m, phi, L = int(rng.choice([200, 400, 600])), (0.5, 0.8, 1.5, 3, 5)[k % 5], 2 + k % 2
    loss = "logistic" if k % 4 == 3 or k >= 48 else "squared"
    options: dict[str, Any] = ({}, {"momentum": 0.5}, {"weight_decay": 0.05}, {"batch_fraction": 0.5})[rng.integers(4)]
    activation, T = ("tanh", "relu", "gelu")[rng.integers(3)] if k < 48 else "relu", int(rng.choice([10, 25, 50]))
    return CoverageProblem(
        Network((3,) * (L - 1) + (1,), (activation,) * (L - 1) + ("identity",)),
        Training(0.5 if loss == "logistic" else 0.2, T, loss=loss, **options),
        ("gaussian", "rademacher", ("student_t", 10))[k % 3],
        list(COVERAGE_LINKS)[rng.integers(5)],
        m,
        round(m / phi),
    )


def coverage_run(problem: int, rng) -> dict:
    """Coverage on fresh rows at best and last step: of left-out outputs, with constant and with adaptive width, and of
    the training rows' own residuals; standard deviation that is said; share of equal outputs; (step, level)."""
    network, training, features, link, m, n = coverage_problem(problem)
    levels = COVERAGE_LEVELS
    weights, signal = network.init(n, rng=rng), random_signal(n, rng=rng)
    X = sample_features(m + FRESH, n, features=features, rng=rng)
    y = COVERAGE_LINKS[link](X @ signal) + 0.3 * rng.standard_normal(len(X))
    sets = training.loss == "logistic"
    y = np.where(y > np.median(y[:m]), 1.0, -1.0) if sets else y
    run = estimated_run(network, training, weights, X[:m], y[:m], first_weights_at="all", rng=rng)
    X_new, y_new, index = X[m:], y[m:], (np.arange(FRESH), (y[m:] > 0).astype(int))

    def score(labels, outputs):
        return -labels * outputs if sets else np.abs(labels - outputs)

    def covered(ends):
        return float(np.mean((ends[:, 0] <= y_new) & (y_new <= ends[:, 1])))

    out: dict[str, list] = {"left_out": [], "adaptive": [], "training": [], "said": [], "ties": []}
    for t in (run.best_step, len(run.train_error) - 1):
        f = network.predict(run.weights_at(t), X)  # type: ignore[arg-type]
        own, new = score(y[:m], f[:m]), score(y_new, f[m:])
        if sets:
            found = [float(np.mean(run.prediction_set(X_new, level, step=t)[index])) for level in levels]
        else:
            found = [covered(run.prediction_interval(X_new, level, step=t)) for level in levels]
            wide = [covered(run.prediction_interval(X_new, level, step=t, adaptive=True)) for level in levels]
        out["left_out"].append(found)
        out["adaptive"].append([np.nan] * len(levels) if sets else wide)
        out["training"].append([float(np.mean(new <= np.quantile(own, level))) for level in levels])
        out["said"].append([run.interval_accuracy(level, step=t).coverage_stderr for level in levels])
        out["ties"].append(np.unique(f[m:], return_counts=True)[1].max() / FRESH)
    return {name: np.array(values) for name, values in out.items()} | {"warned": len(run.warnings) > 0}


@claim
def interval_coverage(paper: bool = False, rng=0, executor=None, store=None) -> Claim:
    """Coverage of prediction intervals on fresh rows against their level, and of the training rows' own residuals."""
    n_problems, n_runs = (52, 100) if paper else (6, 6)
    root = int(np.random.default_rng(rng).integers(2**63))
    table = sweep(coverage_run, {"problem": range(n_problems)}, n_runs, executor=executor, store=store, rng=root)
    levels, shape = np.array(COVERAGE_LEVELS), (n_problems, n_runs, 2, -1)
    runs = {name: np.moveaxis(table.arrays[name].reshape(shape), 1, 0) for name in table.arrays}
    coverage, error = mean_and_error(runs["left_out"])  # (problem, step, level)
    own, said = runs["training"].mean(axis=0), runs["said"].mean(axis=0)
    gap = coverage - levels
    chance = np.sqrt(coverage * (1 - coverage) / FRESH)  # of the fresh rows
    spread = np.sqrt(np.maximum(runs["left_out"].var(axis=0, ddof=1) - chance**2, 0))
    tied = np.any(runs["ties"].mean(axis=0)[..., 0] > TIES, axis=1)
    tied &= [coverage_problem(k).training.loss == "logistic" for k in range(n_problems)]
    agreement: dict[str, float] = {}
    steps = ("best step", "last step")
    for s, name in enumerate(steps):
        free, free_error = gap[~tied, s], error[~tied, s]
        at = np.unravel_index(np.abs(free).argmax(), free.shape)
        agreement |= measured(f"{name}: largest |coverage - level|", np.abs(free[at]), free_error[at])
        each = (runs["left_out"] - levels)[:, ~tied, s].mean(axis=2)  # (run, problem)
        agreement |= measured(f"{name}: mean of coverage - level", *_mean_of_means(each))
        excess = np.mean(free**2 - free_error**2)
        agreement[f"{name}: root mean square of coverage - level, free of chance"] = np.sqrt(max(excess, 0))
        agreement[f"{name}: share of coverages within 0.015 of their level"] = np.mean(np.abs(free) <= 0.015)
        agreement[f"{name}: share of coverages within 0.015 and two s.e."] = np.mean(
            np.abs(free) <= 0.015 + 2 * free_error
        )
        nominal = own[:, s, levels == 0.9]
        agreement[f"{name}: training rows at 90 %, least coverage"] = nominal.min()
        agreement[f"{name}: training rows at 90 %, median coverage"] = np.median(nominal)
        agreement[f"{name}: training rows at 90 %, largest coverage"] = nominal.max()
    adaptive, adaptive_error = mean_and_error(runs["adaptive"])
    at = np.unravel_index(np.nanargmax(np.abs(adaptive - levels)), adaptive.shape)
    agreement |= measured(
        "adaptive width: largest |coverage - level|", np.abs(adaptive - levels)[at], adaptive_error[at]
    )
    agreement["adaptive width: mean of coverage - level"] = np.nanmean(adaptive - levels)
    ratio = spread[~tied] / said[~tied]
    agreement["standard deviation of coverage over runs, in units of what is said: mean"] = ratio.mean()
    agreement["standard deviation of coverage over runs, in units of what is said: largest"] = ratio.max()
    agreement["problems"] = n_problems
    agreement["problems with tied outputs (logistic loss, dead neurons)"] = tied.sum()
    if tied.any():
        agreement["tied outputs: largest coverage - level"] = gap[tied].max()
        agreement["tied outputs: least coverage - level"] = gap[tied].min()
    agreement["share of runs with a warning"] = float(table["warned"].mean())

    figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.2), width_ratios=(1.35, 1, 1))
    places, jitter = np.arange(len(levels)), np.random.default_rng(0).uniform(-0.14, 0.14, n_problems)
    axes[0].axhspan(-0.015, 0.015, color="0.92", lw=0)
    axes[0].axhline(0, color="k", lw=0.8)
    for s, (name, colour) in enumerate(zip(steps, (BLUE, RED), strict=True)):
        for part, fill in ((~tied, colour), (tied, "white")):
            x = (places + 0.36 * s - 0.18 + jitter[part, None]).ravel()
            label = f"{name}, one problem" if fill == colour else (f"{name}, tied outputs" if tied.any() else None)
            axes[0].errorbar(
                x, gap[part, s].ravel(), error[part, s].ravel(), fmt="o", ms=3.5, lw=0.6, capsize=0, color=colour,
                mfc=fill, label=label, gid=f"gap {s} {fill == colour}",
            )  # fmt: skip
    axes[0].set_xticks(places, [f"{level:g}" for level in levels])
    axes[0].set(xlabel="level", ylabel="coverage - level, ± s.e.", title="coverage on fresh rows; grey: ± 0.015")
    axes[0].set_yscale("symlog", linthresh=0.02, linscale=2)
    ticks = (-0.02, -0.01, 0, 0.01, 0.02, 0.05, 0.1, 0.2)
    axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0].set_ylim(-0.045, 0.3)
    axes[0].legend(fontsize=8, ncols=2, loc="lower right")
    for k in range(n_problems):
        ends = {"lw": 0.7, "alpha": 0.6}
        axes[1].plot(levels, own[k, 1], color=GREY, label="training rows' residuals" if k == 0 else None, **ends)
        axes[1].plot(levels, coverage[k, 1], color=RED, label="left-out residuals" if k == 0 else None, **ends)
    axes[1].plot([0.5, 1], [0.5, 1], "--", color="k", lw=1)
    axes[1].set(xlabel="level", ylabel="coverage", title="at the last step, one line per problem", ylim=(0, 1.35))
    axes[1].set_yticks(np.arange(0, 1.01, 0.2))
    axes[1].legend(loc="upper left")
    for s, (name, colour) in enumerate(zip(steps, (BLUE, RED), strict=True)):
        axes[2].plot(
            said[~tied, s].ravel(), spread[~tied, s].ravel(), "o", ms=3.5, color=colour, mfc="none", label=name
        )
    top = said.max() * 1.05
    axes[2].plot([0, top], [0, top], "--", color="k", lw=1)
    axes[2].set(xlabel="interval_accuracy says", ylabel="over runs", title="standard deviation of the coverage")
    axes[2].legend(loc="upper left")
    return Claim(
        "Prediction intervals from one run",
        "Left-out outputs of the training rows themselves give intervals that cover new labels as often as they say, "
        "at the best and the last step, and more often where many outputs are equal; residuals of the training rows "
        "do not.",
        f"{n_problems} problems, {n_runs} runs each, {FRESH} fresh rows a run: L = 2 and 3, tanh, ReLU, GELU, m = 200 "
        "to 600, m/n = 0.5 to 5, Gaussian, Rademacher and t(10) features, five links, noise 0.3, squared and ("
        "16, prediction sets) logistic loss, with momentum, weight decay or batches, T = 10, 25, 50; apart, where "
        "more than 1 % of the fresh rows share one output, what has a logistic loss and dead neurons",
        n_problems * n_runs,
        {name: float(value) for name, value in agreement.items()},
        figure,
        alt="Left, coverage minus level for five levels: the points of all problems within a grey band of 0.015 "
        "around 0, but for some of those with tied outputs above it. Middle, coverage against level: lines of "
        "left-out residuals on the diagonal, a few with tied outputs above it, lines of the training rows' residuals "
        "far below. Right, the spread of the "
        "coverage over runs against what is said of it: points below and along the diagonal.",
        bars="Left, bars are one standard error of the mean over runs.",
        data={
            "coverage": stacked(
                {
                    f"{name}, problem {k}{', tied outputs' if tied[k] else ''}": {
                        "level": levels,
                        "coverage": coverage[k, s],
                        "stderr": error[k, s],
                        "training_rows": own[k, s],
                        "spread": spread[k, s],
                        "spread_said": said[k, s],
                    }
                    for s, name in enumerate(steps)
                    for k in range(n_problems)
                },
                "series",
            )
        },
    )


def _mean_of_means(values: Array) -> tuple[float, float]:
    """Mean over (run, problem) and its standard error, runs being independent within each problem."""
    mean, error = mean_and_error(values)
    return float(mean.mean()), float(np.sqrt(np.sum(error**2)) / error.size)
