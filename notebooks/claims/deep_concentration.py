"""Deterministic concentration of deeper weights."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from sedyn import agreement_test, simulate, state_evolution

from .base import BLUE, GREEN, RED, Array, Claim, claim, mean_and_error, measured, slope, stacked, two_sided
from .problems import THREE_LAYERS, three_layers


@claim
def deep_concentration(paper: bool = False, rng=0) -> Claim:
    """Standard deviation of the deep weights over runs against n."""
    sizes, n_runs, T = ((100, 200, 400, 800, 1600), 80, 30) if paper else ((50, 100, 200, 400), 60, 12)
    rng = np.random.default_rng(rng)
    problem = three_layers(T)
    network, training, teacher, overlaps, phi = problem
    theory = state_evolution(*problem, n_paths=2**15 if paper else 2**14, n_scrambles=8, rng=rng)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
    spread, error = np.zeros((2, len(sizes)))
    paths: dict[str, dict] = {}
    for i, n in enumerate(sizes):
        weights, signal = overlaps.realize(n, rng=rng)
        runs = simulate(network, training, teacher, weights, signal, round(phi * n), n_runs, rng=rng)
        values = np.concatenate([W[:, -1].reshape(n_runs, -1) for W in runs.deep_weights], axis=1)
        spread[i] = rms_sd(values)
        error[i] = np.std([rms_sd(values[rng.integers(0, n_runs, n_runs)]) for _ in range(200)])
        if i in (0, len(sizes) - 1):
            for k, colour in enumerate((BLUE, RED, GREEN)):
                low, high = np.quantile(runs.deep_weights[0][:, :, k, 0], (0.1, 0.9), axis=0)
                left.fill_between(np.arange(T + 1), low, high, color=colour, alpha=0.3, lw=0)
                path = theory.deep_weights[0][:, k, 0]
                paths[f"n = {n}, W_2[{k + 1},1]"] = {"t": np.arange(T + 1), "theory": path, "low": low, "high": high}
    left.plot(theory.deep_weights[0][:, :, 0], lw=0.8)
    left.set(title="W_2: theory, and 80 % of the runs at the least and the largest n", xlabel="step t", ylabel="weight")
    b, b_error, a, _ = slope(np.log(sizes), np.log(spread), error / spread)
    right.errorbar(sizes, spread, 2 * error, fmt="o", color=BLUE, mfc="white", label="runs")
    right.plot(sizes, np.exp(a + b * np.log(sizes)), color=BLUE, label=f"slope {b:.2f} ± {b_error:.2f}")
    right.plot(sizes, spread[-1] * np.sqrt(sizes[-1] / np.array(sizes)), "--", color="k", lw=1, label="slope -1/2")
    right.set(xscale="log", yscale="log", xlabel="n", ylabel="standard deviation over runs")
    right.set_xticks(sizes, [str(n) for n in sizes])
    right.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    right.legend()
    gap, gap_error = mean_and_error(values)
    end = np.concatenate([W[-1].ravel() for W in theory.deep_weights])
    end_error = np.concatenate([W[-1].ravel() for W in theory.stderr.deep_weights])
    z = (gap - end) / np.hypot(gap_error, end_error)
    return Claim(
        "Deterministic concentration of deeper weights",
        "Deeper weights concentrate on a deterministic path; their standard deviation over runs falls like n^(-1/2).",
        f"{THREE_LAYERS}, n = {', '.join(map(str, sizes))}, T = {T}",
        n_runs * len(sizes),
        measured("slope of log sd against log n", b, b_error)
        | {f"largest |z| of the {len(z)} mean deep weights, n = {sizes[-1]}": float(np.abs(z).max())},
        figure,
        alt="Left, three deep weights along training: the theory's lines, a band of 80 % of the runs at the least n "
        "around each, and one at the largest n hardly wider than the line. Right, the standard deviation over runs "
        "against n, both logarithmic: points on a straight line of slope about -1/2.",
        bars="Left, bands hold 80 % of the runs, at the least and the largest n. Right, bars are two standard "
        "errors, by bootstrap over runs.",
        p_values={
            f"all {len(z)} deep weights at T, n = {sizes[-1]}": agreement_test(values, end, end_error).p_value,
            "slope of log sd against log n is -1/2": two_sided(b + 0.5, b_error),
        },
        data={"paths": stacked(paths, "series"), "spread": {"n": sizes, "sd": spread, "stderr": error}},
    )


def rms_sd(values: Array) -> float:
    """Root mean square over weights of the standard deviation over runs (axis 0)."""
    return float(np.sqrt(values.var(axis=0, ddof=1).mean()))
