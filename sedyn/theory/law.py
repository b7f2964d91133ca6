"""The law of the first-layer weights, one feature at a time, as samples (theory 2, 10)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..common import Array, counted
from ..model import gaussian_points
from .kernels import Kernels


class FirstWeights(NamedTuple):
    """Samples of one feature: N of them from the joint law of its signal, its first weights, and those of a step.

    All are of order 1: sqrt(n) times what a run has, whose rows are n such samples.
    """

    signal: Array  # sqrt(n) mu, (N,), or (N, k) for k signals
    start: Array  # sqrt(n) W_1^(0), (N, q)
    now: Array  # sqrt(n) W_1^(t), (N, q)


def gaussian_law(kernels: Kernels, t: int, n_samples: int, rng) -> FirstWeights:
    """Of a linear rule: Gaussian around P_t (start) + kappa_t mu, whatever these are (theory 2)."""
    overlaps = kernels.start
    (B, _, k) = overlaps.cross.shape
    if B > 1:
        raise ValueError(
            f"these features are of {counted(B, 'block')}, whose weights have laws of their own; see theory.kernels"
        )
    if overlaps.rows is None:
        begin = (np.concatenate([overlaps.signal_loadings, overlaps.loadings])) @ gaussian_points(
            overlaps.loadings.shape[1], n_samples, rng
        )
    else:
        begin = np.tile(overlaps.rows.T, -(-n_samples // len(overlaps.rows)))
    # within the block of variance 1, or of one other: W itself, not sqrt(lambda) W
    scale = 1.0 if overlaps.rows is not None else overlaps.variances[0] ** -0.5
    signal, start = scale * begin[:k], scale * begin[k:]
    values, vectors = np.linalg.eigh(kernels.fluctuation[t, t])
    noise = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.standard_normal((len(values), start.shape[1]))
    noise *= overlaps.variances[0] ** -0.5
    kappa = kernels.kappa[t].reshape(len(start), k)
    return law(signal, start, kernels.P[t] @ start + kappa @ signal + noise)


def law(signal: Array, start: Array, now: Array) -> FirstWeights:
    """From rows (k, N), (q, N), (q, N)."""
    return FirstWeights(signal[0] if len(signal) == 1 else signal.T, start.T, now.T)
