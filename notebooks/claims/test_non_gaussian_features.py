"""Validity for non-Gaussian features: gaps at n = infinity, inside and outside."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import claims
import sedyn
from claims.testing import points, z

module = import_module("claims.non_gaussian_features")


@pytest.mark.minutes
def test_non_gaussian_features():
    """The gap extrapolates to 0 for independent entries with enough moments, and does not for a signal on one feature
    or dependent entries."""
    made = claims.non_gaussian_features()
    limits = {name: z(made, f"{name}: relative gap at n = infinity", 0) for name in claims.UNIVERSAL}
    assert max(map(abs, limits.values())) < 4, made
    for name in ("Rademacher, signal on one feature", "rows of random length"):
        assert abs(z(made, f"{name}: relative gap at n = infinity", 0)) > 3, made


def test_the_figure_of_non_gaussian_features(monkeypatch):
    """Made-up errors at the line times 1 + limit + 3 / n, of known scatter."""
    limits = dict.fromkeys(map(str, claims.UNIVERSAL.values()), 0.0) | {"rademacher": 0.0, "('student_t', 3)": 0.1}

    def evolve(*_, **__):
        errors = np.array([1.0, 0.5])
        return SimpleNamespace(generalization_error=errors, stderr=SimpleNamespace(generalization_error=0 * errors))

    def error(network, teacher, weights, signal, features, rng):
        limit = -0.2 if np.count_nonzero(signal) == 1 else limits.get(str(features), 0.3)
        return 0.5 * (1 + limit + 3 / len(signal) + 0.001 * rng.standard_normal())

    monkeypatch.setattr(module, "state_evolution", evolve)
    monkeypatch.setattr(module.SingleIndex, "sample", lambda *_, **__: (None, None))
    monkeypatch.setattr(module, "gradient_descent", lambda *_: SimpleNamespace(final=None))
    monkeypatch.setattr(module, "fresh_error", error)
    monkeypatch.setattr(module, "on_one_feature", lambda weights, signal: (weights, np.eye(1, len(signal))[0]))
    made = claims.non_gaussian_features()
    found = {key.split(":")[0]: value for key, value in made.agreement.items() if not key.endswith("s.e.")}
    others = {"Student t, 3 d.f.": 0.1, "Rademacher, signal on one feature": -0.2, "rows of random length": 0.3}
    assert found == pytest.approx(dict.fromkeys(claims.UNIVERSAL, 0.0) | others, abs=0.002)
    assert [len(ax.containers) for ax in made.figure.axes] == [6, 3]
    for ax in made.figure.axes:
        for container in ax.containers:
            x, y, se = points(container)
            shift = x[0] * 50  # 1 / n was moved, so that bars do not hide each other
            assert claims.slope(x / shift, y, se)[2] == pytest.approx(found[container.get_label()], abs=1e-9)


def test_a_start_turned_onto_one_feature_keeps_its_overlaps():
    overlaps = claims.three_layers(1)[3]
    weights, signal = claims.on_one_feature(*overlaps.realize(40, rng=0))
    measured = sedyn.Overlaps.of(weights, signal)
    np.testing.assert_allclose(measured.gram, overlaps.gram, atol=1e-12)
    np.testing.assert_allclose(measured.cross, overlaps.cross, atol=1e-12)
    assert np.count_nonzero(np.abs(signal) > 1e-12) == 1
