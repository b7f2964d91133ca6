"""Sweeps: a grid of parameters times independent seeds, on any executor, each finished point safe in a folder."""

from __future__ import annotations

import ast
import hashlib
import inspect
import pickle
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import product

import numpy as np

from ..common import __version__, available_cores, counted, generator, place, progress, shown, single_threaded
from .store import Table, clean, encode, open_store, pack, public_name, read, record_name, spawn_key, write
from .workers import RESERVED, WRITERS, Processes, outcomes, run_point, this_process

WINDOW = 1000  # points in flight on a foreign executor


def sweep(
    function: Callable[..., Mapping],
    grid: Mapping[str, Iterable] | Sequence[Mapping],
    n_seeds: int = 1,
    *,
    executor: Executor | int | None = None,
    store=None,
    rng=None,
) -> Table:
    """Call ``function(**point, rng=generator)`` for every point of a grid and every seed, and keep what it returns.

    A point's generator depends on the root seed, on its parameters and on the seed's number, and on nothing else: its
    result is the same bit for bit alone or in any sweep, in any order, on any executor of one machine.

    Parameters
    ----------
    function : callable
        Returns a mapping of numbers, texts and arrays. A plain function: whatever it depends on is a parameter or
        stands in its code. For worker processes it must be importable: in a module, not in a notebook.
    grid : mapping of str to sequence, or sequence of mappings
        Values of every parameter, of which all combinations are run; or the points themselves. Values are numbers,
        texts, None, tuples, arrays, and dataclasses of such, like `Network`. The function gets lists as tuples and
        numpy numbers as Python's. 1, 1.0 and True are different values; 0.0 and -0.0 are the same.
    n_seeds : int
        Independent repetitions of each point.
    executor : concurrent.futures.Executor or int, optional
        Where to run: so many worker processes, by default one per core; or, for instance,
        ``ThreadPoolExecutor(2)``, ``Client(..).get_executor()`` of Dask, ``mpi4py.futures.MPIPoolExecutor()``.
        BLAS gets one thread in each worker.
    store : path, optional
        A folder. What it holds is not run again, so a sweep that was stopped, or grew, goes on where it was; damaged
        files and failed points are run again. Several sweeps may share it, if function and root seed are the same.
    rng : None, int or numpy Generator
        The root seed. None: that of the store, or a fresh one.

    Returns
    -------
    Table
        The finished points of this grid in its order. When interrupted, those that are done. Points whose function
        raised, or killed its process three times, are in `failures`.

    Raises
    ------
    ValueError, TypeError
        When the function does not take the grid's parameters or hides others, or a value has no unique text (NaN, a
        function); when the store belongs to another function, to another root seed or to other code.
    OSError
        When a point cannot be written to the store; it says which, and those before it are safe.
    RuntimeError
        When worker processes cannot start.

    Warns
    -----
    UserWarning
        When points failed, the sweep was interrupted, or points in the store are by another version of sedyn.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import sedyn
    >>> def largest(n, features, rng):
    ...     return {"largest": abs(sedyn.sample_features(1, n, features=features, rng=rng)).max()}
    >>> grid = {"n": [10, 1000], "features": ["gaussian", "laplace"]}
    >>> table = sedyn.sweep(largest, grid, n_seeds=3, rng=0, executor=ThreadPoolExecutor(2))
    >>> table["n"].tolist()
    [10, 10, 10, 10, 10, 10, 1000, 1000, 1000, 1000, 1000, 1000]
    >>> float(table["largest"][table["n"] == 1000].min()) > 2
    True
    """
    if isinstance(n_seeds, bool) or not isinstance(n_seeds, (int, np.integer)) or n_seeds < 1:
        raise ValueError(f"n_seeds must be a positive integer; got {shown(n_seeds)}")
    points = _points(function, grid)
    if not isinstance(executor, Executor):
        if executor is not None and (isinstance(executor, bool) or not isinstance(executor, int) or executor < 1):
            raise TypeError(
                f"executor must be a concurrent.futures.Executor or a positive integer; got {shown(executor)}"
            )
        _require_importable(function)
    identity = {"function": public_name(function), "source": _source(function)}
    folder = None if store is None else place(store, "store")
    root = open_store(folder, identity, sorted(points[0]), rng if rng is None else generator(rng))
    jobs: dict[str, tuple[dict, dict]] = {}
    records: dict[str, dict] = {}
    failures: dict[str, dict] = {}
    damaged: set[str] = set()
    for point, seed in product(points, range(n_seeds)):
        about = identity | {"root": root, "parameters": {k: encode(v) for k, v in point.items()}, "seed": seed}
        jobs[record_name(about)] = about, point

    def in_store(name: str) -> bool:
        try:
            record = read(folder / f"{name}.npz") if folder else None
        except FileNotFoundError:
            return False
        if record:
            records[name] = record
        elif folder:
            damaged.add(name)
        return record is not None

    missing = [name for name in jobs if not in_store(name)]
    n_found, status, reason = len(records), "ok", ""

    def keep(name: str, outcome: dict) -> None:
        record = jobs[name][0] | outcome
        if folder:
            path = folder / f"{name}.{'failure' if record['error'] else 'npz'}"
            try:
                write(path, pack(record))
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"{error.strerror}: {path} could not be written; what was done before ({len(records)} of "
                    f"{counted(len(jobs), 'point')}) is safe in {folder}: make room, or mend what is wrong, and call "
                    "it again to go on",
                ) from error
            if not record["error"]:
                (folder / f"{name}.failure").unlink(missing_ok=True)
        (failures if record["error"] else records)[name] = record

    with single_threaded(), ExitStack() as stack:
        if isinstance(executor, Executor):
            call: Callable = partial(executor.submit, run_point, function, this_process())  # type: ignore[call-arg]
            window = WINDOW
        else:
            pool = stack.enter_context(Processes(function, executor or available_cores()))
            call, window = pool.ask, 4 * pool.n_workers + WRITERS

        def submit(name: str) -> Future | None:
            if in_store(name):  # another sweep was faster
                return None
            about, point = jobs[name]
            return call(point, root, spawn_key(about))

        try:
            with closing(outcomes(submit, missing, window, keep)) as ended:
                for _ in progress(ended, len(missing), "sweep"):
                    pass
        except (KeyboardInterrupt, BrokenExecutor, CancelledError) as error:
            cause = f"{type(error).__name__}: {error}".removesuffix(": ")
            status, reason = "interrupted", f"; interrupted ({cause}): call it again to go on"
    message = f"{len(records)} of {counted(len(jobs), 'point')}"
    message += f", {n_found} of them from the store" if n_found else ""
    if failures:
        status = "failed" if status == "ok" else status
        message += f"; {len(failures)} failed (see .failures), one by {next(iter(failures.values()))['error']}"
    other = sum(r["versions"]["sedyn"] != __version__ for r in records.values())
    if other:
        status = "mixed" if status == "ok" else status
        message += f"; {other} by another version of sedyn (in a new folder all are run by {__version__})"
    again = f"; {counted(len(damaged), 'damaged file')} {'was' if len(damaged) == 1 else 'were'} made again"
    message += (again if damaged else "") + reason
    if status != "ok":
        warnings.warn(message, stacklevel=2)
    done, failed = ([kind[name] for name in jobs if name in kind] for kind in (records, failures))
    return Table(done, failed, status, message)


