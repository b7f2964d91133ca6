"""When to stop, over aspect ratio and noise: a sweep."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from sedyn import Network, Overlaps, SingleIndex, Training, agreement_test, simulate, state_evolution, sweep

from .base import Claim, claim


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
    theory = state_evolution(*problem, aspect_ratio, n_paths=n_paths, n_scrambles=4, tolerance=1e-2, rng=rng)
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
    p_values = {}
    for i, ratio in enumerate(grid["aspect_ratio"]):
        for j, level in enumerate(grid["noise"]):
            values = curves[i, j, :, at[i, j]]
            p = agreement_test(values, predicted[i, j], predicted_error[i, j]).p_value
            p_values[f"m/n = {ratio:.3g}, noise {level:.2g}: error at the predicted time"] = p
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
        "The theory maps the best stopping time and the error reached then over aspect ratio and noise; in "
        "simulations on a coarse grid, stopping at the predicted time costs next to nothing.",
        f"widths (3, 1), tanh, step size 0.3, T = {T}, link z + sin(2z)/2; theory at {theory['seed'].size} points, "
        f"{n_seeds} runs at each of {z.size}, n = {n}; white line: below it training to T is best, a "
        "flat minimum, which makes the line ragged",
        len(runs["seed"]),
        {
            "chi-square per point of the error at the predicted time": float(np.mean(z**2)),
            f"largest |z| of the {z.size} points": float(np.abs(z).max()),
            "largest cost of stopping at the predicted time": float(cost.max()),
            "largest cost of not stopping": float(unstopped.max()),
            "share of the diagram where training to T is best": float(never.mean()),
        },
        figure,
        alt="Two colour maps over aspect ratio and noise: the best stopping time grows towards little noise and many "
        "rows, to the last step beyond a white line; the least error grows with the noise. Circles of runs have "
        "nearly the colour of the map around them. Third panel: z-scores of runs against theory, nearly all in the "
        "grey band.",
        bars="The grey band is z from -2 to 2; standard errors are over runs, with the theory's own.",
        p_values=p_values,
        data={
            "theory": {
                "m_over_n": np.repeat(ratios, len(noises)),
                "noise": np.tile(noises, len(ratios)),
                "best_step": theory["best_step"],
                "least_error": theory["best_error"],
            },
            "runs": {
                "m_over_n": X.ravel(),
                "noise": Y.ravel(),
                "best_step": mean.argmin(axis=0).ravel(),
                "least_error": mean.min(axis=0).ravel(),
                "z_at_the_predicted_step": z.ravel(),
            },
        },
    )
