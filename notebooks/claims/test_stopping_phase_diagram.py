"""The phase diagram of stopping."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest

import claims
import sedyn

module = import_module("claims.stopping_phase_diagram")


CHI_SQUARE = "chi-square per point of the error at the predicted time"


@pytest.mark.minutes
def test_stopping_phase_diagram(tmp_path):
    """Six |t| with 7 degrees of freedom: chi-square per point below 6 with probability 0.995 even with the bias of
    n = 150. Stopping when the theory says costs nearly nothing, not stopping does. The map is the theory's own, its
    circles are the runs."""
    made = claims.stopping_phase_diagram(store=tmp_path)
    assert made.n_runs == 48 and made.agreement[CHI_SQUARE] < 6, made
    assert made.agreement["largest cost of stopping at the predicted time"] < 0.05, made
    assert made.agreement["largest cost of not stopping"] > 0.2, made
    times, errors, z = made.figure.axes[:3]
    step = times.collections[0].get_array().reshape(4, 5)  # noise, aspect ratio
    assert np.all(np.diff(step, axis=0) <= 0) and np.all(np.diff(step, axis=1) >= 0)
    error = errors.collections[0].get_array().reshape(4, 5)
    assert np.all(np.diff(error, axis=0) > 0) and np.all(np.diff(error, axis=1) < 0)
    theory = sedyn.load(tmp_path / "theory")
    assert sorted(theory["best_error"]) == sorted(error.ravel())
    assert sum(len(line.get_ydata()) == 3 for line in z.lines) == 2


@pytest.mark.minutes
def test_stopping_phase_diagram_notices_a_wrong_theory(monkeypatch, tmp_path):
    """Without reuse of data the predicted errors are far off."""
    right = module.state_evolution
    monkeypatch.setattr(module, "state_evolution", lambda *p, **k: right(*p[:4], np.inf, *p[5:], **k))
    with ThreadPoolExecutor(2) as executor:  # which sees the change
        assert claims.stopping_phase_diagram(executor=executor).agreement[CHI_SQUARE] > 20


def made_up_theory(aspect_ratio, noise, n_steps, n_paths, rng):
    error = noise**2 + aspect_ratio**-1 * (1 + (np.arange(n_steps + 1) / 12 - aspect_ratio**0.5) ** 2)
    best = int(np.argmin(error))
    return {"best_step": best, "best_error": error[best], "curve": error, "stderr": 0.01 * error}


def made_up_run(aspect_ratio, noise, n_steps, n, rng):
    line = made_up_theory(aspect_ratio, noise, n_steps, 1, rng)["curve"]
    return {"curve": line * (1 + 0.02 * rng.standard_normal())}


def test_the_figure_of_stopping_phase_diagram(monkeypatch):
    """The maps are the theory's own, their circles those of the runs."""
    monkeypatch.setattr(module, "phase_theory", made_up_theory)
    monkeypatch.setattr(module, "phase_run", made_up_run)
    with ThreadPoolExecutor(1) as executor:  # which sees the change
        made = claims.stopping_phase_diagram(executor=executor)
    assert made.n_runs == 48
    # six |t|, mostly of the theory's error
    assert made.agreement["chi-square per point of the error at the predicted time"] < 6, made
    assert made.agreement["largest cost of stopping at the predicted time"] < 1e-9
    times, errors, scores = made.figure.axes[:3]
    ratios, noises = np.geomspace(0.5, 8, 5), np.linspace(0.1, 1.5, 4)
    for ax, key in ((times, "best_step"), (errors, "best_error")):
        drawn = ax.collections[0].get_array().reshape(4, 5)  # noise, aspect ratio
        np.testing.assert_allclose(
            drawn, [[max(made_up_theory(phi, noise, 24, 1, 0)[key], 1e-9) for phi in ratios] for noise in noises]
        )
        circles = ax.collections[1].get_array().reshape(3, 2)  # aspect ratio, noise
        np.testing.assert_allclose(circles, drawn[np.ix_([0, 3], [0, 2, 4])].T, rtol=0.03)
    drawn = [line.get_ydata() for line in scores.lines if line.get_label().startswith("noise")]
    assert np.mean(np.square(drawn)) == pytest.approx(
        made.agreement["chi-square per point of the error at the predicted time"]
    )
