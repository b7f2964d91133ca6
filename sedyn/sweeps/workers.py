"""Where the points of a sweep run: one call in a worker, one BLAS thread each, and processes that may be killed."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from queue import SimpleQueue

import numpy as np

from ..common import __version__, single_threaded

ATTEMPTS = 3  # that a point may kill its process
WRITERS = 8
NO_START = (
    f"{ATTEMPTS} worker processes in a row ended while they started. If an error of theirs stands above: a script must "
    'call sweep under if __name__ == "__main__": and define its function outside of that. If none does, something '
    "killed them, most often want of memory"
)
RESERVED = ("rng", "seed", "seconds", "record")  # names that no parameter and no value can have


def this_process() -> tuple[str, int]:
    return platform.node(), os.getpid()


@cache
def _limit_for_good():
    context = single_threaded()
    context.__enter__()
    return context  # which the cache keeps open


def run_point(function, home: tuple[str, int] | None, point: dict, root: str, spawn_key: tuple[int, ...]) -> dict:
    """One point, in a worker of the sweep in process `home`: its values, or its error and traceback."""
    if this_process() != home:
        _limit_for_good()
    # Ctrl-C reaches workers too, and would make a run that returns what it has look finished
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    values: dict = {}
    error, trace, start = "", "", time.perf_counter()
    try:
        rng = np.random.default_rng(np.random.SeedSequence(int(root, 16), spawn_key=spawn_key))
        values = _values(function(**point, rng=rng), point)
    except BaseException as raised:  # also SystemExit: a point that calls exit ends nothing but itself
        error, trace = f"{type(raised).__name__}: {raised}", traceback.format_exc()
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
    return _outcome(values, error, trace, time.perf_counter() - start)


def _outcome(values: dict, error: str, trace: str, seconds: float) -> dict:
    versions = {"sedyn": __version__, "numpy": np.__version__, "python": platform.python_version()}
    about = {"host": platform.node(), "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    return {"values": values, "error": error, "traceback": trace, "seconds": seconds, "versions": versions} | about


def _values(returned, point: dict) -> dict[str, np.ndarray]:
    if not isinstance(returned, Mapping):
        raise TypeError(f"the function must return a mapping such as {{'error': 0.1}}; got {type(returned).__name__}")
    values = {}
    for name, value in returned.items():
        if not isinstance(name, str) or name in point or name in RESERVED:
            raise ValueError(
                f"a returned value cannot be called {name!r}; choose a text that is no parameter and none of "
                f"{', '.join(RESERVED)}"
            )
        values[name] = np.array(_filled(value))
        if values[name].dtype.kind not in "biufcU":
            raise TypeError(f"{name!r} must be a number, a text or an array of these; got {type(value).__name__}")
    return values


def _filled(value):
    """A masked array as one with NaN where nothing is."""
    if not np.ma.is_masked(value):
        return value
    return value.filled(np.nan) if value.dtype.kind in "fc" else value.astype(float).filled(np.nan)


def outcomes(
    submit, names: Iterable[str], window: int, keep: Callable[[str, dict], None]
) -> Generator[None, None, None]:
    """Run all names, no more than `window` at a time, and `keep` each outcome; yields once for each."""
    finished: SimpleQueue[Future] = SimpleQueue()
    flying: set[Future] = set()
    waiting = iter(names)

    def take(name: str, future: Future) -> Future:
        try:
            outcome = future.result()
        except (BrokenExecutor, CancelledError):
            raise
        except BaseException as error:  # the executor's: a worker that died, a result that cannot travel
            outcome = _outcome({}, f"{type(error).__name__}: {error}", traceback.format_exc(), np.nan)
        keep(name, outcome)
        return future

    def completed(name: str, future: Future) -> None:
        with suppress(RuntimeError):  # the sweep was interrupted
            takers.submit(take, name, future).add_done_callback(finished.put)

    # Threads wait for the disk together, while workers go on; and no interrupt, which only the main thread sees, can
    # stop a write.
    with ThreadPoolExecutor(WRITERS) as takers:
        try:
            while True:
                while len(flying) < window and (name := next(waiting, None)) is not None:
                    if future := submit(name):
                        flying.add(future)
                        future.add_done_callback(partial(completed, name))
                    else:
                        yield
                if not flying:
                    return
                flying.discard(finished.get().result())
                yield
        finally:
            for future in flying:
                future.cancel()


class Processes(ThreadPoolExecutor):
    """Threads with a pool of one process each: when it breaks, the point in it is to blame and no other is lost."""

    def __init__(self, function, n_workers: int):
        super().__init__(n_workers)
        self.n_workers, self._function = n_workers, function
        self._workers: dict[int, tuple] = {}  # of each thread: its pool, and the process in that
        self._lock, self._closed = threading.Lock(), False

    def ask(self, *task) -> Future:
        if not self._workers:  # one alone at first: where it cannot start none can, and one says why
            try:
                self.submit(self._worker).result()
            except BrokenExecutor as error:
                raise RuntimeError(NO_START) from error
        return self.submit(self._ask, task)

    def _ask(self, task):
        for _ in range(ATTEMPTS):
            pool, process = self._worker()
            try:
                return pool.submit(run_point, self._function, None, *task).result()
            except BrokenExecutor:
                while process.is_alive():  # also just after another thread has waited for it
                    process.join()
        raise RuntimeError(f"its worker process died {ATTEMPTS} times, with exit code {process.exitcode}")

    def _worker(self):
        from multiprocessing.connection import wait

        pool, process = self._workers.get(threading.get_ident(), (None, None))
        if process and not wait([process.sentinel], timeout=0):  # not killed since the last point
            return pool, process
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._start()
            except (BrokenExecutor, OSError) as error:
                if not left:
                    raise BrokenExecutor(f"no worker process starts: {error!r}") from error

    def _start(self):
        from concurrent.futures import ProcessPoolExecutor  # which a web browser cannot import
        from multiprocessing import get_context  # spawned, not forked: a copy of a process with BLAS threads may hang

        with self._lock:
            if self._closed:
                raise CancelledError
            pool = ProcessPoolExecutor(1, get_context("spawn"), _begin)
            probe = pool.submit(callable, self._function)
            (process,) = pool._processes.values()
            self._workers[threading.get_ident()] = pool, process
        probe.result()
        pool._result_queue._writer.close()  # type: ignore[attr-defined]  # else half a result is waited for for ever
        return pool, process

    def __exit__(self, *_):
        with self._lock:
            self._closed = True
        for _, process in self._workers.values():
            process.kill()
        self.shutdown()
        for pool, _ in self._workers.values():
            pool.shutdown()


def _begin() -> None:
    """A worker's first task: to leave Ctrl-C to its parent, and to end with it."""
    from multiprocessing import parent_process

    def end_with(parent):
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(parent_process(),), daemon=True).start()
