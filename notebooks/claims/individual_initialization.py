"""Individual initialization beyond lazy training."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import (
    Network,
    Overlaps,
    SingleIndex,
    Training,
    agreement_test,
    linearized_gradient_descent,
    random_signal,
    simulate,
    state_evolution,
)

from .base import GREY, RED, Claim, claim, measured, slope, two_sided


@claim
def individual_initialization(paper: bool = False, rng=0) -> Claim:
    """Draws from one law of initialization end at different errors, each at its own prediction."""
    n, n_starts, n_runs, phi, T = (1000, 24, 16, 1.5, 10) if paper else (500, 8, 12, 1.5, 10)
    rng_starts, rng = np.random.default_rng(rng).spawn(2)
    network, training = Network((2, 1), ("tanh", "identity")), Training(0.3, T)
    teacher, signal = SingleIndex("tanh", 0.3), random_signal(n, rng=rng_starts)
    (predicted, predicted_error, linearized), simulated = np.zeros((3, n_starts)), np.zeros((n_starts, n_runs))
    p_values: dict[str, float] = {}
    for i in range(n_starts):
        weights = network.init(n, scale=(1, 1.5), rng=rng_starts)
        overlaps = Overlaps.of(weights, signal)
        theory = state_evolution(network, training, teacher, overlaps, phi, rng=rng)
        predicted[i], predicted_error[i] = theory.generalization_error[T], theory.stderr.generalization_error[T]
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        simulated[i] = runs.generalization_error[:, T]
        p = agreement_test(simulated[i], predicted[i], predicted_error[i]).p_value
        p_values[f"start {i + 1}: generalization error"] = p
        lazy = []
        for _ in range(4):  # data sets
            rows = teacher.sample(round(phi * n), signal, rng=rng)
            test = teacher.sample(4 * n, signal, rng=rng)
            run = linearized_gradient_descent(network, training, weights, *rows, test)
            assert run.generalization_error is not None
            lazy.append(run.generalization_error[-1])  # the last one reached, where it diverges
        linearized[i] = np.mean(lazy)
    # one relative error for all starts: each has only a few runs
    mean = simulated.mean(axis=1)
    error = mean * np.sqrt(np.mean(simulated.var(axis=1, ddof=1) / mean**2) / n_runs)
    error = np.hypot(error, np.sqrt(np.mean(predicted_error**2)))
    b, b_error, *_ = slope(predicted, mean, error)
    figure, (ax, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    ax.axline((predicted.mean(), predicted.mean()), slope=1, color="k", lw=1, label="prediction = simulation")
    ax.errorbar(predicted, mean, 2 * error, fmt="o", color=RED, mfc="white", label="one start, mean of its runs")
    ax.set(xlabel="generalization error, theory for this start", ylabel="generalization error, simulation")
    ax.legend()
    right.axhline(1, color="k", lw=1)
    right.plot(
        mean,
        np.minimum(linearized / mean, 1e3),
        "s",
        color=GREY,
        mfc="white",
        label="lazy training: linearized at the start",
    )
    right.plot(mean, predicted / mean, "o", color=RED, mfc="white", label="theory")
    right.set(
        xlabel="generalization error, simulation",
        ylabel="prediction / simulation (from 1000 on drawn there)",
        yscale="log",
    )
    right.legend()
    p_values["slope over starts is 1"] = two_sided(b - 1, b_error)
    others = np.abs(np.subtract.outer(mean, predicted) / error[:, None])[~np.eye(n_starts, dtype=bool)]
    return Claim(
        "Individual initialization beyond lazy training",
        "At finite width the start does not average out: each draw has its own errors, and the theory gives them, "
        f"at n = {n} to about a percent, where lazy training (the network linearized at the same start) misses them.",
        f"widths (2, 1), tanh, n = {n}, m/n = {phi}, step size 0.3, T = {T}, link tanh, noise 0.3, {n_starts} starts; "
        "lazy training on 4 data sets for each start",
        n_starts * n_runs,
        measured("slope of simulation against theory over starts", b, b_error)
        | {
            "chi-square per start, own prediction": float(np.mean(((mean - predicted) / error) ** 2)),
            "median |z| with the prediction for another start": float(np.median(others)),
            "lazy training: median |prediction over simulation - 1|": float(np.median(np.abs(linearized / mean - 1))),
            "lazy training: share of starts with more than 10 times the error": float(np.mean(linearized > 10 * mean)),
            "theory: median |prediction over simulation - 1|": float(np.median(np.abs(predicted / mean - 1))),
        },
        figure,
        alt="Left, simulated against predicted generalization error, one circle per start with its bar: the circles "
        "lie along the diagonal over a wide range of errors. Right, prediction over simulation, logarithmic: the "
        "circles of the theory lie at 1; the squares of lazy training lie off it, most by ten to fifty percent, a "
        "few by a factor of ten to more than a thousand; a few lie on it.",
        bars="Bars are two standard errors of the mean over runs from one start, of theory and runs together.",
        p_values=p_values,
        data={
            "starts": {
                "start": np.arange(1, n_starts + 1),
                "theory": predicted,
                "theory_stderr": predicted_error,
                "runs": mean,
                "stderr": error,
                "lazy": linearized,
            }
        },
    )
