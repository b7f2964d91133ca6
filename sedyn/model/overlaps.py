"""Initial overlaps: of the initial weights with each other and with the signal (theory 2, 6).

Features of covariance Sigma are cut into blocks of directions in which their variance lambda_j is constant, W and mu
into their parts W_j and mu_j there; in rescaled weights sqrt(lambda_j) W_j every block has features of variance 1.

======== ==================================================== =================
symbol   name                                                 shape
======== ==================================================== =================
G, c     W_j^T W_j and W_j^T mu_j                             (B, q, q), (B, q, k)
mu^T mu  mu_j^T mu_j                                          (B, k, k)
zeta_0   standard Gaussian coordinates of Z and of U_0 given  (B (k + q), N)
         Z, block by block
A_0      U_0 = A_0 zeta_0                                     (q, B (k + q))
======== ==================================================== =================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..common import (
    Array,
    Result,
    brief,
    counted,
    finite_array,
    generator,
    instance,
    integer,
    numbers,
    require_memory,
    shown,
)
from .covariance import eigen_directions, gauss_nodes
from .network import Small, Weights

N_BLOCKS = 8  # of different variances, that are kept as they are
QUADRATURE = 1e-3  # how far the nodes for more of them may miss what decays at any pace


@dataclass(frozen=True, eq=False, repr=False)
class Overlaps(Result):
    """Initial overlaps: all that the theory knows of an individual initialization.

    Parameters
    ----------
    gram : (q, q)
        C_(0,0) = W_1^T W_1.
    cross : (q,)
        c_0 = W_1^T mu; (q, k) for k signals.
    signal_gram : float
        |mu|^2; the Gram matrix (k, k) of k signals.
    deep : tuple of (fan_in, fan_out)
        W_2, .., W_L.
    biases : tuple of (width,)
        b_1, .., b_L, of a network that has them.
    blocks : (B, 2), optional
        For correlated features: the fraction of directions (0 for some Gauss nodes) and the variance of each block.
        `gram`, `cross` and `signal_gram` then have a first axis of length B, the overlaps within each block (theory 6).
    rows : (n_features, k + q), optional
        sqrt(n) (mu, W_1), feature by feature, for features of variance 1. A linear rule sees none of them but the
        overlaps; an `Optimizer` of the first layer does (theory 10), and takes them for Gaussian if they are not given.
        `of` keeps them.

    Attributes
    ----------
    gram, cross, signal_gram : (B, q, q), (B, q, k), (B, k, k)
        The same, always with an axis of blocks and one of signals.
    blocks : (B, 2)
        ((1, 1),) for independent features of variance 1.

    Raises
    ------
    ValueError
        When [[gram, cross], [cross^T, signal_gram]] is not the Gram matrix of any vectors, or not that of the rows.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> overlaps = sedyn.Overlaps.of(network.init(500, rng=0), sedyn.random_signal(500, rng=1))
    >>> overlaps.gram.shape, overlaps.cross.shape, overlaps.signal_gram.round(12).tolist()
    ((1, 2, 2), (1, 2, 1), [[[1.0]]])
    """

    gram: Array
    cross: Array
    signal_gram: Any
    deep: tuple[Array, ...]
    biases: tuple[Array, ...] = ()
    blocks: Any = None
    rows: Any = None

    def __post_init__(self):
        for name in ("deep", "biases"):
            part = getattr(self, name)
            if not isinstance(part, (tuple, list)):
                layers = "one per layer after the first" if name == "deep" else "one per layer"
                raise TypeError(f"{name} must be a tuple of arrays, {layers}; got {shown(part)}")
            object.__setattr__(self, name, tuple(finite_array(W, f"{name}, like all overlaps,") for W in part))
        gram, cross, signal = (
            finite_array(getattr(self, name), f"{name}, like all overlaps,")
            for name in ("gram", "cross", "signal_gram")
        )
        blocks = np.ones((1, 2)) if self.blocks is None else numbers(self.blocks)
        if blocks.ndim != 2 or blocks.shape[1] != 2 or not np.all((blocks >= [0, 1e-300]) & (blocks < np.inf)):
            raise ValueError(f"blocks must hold pairs (fraction >= 0, variance > 0), finite; got {shown(self.blocks)}")
        if blocks[:, 0].sum() > 1 + 1e-8:
            raise ValueError(f"the fractions of the blocks add up to {blocks[:, 0].sum():.6g}, more than 1")
        many, given = (gram.ndim == 3 or len(blocks) > 1), (gram.shape, cross.shape, signal.shape)
        lead, q = ((len(blocks),) if many else ()), (gram.shape or (0,))[-1]
        k = cross.shape[-1] if cross.ndim == len(lead) + 2 else 1
        if gram.shape != (*lead, q, q) or cross.shape not in ((*lead, q), (*lead, q, k)):
            B = f"{len(blocks)}, " if many else ""
            raise ValueError(
                f"gram must have shape ({B}q, q) and cross ({B}q,) or ({B}q, k) with the same q"
                f"{', one of them for each block' if many else ''}; got {given[0]} and {given[1]}"
            )
        if signal.shape not in ((*lead, k, k), lead if k == 1 else (*lead, k, k)):
            expected = f"{lead} or " if k == 1 else ""
            raise ValueError(
                f"signal_gram must have shape {expected}{(*lead, k, k)} beside cross of shape {given[1]}, "
                f"{'one for each block' if many else 'a single number if cross has shape (q,)'}; got {given[2]}"
            )
        largest = max(np.abs(part).max(initial=0) for part in (gram, cross, signal, blocks))
        if not q or not k or largest > 1e100:
            raise ValueError(
                f"gram, cross, signal_gram and blocks must hold numbers, none beyond 1e100 in size; got "
                f"gram {gram.shape}, cross {cross.shape}, and {largest:.3g} as the largest"
            )
        shapes: dict[str, Any] = {
            "gram": (gram, q, q),
            "cross": (cross, q, k),
            "signal_gram": (signal, k, k),
            "blocks": (blocks, 2),
        }
        for name, (value, *sizes) in shapes.items():
            object.__setattr__(self, name, value.reshape(len(blocks), *sizes))
        self._check_positive()
        if self.rows is not None:
            self._check_rows()

    def _check_positive(self):
        gram, cross, signal = self._scaled
        scale = max(np.abs(gram).max(), 1e-300)
        for name, matrix in (("gram", gram), ("signal_gram", signal)):
            gap = np.abs(matrix - matrix.swapaxes(1, 2)).max()
            if gap > 1e-10 * max(np.abs(matrix).max(), 1e-300):
                raise ValueError(f"{name} must be symmetric; it differs from its transpose by {gap:.3g}")
        signal = np.where(np.abs(signal) < 1e-300, 0, signal)  # too small to be divided by
        lost = cross - cross @ np.linalg.pinv(signal, hermitian=True) @ signal
        if np.linalg.eigvalsh(signal).min() < -1e-8 * np.abs(signal).max() or np.abs(lost).max() > 1e-8 * scale**0.5:
            raise ValueError(
                "signal_gram must be >= 0 (positive semidefinite), and cross 0 where it is 0; "
                f"got {shown(signal.squeeze().tolist())} and cross {shown(cross.squeeze().tolist())}"
            )
        *_, smallest = joint_loadings(gram, cross, signal)
        if smallest < -1e-8 * scale:
            raise ValueError(
                "gram and cross fit no weights: gram - cross cross^T / signal_gram must be positive semidefinite, "
                f"its smallest eigenvalue is {smallest:.3g}; measure both with Overlaps.of, or lower cross"
            )

    def _check_rows(self):
        rows, (_, q, k) = finite_array(self.rows, "rows"), self.cross.shape
        object.__setattr__(self, "rows", rows)
        if np.any(self.blocks != 1) or rows.ndim != 2 or rows.shape[1] != k + q or not len(rows):
            raise ValueError(
                f"rows must hold sqrt(n) (mu, W_1), shape (n_features, {k + q}), of features of variance 1; got "
                f"{rows.shape}{' beside blocks' if np.any(self.blocks != 1) else ''}"
            )
        gram = np.block([[self.signal_gram[0], self.cross[0].T], [self.cross[0], self.gram[0]]])
        gap = np.abs(rows.T @ rows / len(rows) - gram).max()
        if gap > 1e-6 * np.abs(gram).max():
            raise ValueError(
                f"rows have other overlaps than those given, by up to {gap:.3g}; measure both with Overlaps.of"
            )

    def _summary(self):
        (B, q, k), each = self.cross.shape, "in each block, " if len(self.blocks) > 1 else ""
        squares = np.diagonal(self.gram.sum(axis=0))
        diagonal = ", ".join([f"{x:.3g}" for x in squares[:8]] + [".."] * (q > 8))
        rows = {
            "sizes": f"{counted(q, 'neuron')}, {counted(k, 'signal')}, {counted(B, 'block')} of features",
            "gram": f"{each}(q, q) = ({q}, {q}); |W_1|^2 of each neuron: {diagonal}",
            "cross": f"{each}(q, k) = ({q}, {k}); largest {np.abs(self.cross).max():.3g}",
            "signal_gram": f"{each}(k, k); trace {np.trace(self.signal_gram.sum(axis=0)):.3g}",
            "deep": brief(self.deep),
        }
        rows |= {"biases": brief(self.biases)} if self.biases else {}
        blocks = ", ".join(f"({share:.3g}, {variance:.3g})" for share, variance in self.blocks[:8])
        return rows | ({"blocks": f"(fraction, variance): {blocks}{', ..' if B > 8 else ''}"} if each else {})

    @classmethod
    def of(cls, weights: Weights, signal: Array, *, covariance=None, n_blocks: int | None = None) -> Overlaps:
        """Measure the overlaps of weights with a signal mu (n_features,), or with k signals (n_features, k).

        For correlated features give their `covariance`, n_features variances or a matrix. Up to eight different
        variances each make a block, in increasing order. More of them are replaced by Gauss nodes (theory 6): blocks
        with a fraction of the directions and no overlaps, and blocks of fraction 0 with the overlaps; `n_blocks` of
        the former, by default as many as it takes until everything that decays with the variances is met to 0.1 %.
        Steps must be stable: past step size times largest variance of 2.5 the answer depends on the number of nodes.
        """
        instance(weights, Weights, "weights")
        first, mu = finite_array(weights.first, "weights.first"), finite_array(signal, "signal")
        n_blocks = None if n_blocks is None else integer(n_blocks, "n_blocks")
        if first.ndim != 2 or not first.size:
            raise ValueError(f"weights.first must have shape (n_features, q) and at least one entry; got {first.shape}")
        if mu.ndim not in (1, 2) or not mu.size or len(mu) != len(first):
            raise ValueError(
                f"signal must have shape ({first.shape[0]},) or ({first.shape[0]}, k), one entry per row of "
                f"weights.first; got {mu.shape}"
            )
        largest = max(np.abs(first).max(initial=0), np.abs(mu).max(initial=0))
        if largest > 1e20:  # their squares, summed, would be beyond what `Overlaps` takes
            raise ValueError(
                f"weights.first and signal must not exceed 1e20 in size; got {largest:.3g}; lower their scale"
            )
        mu = mu.reshape(len(first), -1)
        if covariance is None:
            rows = np.sqrt(len(first)) * np.hstack([mu, first])
            return cls(first.T @ first, first.T @ mu, mu.T @ mu, weights.deep, weights.biases, rows=rows)
        variances, directions = eigen_directions(covariance, len(first))
        if directions is not None:
            first, mu = directions.T @ first, directions.T @ mu
        kept = variances > 1e-12 * variances.max()
        variances, both = variances[kept], np.hstack([first[kept], mu[kept]])
        equal, at = _different(variances)
        if len(equal) <= (n_blocks or N_BLOCKS):
            shares, moved = np.bincount(at) / len(first), [both[at == b] for b in range(len(equal))]
        else:
            shares, equal, moved = _quadrature(variances, both, len(first), n_blocks)
        grams, q = np.array([part.T @ part for part in moved]), first.shape[1]
        parts = grams[:, :q, :q], grams[:, :q, q:], grams[:, q:, q:]
        return cls(*parts, weights.deep, weights.biases, np.column_stack([shares, equal]))

    def realize(self, n_features: int, *, rng=None) -> tuple[Weights, Array]:
        """Weights and a signal with exactly these overlaps, in random directions.

        With blocks, the features are those of ``sedyn.block_variances(n_features, overlaps.blocks)``: each block has
        its own. Returns `Weights` and a signal (n_features,), or (n_features, k) for k signals.

        Raises ValueError when a block has too few features for its overlaps, k + q.

        Examples
        --------
        >>> import numpy as np, sedyn
        >>> overlaps = sedyn.Overlaps([[1.0, 0.3], [0.3, 0.8]], [0.5, 0.0], 1.0, deep=([[1.0], [-0.5]],))
        >>> weights, signal = overlaps.realize(50, rng=0)
        >>> bool(np.allclose(weights.first.T @ weights.first, overlaps.gram[0]))
        True
        """
        n_features, rng, (q, k) = integer(n_features, "n_features"), generator(rng), self.cross.shape[1:]
        require_memory(24.0 * n_features * (q + k), f"weights for n_features = {n_features}", "lower n_features")
        if not self.fractions.all():
            raise ValueError(
                "these blocks are Gauss nodes of many different variances, and no features belong to them; measure the "
                "overlaps with n_blocks as large as the number of different variances"
            )
        edges = np.round(np.cumsum(self.fractions) * n_features).astype(int)
        sizes = np.diff(edges, prepend=0)
        if sizes.min() < k + q:
            raise ValueError(
                f"n_features = {n_features} gives a block {counted(sizes.min(), 'feature')}, too few for its overlaps "
                f"of {counted(q, 'neuron')} and {counted(k, 'signal')}; use more features"
            )
        first, signal = np.zeros((n_features, q)), np.zeros((n_features, k))
        for b, (stop, size) in enumerate(zip(edges, sizes, strict=True)):
            root, loadings, _ = joint_loadings(self.gram[b], self.cross[b], self.signal_gram[b])
            frame = np.linalg.qr(rng.standard_normal((size, k + q)))[0]  # orthonormal columns
            first[stop - size : stop], signal[stop - size : stop] = frame @ loadings.T, frame[:, :k] @ root.T
        return Weights(first, self.deep, self.biases), signal[:, 0] if k == 1 else signal

    @property
    def small(self) -> Small:
        """Deep weights and biases."""
        return Small(self.deep, self.biases)

    @property
    def n_indices(self) -> int:
        """k, the number of signals."""
        return self.cross.shape[2]

    @property
    def fractions(self) -> Array:
        """(B,), of the directions that belong to each block."""
        return self.blocks[:, 0]

    @property
    def variances(self) -> Array:
        """(B,), of the features in each block."""
        return self.blocks[:, 1]

    @cached_property
    def _scaled(self) -> tuple[Array, Array, Array]:
        """The three of weights and signals times the square root of the block's variance."""
        scale = self.variances[:, None, None]
        return scale * self.gram, scale * self.cross, scale * self.signal_gram

    @property
    def total(self) -> tuple[Array, Array, Array]:
        """Covariances of U_0 (q, q), of U_0 and Z (q, k), and of Z (k, k), on a fresh sample."""
        gram, cross, signal_gram = (part.sum(axis=0) for part in self._scaled)
        return gram, cross, signal_gram

    @cached_property
    def _by_block(self) -> tuple[Array, Array]:
        return joint_loadings(*self._scaled)[:2]

    @cached_property
    def loadings(self) -> Array:
        """A_0 (q, B (k + q)): U_0 = A_0 zeta_0."""
        return np.concatenate(self._by_block[1], axis=1)

    @cached_property
    def signal_loadings(self) -> Array:
        """(k, B (k + q)): Z = signal_loadings zeta_0."""
        q, k = self.cross.shape[1:]
        return np.concatenate([np.hstack([root, np.zeros((k, q))]) for root in self._by_block[0]], axis=1)


