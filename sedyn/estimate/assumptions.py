"""Assumptions of the estimate, and checks of the rows against them (theory 5)."""

from __future__ import annotations

import numpy as np

from ..common import Array
from .spectrum import Spectrum, spread_of_rows

CHECKED_ROWS = 400  # for the spread of the eigenvalues, known from them to a few percent


class AssumptionWarning(UserWarning):
    """The data seem to violate an assumption of the estimated generalization error."""


def check_assumptions(X: Array, y: Array, spectrum: Spectrum) -> list[str]:
    """Assumptions that these rows seem to violate, a sentence each; empty when nothing is found.

    The thresholds are wide: independent features of the ensembles in `sedyn.data` pass, except Student t with 4 degrees
    of freedom or fewer.
    """
    m, n = X.shape
    found = []
    if m < 100:
        found.append(f"only {m} rows: the estimate is an average over them, and its standard error is itself uncertain")
    centre = X.mean(axis=0)
    scale = np.sqrt(np.maximum(np.einsum("ij,ij->j", X, X) / m - centre**2, 0))
    if np.any(np.abs(centre) > 6 * scale / np.sqrt(m) + 0.1 * scale):
        found.append("some features have a mean far from 0; subtract it")
    norms = np.einsum("ij,ij->i", X, X)
    if not norms.any():
        return [*found, "all features are 0 in every row; there is nothing to learn from"]
    mean, second = spectrum.weights.sum(), spectrum.weights @ spectrum.nodes
    if not 0.8 < norms.mean() / (n * mean) < 1.25:
        found.append(
            f"the features have mean square {norms.mean() / n:.3g} and the covariance says {mean:.3g}; "
            "standardise them or give their covariance"
        )
    if m >= 12 and n > 1:
        first, unbiased = spread_of_rows(X[:: -(-m // CHECKED_ROWS)])
        if abs(unbiased / first**2 - second / mean**2) > 0.25 * second / mean**2 + 4 / min(m, CHECKED_ROWS):
            found.append(
                f"the features' covariance is not the one given: the spread of its eigenvalues, mean square over "
                f"squared mean, is {unbiased / first**2:.3g} and should be {second / mean**2:.3g}; "
                "estimate it with unlabelled=X, or whiten the features"
            )
    # rows have nearly equal norms: relative variance 2 tr Sigma^2 / (tr Sigma)^2 for Gaussian features
    excess = norms.var() / norms.mean() ** 2 / (2 * second / (n * mean**2))
    if excess > 4 and norms.var() / norms.mean() ** 2 > 0.08 or norms.max() > 6 * norms.mean() * (1 + 10 / n):
        found.append(
            f"leverage: the norms of the rows vary {excess:.1f} times more than independent features allow "
            f"(largest over mean {norms.max() / norms.mean():.1f}); remove or clip outlying rows or features"
        )
    largest = np.max(np.maximum(X.max(axis=0), -X.min(axis=0)) / np.where(scale > 0, scale, 1))
    if largest > 3 * np.sqrt(2 * np.log(X.size)):
        found.append(
            f"heavy tails: a feature lies {largest:.0f} standard deviations out; transform or clip it (ranks, log)"
        )
    centred = np.square(y - y.mean())
    if centred.max() > 0.1 * centred.sum() and m >= 30:
        found.append("heavy tails: one label carries more than a tenth of the labels' variance; transform the labels")
    return found


def _unsteady(estimates: list[list[float]], train: list, loss: str) -> str:
    """The reason not to trust the estimate of the last step and all after it; empty when there is none."""
    if len(estimates) < 2:
        return ""
    t, (before, now) = len(estimates) - 1, np.array(train[-2:])[:, 0]
    if now > 1.05 * before and loss == "squared":  # other losses may raise the squared error on purpose
        return (
            f"the training error rises at step {t}: where training is unstable the left-out preactivations are not to "
            "be trusted, and from there on no step is proposed for stopping; lower the step size"
        )
    if estimates[-1][0] > 1.3 * estimates[-2][0] and now < before:
        return (
            f"the estimate jumps at step {t} while the training error falls: a few directions of the features are "
            "trained at the edge of stability, where their average no longer speaks for them, and from there on no "
            "step is proposed for stopping; lower the step size"
        )
    return ""
