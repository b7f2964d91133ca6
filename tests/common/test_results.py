"""Work shared by threads, and the same work where no thread can start, as in a web browser."""

import threading

import numpy as np
import pytest

import sedyn
from sedyn.common import machine
from sedyn.runs import descent, products, simulation
from sedyn.theory import dice
from tests.conftest import general_problem


@pytest.fixture
def no_threads(monkeypatch):
    """Several cores, and no thread can start: said as Pyodide says it."""

    def cannot(thread):
        raise RuntimeError("can't start new thread")

    for module in (machine, descent, dice, simulation):
        monkeypatch.setattr(module, "available_cores", lambda: 2)
    monkeypatch.setattr(threading.Thread, "start", cannot)


def check_workers():
    """The name of the thread that works."""
    with machine.thread_pool(1) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        return pool.submit(threading.current_thread).result().name


def test_workers_are_threads_where_threads_can_start():
    assert check_workers() != threading.current_thread().name


def test_elsewhere_the_caller_works(no_threads):
    assert check_workers() == threading.current_thread().name


def everything():
    """A number or two of all that shares work among threads."""
    network, training, teacher, overlaps, phi = problem = general_problem()
    weights, signal = overlaps.realize(80, rng=1)
    X, y = teacher.sample(100, signal, rng=2)
    theories = [
        sedyn.state_evolution(*problem, n_paths=2**9, n_scrambles=3, solver=solver, rng=3)
        for solver in ("projection", "tangent")
    ]
    found = [x for theory in theories for x in (theory.generalization_error, theory.stderr.train_error)]
    found.append(sedyn.state_evolution(*problem, n_paths=2**9, n_scrambles=3, responses=True, rng=3).kernels.R)
    runs = sedyn.simulate(network, training, teacher, weights, signal, 100, 3, rng=5)
    found += [runs.train_error, runs.generalization_error]
    found.append(sedyn.gradient_descent(network, training, weights, X, y, n_threads=3).train_error)
    found.append(sedyn.augmented_gradient_descent(network, training, weights, X, y, rng=0).estimated_error)
    found.append(sedyn.householder_dice(network, training, teacher, overlaps, 2**16 + 2**14, 2**16, rng=4).train_error)
    return found


@pytest.fixture
def expected():
    return everything()  # before threads are taken away


@pytest.mark.seconds
@pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")
def test_every_verb_gives_the_same_without_threads(expected, no_threads, monkeypatch):
    monkeypatch.setattr(
        products, "BLOCK_BYTES", 1
    )  # several blocks of rows, by the compiled products where there are any
    monkeypatch.setattr(products, "BLOCK_ROWS", 8)
    monkeypatch.setattr(products, "COMPILED_WORK", 0)
    for found, wanted in zip(everything(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_an_interrupt_keeps_complete_randomizations_without_threads(no_threads, monkeypatch):
    problem, T = general_problem(), 12

    def progress(steps, total, label):
        for step in steps:
            if step == 2 * (T + 1) + 5:  # in the third randomization
                raise KeyboardInterrupt
            yield step

    whole = sedyn.state_evolution(*problem, n_paths=2**9, n_scrambles=4, rng=3)
    monkeypatch.setattr(machine, "progress", progress)
    theory = sedyn.state_evolution(*problem, n_paths=2**9, n_scrambles=4, rng=3)
    assert theory.status == "interrupted" and theory.n_scrambles == 2 and whole.n_scrambles == 4
    np.testing.assert_allclose(theory.train_error, whole.train_error, rtol=0.05)
