"""Sweeps: the same numbers anywhere, in any order; and nothing lost, whoever is killed."""

import functools
import importlib
import json
import linecache
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest

import sedyn
from sedyn.sweeps.store import clean, encode, read, record_name, unpack
from tests.sweeps import sweep_points
from tests.sweeps.sweep_points import beside, calls, die_sending, draw, fail, kill, leave, slow, threads

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")


def here(function, grid, n_seeds=1, rng=0, store=None):
    """A sweep in this process, one point after another; the calls it made."""
    calls.clear()
    with ThreadPoolExecutor(1) as executor:
        return sedyn.sweep(function, grid, n_seeds, executor=executor, store=store, rng=rng)


def same(table, other):
    """Bit for bit, but for the time it took."""
    assert set(table) == set(other) and set(table.arrays) == set(other.arrays)
    for name in set(table) - {"seconds"}:
        np.testing.assert_array_equal(table[name], other[name])
    for name, values in table.arrays.items():
        assert values.tobytes() == other.arrays[name].tobytes()


# ---- the same result everywhere

GRID = {"a": [1, 2.5], "b": ["x", ("y", 3)]}


@pytest.mark.seconds
def test_same_on_every_executor_in_any_order_alone_or_in_a_larger_sweep():
    serial = here(draw, GRID, 2)
    assert len(set(serial["x"])) == 8 and serial.arrays["curve"].shape == (8, 3)
    assert serial["a"].tolist() == [1, 1, 1, 1, 2.5, 2.5, 2.5, 2.5]
    assert serial["b"].tolist() == ["x", "x", '["y", 3]', '["y", 3]'] * 2 and serial["seed"].tolist() == [0, 1] * 4
    same(sedyn.sweep(draw, GRID, 2, executor=2, rng=0), serial)
    for pool in (ThreadPoolExecutor(3), ProcessPoolExecutor(2, mp_context=get_context("spawn"))):
        with pool:
            same(sedyn.sweep(draw, GRID, 2, executor=pool, rng=np.random.default_rng(0)), serial)
    points = [{"b": b, "a": a} for b in reversed(GRID["b"]) for a in reversed(GRID["a"])]
    backwards = here(draw, points, 2)
    np.testing.assert_array_equal(backwards["x"].reshape(2, 2, 2)[::-1, ::-1].swapaxes(0, 1).ravel(), serial["x"])
    alone = here(draw, [{"a": 2.5, "b": ["y", 3]}])
    assert alone["x"] == serial["x"][6]
    larger = here(draw, {"a": [0, 2.5, 7], "b": [("y", 3)]}, 5)
    assert larger["x"][5:7].tolist() == serial["x"][6:8].tolist()
    assert not set(here(draw, GRID, 2, rng=1)["x"]) & set(serial["x"])


def test_a_fresh_root_is_really_fresh():
    assert here(draw, {"a": [1]}, rng=None)["x"] != here(draw, {"a": [1]}, rng=None)["x"]


def named(value):
    return json.dumps(encode(clean(value, "p")))


def test_values_written_alike_are_one_and_others_differ():
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    same_names = [
        (0.0, -0.0), (1.0, np.float64(1)), (1, np.int8(1)), (True, np.True_), ("a", np.str_("a")), ((1, 2), [1, 2]),
        (np.array([0.0]), np.array([-0.0])), (network, sedyn.Network([2, 1], ["tanh", "identity"])),
    ]  # fmt: skip
    for one, other in same_names:
        assert named(one) == named(other), one
    different = [
        1, 1.0, True, "1", None, "null", (), (1,), (1.0,), ((1,),), np.array([1]), np.array([1.0]), np.array([[1.0]]),
        np.zeros((0, 2)), np.zeros((2, 0)), np.inf, -np.inf, 0.1, np.float32(0.1), 10**30, network,
        sedyn.Network((3, 1), ("tanh", "identity")), sedyn.Network((2, 1), ("tanh", "identity"), bias=True),
        sedyn.Training(0.1, 3), sedyn.SingleIndex("tanh", 0.1),
    ]  # fmt: skip
    assert len({named(value) for value in different}) == len(different)
    about = {"function": "f", "root": "0", "parameters": {"a": 1, "b": 2}, "seed": 0}
    others = [{"function": "g"}, {"root": "1"}, {"parameters": {"a": 2, "b": 1}}, {"parameters": {"a": 1}}, {"seed": 1}]
    assert len({record_name(about | other) for other in [{}, *others]}) == 6
    assert record_name(about) == record_name(about | {"parameters": {"b": 2, "a": 1}})


def test_names_are_public_so_that_moving_a_module_changes_no_result():
    for value in (sedyn.Network((2, 1), ("tanh", "identity")), sedyn.Training(0.1, 3), sedyn.SingleIndex("tanh")):
        assert encode(clean(value, "p"))["type"] == f"sedyn.{type(value).__name__}"


