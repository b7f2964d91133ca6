"""The committee machine of public research code

Scripts published with earlier papers solve the same equations for a soft committee by a tangent recursion that keeps
a tensor of T^2 q^2 N derivatives, as our reference solver (`solver="tangent"`) does. The problem, to be repeated with
them: f = (1/sqrt(q)) sum_k tanh(u_k), output layer frozen, q = 2; labels tanh(2z) + z^2 - 1 + 0.5 xi; phi = m/n = 3;
first-layer step size 0.5 in the scaling W_1 <- W_1 - (eta / m) X^T S, T = 8; start W_1^T W_1 = I, W_1^T mu =
(0.4, -0.2), |mu| = 1. Errors are mean squared errors without 1/2. The z-scores compare simulated runs at n = 2000 with
the fast solver, from the standard errors of both; "rms" is over the seven values above it.
"""

import tracemalloc
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median

import common
import numpy as np
from common import PROBLEMS, markdown, relative_error, significant, timed
from reference import reference
from tqdm import tqdm

import sedyn

COMMITTEE = PROBLEMS["committee"]
N_FEATURES, RUNS = 2000, 200
# n_paths, n_scrambles
TANGENT = [(2**12, 2), (2**14, 2), (2**16, 2), (2**18, 2)]
FAST = [(2**10, 2), (2**12, 2), (2**14, 2), (2**16, 2)]
SEEDS = 8
NAMES = ["training error", "generalization error", "C_11", "C_12", "C_22", "c_1", "c_2"]


def run(seed):
    """The seven values at T from one simulated run."""
    _, errors, train, W, signal = common.simulate(COMMITTEE, N_FEATURES, np.random.default_rng([8, seed]))
    return np.concatenate([[train[-1], errors[-1]], (W.T @ W)[np.triu_indices(2)], W.T @ signal])


def predicted(solver, n_paths, n_scrambles):
    """The seven values at T and their standard errors."""
    theory = COMMITTEE.solve(n_paths, 1, n_scrambles=n_scrambles, solver=solver)
    last = np.triu_indices(2)
    parts = [
        (theory.train_error[-1:], theory.stderr.train_error[-1:]),
        (theory.generalization_error[-1:], theory.stderr.generalization_error[-1:]),
        (theory.kernels.C[-1, -1][last], theory.kernels.stderr("C")[-1, -1][last]),
        (theory.kernels.c[-1], theory.kernels.stderr("c")[-1]),
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def values() -> str:
    fast, fast_stderr = predicted("projection", 2**16, 16)
    tangent, tangent_stderr = predicted("tangent", 2**16, 16)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        runs = np.array(list(tqdm(pool.map(run, range(RUNS)), total=RUNS, desc="simulated runs")))
    mean, stderr = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(RUNS)
    z_tangent = (tangent - fast) / np.hypot(fast_stderr, tangent_stderr)
    z_runs = sedyn.z_scores(runs, fast, fast_stderr)
    columns = [
        [f"{v:.5f} ± {e:.5f}" for v, e in zip(v, e, strict=True)]
        for v, e in ((fast, fast_stderr), (tangent, tangent_stderr), (mean, stderr))
    ]
    rows = [
        [name, a, b, f"{zb:.1f}", c, f"{zc:.1f}"]
        for name, a, b, c, zb, zc in zip(NAMES, *columns, z_tangent, z_runs, strict=True)
    ]
    rms = [f"{np.sqrt(np.mean(z**2)):.1f}" for z in (z_tangent, z_runs)]
    rows.append(["rms", "", "", rms[0], "", rms[1]])
    return markdown(["at T = 8", "fast solver", "tangent", "z", f"{RUNS} runs, n = {N_FEATURES}", "z"], rows)


def costs() -> str:
    truth, _ = reference("committee")
    settings = [("tangent", *s) for s in TANGENT] + [("projection", *s) for s in FAST]
    calls = {s: partial(COMMITTEE.solve, s[1], n_scrambles=s[2], solver=s[0]) for s in settings}
    times, curves = defaultdict(list), defaultdict(list)
    for seed in tqdm(range(SEEDS), desc="costs"):
        for setting, solve in calls.items():
            seconds, theory = timed(solve, rng=seed)
            times[setting].append(seconds)
            curves[setting].append(theory.generalization_error)
    rows, measured = [], {}
    for setting, solve in calls.items():
        tracemalloc.start()
        solve(rng=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        measured[setting] = median(times[setting]), np.sqrt(np.mean(relative_error(curves[setting], truth) ** 2)), peak
    for (solver, n_paths, n_scrambles), (time, error, peak) in measured.items():
        equal = min(
            (m for s, m in measured.items() if s[0] == "projection" and m[1] <= error),
            default=None,
        )
        ratios = ["", ""]
        if solver == "tangent" and equal:
            ratios = [f"**{significant(time / equal[0])}**", f"**{significant(peak / equal[2])}**"]
        rows.append(
            [
                {"tangent": "tangent", "projection": "fast"}[solver],
                f"{n_scrambles} x {n_paths}",
                significant(time),
                f"{peak / 1e6:.0f}",
                f"{error:.2%}",
                *ratios,
            ]
        )
    header = ["solver", "randomizations x paths", "seconds", "peak of arrays, MB", "error"]
    header += ["time, x the fast solver's at no larger error", "memory, x"]
    return markdown(header, rows)


def table() -> str:
    return values() + "\n\nTime and memory on two cores, one randomization on each:\n\n" + costs()


def main():
    print(table())


if __name__ == "__main__":
    main()
