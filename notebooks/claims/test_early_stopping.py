"""Early stopping by the estimate."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import curve, z

module = import_module("claims.early_stopping")


MEDIAN = "estimated: median regret"


@pytest.mark.minutes
def test_early_stopping():
    """Median regret of 1 % or not significantly above, far below that of the last step; the hold-out is not better."""
    made = claims.early_stopping()
    assert z(made, MEDIAN, 0.01) < 3, made
    assert made.agreement[MEDIAN] < 0.2 * made.agreement["last step: median regret"], made
    assert z(made, "20 % held out: mean regret minus the estimate's") > -3, made


@pytest.mark.minutes
def test_early_stopping_at_paper_size():
    made = claims.early_stopping(paper=True)
    assert made.agreement[MEDIAN] < 0.01, made
    assert made.agreement[MEDIAN] < made.agreement["20 % held out: median regret"], made
    assert z(made, "20 % held out: mean regret minus the estimate's") > 0, made


@pytest.mark.minutes
def test_early_stopping_fails_by_the_training_error(monkeypatch):
    """Stopping where the training error is least means not to stop."""
    right = module.estimated_run

    def by_training_error(*args, **options):
        run = right(*args, **options)
        return replace(run, estimated_error=run.train_error, best_step=int(np.argmin(run.train_error)))

    monkeypatch.setattr(module, "estimated_run", by_training_error)
    made = claims.early_stopping()
    assert z(made, MEDIAN, 0.01) > 3, made
    assert z(made, "20 % held out: mean regret minus the estimate's") < -3, made


@pytest.mark.seconds
def test_the_figure_of_early_stopping():
    made = claims.early_stopping()
    left, right = made.figure.axes
    for rule in ("estimated", "5-fold cross-validation", "20 % held out", "last step"):
        regret = np.median(curve(left, rule)[0])
        assert regret == pytest.approx(max(made.agreement[f"{rule}: median regret"], 1e-4), rel=1e-6)
    assert len(curve(right, "true generalization error")[1]) == 31


def test_random_problems_and_their_curves():
    rng = np.random.default_rng(0)
    problems = [claims.random_problem(30, 5, rng) for _ in range(10)]
    assert len({p.network.widths for p in problems}) > 3
    curve = module.held_out_curve(problems[0], slice(0, 6))
    assert curve.shape == (6,)
    steps = np.linspace(-1, 1, 9)
    assert module.is_u_shaped(1 + steps**2)
    assert not module.is_u_shaped(2 - steps) and not module.is_u_shaped(2 + steps)
