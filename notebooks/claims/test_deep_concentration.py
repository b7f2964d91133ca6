"""Deterministic concentration of deeper weights: the slope -1/2 and the theory's path."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import labelled, z

module = import_module("claims.deep_concentration")


@pytest.mark.minutes
def test_deep_concentration():
    """Slope -1/2; standard deviations that do not fall, or fall like 1/n, are more than 5 standard errors away."""
    made = claims.deep_concentration()
    name = "slope of log sd against log n"
    assert abs(z(made, name, -0.5)) < 4, made
    assert abs(z(made, name, 0)) > 5 and abs(z(made, name, -1)) > 5, made
    # the largest of 8 |t| with 59 degrees of freedom is below 4.5 with probability 0.9997
    assert made.agreement["largest |z| of the 8 mean deep weights, n = 400"] < 4.5, made


@pytest.mark.seconds
def test_the_figure_of_deep_concentration():
    made = claims.deep_concentration()
    n, spread, error = labelled(made.figure.axes[1], "runs")
    b, b_error, *_ = claims.slope(np.log(n), np.log(spread), error / spread)
    name = "slope of log sd against log n"
    assert (b, b_error) == pytest.approx((made.agreement[name], made.agreement[f"{name}, s.e."]))
