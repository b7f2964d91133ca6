"""A generalization gap beyond uniform convergence."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import Network, Overlaps, SingleIndex, Training, agreement_test, plot, simulate, state_evolution

from .base import Claim, claim, mean_and_error, measured, stacked


@claim
def generalization_gap(paper: bool = False, rng=0) -> Claim:
    """Training and generalization error where they differ by a large factor, and on labels that are pure noise."""
    n, n_runs, T, ratios = (1000, 16, 40, (1, 1.25, 1.5, 2, 3, 4, 6)) if paper else (300, 12, 40, (1, 2, 4))
    accuracy: dict = {"n_paths": 2**15 if paper else 2**13, "n_scrambles": 8}
    rng = np.random.default_rng(rng)
    network, training = Network((4, 1), ("tanh", "identity")), Training(0.3, T)
    deep = np.array([[1.0], [-0.8], [0.6], [-0.5]])
    overlaps = Overlaps(np.eye(4), np.zeros(4), 1.0, (deep,))
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    agreement: dict[str, float] = {}
    p_values: dict[str, float] = {}
    curves: dict[str, dict] = {}
    tasks = {
        "labels tanh(2z) + noise": SingleIndex(lambda z: np.tanh(2 * z), 0.5),
        "labels pure noise": SingleIndex("zero", 1.0),
    }
    for ax, (title, teacher) in zip(axes, tasks.items(), strict=True):
        lines, line_errors, means, errors = np.zeros((4, 2, len(ratios)))
        for i, phi in enumerate(ratios):
            theory = state_evolution(network, training, teacher, overlaps, phi, **accuracy, rng=rng)
            lines[:, i] = theory.train_error[T], theory.generalization_error[T]
            line_errors[:, i] = theory.stderr.train_error[T], theory.stderr.generalization_error[T]
            weights, signal = overlaps.realize(n, rng=rng)
            runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
            pairs = np.column_stack([runs.train_error[:, T], runs.generalization_error[:, T]])
            means[:, i], errors[:, i] = mean_and_error(pairs)
            p_values[f"{title}, m/n = {phi:g}: both errors"] = agreement_test(
                pairs, lines[:, i], line_errors[:, i]
            ).p_value
        where = f"{title}, m/n = {ratios[0]}"
        agreement[f"{where}: generalization over training error, theory"] = lines[1, 0] / lines[0, 0]
        for k, (name, colour) in enumerate(list(plot.QUANTITIES.values())[:2]):
            gap, error = means[k] / lines[k] - 1, np.hypot(errors[k], line_errors[k]) / lines[k]
            agreement |= measured(f"{where}: relative gap of the {name}", gap[0], error[0])
            curves[f"{title}: {name}"] = {
                "m_over_n": ratios, "theory": lines[k], "theory_stderr": line_errors[k], "runs": means[k],
                "runs_stderr": errors[k],
            }  # fmt: skip
            ax.plot(ratios, lines[k], color=colour, label=f"{name}, theory")
            ax.errorbar(ratios, means[k], 2 * errors[k], fmt="o", color=colour, mfc="white", label="simulation")
        ax.set(title=title, xlabel="m / n", xscale="log", yscale="log")
        ax.set_xticks(ratios, [f"{r:g}" for r in ratios], minor=False)
        ax.minorticks_off()
    axes[0].set_ylabel("mean squared error at T")
    axes[0].legend()
    return Claim(
        "A generalization gap beyond uniform convergence",
        "The theory gives both errors where they differ by a large factor; at m = n the same network in the same time "
        "fits pure noise as well, so a bound that holds for all it can reach says nothing.",
        f"widths (4, 1), tanh, n = {n}, step size 0.3, T = {T}, noise 0.5 (left) and 1 (right)",
        n_runs * len(ratios) * 2,
        agreement,
        figure,
        alt="Two panels of both errors at the end against m/n, logarithmic; left labels with a signal, right pure "
        "noise. At m = n the training error lies about a hundred times below the generalization error; the curves "
        "come nearer each other as m/n grows. The points of the runs lie on the lines of the theory.",
        p_values=p_values,
        data={"errors": stacked(curves, "series")},
    )
