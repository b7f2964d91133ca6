"""One step of gradient descent, beside one read of the data, two passes in numpy, and PyTorch on CPU

X is float64, 1.5 n by n; the network is two-layer tanh, q = 3. Every thread count and size runs in its own process, so
that BLAS, this package and PyTorch, where it is installed, all get that many threads. Milliseconds per step, the
fastest of several rounds in which all take turns; one read is `X.max()`, of each thread's part of the rows at once. The
smallest X stay in the cache, where reading costs little. Largest difference: of the first-layer weights with and
without numba from those of the two passes, over how far training moved them, after dozens of steps.
"""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import sedyn
from sedyn.runs import descent, products

SIZES, THREADS, WIDTH, ROUNDS, STEP_SIZE = (500, 1000, 2000, 4000, 8000), (1, 2), 3, 8, 0.2
COLUMNS = {
    "read": "one read of X",
    "numba": "sedyn",
    "blas": "sedyn without numba",
    "numpy": "two passes",
    "torch": "PyTorch",
}


def reading(X, n_threads):
    """Look at every number once."""
    halves, pool = np.array_split(X, n_threads), ThreadPoolExecutor(n_threads)
    while True:
        yield X.max() if n_threads == 1 else max(pool.map(np.max, halves))


def with_sedyn(network, weights, X, y, n_threads, compiled):
    products.COMPILED_WORK = 0 if compiled else np.inf  # whatever the length of the run
    rule = sedyn.Training(STEP_SIZE, 10**5).rule(network.n_layers)
    for state in descent.descend(network, rule, weights, X, y, n_threads=n_threads):
        yield state.first


def two_passes(weights, X, y):
    """Theory 1 written out: X is read for the preactivations, and again for the gradient."""
    W, (a,) = weights.first, weights.deep
    while True:
        yield W
        h = np.tanh(X @ W)
        r = (h @ a)[:, 0] - y
        S = r[:, None] * a.T * (1 - h * h)
        W, a = W - STEP_SIZE / len(y) * (X.T @ S), a - STEP_SIZE / len(y) * (h.T @ r)[:, None]


def with_torch(weights, X, y, n_threads):
    import torch

    torch.set_num_threads(n_threads)
    X, y, W, a = (torch.tensor(v) if v is not X else torch.from_numpy(X) for v in (X, y, weights.first, *weights.deep))
    W.requires_grad_(), a.requires_grad_()
    while True:
        yield W.detach().numpy()
        loss = torch.mean((torch.tanh(X @ W) @ a - y[:, None]) ** 2) / 2
        loss.backward()
        with torch.no_grad():
            for value in (W, a):
                value -= STEP_SIZE * value.grad
                value.grad = None


def measure(n, n_threads):
    """Milliseconds per step, the fastest of several rounds in which all take turns, and how far the weights differ."""
    rng, m = np.random.default_rng(0), 3 * n // 2
    network = sedyn.Network((WIDTH, 1), ("tanh", "identity"))
    weights = network.init(n, rng=rng)
    X, y = sedyn.SingleIndex("tanh", 0.1).sample(m, sedyn.random_signal(n, rng=rng), rng=rng)
    contestants = {
        "read": reading(X, n_threads),
        "numba": with_sedyn(network, weights, X, y, n_threads, compiled=True),
        "blas": with_sedyn(network, weights, X, y, n_threads, compiled=False),
        "numpy": two_passes(weights, X, y),
        "torch": with_torch(weights, X, y, n_threads),
    }
    if importlib.util.find_spec("torch") is None:
        del contestants["torch"]
    for steps in contestants.values():
        next(steps)  # step 0, and whatever starting takes
    burst = max(4, 2**25 // X.size)
    times, last = {name: [] for name in contestants}, {}
    for _ in range(ROUNDS):
        for name, steps in contestants.items():
            start = time.perf_counter()
            for last[name] in itertools.islice(steps, burst):
                pass
            times[name].append((time.perf_counter() - start) / burst * 1e3)
    moved = np.abs(last["numpy"] - weights.first).max()
    differ = {name: float(np.abs(last[name] - last["numpy"]).max() / moved) for name in last if name != "read"}
    return {name: min(t) for name, t in times.items()}, differ


def table() -> str:
    """The Markdown table, measured now."""
    lines = ["| n | threads | " + " | ".join(f"{title}, ms" for title in COLUMNS.values()), "|---" * 11 + "|"]
    lines[0] += " | sedyn / read | two passes / sedyn | PyTorch / sedyn | largest difference |"
    for n, n_threads in itertools.product(SIZES, THREADS):
        limits = {f"{library}_NUM_THREADS": str(n_threads) for library in ("OMP", "OPENBLAS", "MKL")}
        command = [sys.executable, __file__, str(n), str(n_threads)]
        run = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True, check=True)
        ms, differ = json.loads(run.stdout)
        cells = [f"{ms[name]:.3g}" if name in ms else "not installed" for name in COLUMNS]
        pairs = (("numba", "read"), ("numpy", "numba"), ("torch", "numba"))
        cells += [f"{ms[a] / ms[b]:.1f}" if a in ms else "" for a, b in pairs]
        lines.append(f"| {n} | {n_threads} | " + " | ".join(cells) + f" | {max(differ['numba'], differ['blas']):.0e} |")
    return "\n".join(lines)


def main():
    print(table())


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(*map(int, sys.argv[1:]))))
    else:
        main()
