"""The error under any optimizer from the training rows."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import on_threads

module = import_module("claims.optimizer_estimates")


def check_estimates(made):
    """No bias beyond chance and 3 %; standard errors that cover; training errors far off."""
    for rule in module.ESTIMATED_RULES:
        name = f"{rule}: estimate over truth - 1, mean over m/n"
        assert abs(made.agreement[name]) < 3.5 * made.agreement[f"{name}, s.e."] + 0.03, made
        assert made.agreement[f"{rule}: training error over truth - 1, mean over m/n"] < -0.25, made
    (inside,) = (value for name, value in made.agreement.items() if name.startswith("share below"))
    assert inside > 0.88, made


@pytest.mark.seconds
def test_optimizer_estimates():
    made = on_threads(claims.optimizer_estimates)
    check_estimates(made)
    points, biases, scores = made.figure.axes
    for rule, bias in zip(module.ESTIMATED_RULES, biases.containers, strict=True):
        (line,) = (line for line in points.lines if line.get_label() == rule)
        true, found = line.get_data()
        assert np.mean(found / true - 1) == pytest.approx(
            made.agreement[f"{rule}: estimate over truth - 1, mean over m/n"]
        )
        assert np.mean(bias.lines[0].get_ydata()) / 100 == pytest.approx(np.mean(found / true - 1))
        (line,) = (line for line in scores.lines if line.get_label() == rule)
        size = np.sqrt(np.mean(line.get_ydata() ** 2))
        (said,) = (value for name, value in made.agreement.items() if name.startswith(f"{rule}: root mean square z"))
        assert size == pytest.approx(said)


@pytest.mark.minutes
def test_optimizer_estimates_notice_the_training_error(monkeypatch):
    """The training error in the place of the estimate, which forgets the memory."""
    right = module.estimated_run

    def trained(*args, **options):
        run = right(*args, **options)
        return replace(run, estimated_error=run.train_error)

    monkeypatch.setattr(module, "estimated_run", trained)
    with pytest.raises(AssertionError):
        check_estimates(on_threads(claims.optimizer_estimates))


@pytest.mark.minutes
def test_optimizer_estimates_at_paper_size():
    made = claims.optimizer_estimates(paper=True)
    check_estimates(made)
    for rule in module.ESTIMATED_RULES:
        name = f"{rule}: share of |estimate - truth| below 1.96 standard errors, t = 40"
        assert abs(made.agreement[name] - 0.95) < 0.03 + 3 * made.agreement[f"{name}, s.e."], made
        assert 0.7 < made.agreement[f"{rule}: root mean square z, t = 40"] < 1.25, made
