"""The state evolution beside theories of other limits."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sedyn import (
    Evolution,
    Network,
    Overlaps,
    SingleIndex,
    Training,
    Trajectory,
    Wide,
    gradient_descent,
    linearized_gradient_descent,
    random_signal,
    state_evolution,
    widen,
)

from .base import Array, Claim, claim, measured, stacked

THEORIES = {  # name and colour
    "linearized": ("linearized at its start (NTK)", "#E69F00"),
    "population": ("population limit, no reuse", "#CC79A7"),
    "wide": ("infinitely wide", "#009E73"),
    "state evolution": ("state evolution", "#0072B2"),
}

QUANTITIES = "training error", "generalization error"


def widened(width: int, scaling: str, T: int = 16) -> Wide:
    """The two-layer network of width 2 and its training, widened."""
    return widen(Network((2, 1), ("tanh", "identity")), Training(0.25, T), width // 2, scaling)


def errors_at_the_end(run: Trajectory | Evolution) -> list[float]:
    """Training and generalization error at the last step."""
    assert run.generalization_error is not None
    return [run.train_error[-1], run.generalization_error[-1]]


def theory_misses(
    problem: Wide, scaled_wide: Wide, n: int, n_starts: int, n_runs: int, rng, accuracy: dict
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
            theory = state_evolution(*known, ratio, **accuracy, rng=rng)
            said[name].append(errors_at_the_end(theory))
    mean = simulated.mean(axis=1)
    error = np.sqrt(np.mean((simulated.std(axis=1, ddof=1) / mean) ** 2, axis=0) / n_runs)
    return {name: np.array(value) / mean - 1 for name, value in said.items()}, error


@claim
def other_theories(paper: bool = False, rng=0) -> Claim:
    """By how much each theory misses the errors after training, against the width."""
    # width: number of starts
    starts = {2: 8, 4: 8, 8: 6, 32: 6, 128: 4} if paper else {2: 3, 4: 3, 8: 2, 32: 1}
    n, n_runs, n_wide = (600, 12, 512) if paper else (240, 6, 128)
    # the theory's own error is to be small beside that of the runs
    accuracy: dict = {"n_paths": 2**14 if paper else 2**12, "n_scrambles": 4, "tolerance": 1e-3 if paper else 1e-2}
    rng = np.random.default_rng(rng)
    titles = {"ntk": "NTK scaling", "maximal_update": "mean-field scaling"}
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.6), sharex=True, sharey=True)
    agreement: dict[str, float] = {}
    chi_square: list[float] = []
    p_values: dict[str, float] = {}
    misses_of: dict[str, dict] = {}
    for column, (scaling, title) in enumerate(titles.items()):
        size, error = np.zeros((2, len(THEORIES), len(starts), 2))
        noise = np.zeros((len(starts), 2))
        for i, (q, n_starts) in enumerate(starts.items()):
            problems = widened(q, scaling), widened(n_wide, scaling)
            misses, noise[i] = theory_misses(*problems, n, n_starts, n_runs, rng, accuracy)
            chi_square += list(((misses["state evolution"] / noise[i]) ** 2).ravel())
            # the errors of the runs are those of all starts together
            of_starts = np.mean((misses["state evolution"] / noise[i]) ** 2, axis=0)
            for word, ratio in zip(QUANTITIES, of_starts, strict=True):
                p_values[f"{title}, width {q}: {word} of all starts"] = float(
                    stats.f.sf(ratio, n_starts, n_starts * (n_runs - 1))
                )
            for k, (name, values) in enumerate(misses.items()):
                size[k, i] = np.sqrt(np.mean(values**2, axis=0))
                # of the root mean square, by linear propagation of the error of the runs
                spread = (values * (1 + values) * noise[i]) ** 2
                error[k, i] = np.sqrt(np.mean(spread, axis=0) / n_starts) / size[k, i]
                both = np.sqrt(np.mean(values**2))
                both_error = np.sqrt(np.mean(spread) / values.size) / both
                agreement |= measured(f"{title}, width {q}, {THEORIES[name][0]}", both, both_error)
        for j, quantity in enumerate(QUANTITIES):
            ax = axes[j, column]
            for k, (label, colour) in enumerate(THEORIES.values()):
                misses_of[f"{title}: {quantity}: {label}"] = {
                    "width": list(starts), "miss": size[k, :, j], "stderr": error[k, :, j]
                }  # fmt: skip
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
        "At small width the linearized network, the population limit and the infinitely wide network miss the errors; "
        "each comes right at best towards its own limit, and the state evolution is right at every width.",
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
        alt="Four panels, two scalings of the width by two errors: the relative miss of four theories against the "
        "width, both logarithmic. The state evolution lies at the grey noise of the runs at every width. The "
        "linearized network comes down to it only under NTK scaling and only at large width, the infinitely wide one "
        "in the generalization error under mean-field scaling alone, at the largest width, the population limit never.",
        bars="Bars are two standard errors of the root mean square over starts, from the scatter of the runs; "
        "downwards they are cut for the logarithmic axis.",
        p_values=p_values,
        data={"misses": stacked(misses_of, "series")},
    )
