"""Updates that act entry by entry (theory 10)."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Overlaps, Weights, agreement_test, plot, random_signal, simulate, state_evolution, z_scores

from .base import Claim, claim, four_steps, mean_and_error, measured, relative_gap, stacked
from .rules import DEEP, ERRORS, NETWORKS, WAVY, training_by


class OptimizerCase(NamedTuple):
    """One panel of `optimizers`."""

    rule: str
    L: int = 2
    phi: float = 1.5
    features: str = "gaussian"
    batch_fraction: float = 1.0


OPTIMIZER_CASES = {
    "Adam": OptimizerCase("Adam"),
    "sign descent, Rademacher": OptimizerCase("sign descent", features="rademacher"),
    "soft thresholding, m/n = 0.8": OptimizerCase("soft thresholding", phi=0.8),
    "RMSProp, batches of 0.3": OptimizerCase("RMSProp", batch_fraction=0.3),
    "clipping, m/n = 4": OptimizerCase("clipping", phi=4.0),
    "Adam, L = 3": OptimizerCase("Adam", L=3),
    "sign descent, L = 3": OptimizerCase("sign descent", L=3, phi=2.5),
}


@claim
def optimizers(paper: bool = False, rng=0) -> Claim:
    """Errors under Adam, RMSProp, sign descent, soft thresholding and clipping against the theory, at every step."""
    n, n_runs, T, accuracy = (1000, 40, 40, 0.001) if paper else (400, 12, 12, 0.01)
    rng = np.random.default_rng(rng)
    steps = np.arange(2, T + 1, 2)
    agreement: dict[str, float] = {}
    figure, axes = plt.subplots(2, 4, figsize=(14.5, 6.8))
    *panels, last = axes.ravel()
    gaps, z = {}, []
    p_values: dict[str, float] = {}
    curves: dict[str, dict] = {}
    for ax, (name, case) in zip(panels, OPTIMIZER_CASES.items(), strict=True):
        network = NETWORKS[case.L]
        training = training_by(case.rule, case.L, T, batch_fraction=case.batch_fraction)
        weights, signal = Weights(network.init(n, rng=rng).first, DEEP[case.L]), random_signal(n, rng=rng)
        overlaps, m = Overlaps.of(weights, signal), round(case.phi * n)
        theory = state_evolution(network, training, WAVY, overlaps, case.phi, accuracy=accuracy, rng=rng)
        runs = simulate(network, training, WAVY, weights, signal, m, n_runs, features=case.features, rng=rng)
        plot.learning_curves(theory, runs, ax=ax, max_points=12).set_title(name)
        ax.get_legend().remove()
        for quantity in ERRORS:
            values, line, error = getattr(runs, quantity), getattr(theory, quantity), getattr(theory.stderr, quantity)
            gaps[name, quantity] = relative_gap(values[:, steps], line[steps], error[steps])
            z.append(z_scores(values, line, error)[steps])
            word = plot.QUANTITIES[quantity][0]
            agreement |= measured(f"{name}: relative gap of the {word}", *gaps[name, quantity])
            p_values[f"{name}: {word}"] = agreement_test(
                *(of[..., four_steps(T)] for of in (values, line, error))
            ).p_value
            mean, mean_error = mean_and_error(values[:, steps])
            curves[f"{name}: {word}"] = {
                "t": steps, "theory": line[steps], "theory_stderr": error[steps], "runs": mean,
                "runs_stderr": mean_error,
            }  # fmt: skip
    places = np.arange(len(OPTIMIZER_CASES))[::-1]
    last.axvline(0, color="k", lw=0.8)
    for quantity, shift in zip(ERRORS, (0.15, -0.15), strict=True):
        word, colour, *_ = plot.QUANTITIES[quantity]
        mean, error = 100 * np.array([gaps[name, quantity] for name in OPTIMIZER_CASES]).T
        last.errorbar(mean, places + shift, xerr=2 * error, fmt="o", color=colour, mfc="white", label=word)
    last.set_yticks(places, [name.replace(", ", ",\n") for name in OPTIMIZER_CASES], fontsize=8)
    last.set(xlabel="runs over theory - 1, %, ± 2 s.e.", title="gap, mean over the steps", ylim=(-0.6, places[0] + 0.6))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Claim(
        "Updates that act entry by entry",
        "Updates of the first layer that act entry by entry, five of them here, are predicted at every step, from the "
        "actual rows of weights and signal.",
        f"widths (3, 1) and (3, 2, 1), tanh, all layers trained, the deep ones by plain gradient descent, n = {n}, T = "
        f"{T}, link z + sin(2z)/2, noise 0.3; m/n = 1.5, 2.5 for sign descent with L = 3, or as named",
        len(OPTIMIZER_CASES) * n_runs,
        agreement
        | {
            "root mean square z over all curves and steps": float(np.sqrt(np.mean(np.square(z)))),
            f"largest |z| of the {np.size(z)}": float(np.abs(z).max()),
        },
        figure,
        alt="Seven panels, one update and setting each: training and generalization error along the steps, the "
        "points of the runs on the lines of the theory. In the last panel the mean relative gaps, within one and a "
        "half percent of 0.",
        bars="Bars are two standard errors of the mean over runs.",
        p_values=p_values,
        data={"curves": stacked(curves, "series")},
    )