def _points(function, grid) -> list[dict]:
    """All points, every value as the function gets it."""
    if not inspect.isfunction(function) or function.__closure__:
        raise TypeError(
            f"function must be a plain function that hides no values (no partial, method or closure): what it depends "
            f"on belongs into the grid, a constant as a sequence of one value; got {shown(function)}"
        )
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, (str, Mapping)) or not _several(values):
                raise TypeError(f"the grid needs a sequence of values for {name!r}; got {shown(values)}")
        grid = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    elif isinstance(grid, str) or not _several(grid):
        raise TypeError(f"grid must be a mapping of names to sequences, or a sequence of mappings; got {shown(grid)}")
    points: list[dict] = []
    for point in grid:
        if not isinstance(point, Mapping) or (points and set(point) != set(points[0])):
            raise ValueError(f"all points of a grid must be mappings with the same names; got {shown(point)}")
        points.append({name: clean(value, name) for name, value in point.items()})
    if not points:
        raise ValueError("the grid is empty: every parameter needs at least one value")
    if reserved := [name for name in points[0] if name in RESERVED or not isinstance(name, str)]:
        taken = ", ".join(RESERVED)
        raise ValueError(f"parameters cannot be called {reserved}; choose other names, texts and none of {taken}")
    try:
        inspect.signature(function).bind(**points[0], rng=None)
    except TypeError as error:
        names = [*points[0], "rng"]
        raise TypeError(f"the function {function.__qualname__} must take {names} by name: {error}") from None
    return points


def _several(values) -> bool:
    return isinstance(values, Iterable) and getattr(values, "shape", None) != ()


def _source(function) -> str:
    """A hash of the code without comments and layout; of what Python made of it where it cannot be read."""
    try:
        code = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError):
        code = repr(_compiled(function.__code__))
    return hashlib.sha256(code.encode()).hexdigest()


def _compiled(code) -> tuple:
    """Instructions, names and constants, those of inner functions too, without places in a file."""
    constants = [
        _compiled(c) if inspect.iscode(c) else sorted(map(repr, c)) if isinstance(c, frozenset) else c
        for c in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, constants


def _require_importable(function) -> None:
    hidden = function.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__")
    with suppress(pickle.PicklingError, AttributeError):
        pickle.dumps(function)
        if not hidden:
            return
    raise TypeError(
        f"worker processes cannot import {function.__qualname__}: put it into a module (a .py file beside the "
        "notebook) and import it, or run it here with executor=concurrent.futures.ThreadPoolExecutor(..)"
    )