def joint_loadings(gram: Array, cross: Array, signal: Array) -> tuple[Array, Array, float]:
    """Z = root zeta and U = loadings (zeta, zeta') for independent standard Gaussian zeta (k,), zeta' (q,).

    For covariances E U U^T (.., q, q), E U Z^T (.., q, k), E Z Z^T (.., k, k); coordinates of Z that do not vary have
    zero columns in `root`. Also returns the smallest eigenvalue of the covariance of U given Z.
    """
    values, vectors = np.linalg.eigh(signal)
    spans = values > 1e-12 * np.maximum(values[..., -1:], 1e-300)
    root = vectors * np.sqrt(np.where(spans, values, 0))[..., None, :]
    along = cross @ (vectors * np.where(spans, np.maximum(values, 1e-300) ** -0.5, 0)[..., None, :])
    if signal.shape[-1] == 1:
        root, along = np.abs(root), along * np.sign(vectors)
    values, vectors = np.linalg.eigh(gram - along @ along.swapaxes(-1, -2))
    full = values[..., :1, None] > 1e-12 * np.maximum(values[..., -1:, None], 1e-300)
    rest = vectors * np.sqrt(np.where(values > 1e-12 * np.maximum(values[..., -1:], 1e-300), values, 0))[..., None, :]
    rest = np.where(full, rest @ vectors.swapaxes(-1, -2), rest)  # else one column for each direction there is
    return root, np.concatenate([along, rest], axis=-1), float(values.min())