def test_the_function_gets_clean_values():
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    here(draw, {"a": [np.float64(-0.0), [1, [2]], np.arange(2.0), network]})
    zero, nested, array, given = (a for a, _ in calls)
    assert type(zero) is float and np.copysign(1, zero) == 1 and nested == (1, (2,)) and given == network
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1  # shared by all points that have it


def closure():
    hidden = 1
    return lambda a, rng: {"x": hidden}


REFUSED = [
    (dict(grid={"a": [np.nan]}), TypeError, "'a' must consist of numbers .not NaN"),
    (dict(grid={"a": [np.tanh]}), TypeError, "'a' must consist.*of a function give the name"),
    (dict(grid={"a": [{"x": 1}]}), TypeError, "got {'x': 1}"),
    (dict(grid={"a": [1j]}), TypeError, "got 1j"),
    (dict(grid={"a": [np.array([np.nan])]}), TypeError, "not NaN"),
    (dict(grid={"a": [sedyn.SingleIndex(np.tanh)]}), TypeError, "got <ufunc 'tanh'>"),
    (dict(grid={"a": "gaussian"}), TypeError, "needs a sequence of values for 'a'; got 'gaussian'"),
    (dict(grid={"a": 3}), TypeError, "needs a sequence of values for 'a'; got 3"),
    (dict(grid="a"), TypeError, "grid must be a mapping of names"),
    (dict(grid=3), TypeError, "grid must be a mapping of names"),
    (dict(grid={"a": []}), ValueError, "the grid is empty"),
    (dict(grid=[]), ValueError, "the grid is empty"),
    (dict(grid=[{"a": 1}, {"a": 1, "b": 2}]), ValueError, "the same names; got {'a': 1, 'b': 2}"),
    (dict(grid=[1]), ValueError, "must be mappings"),
    (dict(grid={"seed": [1]}), ValueError, r"cannot be called \['seed'\]"),
    (dict(grid={"c": [1]}), TypeError, r"draw must take \['c', 'rng'\] by name"),
    (dict(grid={}), TypeError, r"draw must take \['rng'\] by name: missing"),
    (dict(n_seeds=0), ValueError, "n_seeds must be a positive integer; got 0"),
    (dict(n_seeds=2.0), ValueError, "n_seeds must be a positive integer; got 2.0"),
    (dict(rng="x"), ValueError, "rng must be None, an integer seed >= 0"),
    (dict(executor=0), TypeError, "executor must be a concurrent.futures.Executor or a positive integer; got 0"),
    (dict(executor="dask"), TypeError, "got 'dask'"),
    (dict(function=functools.partial(draw, b=1)), TypeError, "hides no values"),
    (dict(function=closure()), TypeError, "hides no values"),
    (dict(function=3), TypeError, "plain function"),
    (dict(function=lambda a, rng: {}), TypeError, "cannot import .*put it into a module"),
]


@pytest.mark.parametrize("change, error, message", REFUSED)
def test_bad_input_is_refused_at_the_door(change, error, message):
    with pytest.raises(error, match=message):
        sedyn.sweep(**({"function": draw, "grid": {"a": [1]}} | change))


@pytest.mark.seconds
def test_a_function_of_the_notebook_is_refused_before_a_process_starts():
    code = "import sedyn\ndef f(a, rng): return {'x': 1}\nsedyn.sweep(f, {'a': [1]})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "worker processes cannot import f: put it into a module" in done.stderr


@pytest.mark.seconds
@pytest.mark.parametrize(
    "guard_of_f, guard_of_sweep, error",
    [(False, False, "bootstrapping phase"), pytest.param(True, True, "get attribute 'f'", marks=pytest.mark.minutes)],
)
def test_a_script_with_a_wrong_guard_is_told_so_once(guard_of_f, guard_of_sweep, error, tmp_path):
    lines = {"def f(a, rng): return {'x': 1}": guard_of_f, "sedyn.sweep(f, {'a': [1, 2]}, executor=2)": guard_of_sweep}
    guarded = [f"if __name__ == '__main__':\n    {line}" if guard else line for line, guard in lines.items()]
    script = tmp_path / "script.py"
    script.write_text("\n".join(["import sedyn", *guarded]))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode and done.stderr.count(error) == 3
    *_, last = done.stderr.splitlines()
    assert last.startswith("RuntimeError: 3 worker processes in a row ended while they started. If an error of theirs ")
    assert 'a script must call sweep under if __name__ == "__main__": and define its function outside of that' in last
    assert "something killed them, most often want of memory" in last


# ---- the table


