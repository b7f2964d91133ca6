"""Consistent estimation of the generalization error by augmented gradient descent."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sedyn import Network, SingleIndex, Training, population_errors, random_signal

from .base import (
    BLUE,
    GREEN,
    RED,
    Array,
    Claim,
    claim,
    mean_and_error,
    measured,
    slope,
    stacked,
    two_sided,
    weighted_mean,
)
from .problems import ESTIMATION_NETWORKS, estimated_run


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
        "Consistent estimation of the generalization error",
        "Augmented gradient descent estimates the generalization error from the training rows alone: off by "
        "about n^(-1/2), without bias beyond 1/n.",
        f"widths (3, 1) and (3, 2, 1), tanh, n = {', '.join(map(str, sizes))}, m/n = 0.8, 1.5, 3, Gaussian and "
        f"Rademacher features, step size 0.25, T = {T}, link z + sin(2z)/2, noise 0.5; all drawn afresh for each run",
        len(settings) * sum(runs),
        measured("slope of log |gap| against log n", common, common_error)
        | {f"chi-square per setting of the {len(settings)} slopes, against -1/2": float(np.mean(z**2))}
        | {f"mean |gap|, n = {n}": float(g) for n, g in zip(sizes, gap.mean(axis=0), strict=True)}
        | measured(f"bias, n = {sizes[-1]}", mean_bias[-1], mean_bias_error[-1])
        | measured("bias at n = infinity", a, a_error),
        figure,
        alt="Two panels, L = 2 and L = 3: the relative error of the estimate, mean over steps and runs, against n, "
        "both logarithmic, falls along the dashed line of slope -1/2 for three aspect ratios and two laws of "
        "features. Third panel: the mean "
        "bias against 1/n, its bars around 0.",
        bars="Bars are two standard errors of the mean over runs, in the third panel over runs of all settings.",
        p_values={
            f"all {len(settings)} slopes are -1/2": float(stats.chi2.sf(np.sum(z**2), len(settings))),
            "the slope common to all is -1/2": two_sided(common + 0.5, common_error),
            "no bias at n = infinity": two_sided(a, a_error),
        },
        data={
            "gaps": stacked(
                {
                    f"L = {L}, m/n = {phi:g}, {features}": {"n": sizes, "mean_gap": g, "stderr": e}
                    for (L, phi, features), g, e in zip(settings, gap, gap_error, strict=True)
                },
                "setting",
            ),
            "bias": {"n": sizes, "bias": mean_bias, "stderr": mean_bias_error},
        },
    )
