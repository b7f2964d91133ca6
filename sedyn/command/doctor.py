"""``python -m sedyn doctor``: is this machine ready, and is the mathematics right on it? Findings say what to do."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_info

from ..common import Caller, available_cores, counted, one_blas_thread, thread_pool, z_scores
from ..model import Network, Overlaps, SingleIndex, Training
from ..runs import simulate
from ..theory import state_evolution


class Finding(NamedTuple):
    """One line of the report."""

    level: str  # ok, note (works, could be better) or problem
    text: str  # what was found
    remedy: str = ""  # what to do about it


def examine() -> Iterator[Finding]:
    """Every finding, check by check. A check that fails itself is a note: it could not find out.

    Examples
    --------
    >>> from sedyn.command import doctor
    >>> {finding.level for finding in doctor.memory()} <= {"ok", "note", "problem"}
    True
    """
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            what = (check.__doc__ or "").split(".")[0]
            yield Finding("note", f"{what}: could not be checked ({type(error).__name__}: {error})")


def versions() -> Iterator[Finding]:
    """Versions. What pyproject.toml declares, as the installed package repeats it, against what is there."""
    yield Finding("ok", f"Python {sys.version.split()[0]} at {sys.executable or 'an unknown place'}")
    from packaging.requirements import Requirement  # comes with pip and with matplotlib

    seen = set()
    for line in importlib.metadata.requires("sedyn") or []:
        need = Requirement(line)
        extra = next(iter(re.findall(r"extra == ['\"](\w+)['\"]", line)), None)
        if need.name == "sedyn" or need.name in seen or extra in ("dev", "test", "lite", "site", "classroom"):
            continue
        seen.add(need.name)
        install = f'pip install "sedyn[{extra}]"' if extra else f'pip install "{need.name}{need.specifier}"'
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("note" if extra else "problem", f"{need.name} is not installed", install)
            continue
        right = need.specifier.contains(found, prereleases=True)
        remedy = "" if right else f'pip install "{need.name}{need.specifier}"'
        yield Finding("ok" if right else "problem", f"{need.name} {found}, wanted: {need.specifier}", remedy)


def kernel() -> Iterator[Finding]:
    """Jupyter kernel. The notebooks ask for `python3`; it should be this Python."""
    if sys.platform == "emscripten":
        return (yield Finding("ok", "this Python runs in a web browser: it is the kernel"))
    install = 'pip install "sedyn[notebooks]"'
    for package in ("ipykernel", "jupyter_client"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            return (yield Finding("note", f"no notebook can run: {error}", install))
    from jupyter_client.kernelspec import KernelSpecManager

    program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    # a bare `python` is replaced by the Python that runs Jupyter
    same = program in ("python", "python3") or Path(program).absolute() == Path(sys.executable).absolute()
    if same:
        yield Finding("ok", "the Jupyter kernel `python3` is this Python")
    else:
        yield Finding(
            "problem",
            f"the Jupyter kernel `python3` is {program}, not this Python: notebooks see other packages",
            f"{sys.executable} -m ipykernel install --sys-prefix --name python3",
        )


def threads() -> Iterator[Finding]:
    """Threads. The solvers run one per core, and limit BLAS to one thread meanwhile."""
    cores = available_cores()
    if isinstance(thread_pool(1), Caller):
        return (yield Finding("note", "no thread can start here: everything runs on one core, with the same results"))
    with one_blas_thread:
        free = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and pool["num_threads"] > 1]
    if not free:
        return (yield Finding("ok", f"{counted(cores, 'core')}; BLAS takes one thread where sedyn runs its own"))
    names = ", ".join(f"{Path(pool['filepath']).name} ({pool['num_threads']} threads)" for pool in free)
    remedy = "set OPENBLAS_NUM_THREADS=1 (with MKL: MKL_NUM_THREADS=1) before Python starts"
    yield Finding("note", f"{counted(cores, 'core')}, and sedyn cannot limit the threads of {names}", remedy)


def memory() -> Iterator[Finding]:
    """Memory. What is free, against what `python -m sedyn run` and the largest notebook need."""
    if Path("/proc/meminfo").exists():
        free = int(re.findall(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / 2**20
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if free < 0.3:
        need = "`python -m sedyn run` takes 0.2 GiB"
        yield Finding("problem", f"{free:.1f} GiB of memory are free; {need}", "close other programs and kernels")
    elif free < 1:
        remedy = "run one notebook kernel at a time"
        yield Finding("note", f"{free:.1f} GiB of memory are free; some notebooks take 1 GiB", remedy)
    else:
        yield Finding("ok", f"{free:.1f} GiB of memory are free; no notebook takes more than 1 GiB")


def write_access() -> Iterator[Finding]:
    """Write access. Pictures go to the current folder, compiled kernels and fonts to caches."""
    import matplotlib

    places = [("this folder", Path.cwd(), "problem", "go to a folder of yours")]
    numba = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent / "__pycache__")
    places.append(
        ("numba's cache", numba, "note", "set NUMBA_CACHE_DIR to a folder of yours, or wait a few seconds each time")
    )
    config = Path(matplotlib.get_configdir())
    places.append(("matplotlib's folder", config, "note", "set MPLCONFIGDIR to a folder of yours"))
    for name, folder, level, remedy in places:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            yield Finding("ok", f"{name} can be written: {folder}")
        except OSError as error:
            yield Finding(level, f"{name} cannot be written: {error}", remedy)


def mathematics() -> Iterator[Finding]:
    """Mathematics. Theory against a closed form, against its other solver, and against training itself."""
    for name, deviation, bound in (_closed_form(), _two_solvers(), _simulation()):
        right = deviation < bound  # false for NaN
        remedy = "" if right else "reinstall numpy, scipy and sedyn (and numba); if it stays, please report it"
        yield Finding("ok" if right else "problem", f"{name}: {deviation:.2g}, must be below {bound:.2g}", remedy)


def _closed_form() -> tuple[str, float, float]:
    """A linear network does linear regression: its error is an integral over the Marchenko-Pastur law."""
    phi, rate, T, distance2, noise = 1.5, 0.2, 20, 2.0, 0.4
    net, rule = Network((1, 1), ("identity", "identity")), Training((rate, 0.0), T)
    teacher, start = SingleIndex("linear", noise), Overlaps(np.eye(1), np.zeros(1), 1.0, (np.eye(1),))
    theory = state_evolution(net, rule, teacher, start, phi, n_paths=2**11, tolerance=1e-3, rng=0)
    theta, weight = np.polynomial.legendre.leggauss(200)
    theta = np.pi / 2 * (theta + 1)
    eigenvalues = 1 + 1 / phi + 2 * np.sqrt(1 / phi) * np.cos(theta)
    weight = weight * np.sin(theta) ** 2 / eigenvalues
    shrink = (1 - rate * eigenvalues) ** T
    learned = distance2 * shrink**2 + noise**2 / phi * (1 - shrink) ** 2 / eigenvalues
    exact = weight @ learned + noise**2
    return "linear network against its closed form, relative", abs(theory.generalization_error[-1] / exact - 1), 2e-3


def _problem() -> tuple[Network, Training, SingleIndex, Overlaps, float]:
    """Two correlated neurons that see the signal, with non-symmetric deep weights: a wrong product shows."""
    net, rule = Network((2, 2, 1), ("tanh", "tanh", "identity")), Training(0.3, 10)
    deep = np.array([[0.9, -0.4], [0.3, 0.8]]), np.array([[1.0], [-0.7]])
    start = Overlaps(np.array([[1.0, 0.4], [0.4, 0.8]]), np.array([0.3, -0.2]), 1.0, deep)
    return net, rule, SingleIndex("tanh", 0.3), start, 1.5


def _two_solvers() -> tuple[str, float, float]:
    one, other = (
        state_evolution(*_problem(), n_paths=2**10, n_scrambles=6, solver=solver, rng=seed)
        for seed, solver in enumerate(("projection", "tangent"))
    )
    error = np.hypot(one.kernels.stderr("C"), other.kernels.stderr("C"))[1:]
    z = (one.kernels.C - other.kernels.C)[1:] / error
    return "projection against tangent solver, root mean square z", _rms(z), 2.5


def _simulation() -> tuple[str, float, float]:
    net, rule, teacher, start, phi = _problem()
    weights, signal = start.realize(800, rng=0)
    theory = state_evolution(net, rule, teacher, start, phi, n_paths=2**12, rng=1)
    runs = simulate(net, rule, teacher, weights, signal, round(phi * 800), 24, rng=2)
    steps = np.arange(rule.n_steps + 1)

    def measured(error, C):  # training error and overlaps
        return np.concatenate([error[..., None], C[..., steps, steps, :, :].reshape(*error.shape, 4)], axis=-1)

    predicted = measured(theory.train_error, theory.kernels.C)
    predicted_error = measured(theory.stderr.train_error, theory.kernels.stderr("C"))
    z = z_scores(measured(runs.train_error, runs.C), predicted, predicted_error)[1:]
    return "24 simulated runs against theory, root mean square z", _rms(z), 2.5


def _rms(z) -> float:
    return float(np.sqrt(np.mean(np.square(z))))


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (versions, kernel, threads, memory, write_access, mathematics)