def vary(kind, rng):
    values = {
        "flat": {"x": 1, "name": "a"},
        "long": {"x": 2.5, "name": "bc", "curve": np.arange(3)},
        "short": {"x": True, "curve": [5.0], "label": ["a"]},
    }
    return values[kind]


def test_what_differs_between_points_is_filled_up():
    table = here(vary, {"kind": ["flat", "long", "short"]})
    assert table["x"].tolist() == [1, 2.5, 1] and table["name"].tolist() == ["a", "bc", ""]
    np.testing.assert_array_equal(table.arrays["curve"], [[np.nan] * 3, [0, 1, 2], [5, np.nan, np.nan]])
    assert table.arrays["label"].tolist() == [[""], [""], ["a"]]


@pytest.mark.seconds
def test_columns_are_plain_and_open_directly(tmp_path):
    grid = [{"a": a, "b": b} for a, b in ((1, True), (2.5, False), (np.inf, True))]
    table = here(draw, grid, 2, store=tmp_path)
    assert [table[name].dtype.kind for name in ("a", "b", "seed", "x", "seconds")] == list("fbiff")
    assert all(column.shape == (6,) for column in table.values())
    assert table.variables()["curve"] == (("record", "curve_1"), table.arrays["curve"])
    assert table.variables()["a"][0] == ("record",)
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(sedyn.load(tmp_path)).groupby("a").x.mean().shape == (3,)
    xarray = pytest.importorskip("xarray")
    opened = xarray.Dataset(table.variables())
    assert opened.curve.dims == ("record", "curve_1") and float(opened.x[3]) == table["x"][3]


@pytest.mark.parametrize(
    "returned, message",
    [
        (3.0, "TypeError: the function must return a mapping such as .*got float"),
        ({"x": None}, "TypeError: 'x' must be a number, a text or an array of these; got NoneType"),
        ({"i": 1}, "ValueError: a returned value cannot be called 'i'"),
        ({"seed": 1}, "ValueError: a returned value cannot be called 'seed'"),
        ({"x": [[1], [1, 2]]}, "ValueError: "),
    ],
)
def test_what_a_table_cannot_hold_is_a_failure(returned, message, monkeypatch):
    monkeypatch.setattr(sweep_points, "returned", returned, raising=False)
    with pytest.warns(UserWarning, match="1 failed"):
        table = here(give, {"i": [1]})
    assert not table and re.match(message, table.failures[0].error)


def give(i, rng):
    return sweep_points.returned


# ---- the store


def test_a_second_sweep_does_only_what_is_missing(tmp_path):
    first = here(draw, {"a": [1, 2]}, rng=None, store=tmp_path)
    assert len(calls) == 2
    again = here(draw, {"a": [1, 2]}, rng=None, store=tmp_path)
    assert not calls and "2 of them from the store" in again.message
    same(again, first)
    more = here(draw, {"a": [2, 3]}, 2, rng=None, store=tmp_path)
    assert calls == [(2, 0), (3, 0), (3, 0)]
    assert more["x"][0] == first["x"][1]
    everything = sedyn.load(tmp_path)
    assert everything["a"].tolist() == [1, 2, 2, 3, 3] and everything["seed"].tolist() == [0, 0, 1, 0, 1]
    assert everything["x"].tolist() == [first["x"][0], *more["x"]]


def test_a_record_is_read_by_numpy_alone_and_describes_itself(tmp_path):
    here(draw, {"a": [("y", 2.5)], "b": [True]}, store=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["record"]))
        assert file["curve"].shape == (3,)
    assert about["parameters"] == {"a": ["y", 2.5], "b": True} and about["seed"] == 0
    assert about["function"] == "tests.sweeps.sweep_points.draw" and len(about["source"]) == 64
    assert set(about["versions"]) == {"sedyn", "numpy", "python"} and about["versions"]["numpy"] == np.__version__
    assert {"root", "seconds", "host", "finished"} <= set(about)


def test_every_damaged_byte_is_noticed(tmp_path):
    """Each byte of a record with one bit, all bits or everything else changed; every truncation; bytes added."""
    here(draw, {"a": [1, 2]}, store=tmp_path)
    path, other = sorted(tmp_path.glob("*.npz"))
    data = path.read_bytes()
    assert unpack(data)["values"]["curve"].shape == (3,) and len(data) > 1000

    def noticed(damaged):
        return unpack(damaged) is None

    for i, byte in enumerate(data):
        for changed in {byte ^ 1 << i % 8, byte ^ 255, 0} - {byte}:
            assert noticed(data[:i] + bytes([changed]) + data[i + 1 :]), i
    for length in (*range(len(data)), len(data) - 1):
        assert noticed(data[:length]) and noticed(data[:length] + bytes(len(data) - length)), length
    assert noticed(data + b"\0") and noticed(b"\0" + data) and noticed(data + data)
    path.write_bytes(other.read_bytes())  # whole, but under the name of another
    assert read(path) is None and read(other)
    path.write_bytes(data[:-1])
    assert read(path) is None
    with pytest.warns(UserWarning, match=f"1 point; 1 damaged file: {path.name}"):
        table = sedyn.load(tmp_path)
    assert table.status == "damaged" and len(table["a"]) == 1


