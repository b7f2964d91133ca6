"""Individual initialization: each start has its own prediction."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import curve, labelled, z

module = import_module("claims.individual_initialization")


@pytest.mark.minutes
def test_individual_initialization():
    """Slope 1 over starts and, for each, its own prediction and no other: chi-square over 8 starts below 26.1 has
    probability 0.999."""
    made = claims.individual_initialization()
    name = "slope of simulation against theory over starts"
    assert abs(z(made, name, 1)) < 4 and z(made, name, 0) > 8, made
    assert made.agreement["chi-square per start, own prediction"] < 26.1 / 8, made
    assert made.agreement["median |z| with the prediction for another start"] > 5, made


@pytest.mark.seconds
def test_the_figure_of_individual_initialization():
    made = claims.individual_initialization()
    predicted, simulated, error = labelled(made.figure.axes[0], "one start, mean of its runs")
    name, own = "slope of simulation against theory over starts", "chi-square per start, own prediction"
    assert claims.slope(predicted, simulated, error)[:2] == pytest.approx(
        (made.agreement[name], made.agreement[f"{name}, s.e."])
    )
    assert np.mean(((simulated - predicted) / error) ** 2) == pytest.approx(made.agreement[own])
    ax = made.figure.axes[1]
    lazy, theory = (curve(ax, label)[1] for label in ("lazy training: linearized at the start", "theory"))
    shown = np.array(made.data["starts"]["lazy"]) / np.array(made.data["starts"]["runs"])
    np.testing.assert_allclose(lazy, np.minimum(shown, 1e3))
    assert np.median(np.abs(lazy - 1)) > 5 * np.median(np.abs(theory - 1)), made
