"""A network fitted to a table, kept in a file: written and read by skops, without pickle."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..common import Noun, __version__, instance
from .preparing import column_preparation
from .reading import DataTable, read_rows

TRUSTED = {  # all that a model's file may hold beside what skops trusts; nothing of it runs code from the file
    "numpy.dtype",
    "sedyn.model.network.Network",
    "sedyn.model.network.Weights",
    "sedyn.runs.trajectory.Trajectory",
    "sedyn.tables.estimators.NetworkClassifier",
    "sedyn.tables.estimators.NetworkRegressor",
}


@dataclass(frozen=True, eq=False, repr=False)
class TableModel(Noun):
    """A fitted pipeline of preparation and network, and the columns it expects."""

    pipeline: Any
    """A scikit-learn Pipeline: "columns" (`column_preparation`), then "network"."""
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    target: str

    @property
    def network(self):
        return self.pipeline["network"]

    def predict(self, source: str | Path, level: float = 0.9):
        """Predictions for the rows of a file, a DataFrame: the target with an interval, or classes with their
        probabilities and those that are possible; either holds the truth with probability `level`.

        Raises ValueError when the file lacks a column of the table that was fitted, by name.
        """
        import pandas as pd

        X, remarks = read_rows(source, zip(self.names, self.kinds, strict=True))
        columns = self.pipeline["columns"]
        new = []
        for name, levels in zip(columns[0].transformers_[1][2], self._levels(), strict=True):
            unseen = X[name][X[name].notna() & ~X[name].isin(levels)]
            new += [f"{unseen.iloc[0]!r} in {name!r}"] if len(unseen) else []
        if new:
            remarks += (f"levels not seen in training, taken as rare ones: {', '.join(new)}",)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the same
            Z = columns.transform(X)
        found, names = {self.target: self.network.predict(Z)}, getattr(self.network, "classes_", None)
        if names is None:
            ends = self.network.predict_interval(Z, level).T
            found |= {f"{self.target} {end}": values for end, values in zip(("from", "to"), ends, strict=True)}
        else:
            found |= {f"probability of {c}": p for c, p in zip(names, self.network.predict_proba(Z).T, strict=True)}
            possible = self.network.predict_set(Z, level)
            found[f"possible at {100 * level:.4g} %"] = ["|".join(map(str, names[row])) for row in possible]
        return pd.DataFrame(found), remarks

    def _levels(self) -> list:
        columns = self.pipeline["columns"][0]
        return list(columns.named_transformers_["category"][1].categories_) if columns.transformers_[1][2] else []

    def save(self, path: str | Path) -> Path:
        """Write the model to one file."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        skops = _skops()
        skops.dump({"version": __version__, **vars(self)}, Path(path))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> TableModel:
        """Read what `save` has written. Raises ValueError for anything else, and before anything in it is run."""
        skops = _skops()
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no file {str(path)!r}; give a model that `estimate --save` has written")
        try:
            unknown = set(skops.get_untrusted_types(file=path)) - TRUSTED
            found = None if unknown else skops.load(path, trusted=sorted(TRUSTED))
            values = {field.name: found[field.name] for field in fields(cls)} if found else {}
        except (BadZipFile, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no model that `estimate --save` has written ({error})") from None
        if unknown:
            raise ValueError(f"{path} holds {', '.join(sorted(unknown))}, which no model of sedyn does; not opened")
        return cls(**values)


def fit_table(table: DataTable, network, **options) -> TableModel:
    """Prepare the columns of a table and fit a network to them.

    Parameters
    ----------
    table : DataTable
    network : NetworkRegressor or NetworkClassifier
    **options
        For `fit`, such as `sample_weight`; the groups are those of the table.
    """
    instance(table, DataTable, "table")
    from sklearn.pipeline import Pipeline

    pipeline = Pipeline([("columns", column_preparation(table.X)), ("network", network)])
    pipeline.fit(table.X, table.y, network__groups=table.groups, **{f"network__{k}": v for k, v in options.items()})
    return TableModel(pipeline, table.names, table.kinds, table.target)


def baselines(Z: np.ndarray, table: DataTable, classes: bool, rows: int = 20_000) -> dict[str, tuple]:
    """Cross-validated losses per row of the constant and of ridge or logistic regression, on prepared columns Z.

    Squared errors and None, or log losses and which rows are classified wrongly. Of more than `rows` rows a random
    choice is taken; a model that cannot be fitted, as where a class has one row alone, is left out.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, cross_val_predict

    y, groups = table.y, table.groups
    if len(y) > rows:
        chosen = np.random.default_rng(0).permutation(len(y))[:rows]
        Z, y, groups = Z[chosen], y[chosen], None if groups is None else groups[chosen]
    if groups is not None:
        folds: Any = GroupKFold(min(5, len(np.unique(groups))))
    elif classes:
        folds = StratifiedKFold(max(2, min(5, np.unique(y, return_counts=True)[1].min())), shuffle=True, random_state=0)
    else:
        folds = KFold(min(5, len(y)), shuffle=True, random_state=0)
    if not classes:
        models = {"the mean": DummyRegressor(), "ridge regression": RidgeCV(np.logspace(-2, 5, 15))}
        return {
            name: (np.square(cross_val_predict(model, Z, y, cv=folds, groups=groups) - y), None)
            for name, model in models.items()
        }
    logistic = GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": [1e-3, 1e-2, 0.1, 1.0]}, scoring="neg_log_loss", cv=3
    )
    models = {"the class frequencies": DummyClassifier(), "logistic regression": logistic}
    index = np.unique(y, return_inverse=True)[1]
    losses: dict[str, tuple] = {}
    for name, model in models.items():
        try:
            p = cross_val_predict(model, Z, y, cv=folds, groups=groups, method="predict_proba")
        except ValueError:
            continue
        losses[name] = -np.log(np.maximum(p[np.arange(len(y)), index], 1e-15)), p.argmax(axis=1) != index
    return losses


def _skops():
    try:
        from skops import io
    except ImportError as error:
        raise ImportError('models are saved and opened by skops; pip install "sedyn[data]"') from error
    return io
