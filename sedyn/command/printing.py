"""Tables that the commands print, and places where they write."""

from __future__ import annotations

import numpy as np

from ..common import Array

N_PRINTED = 8  # tables show this many equal intervals of the run


def _printed_steps(length: int) -> Array:
    return np.unique(np.linspace(0, length - 1, N_PRINTED + 1).round().astype(int))


def _print_table(header, widths, formats, columns) -> None:
    print("".join(f"{name:>{width}}" for name, width in zip(header, widths, strict=True)))
    for row in zip(*columns, strict=True):
        print("".join(f"{format(v, f):>{width}}" for v, f, width in zip(row, formats, widths, strict=True)))


def _save(fig, output: str) -> str:
    """Write a picture where --output says; in words, where that is."""
    from ..show import plot

    return " and ".join(map(str, plot.save(fig, output)))
