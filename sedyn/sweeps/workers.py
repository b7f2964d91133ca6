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
    'a worker process did not start, its error stands above; in a script, call sweep under if __name__ == "__main__":'
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
    except (Exception, SystemExit) as raised:
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
            raise ValueError(f"a returned value cannot be called {name!r}; choose another name")
        values[name] = np.array(value)
        if values[name].dtype.kind not in "biufcU":
            raise TypeError(f"{name!r} must be a number, a text or an array of these; got {type(value).__name__}")
    return values


def outcomes(
    submit, names: Iterable[str], window: int, keep: Callable[[str, dict], None]
) -> Generator[None, None, None]:
    """Run all names, no more than `window` at a time, and `keep` each outcome; yields once for each."""
    finished: SimpleQueue = SimpleQueue()
    flying: set[Future] = set()
    waiting = iter(names)

    def take(name: str, future: Future) -> None:
        try:
            try:
                outcome = future.result()
            except (BrokenExecutor, CancelledError, NoStart):
                raise
            except BaseException as error:  # the executor's: a worker that died, a result that cannot travel
                outcome = _outcome({}, f"{type(error).__name__}: {error}", traceback.format_exc(), np.nan)
            keep(name, outcome)
            finished.put((future, None))
        except BaseException as error:
            finished.put((future, error))

    def completed(name: str, future: Future) -> None:
        with suppress(RuntimeError):  # the sweep was interrupted
            takers.submit(take, name, future)

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
                future, error = finished.get()
                flying.discard(future)
                if error:
                    raise error
                yield
        finally:
            for future in flying:
                future.cancel()


class NoStart(RuntimeError):
    """The whole sweep's trouble, not one point's."""


class Processes(ThreadPoolExecutor):
    """Each thread has a process of its own to ask: when one is killed, it alone is replaced and no other point lost."""

    def __init__(self, function, n_workers: int):
        super().__init__(n_workers)
        self.n_workers = n_workers
        self._function, self._mine, self._lock = function, threading.local(), threading.Lock()
        self._all: list = []
        self._killed = False

    def ask(self, *task) -> Future:
        return self.submit(self._ask, task)

    def _ask(self, task):
        for _ in range(ATTEMPTS):
            process, pipe = getattr(self._mine, "worker", None) or self._start()
            try:
                pipe.send(task)
                return pipe.recv()
            except (EOFError, OSError):
                process.join()
                self._mine.worker = None
                if self._killed:
                    raise CancelledError from None
        raise RuntimeError(f"its worker process died {ATTEMPTS} times, with exit code {process.exitcode}")

    def _start(self):
        from multiprocessing import get_context  # spawned, not forked: a copy of a process with BLAS threads may hang

        with self._lock:
            if self._killed:
                raise CancelledError
            context = get_context("spawn")
            pipe, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._function))
            try:
                process.start()
            except RuntimeError as error:  # multiprocessing says what is wrong
                raise NoStart(NO_START) from error
            theirs.close()
            self._all.append((process, pipe))
        try:
            pipe.recv()
        except (EOFError, OSError):
            process.join()
            if self._killed:
                raise CancelledError from None
            raise NoStart(NO_START) from None
        self._mine.worker = process, pipe
        return process, pipe

    def __exit__(self, *_):
        with self._lock:
            self._killed = True
        for process, _ in self._all:
            process.kill()
        self.shutdown()
        for process, pipe in self._all:
            process.join()
            pipe.close()


def _serve(pipe, function) -> None:
    """The main loop of a worker process, which ends with its parent."""
    from multiprocessing import connection, parent_process

    def end_with(sentinel):
        connection.wait([sentinel])
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent
    threading.Thread(target=end_with, args=(parent.sentinel,), daemon=True).start()
    pipe.send("ready")
    with suppress(EOFError, OSError):
        while True:
            pipe.send(run_point(function, None, *pipe.recv()))
