"""The two claims that are sweeps, as data: the phase diagram of stopping, and how fast universality sets in."""

from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest

import claims
import sedyn

matplotlib.use("Agg")

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
    right = claims.state_evolution
    monkeypatch.setattr(claims, "state_evolution", lambda *p, **k: right(*p[:4], np.inf, *p[5:], **k))
    with ThreadPoolExecutor(2) as executor:  # which sees the change
        assert claims.stopping_phase_diagram(executor=executor).agreement[CHI_SQUARE] > 20


@pytest.mark.minutes
def test_universality_gap(tmp_path):
    """The exponent is -1 and not 0; the gap grows with the kurtosis, and leaves a line for no law."""
    made = claims.universality_gap(store=tmp_path)

    def z(name, target=0.0):
        return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]

    exponent = "exponent of n in the gap"
    assert abs(z(exponent, -1)) < 3.5 and z(exponent) < -3, made
    assert z("n times the gap, per unit of excess kurtosis") > 5, made
    # chi-square of 11 degrees of freedom per degree is below 2.8 with probability 0.999
    assert made.agreement["chi-square per degree of freedom of the fit"] < 2.8, made
    assert made.n_runs == 3000 == len(sedyn.load(tmp_path)["seed"])