def test_damaged_records_are_made_again(tmp_path):
    first = here(draw, {"a": range(4)}, store=tmp_path)
    files = sorted(tmp_path.glob("*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].write_bytes(b"")
    files[2].unlink()
    again = here(draw, {"a": range(4)}, store=tmp_path)
    assert len(calls) == 3 and "2 damaged files were made again" in again.message
    same(again, first)
    same(sedyn.load(tmp_path), first)


def test_the_header_may_be_lost_but_not_wrong(tmp_path):
    first, header = here(draw, {"a": [1]}, rng=None, store=tmp_path), tmp_path / "sweep.json"
    text = header.read_text()
    for i in range(len(text)):
        header.write_text(text[:i] + chr(ord(text[i]) ^ 1) + text[i + 1 :])
        with pytest.raises(ValueError, match="sweep.json is damaged; delete it and run again"):
            sedyn.sweeps.store.open_store(tmp_path, {"function": "f", "source": ""}, ["a"], None)
    with pytest.warns(UserWarning, match="sweep.json"):
        sedyn.load(tmp_path)
    header.unlink()
    same(here(draw, {"a": [1]}, rng=None, store=tmp_path), first)
    assert not calls and header.read_text() == text


def test_a_store_belongs_to_one_sweep(tmp_path):
    here(draw, {"a": [1]}, rng=3, store=tmp_path)
    with pytest.raises(ValueError, match="begun with another rng; pass the same seed, or None"):
        here(draw, {"a": [1]}, rng=4, store=tmp_path)
    with pytest.raises(
        ValueError, match="the function tests.sweeps.sweep_points.draw, not tests.sweeps.sweep_points.slow"
    ):
        here(slow, {"i": [1]}, rng=3, store=tmp_path)
    with pytest.raises(ValueError, match=r"the parameters \['a'\], not \['a', 'b'\]"):
        here(draw, {"a": [1], "b": [2]}, rng=3, store=tmp_path)


def test_changed_code_is_noticed_and_a_changed_comment_is_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def version(body):
        (tmp_path / "moving.py").write_text(f"def f(a, rng):\n    {body}\n")
        sys.modules.pop("moving", None)
        importlib.invalidate_caches()
        linecache.checkcache()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return importlib.import_module("moving").f

    store = tmp_path / "store"
    here(version("return {'x': a}"), {"a": [1]}, store=store)
    assert (
        "1 of them from the store" in here(version("return {'x':   a}  # as before"), {"a": [1]}, store=store).message
    )
    with pytest.raises(ValueError, match="the code of moving.f has changed since"):
        here(version("return {'x': 2 * a}"), {"a": [1]}, store=store)
    (store / "sweep.json").unlink()  # what the message says
    here(version("return {'x': 2 * a}"), {"a": [1, 2]}, store=store)
    assert "more than one version of the function" in sedyn.load(store).message


def test_leftovers_are_ignored_and_cleaned_once_they_are_nobodys(tmp_path):
    here(draw, {"a": [1]}, store=tmp_path)
    old, young = tmp_path / "1.npz.1.tmp", tmp_path / "2.npz.2.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 4000,) * 2)
    assert len(sedyn.load(tmp_path)["a"]) == 1
    here(draw, {"a": [1]}, store=tmp_path)
    assert young.exists() and not old.exists()


def test_load_also_reads_saved_results(tmp_path):
    overlaps = sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, ([[1.0], [2.0]],))
    loaded = sedyn.load(overlaps.save(tmp_path / "overlaps"))
    assert type(loaded) is sedyn.Overlaps and loaded.deep[0].tolist() == [[1.0], [2.0]]
    with pytest.raises(ValueError, match="holds Overlaps; expected Trajectory"):
        sedyn.Trajectory.load(tmp_path / "overlaps.npz")
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ValueError, match="no sedyn result"):
        sedyn.load(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        sedyn.load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not the store of a sweep"):
        sedyn.load(tmp_path / "empty")


# ---- failures


@pytest.mark.filterwarnings("ignore:.*failed")
def test_a_failing_point_is_recorded_and_tried_again(tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match="3 of 4 points; 1 failed .see .failures., one by ZeroDivisionError: two is"):
        table = here(fail, {"i": range(4)}, store=tmp_path)
    assert table.status == "failed" and table["i"].tolist() == [0, 1, 3]
    (failure,) = sedyn.load(tmp_path).failures
    assert failure == table.failures[0] and failure.parameters == {"i": 2} and failure.seed == 0
    assert 'raise ZeroDivisionError("two is too much")' in failure.traceback
    assert "3 of them from the store" in here(fail, {"i": range(4)}, store=tmp_path).message
    monkeypatch.setenv("SEDYN_TEST_MENDED", "1")
    mended = here(fail, {"i": range(4)}, store=tmp_path)
    assert mended.status == "ok" and mended["i"].tolist() == [0, 1, 2, 3]
    assert not list(tmp_path.glob("*.failure")) and not sedyn.load(tmp_path).failures


@posix
@pytest.mark.seconds
def test_a_point_that_kills_its_process_costs_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SEDYN_TEST_ATTEMPTS", str(tmp_path / "attempts"))
    with pytest.warns(UserWarning, match="its worker process died 3 times, with exit code -9"):
        table = sedyn.sweep(kill, {"i": range(12)}, rng=0, executor=2, store=tmp_path)
    assert table["i"].tolist() == [i for i in range(12) if i != 2] and table.failures[0].parameters == {"i": 2}
    assert (tmp_path / "attempts").read_text() == "xxx"


@pytest.mark.minutes
def test_a_point_beside_one_that_kills_its_process_three_times_is_not_blamed_nor_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("SEDYN_TEST_ATTEMPTS", str(tmp_path / "attempts"))
    with pytest.warns(UserWarning, match="1 of 2 points; 1 failed.*its worker process died 3 times, with exit code -9"):
        table = sedyn.sweep(beside, {"i": [0, 1]}, rng=0, executor=2)
    assert table["i"].tolist() == [0] and [failure.parameters for failure in table.failures] == [{"i": 1}]
    assert sorted((tmp_path / "attempts").read_text()) == ["0", "1", "1", "1"]


@pytest.mark.seconds
def test_a_worker_killed_in_the_middle_of_a_result_is_not_waited_for():
    with pytest.warns(UserWarning, match="3 of 4 points; 1 failed.*its worker process died 3 times, with exit code -9"):
        table = sedyn.sweep(die_sending, {"i": range(4)}, rng=0, executor=1)
    assert table["i"].tolist() == [0, 2, 3]


@pytest.mark.seconds
@pytest.mark.parametrize("executor", [1, None])
def test_a_point_that_exits_or_interrupts_is_a_failure_of_that_name(executor):
    with pytest.warns(UserWarning, match="2 of 4 points; 2 failed"), ThreadPoolExecutor(1) as threads:
        table = sedyn.sweep(leave, {"by": [None, "exit", "interrupt", ""]}, executor=executor or threads)
    assert [failure.error for failure in table.failures] == ["SystemExit: 3", "KeyboardInterrupt: no Ctrl-C"]
    assert all("in leave" in failure.traceback for failure in table.failures)
    assert len(set(table["pid"])) == 1


@posix
@pytest.mark.minutes
def test_workers_killed_while_they_start_are_replaced(tmp_path, monkeypatch):
    """Of one worker at first, and of two, the 1st, 2nd, 4th and 5th are killed as they import the function."""
    monkeypatch.syspath_prepend(tmp_path)
    log = tmp_path / "starts"
    (tmp_path / "dying.py").write_text(f"""if True:
        import multiprocessing, os, signal, time
        if multiprocessing.parent_process():
            with open({str(log)!r}, "a") as file:
                file.write("x")
                file.flush()
                if file.tell() in (1, 2, 4, 5):
                    os.kill(os.getpid(), signal.SIGKILL)
        def f(i, rng):
            time.sleep(0.5)
            return {{"x": rng.random(), "pid": os.getpid()}}
    """)
    table = sedyn.sweep(importlib.import_module("dying").f, {"i": range(12)}, rng=0, executor=2)
    assert table.status == "ok" and len(set(table["pid"])) == 2 and log.read_text() == "x" * 6


@posix
@pytest.mark.minutes
def test_a_worker_killed_between_points_costs_no_attempt(monkeypatch):
    monkeypatch.setattr(sedyn.sweeps.workers, "ATTEMPTS", 1)
    with sedyn.sweeps.workers.Processes(leave, 1) as pool:
        pids = []
        for _ in range(3):
            pids.append(int(pool.ask({"by": None}, "0", (0,)).result()["values"]["pid"]))
            ((_, process),) = pool._workers.values()
            os.kill(pids[-1], signal.SIGKILL)
            wait([process.sentinel])
    assert len(set(pids)) == 3


def no_start(monkeypatch, after):
    """So many processes start, and then no more."""
    right, count = SpawnProcess.start, iter(range(after))

    def start(process):
        if next(count, None) is None:
            raise OSError(12, "Cannot allocate memory")
        right(process)

    monkeypatch.setattr(SpawnProcess, "start", start)


@pytest.mark.seconds
def test_where_no_process_can_start_it_is_said(monkeypatch):
    no_start(monkeypatch, 0)
    with pytest.raises(RuntimeError, match="3 worker processes in a row .* want of memory") as raised:
        sedyn.sweep(kill, {"i": range(5)}, executor=2)
    assert "Cannot allocate memory" in str(raised.value.__cause__)


@posix
def test_where_no_process_can_start_any_more_what_is_done_is_returned(monkeypatch):
    no_start(monkeypatch, 1)
    with pytest.warns(UserWarning, match="2 of 5 points; interrupted .BrokenExecutor: no .*Cannot allocate memory"):
        table = sedyn.sweep(kill, {"i": range(5)}, executor=1)
    assert table.status == "interrupted" and table["i"].tolist() == [0, 1]


@pytest.mark.seconds
@posix
@pytest.mark.filterwarnings("ignore:.*interrupted")
def test_a_foreign_pool_that_breaks_returns_what_is_done(tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        table = sedyn.sweep(kill, {"i": range(5)}, rng=0, executor=pool, store=tmp_path)
    assert table.status == "interrupted" and table["i"].tolist() == [0, 1] and "BrokenProcessPool" in table.message
    assert sedyn.load(tmp_path)["i"].tolist() == [0, 1]


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    here(draw, {"a": [1]}, store=tmp_path)
    monkeypatch.setattr(sedyn.sweeps.store.os, "fsync", full)
    with pytest.raises(
        OSError, match=r"No space left.* could not be written; what was done before .1 of . points. is safe"
    ):
        here(draw, {"a": [1, 2]}, store=tmp_path)
    assert not list(tmp_path.glob("*.tmp")) and sedyn.load(tmp_path)["a"].tolist() == [1]


def trouble(kind, rng):
    if kind == "diverged":
        return {"curve": np.nan, "masked": np.ma.array([1, 2], mask=[True, False])}
    if kind == "raises":
        raise ZeroDivisionError("no")
    if kind == "exits":
        raise SystemExit(3)
    return {"curve": np.arange(3.0), "masked": np.ma.array([5.0, 6.0])}


def test_every_kind_of_trouble_leaves_the_good_points_safe_and_the_bad_ones_named(tmp_path):
    """A curve that is NaN instead, a masked array, an error and an exit: in the table, and in the store after."""
    with pytest.warns(UserWarning, match="3 of 5 points; 2 failed"):
        table = here(trouble, {"kind": ["fine", "diverged", "raises", "exits", "good"]}, store=tmp_path)
    stored = sedyn.load(tmp_path)
    for found, kinds in ((table, ["fine", "diverged", "good"]), (stored, ["diverged", "fine", "good"])):
        assert found["kind"].tolist() == kinds and found.status == "failed"
        rows = [[np.nan] * 3 if kind == "diverged" else [0, 1, 2] for kind in kinds]
        np.testing.assert_array_equal(found.arrays["curve"], rows)
        rows = [[np.nan, 2] if kind == "diverged" else [5, 6] for kind in kinds]
        np.testing.assert_array_equal(found.arrays["masked"], rows)
    assert [failure.parameters["kind"] for failure in table.failures] == ["raises", "exits"]


def test_records_of_several_sweeps_or_versions_are_told_apart(tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    here(draw, {"a": [1]}, rng=1, store=one)
    here(draw, {"a": [2], "b": [3]}, rng=2, store=other)
    for path in other.glob("*.npz"):
        path.rename(one / path.name)
    with pytest.warns(UserWarning, match=r"2 points; of more than one sweep \(.*draw; 2 root seeds\)"):
        table = sedyn.load(one)
    assert table.status == "mixed" and sorted(table["a"]) == [1, 2]
    np.testing.assert_array_equal(np.sort(table["b"]), [3, np.nan])
    monkeypatch.setattr(sedyn.sweeps.workers, "__version__", "0.0.9")
    here(draw, {"a": [5]}, rng=7, store=tmp_path / "new")
    with pytest.warns(UserWarning, match="1 by another version of sedyn"):
        assert here(draw, {"a": [5]}, rng=7, store=tmp_path / "new").status == "mixed"
    monkeypatch.undo()
    here(draw, {"a": [5, 6]}, rng=7, store=tmp_path / "two")
    with pytest.warns(UserWarning, match="1 by another version of sedyn"):
        here(draw, {"a": [5, 6]}, rng=7, store=tmp_path / "new")
    with pytest.warns(UserWarning, match=r"by more than one version of sedyn \(0.0.9, "):
        sedyn.load(tmp_path / "new")


def test_what_is_no_record_is_named(tmp_path):
    table = here(draw, {"a": [1]}, store=tmp_path)
    record = next(tmp_path.glob("*.npz"))
    (tmp_path / "x.npz").mkdir()
    np.savez(tmp_path / "mine.npz", x=1)
    with pytest.warns(UserWarning, match="2 other files: mine.npz, x.npz"):
        assert sedyn.load(tmp_path)["a"].tolist() == [1]
    same(here(draw, {"a": [1]}, store=tmp_path), table)
    record.unlink()
    record.mkdir()
    with pytest.raises(ValueError, match="is a folder where a record belongs; remove it"):
        here(draw, {"a": [1]}, store=tmp_path)
    with pytest.raises(ValueError, match="store must be a path, such as 'folder/name'; got ''"):
        here(draw, {"a": [1]}, store="")


def test_code_that_cannot_be_read_is_known_by_what_it_does(tmp_path):
    def made(text):
        space = {"__name__": __name__}
        exec(text, space)
        return space["f"]

    first = "def f(i, rng):\n    return {'x': i + 1.0}"
    here(made(first), {"i": [1]}, store=tmp_path)
    assert here(made("\n\n" + first), {"i": [1]}, store=tmp_path)["x"].tolist() == [2]
    with pytest.raises(ValueError, match="has changed since"):
        here(made(first.replace("1.0", "2.0")), {"i": [1]}, store=tmp_path)


# ---- workers


@pytest.mark.seconds
def test_workers_have_one_thread_each_and_here_all_is_as_before():
    before = dict(os.environ), threads(0, None)["blas"]
    table = sedyn.sweep(threads, {"i": range(4)}, executor=2)
    assert set(table["blas"]) == set(table["cores"]) == {1} and len(set(table["pid"])) == 2
    foreign = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    assert here(threads, {"i": [0]})["blas"] == 1
    assert (dict(os.environ), threads(0, None)["blas"]) == before and foreign.items() <= os.environ.items()


@pytest.mark.seconds
def test_a_foreign_process_is_limited_too():
    """Its BLAS was loaded before the sweep began, with as many threads as this machine has."""
    code = """if True:
        import sedyn
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        from tests.sweeps.sweep_points import threads
        if __name__ == "__main__":
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                before = pool.submit(threads, 0, None).result()["blas"]
                print(before, sedyn.sweep(threads, {"i": [0]}, executor=pool)["blas"][0])
    """
    env = {name: value for name, value in environment().items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    before, during = map(int, done.stdout.split())
    assert during == 1 and (before > 1 or os.cpu_count() == 1)


class Counting(ThreadPoolExecutor):
    """Counts the points that it has been handed and that are not done."""

    count = most = 0

    def submit(self, function, *arguments):
        self.count += 1
        self.most = max(self.most, self.count)
        return super().submit(self.run, function, arguments)

    def run(self, function, arguments):
        time.sleep(0.01)
        self.count -= 1
        return function(*arguments)


def test_points_are_handed_over_a_window_at_a_time(monkeypatch):
    monkeypatch.setattr(sys.modules["sedyn.sweeps.grid"], "WINDOW", 10)
    executor = Counting(1)
    assert len(sedyn.sweep(draw, {"a": range(60)}, executor=executor)["a"]) == 60
    assert executor.most == 10


def test_progress_counts_what_is_missing(tmp_path, monkeypatch):
    seen = []

    def progress(iterable, total, label):
        steps = list(iterable)
        seen.append((len(steps), total, label))
        return steps

    here(draw, {"a": range(3)}, store=tmp_path)
    monkeypatch.setattr(sys.modules["sedyn.sweeps.grid"], "progress", progress)
    here(draw, {"a": range(8)}, store=tmp_path)
    assert seen == [(5, 5, "sweep")]


# ---- killed, interrupted, two at once


def environment():
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": paths}


def start(*arguments):
    command = [sys.executable, "-m", "tests.sweeps.sweep_points", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def kill_all(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has killed itself
    process.communicate()


def finished(store):
    """The records in a store, by name; asserts that every one is whole."""
    files = {path.name: path.read_bytes() for path in store.glob("*.npz")} if store.exists() else {}
    assert all(read(store / name) for name in files)
    return files


def is_running(pid):
    """Also not a zombie, which nobody has waited for."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def workers_of(process):
    """The process ids of a sweep's workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def wait_for(store, count, process, seconds=60):
    """Until the store has so many records, or the process has ended."""
    end = time.monotonic() + seconds
    while len(list(store.glob("*.npz"))) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_both(store, process, worker):
    """Kill a worker now, and its client after some more of 200 points; what was finished then."""
    os.kill(worker, signal.SIGKILL)
    wait_for(store, 120, process)
    assert process.poll() is None
    process.kill()
    process.communicate()
    known = finished(store)
    assert 120 <= len(known) < 200
    return known


def complete(store, executor, n_points):
    """Run to the end; the store then equals a sweep that nobody disturbed, made here without one."""
    process = start(store, executor, n_points)
    out, err = process.communicate(timeout=120)
    assert f"ok {n_points} {n_points} of {n_points} points" in out, err
    table = sedyn.load(store)
    assert table["i"].tolist() == list(range(n_points))
    same(table, here(slow, {"i": range(n_points)}))


def kill_at_random(store, n_kills, n_points, seed):
    """Kill the whole group of a sweep at random moments of its work, or between a temporary file and its rename;
    nothing that was finished is lost or changed. Returns how often the sweep was hit at work."""
    rng, known, hits = np.random.default_rng(seed), {}, 0
    for i in range(n_kills):
        if len(known) > 0.8 * n_points:  # begin anew
            complete(store, "pool", n_points)
            shutil.rmtree(store)
            known = {}
        process = start(store, "pool", n_points, rng.integers(1, 6) if i % 3 == 2 else 0)
        wait_for(store, len(known) + 1, process)
        time.sleep(rng.uniform(0, 0.2))
        kill_all(process)
        now = finished(store)
        assert known.items() <= now.items()
        hits += process.returncode == -signal.SIGKILL and len(now) < n_points
        known = now
    complete(store, "pool", n_points)
    return hits


@posix
@pytest.mark.seconds
def test_sweeps_killed_at_random_lose_nothing(tmp_path):
    assert kill_at_random(tmp_path / "store", 3, 60, seed=1) == 3


@posix
@pytest.mark.minutes
def test_sweeps_killed_at_fifty_random_moments_lose_nothing(tmp_path):
    assert kill_at_random(tmp_path / "store", 50, 400, seed=2) == 50


@posix
@pytest.mark.minutes
def test_killed_between_writing_and_renaming(tmp_path):
    process = start(tmp_path, "pool", 30, 5)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and 1 <= len(finished(tmp_path)) < 30
    assert list(tmp_path.glob("*.tmp"))
    complete(tmp_path, "pool", 30)


@posix
@pytest.mark.minutes
def test_two_sweeps_on_one_store(tmp_path):
    both = [start(tmp_path, "pool", 40) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert "ok 40 40 of 40 points" in out, err
    complete(tmp_path, "pool", 40)
    assert len(finished(tmp_path)) == 40 and not list(tmp_path.glob("*.tmp"))


@posix
@pytest.mark.seconds
def test_interrupting_returns_what_is_done_and_nothing_half_done(tmp_path):
    """Ctrl-C reaches the workers too, where a training run would return what it has so far."""
    process = start(tmp_path, "train", 400)
    wait_for(tmp_path, 5, process)
    spawned = workers_of(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert not any(map(is_running, spawned)) and (len(spawned) == 2 or not Path("/proc/self").exists())
    status, count, message = out.split(" ", 2)
    assert status == "interrupted" and 5 <= int(count) < 400 and "call it again to go on" in message, err
    table = sedyn.load(tmp_path)
    assert len(table["i"]) == int(count) and not table.failures
    assert set(table["status"]) == {"ok"} and set(table["n_steps"]) == {1500}


@posix
@pytest.mark.minutes
def test_dask_with_a_killed_worker_and_a_killed_client(tmp_path):
    """200 points on two workers: one is killed in the middle, then the client (with its scheduler); then restarted."""
    pytest.importorskip("distributed")
    process = start(tmp_path, "dask", 200)
    worker = int(process.stdout.readline().split()[1])
    wait_for(tmp_path, 40, process)
    known = kill_both(tmp_path, process, worker)
    complete(tmp_path, "dask", 200)
    assert known.items() <= finished(tmp_path).items()


@posix
@pytest.mark.minutes
def test_the_built_in_pool_with_a_killed_worker_and_a_killed_client(tmp_path):
    process = start(tmp_path, "pool", 200)
    wait_for(tmp_path, 40, process)
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    spawned = workers_of(process)
    assert len(spawned) == 2
    known = kill_both(tmp_path, process, spawned[0])
    time.sleep(1)
    assert not any(map(is_running, spawned))  # workers end with their parent
    complete(tmp_path, "pool", 200)
    assert known.items() <= finished(tmp_path).items()


def test_a_dask_client_that_goes_away_is_an_interruption():
    """What Dask does then: every future is cancelled."""

    class Gone(Executor):
        def submit(self, *_):
            future = Future()
            future.cancel()
            return future

    with pytest.warns(UserWarning, match="0 of 3 points; interrupted .CancelledError.: call it again"):
        assert sedyn.sweep(draw, {"a": range(3)}, executor=Gone()).status == "interrupted"
