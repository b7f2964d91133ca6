"""BLAS is held to one thread while the library works, whoever else does, and gets back what it had."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg  # noqa: F401, its BLAS counts too
import threadpoolctl
from threadpoolctl import threadpool_info, threadpool_limits

import sedyn
from sedyn.common import available_cores, one_blas_thread, single_threaded
from sedyn.common.machine import THREADS

pytestmark = pytest.mark.filterwarnings("ignore::sedyn.AssumptionWarning")


def blas():
    """The number of threads of every BLAS in this process."""
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def in_a_thread(function, *args, **options):
    """Call it in a thread that is gone afterwards, and return what it returned."""
    found = []
    worker = threading.Thread(target=lambda: found.append(function(*args, **options)))
    worker.start()
    worker.join(60)
    return found[0]


def set_blas(limits):
    """Whoever has set a limit before: of several threads threadpoolctl (3.8) heeds only the first."""
    release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    release(force=True)
    threadpool_limits(limits=limits, user_api="blas")
    release(force=True)


@pytest.fixture(autouse=True)
def three_threads():
    """As on a machine with many cores, whatever the environment says; it is left as it was found."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools or any(pool.get("threading_layer") == "disabled" for pool in pools):
        pytest.skip("no BLAS here whose threads can be set")
    before = blas()
    set_blas(3)
    assert set(blas().values()) == {3}
    yield
    after = blas()
    set_blas(max(before.values()))  # all have the same
    assert set(after.values()) == {3} and blas() == before


def test_one_thread_inside_and_as_before_after():
    with one_blas_thread:
        assert set(blas().values()) == {1}
    assert set(blas().values()) == {3}


def test_nested():
    with one_blas_thread:
        with one_blas_thread, one_blas_thread:
            assert set(blas().values()) == {1}
        assert set(blas().values()) == {1}
    assert set(blas().values()) == {3}


def test_as_a_decorator_of_a_recursion():
    @one_blas_thread
    def down(depth):
        """Its name and text are kept."""
        return [blas(), *(down(depth - 1) if depth else [])]

    assert down.__name__ == "down" and down.__doc__ == "Its name and text are kept."
    assert all(set(found.values()) == {1} for found in down(3))
    assert set(blas().values()) == {3}


def test_an_exception_gives_the_threads_back():
    with pytest.raises(ZeroDivisionError), one_blas_thread:
        raise ZeroDivisionError
    assert set(blas().values()) == {3}
    with pytest.raises(KeyboardInterrupt), one_blas_thread, one_blas_thread:
        raise KeyboardInterrupt
    assert set(blas().values()) == {3}


def test_the_limit_of_the_user_is_given_back_whatever_it_was():
    for count in (2, 1, 3):
        with threadpool_limits(limits=count, user_api="blas"):
            with one_blas_thread:
                assert set(blas().values()) == {1}
            assert set(blas().values()) == {count}


def test_the_limit_of_the_user_in_another_thread_is_given_back():
    with threadpool_limits(limits=2, user_api="blas"):

        def work():
            with one_blas_thread:
                return blas()

        assert set(in_a_thread(work).values()) == {1}
        assert set(blas().values()) == {2}


def test_afterwards_every_thread_may_set_a_limit():
    def limited():
        with threadpool_limits(limits=2, user_api="blas"):
            return blas()

    with one_blas_thread:
        pass
    assert set(in_a_thread(limited).values()) == {2}
    assert set(limited().values()) == {2} and set(blas().values()) == {3}


@pytest.mark.parametrize("inside", [False, True])
def test_a_pool_of_threads_and_the_main_one(inside):
    """Threads that stay alive after their work, as those of an executor do."""

    def work():
        with one_blas_thread:
            return blas()

    with ThreadPoolExecutor(1) as pool:
        assert set(pool.submit(work).result().values()) == {1} and set(blas().values()) == {3}
        assert set(work().values()) == {1} and set(blas().values()) == {3}
        if inside:  # the pool's work begins first and ends first
            begun, go_on = threading.Event(), threading.Event()

            def waiting():
                with one_blas_thread:
                    begun.set()
                    go_on.wait(10)

            job = pool.submit(waiting)
            begun.wait(10)
            with one_blas_thread:
                go_on.set()
                job.result()
                assert set(blas().values()) == {1}
            assert set(blas().values()) == {3}
        assert set(pool.submit(work).result().values()) == {1} and set(blas().values()) == {3}


