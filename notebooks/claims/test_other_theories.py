"""The state evolution against other theories."""

from importlib import import_module

import numpy as np
import pytest

import claims
from claims.testing import labelled

module = import_module("claims.other_theories")


WIDTHS = (2, 4, 8, 32)


RIVALS = ("linearized at its start (NTK)", "population limit, no reuse", "infinitely wide")


CHI_SQUARE = "chi-square per comparison of the state evolution"


def lead(made, larger, smaller):
    """By how many standard errors one miss is larger than another."""
    values, errors = zip(
        *((made.agreement[name], made.agreement[f"{name}, s.e."]) for name in (larger, smaller)), strict=True
    )
    return (values[0] - values[1]) / np.hypot(*errors)


@pytest.mark.minutes
def test_other_theories():
    """At widths 2 and 4 every rival misses by more than the state evolution, at any width the population limit does;
    the linearized network comes right under its own scaling only, the infinitely wide one nears the finite one under
    the mean-field scaling. The state evolution misses by the noise of the runs: chi-square of 36 (half of them tied to
    the other half) per comparison below 2.2 has probability 0.999."""
    made = claims.other_theories()
    assert made.agreement["number of comparisons"] == 36
    assert made.agreement[CHI_SQUARE] < 2.2, made
    ntk, mean_field = "NTK scaling, width", "mean-field scaling, width"
    for scaling in (ntk, mean_field):
        for width in WIDTHS:
            for rival in RIVALS if width <= 4 else RIVALS[1:2]:
                assert lead(made, f"{scaling} {width}, {rival}", f"{scaling} {width}, state evolution") > 3, made
    linearized, limit, wide = RIVALS
    assert lead(made, f"{ntk} 2, {linearized}", f"{ntk} 32, {linearized}") > 4, made
    assert lead(made, f"{mean_field} 32, {linearized}", f"{ntk} 32, {linearized}") > 4, made
    assert lead(made, f"{mean_field} 2, {wide}", f"{mean_field} 32, {wide}") > 4, made
    for ax in made.figure.axes:
        assert [round(x) for x in ax.lines[0].get_xdata()] == list(WIDTHS)


@pytest.mark.minutes
def test_other_theories_notices_a_wrong_state_evolution(monkeypatch):
    """With no reuse of data in the state evolution its chi-square is far above that of chance."""
    right = module.state_evolution
    monkeypatch.setattr(module, "state_evolution", lambda *problem, **k: right(*problem[:4], np.inf, *problem[5:], **k))
    assert claims.other_theories().agreement[CHI_SQUARE] > 20


def test_the_figure_of_other_theories(monkeypatch):
    """Made-up misses: each theory its own at every width and start, the state evolution two standard errors."""
    size = {"linearized": 0.4, "population": -0.3, "wide": 0.1, "state evolution": 0.02}

    def misses(problem, scaled_wide, n, n_starts, n_runs, rng, accuracy):
        return {name: np.full((n_starts, 2), value) for name, value in size.items()}, np.full(2, 0.01)

    monkeypatch.setattr(module, "theory_misses", misses)
    made = claims.other_theories()
    assert made.agreement["chi-square per comparison of the state evolution"] == pytest.approx(4)
    for name, (title, _) in claims.THEORIES.items():
        for scaling in ("NTK scaling", "mean-field scaling"):
            for width in (2, 4, 8, 32):
                assert made.agreement[f"{scaling}, width {width}, {title}"] == pytest.approx(abs(size[name]))
        for ax in made.figure.axes:
            x, y, _ = labelled(ax, title)
            np.testing.assert_allclose([x, y], [(2, 4, 8, 32), [abs(size[name])] * 4], rtol=1e-12)
