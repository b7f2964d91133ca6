"""Preparing a table: its columns as standardised numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..common import Array, finite_array
from .reading import _listing

RARE = 0.02  # of the rows: rarer levels of a category share one column


def column_preparation(X):
    """Preparation of features for a network: empty cells filled, categories encoded, everything standardised.

    Numbers: empty cells get the median, and a column of their own that marks them. Categories: one column for each
    level, one for all levels in less than 2 % or 5 of the rows and for levels not seen before, one for empty cells.
    Constant columns are dropped, all others get mean 0 and variance 1.

    Parameters
    ----------
    X : (m, n) pandas DataFrame
        The features of a `DataTable`: it tells which columns are numbers; the rows are counted.

    Returns
    -------
    scikit-learn Pipeline
        Not fitted. Maps DataFrames with the columns of X to finite (m, k) arrays.

    Raises
    ------
    ImportError
        Without scikit-learn.

    Examples
    --------
    >>> import pandas as pd
    >>> from sedyn.tables import column_preparation
    >>> X = pd.DataFrame({"size": [1.0, None, 5.0, 6.0] * 5, "town": ["Ulm", "Bonn", "Bonn", "Ulm"] * 5})
    >>> preparation = column_preparation(X).fit(X)
    >>> preparation.transform(X).shape, preparation.get_feature_names_out().tolist()
    ((20, 3), ['size', 'missingindicator_size', 'town_Ulm'])
    """
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.feature_selection import VarianceThreshold
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
    except ImportError as error:
        raise ImportError('tables are prepared by scikit-learn; pip install "sedyn[data]"') from error
    numbers = list(X.select_dtypes("number").columns)
    categories = [name for name in X.columns if name not in set(numbers)]
    levels = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=max(5, round(RARE * len(X))),
        drop="if_binary",
        sparse_output=False,
    )
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    named = SimpleImputer(strategy="constant", fill_value="missing")
    ambiguous = tuple(["missingindicator_", *(f"{name}_" for name in categories)])
    columns = ColumnTransformer(
        [
            ("number", make_pipeline(filled, StandardScaler(copy=False)), numbers),
            ("category", make_pipeline(named, levels, StandardScaler(copy=False)), categories),
        ],
        verbose_feature_names_out=any(str(name).startswith(ambiguous) for name in X.columns),
    )
    return make_pipeline(columns, VarianceThreshold(0))


def describe_preparation(fitted, X) -> tuple[str, ...]:
    """What a fitted `column_preparation` does, in a few lines.

    Parameters
    ----------
    fitted : scikit-learn Pipeline
        From `column_preparation`, fitted.
    X : (m, n) pandas DataFrame
        The rows whose empty cells are counted.

    Returns
    -------
    tuple of str

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Before fitting.

    Examples
    --------
    >>> import pandas as pd
    >>> from sedyn.tables import column_preparation, describe_preparation
    >>> X = pd.DataFrame({"size": [1.0, None, 5.0, 6.0] * 5, "town": ["Ulm", "Bonn", "Bonn", "Ulm"] * 5, "one": 1.0})
    >>> for line in describe_preparation(column_preparation(X).fit(X), X):
    ...     print(line)
    2 numbers and 1 category become 3 standardised columns
    5 empty cells filled with the median and marked: 'size' (5)
    constant columns dropped: 'one'
    """
    columns, varying = fitted[0], fitted[1]
    (_, _, numbers), (_, _, categories) = columns.transformers[:2]
    kept, before = varying.get_support(), columns.get_feature_names_out()
    lines = [
        f"{len(numbers)} number{'s' * (len(numbers) != 1)} and {len(categories)} categor"
        f"{'y' if len(categories) == 1 else 'ies'} become {kept.sum()} standardised columns"
    ]
    for names, how in ((numbers, "filled with the median and marked"), (categories, "taken as a level of their own")):
        if counts := {name: int(X[name].isna().sum()) for name in names if X[name].isna().any()}:
            listed = _listing([f"{name!r} ({count})" for name, count in counts.items()], str)
            lines.append(f"{sum(counts.values())} empty cells {how}: {listed}")
    if categories:
        encoder = columns.named_transformers_["category"][1]
        rare = [
            f"{name!r} ({len(joined)} of {len(levels)})"
            for name, joined, levels in zip(
                categories, encoder.infrequent_categories_, encoder.categories_, strict=True
            )
            if joined is not None
        ]
        if rare:
            lines.append(f"levels in fewer than {encoder.min_frequency} rows share one column: {_listing(rare, str)}")
    if not kept.all():
        gone = [str(name).replace("infrequent_sklearn", "rare") for name in before[~kept]]
        lines.append(f"constant columns dropped: {_listing(gone)}")
    return tuple(lines)


class Target(NamedTuple):
    """A target on the scale the network is trained on: ``y = centre + scale * labels``."""

    labels: Array
    """(m,) -1 or +1 for a binary target, otherwise mean 0 and variance 1."""
    centre: float
    scale: float
    binary: bool


def scale_target(y: Array) -> Target:
    """Two values become -1 and +1; anything else is standardised to mean 0 and variance 1.

    Raises ValueError for a constant target, or one that does not hold finite numbers alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sedyn import scale_target
    >>> scale_target(np.array([0.0, 1.0, 1.0])).labels.tolist()
    [-1.0, 1.0, 1.0]
    """
    y = finite_array(y, "y")
    distinct = np.unique(y)
    if len(distinct) < 2:
        raise ValueError("the target is constant, there is nothing to learn")
    binary = len(distinct) == 2
    centre, scale = (distinct.mean(), np.ptp(distinct) / 2) if binary else (y.mean(), y.std())
    return Target((y - centre) / scale, float(centre), float(scale), binary)
