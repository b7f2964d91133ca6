"""Figures and tables of the notebooks."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
from IPython.display import Image, display
from matplotlib.figure import Figure

BLUE, RED, GREEN = COLOURS = "#0072B2", "#D55E00", "#009E73"
GREY = "0.45"


def show(figure: Figure, alt: str) -> None:
    """Show a figure with its text for those who cannot see it, in few colours: a notebook should stay small."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=96, bbox_inches="tight")
    PIL.Image.open(drawn).convert("RGB").quantize(128).save(small, "png", optimize=True)
    display(Image(small.getvalue(), alt=alt))
    plt.close(figure)


def table(columns: dict, index=None, caption: str = "") -> pd.DataFrame:
    """A table of three digits, for the last line of a cell.

    Parameters
    ----------
    columns : dict of sequences
        Name of a column -> its values; numbers are shown with three digits, all else as it is.
    index : sequence of str, optional
        Names of the rows; without them the first column names them.
    caption : str
        What stands in the corner, above the names of the rows.
    """
    names = list(columns)
    if index is None:
        index, caption = columns[names[0]], caption or names[0]
        columns = {name: columns[name] for name in names[1:]}

    def shown(value):
        return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)

    shown_columns = {name: [shown(value) for value in values] for name, values in columns.items()}
    return pd.DataFrame(shown_columns, index=pd.Index([shown(value) for value in index], name=caption or None))
