"""The effective signal: coefficients, and a link seen only by reuse of data."""

from importlib import import_module

import pytest

import claims
from claims.testing import curve, labelled, points, z

module = import_module("claims.effective_signal")


COEFFICIENTS = ("kappa of neuron 1", "kappa of neuron 2", "noise variance of neuron 1")


P_VALUE = "all 9 coefficients and covariances at T"


@pytest.mark.minutes
def test_effective_signal():
    """Three differences with 39 degrees of freedom, |t| > 4.5 in 2e-4; nine numbers together, below 1e-4 by chance in
    1e-4; and a link that is seen (|t| > 6) only because data are reused."""
    made = claims.effective_signal()
    assert max(abs(z(made, f"{name} at T, regression minus theory")) for name in COEFFICIENTS) < 4.5, made
    assert made.p_values[P_VALUE] > 1e-4, made
    seen = "cubic link, kappa at T, simulation"
    assert abs(z(made, seen, made.agreement["cubic link, kappa at T, theory"])) < 4.5, made
    assert abs(z(made, seen, made.agreement["cubic link, kappa at T, no reuse of data"])) > 6, made


@pytest.mark.minutes
def test_effective_signal_fails_without_memory(monkeypatch):
    """The coefficients of the population limit, with the right noise: rejected, all nine and each kappa."""
    right = module.state_evolution

    def forgetful(*problem, **options):
        theory, limit = right(*problem, **options), right(*problem[:4], float("inf"), **options)
        theory.kernels.__dict__.update(P=limit.kernels.P, kappa=limit.kernels.kappa)
        return theory

    with monkeypatch.context() as patch:
        calls = []
        patch.setattr(
            module, "state_evolution", lambda *a, **k: (calls.append(1), (forgetful if k else right)(*a, **k))[1]
        )
        made = claims.effective_signal()
    assert len(calls) == 3
    assert made.p_values[P_VALUE] < 1e-10, made
    assert abs(z(made, "kappa of neuron 1 at T, regression minus theory")) > 6, made


@pytest.mark.seconds
def test_the_figure_of_effective_signal():
    made = claims.effective_signal()
    kappas, blind = made.figure.axes[1], made.figure.axes[3]
    for k, container in enumerate(kappas.containers):
        name = f"kappa of neuron {k + 1} at T"
        theory, (_, fitted, _) = curve(kappas, f"neuron {k + 1}")[1, -1], points(container)
        assert theory == pytest.approx(made.agreement[f"{name}, theory"])
        assert fitted[-1] - theory == pytest.approx(made.agreement[f"{name}, regression minus theory"])
    name = "cubic link, kappa at T"
    for label in ("theory", "no reuse of data"):
        assert curve(blind, label)[1, -1] == pytest.approx(made.agreement[f"{name}, {label}"])
    _, kappa, error = labelled(blind, "simulation")
    drawn = made.agreement[f"{name}, simulation"], made.agreement[f"{name}, simulation, s.e."]
    assert (kappa[-1], error[-1]) == pytest.approx(drawn)
