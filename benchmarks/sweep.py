"""Sweeps: what a second worker brings, and what a point costs

`sedyn.sweep` over gradient descent runs (n = 400, m = 600, T = 60, one BLAS thread), from the call to the table, with
one worker process and with two, taking turns, the folder of results included. The overhead is that of a point that does
next to nothing: the slope of the time in the number of points, so that starting the workers does not count.
"""

import tempfile

import numpy as np
from common import HERE, markdown, significant, timed
from tqdm import tqdm

import sedyn

RUNS, ROUNDS = 800, 3
FEW, MANY = 200, 2000


def train(step_size, rng):
    network, n = sedyn.Network((3, 1), ("tanh", "identity")), 400
    X, y = sedyn.SingleIndex("tanh", 0.3).sample(600, sedyn.random_signal(n, rng=rng), rng=rng)
    run = sedyn.gradient_descent(network, sedyn.Training(step_size, 60), network.init(n, rng=rng), X, y)
    return {"error": run.train_error}


def nothing(i, rng):
    return {"x": rng.random()}


def seconds(function, grid, n_seeds, executor, stored):
    """Of one sweep, without those it takes to remove its folder."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        store = f"{folder}/store" if stored else None
        took, table = timed(sedyn.sweep, function, grid, n_seeds, executor=executor, store=store, rng=0)
    assert len(table["seed"]) == len(list(next(iter(grid.values())))) * n_seeds
    return took


def table() -> str:
    grid = {"step_size": [0.1, 0.2, 0.3, 0.4]}
    train(0.1, np.random.default_rng(0))  # what starting takes
    serial, times = [], {1: [], 2: []}
    for _ in tqdm(range(ROUNDS), desc="speed-up"):
        serial.append(sum(timed(train, grid["step_size"][i % 4], np.random.default_rng(i))[0] for i in range(RUNS)))
        for workers, measured in times.items():
            measured.append(seconds(train, grid, RUNS // 4, workers, True))
    one, two = (np.array(times[workers]) for workers in times)
    rows = [
        ["a loop, no sweep", f"{min(serial):.2f}", "-"],
        ["sweep, 1 worker", f"{one.min():.2f}", "1"],
        [
            "sweep, 2 workers",
            f"{two.min():.2f}",
            f"**{one.min() / two.min():.2f}** (median {np.median(one / two):.2f})",
        ],
    ]
    speed = markdown([f"{RUNS} runs", "best, s", "speed-up"], rows)
    cells = []
    for stored in (True, False):
        for workers in (1, 2):
            few, many = (
                min(seconds(nothing, {"i": range(count)}, 1, workers, stored) for _ in range(ROUNDS))
                for count in (FEW, MANY)
            )
            per_point = 1e3 * (many - few) / (MANY - FEW)
            start = few - FEW * per_point / 1e3
            cells.append(["yes" if stored else "no", workers, significant(per_point), f"{start:.2f}"])
    cost = markdown(["stored", "workers", "ms per point", "start, s"], cells)
    return f"{speed}\n\nA point that draws one number (wanted: under 5 ms):\n\n{cost}"


def main():
    print(table())


if __name__ == "__main__":
    main()