def _different(variances: Array) -> tuple[Array, Array]:
    """The different values among variances, in increasing order, and which of them each is (n,)."""
    order = np.argsort(variances, kind="stable")
    new = np.diff(variances[order], prepend=0) > 1e-9 * variances[order]
    at = np.empty(len(order), int)
    at[order] = np.cumsum(new) - 1
    return variances[order][new], at


def _quadrature(variances: Array, both: Array, n: int, n_blocks: int | None) -> tuple[Array, Array, list[Array]]:
    """Blocks that stand for many different variances: fractions, variances, and rows of weights and signals in each.

    Gauss nodes in the logarithm of the variance, for what the variances do to noise and, with matrix weights, for what
    they do to the start: as many steps as meet decays exp(-s variance / mean) up to s = 30 (theory 6).
    """
    logs, root = np.log(variances), np.sqrt(variances)[:, None]
    mean, decays = np.mean(variances), np.geomspace(0.03, 30, 40)
    exact = np.exp(-np.outer(decays, variances / mean)) @ variances / variances.sum()
    for steps in range(1, len(variances) + 1) if n_blocks is None else [n_blocks]:
        nodes, (roots,) = gauss_nodes(logs, root / np.sqrt(n), steps)
        nodes = np.exp(nodes)
        found = np.exp(-np.outer(decays, nodes / mean)) @ roots**2 / np.sum(roots**2)
        if np.abs(found - exact).max() < QUADRATURE:
            break
    starts, loadings = gauss_nodes(logs, root * both, steps)
    starts = np.exp(starts)
    none, rows = np.zeros((1, both.shape[1])), (loadings / np.sqrt(starts)).T
    shares, nodes = np.append(roots**2 / nodes, np.zeros(len(starts))), np.append(nodes, starts)
    order = np.argsort(nodes, kind="stable")
    moved = [none] * len(roots) + [row[None] for row in rows]
    return shares[order], nodes[order], [moved[b] for b in order]
