"""What the machine offers: memory, cores, threads, and progress on long work."""

from __future__ import annotations

import os
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Thread

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")


@contextmanager
def single_threaded():
    """One BLAS thread, here and in processes started meanwhile."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        from threadpoolctl import threadpool_limits as limits
    except ImportError:
        limits = nullcontext
    try:
        with limits(1):
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
            f"{what} needs {n_bytes / 2**30:.1f} GiB and this machine has {total / 2**30:.1f} GiB; {remedy}"
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


def thread_pool(count: int, initializer=None) -> Executor:
    """A pool of `count` threads; where no thread can start, as in a web browser, the calling one."""
    try:
        trial = Thread(target=int)
        trial.start()
    except RuntimeError:
        return Caller()
    trial.join()
    return ThreadPoolExecutor(count, initializer=initializer)


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
