"""How fast universality sets in: a sweep."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize, stats

from sedyn import Network, Overlaps, SingleIndex, Training, gradient_descent, state_evolution, sweep

from .base import Claim, claim, mean_and_error, measured, slope, stacked
from .problems import UNIVERSAL

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
    (exponent, *_), cov = optimize.curve_fit(power, np.array(sizes, float), gap.ravel(), start_at, error.ravel(), True)
    # and with exponent -1: straight lines in 1/n through 0
    x = 1 / np.array(sizes)
    weight = x**2 / error**2
    level, level_error = np.sum(gap / x * weight, axis=1) / weight.sum(axis=1), weight.sum(axis=1) ** -0.5
    residual = (gap - level[:, None] * x) / error
    freedom = gap.size - len(level)
    kurtosis = np.array(list(EXCESS_KURTOSIS.values()))
    b, b_error, a, a_error = slope(kurtosis, level, level_error)

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for i, name in enumerate(UNIVERSAL):
        (drawn,) = left.plot([0, x[0]], [0, 100 * level[i] * x[0]], lw=1.2)
        left.errorbar(
            x * (1 + 0.02 * (i - 2.5)), 100 * gap[i], 200 * error[i], fmt="o", lw=1, color=drawn.get_color(),
            mfc="white", label=name,
        )  # fmt: skip
        right.errorbar(
            kurtosis[i], level[i], 2 * level_error[i], fmt="o", color=drawn.get_color(), mfc="white", label=name
        )
    left.axhline(0, color="0.6", lw=0.8)
    left.set(xlabel="1 / n", ylabel="training error / theory - 1, %", title="lines through 0: gaps fall like 1/n")
    left.locator_params("x", nbins=5)
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.3 * (high - low))
    left.legend(fontsize=8, ncols=2, loc="upper left")
    ends = np.array([kurtosis.min(), kurtosis.max()])
    right.plot(ends, a + b * ends, color="k", lw=1, label="straight line")
    right.axhline(0, color="0.6", lw=0.8)
    right.set(xlabel="excess kurtosis of a feature", ylabel="n times the gap", title="what sets its size")
    right.legend(fontsize=8)
    return Claim(
        "How fast universality sets in",
        "Where signal and start are spread over many features, the training error under six feature laws is off "
        "the theory by a multiple of the law's excess kurtosis over n: upwards for heavy tails, downwards for light "
        "ones.",
        f"widths (2, 1), tanh, n = {', '.join(map(str, sizes))} with {', '.join(map(str, n_seeds))} runs of each law, "
        f"m/n = 1.5, step size 0.3, T = {T}, link z + sin(2z)/2, noise 0.3; an exponent common "
        "to all laws, and lines in 1/n through 0"
        + ("; a first sweep began at n = 50, where higher orders count: -0.815 ± 0.058" if paper else ""),
        len(UNIVERSAL) * sum(n_seeds),
        measured("exponent of n in the gap", exponent, np.sqrt(cov[0, 0]))
        | {"chi-square per degree of freedom of the lines in 1/n": float(np.sum(residual**2) / freedom)}
        | measured("n times the gap, per unit of excess kurtosis", b, b_error)
        | measured("n times the gap, Gaussian features", level[0], level_error[0])
        | {
            f"{name}: |z| of the gap, n = {sizes[-1]}": float(abs(g / e))
            for name, g, e in zip(UNIVERSAL, gap[:, -1], error[:, -1], strict=True)
        },
        figure,
        alt="Left, the relative gap of the training error against 1/n for six laws of features: points on straight "
        "lines that meet at 0, steepest and upwards for the sparse law. Right, n times the gap against the excess "
        "kurtosis: six points along a rising straight line.",
        bars="Bars are two standard errors of the mean over runs; right, of the fitted line in 1/n.",
        p_values={"all gaps on lines in 1/n through 0": float(stats.chi2.sf(np.sum(residual**2), freedom))},
        data={
            "gaps": stacked(
                {name: {"n": sizes, "gap": g, "stderr": e} for name, g, e in zip(UNIVERSAL, gap, error, strict=True)},
                "features",
            ),
            "sizes": {
                "features": list(UNIVERSAL),
                "excess_kurtosis": kurtosis,
                "n_times_gap": level,
                "stderr": level_error,
            },
        },
    )
