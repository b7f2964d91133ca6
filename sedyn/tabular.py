"""Tables of real data: reading a CSV file, whitening its features, putting its target on a common scale."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .network import Array

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


class Table(NamedTuple):
    """A numeric table split into features and target."""

    X: Array
    """(m, n) features."""
    y: Array
    """(m,) target."""
    names: tuple[str, ...]
    """The n feature names."""
    target: str
    """The name of the target."""


class Target(NamedTuple):
    """A target on the scale the network is trained on: ``y = centre + scale * labels``."""

    labels: Array
    """(m,) -1 or +1 for a binary target, otherwise mean 0 and variance 1."""
    centre: float
    scale: float
    binary: bool


def read_csv(path: str | Path, target: str) -> Table:
    """Read a comma-separated file with a header line; every column but `target` is a feature.

    Parameters
    ----------
    path : str or Path
        UTF-8 text. Blank lines are skipped.
    target : str
        The column to predict.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        For an empty file, a single column, nameless or duplicate columns, an unknown target, rows of another length,
        missing or non-numeric values (with row and column; the header is row 1), and constant columns.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sedyn.tabular import read_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.csv")
    ...     _ = path.write_text("age,size,price\\n1,10,7\\n2,20,9\\n")
    ...     table = read_csv(path, "price")
    >>> table.names, table.X.shape, table.y.tolist()
    (('age', 'size'), (2, 2), [7.0, 9.0])
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {str(path)!r}; give the path of a comma-separated file with a header line")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, target, path)
            values = _parse(enumerate(reader, start=2), header, path)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; export it as a comma-separated file in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is not a comma-separated file ({error}); export it again as one") from None
    if len(values) == 0:
        raise ValueError(f"{path} has a header but no rows; add data below it")
    constant = [repr(name) for name, same in zip(header, _constant(values), strict=True) if same]
    if repr(target) in constant:
        raise ValueError(f"the target {target!r} is constant, there is nothing to learn; choose another column")
    if constant:
        raise ValueError(f"constant columns {', '.join(constant)} in {path}; remove them, they carry no information")
    at = header.index(target)
    names = tuple(header[:at] + header[at + 1 :])
    return Table(np.delete(values, at, axis=1), values[:, at], names, target)


def whiten(X: Array, reference: Array | None = None, *, names: tuple[str, ...] | None = None) -> Array:
    """Make features uncorrelated with mean 0 and variance 1.

    Subtracts the mean and multiplies by the inverse square root of the covariance, computed after scaling every column
    to variance 1, so that the units of the columns do not matter.

    Parameters
    ----------
    X : (m, n) array
        Rows to transform.
    reference : (k, n) array, optional
        Rows that supply mean and covariance, by default X itself; labels are not needed, so all rows at hand will do.
        On X itself the covariance becomes exactly the identity, which is more than independent features have: the
        theory then reads low when m is not several times n.
    names : tuple of n str, optional
        Column names for messages.

    Returns
    -------
    (m, n) array

    Raises
    ------
    ValueError
        When `reference` has no more rows than columns, a constant column, or columns that determine each other; the
        message names the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn.tabular import whiten
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ [[1, 2, 0], [0, 1, 0], [0, 3, 50]] + 7
    >>> white = whiten(X)
    >>> bool(np.allclose(white.mean(axis=0), 0)), bool(np.allclose(white.T @ white / 500, np.eye(3)))
    (True, True)
    """
    X = np.asarray(X, float)
    reference = X if reference is None else np.asarray(reference, float)
    for rows, name in ((X, "X"), (reference, "reference")):
        if rows.ndim != 2 or not np.all(np.isfinite(rows)):
            raise ValueError(f"{name} must be a finite array (rows, columns); got shape {rows.shape} or NaN entries")
    k, n = reference.shape
    if X.shape[1] != n:
        raise ValueError(f"X has {X.shape[1]} columns and reference {n}; they must be the same features")
    if k <= n:
        raise ValueError(f"too few rows to whiten: {k} rows for {n} columns; give more rows than columns")
    label = [repr(name) for name in names] if names is not None else [str(i) for i in range(n)]

    def listing(chosen):
        return ", ".join(label[i] for i in np.flatnonzero(chosen))

    constant = _constant(reference)
    if np.any(constant):
        raise ValueError(f"cannot whiten constant columns: {listing(constant)}; remove them")
    mean, scale = reference.mean(axis=0), reference.std(axis=0)
    standard = (reference - mean) / scale
    values, vectors = np.linalg.eigh(standard.T @ standard / k)
    deficient = values < 1e-10 * values[-1]
    if np.any(deficient):
        involved = np.sum(vectors[:, deficient] ** 2, axis=1) > 1e-8
        raise ValueError(
            f"cannot whiten: {np.sum(deficient)} of {n} directions have no variance, because columns among "
            f"{listing(involved)} determine each other linearly; remove {np.sum(deficient)} of these columns"
        )
    return ((X - mean) / scale) @ (vectors / np.sqrt(values)) @ vectors.T


def scale_target(y: Array) -> Target:
    """Two values become -1 and +1; anything else is standardised to mean 0 and variance 1.

    Raises ValueError for a constant target.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn.tabular import scale_target
    >>> scale_target(np.array([0.0, 1.0, 1.0])).labels.tolist()
    [-1.0, 1.0, 1.0]
    """
    y = np.asarray(y, float)
    distinct = np.unique(y)
    if len(distinct) < 2:
        raise ValueError("the target is constant, there is nothing to learn")
    binary = len(distinct) == 2
    centre, scale = (distinct.mean(), np.ptp(distinct) / 2) if binary else (y.mean(), y.std())
    return Target((y - centre) / scale, float(centre), float(scale), binary)


def _check_header(header, target, path):
    if not header:
        raise ValueError(f"{path} is empty; the first line must name the columns")
    if len(header) == 1:
        raise ValueError(f"{path} has one column only, {header[0]!r}; expected several, separated by commas")
    if "" in header:
        raise ValueError(f"column {header.index('') + 1} of {path} has no name; the first line must name every column")
    twice = sorted({repr(name) for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path} names these columns more than once: {', '.join(twice)}; rename or remove them")
    if target not in header:
        shown = ", ".join(repr(name) for name in header[:12]) + (", .." if len(header) > 12 else "")
        raise ValueError(f"{path} has no column {target!r}; choose the target among {shown}")


def _parse(rows, header, path) -> Array:
    """The cells as numbers, (m, columns); the first bad cell is reported, with the number of bad cells in all."""
    values: list[list[float]] = []
    first, n_bad = "", 0
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"row {number} of {path} has {len(row)} values; the header names {len(header)} columns")
        cells = [_number(cell) for cell in row]
        for name, cell, value in zip(header, row, cells, strict=True):
            if value is None:
                n_bad += 1
                what = "a missing value" if cell.strip().lower() in MISSING else f"{cell!r}, not a finite number"
                first = first or f"row {number}, column {name!r} of {path} holds {what}"
        values.append([np.nan if value is None else value for value in cells])
    if n_bad:
        raise ValueError(f"{first} ({n_bad} such cells in all); fill them in, or remove those rows or columns")
    return np.array(values)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in cell else None


def _constant(values: Array) -> Array:
    """Which columns do not vary beyond rounding."""
    return np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)
