"""Consistent estimation: its rate, its bias, and that both can fail."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import labelled, points, z

module = import_module("claims.consistent_estimation")


SLOPE = "slope of log |gap| against log n"


def check_consistent(made, largest_n):
    """Slope -1/2 within 4 standard errors and neither 0 nor -1; no bias; slopes of the 12 settings agree (chi-square
    with 12 degrees of freedom is below 40 with probability 0.9999; errors from few runs need the room)."""
    assert abs(z(made, SLOPE, -0.5)) < 4, made
    assert z(made, SLOPE, 0) < -4 and z(made, SLOPE, -1) > 4, made
    assert made.agreement["chi-square per setting of the 12 slopes, against -1/2"] < 40 / 12, made
    assert abs(z(made, f"bias, n = {largest_n}")) < 4.5, made
    assert abs(z(made, "bias at n = infinity")) < 4.5, made


@pytest.mark.minutes
def test_consistent_estimation():
    check_consistent(claims.consistent_estimation(), 240)


@pytest.mark.minutes
def test_consistent_estimation_at_paper_size():
    made = claims.consistent_estimation(paper=True)
    check_consistent(made, 2000)
    assert abs(made.agreement["bias at n = infinity"]) < 0.01, made


@pytest.mark.minutes
def test_consistent_estimation_fails_without_memory(monkeypatch):
    """The training error in place of the estimate: biased by many standard errors, and no slope."""
    right = module.estimated_run
    monkeypatch.setattr(
        module, "estimated_run", lambda *a, **k: replace(run := right(*a, **k), estimated_error=run.train_error)
    )
    made = claims.consistent_estimation()
    assert z(made, "bias at n = infinity") < -8, made
    assert z(made, SLOPE, -0.5) > 6, made
    with pytest.raises(AssertionError):
        check_consistent(made, 240)


def test_the_figure_of_consistent_estimation(monkeypatch):
    """Made-up relative errors of standard deviation 3 / sqrt(n), around a bias of 0.5 / n."""

    def gaps(n, phi, n_layers, features, n_runs, T, rng):
        scatter = 3 * (1 + 0.1 * rng.standard_normal((n_runs, T + 1))) * rng.choice([-1, 1], (n_runs, T + 1))
        return 0.5 / n + scatter / np.sqrt(n)

    monkeypatch.setattr(module, "estimation_gaps", gaps)
    made = claims.consistent_estimation()
    assert made.agreement["slope of log |gap| against log n"] == pytest.approx(-0.5, abs=0.05)
    *depths, bias = made.figure.axes
    drawn = [points(container) for ax in depths for container in ax.containers]
    assert len(drawn) == 12
    fits = [claims.slope(np.log(n), np.log(gap), error / gap)[:2] for n, gap, error in drawn]
    common = claims.weighted_mean(*np.transpose(fits))
    name = "slope of log |gap| against log n"
    assert common == pytest.approx((made.agreement[name], made.agreement[f"{name}, s.e."]))
    x, y, error = labelled(bias, "mean of all settings")
    assert claims.slope(x, y, error)[2] == pytest.approx(made.agreement["bias at n = infinity"])
    assert (y[-1], error[-1]) == pytest.approx([made.agreement[f"bias, n = 240{end}"] for end in ("", ", s.e.")])
