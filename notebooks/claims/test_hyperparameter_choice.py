"""Hyperparameters by the estimate."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import curve, z

module = import_module("claims.hyperparameter_choice")


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
    right = module.tune

    def unsorted(*args, **options):
        table = right(*args, **options)
        return [table[i] for i in np.random.default_rng(0).permutation(len(table))]

    monkeypatch.setattr(module, "tune", unsorted)
    made = claims.hyperparameter_choice()
    assert made.agreement[f"chosen {EXCESS}"] > 0.02, made
    assert made.agreement[f"chosen {EXCESS}"] > 0.3 * made.agreement[f"median {EXCESS}"], made


@pytest.mark.seconds
def test_the_figure_of_hyperparameter_choice():
    made = claims.hyperparameter_choice()
    left, right = made.figure.axes
    excess = {name: curve(right, f"{name} configuration")[1] for name in ("chosen", "median", "worst")}
    for name, percent in excess.items():
        measured = made.agreement[f"{name} configuration: median excess error over the best"]
        assert np.median(percent) == pytest.approx(100 * measured)
    assert np.all(excess["chosen"] <= excess["worst"]) and np.all(np.diff(excess["median"]) >= 0)
    clouds = [line for line in left.lines if line.get_label().startswith("problem")]
    assert len(clouds) == 6 and all(len(line.get_xdata()) == 12 for line in clouds)
