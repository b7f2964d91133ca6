"""What estimating the generalization error costs beside plain gradient descent, on the same data in the same run.

Problem A of the theory sheet at m = 3000, n = 2000, q = 3. Writes benchmarks/estimator_cost.md.
"""

import os
import platform
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

import sedyn

warnings.simplefilter("ignore", sedyn.AssumptionWarning)


def problem(m, n, rng):
    network = sedyn.Network((3, 1), ("tanh", "identity"))
    teacher = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)
    signal = sedyn.random_signal(n, rng=rng)
    weights = sedyn.Weights(network.init(n, rng).first, (np.array([[1.0], [-0.8], [0.6]]),))
    return network, weights, *teacher.sample(m, signal, rng=rng)


def seconds(function, *arguments, **options):
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def main():
    rng = np.random.default_rng(0)
    network, weights, X, y = problem(3000, 2000, rng)
    lines = [
        "# What the estimate costs",
        "",
        f"`python benchmarks/estimator_cost.py` on {platform.machine()}, {os.cpu_count()} cores, BLAS threads "
        f"{os.environ.get('OPENBLAS_NUM_THREADS', 'default')}, float64; medians of 5 alternating pairs of runs.",
        "",
        "| m | n | q | T | plain, s | estimating, s | ratio | peak of arrays beside X, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n_steps, repeats in ((100, 5), (400, 1)):
        training = sedyn.Training(0.2, n_steps)
        pairs = np.array(
            [
                (
                    seconds(sedyn.gradient_descent, network, training, weights, X, y),
                    seconds(sedyn.augmented_gradient_descent, network, training, weights, X, y),
                )
                for _ in range(repeats)
            ]
        )
        tracemalloc.start()
        sedyn.augmented_gradient_descent(network, training, weights, X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        plain, estimating = np.median(pairs, axis=0)
        ratio = np.median(pairs[:, 1] / pairs[:, 0])
        row = f"| 3000 | 2000 | 3 | {n_steps} | {plain:.2f} | {estimating:.2f} | {ratio:.2f} | {peak / 1e6:.0f} |"
        lines.append(row)
        print(lines[-1], flush=True)

    network, weights, X, y = problem(600, 400, rng)
    lines += ["", "Against the recursion over all pairs of steps, m = 600, n = 400:", ""]
    lines += ["| T | exact, s | low rank, s | largest relative difference |", "|---|---|---|---|"]
    for n_steps in (40, 120):
        training, runs, times = sedyn.Training(0.2, n_steps), {}, {}
        for method in ("exact", "low-rank"):
            start = time.perf_counter()
            runs[method] = sedyn.augmented_gradient_descent(network, training, weights, X, y, method=method)
            times[method] = time.perf_counter() - start
        gap = np.max(np.abs(runs["low-rank"].estimated_error / runs["exact"].estimated_error - 1))
        lines.append(f"| {n_steps} | {times['exact']:.2f} | {times['low-rank']:.2f} | {gap:.2%} |")
        print(lines[-1], flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
