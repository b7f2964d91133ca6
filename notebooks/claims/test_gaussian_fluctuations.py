"""Fluctuations in first-layer weights: variances and laws, and that they can fail."""

from importlib import import_module

import numpy as np
import pytest
from scipy import stats

import claims
from claims.testing import all_z

module = import_module("claims.gaussian_fluctuations")


@pytest.mark.minutes
def test_gaussian_fluctuations():
    """Three variances with 39 degrees of freedom, and the smallest of 9 p-values, below 1e-4 / 9 by chance in 1e-4."""
    made = claims.gaussian_fluctuations()
    assert np.abs(all_z(made, "variance over", 1.0)).max() < 4.5, made
    assert made.agreement["smallest of 9 Kolmogorov-Smirnov p-values"] > 1e-4 / 9, made


@pytest.mark.minutes
def test_gaussian_fluctuations_fail_without_memory(monkeypatch):
    """Standardised with the coefficients of the population limit, the same weights do not have variance 1."""
    right = module.state_evolution

    def forgetful(*problem, rng):
        theory, limit = right(*problem, rng=rng), right(*problem[:-1], np.inf, rng=rng)
        theory.kernels.__dict__.update(P=limit.kernels.P, kappa=limit.kernels.kappa)
        return theory

    monkeypatch.setattr(module, "state_evolution", forgetful)
    made = claims.gaussian_fluctuations()
    assert np.abs(all_z(made, "variance over", 1.0)).max() > 10, made


@pytest.mark.seconds
def test_the_figure_of_gaussian_fluctuations():
    made = claims.gaussian_fluctuations()
    drawn = [line.get_data() for ax in made.figure.axes for line in ax.lines if line.get_label().startswith("neuron")]
    assert len(drawn) == 9 and all(np.all(np.diff([x, y]) > 0) for x, y in drawn)
    assert len({tuple(y) for _, y in drawn}) == 9
    assert min(stats.kstest(y, "norm").pvalue for _, y in drawn) == pytest.approx(
        made.agreement["smallest of 9 Kolmogorov-Smirnov p-values"]
    )
