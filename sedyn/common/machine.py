"""The machine: memory, cores, threads, and progress on long work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ContextDecorator, contextmanager
from functools import cache, partial
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import threadpoolctl

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")


class _BlasLimit(ContextDecorator):
    """One BLAS thread while any caller is inside: the library's own threads do the rest, and more would only wait for
    each other. The count of callers keeps overlapping ones from restoring each other's limit."""

    def __init__(self):
        self._lock, self._inside = Lock(), 0
        self._limits: Any = None

    def __enter__(self):
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limits = _from_any_thread(_blas_libraries().limit, limits=1, user_api="blas")

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _from_any_thread(self._limits.restore_original_limits)


one_blas_thread = _BlasLimit()  # a context and a decorator


def _from_any_thread(action: Callable, **options):
    """Set or restore limits from any thread: threadpoolctl (3.8) alone heeds only the first that has done so."""
    release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    release(force=True)
    try:
        return action(**options)
    finally:
        release(force=True)


@cache
def _blas_libraries():
    return threadpoolctl.ThreadpoolController()  # 1 ms: those of numpy and scipy are loaded by now


@contextmanager
def single_threaded():
    """One BLAS thread, here and in processes started meanwhile."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with one_blas_thread:
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def require_memory(n_bytes: float, what: str, remedy: str) -> None:
    """Raise MemoryError when `n_bytes` exceed what the machine has, saying what needs them and what to lower."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if n_bytes > 0.8 * total:
        raise MemoryError(
            f"{what} would take {n_bytes / 2**30:.1f} GiB, and this machine has {total / 2**30:.1f} GiB; {remedy}"
        )


def available_cores() -> int:
    """The cores this process may use, no more than OMP_NUM_THREADS where that is set, as in a sweep's workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores


class Caller(Executor):
    """An executor without threads: the calling one does the work at once, and what goes wrong is raised at once."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def thread_pool(count: int) -> Executor:
    """A pool of `count` threads; where no thread can start, as in a web browser, the calling one.

    numpy does not warn of overflow in these threads: divergence is reported on the result.
    """
    try:
        trial = Thread(target=int)
        trial.start()
    except RuntimeError:
        return Caller()
    trial.join()
    return ThreadPoolExecutor(count, initializer=partial(np.seterr, over="ignore", invalid="ignore"))


def progress(iterable, total: int, label: str):
    """Wrap `iterable` in a tqdm bar that appears after 3 seconds, in a terminal or notebook only (needs tqdm)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if not (sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"):
        return iterable
    try:
        from tqdm import tqdm
    except ImportError:
        return iterable
    return tqdm(iterable, total=total, desc=label, delay=3, leave=False)


def in_threads(jobs: Sequence[Callable], n_ticks: int, label: str, interrupted: Callable) -> list:
    """Results of the jobs, in their order, run on as many threads as there are cores.

    Each is called with a function ``step``, which it calls up to n_ticks times: the progress bar moves, and once one
    job was interrupted, by its result or by the user, KeyboardInterrupt is raised in all others.
    """
    bar = iter(progress(range(len(jobs) * n_ticks), len(jobs) * n_ticks, label))
    lock, stop = Lock(), Event()

    def step():
        if stop.is_set():
            raise KeyboardInterrupt
        with lock:
            next(bar)

    def one(job):
        with np.errstate(over="ignore", invalid="ignore"):
            result = job(step)
        if interrupted(result):  # without threads the interrupt arrives in the job
            stop.set()
        return result

    with thread_pool(min(len(jobs), available_cores())) as pool:
        futures = [pool.submit(one, job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            stop.set()
        finally:  # after an error in one, the others need not go on
            if any(f.done() and f.exception() for f in futures):
                stop.set()
    return [f.result() for f in futures]
