"""More claims as data: the effective signal, and the state evolution against other theories."""

import matplotlib
import numpy as np
import pytest

import claims

matplotlib.use("Agg")


def z(made, name, target=0.0):
    """Distance of a measured number from its target, in standard errors."""
    return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]


COEFFICIENTS = ("kappa of neuron 1", "kappa of neuron 2", "noise variance of neuron 1")
P_VALUE = "p-value of all nine coefficients and covariances at T"


@pytest.mark.minutes
def test_effective_signal():
    """Three differences with 39 degrees of freedom, |t| > 4.5 in 2e-4; nine numbers together, below 1e-4 by chance in
    1e-4; and a link that is seen (|t| > 6) only because data are reused."""
    made = claims.effective_signal()
    assert max(abs(z(made, f"{name} at T, regression minus theory")) for name in COEFFICIENTS) < 4.5, made
    assert made.agreement[P_VALUE] > 1e-4, made
    seen = "cubic link, kappa at T, simulation"
    assert abs(z(made, seen, made.agreement["cubic link, kappa at T, theory"])) < 4.5, made
    assert abs(z(made, seen, made.agreement["cubic link, kappa at T, no reuse of data"])) > 6, made


@pytest.mark.minutes
def test_effective_signal_fails_without_memory(monkeypatch):
    """The coefficients of the population limit, with the right noise: rejected, all nine and each kappa."""
    right = claims.state_evolution

    def forgetful(*problem, **options):
        theory, limit = right(*problem, **options), right(*problem[:4], float("inf"), **options)
        theory.kernels.__dict__.update(P=limit.kernels.P, kappa=limit.kernels.kappa)
        return theory

    with monkeypatch.context() as patch:
        calls = []
        patch.setattr(
            claims, "state_evolution", lambda *a, **k: (calls.append(1), (forgetful if k else right)(*a, **k))[1]
        )
        made = claims.effective_signal()
    assert len(calls) == 3
    assert made.agreement[P_VALUE] < 1e-10, made
    assert abs(z(made, "kappa of neuron 1 at T, regression minus theory")) > 6, made


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
    right = claims.state_evolution
    monkeypatch.setattr(claims, "state_evolution", lambda *problem, **k: right(*problem[:4], np.inf, *problem[5:], **k))
    assert claims.other_theories().agreement[CHI_SQUARE] > 20
