"""What the theory knows of a start: overlaps of the initial weights with each other and with the signal (theory 2, 6).

Features of covariance Sigma are cut into blocks of directions in which their variance lambda_b is constant, W and mu
into their parts W_b and mu_b there; in rescaled weights sqrt(lambda_b) W_b every block has features of variance 1.

======== ==================================================== =================
symbol   name                                                 shape
======== ==================================================== =================
G, c     W_b^T W_b and W_b^T mu_b                             (B, q, q), (B, q, k)
Sigma_b  mu_b^T mu_b                                          (B, k, k)
F_0      standard Gaussian coordinates of Z and of U_0 given  (B (k + q), N)
         Z, block by block
A_0      U_0 = A_0 F_0                                        (q, B (k + q))
======== ==================================================== =================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common import Array, Result, finite_array, instance, integer, numbers, shown
from .covariance import eigen_directions
from .network import Weights

N_BLOCKS = 8  # that a covariance of many different variances is cut into


@dataclass(frozen=True)
class Overlaps(Result):
    """All that the theory knows of an individual initialization.

    Parameters
    ----------
    gram : (q, q)
        G_0 = W_1^T W_1.
    cross : (q,)
        c_0 = W_1^T mu; (q, k) for k signals.
    signal_norm2 : float
        |mu|^2; the Gram matrix (k, k) of k signals.
    deep : tuple of (fan_in, fan_out)
        W_2, .., W_L.
    biases : tuple of (width,)
        b_1, .., b_L, of a network that has them.
    blocks : (B, 2), optional
        For correlated features: the fraction of directions and the variance of each block. `gram`, `cross` and
        `signal_norm2` then have a first axis of length B, the overlaps within each block (theory 6).

    Raises
    ------
    ValueError
        When [[gram, cross], [cross^T, signal_norm2]] is not the Gram matrix of any vectors.

    Examples
    --------
    >>> import sedyn
    >>> network = sedyn.Network((2, 1), ("tanh", "identity"))
    >>> overlaps = sedyn.Overlaps.of(network.init(500, rng=0), sedyn.random_signal(500, rng=1))
    >>> overlaps.gram.shape, overlaps.cross.shape, round(overlaps.signal_norm2, 12)
    ((2, 2), (2,), 1.0)
    """

    gram: Array
    cross: Array
    signal_norm2: float | Array
    deep: tuple[Array, ...]
    biases: tuple[Array, ...] = ()
    blocks: Array | None = None

    def __post_init__(self):
        for name, part in (("deep", self.deep), ("biases", self.biases)):
            if not isinstance(part, (tuple, list)):
                raise TypeError(f"{name} must be a tuple of arrays, one per layer; got {shown(part)}")
        gram, cross, norm2 = (
            finite_array(getattr(self, name), f"{name}, like all overlaps,")
            for name in ("gram", "cross", "signal_norm2")
        )
        deep = tuple(finite_array(W, "deep, like all overlaps,") for W in self.deep)
        biases = tuple(finite_array(b, "biases, like all overlaps,") for b in self.biases)
        blocks = np.ones((1, 2)) if self.blocks is None else numbers(self.blocks)
        if blocks.ndim != 2 or blocks.shape[1] != 2 or not np.all((blocks > 0) & (blocks < np.inf)):
            raise ValueError(f"blocks must hold pairs (fraction > 0, variance > 0), finite; got {shown(self.blocks)}")
        if blocks[:, 0].sum() > 1 + 1e-8:
            raise ValueError(f"the fractions of the blocks add up to {blocks[:, 0].sum():.6g}, more than 1")
        lead = () if self.blocks is None else (len(blocks),)
        q, k = (gram.shape or (0,))[-1], (cross.shape[1 + len(lead) :] or (1,))[0]
        if gram.shape != (*lead, q, q) or cross.shape not in ((*lead, q), (*lead, q, k)):
            raise ValueError(
                f"gram must be (q, q) and cross (q,) or (q, k) with the same q{', in each block' if lead else ''}; "
                f"got {gram.shape} and {cross.shape}"
            )
        if norm2.shape != (*lead, *cross.shape[1 + len(lead) :] * 2):
            raise ValueError(
                f"signal_norm2 must be a number, or (k, k) for cross (q, k){', in each block' if lead else ''}; "
                f"got shape {norm2.shape} beside cross {cross.shape}"
            )
        largest = max(np.abs(part).max(initial=0) for part in (gram, cross, norm2, blocks))
        if not q or not k or largest > 1e100:
            raise ValueError(
                f"gram, cross, signal_norm2 and blocks must hold numbers, none beyond 1e100 in size; got "
                f"gram {gram.shape}, cross {cross.shape}, and {largest:.3g} as the largest"
            )
        for name, value in (("gram", gram), ("cross", cross), ("signal_norm2", norm2 if norm2.ndim else float(norm2))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "deep", deep)
        object.__setattr__(self, "biases", biases)
        object.__setattr__(self, "blocks", None if self.blocks is None else blocks)
        self._check_positive(*self.by_block())

    def _check_positive(self, gram, cross, signal):
        scale = max(np.abs(gram).max(), 1e-300)
        for name, matrix in (("gram", gram), ("signal_norm2", signal)):
            gap = np.abs(matrix - matrix.swapaxes(1, 2)).max()
            if gap > 1e-10 * max(np.abs(matrix).max(), 1e-300):
                raise ValueError(f"{name} must be symmetric; it differs from its transpose by {gap:.3g}")
        signal = np.where(np.abs(signal) < 1e-300, 0, signal)  # too small to be divided by
        lost = cross - cross @ np.linalg.pinv(signal, hermitian=True) @ signal
        if np.linalg.eigvalsh(signal).min() < -1e-8 * np.abs(signal).max() or np.abs(lost).max() > 1e-8 * scale**0.5:
            raise ValueError(
                "signal_norm2 must be >= 0 (positive semidefinite), and cross 0 where it is 0; "
                f"got {self.signal_norm2} and cross {self.cross}"
            )
        *_, smallest = joint_loadings(gram, cross, signal)
        if smallest < -1e-8 * scale:
            raise ValueError(
                "gram and cross fit no weights: gram - cross cross^T / signal_norm2 must be positive semidefinite, "
                f"its smallest eigenvalue is {smallest:.3g}; measure both with Overlaps.of, or lower cross"
            )

    @classmethod
    def of(cls, weights: Weights, signal: Array, covariance=None, n_blocks: int = N_BLOCKS) -> Overlaps:
        """Measure the overlaps of weights with a signal mu (n_features,), or with k signals (n_features, k).

        For correlated features give their `covariance`, n_features variances or a matrix. Variances that take more than
        `n_blocks` values are grouped by size: overlaps with the features stay exact, the speed of learning in a group
        is that of its mean variance. Blocks are in the order of increasing variance. The theory wants variances of
        order 1: a few directions that grow with n are no average over many.
        """
        instance(weights, Weights, "weights")
        first, mu, n_blocks = (
            finite_array(weights.first, "weights.first"),
            finite_array(signal, "signal"),
            integer(n_blocks, "n_blocks"),
        )
        if first.ndim != 2 or mu.ndim not in (1, 2) or not mu.size or len(mu) != len(first):
            raise ValueError(
                f"signal must have shape ({first.shape[0]},) or ({first.shape[0]}, k), one entry per row of "
                f"weights.first; got {mu.shape}"
            )
        largest = max(np.abs(first).max(initial=0), np.abs(mu).max(initial=0))
        if largest > 1e20:  # their squares, summed, would be beyond what `Overlaps` takes
            raise ValueError(
                f"weights.first and signal must not exceed 1e20 in size; got {largest:.3g}; lower their scale"
            )
        if covariance is None:
            norm2 = mu.T @ mu
            return cls(first.T @ first, first.T @ mu, norm2, weights.deep, weights.biases)
        variances, directions = eigen_directions(covariance, len(first))
        if directions is not None:
            first, mu = directions.T @ first, directions.T @ mu
        parts = []
        for members in _groups(variances, n_blocks):
            mean = variances[members].mean()
            scale = np.sqrt(variances[members] / mean)[:, None]
            W, s = scale * first[members], (scale if mu.ndim == 2 else scale[:, 0]) * mu[members]
            parts.append((W.T @ W, W.T @ s, s.T @ s, (len(members) / len(first), mean)))
        gram, cross, norm2, blocks = (np.array(part) for part in zip(*parts, strict=True))
        return cls(gram, cross, norm2, weights.deep, weights.biases, blocks)

    @property
    def small(self) -> tuple[Array, ...]:
        """The deep weights, then the biases."""
        return (*self.deep, *self.biases)

    @property
    def n_indices(self) -> int:
        """k, the number of signals."""
        return self.by_block()[1].shape[-1]

    @property
    def fractions(self) -> Array:
        """(B,), of the directions that belong to each block."""
        return np.ones(1) if self.blocks is None else self.blocks[:, 0]

    @property
    def variances(self) -> Array:
        """(B,), of the features in each block."""
        return np.ones(1) if self.blocks is None else self.blocks[:, 1]

    def by_block(self) -> tuple[Array, Array, Array]:
        """gram (B, q, q), cross (B, q, k) and signal Gram (B, k, k), always with both axes, of the weights and signals
        times the square root of the block's variance."""
        B, q = len(self.variances), self.gram.shape[-1]
        scale = self.variances[:, None, None]
        cross = self.cross.reshape(B, q, -1)
        k = cross.shape[-1]
        return scale * self.gram.reshape(B, q, q), scale * cross, scale * np.reshape(self.signal_norm2, (B, k, k))

    def joint(self) -> tuple[Array, Array]:
        """Root (k, k) and loadings (q, k + q) of the law of Z and U_0 on a fresh sample, as `joint_loadings`."""
        root, loadings, _ = joint_loadings(*(part.sum(axis=0) for part in self.by_block()))
        return root, loadings

    def loadings(self) -> Array:
        """A_0 (q, B (k + q)): U_0 = A_0 F_0."""
        _, loadings, _ = joint_loadings(*self.by_block())
        return np.concatenate(loadings, axis=1)

    def signal_loadings(self) -> Array:
        """(k, B (k + q)): Z = signal_loadings F_0."""
        gram, cross, signal = self.by_block()
        root, *_ = joint_loadings(gram, cross, signal)
        return np.concatenate(
            [np.concatenate([r, np.zeros(r.shape[:1] + gram.shape[-1:])], axis=1) for r in root], axis=1
        )


