"""What the rows know beyond their overlaps."""

from importlib import import_module

import numpy as np
import pytest

import claims

module = import_module("claims.sparse_signals")


def errors_at(made, rule, share, who="theory"):
    return made.agreement[f"{rule}, share {share:g}: generalization error, {who}"]


def check_sparse_signals(made, shares=(0.01, 0.05, 1.0)):
    assert made.agreement["root mean square z"] < 1.7, made
    for rule in module.SPARSE_RULES:
        blind = made.agreement[f"{rule}: generalization error, Gaussian rows"]
        sparsest, sparse, dense = (errors_at(made, rule, share) / blind for share in shares)
        assert abs(dense - 1) < 0.04, (rule, made)
        if rule == "gradient descent":
            assert abs(sparse - 1) < 0.04 and abs(sparsest - 1) < 0.04, made
        elif rule == "soft thresholding":
            assert sparsest < sparse < 0.85, made
        else:
            assert sparsest > sparse > 1.15, made


@pytest.mark.seconds
def test_sparse_signals():
    made = claims.sparse_signals()
    check_sparse_signals(made)
    errors, trained, scores = made.figure.axes
    for rule in module.SPARSE_RULES:
        (line,) = (line for line in errors.lines if line.get_label() == rule)
        for share, value in zip(*line.get_data(), strict=True):
            if f"{rule}, share {share:g}: generalization error, theory" in made.agreement:
                assert value == pytest.approx(errors_at(made, rule, share))
        (dashed,) = (line for line in errors.lines if line.get_gid() == f"Gaussian rows, {rule}")
        assert dashed.get_ydata()[0] == pytest.approx(made.agreement[f"{rule}: generalization error, Gaussian rows"])
    drawn = np.concatenate([line.get_ydata() for line in scores.lines if line.get_gid() == "z"])
    assert np.sqrt(np.mean(drawn**2)) == pytest.approx(made.agreement["root mean square z"])
    (largest,) = (value for name, value in made.agreement.items() if name.startswith("largest |z|"))
    assert np.abs(drawn).max() == pytest.approx(largest)


@pytest.mark.minutes
def test_sparse_signals_at_paper_size():
    """The share of 5 %: Adam and sign descent nearly twice, soft thresholding half of what Gaussian rows say."""
    made = claims.sparse_signals(paper=True)
    check_sparse_signals(made)
    ratios = [
        errors_at(made, rule, 0.05, "runs") / made.agreement[f"{rule}: generalization error, Gaussian rows"]
        for rule in ("Adam", "sign descent", "soft thresholding")
    ]
    assert ratios[0] > 1.7 and ratios[1] > 1.5 and ratios[2] < 0.55, made


def test_starts_have_the_same_overlaps_and_the_share_that_was_asked_for(rng):
    for share in (0.01, 0.3, 1.0):
        weights, signal = module.sparse_start(200, share, rng)
        assert np.count_nonzero(np.abs(signal) > 1e-12) == pytest.approx(200 * share, abs=1)
        np.testing.assert_allclose(weights.first.T @ weights.first, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(weights.first.T @ signal, 0, atol=1e-12)
        assert np.linalg.norm(signal) == pytest.approx(1)
