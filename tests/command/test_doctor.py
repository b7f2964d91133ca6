"""`python -m sedyn doctor`: each check against an environment in which it must speak up."""

import dataclasses
import importlib.metadata
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sedyn
from sedyn.command import doctor, main
from sedyn.runs import descent
from sedyn.runs.products import _multiply
from sedyn.theory import tangent


def levels(check):
    return [finding.level for finding in check()]


@pytest.mark.seconds
def test_a_healthy_machine_gets_no_problem(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.write_access, doctor.mathematics))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.count("\nok") + out.startswith("ok") == 6 and "0 problems, 0 notes, 6 ok" in out


def test_a_problem_is_printed_with_its_remedy_and_the_exit_status(capsys, monkeypatch):
    def check():
        yield doctor.Finding("problem", "the floor is wet", "wait")

    monkeypatch.setattr(doctor, "CHECKS", (check,))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.startswith("problem  the floor is wet\n         -> wait\n")


@pytest.mark.parametrize("check", doctor.CHECKS)
def test_a_check_that_fails_itself_is_a_note(check, monkeypatch):
    def broken():
        raise OSError("no such device")

    broken.__doc__ = check.__doc__
    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    (finding,) = doctor.examine()
    assert finding.level == "note" and "could not be checked (OSError: no such device)" in finding.text
    assert finding.text.startswith(check.__doc__.split(".")[0])


@pytest.mark.parametrize(
    "package, found, level, remedy",
    [
        ("numba", None, "note", 'pip install "sedyn[fast]"'),
        ("scikit-learn", None, "note", 'pip install "sedyn[data]"'),
        ("numpy", None, "problem", 'pip install "numpy<3,>=1.26"'),
        ("scipy", "1.14.1", "problem", 'pip install "scipy<2,>=1.15"'),  # too old
        ("matplotlib", "4.0.0", "problem", 'pip install "matplotlib<4,>=3.8"'),  # too new
    ],
)
def test_missing_too_old_and_too_new_packages(monkeypatch, package, found, level, remedy):
    version = importlib.metadata.version

    def pretend(name):
        if name == package and found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found if name == package else version(name)

    assert "problem" not in levels(doctor.versions)
    monkeypatch.setattr(importlib.metadata, "version", pretend)
    (finding,) = [f for f in doctor.versions() if f.level != "ok"]
    assert (finding.level, finding.remedy) == (level, remedy) and package in finding.text


def test_versions_without_packaging_are_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.versions,))
    assert [f.level for f in doctor.examine()] == ["ok", "note"]


@pytest.mark.parametrize(
    "program, level", [(sys.executable, "ok"), ("python", "ok"), ("/elsewhere/bin/python3", "problem")]
)
def test_kernel_of_another_python(monkeypatch, program, level):
    manager = pytest.importorskip("jupyter_client.kernelspec").KernelSpecManager
    monkeypatch.setattr(manager, "get_kernel_spec", lambda self, name: SimpleNamespace(argv=[program, "-m"]))
    (finding,) = doctor.kernel()
    assert finding.level == level
    assert level == "ok" or (program in finding.text and f"{sys.executable} -m ipykernel install" in finding.remedy)


def test_kernel_without_ipykernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    (finding,) = doctor.kernel()
    assert finding.level == "note" and finding.remedy == 'pip install "sedyn[notebooks]"'


@pytest.mark.parametrize("n_cores", [1, 4])
def test_threads(monkeypatch, n_cores):
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "available_cores", lambda: n_cores)
    (finding,) = doctor.threads()
    assert finding.level == "ok" and f"{n_cores} core" in finding.text


def test_a_blas_library_that_cannot_be_limited(monkeypatch):
    pool = {"user_api": "blas", "filepath": "/lib/libone.so", "num_threads": 1}
    pools = [pool, pool | {"filepath": "/lib/libtwo.so", "num_threads": 4}, pool | {"user_api": "openmp"}]
    monkeypatch.setattr(doctor, "threadpool_info", lambda: pools)
    (finding,) = doctor.threads()
    assert finding.level == "note" and "limit the threads of libtwo.so (4 threads)" in finding.text
    assert "OPENBLAS_NUM_THREADS=1" in finding.remedy


def test_no_threads_at_all(monkeypatch):
    monkeypatch.setattr(doctor, "thread_pool", lambda count: doctor.Caller())
    (finding,) = doctor.threads()
    assert finding.level == "note" and "one core" in finding.text


@pytest.mark.parametrize("kib, level", [(100_000, "problem"), (800_000, "note"), (8_000_000, "ok")])
def test_low_memory(monkeypatch, kib, level):
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(Path, "read_text", lambda self: f"MemTotal: 9999999 kB\nMemAvailable:   {kib} kB\n")
    (finding,) = doctor.memory()
    assert finding.level == level and f"{kib / 2**20:.1f} GiB" in finding.text


def test_folders_that_cannot_be_written(monkeypatch, tmp_path):
    """Folders of others: the super-user, who may run these tests, can write everywhere."""
    monkeypatch.chdir(tmp_path)
    assert levels(doctor.write_access) == ["ok", "ok", "ok"]

    def refused(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    findings = list(doctor.write_access())
    assert [f.level for f in findings] == ["problem", "note", "note"]
    assert str(tmp_path) in findings[0].text
    assert "NUMBA_CACHE_DIR" in findings[1].remedy and "MPLCONFIGDIR" in findings[2].remedy


def test_a_folder_that_is_a_file(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.fspath(tmp_path / "cache" / "numba"))
    assert levels(doctor.write_access)[1] == "note"


# ---- mathematics: each of the three comparisons is broken in turn


def wrong_aspect_ratio(monkeypatch):
    """All theory off by 15 % in m/n: both solvers agree on it."""

    def solve(network, training, teacher, overlaps, phi, *args, **options):
        return sedyn.state_evolution(network, training, teacher, overlaps, 1.15 * phi, *args, **options)

    monkeypatch.setattr(doctor, "state_evolution", solve)
    return {0, 2}  # both solvers are asked the same wrong question


def forgotten_memory(monkeypatch):
    """The tangent solver without what a step leaves in the preactivations of its rows."""
    monkeypatch.setattr(tangent.Responses, "memory", lambda self, t, S: np.zeros(1))
    return {1}


def wrong_gradient(monkeypatch):
    """Gradient descent whose first layer moves 10 % too far."""

    def multiply_back(X, S, G):
        np.matmul(1.1 * S, X, out=G)

    monkeypatch.setattr(descent, "products", lambda work, width: (_multiply, multiply_back))
    return {2}


@pytest.mark.seconds
@pytest.mark.parametrize("break_it", [wrong_aspect_ratio, forgotten_memory, wrong_gradient])
def test_wrong_mathematics_is_a_problem(monkeypatch, break_it):
    broken = break_it(monkeypatch)
    found = levels(doctor.mathematics)
    assert found == ["problem" if k in broken else "ok" for k in range(3)]


@pytest.mark.seconds
def test_not_a_number_is_a_problem(monkeypatch):
    solve = sedyn.state_evolution

    def nan(*args, **options):
        theory = solve(*args, **options)
        return dataclasses.replace(theory, generalization_error=np.nan * theory.generalization_error)

    monkeypatch.setattr(doctor, "state_evolution", nan)
    assert next(doctor.mathematics()).level == "problem"
