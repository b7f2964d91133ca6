"""Problems and simulations shared by the tests."""

from __future__ import annotations

import os
import shutil
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import sedyn

# Theory 7: reference problems, every value a mean of 12 runs at N = 32,768; t = 0, T//8, 2 (T//8), ..
REFERENCE = {
    "A": dict(
        widths=(3, 1),
        activations=("tanh", "identity"),
        deep=([[1.0], [-0.8], [0.6]],),
        link=lambda z: z + 0.5 * np.sin(2 * z),
        noise=0.3,
        aspect_ratio=1.5,
        step_size=0.2,
        n_steps=40,
        train=[2.2742, 0.4697, 0.2270, 0.1431, 0.1033, 0.0803, 0.0652, 0.0546, 0.0467],
        train_se=0.0004,
        general=[2.2742, 1.0932, 0.8513, 0.7402, 0.6779, 0.6395, 0.6146, 0.5978, 0.5864],
        general_se=0.0005,
        deep_end=[1.074, -0.861, 0.671],
        deep_se=0.0005,
    ),
    "B": dict(
        widths=(3, 3, 1),
        activations=("tanh", "tanh", "identity"),
        deep=([[0.9, -0.4, 0.3], [0.2, 0.8, -0.5], [-0.6, 0.1, 0.7]], [[1.0], [0.7], [-0.9]]),
        link=lambda z: np.tanh(2 * z),
        noise=0.2,
        aspect_ratio=2.0,
        step_size=0.3,
        n_steps=60,
        train=[1.4118, 0.2301, 0.1211, 0.0816, 0.0616, 0.0497, 0.0418, 0.0362, 0.0320],
        train_se=0.0003,
        general=[1.4117, 0.4983, 0.3848, 0.3304, 0.2997, 0.2808, 0.2685, 0.2600, 0.2541],
        general_se=0.0003,
        deep_end=[0.910, -0.446, 0.253, 0.215, 0.708, -0.433, -0.560, 0.215, 0.682, 0.917, 0.623, -0.785],
        deep_se=0.0007,
    ),
    "C": dict(
        widths=(4, 3, 1),
        activations=("tanh", "tanh", "identity"),
        deep=(
            [[0.8, -0.3, 0.4], [0.1, 0.9, -0.2], [-0.5, 0.2, 0.6], [0.3, -0.7, 0.5]],
            [[1.2], [-0.8], [1.0]],
        ),
        link="relu",
        noise=0.5,
        aspect_ratio=0.8,
        step_size=0.1,
        n_steps=80,
        train=[1.9948, 0.2665, 0.1387, 0.0872, 0.0602, 0.0444, 0.0344, 0.0278, 0.0231],
        train_se=0.0004,
        general=[1.9948, 1.1951, 1.2194, 1.2751, 1.3285, 1.3747, 1.4138, 1.4471, 1.4755],
        general_se=0.0004,
        deep_end=[0.790, -0.272, 0.377, 0.083, 0.927, -0.234, -0.520, 0.197, 0.624]
        + [0.292, -0.691, 0.505, 1.184, -0.834, 1.017],
        deep_se=0.0005,
    ),
}


def reference_problem(name):
    """(network, training, teacher, overlaps, aspect_ratio) of a problem of theory 7."""
    p = REFERENCE[name]
    q = p["widths"][0]
    return (
        sedyn.Network(p["widths"], p["activations"]),
        sedyn.Training(p["step_size"], p["n_steps"]),
        sedyn.SingleIndex(p["link"], p["noise"]),
        sedyn.Overlaps(np.eye(q), np.zeros(q), 1.0, p["deep"]),
        p["aspect_ratio"],
    )


def general_problem(n_steps=12):
    """Nothing special about it: three layers, q = 3, correlated neurons that already see the signal, non-symmetric
    deep weights, one step size per layer."""
    return (
        sedyn.Network((3, 2, 1), ("tanh", "gelu", "identity")),
        sedyn.Training((0.3, 0.2, 0.25), n_steps),
        sedyn.SingleIndex(lambda z: np.tanh(2 * z) + 0.3 * z**2, 0.3),
        sedyn.Overlaps(
            [[1.0, 0.4, -0.2], [0.4, 0.8, 0.1], [-0.2, 0.1, 1.2]],
            [0.3, -0.2, 0.5],
            1.2,
            ([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]], [[1.0], [-0.7]]),
        ),
        1.25,
    )


def rms(z):
    return float(np.sqrt(np.mean(np.square(z))))


@pytest.fixture(autouse=True, scope="session")
def one_core_for_each_process():
    """Test processes that share the cores take one BLAS thread each, in numpy code of the tests, too.

    A thread that is then gone sets it: threadpoolctl heeds only the first that does, as long as it lives."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        setter = threading.Thread(target=threadpool_limits, args=(1, "blas"))
        setter.start()
        setter.join()


@pytest.fixture
def rng():
    return np.random.default_rng(2718)


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure open; matplotlib is not imported for tests that draw none."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


# of headless Chromium
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync"""


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'sedyn[test]'")
    with sync_api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome", playwright.chromium.executable_path)
        path = next(filter(None, map(shutil.which, names)), None)
        if path is None:
            pytest.skip("needs Chromium: install your system's, or run: python -m playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()
