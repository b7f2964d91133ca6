"""Whitening and the scale of the target; the reader's messages are tested in test_main.py."""

import numpy as np
import pytest

from sedyn import read_csv, scale_target, whiten


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) * [1, 1e-6, 1e6, 1] + [5, 1, 0, 1e3]


def test_whitened_rows_have_mean_zero_and_identity_covariance(X):
    white = whiten(X)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(white.T @ white / len(X), np.eye(4), atol=1e-8)


def test_whitening_does_not_depend_on_units(X):
    np.testing.assert_allclose(whiten(X * [1, 60, 1e-3, 2] + 7), whiten(X), rtol=1e-8, atol=1e-8)


def test_reference_supplies_mean_and_covariance(X):
    np.testing.assert_allclose(whiten(X[:50], reference=X), whiten(X)[:50])
    assert not np.allclose(whiten(X[:50], reference=X), whiten(X[:50]), atol=0.01)


def test_rank_deficiency_names_the_columns_involved(X):
    dependent = np.column_stack([X, X[:, 0] - 2 * X[:, 3], 3 * X[:, 1]])
    with pytest.raises(
        ValueError, match="2 of 6 directions have no variance.* among 0, 1, 3, 4, 5 determine.*remove 2"
    ):
        whiten(dependent)
    with pytest.raises(ValueError, match="1 of 5 .* among 'b', 'e' determine"):
        whiten(dependent[:, [0, 1, 2, 3, 5]], names=tuple("abcde"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((5, 2)) * [[1], [2], [3], [4], [5]] * [1, 0] + 3,), "constant columns: 1; remove them"),
        ((np.eye(3),), "too few rows to whiten: 3 rows for 3 columns"),
        ((np.eye(5)[:, :3], np.zeros((9, 2))), "X has 3 columns and reference 2"),
        ((np.array([[1.0, np.nan]] * 4),), "X must be finite real numbers, .*4 of its entries NaN"),
        ((np.ones(4),), r"X must have shape \(rows, columns\); got \(4,\)"),
    ],
)
def test_whiten_refuses_what_has_no_inverse_square_root(arguments, message):
    with pytest.raises(ValueError, match=message):
        whiten(*arguments)


def test_targets_are_put_on_a_common_scale():
    binary = scale_target(np.array([3.0, 7.0, 7.0]))
    assert (binary.labels.tolist(), binary.centre, binary.scale, binary.binary) == ([-1, 1, 1], 5, 2, True)
    y = np.array([1.0, 2.0, 6.0, 9.0])
    numeric = scale_target(y)
    assert not numeric.binary
    np.testing.assert_allclose([numeric.labels.mean(), numeric.labels.std()], [0, 1], atol=1e-15)
    np.testing.assert_allclose(numeric.centre + numeric.scale * numeric.labels, y)
    with pytest.raises(ValueError, match="constant"):
        scale_target(np.ones(4))


def test_csv_as_spreadsheets_write_it(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b'\xef\xbb\xbf"size, m2", price ,age\r\n1.5,10,-3\r\n\r\n2e1, 20,4\r\n')
    table = read_csv(path, "price")
    assert (table.names, table.target) == (("size, m2", "age"), "price")
    np.testing.assert_array_equal(table.X, [[1.5, -3], [20, 4]])
    np.testing.assert_array_equal(table.y, [10, 20])
