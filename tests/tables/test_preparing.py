"""Preparing tables: the values that come out, cloning, and what is told about it."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sedyn.tables import column_preparation, describe_preparation


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    m = 400
    frame = pd.DataFrame({"a": rng.normal(5, 3, m), "b": rng.exponential(size=m), "one": np.full(m, 7.3)})
    frame.loc[rng.random(m) < 0.1, "b"] = np.nan
    frame["colour"] = pd.Categorical(rng.choice(["red", "green", "blue"], m))
    frame.loc[:8, "colour"] = np.nan
    frame["flag"] = rng.choice(["no", "yes"], m)
    frame["town"] = rng.choice(["Ulm", "Bonn", "Kiel", "Jena"], m, p=[0.6, 0.38, 0.01, 0.01])
    return frame


def test_columns_are_finite_and_standardised(X):
    fitted = column_preparation(X).fit(X)
    Z = fitted.transform(X)
    assert Z.dtype == np.float64 and np.all(np.isfinite(Z))
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), 1)
    names = fitted.get_feature_names_out().tolist()
    expected = [
        "a",
        "b",
        "missingindicator_b",
        "colour_blue",
        "colour_green",
        "colour_missing",
        "colour_red",
        "flag_yes",
    ]
    assert names == [*expected, "town_Bonn", "town_Ulm", "town_infrequent_sklearn"]
    filled = X["b"].fillna(X["b"].median())
    np.testing.assert_allclose(Z[:, 1], (filled - filled.mean()) / filled.std(ddof=0))
    missing = X["b"].isna()
    np.testing.assert_allclose(Z[:, 2], (missing - missing.mean()) / missing.std(ddof=0))
    rare = X["town"].isin(["Kiel", "Jena"])
    np.testing.assert_allclose(Z[:, -1], (rare - rare.mean()) / rare.std(ddof=0))


def test_new_rows(X):
    fitted = column_preparation(X).fit(X)
    new = X.iloc[:3].copy()
    new["town"] = ["Kiel", "Atlantis", "Atlantis"]
    new.loc[1, ["a", "one"]] = np.nan  # not empty in any row before
    Z = fitted.transform(new)
    assert np.all(np.isfinite(Z)) and np.all(Z[:, -1] == Z[0, -1]) and Z[0, -1] > 1
    np.testing.assert_allclose(Z[1, 0], (X["a"].median() - X["a"].mean()) / X["a"].std(ddof=0))


def test_clones_and_pickles(X):
    preparation = column_preparation(X)
    Z = clone(preparation).fit_transform(X)
    fitted = pickle.loads(pickle.dumps(preparation.fit(X)))
    np.testing.assert_array_equal(fitted.transform(X), Z)
    untouched = X.copy()
    fitted.transform(X)
    pd.testing.assert_frame_equal(X, untouched)


def test_only_parts_of_scikit_learn_are_dumped(X):
    skops = pytest.importorskip("skops.io")
    dumped = skops.dumps(column_preparation(X).fit(X))
    trusted = skops.get_untrusted_types(data=dumped)
    assert set(trusted) <= {"numpy.dtype"}
    Z = skops.loads(dumped, trusted=trusted).transform(X)
    np.testing.assert_array_equal(Z, column_preparation(X).fit_transform(X))


def test_columns_that_are_empty_or_alone_in_some_rows(X):
    X["b"] = np.nan
    for frame in (X[["a", "b"]], X[["colour"]], X[["b", "town"]]):
        assert np.all(np.isfinite(column_preparation(frame).fit_transform(frame)))
    with pytest.raises(ValueError, match="variance"):
        column_preparation(X).fit(X[["one", "b"]].assign(a=1.0, colour="x", flag="x", town="x"))


def test_names_that_could_be_taken_for_levels(X):
    frame = X[["colour", "a", "b"]].rename(columns={"a": "colour_red"})
    assert len(set(column_preparation(frame).fit(frame).get_feature_names_out())) == 7


def test_what_was_done_is_told(X):
    assert describe_preparation(column_preparation(X).fit(X), X) == (
        "3 numbers and 3 categories become 11 standardised columns",
        f"{X['b'].isna().sum()} empty cells filled with the median and marked: 'b' ({X['b'].isna().sum()})",
        "9 empty cells taken as a level of their own: 'colour' (9)",
        "levels in fewer than 8 rows share one column: 'town' (2 of 4)",
        "constant columns dropped: 'one'",
    )


def test_without_scikit_learn(X, monkeypatch):
    for name in ("sklearn", "sklearn.compose"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "sedyn\[data\]"'):
        column_preparation(X)
