"""Reading a table: a CSV file of numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..common import Array

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


class DataTable(NamedTuple):
    """A numeric table split into features and target."""

    X: Array
    """(m, n) features."""
    y: Array
    """(m,) target."""
    names: tuple[str, ...]
    """The n feature names."""
    target: str
    """The name of the target."""
    groups: Array | None = None
    """(m,) labels, the cells of the column of groups as they stand in the file."""


def read_csv(path: str | Path, target: str, *, groups: str | None = None) -> DataTable:
    """Read a comma-separated file with a header line; every column but `target` and `groups` is a feature.

    Parameters
    ----------
    path : str or Path
        UTF-8 text. Blank lines are skipped.
    target : str
        The column to predict.
    groups : str, optional
        The column that says which rows belong together (a subject, a site), in any labels.

    Returns
    -------
    DataTable

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        For an empty file, a single column, nameless or duplicate columns, an unknown target or column of groups, one
        column for both, rows without a group or of another length, missing or non-numeric values (with row and column;
        the header is row 1), and constant columns.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sedyn import read_csv
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
            _check_header(header, target, groups, path)
            rows = [(number, row) for number, row in enumerate(reader, start=2) if row]
            labels = None if groups is None else _take(rows, header, groups, path)
            values = _parse(rows, header, path)
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
    return DataTable(np.delete(values, at, axis=1), values[:, at], names, target, labels)


def _take(rows, header, name, path) -> Array:
    """The cells of one column, taken out of the rows and the header."""
    at = header.index(name)
    for number, row in rows:
        if len(row) > at and row[at].strip().lower() in MISSING:
            what = f"holds {row[at].strip()!r}" if row[at].strip() else "is empty"
            raise ValueError(
                f"row {number} of {path} has no group: column {name!r} {what}; give such rows a group of their own each"
            )
    labels = np.array([row.pop(at).strip() for _, row in rows if len(row) > at])
    header.pop(at)
    return labels


def _check_header(header, target, groups, path):
    if not header:
        raise ValueError(f"{path} is empty; the first line must name the columns")
    if len(header) == 1:
        raise ValueError(f"{path} has one column only, {header[0]!r}; expected several, separated by commas")
    if "" in header:
        raise ValueError(f"column {header.index('') + 1} of {path} has no name; the first line must name every column")
    twice = sorted({repr(name) for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path} names these columns more than once: {', '.join(twice)}; rename or remove them")
    shown = ", ".join(repr(name) for name in header[:12]) + (", .." if len(header) > 12 else "")
    for name, what in ((target, "the target"), (groups, "the column of groups")):
        if name is not None and name not in header:
            raise ValueError(f"{path} has no column {name!r}; choose {what} among {shown}")
    if target == groups:
        raise ValueError(f"target and groups are both {target!r}; rows that belong together need a column of their own")
    if groups is not None and len(header) < 3:
        raise ValueError(f"target {target!r} and groups {groups!r} leave no feature in {path}; name other columns")


def _parse(rows, header, path) -> Array:
    """The cells as numbers, (m, columns); the first bad cell is reported, with the number of bad cells in all."""
    values: list[list[float]] = []
    first, n_bad = "", 0
    for number, row in rows:
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
    """Columns that do not vary beyond rounding, (columns,) of bool."""
    return np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)
