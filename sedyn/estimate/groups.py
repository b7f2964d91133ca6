"""Rows that are not independent: groups of them, exact repeats, and links that the features betray (theory 5)."""

from __future__ import annotations

import numpy as np
import scipy
from scipy import special

from ..common import Array, counted, require_memory, shown_array

LINK_ROWS = 1500  # rows that are searched for links: a random choice of them, and rows beside each other
SHARE = 0.15  # of the rows linked, from which on it matters; clusters in real tables make up to a tenth look so
CHANCE = 0.01  # of a row without any link, that its nearest neighbour counts as one


class Groups:
    """Groups of rows: independent of each other, overlapping within.

    Attributes
    ----------
    index : (m,) int
        Group of every row.
    count : float
        Effective number of independent rows, m^2 / sum kappa^2.
    kappa : sparse (m, m) or None
        Overlaps: cosines between rows of one group; None for rows that are all independent.
    """

    def __init__(self, index: Array, X: Array):
        m, sizes = len(index), np.bincount(index)
        self.index, self.count, self.kappa, self.n_groups = index, float(m), None, len(sizes)
        if m < 2:
            raise ValueError("X has one row only: nothing could be left out to be predicted; give more rows")
        if len(sizes) < 2:
            raise ValueError(
                f"all {m} rows are in one group, or equal: nothing could be left out to be predicted; give the groups "
                "that rows really come from, at least two"
            )
        if len(sizes) == m:
            return
        require_memory(
            24.0 * float(np.sum(sizes.astype(float) ** 2)),
            f"the overlaps within groups of up to {sizes.max()} rows",
            "give smaller groups",
        )
        order = np.argsort(index, kind="stable")
        ends = np.cumsum(sizes)
        norms = np.sqrt(np.einsum("ij,ij->i", X, X))
        unit = X / np.where(norms > 0, norms, 1)[:, None]
        overlaps, roots = [], []
        for start, end in zip(ends - sizes, ends, strict=True):
            rows = unit[order[start:end]]
            kappa = rows @ rows.T
            np.fill_diagonal(kappa, 1.0)
            values, vectors = np.linalg.eigh(kappa)
            overlaps.append(kappa)
            roots.append((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
        back = np.argsort(order)
        self.kappa, self._root = (
            scipy.sparse.block_diag(blocks, format="csr", dtype=np.float32)[back][:, back]
            for blocks in (overlaps, roots)
        )
        self.count = m**2 / float(self.kappa.multiply(self.kappa).sum())

    def mix(self, rows: Array) -> Array:
        """sum_j kappa_ij rows_j, over the last axis: what row i sees of its group."""
        return rows if self.kappa is None else _times(self.kappa, rows)

    def correlate(self, white: Array) -> Array:
        """White noise (.., m) turned into noise of covariance kappa: what moves the fresh preactivations of a group."""
        return white if self.kappa is None else _times(self._root, white)

    gather = correlate  # the transpose of it: the root is symmetric

    def sums(self, values: Array) -> Array:
        """Sums over the groups."""
        return values if self.kappa is None else np.bincount(self.index, values)


def _times(matrix, rows: Array) -> Array:
    """A symmetric sparse matrix times rows (.., m)."""
    return (matrix @ rows.reshape(-1, rows.shape[-1]).T).T.reshape(rows.shape)


def find_groups(given, X: Array) -> tuple[Groups, str]:
    """The groups of rows that `given` (m,) names, joined where rows of X are exact repeats; and a sentence on these.

    Repeats that a table of few different values holds by chance do not count: a fresh row would repeat rows, too.
    Raises ValueError for anything but m labels without gaps.
    """
    m = len(X)
    index = group_numbers(given, m)
    same = repeats(X)
    if same is None:
        return Groups(index, X), ""
    # groups that share a row, or a repeat of it, are one: components of the graph of rows, labels and repeats
    n_given, n_same = index.max() + 1, same.max() + 1
    links = scipy.sparse.coo_array((np.ones(m), (index, n_given + same)), shape=(n_given + n_same,) * 2)
    joined = scipy.sparse.csgraph.connected_components(links, directed=False)[1][index]
    joined = np.unique(joined, return_inverse=True)[1]
    many = m - n_same
    which = "1 row repeats another" if many == 1 else f"{many} rows repeat others"
    return Groups(joined, X), f"{which} exactly; a row and its repeats are left out together"


def group_numbers(given, m: int) -> Array:
    """The group of each of m rows as a number, from any labels; ValueError for anything but one label per row."""
    if given is None:
        return np.arange(m)
    try:
        labels = np.asarray(given)
    except (TypeError, ValueError):  # labels of different lengths
        labels = np.array(None)
    if labels.shape != (m,):
        raise ValueError(f"groups must hold one label per row, shape ({m},); got {shown_array(given)}")
    if np.ma.is_masked(given) or any(_missing(v) for v in labels):
        raise ValueError(
            "groups must not hold NaN, None or masked entries; give rows without a group a label of their own"
        )
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise ValueError(f"groups must be labels of one kind, numbers or strings; got {shown_array(given)}") from None


def _missing(label) -> bool:
    """Whether it stands for no label: None, NaN, NaT or pandas.NA, which alone is neither equal to itself nor not."""
    return label is None or type(label).__name__ == "NAType" or bool(label != label)


def repeats(X: Array) -> Array | None:
    """Which rows are equal: one number (m,) for equal rows; None when only chance makes some of them so."""
    m = len(X)
    seen: dict[int, int] = {}
    same = np.array([seen.setdefault(hash((row + 0.0).tobytes()), len(seen)) for row in X])  # + 0.0 makes 0 of -0
    sizes = np.bincount(same)
    pairs = float(np.sum(sizes * (sizes - 1.0)) / 2)
    if not pairs:
        return None
    chance = m * (m - 1) / 2  # pairs that independent columns of these values would hold
    for column in X.T:
        counts = np.unique(column, return_counts=True)[1].astype(float)
        chance *= np.sum(counts * (counts - 1)) / (m * (m - 1))
        if chance < 1e-3:
            break
    # a column in which every row and its repeats share a value of their own makes chance small, correlated ones do not
    return same if pairs > 10 * chance else None


def suspected_links(X: Array, groups: Groups) -> str:
    """A sentence where rows of different groups are far nearer to each other than chance makes them; empty otherwise.

    Around a row whose k-th neighbour lies at distance r_k, independent rows fill the ball evenly: (r_1 / r_k)^d follows
    Beta(1, k - 1), d being their local dimension, which r_2k / r_k tells. Columns are ranked first, so that tails do
    not count. Many rows with a nearest neighbour that only one in a hundred should have are suspicious.
    """
    first = np.unique(groups.index, return_index=True)[1]  # one row of each group speaks for it
    rng = np.random.default_rng(0)
    if len(first) > LINK_ROWS:  # half of them in runs of neighbours, as repeated measurements often lie
        runs = rng.choice(len(first) - 8, LINK_ROWS // 16, replace=False)[:, None] + np.arange(8)
        first = first[np.union1d(runs.ravel(), rng.choice(len(first), LINK_ROWS // 2, replace=False))]
    scores = _normal_scores(X[first].T)
    n, m = scores.shape
    k = min(m // 10, 40)
    if k < 4 or n < 2:
        return ""
    norms = np.einsum("ji,ji->i", scores, scores)
    distance = np.maximum(norms[:, None] + norms - 2 * scores.T @ scores, 0)
    np.fill_diagonal(distance, np.inf)
    r, r_k, r_2k = np.sqrt(
        np.partition(distance, (0, k - 1, 2 * k - 1), axis=1)[:, [0, k - 1, 2 * k - 1]].astype(float)
    ).T
    apart = r > 1e-2 * np.sqrt(n)  # the others repeat a row by chance: a table of few values
    if np.mean(apart) < 0.5:
        return ""
    d = np.log(2) / np.mean(np.log(r_2k / r_k)[apart])
    chance = 1 - (1 - np.minimum(r / r_k, 1) ** d) ** (k - 1)
    linked = apart & (chance < CHANCE)
    if np.sum(linked) <= max(SHARE * m, 3 * CHANCE * m + 5 * np.sqrt(2 * CHANCE * m)):
        return ""
    partner = np.argmin(distance, axis=1)
    graph = scipy.sparse.coo_array((np.ones(linked.sum()), (np.flatnonzero(linked), partner[linked])), shape=(m, m))
    parts = np.bincount(scipy.sparse.csgraph.connected_components(graph, directed=False)[1])
    if groups.kappa is not None:
        return (
            f"groups of rows seem linked to each other: {int(linked.sum())} of {m} have a neighbour in another group "
            "far nearer than chance puts it (one family, one site, neighbours in time?); new ones that are linked to "
            "none are then predicted worse than the estimate says"
        )
    return (
        f"rows seem linked: {int(linked.sum())} of {m} have a neighbour far nearer than chance puts it, in about "
        f"{counted(int(np.sum(parts > 1)), 'group')} (visits of one subject, near copies, neighbours in time or "
        "space?); rows of new groups are then predicted worse than the estimate says: name the groups with groups="
    )


def _normal_scores(columns: Array) -> Array:
    """Normal quantiles of the ranks within each row (n, m), in units of their standard deviation; equal values share
    their rank, and rows of one value are left out."""
    n, m = columns.shape
    order = np.argsort(columns, axis=1)
    ranked = np.take_along_axis(columns, order, axis=1)
    starts = np.concatenate([np.ones((n, 1), bool), ranked[:, 1:] > ranked[:, :-1]], axis=1)
    place = np.cumsum(starts.ravel()) - 1  # of runs of equal values, row after row
    first = np.flatnonzero(starts)
    sizes = np.diff(first, append=n * m)
    quantiles = special.ndtri((first % m + sizes / 2) / m)[place].reshape(n, m)
    quantiles -= quantiles.mean(axis=1, keepdims=True)
    size = quantiles.std(axis=1, keepdims=True)
    scores = np.empty((n, m), np.float32)
    np.put_along_axis(scores, order, (quantiles / np.where(size > 0, size, 1)).astype(np.float32), axis=1)
    return scores[size[:, 0] > 0]
