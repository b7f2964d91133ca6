"""Finite width."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import (
    Network,
    Overlaps,
    SingleIndex,
    Training,
    agreement_test,
    plot,
    random_signal,
    simulate,
    state_evolution,
)

from .base import Claim, claim, four_steps, mean_and_error, measured, relative_gap, stacked


@claim
def finite_width_agreement(paper: bool = False, rng=0) -> Claim:
    """Errors of networks of a few neurons against the theory, at every step."""
    n, n_runs, phi, T = (1200, 30, 1.5, 40) if paper else (600, 12, 1.5, 16)
    accuracy: dict = {"n_paths": 2**16 if paper else 2**13, "n_scrambles": 8}
    rng = np.random.default_rng(rng)
    teacher, training = SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3), Training(0.25, T)
    steps = np.arange(2, T + 1, 2)
    agreement: dict[str, float] = {}
    p_values: dict[str, float] = {}
    curves: dict[str, dict] = {}
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for ax, widths in zip(axes, ((2, 1), (8, 1), (4, 3, 1)), strict=True):
        network = Network(widths, ("tanh",) * (len(widths) - 1) + ("identity",))
        weights, signal = network.init(n, rng=rng), random_signal(n, rng=rng)
        overlaps = Overlaps.of(weights, signal)
        theory = state_evolution(network, training, teacher, overlaps, phi, **accuracy, rng=rng)
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        name = f"L = {len(widths)}, width {widths[0]}"
        plot.learning_curves(theory, runs, ax=ax, max_points=12).set_title(name)
        if ax is not axes[0]:
            ax.get_legend().remove()  # the same in each panel
        for quantity in ("train_error", "generalization_error"):
            curve = [getattr(of, quantity) for of in (runs, theory, theory.stderr)]
            values, line, line_error = (of[..., steps] for of in curve)
            key = f"{name}: relative gap of the {plot.QUANTITIES[quantity][0]}"
            agreement |= measured(key, *relative_gap(values, line, line_error))
            key = f"{name}: {plot.QUANTITIES[quantity][0]}"
            p_values[key] = agreement_test(*(of[..., four_steps(T)] for of in curve)).p_value
            mean, error = mean_and_error(values)
            curves[key] = {"t": steps, "theory": line, "theory_stderr": line_error, "runs": mean, "runs_stderr": error}
    return Claim(
        "Finite width",
        "The width stays fixed, with no limit of wide layers: for networks of a few neurons, of two and three "
        "layers, the theory gives training and generalization error at every step.",
        f"widths (2, 1), (8, 1) and (4, 3, 1), tanh, all layers trained, n = {n}, m/n = {phi}, step size 0.25, T = "
        f"{T}, link z + sin(2z)/2, noise 0.3",
        3 * n_runs,
        agreement,
        figure,
        alt="Three panels, one network each: training and generalization error fall along the steps and part; the "
        "points of the runs lie on the lines of the theory.",
        bars="Points are means over runs; bars, where larger than the points, are two standard errors.",
        p_values=p_values,
        data={"curves": stacked(curves, "series")},
    )
