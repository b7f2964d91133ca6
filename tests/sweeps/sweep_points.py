"""Functions that the tests of sweeps send to workers, and sweeps in processes that may be killed:
``python -m tests.sweeps.sweep_points STORE EXECUTOR N_POINTS [what to break]``."""

import os
import signal
import sys
import time

import numpy as np

import sedyn

calls = []


def draw(a, b=0, *, rng):
    calls.append((a, b))
    return {"x": rng.standard_normal(), "curve": rng.standard_normal(3)}


def slow(i, rng):
    """A product in BLAS, so that the number of its threads could be seen in the last bits, and some milliseconds."""
    X = rng.standard_normal((60, 40))
    time.sleep(0.02)
    return {"x": float((X.T @ X).sum()), "curve": X.T @ rng.standard_normal(60)}


def fail(i, rng):
    if i == 2 and not os.environ.get("SEDYN_TEST_MENDED"):
        raise ZeroDivisionError("two is too much")
    return {"x": rng.random()}


def kill(i, rng):
    if i == 2:
        if attempts := os.environ.get("SEDYN_TEST_ATTEMPTS"):
            with open(attempts, "a") as file:
                file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return {"x": rng.random()}


def beside(i, rng):
    """Point 1 kills its process, always while point 0 is at work; both write down each time they begin."""
    attempts = os.environ["SEDYN_TEST_ATTEMPTS"]
    with open(attempts, "a") as file:
        file.write(str(i))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with open(attempts) as file:
            began = file.read()
        if i == 1 and "0" in began:
            os.kill(os.getpid(), signal.SIGKILL)
        if i == 0 and began.count("1") == 3:
            return {"x": rng.random()}
        time.sleep(0.01)
    raise TimeoutError(began)


def die_sending(i, rng):
    """Point 1 is killed in the middle of its result."""
    if i == 1:
        from multiprocessing.connection import Connection

        def send_half(self, data):
            os.write(self.fileno(), bytes(data[: len(data) // 2]))
            os.kill(os.getpid(), signal.SIGKILL)

        Connection._send = send_half
    return {"x": rng.random()}


def leave(by, rng):
    if by:
        raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt("no Ctrl-C")}[by]
    return {"pid": os.getpid()}


def threads(i, rng):
    import scipy.linalg
    from threadpoolctl import threadpool_info

    scipy.linalg.norm(np.eye(3) @ np.eye(3))
    blas = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    time.sleep(0.1)
    return {"blas": max(blas), "cores": sedyn.common.available_cores(), "pid": os.getpid()}


def train(i, rng):
    """Gradient descent, which returns what it has when it is interrupted."""
    network, n = sedyn.Network((2, 1), ("tanh", "identity")), 60
    X, y = sedyn.SingleIndex("tanh", 0.3).sample(90, sedyn.random_signal(n, rng=rng), rng=rng)
    run = sedyn.gradient_descent(network, sedyn.Training(0.1, 1500), network.init(n, rng=rng), X, y, rng=rng)
    return {"status": run.status, "n_steps": len(run.train_error) - 1}


def die_before_rename(at: int):
    """SIGKILL between the `at`-th temporary file and its rename."""
    right, count = os.replace, iter(range(at))

    def replace(*names):
        if next(count, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        right(*names)

    sedyn.sweeps.store.os.replace = replace
    sedyn.sweeps.store.write.__defaults__ = (replace,)


def main(store, executor, n_points, broken="0"):
    if int(broken):
        die_before_rename(int(broken))
    grid = {"i": range(int(n_points))}
    if executor == "train":
        table = sedyn.sweep(train, grid, rng=0, executor=2, store=store)
    elif executor == "pool":
        table = sedyn.sweep(slow, grid, rng=0, executor=2, store=store)
    else:
        from distributed import Client, LocalCluster

        with LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            print("workers", *client.run(os.getpid).values(), flush=True)
            table = sedyn.sweep(slow, grid, rng=0, executor=client.get_executor(), store=store)
    print(table.status, len(table.get("i", ())), table.message, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started without it
    main(*sys.argv[1:])
