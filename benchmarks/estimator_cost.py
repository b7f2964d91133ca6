"""What the estimate costs beside plain gradient descent

`sedyn.augmented_gradient_descent` and `sedyn.gradient_descent` on the same data in the same run, problem A: median of
alternating pairs. Each thread count has its own process. The standard error is that of the estimate at T; differences
are from the recursion over all pairs of steps (method="exact"), the largest over the steps.
"""

import json
import os
import subprocess
import sys
import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
from common import PROBLEMS, markdown, timed
from tqdm import tqdm

import sedyn

LARGE = [(3000, 100, 5), (3000, 400, 2), (600, 100, 5)]  # m, T, pairs of runs
AGAINST_EXACT = [("A", 40), ("A", 120), ("B", 120), ("C", 120)]


def problem(name, m, n_steps):
    network, training, teacher, overlaps, phi = replace(PROBLEMS[name], n_steps=n_steps).parts
    rng = np.random.default_rng(0)
    weights, signal = overlaps.realize(round(m / phi), rng=rng)
    return network, training, weights, *teacher.sample(m, signal, rng=rng)


def measure(m, n_steps, pairs):
    arguments = problem("A", m, n_steps)
    for verb in (sedyn.gradient_descent, sedyn.augmented_gradient_descent):  # what starting takes
        verb(*arguments)
    times = np.array(
        [
            [timed(verb, *arguments)[0] for verb in (sedyn.gradient_descent, sedyn.augmented_gradient_descent)]
            for _ in range(pairs)
        ]
    )
    tracemalloc.start()
    sedyn.augmented_gradient_descent(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    return *np.median(times, axis=0), np.median(times[:, 1] / times[:, 0]), peak / 1e6


def table() -> str:
    warnings.simplefilter("ignore", sedyn.AssumptionWarning)
    rows = []
    for setting in tqdm(LARGE, desc="cost"):
        for threads in (1, 2):
            run = subprocess.run(
                [sys.executable, __file__, *map(str, (threads, *setting))], capture_output=True, text=True, check=True
            )
            plain, estimating, ratio, peak = json.loads(run.stdout)
            m, n_steps, _ = setting
            cells = (
                m,
                m * 2 // 3,
                n_steps,
                threads,
                f"{plain:.3f}",
                f"{estimating:.3f}",
                f"{ratio:.2f}",
                f"{peak:.0f}",
            )
            rows.append(cells)
    headings = ["m", "n", "T", "threads", "plain, s", "estimating, s", "ratio", "peak of arrays beside X, MB"]
    cost = markdown(headings, rows)
    rows = []
    for name, n_steps in tqdm(AGAINST_EXACT, desc="accuracy"):
        arguments = problem(name, 600, n_steps)
        slow, exact = timed(sedyn.augmented_gradient_descent, *arguments, method="exact", rng=0)
        fast, few = timed(sedyn.augmented_gradient_descent, *arguments, rng=0)
        every = sedyn.augmented_gradient_descent(*arguments, tangent_rows=600, rng=0)
        gaps = [f"{np.max(np.abs(run.estimated_error / exact.estimated_error - 1)):.2%}" for run in (few, every)]
        error = f"{exact.estimated_stderr[-1] / exact.estimated_error[-1]:.1%}"
        rows.append((name, n_steps, f"{slow:.2f}", f"{fast:.2f}", *gaps, error))
    headings = ["problem", "T", "exact, s", "low rank, s", "difference", "with all tangent rows", "standard error"]
    return cost + "\n\nAgainst the exact recursion, m = 600:\n\n" + markdown(headings, rows)


def main():
    print(table())


if __name__ == "__main__":
    if sys.argv[1:]:
        warnings.simplefilter("ignore", sedyn.AssumptionWarning)
        threads, *setting = map(int, sys.argv[1:])
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(threads))
        print(json.dumps(measure(*setting)))
    else:
        main()
