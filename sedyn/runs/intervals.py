"""Prediction intervals and sets from left-out outputs: honest residuals of one trained network (theory 8)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..common import Array

RUN_SPREAD = 1.5  # of m independent residuals' standard deviation of coverage; that over runs is at most so (measured)
SMOOTH = 0.1  # of the rows: over so many the width that depends on the output is averaged
LEAST = 0.2  # of the mean width, the least


class IntervalAccuracy(NamedTuple):
    """What one training run leaves open about its prediction intervals of one level (theory 8)."""

    half_width: float
    """Half the width of the intervals; with ``adaptive=True`` its mean over the rows. Infinite above level k / (k + 1),
    k being the number of independent rows or groups."""
    half_width_stderr: float
    """Its standard deviation over runs."""
    coverage_stderr: float
    """Standard deviation over runs of the part of new rows that the intervals of one run cover, at most about; its mean
    is the level."""


def conformal_quantile(
    scores: Array, level: float, weight: Array | None = None, independent: float | None = None
) -> float:
    """The least score that `level` of all rows do not exceed, one new row counted in; infinite where none is known.

    For m independent rows the ceil(level (m + 1))-th smallest. Weights and groups leave fewer `independent` ones, k,
    and the new row counts as one of k + 1.
    """
    order = np.argsort(scores)
    weight = np.ones(len(scores)) if weight is None else weight.astype(float)
    k = float(independent or weight.sum() ** 2 / (weight @ weight))
    share = np.cumsum(weight[order]) / weight.sum() * (k / (k + 1))
    at = int(np.searchsorted(share, level - 1e-12))
    return float(scores[order[at]]) if at < len(scores) else np.inf


def accuracy(scores: Array, level: float, weight: Array | None, independent: float) -> IntervalAccuracy:
    """Of the quantile of scores, when so many of them are `independent`."""
    spread = RUN_SPREAD * float(np.sqrt(level * (1 - level) / independent))
    low, high = (
        conformal_quantile(scores, np.clip(a, 0, 1), weight, independent) for a in (level - spread, level + spread)
    )
    low, at = max(low, 0.0), conformal_quantile(scores, level, weight, independent)
    if not np.isfinite(high):  # the upper side is not known; the lower one is
        high = 2 * at - low if np.isfinite(at) else np.inf
    return IntervalAccuracy(at, (high - low) / 2 if np.isfinite(at) else np.inf, spread)


class Width:
    """Width of intervals as a smooth function of the output: residuals averaged over rows of like outputs."""

    def __init__(self, outputs: Array, sizes: Array):
        """`outputs` and absolute residuals `sizes` of m rows."""
        order = np.argsort(outputs)
        self.outputs, sigma = outputs[order], max(1.0, SMOOTH * len(order))
        impulse = np.zeros(len(order))
        impulse[len(order) // 2] = 1
        own, total, near = (
            ndimage.gaussian_filter1d(values, sigma, mode="constant")
            for values in (impulse, sizes[order], 1.0 + 0 * sizes)
        )
        floor = LEAST * sizes.mean() + 1e-300
        self.widths = np.maximum(total / near, floor)
        self.left_out = np.empty(len(order))  # without the row itself, which would make its own score small
        self.left_out[order] = np.maximum((total - own.max() * sizes[order]) / (near - own.max()), floor)

    def at(self, outputs: Array) -> Array:
        return np.interp(outputs, self.outputs, self.widths)
