"""The estimated generalization error as claims: its rate, early stopping and hyperparameters by it."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import claims

matplotlib.use("Agg")


def z(made, name, target=0.0):
    """Distance of a measured number from its target, in standard errors."""
    return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]


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
    right = claims.estimated_run
    monkeypatch.setattr(
        claims, "estimated_run", lambda *a, **k: replace(run := right(*a, **k), estimated_error=run.train_error)
    )
    made = claims.consistent_estimation()
    assert z(made, "bias at n = infinity") < -8, made
    assert z(made, SLOPE, -0.5) > 6, made
    with pytest.raises(AssertionError):
        check_consistent(made, 240)


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
    right = claims.estimated_run

    def by_training_error(*args, **options):
        run = right(*args, **options)
        return replace(run, estimated_error=run.train_error, best_step=int(np.argmin(run.train_error)))

    monkeypatch.setattr(claims, "estimated_run", by_training_error)
    made = claims.early_stopping()
    assert z(made, MEDIAN, 0.01) > 3, made
    assert z(made, "20 % held out: mean regret minus the estimate's") < -3, made


EXCESS = "configuration: median excess error over the best"


@pytest.mark.minutes
def test_hyperparameter_choice():
    """Excess error of 2 % or not significantly above, and far below that of the median configuration."""
    made = claims.hyperparameter_choice()
    assert z(made, f"chosen {EXCESS}", 0.02) < 3, made
    assert made.agreement[f"chosen {EXCESS}"] < 0.3 * made.agreement[f"median {EXCESS}"], made


@pytest.mark.minutes
def test_hyperparameter_choice_at_paper_size():
    made = claims.hyperparameter_choice(paper=True)
    assert made.agreement[f"chosen {EXCESS}"] < 0.02, made
    assert z(made, f"median {EXCESS}", made.agreement[f"chosen {EXCESS}"]) > 3, made


@pytest.mark.minutes
def test_hyperparameter_choice_fails_for_any_configuration(monkeypatch):
    """A table in the order of training, not of the estimate, chooses no better than at random."""
    right = claims.tune

    def unsorted(*args, **options):
        table = right(*args, **options)
        return [table[i] for i in np.random.default_rng(0).permutation(len(table))]

    monkeypatch.setattr(claims, "tune", unsorted)
    made = claims.hyperparameter_choice()
    assert made.agreement[f"chosen {EXCESS}"] > 0.02, made
    assert made.agreement[f"chosen {EXCESS}"] > 0.3 * made.agreement[f"median {EXCESS}"], made


def test_random_problems_and_their_curves():
    rng = np.random.default_rng(0)
    problems = [claims.random_problem(30, 5, rng) for _ in range(10)]
    assert len({p.network.widths for p in problems}) > 3
    curve = claims.held_out_curve(problems[0], slice(0, 6))
    assert curve.shape == (6,)
    steps = np.linspace(-1, 1, 9)
    assert claims.is_u_shaped(1 + steps**2)
    assert not claims.is_u_shaped(2 - steps) and not claims.is_u_shaped(2 + steps)
