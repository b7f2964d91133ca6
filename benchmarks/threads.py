"""BLAS threads

The library limits BLAS to one thread while it runs its own. Median seconds of fresh processes in which the environment
variable `OPENBLAS_NUM_THREADS` is 1, and in which it is not set, taking turns; the ratio should be one.
"""

import os
import subprocess
import sys

import numpy as np
from common import PROBLEMS, markdown, significant, timed
from tqdm import tqdm

import sedyn

ROUNDS, CALLS = 7, 5


def solver(n_paths, n_scrambles):
    return lambda: PROBLEMS["A"].solve(n_paths, 0, n_scrambles=n_scrambles)


def training(verb, m, n):
    network, rule, teacher, *_ = PROBLEMS["A"].parts
    X, y = teacher.sample(m, sedyn.random_signal(n, rng=0), rng=1)
    weights = network.init(n, rng=2)
    return lambda: verb(network, rule, weights, X, y, rng=3)


WORK = {
    "fast solver, 1 x 2048 paths": lambda: solver(2**11, 1),
    "fast solver, 4 x 16384 paths": lambda: solver(2**14, 4),
    "gradient descent, 300 x 200": lambda: training(sedyn.gradient_descent, 300, 200),
    "gradient descent, 3000 x 2000": lambda: training(sedyn.gradient_descent, 3000, 2000),
    "augmented gradient descent, 600 x 400": lambda: training(sedyn.augmented_gradient_descent, 600, 400),
    "augmented gradient descent, 3000 x 2000": lambda: training(sedyn.augmented_gradient_descent, 3000, 2000),
}


def in_fresh_process(threads: str | None) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"OPENBLAS_NUM_THREADS": threads} if threads else {}
    done = subprocess.run(
        [sys.executable, __file__, "measure"], capture_output=True, text=True, check=True, env=environment
    )
    return dict(zip(WORK, map(float, done.stdout.split()), strict=True))


def measure():
    for make in WORK.values():
        call = make()
        call()
        print(min(timed(call)[0] for _ in range(CALLS)))


def main():
    limited, free = [], []
    for _ in tqdm(range(ROUNDS), "threads"):
        limited.append(in_fresh_process("1"))
        free.append(in_fresh_process(None))
    rows = []
    for name in WORK:
        one, other = (np.array([run[name] for run in runs]) for runs in (limited, free))
        rows.append([name, significant(np.median(one)), significant(np.median(other)), f"{np.median(other / one):.2f}"])
    print(markdown(["", "s, variable set to 1", "s, not set", "not set / set, median of pairs"], rows))


if __name__ == "__main__":
    measure() if "measure" in sys.argv else main()
