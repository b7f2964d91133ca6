"""One step of gradient descent beside one read of the data, the plain two-pass step in numpy, and PyTorch on CPU.

X is float64, 1.5 n by n; the network is two-layer tanh, q = 3. Every thread count runs in its own process, so that BLAS,
PyTorch and this package all get it. Writes benchmarks/gradient_descent.md.
"""

import itertools
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import sedyn
from sedyn import descent

SIZES, THREADS, WIDTH, ROUNDS = (500, 1000, 2000, 4000, 8000), (1, 2), 3, 8
STEP_SIZE = 0.2
NAMES = ("read", "numba", "blas", "numpy", "torch")


def reading(X, n_threads):
    """Look at every number once."""
    halves, pool = np.array_split(X, n_threads), ThreadPoolExecutor(n_threads)
    while True:
        yield X.max() if n_threads == 1 else max(pool.map(np.max, halves))


def with_sedyn(network, weights, X, y, n_threads, compiled):
    eta = np.full((10**6, 2), STEP_SIZE)
    descent.COMPILED_WORK = 0 if compiled else np.inf
    return (state.first for state in descent.descend(network, eta, weights, X, y, n_threads=n_threads))


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
    """Milliseconds per step of each contestant, the median over rounds in which they take turns, and differences."""
    rng, m = np.random.default_rng(0), 3 * n // 2
    network = sedyn.Network((WIDTH, 1), ("tanh", "identity"))
    weights = network.init(n, rng)
    X = rng.standard_normal((m, n))
    y = np.tanh(X[:, 0]) + 0.1 * rng.standard_normal(m)
    contestants = {
        "read": reading(X, n_threads),
        "numba": with_sedyn(network, weights, X, y, n_threads, compiled=True),
        "blas": with_sedyn(network, weights, X, y, n_threads, compiled=False),
        "numpy": two_passes(weights, X, y),
        "torch": with_torch(weights, X, y, n_threads),
    }
    missing = []
    for name, steps in contestants.items():  # the first value is step 0; start-up and compilation fall in it
        with_switch = {"numba": 0, "blas": np.inf}.get(name)
        if with_switch is not None:
            descent.COMPILED_WORK = with_switch
        try:
            next(steps)
        except ImportError:
            missing.append(name)
    contestants = {name: steps for name, steps in contestants.items() if name not in missing}
    burst = max(4, 2**25 // X.size)
    times, last = {name: [] for name in contestants}, {}
    for _ in range(ROUNDS):
        for name, steps in contestants.items():
            start = time.perf_counter()
            for last[name] in itertools.islice(steps, burst):
                pass
            times[name].append((time.perf_counter() - start) / burst * 1e3)
    difference = {
        name: float(np.abs(last[name] - last["numpy"]).max() / np.abs(last["numpy"]).max())
        for name in contestants
        if name not in ("read", "numpy")
    }
    return {name: float(np.median(times[name])) for name in contestants}, difference, ROUNDS * burst


if __name__ == "__main__":
    nt = int(sys.argv[1])
    for n in map(int, sys.argv[2].split(",")):
        print(nt, n, json.dumps(measure(n, nt)), flush=True)
