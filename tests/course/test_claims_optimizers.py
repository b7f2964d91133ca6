"""Optimizers as claims: theory against simulation, rows beyond overlaps, the estimate, and that figures show them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import claims
import claims_optimizers as optimizers
import sedyn

matplotlib.use("Agg")

WORDS = ("training error", "generalization error")


def z(made, name, target=0.0):
    return (made.agreement[name] - target) / made.agreement[f"{name}, s.e."]


# ---- theory against simulation

GAPS = [f"{name}: relative gap of the {word}" for name in optimizers.OPTIMIZER_CASES for word in WORDS]


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
    assert [ax.get_title(loc="left") or ax.get_title() for ax in panels] == list(optimizers.OPTIMIZER_CASES)
    drawn = np.concatenate([each.lines[0].get_xdata() for each in last.containers]) / 100
    assert sorted(drawn) == pytest.approx(sorted(made.agreement[name] for name in GAPS))
    for ax in panels:
        lines = [line for line in ax.lines if line.get_label().endswith("theory")]
        assert len(lines) == 2 and all(line.get_ydata()[0] > line.get_ydata()[-1] for line in lines)


@pytest.mark.seconds
def test_optimizers_notice_another_epsilon(monkeypatch):
    """Runs by an Adam that is not the one of the theory."""
    right = claims.simulate

    def other(network, training, *args, **options):
        if isinstance(training.optimizer[0], sedyn.Adam):
            training = replace(training, optimizer=(sedyn.Adam(0.9, 0.99, 0.2), *training.optimizer[1:]))
        return right(network, training, *args, **options)

    monkeypatch.setattr(optimizers, "simulate", other)
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


# ---- what the rows know beyond their overlaps


def errors_at(made, rule, share, who="theory"):
    return made.agreement[f"{rule}, share {share:g}: generalization error, {who}"]


def check_sparse_signals(made, shares=(0.01, 0.05, 1.0)):
    assert made.agreement["root mean square z"] < 1.7, made
    for rule in optimizers.SPARSE_RULES:
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
    for rule in optimizers.SPARSE_RULES:
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
        weights, signal = optimizers.sparse_start(200, share, rng)
        assert np.count_nonzero(np.abs(signal) > 1e-12) == pytest.approx(200 * share, abs=1)
        np.testing.assert_allclose(weights.first.T @ weights.first, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(weights.first.T @ signal, 0, atol=1e-12)
        assert np.linalg.norm(signal) == pytest.approx(1)


# ---- the error from the training rows


def check_estimates(made):
    """No bias beyond chance and 3 %; standard errors that cover; training errors far off."""
    for rule in optimizers.ESTIMATED_RULES:
        name = f"{rule}: estimate over truth - 1, mean over m/n"
        assert abs(made.agreement[name]) < 3.5 * made.agreement[f"{name}, s.e."] + 0.03, made
        assert made.agreement[f"{rule}: training error over truth - 1, mean over m/n"] < -0.25, made
    (inside,) = (value for name, value in made.agreement.items() if name.startswith("share below"))
    assert inside > 0.88, made


def on_threads(function, **options):
    """The claim on threads, which see what a test has changed."""
    with ThreadPoolExecutor(2) as executor:
        return function(executor=executor, **options)


@pytest.mark.seconds
def test_optimizer_estimates():
    made = on_threads(claims.optimizer_estimates)
    check_estimates(made)
    points, biases, scores = made.figure.axes
    for rule, bias in zip(optimizers.ESTIMATED_RULES, biases.containers, strict=True):
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


@pytest.mark.seconds
def test_optimizer_estimates_notice_the_training_error(monkeypatch):
    """The training error in the place of the estimate, which forgets the memory."""
    right = claims.estimated_run

    def trained(*args, **options):
        run = right(*args, **options)
        return replace(run, estimated_error=run.train_error)

    monkeypatch.setattr(optimizers, "estimated_run", trained)
    with pytest.raises(AssertionError):
        check_estimates(on_threads(claims.optimizer_estimates))


@pytest.mark.minutes
def test_optimizer_estimates_at_paper_size():
    made = claims.optimizer_estimates(paper=True)
    check_estimates(made)
    for rule in optimizers.ESTIMATED_RULES:
        name = f"{rule}: share of |estimate - truth| below 1.96 standard errors, t = 40"
        assert abs(made.agreement[name] - 0.95) < 0.03 + 3 * made.agreement[f"{name}, s.e."], made
        assert 0.7 < made.agreement[f"{rule}: root mean square z, t = 40"] < 1.25, made
