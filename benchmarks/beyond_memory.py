"""Gradient descent beyond memory, and how simulation meets the theory on the way there

`sedyn.householder_dice` on a million features, problem A; then the generalization error of many runs of problem C at
T = 20 (in A the bias drowns in the noise of thousands of runs) against the theory, from n = 50 to a million.
"""

import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import PROBLEMS
from scipy.optimize import curve_fit
from tqdm import tqdm

import sedyn

HERE = Path(__file__)
# n -> runs, per way of simulating: n^(1/2) / runs^(1/2) must fall below the bias for it to be seen
RUNS = {
    "explicit": {50: 6000, 100: 6000, 300: 3000, 1000: 500},
    "dice": {100: 1000, 300: 1000, 1000: 1000, 3000: 300, 10**4: 150, 10**5: 30, 10**6: 8},
}
CONVERGING = replace(PROBLEMS["C"], n_steps=20)
NAMES = {"explicit": "gradient descent on a stored X", "dice": "Householder dice, X never stored"}


def one_large_run():
    start = time.perf_counter()
    *problem, phi = replace(PROBLEMS["A"], n_steps=100).parts
    run = sedyn.householder_dice(*problem, round(phi * 10**6), 10**6, rng=0)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    theory = sedyn.state_evolution(*problem, phi, tolerance=1e-2, rng=0)
    errors = (run.train_error[-1], theory.train_error[-1], run.generalization_error[-1])
    return dict(seconds=seconds, peak=peak, errors=[*errors, theory.generalization_error[-1]], status=run.status)


def final_errors(way, n, n_runs, seed):
    """Generalization errors of problem C at T = 20, one per run."""
    network, training, teacher, overlaps, phi = CONVERGING.parts
    rng, m, errors = np.random.default_rng(seed), round(phi * n), []
    weights, signal = overlaps.realize(n, rng=rng)
    for _ in range(n_runs):
        if way == "dice":
            run = sedyn.householder_dice(network, training, teacher, overlaps, m, n, rng=rng)
            errors.append(run.generalization_error[-1])
        else:
            X, y = teacher.sample(m, signal, rng=rng)
            run = sedyn.gradient_descent(network, training, weights, X, y)
            end = sedyn.Overlaps.of(run.final, signal)
            errors.append(sedyn.population_error(network, teacher, end, n_paths=2**12, rng=rng))
    return way, n, errors


