"""Fluctuations in first-layer weights (theory 5)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sedyn import agreement_test, simulate, state_evolution

from .base import BLUE, GREEN, RED, Claim, claim, mean_and_error, measured, stacked
from .problems import THREE_LAYERS, three_layers


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
    p_values: dict[str, float] = {}
    agreement: dict[str, float] = {}
    for i, (ax, t) in enumerate(zip(axes, steps, strict=True)):
        for k, colour in enumerate((BLUE, RED, GREEN)):
            ax.plot(quantiles, np.sort(values[i, :, k]), ".", ms=3, color=colour, label=f"neuron {k + 1}")
            p_values[f"neuron {k + 1}, t = {t}: Gaussian"] = stats.kstest(values[i, :, k], "norm").pvalue
        ax.axline((0, 0), slope=1, color="k", lw=0.8)
        ax.set(title=f"t = {t}", xlabel="standard Gaussian quantile")
        agreement |= measured(f"variance over that of the theory, t = {t}", ratio[i], error[i])
        variance = np.mean(standard[:, i] ** 2, axis=1)  # (run, neuron)
        p_values[f"variances, t = {t}"] = agreement_test(variance, 1.0).p_value
    axes[0].set_ylabel("standardised weight")
    axes[0].legend()
    gaussian = [float(p) for name, p in p_values.items() if name.endswith("Gaussian")]
    coarse = np.linspace(0, values.shape[1] - 1, 60).round().astype(int)
    return Claim(
        "Fluctuations in first-layer weights",
        "First-layer weights fluctuate from data set to data set: given start and signal, each is Gaussian, with "
        "mean and variance given by the theory.",
        f"{THREE_LAYERS}, n = {n}, T = {T}, {per_run} features of each run",
        n_runs,
        agreement | {f"smallest of {len(gaussian)} Kolmogorov-Smirnov p-values": min(gaussian)},
        figure,
        alt="Three panels, at three steps: the ordered standardised weights of three neurons against the quantiles "
        "of the standard Gaussian. The points lie near the diagonal, up to scatter at the two ends.",
        bars="No bars: each point is one weight. Standard errors of the variances are over runs.",
        p_values=p_values,
        data={
            "quantiles": stacked(
                {
                    f"t = {t}, neuron {k + 1}": {
                        "gaussian": quantiles[coarse],
                        "weight": np.sort(values[i, :, k])[coarse],
                    }
                    for i, t in enumerate(steps)
                    for k in range(3)
                },
                "series",
            )
        },
    )
