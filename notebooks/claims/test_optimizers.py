"""Updates that act entry by entry: theory against simulation."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import claims
import sedyn
from claims.testing import z

module = import_module("claims.optimizers")


WORDS = ("training error", "generalization error")


GAPS = [f"{name}: relative gap of the {word}" for name in module.OPTIMIZER_CASES for word in WORDS]


def check_optimizers(made):
    """Every mean gap is chance, up to a finite-size percent, and so are the curves step by step."""
    for name in GAPS:
        assert abs(made.agreement[name]) < 4 * made.agreement[f"{name}, s.e."] + 0.01, (name, made)
    assert made.agreement["root mean square z over all curves and steps"] < 1.8, made


@pytest.mark.seconds
def test_optimizers():
    made = claims.optimizers()
    check_optimizers(made)
    # the figure shows what was measured
    *panels, last = made.figure.axes
    assert [ax.get_title(loc="left") or ax.get_title() for ax in panels] == list(module.OPTIMIZER_CASES)
    drawn = np.concatenate([each.lines[0].get_xdata() for each in last.containers]) / 100
    assert sorted(drawn) == pytest.approx(sorted(made.agreement[name] for name in GAPS))
    for ax in panels:
        lines = [line for line in ax.lines if line.get_label().endswith("theory")]
        assert len(lines) == 2 and all(line.get_ydata()[0] > line.get_ydata()[-1] for line in lines)


@pytest.mark.minutes
def test_optimizers_notice_another_epsilon(monkeypatch):
    """Runs by an Adam that is not the one of the theory."""
    right = module.simulate

    def other(network, training, *args, **options):
        if isinstance(training.optimizer[0], sedyn.Adam):
            training = replace(training, optimizer=(sedyn.Adam(0.9, 0.99, 0.2), *training.optimizer[1:]))
        return right(network, training, *args, **options)

    monkeypatch.setattr(module, "simulate", other)
    made = claims.optimizers()
    assert z(made, "Adam: relative gap of the training error") > 8, made
    with pytest.raises(AssertionError):
        check_optimizers(made)


@pytest.mark.minutes
def test_optimizers_at_paper_size():
    made = claims.optimizers(paper=True)
    check_optimizers(made)
    for name in GAPS:
        assert abs(made.agreement[name]) < 0.015, (name, made)
        assert abs(z(made, name)) < 3.5, (name, made)