def realization(overlaps: Overlaps, n_features: int, rng: np.random.Generator) -> tuple[Weights, Array]:
    """Weights and a signal (n_features,) with exactly these overlaps, of one signal and no blocks, in random
    directions."""
    loadings = overlaps.loadings()
    frame = np.linalg.qr(rng.standard_normal((n_features, loadings.shape[1])))[0]  # orthonormal columns
    return Weights(frame @ loadings.T, overlaps.deep), frame @ overlaps.signal_loadings()[0]


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
    rest = (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ vectors.swapaxes(-1, -2)
    return root, np.concatenate([along, rest], axis=-1), float(values.min())


def _groups(variances: Array, n_blocks: int) -> list[Array]:
    """Index sets of equal variances, or of similar ones where there are too many values; variances 0 are left out."""
    order = np.argsort(variances, kind="stable")
    order = order[variances[order] > 1e-12 * variances.max()]
    values = variances[order]
    different = np.flatnonzero(np.diff(values) > 1e-9 * values[1:]) + 1
    if len(different) >= n_blocks:  # equal ratios between the edges of the groups
        edges = np.geomspace(values[0], values[-1], n_blocks + 1)[1:-1]
        different = np.unique(np.searchsorted(values, edges))
        different = different[(different > 0) & (different < len(values))]
    return np.split(order, different)
