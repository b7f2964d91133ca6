"""A generalization gap beyond uniform convergence."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import all_z

module = import_module("claims.generalization_gap")


@pytest.mark.seconds
def test_generalization_gap():
    """Both errors at m = n, where they differ by a factor: 12 runs each, |t| > 5.5 in 4 has probability below 0.001."""
    made = claims.generalization_gap()
    assert np.abs(all_z(made, "relative gap")).max() < 5.5, made
    ratios = [value for name, value in made.agreement.items() if "generalization over training error" in name]
    assert len(ratios) == 2 and min(ratios) > 20, made
    noise = made.figure.axes[1]
    fitted = noise.lines[0].get_ydata()[0]
    assert fitted < 0.1  # labels of variance 1 that are pure noise are fitted