def convergence():
    """Relative spread and bias per way and n, with standard errors, and the theory's own relative standard error.

    Returns {way: (n, runs, spread, its error, bias, its error)}, theory's error."""
    theory = CONVERGING.solve(2**16, 0, n_scrambles=16)
    exact, floor = theory.generalization_error[-1], theory.stderr.generalization_error[-1]
    jobs = []
    for way, sizes in RUNS.items():
        for n, n_runs in sizes.items():
            part = -(-n_runs // 20)
            seeds = np.random.SeedSequence([len(way), n]).spawn(-(-n_runs // part))
            jobs += [(way, n, min(part, n_runs - i * part), seed) for i, seed in enumerate(seeds)]
    errors = {(way, n): [] for way, sizes in RUNS.items() for n in sizes}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(final_errors, *job) for job in sorted(jobs, key=lambda job: -job[1])]
        for future in tqdm(as_completed(futures), total=len(futures), desc="runs"):
            way, n, part = future.result()
            errors[way, n] += part
    curves = {}
    for way, sizes in RUNS.items():
        rows = []
        for n in sizes:
            e = np.array(errors[way, n]) / exact - 1
            spread = e.std(ddof=1)
            rows.append((n, len(e), spread, spread / np.sqrt(2 * len(e) - 2), e.mean(), spread / np.sqrt(len(e))))
        curves[way] = np.array(rows).T
    return curves, floor / exact


def power_law(n, value, error):
    """value = c n^slope by weighted least squares (values may scatter below 0): c, slope and the slope's error."""
    scale = np.abs(value[0]) * n[0]
    fit, covariance = curve_fit(
        lambda n, c, slope: c * n**slope, n, value, p0=(scale, -1.0), sigma=error, absolute_sigma=True
    )
    return *fit, np.sqrt(covariance[1, 1])


def fits(curves, floor):
    """{"spread", "bias"}: power laws through all points of both ways."""
    n, _, spread, spread_error, bias, bias_error = np.concatenate(list(curves.values()), axis=1)
    return {
        "spread": power_law(n, spread, spread_error),
        "bias": power_law(n, bias, np.hypot(bias_error, floor)),
    }


@plt.style.context(sedyn.plot.STYLE)
def draw(curves, floor):
    fig, ax = plt.subplots(figsize=(7.2, 4.8))
    looks = {"explicit": ("o", "white", 0.94), "dice": ("s", None, 1.06)}  # marker, its face, a nudge sideways
    for way, (marker, face, _) in looks.items():
        ax.plot([], [], marker, color="0.3", markerfacecolor=face or "0.3", markersize=6, label=NAMES[way])
    quantities = (("spread", "spread of one run", "#0072B2", 2, 1.3e4), ("bias", "bias of the mean", "#D55E00", 4, 4e3))
    laws = fits(curves, floor)
    for name, title, colour, column, label_at in quantities:
        c, slope, slope_error = laws[name]
        furthest = 0
        for way, (marker, face, nudge) in looks.items():
            n, value, error = curves[way][0], curves[way][column], curves[way][column + 1]
            if name == "bias":
                error = np.hypot(error, floor)
            seen = value > 2 * error
            furthest = max(furthest, n[seen].max())
            look = dict(color=colour, markerfacecolor=face or colour, markersize=6, zorder=3)
            ax.errorbar(nudge * n[seen], value[seen], error[seen], fmt=marker, **look)
            limit = (np.maximum(value, 0) + 2 * error)[~seen]
            bound = dict(uplims=True, fmt="_", color=colour, alpha=0.5, markersize=9, elinewidth=1, capsize=2)
            label = "bias too small to be seen: upper limit" if way == "dice" and len(limit) else None
            ax.errorbar(nudge * n[~seen], limit, 0.35 * limit, label=label, **bound)
        for reach, style in (((35, furthest), "-"), ((furthest, 1.6e6), "-" if furthest > 1e5 else "--")):
            ax.plot(reach, c * np.array(reach) ** slope, style, color=colour, linewidth=1.6, zorder=1)
        power = f"{slope:.2f} ± {max(slope_error, 0.01):.2f}".replace("-", "−")
        above = dict(xytext=(6, 6), textcoords="offset points", va="bottom", color=colour, fontsize=10.5)
        ax.annotate(f"{title}: slope {power}", (label_at, c * label_at**slope), **above)
    ax.axhline(floor, color="0.5", linewidth=1, linestyle=":")
    ax.text(40, floor * 1.08, "standard error of the theory's value", color="0.4", fontsize=9, va="bottom")
    ax.set(xscale="log", yscale="log", xlim=(35, 1.6e6), ylim=(floor / 2, 0.3))
    ax.set(xlabel="features n", ylabel="relative to the theory's generalization error")
    ax.set_title("Simulations converge to the theory: each run like $n^{-1/2}$, their mean like $1/n$")
    ax.legend(loc="upper right")
    return fig


def table() -> str:
    command = [sys.executable, str(HERE), "--one-large-run"]  # a process of its own, whose peak memory is the run's
    large = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    curves, floor = convergence()
    sedyn.plot.save(draw(curves, floor), HERE.with_suffix(""))
    laws = fits(curves, floor)
    train, train_theory, general, general_theory = large["errors"]
    lines = [
        "One run of problem A on a million features, on both cores:",
        "",
        "| m | n | q | T | seconds | peak memory, GB | X alone, GB | training error (theory) "
        "| generalization error (theory) |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| 1,500,000 | 1,000,000 | 3 | 100 | {large['seconds']:.0f} | {large['peak'] / 1e9:.1f} | 12,000 | "
        f"{train:.4f} ({train_theory:.4f}) | {general:.4f} ({general_theory:.4f}) |",
        "",
        "Problem C, T = 20: generalization error of runs, relative to the theory "
        f"(whose own relative standard error is {floor:.1e}), in units of n^(-1/2) and 1/n:",
        "",
        "| | n | runs | spread × n^(1/2) | bias × n |",
        "|---|---|---|---|---|",
    ]
    for way, rows in curves.items():
        for n, runs, spread, spread_error, bias, bias_error in rows.T:
            bias_error = np.hypot(bias_error, floor)
            lines.append(
                f"| {NAMES[way]} | {n:,.0f} | {runs:,.0f} | {spread * n**0.5:.3f} ± {spread_error * n**0.5:.3f} | "
                f"{bias * n:.3g} ± {bias_error * n:.2g} |"
            )
    lines += ["", "| fitted | slope | expected |", "|---|---|---|"]
    for name, expected in (("spread", "-1/2"), ("bias", "-1")):
        lines.append(f"| {name} | {laws[name][1]:.3f} ± {laws[name][2]:.3f} | {expected} |")
    return "\n".join(lines)


def main():
    print(table())


if __name__ == "__main__":
    if "--one-large-run" in sys.argv:
        print(json.dumps(one_large_run()))
    else:
        main()
