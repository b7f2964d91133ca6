"""Assumptions of the estimate, and checks of the rows against them (theory 5)."""

from __future__ import annotations

import numpy as np

from ..common import Array, counted
from ..model import sum_outputs
from .groups import Groups
from .spectrum import Spectrum

SPREAD_BIAS = 0.5  # relative bias of the estimate, per relative error of the spread of the eigenvalues (measured)
WIDE = 0.15  # deep weights per row that the estimate can neglect
MOMENT_ROWS = 1500
FIRM = 3  # standard errors that make a finding


UNSTEADY = "from there on no step is proposed for stopping; lower the step size"


class AssumptionWarning(UserWarning):
    """The data seem to violate an assumption of the estimated generalization error."""


def check_assumptions(
    X: Array, y: Array, spectrum: Spectrum, groups: Groups, n_small: int = 0, precision: float = 0.25
) -> list[str]:
    """Assumptions that these rows seem to violate, a sentence each; empty when nothing is found.

    A covariance that is not the one given is reported when it is certain (three standard errors) and would bias the
    estimate by more than half of its relative standard error `precision`. `n_small` is the number of deep weights.
    """
    m, n = X.shape
    found = []
    if m < 100:
        found.append(f"only {m} rows: the estimate is an average over them, and its standard error is itself uncertain")
    elif (independent := min(groups.count, groups.n_groups)) < 60:
        few = "not to be trusted" if independent < 25 else "uncertain"
        found.append(f"only about {independent:.0f} independent rows: the estimate and its standard error are {few}")
    if n_small > WIDE * m:
        found.append(
            f"a wide network: {counted(n_small, 'deep weight')} and {m} rows; what these weights owe to a row is "
            "neglected, and the estimate reads low; use more rows or smaller widths"
        )
    centre = X.mean(axis=0)
    scale = np.sqrt(np.maximum(np.einsum("ij,ij->j", X, X) / m - centre**2, 0))
    if np.any(np.abs(centre) > 6 * scale / np.sqrt(m) + 0.1 * scale):
        found.append("some features have a mean far from 0; subtract it")
    norms = np.einsum("ij,ij->i", X, X)
    if not norms.any():
        return [*found, "all features are 0 in every row; there is nothing to learn from"]
    mean, second = spectrum.weights.sum(), spectrum.weights @ spectrum.nodes
    size, spread, noise = _moments(X, norms, groups)
    beyond = abs(np.log(size / mean)) - FIRM * norms.std() / norms.mean() / np.sqrt(m)
    if beyond > precision / 2:
        found.append(
            f"the features have mean square {size:.3g} and the covariance says {mean:.3g}; "
            "standardise them or give their covariance"
        )
    given = second / mean**2
    known = max(spread, 1e-3)
    if m >= 12 and n > 1 and SPREAD_BIAS * (abs(np.log(known / given)) - FIRM * noise / known) > precision / 2:
        found.append(
            f"the features' covariance is not the one given: the spread of its eigenvalues, mean square over squared "
            f"mean, is {spread:.3g} and should be {given:.3g}; "
            + (
                "estimate it with unlabelled=X"
                if groups.kappa is None
                else "give it with covariance=, or rows of other groups with unlabelled="
            )
            + ("" if groups.kappa is not None else " (if rows belong together, name their groups: links look the same)")
        )
    centred = sum_outputs(np.square(y - y.mean(axis=-1, keepdims=True)))
    if centred.max() > 0.1 * centred.sum() and m >= 30:
        found.append("heavy tails: one label carries more than a tenth of the labels' variance; transform the labels")
    return found


def _moments(X: Array, norms: Array, groups: Groups) -> tuple[float, float, float]:
    """Mean square of the features; mean square of the covariance's eigenvalues over their squared mean, from products
    of rows of different groups; and its standard error."""
    (m, n), size = X.shape, norms.mean() / X.shape[1]
    chosen = np.random.default_rng(0).permutation(m)[:MOMENT_ROWS]
    unit = (X[chosen] / np.sqrt(max(size, 1e-300))).astype(np.float32)  # half the time, and precise enough
    squares = np.square(unit @ unit.T, dtype=float)
    apart = groups.index[chosen, None] != groups.index[chosen]
    pairs = apart.sum(axis=1)
    if not pairs.all():
        return size, 1.0, np.inf
    squares *= apart
    rows, own = squares.sum(axis=1), norms[chosen] / max(size, 1e-300)

    def ratio(total, of, norm):
        return total / of / (n * (norm / n) ** 2)

    k = len(chosen)
    without = ratio(rows.sum() - 2 * rows, pairs.sum() - 2 * pairs, (own.sum() - own) / (k - 1))  # each row in turn
    noise = np.sqrt((k - 1) * without.var())
    return float(size), float(ratio(rows.sum(), pairs.sum(), own.mean())), float(noise)


def _unsteady(estimates: list[list[float]], train: list, loss: str) -> str:
    """The reason not to trust the estimate of the last step and all after it; empty when there is none."""
    if len(estimates) < 2:
        return ""
    t, (before, now) = len(estimates) - 1, np.array(train[-2:])[:, 0]
    if now > 1.05 * before and loss == "squared":  # other losses may raise the squared error on purpose
        return (
            f"the training error rises at step {t}: where training is unstable the left-out preactivations are not to "
            f"be trusted, and {UNSTEADY}"
        )
    if estimates[-1][0] > 1.3 * estimates[-2][0] and now < before:
        return (
            f"the estimate jumps at step {t} while the training error falls: a few directions of the features are "
            f"trained at the edge of stability, where their average no longer speaks for them, and {UNSTEADY}"
        )
    return ""
