"""What all claims share: `Claim`, the registry `CLAIMS`, and means, gaps and slopes with their standard errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from sedyn import plot

Array = np.ndarray

BLUE, RED, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "0.45"
TWO_ERRORS = "Bars are two standard errors of the mean over runs."


@dataclass(frozen=True)
class Claim:
    """A claim and how well it holds.

    Attributes
    ----------
    title, statement : str
        A name, and the claim in one sentence.
    parameters : str
        What was run.
    n_runs : int
        Number of simulated training runs behind the figure.
    agreement : dict of float
        The measured numbers; where ``"x"`` has a standard error it stands under ``"x, s.e."``.
    figure : Figure
    alt : str
        What is seen in the figure, for those who cannot see it.
    bars : str
        What the bars and bands of the figure are.
    p_values : dict of float
        Where theory meets runs, the probability of a disagreement this large or larger if they agree.
    data : dict of columns
        Tables of what the figure shows: name of the table -> name of the column -> values, or one value for all rows.
    """

    title: str
    statement: str
    parameters: str
    n_runs: int
    agreement: dict[str, float]
    figure: Figure
    alt: str = ""
    bars: str = TWO_ERRORS
    p_values: dict[str, float] = field(default_factory=dict)
    data: dict[str, dict] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The agreement as text, one line per number, a standard error behind its number; then the p-values."""
        out = []
        for name, value in self.agreement.items():
            if not name.endswith(", s.e."):
                error = self.agreement.get(f"{name}, s.e.")
                out.append(f"{name}: {value:.3g}" + (f" ± {error:.2g}" if error is not None else ""))
        if self.p_values:
            least = min(self.p_values, key=self.p_values.__getitem__)
            out.append(f"least of {len(self.p_values)} p-values: {self.p_values[least]:.3g} ({least})")
        return out

    def __repr__(self) -> str:
        head = [self.title, self.statement, f"({self.parameters}; {self.n_runs} runs)"]
        return "\n".join(head + [f"  {line}" for line in self.lines()])


CLAIMS: dict[str, Callable[..., Claim]] = {}


def claim(function: Callable[..., Claim]) -> Callable[..., Claim]:
    """Register a function of (paper, rng) under its name, drawn in the package's style."""
    CLAIMS[function.__name__] = styled = plt.style.context(plot.STYLE)(function)
    return styled


def four_steps(T: int) -> list[int]:
    """Steps far apart, to compare curves at: between neighbours runs hardly differ, and the theory's error counts."""
    return [T // 8, T // 4, T // 2, T]


def stacked(tables: Mapping, column: str) -> dict[str, list]:
    """Tables of equal columns one below the other, the name of each in a column of its own.

    Examples
    --------
    >>> stacked({"a": {"n": [1, 2], "y": 0.5}, "b": {"n": [3], "y": [4]}}, "who")
    {'who': ['a', 'a', 'b'], 'n': [1, 2, 3], 'y': [0.5, 0.5, 4]}
    """
    out: dict[str, list] = {}
    for name, table in tables.items():
        columns = np.broadcast_arrays(*(np.asarray(values, dtype=object) for values in table.values()))
        for key, values in zip([column, *table], [np.full(columns[0].shape, name, object), *columns], strict=True):
            out.setdefault(key, []).extend(values.tolist())
    return out


def mean_and_error(values) -> tuple[Array, Array]:
    """Mean over runs (axis 0) and its standard error."""
    values = np.asarray(values)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def weighted_mean(values: Array, errors: Array) -> tuple[float, float]:
    """Mean weighted by 1 / error^2, and its standard error."""
    weight = 1 / errors**2
    return float(weight @ values / weight.sum()), float(weight.sum() ** -0.5)


def measured(name: str, value, error) -> dict[str, float]:
    """One entry of `Claim.agreement` with its standard error."""
    return {name: float(value), f"{name}, s.e.": float(error)}


def two_sided(difference: float, error: float) -> float:
    """The p-value of a Gaussian difference that should be 0, of this standard error."""
    return float(2 * stats.norm.sf(abs(difference / error)))


def relative_gap(values: Array, line: Array, line_error: Array) -> tuple[float, float]:
    """Mean over steps of simulation / theory - 1, and its standard error over runs (axis 0) and the theory's own."""
    gap, error = mean_and_error((values / line - 1).mean(axis=1))
    return float(gap), float(np.hypot(error, np.mean(line_error / line)))


def slope(x: Array, y: Array, error: Array) -> tuple[float, float, float, float]:
    """Weighted straight line: slope, its standard error, intercept, its standard error."""
    (b, a), cov = np.polyfit(x, y, 1, w=1 / error, cov="unscaled")
    return float(b), float(np.sqrt(cov[0, 0])), float(a), float(np.sqrt(cov[1, 1]))
