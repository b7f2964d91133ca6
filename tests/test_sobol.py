"""Sobol points, beside those whose import takes longer than a solve."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import qmc

from sedyn.sobol import MAX_DIM, sobol


@pytest.mark.parametrize("dim", (1, 2, 5, MAX_DIM, MAX_DIM + 1))
def test_same_points_as_scipy(dim):
    for log2_points in (0, 1, 9):
        ours = sobol(dim, log2_points, np.random.default_rng(7))
        theirs = qmc.Sobol(dim, rng=np.random.default_rng(7)).random_base2(log2_points).T
        np.testing.assert_array_equal(ours, theirs)


def test_neither_import_nor_first_solve_waits_for_the_slow_parts_of_scipy():
    code = """if True:
        import sys, sedyn
        network = sedyn.Network((1, 1), ("tanh", "identity"))
        overlaps = sedyn.Overlaps([[1.0]], [0.0], 1.0, ([[1.0]],))
        sedyn.state_evolution(network, sedyn.Training(0.1, 1), sedyn.SingleIndex("tanh"), overlaps, 2.0, 64, 0)
        print([name for name in ("scipy.stats", "scipy.optimize", "matplotlib") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
