"""What the estimate costs beside plain gradient descent

`sedyn.augmented_gradient_descent` and `sedyn.gradient_descent` on the same data in the same run: medians, taking turns.
Each thread count has its own process. 5-fold: cross-validation of the same network, five runs on four fifths of the
rows. Adam is estimated by kicks, all else by nudges. The standard error is that of the estimate at T; differences are
from the recursion over all pairs of steps (method="exact"), the largest over the steps.
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

SETTINGS = [  # m, n, T, activation, pairs of runs
    (200, 10, 100, "tanh", 9),
    (100, 50, 100, "tanh", 9),
    (450, 300, 40, "relu", 9),
    (600, 400, 100, "tanh", 7),
    (600, 400, 200, "tanh", 5),
    (3000, 2000, 100, "tanh", 3),
    (600, 400, 100, "tanh, Adam", 7),
    (3000, 2000, 100, "tanh, Adam", 3),
]
WIDE = [(10, 30), (10, 90), (10, 256), (300, 30), (300, 90), (300, 256)]  # n, width at m = 400, T = 100
AGAINST_EXACT = [("A", 40), ("A", 120), ("B", 120), ("C", 120)]


def problem(name, m, n_steps):
    network, training, teacher, overlaps, phi = replace(PROBLEMS[name], n_steps=n_steps).parts
    rng = np.random.default_rng(0)
    weights, signal = overlaps.realize(round(m / phi), rng=rng)
    return network, training, weights, *teacher.sample(m, signal, rng=rng)


def data(m, n, n_steps, network, rng, adam_step=None):
    teacher = PROBLEMS["A"].parts[2]
    X, y = teacher.sample(m, sedyn.random_signal(n, rng=rng), rng=rng)
    training = sedyn.Training(0.2 if network.widths[0] < 10 else 0.1, n_steps)
    if adam_step:
        training = sedyn.Training(adam_step, n_steps, optimizer=sedyn.Adam())
    return network, training, network.init(n, rng=rng), X, y


def five_fold(network, training, weights, X, y):
    parts = np.arange(len(y)) % 5
    for k in range(5):
        train, test = parts != k, parts == k
        sedyn.gradient_descent(network, training, weights, X[train], y[train], test=(X[test], y[test]))


def measure(m, n, n_steps, activation, pairs, width=3):
    activation, *optimizer = activation.split(", ")
    network = sedyn.Network((width, 1), (activation, "identity"))
    arguments = data(m, n, n_steps, network, np.random.default_rng(0), 0.05 if optimizer else None)
    verbs = sedyn.gradient_descent, sedyn.augmented_gradient_descent, five_fold
    for verb in verbs:  # what starting takes
        verb(*arguments)
    times = np.array([[timed(verb, *arguments)[0] for verb in verbs] for _ in range(pairs)])
    tracemalloc.start()
    sedyn.augmented_gradient_descent(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    return [*np.median(times, axis=0), *np.median(times[:, 1:2] / times[:, [0, 2]], axis=0), peak / 1e6]


def in_own_process(*setting):
    command = [sys.executable, __file__, json.dumps(setting)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    plain, estimating, folds, ratio, to_folds, peak = json.loads(run.stdout)
    return [f"{plain:.3f}", f"{estimating:.3f}", f"{folds:.3f}", f"{ratio:.1f}", f"{to_folds:.2f}", f"{peak:.0f}"]


def table() -> str:
    warnings.simplefilter("ignore", sedyn.AssumptionWarning)
    measured = ["plain, s", "estimating, s", "5-fold, s", "/ plain", "/ 5-fold", "peak of arrays beside X, MB"]
    rows = []
    for setting in tqdm(SETTINGS, desc="cost"):
        for threads in (1, 2):
            rows.append([*setting[:4], threads, *in_own_process(threads, *setting)])
    cost = markdown(["m", "n", "T", "activation", "threads", *measured], rows)
    rows = [[n, width, *in_own_process(1, 400, n, 100, "tanh", 3, width)] for n, width in tqdm(WIDE, desc="widths")]
    cost += "\n\nWide networks, m = 400, T = 100, one thread:\n\n" + markdown(["n", "width", *measured], rows)
    rows = []
    for name, n_steps in tqdm(AGAINST_EXACT, desc="accuracy"):
        arguments = problem(name, 600, n_steps)
        slow, exact = timed(sedyn.augmented_gradient_descent, *arguments, method="exact", rng=0)
        fast, few = timed(sedyn.augmented_gradient_descent, *arguments, rng=0)
        every = sedyn.augmented_gradient_descent(*arguments, n_reruns=40, rng=0)
        gaps = [f"{np.max(np.abs(run.estimated_error / exact.estimated_error - 1)):.2%}" for run in (few, every)]
        error = f"{exact.estimated_stderr[-1] / exact.estimated_error[-1]:.1%}"
        rows.append((name, n_steps, f"{slow:.2f}", f"{fast:.2f}", *gaps, error))
    headings = ["problem", "T", "exact, s", "low rank, s", "difference", "with 40 reruns", "standard error"]
    return cost + "\n\nAgainst the exact recursion, m = 600:\n\n" + markdown(headings, rows)


def main():
    print(table())


if __name__ == "__main__":
    if sys.argv[1:]:
        warnings.simplefilter("ignore", sedyn.AssumptionWarning)
        threads, *setting = json.loads(sys.argv[1])
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(threads))
        print(json.dumps(measure(*setting)))
    else:
        main()
