"""Functions that a user hands in: do they fit each other, and does one of them jump?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..common import Array, shown

SCALES = np.geomspace(1e-3, 30, 24)
POINTS = np.concatenate([-SCALES[::-1], SCALES])  # where functions are tried
GRID = np.concatenate([-np.geomspace(1e-6, 1e3, 600)[::-1], np.geomspace(1e-6, 1e3, 600)])
FINEST = 60  # halvings of a cell of the grid: down to rounding


def slope_gap(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> str:
    """Where `slope` is not the derivative of `value`, in words; empty where it is.

    Kinks are allowed: a few of the points may lie beside one.
    """
    step = 1e-5 * np.maximum(np.abs(POINTS), 0.1)
    with np.errstate(all="ignore"):
        found = (np.asarray(value(POINTS + step), float) - value(POINTS - step)) / (2 * step)
        said = np.asarray(slope(POINTS), float)
        wrong = ~(np.abs(found - said) <= 1e-3 * np.abs(found) + 1e-4 * np.max(np.abs(found)))
    wrong &= np.isfinite(found)  # beyond 30 an exponential may overflow
    # a step of a kink or a jump is seen at a single point; which a slope of the wrong size or sign is not
    if np.count_nonzero(wrong) <= 3:
        return ""
    first = np.flatnonzero(wrong)[-1]
    return f"at {POINTS[first]:.3g} it is {shown(float(said[first]))}, and the value rises by {found[first]:.3g}"


def jumps(function: Callable[[Array], Array]) -> float | None:
    """A point where a scalar function jumps, to be found in -1000..1000; None where it seems continuous.

    Every cell of a grid is halved again and again, and the half kept over which the function changes more: a jump stays
    as high as it is, a slope becomes as small as the cell.
    """
    low, high = GRID[:-1], GRID[1:]
    with np.errstate(all="ignore"):
        below, above = (np.asarray(function(x), float) for x in (low, high))
        little = 1e-7 * np.max(np.abs(below[np.abs(low) < 10]))
        for _ in range(FINEST):
            # of its own size, or of that near 0: a slope through 0 is no jump; infinite or NaN: not to be judged
            keep = np.abs(above - below) > 1e-4 * np.maximum(np.abs(above), np.abs(below)) + little
            if not keep.any():
                return None
            low, high, below, above = low[keep], high[keep], below[keep], above[keep]
            middle = (low + high) / 2
            between = np.asarray(function(middle), float)
            right = np.abs(above - between) > np.abs(between - below)
            low, below = np.where(right, middle, low), np.where(right, between, below)
            high, above = np.where(right, high, middle), np.where(right, above, between)
    return float(high[0]) if abs(high[0]) > 1e-12 else 0.0
