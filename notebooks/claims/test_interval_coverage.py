"""Prediction intervals as a claim: coverage, and that the figure shows it."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import on_threads, z

module = import_module("claims.interval_coverage")


STEPS = ("best step", "last step")


SPREAD = "standard deviation of coverage over runs, in units of what is said: mean"


TIED = "problems with tied outputs (logistic loss, dead neurons)"


def check_coverage(made):
    """No coverage is off its level by more than 0.015 and chance, their mean not by more than 0.003 and chance; the
    residuals of the training rows cover too little."""
    for step in STEPS:
        assert z(made, f"{step}: largest |coverage - level|", 0.015) < 3, made
        mean = f"{step}: mean of coverage - level"
        assert abs(made.agreement[mean]) < 0.003 + 4 * made.agreement[f"{mean}, s.e."], made
        assert made.agreement[f"{step}: training rows at 90 %, largest coverage"] < 0.9, made
        assert made.agreement[f"{step}: training rows at 90 %, median coverage"] < 0.82, made


@pytest.mark.seconds
def test_interval_coverage():
    made = on_threads(claims.interval_coverage)
    check_coverage(made)
    assert 0.4 < made.agreement[SPREAD] < 1.3, made
    # the figure shows what was measured
    gaps, lines, spreads = made.figure.axes
    drawn = np.concatenate([each.lines[0].get_ydata() for each in gaps.containers if "tied" not in each.get_label()])
    assert len(drawn) == 2 * 5 * (made.agreement["problems"] - made.agreement[TIED])
    largest = max(made.agreement[f"{step}: largest |coverage - level|"] for step in STEPS)
    assert np.abs(drawn).max() == pytest.approx(largest)
    own = [line.get_ydata() for line in lines.lines if line.get_color() == module.GREY]
    assert min(y[2] for y in own) == pytest.approx(made.agreement["last step: training rows at 90 %, least coverage"])
    said, found = np.concatenate([line.get_xydata() for line in spreads.lines[:2]]).T
    assert np.mean(found / said) == pytest.approx(made.agreement[SPREAD])


@pytest.mark.minutes
def test_interval_coverage_at_paper_size():
    """470 coverages: none is off by more than 0.015 and chance, hardly one by more than 0.015."""
    made = claims.interval_coverage(paper=True)
    check_coverage(made)
    for step in STEPS:
        assert made.agreement[f"{step}: share of coverages within 0.015 of their level"] > 0.97, made
        assert made.agreement[f"{step}: share of coverages within 0.015 and two s.e."] == 1, made
        assert made.agreement[f"{step}: root mean square of coverage - level, free of chance"] < 0.006, made
        assert abs(made.agreement[f"{step}: mean of coverage - level"]) < 0.003, made
    # what is said of a run is no less than what runs show
    assert made.agreement[SPREAD] < 1 and made.agreement[SPREAD.replace("mean", "largest")] < 1.3, made
    assert made.agreement["tied outputs: least coverage - level"] > -0.015, made


@pytest.mark.minutes
def test_interval_coverage_notices_residuals_of_training(monkeypatch):
    """The training rows' outputs in the place of the left-out ones cover far too little."""
    right = module.estimated_run

    def not_left_out(network, training, weights, X, y, **options):
        run = right(network, training, weights, X, y, **options)
        outputs = np.array([network.predict(run.weights_at(t), X) for t in run.first_weights_at])
        return replace(run, left_out_outputs=outputs[run.best_step], left_out_kept=outputs)

    monkeypatch.setattr(module, "estimated_run", not_left_out)
    made = on_threads(claims.interval_coverage)
    with pytest.raises(AssertionError):
        check_coverage(made)
    assert z(made, "last step: mean of coverage - level") < -10, made
