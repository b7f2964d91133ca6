"""How fast universality sets in."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import claims
import sedyn
from claims.testing import labelled, points

module = import_module("claims.universality_gap")


@pytest.mark.minutes
def test_universality_gap(tmp_path):
    """The exponent is -1 and not 0; the gap grows with the kurtosis, and leaves a line for no law."""
    made = claims.universality_gap(store=tmp_path)

    def z(name, target=0.0):
        return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]

    exponent = "exponent of n in the gap"
    assert abs(z(exponent, -1)) < 3.5 and z(exponent) < -3, made
    assert z("n times the gap, per unit of excess kurtosis") > 5, made
    # chi-square of 12 degrees of freedom per degree is below 2.75 with probability 0.999
    assert made.agreement["chi-square per degree of freedom of the lines in 1/n"] < 2.75, made
    assert made.n_runs == 3000 == len(sedyn.load(tmp_path)["seed"])


def made_up_gap(n, features, n_steps, rng):
    """Training error one half, by a gap above it that falls like 1 / n and grows with the kurtosis."""
    name = next(name for name, value in claims.UNIVERSAL.items() if value == features)
    return {"train_error": 0.5 * (1 + (2 + claims.EXCESS_KURTOSIS[name]) / n + 0.01 * rng.standard_normal())}


@pytest.mark.seconds
def test_the_figure_of_universality_gap(monkeypatch):
    theory = SimpleNamespace(train_error=np.full(11, 0.5), stderr=SimpleNamespace(train_error=np.full(11, 1e-6)))
    monkeypatch.setattr(module, "state_evolution", lambda *_, **__: theory)
    monkeypatch.setattr(module, "universality_run", made_up_gap)
    with ThreadPoolExecutor(1) as executor:  # which sees the change
        made = claims.universality_gap(executor=executor)
    assert made.n_runs == 3000

    def measured(name):
        return made.agreement[name], made.agreement[f"{name}, s.e."]

    for name, truth in (("exponent of n in the gap", -1), ("n times the gap, per unit of excess kurtosis", 1)):
        value, error = measured(name)
        assert abs(value - truth) < 4 * error < 0.5
    left, right = made.figure.axes
    drawn = [points(container) for container in right.containers]
    kurtosis, level, error = (np.concatenate(part) for part in zip(*drawn, strict=True))
    np.testing.assert_allclose(kurtosis, list(claims.EXCESS_KURTOSIS.values()))
    assert claims.slope(kurtosis, level, error)[:2] == pytest.approx(
        measured("n times the gap, per unit of excess kurtosis")
    )
    assert (level[0], error[0]) == pytest.approx(measured("n times the gap, Gaussian features"))
    for name, level in zip(claims.UNIVERSAL, made.data["sizes"]["n_times_gap"], strict=True):
        x, y, error = labelled(left, name)  # in percent, moved a little
        shift = x[0] * 40
        assert y[-1] / error[-1] == pytest.approx(
            made.agreement[f"{name}: |z| of the gap, n = 160"] * np.sign(y[-1]), rel=0.01
        )
        weight = (x / shift / error) ** 2
        assert np.sum(y * shift / x * weight) / weight.sum() == pytest.approx(100 * level)
