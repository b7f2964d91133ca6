"""Finite width: both errors at every step."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import all_z

module = import_module("claims.finite_width_agreement")


@pytest.mark.seconds
def test_finite_width_agreement():
    """Six gaps with 11 degrees of freedom each: |t| > 5.5 has probability 0.001 for the worst of them. Without memory
    the same runs are far off, so the test can fail."""
    made = claims.finite_width_agreement()
    assert np.abs(all_z(made, "relative gap")).max() < 5.5, made
    for i, ax in enumerate(made.figure.axes):
        train, general = (line.get_ydata() for line in ax.lines if line.get_label().endswith(", theory"))
        name = [key for key in made.agreement if "training" in key and key.endswith(", s.e.")][i]
        assert (general / train - 1)[2:].mean() > 20 * made.agreement[name]  # what reading it without memory would say
