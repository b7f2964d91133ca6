"""Prediction intervals and sets from left-out outputs: honest residuals of one trained network (theory 8)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..common import Array

RUN_SPREAD = 1.5  # standard deviation of coverage over runs, in units of that of m independent residuals (measured)
SMOOTH = 0.1  # of the rows: over so many the width that depends on the output is averaged
LEAST = 0.2  # of the mean width, the least


class IntervalAccuracy(NamedTuple):
    """What one training run leaves open about its prediction intervals of one level (theory 8)."""

    half_width: float
    """Half the width of the intervals; with ``adaptive=True`` its mean over the rows. Infinite above level m/(m+1)."""
    half_width_stderr: float
    """Its standard deviation over runs."""
    coverage_stderr: float
    """Standard deviation over runs of the part of new rows that the intervals of one run cover; its mean is the
    level."""


def conformal_quantile(scores: Array, level: float, weight: Array | None = None) -> float:
    """The least score that `level` of all rows do not exceed, one new row counted in; infinite where none is known.

    Without weights the ceil(level (m + 1))-th smallest; a new row weighs as much as the mean row.
    """
    order = np.argsort(scores)
    weight = np.ones(len(scores)) if weight is None else weight / weight.mean()
    share = np.cumsum(weight[order]) / (len(scores) + 1)
    at = int(np.searchsorted(share, level - 1e-12))
    return float(scores[order[at]]) if at < len(scores) else np.inf


def accuracy(scores: Array, level: float, weight: Array | None, independent: float) -> IntervalAccuracy:
    """Of the quantile of scores, when so many of them are `independent`."""
    spread = RUN_SPREAD * float(np.sqrt(level * (1 - level) / independent))
    low, high = (conformal_quantile(scores, np.clip(at, 0, 1), weight) for at in (level - spread, level + spread))
    low, at = max(low, 0.0), conformal_quantile(scores, level, weight)
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
        own = ndimage.gaussian_filter1d(impulse, sigma, mode="nearest").max()
        sorted_sizes = sizes[order]
        smooth = ndimage.gaussian_filter1d(sorted_sizes, sigma, mode="nearest")
        floor = LEAST * sizes.mean() + 1e-300
        self.widths = np.maximum(smooth, floor)
        self.left_out = np.empty(len(order))  # without the row itself, which would make its own score small
        self.left_out[order] = np.maximum((smooth - own * sorted_sizes) / (1 - own), floor)

    def at(self, outputs: Array) -> Array:
        return np.interp(outputs, self.outputs, self.widths)