def test_overlapping_threads_give_back_what_the_first_one_found():
    """The first one leaves while the second is inside: it must not take the limit away, nor the second restore it to
    the one thread that it found."""
    order, seen = [threading.Event() for _ in range(4)], {}

    def first():
        with one_blas_thread:
            order[0].set()
            order[1].wait(10)
        seen["first left"] = blas()
        order[2].set()

    def second():
        order[0].wait(10)
        with one_blas_thread:
            order[1].set()
            order[2].wait(10)
            seen["second inside"] = blas()
        seen["second left"] = blas()

    workers = [threading.Thread(target=work) for work in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert set(seen["first left"].values()) == set(seen["second inside"].values()) == {1}
    assert set(seen["second left"].values()) == {3}


@pytest.mark.seconds
def test_many_threads_coming_and_going():
    rng, wrong = np.random.default_rng(0), []
    pauses = rng.uniform(0, 1e-3, (8, 30, 2))

    def work(row):
        for outside, inside in row:
            threading.Event().wait(outside)
            with one_blas_thread:
                threading.Event().wait(inside)
                if set(blas().values()) != {1}:
                    wrong.append(blas())

    workers = [threading.Thread(target=work, args=(row,)) for row in pauses]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong and set(blas().values()) == {3}


NETWORK, OVERLAPS = (
    sedyn.Network((2, 1), ("tanh", "identity")),
    sedyn.Overlaps(np.eye(2), np.zeros(2), 1.0, ([[0.8], [-0.5]],)),
)
TRAINING, SIZES = sedyn.Training(0.1, 3), (60, 30)


def watched(function, seen):
    """The function, and beside it a look at BLAS from the thread that calls it."""

    def with_a_look(*args):
        seen.append((threading.current_thread(), blas()))
        return function(*args)

    return with_a_look


def verbs(seen):
    weights, signal = OVERLAPS.realize(SIZES[1], rng=0)
    X, y = sedyn.SingleIndex("tanh", 0.1).sample(SIZES[0], signal, rng=1)
    teacher = sedyn.SingleIndex(watched(np.tanh, seen), 0.1)
    slope = watched(lambda a: 1 - np.tanh(a) ** 2, seen)
    network = sedyn.Network((2, 1), ((watched(np.tanh, seen), slope), "identity"))
    seen.clear()  # of what tried the functions
    small = {"n_paths": 2**8, "rng": 0}
    problem, data = (NETWORK, TRAINING, teacher), (network, TRAINING, weights, X, y)
    return {
        "state_evolution": lambda: sedyn.state_evolution(*problem, OVERLAPS, 2.0, **small),
        "tangent": lambda: sedyn.state_evolution(*problem, OVERLAPS, 2.0, solver="tangent", **small),
        "responses": lambda: sedyn.state_evolution(*problem, OVERLAPS, 2.0, responses=True, **small),
        "householder_dice": lambda: sedyn.householder_dice(*problem, OVERLAPS, *SIZES, rng=0),
        "simulate": lambda: sedyn.simulate(*problem, weights, signal, SIZES[0], 3, rng=0),
        "gradient_descent": lambda: sedyn.gradient_descent(*data, n_threads=2),
        "augmented_gradient_descent": lambda: sedyn.augmented_gradient_descent(*data, rng=0),
        "linearized_gradient_descent": lambda: sedyn.linearized_gradient_descent(*data),
    }


@pytest.mark.parametrize("name", list(verbs([])))
def test_every_verb_works_with_one_thread_and_gives_them_back(name):
    seen = []
    work = verbs(seen)[name]
    seen.clear()  # the constructors look, too
    work()
    assert seen and all(set(found.values()) == {1} for _, found in seen)
    assert set(blas().values()) == {3}


@pytest.mark.parametrize("name", ["state_evolution", "simulate", "gradient_descent"])
def test_a_verb_that_raises_gives_them_back(name):
    class Looks(list):
        full = False

        def append(self, _):
            if self.full:
                raise OSError("no more")

    seen = Looks()
    work = verbs(seen)[name]
    seen.full = True
    with pytest.raises(OSError, match="no more"):
        work()
    assert set(blas().values()) == {3}


def test_two_theories_at_the_same_time():
    seen, results = [], []
    work = verbs(seen)["state_evolution"]
    seen.clear()
    workers = [threading.Thread(target=lambda: results.append(work())) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert len(results) == 3 and results[0] == results[1] == results[2]
    assert all(set(found.values()) == {1} for _, found in seen) and set(blas().values()) == {3}


def test_single_threaded_reaches_processes_to_come(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with single_threaded():
        assert {os.environ[name] for name in THREADS} == {"1"} and set(blas().values()) == {1}
        assert available_cores() == 1
    assert os.environ["OMP_NUM_THREADS"] == "2" and "MKL_NUM_THREADS" not in os.environ
    assert set(blas().values()) == {3}
